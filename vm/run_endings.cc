#include <algorithm>

#include "vm/failure_kinds.hpp"
#include "vm/run_state.hpp"
#include "vm/text.hpp"

// How fibers and runs fail, are cancelled, are undone and end.
namespace sluice::vm::detail {

// The innermost handler of the place where the fiber stands. What the fiber had spawned is
// cancelled in any case.
bool RunState::handle(Fiber& fiber, const Failure& failure, Commands& commands) {
  cancel_fibers(descendants(fiber.id), {fiber.id, false}, commands);
  fiber.given.clear();
  fuel -= kFailureFuel;
  // Out of fuel nothing may go on in this activation, or a handler within its own range would never
  // end.
  if (fuel < 0) return false;
  for (const Handler& handler : function_of(fiber).handlers) {
    if (handler.flags != Handler::kHandlerFailure) continue;
    if (fiber.pc < handler.begin_pc || fiber.pc >= handler.end_pc) continue;
    if (handler.failure_register != kNoRegister) {
      fiber.registers[handler.failure_register] = failure_value(failure);
    }
    fiber.pc = handler.handler_pc;
    fiber.status = FiberStatus::runnable;
    drop_deadlines(fiber, commands);
    return true;
  }
  return false;
}

// Up the tree to the first fiber that handles it; a root that does not, fails.
void RunState::fail(Fiber& first, Failure failure, Commands& commands) {
  Fiber* fiber = &first;
  for (;;) {
    stop_waiting(*fiber, commands);
    if (handle(*fiber, failure, commands)) return;
    if (is_compensation(*fiber)) return fail_compensation(*fiber, std::move(failure), commands);
    if (fiber->parent == 0) return fail_root(*fiber, std::move(failure), commands);
    fiber->status = FiberStatus::done;
    fiber = find(fiber->parent);
  }
}

void RunState::fail_compensation(Fiber& fiber, Failure failure, Commands& commands) {
  // The path ends in "/undo": the dead letter names the step.
  constexpr std::string_view kUndo = "/undo";
  std::string path = fiber.path.substr(0, fiber.path.rfind(kUndo));
  commands.emplace_back(DeadLetter{std::move(path), std::move(failure)});
  end_compensation(fiber, commands);
}

void RunState::end_compensation(Fiber& fiber, Commands& commands) {
  cancel_deadlines(fiber, commands);
  const uint32_t waiter = fiber.parent;
  const uint32_t ended = fiber.id;
  inherit({ended}, waiter);
  std::erase_if(fibers, [&](const auto& other) { return other->id == ended; });
  Fiber* waiting = find(waiter);  // none: the run's end, drive() goes on with the next
  if (waiting == nullptr || waiting->status != FiberStatus::at_undo) return;
  bool more = std::any_of(fibers.begin(), fibers.end(), [&](const auto& other) {
    return other->parent == waiter && is_compensation(*other);
  });
  if (more || start_pending(waiter)) return;
  ++waiting->pc;
  waiting->status = FiberStatus::runnable;
}

bool RunState::has_called_off(uint32_t scope) const {
  return std::any_of(called_off.begin(), called_off.end(),
                     [&](const CalledOff& each) { return each.scope == scope; });
}

void RunState::move_scope(uint32_t from, uint32_t to) {
  for (Undo& entry : undo) {
    if (entry.scope == from) entry.scope = to;
  }
  for (CalledOff& each : called_off) {
    if (each.scope == from) each.scope = to;
  }
}

// The newest that is pending for that fiber, once no run that it called off goes on; false: there
// is nothing to wait for.
bool RunState::start_pending(uint32_t waiter) {
  if (has_called_off(waiter)) return true;
  auto next = std::find_if(pending.rbegin(), pending.rend(),
                           [&](const Undo& entry) { return entry.scope == waiter; });
  if (next == pending.rend()) return false;
  Undo entry = std::move(*next);
  pending.erase(std::next(next).base());
  add_fiber(waiter, entry.closure.function, entry.path + "/undo",
            std::move(entry.closure.captured));
  return true;
}

// The fiber no longer waits for the step it stands at, or for a timer.
void RunState::stop_waiting(Fiber& fiber, Commands& commands) {
  if (fiber.status == FiberStatus::at_step) {
    commands.emplace_back(CancelStep{fiber.step});
    const uint32_t site = function_of(fiber).code[fiber.pc].c;
    if (program().steps[site].flow) called_off.push_back({fiber.step, fiber.id});
    if (fiber.armed) {
      std::string path = step_path(fiber, function_of(fiber).code[fiber.pc].c);
      register_undo(fiber.id, std::move(path), std::move(*fiber.armed));
    }
  }
  cancel_timer(fiber.timer, commands);
  fiber.armed.reset();
  fiber.step = {};
}

void RunState::fail_root(Fiber& root, Failure failure, Commands& commands) {
  switch (phase) {
    case Phase::running:
      return fail_run(RunStatus::failed, std::move(failure), commands);
    case Phase::failing:
      cancel_fibers({root.id}, {0, false}, commands);
      ending.why = std::move(failure);
      return end(commands);
    case Phase::compensating:  // every root is a compensation
    case Phase::created:
    case Phase::ended:
      return;
  }
}

// The whole of what runs now fails: more of it cannot be held. Failures lead on to less.
void RunState::fail_too_large(Commands& commands) {
  Failure failure{std::string(failure_kind::kFault),
                  "the run holds more than " + std::to_string(kSnapshotBytesMax) + " bytes", "", 0};
  Fiber& root = *fibers.front();
  cancel_fibers(descendants(root.id), {root.id, false}, commands);
  stop_waiting(root, commands);
  if (is_compensation(root)) return fail_compensation(root, std::move(failure), commands);
  fail_root(root, std::move(failure), commands);
}

// The function of a branch or compensation has returned.
void RunState::complete(Fiber& fiber, Value result, Commands& commands) {
  cancel_fibers(descendants(fiber.id), {fiber.id, false}, commands);
  if (is_compensation(fiber)) return end_compensation(fiber, commands);
  cancel_deadlines(fiber, commands);
  fiber.status = FiberStatus::done;
  fiber.result = std::move(result);
  for (Value& value : fiber.registers) value = Value();
  fiber.starts.clear();
  fiber.rounds.clear();
  fiber.given.clear();
  inherit({fiber.id}, fiber.parent);
  Fiber& parent = *find(fiber.parent);
  child_ended(parent, fiber, commands);
}

std::vector<uint32_t> RunState::descendants(uint32_t id) const {
  std::vector<uint32_t> found{id};
  // A child's id is greater than its parent's, so one pass in order finds all of them, in order.
  for (const auto& fiber : fibers) {
    if (!is_compensation(*fiber) &&
        std::binary_search(found.begin(), found.end(), fiber->parent)) {
      found.push_back(fiber->id);
    }
  }
  found.erase(found.begin());
  return found;
}

bool RunState::is_compensation(const Fiber& fiber) const {
  return function_of(fiber).kind == FunctionKind::compensation;
}

bool RunState::compensates(const Fiber& fiber) const {
  for (const Fiber* at = &fiber; at != nullptr; at = find(at->parent)) {
    if (is_compensation(*at)) return true;
  }
  return false;
}

void RunState::cancel_fibers(const std::vector<uint32_t>& ids, Heir heir, Commands& commands) {
  if (ids.empty()) return;
  for (uint32_t id : ids) {
    Fiber& fiber = *find(id);
    stop_waiting(fiber, commands);
    cancel_deadlines(fiber, commands);
  }
  std::erase_if(fibers, [&](const auto& fiber) {
    return std::binary_search(ids.begin(), ids.end(), fiber->id);
  });
  inherit(ids, heir.id);
  if (heir.undone) return hand_over(ids, 0, heir.id);
  for (Undo& entry : undo) {
    if (std::binary_search(ids.begin(), ids.end(), entry.scope)) entry.scope = heir.id;
  }
}

// What those fibers had handed over is waited for by another.
void RunState::inherit(const std::vector<uint32_t>& ids, uint32_t heir) {
  for (const auto& fiber : fibers) {
    if (is_compensation(*fiber) && std::binary_search(ids.begin(), ids.end(), fiber->parent)) {
      fiber->parent = heir;
    }
  }
  for (Undo& entry : pending) {
    if (std::binary_search(ids.begin(), ids.end(), entry.scope)) entry.scope = heir;
  }
  for (CalledOff& each : called_off) {
    if (std::binary_search(ids.begin(), ids.end(), each.scope)) each.scope = heir;
  }
}

void RunState::hand_over(const std::vector<uint32_t>& scopes, uint32_t since, uint32_t waiter) {
  std::erase_if(undo, [&](Undo& entry) {
    if (entry.number < since || !std::binary_search(scopes.begin(), scopes.end(), entry.scope)) {
      return false;
    }
    entry.scope = waiter;
    pending.push_back(std::move(entry));
    return true;
  });
  std::sort(pending.begin(), pending.end(),
            [](const Undo& a, const Undo& b) { return a.number < b.number; });
}

// Compensations over the limit are refused where they are registered by the flow; those of unsure
// steps always fit in.
void RunState::register_undo(uint32_t scope, std::string path, Closure closure) {
  undo.push_back({next_undo++, scope, std::move(path), std::move(closure)});
}

void RunState::fail_run(RunStatus status, Failure why, Commands& commands) {
  why.kind = cut_text(why.kind, kFailureTextBytesMax);
  why.message = cut_text(why.message, kFailureTextBytesMax);
  cancel_fibers(descendants(0), {0, false}, commands);
  phase = Phase::compensating;
  ending = {status, std::nullopt, Value(), std::move(why)};
  for (const Undo& entry : undo) pending.push_back(entry);
  undo.clear();
  for (Undo& entry : pending) entry.scope = 0;
  std::sort(pending.begin(), pending.end(),
            [](const Undo& a, const Undo& b) { return a.number < b.number; });
}

// The run's answer. Branches that run beside the one that answers are cancelled and compensated
// first; what the others have done stands.
void RunState::finish(Fiber& fiber, std::optional<uint32_t> event, Value value,
                      Commands& commands) {
  ending.event = event;
  ending.value = std::move(value);
  if (phase != Phase::running) {
    cancel_fibers(descendants(0), {0, false}, commands);
    return end(commands);
  }
  std::vector<uint32_t> answering{fiber.id};
  for (uint32_t id = fiber.parent; id != 0; id = find(id)->parent) answering.push_back(id);
  std::reverse(answering.begin(), answering.end());
  std::vector<uint32_t> others;
  for (uint32_t id : descendants(0)) {
    if (!std::binary_search(answering.begin(), answering.end(), id)) others.push_back(id);
  }
  cancel_fibers(others, {0, true}, commands);
  cancel_fibers(answering, {0, false}, commands);
  undo.clear();
  phase = Phase::compensating;  // ends at once if nothing is pending
}

// REQUIRES: no fiber is left.
void RunState::unwind(Commands& commands) {
  fuel = kActivationFuel;
  if (phase == Phase::compensating && start_pending(0)) return;
  bool failed = ending.status == RunStatus::failed || ending.status == RunStatus::cancelled;
  if (failed && program().flows[flow].on_failure) return enter_on_failure(commands);
  end(commands);
}

void RunState::enter_on_failure(Commands& commands) {
  phase = Phase::failing;
  commands.emplace_back(EnterOnFailure{});
  std::vector<Value> values = std::move(arguments);
  arguments.clear();
  values.push_back(failure_value(*ending.why));
  add_fiber(0, *program().flows[flow].on_failure, program().flows[flow].name + "/on-failure",
            std::move(values));
}

void RunState::end(Commands& commands) {
  phase = Phase::ended;
  fibers.clear();
  undo.clear();
  pending.clear();
  called_off.clear();
  arguments.clear();
  commands.emplace_back(Finish{ending.status, ending.event, ending.value, ending.why});
}

}  // namespace sluice::vm::detail
