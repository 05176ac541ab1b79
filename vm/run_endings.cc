#include <algorithm>

#include "vm/failure_kinds.hpp"
#include "vm/run_state.hpp"
#include "vm/text.hpp"

// How fibers and runs fail, are cancelled, are undone and end.
namespace sluice::vm::detail {

// The innermost handler of the place where the fiber stands. What the fiber had spawned is
// cancelled in any case.
bool RunState::handle(Fiber& fiber, const Failure& failure, Commands& commands) {
  cancel_fibers(descendants(fiber.id), commands);
  fuel -= kFailureFuel;
  // Out of fuel nothing may go on in this activation, or a handler within its own range would never
  // end.
  if (fuel < 0) return false;
  for (const Handler& handler : function_of(fiber).handlers) {
    if (fiber.pc < handler.begin_pc || fiber.pc >= handler.end_pc) continue;
    if (handler.failure_register != kNoRegister) {
      fiber.registers[handler.failure_register] = failure_value(failure);
    }
    fiber.pc = handler.handler_pc;
    fiber.status = FiberStatus::runnable;
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
    if (fiber->parent == 0) return fail_root(*fiber, std::move(failure), commands);
    fiber->status = FiberStatus::done;
    fiber = find(fiber->parent);
  }
}

// The fiber no longer waits for the step it stands at.
void RunState::stop_waiting(Fiber& fiber, Commands& commands) {
  if (fiber.status == FiberStatus::at_step) {
    commands.emplace_back(CancelStep{fiber.step});
    if (fiber.armed) {
      std::string path = step_path(fiber, function_of(fiber).code[fiber.pc].c);
      register_undo(fiber.id, std::move(path), std::move(*fiber.armed));
    }
  }
  fiber.armed.reset();
  fiber.step = {};
}

void RunState::fail_root(Fiber& root, Failure failure, Commands& commands) {
  switch (phase) {
    case Phase::running:
      return fail_run(RunStatus::failed, std::move(failure), commands);
    case Phase::compensating: {
      // The path ends in "/undo": the dead letter names the step.
      constexpr std::string_view kUndo = "/undo";
      std::string path = root.path.substr(0, root.path.size() - kUndo.size());
      commands.emplace_back(DeadLetter{std::move(path), std::move(failure)});
      fibers.clear();
      return;
    }
    case Phase::failing:
      fibers.clear();
      ending.why = std::move(failure);
      return end(commands);
    case Phase::created:
    case Phase::ended:
      return;
  }
}

// The whole of what runs now fails: more of it cannot be held. Failures lead on to less.
void RunState::fail_too_large(Commands& commands) {
  Failure failure{std::string(failure_kind::kFault),
                  "the run holds more than " + std::to_string(kSnapshotBytesMax) + " bytes", "", 0};
  cancel_fibers(descendants(fibers.front()->id), commands);
  stop_waiting(*fibers.front(), commands);
  fail_root(*fibers.front(), std::move(failure), commands);
}

// The function of a branch or compensation has returned.
void RunState::complete(Fiber& fiber, Value result, Commands& commands) {
  cancel_fibers(descendants(fiber.id), commands);
  if (fiber.parent == 0) {
    fibers.clear();  // a compensation; drive() goes on with the next
    return;
  }
  fiber.status = FiberStatus::done;
  fiber.result = std::move(result);
  for (Value& value : fiber.registers) value = Value();
  fiber.starts.clear();
  Fiber& parent = *find(fiber.parent);
  if (parent.status != FiberStatus::at_join) return;
  for (const auto& other : fibers) {
    if (other->parent == parent.id && other->status != FiberStatus::done) return;
  }
  take_results(parent, function_of(parent).code[parent.pc].a);
  ++parent.pc;
  parent.status = FiberStatus::runnable;
}

std::vector<uint32_t> RunState::descendants(uint32_t id) const {
  std::vector<uint32_t> found{id};
  // A child's id is greater than its parent's, so one pass in order finds all of them.
  for (const auto& fiber : fibers) {
    if (std::find(found.begin(), found.end(), fiber->parent) != found.end()) {
      found.push_back(fiber->id);
    }
  }
  found.erase(found.begin());
  return found;
}

std::vector<uint32_t> RunState::all_fibers() const {
  std::vector<uint32_t> ids;
  for (const auto& fiber : fibers) ids.push_back(fiber->id);
  return ids;
}

void RunState::cancel_fibers(const std::vector<uint32_t>& ids, Commands& commands) {
  if (ids.empty()) return;
  for (uint32_t id : ids) stop_waiting(*find(id), commands);
  std::erase_if(fibers, [&](const auto& fiber) {
    return std::binary_search(ids.begin(), ids.end(), fiber->id);
  });
}

// Compensations over the limit are refused where they are registered by the flow; those of unsure
// steps always fit in.
void RunState::register_undo(uint32_t scope, std::string path, Closure closure) {
  undo.push_back({scope, std::move(path), std::move(closure)});
}

void RunState::fail_run(RunStatus status, Failure why, Commands& commands) {
  why.kind = cut_text(why.kind, kFailureTextBytesMax);
  why.message = cut_text(why.message, kFailureTextBytesMax);
  cancel_fibers(all_fibers(), commands);
  phase = Phase::compensating;
  ending = {status, std::nullopt, Value(), std::move(why)};
  pending = std::move(undo);
  undo.clear();
}

// The run's answer. Branches that run beside the one that answers are cancelled and compensated
// first; what the others have done stands.
void RunState::finish(Fiber& fiber, std::optional<uint32_t> event, Value value,
                      Commands& commands) {
  ending.event = event;
  ending.value = std::move(value);
  if (phase != Phase::running) {
    cancel_fibers(all_fibers(), commands);
    return end(commands);
  }
  std::vector<uint32_t> answering{fiber.id};
  for (uint32_t id = fiber.parent; id != 0; id = find(id)->parent) answering.push_back(id);
  std::vector<uint32_t> others;
  for (uint32_t id : all_fibers()) {
    if (std::find(answering.begin(), answering.end(), id) == answering.end()) others.push_back(id);
  }
  cancel_fibers(others, commands);
  fibers.clear();
  for (Undo& entry : undo) {
    bool cancelled = std::binary_search(others.begin(), others.end(), entry.scope);
    if (cancelled) pending.push_back(std::move(entry));
  }
  undo.clear();
  phase = Phase::compensating;  // ends at once if nothing is pending
}

// REQUIRES: no fiber is left.
void RunState::unwind(Commands& commands) {
  fuel = kActivationFuel;
  if (phase == Phase::compensating && !pending.empty()) {
    Undo next = std::move(pending.back());
    pending.pop_back();
    add_fiber(0, next.closure.function, next.path + "/undo", std::move(next.closure.captured));
    return;
  }
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
  arguments.clear();
  commands.emplace_back(Finish{ending.status, ending.event, ending.value, ending.why});
}

}  // namespace sluice::vm::detail
