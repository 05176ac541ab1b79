#include <algorithm>

#include "vm/run_state.hpp"

// Waiting for time, rounds of loops, and blocks that can be left before their end: `deadline`,
// `catch`, `race`, fan-out.
namespace sluice::vm::detail {

RunState::After RunState::perform_block(Fiber& fiber, Activation& act, const Instruction& i,
                                        Commands& commands) {
  switch (i.op) {
    case Op::sleep:
      return sleep(fiber, act, i, commands);
    case Op::start_deadline:
      return start_deadline(fiber, act, i, commands);
    case Op::round:
      return begin_round(fiber, act, i);
    case Op::leave:
      return leave_rounds(fiber, act, i.x);
    case Op::mark:
      act.registers[i.a] = Value::integer(next_undo);
      return After::go_on;
    case Op::undo:
      return undo_since(fiber, act, i);
    case Op::settle:
      return settle(fiber, act, commands);
    case Op::rethrow:
      return rethrow(act, i);
    case Op::race:
      return race(fiber, act, i, commands);
    case Op::slot:
      return slot(fiber, act, i, commands);
    case Op::gather:
      return gather(fiber, act, i, commands);
    case Op::receive:
      return receive(fiber, act, i, commands);
    default:
      act.fault("an instruction without effect was taken for one");
      return After::failed;
  }
}

// ------------------------------------------------------------------------------------------ time

TimerId RunState::start_timer(std::string path, TimerUse use, const Value& when,
                              Commands& commands) {
  StartTimer start;
  start.id = {next_timer++};
  start.use = use;
  if (when.is(Kind::timestamp)) {
    start.until_us = when.as_int();
  } else {
    start.after_ms = std::max<int64_t>(when.as_int(), 0);
  }
  start.path = std::move(path);
  const TimerId id = start.id;
  commands.emplace_back(std::move(start));
  return id;
}

void RunState::cancel_timer(TimerId& timer, Commands& commands) {
  if (timer.value == 0) return;
  commands.emplace_back(CancelTimer{timer});
  timer = {};
}

RunState::After RunState::sleep(Fiber& fiber, Activation& act, const Instruction& i,
                                Commands& commands) {
  const Value& when = act.registers[i.a];
  if (!when.is(Kind::duration) && !when.is(Kind::timestamp)) {
    act.fault("`sleep` takes a duration or a timestamp");
    return After::failed;
  }
  fiber.timer = start_timer(fiber.path, TimerUse::sleep, when, commands);
  fiber.pc = act.pc;
  suspend(fiber, FiberStatus::at_sleep, commands);
  return After::wait;
}

RunState::After RunState::start_deadline(Fiber& fiber, Activation& act, const Instruction& i,
                                         Commands& commands) {
  const Value& duration = act.registers[i.b];
  if (!duration.is(Kind::duration)) {
    act.fault("`deadline` takes a duration");
    return After::failed;
  }
  fiber.pc = act.pc;
  drop_deadlines(fiber, commands);
  const TimerId timer = start_timer(fiber.path, TimerUse::deadline, duration, commands);
  fiber.deadlines.push_back(timer);
  act.registers[i.a] = Value::integer(timer.value);
  return After::go_on;
}

const Handler* RunState::deadline_handler(const Fiber& fiber, TimerId timer) const {
  for (const Handler& handler : function_of(fiber).handlers) {
    if (handler.flags != Handler::kHandlerDeadline) continue;
    if (fiber.pc < handler.begin_pc || fiber.pc >= handler.end_pc) continue;
    const Value& named = fiber.registers[handler.failure_register];
    if (named.is(Kind::integer) && named.as_int() == timer.value) return &handler;
  }
  return nullptr;
}

void RunState::drop_deadlines(Fiber& fiber, Commands& commands) {
  std::erase_if(fiber.deadlines, [&](TimerId timer) {
    if (deadline_handler(fiber, timer) != nullptr) return false;
    cancel_timer(timer, commands);
    return true;
  });
}

void RunState::cancel_deadlines(Fiber& fiber, Commands& commands) {
  for (TimerId timer : fiber.deadlines) cancel_timer(timer, commands);
  fiber.deadlines.clear();
}

bool RunState::timer_fired(TimerId timer, Commands& commands) {
  if (timer.value == 0) return false;
  for (const auto& each : fibers) {
    Fiber& fiber = *each;
    if (fiber.timer == timer) {
      fiber.timer = {};
      if (fiber.status == FiberStatus::at_receive) {
        fiber.registers[function_of(fiber).code[fiber.pc].a] = Value();
      }
      ++fiber.pc;
      fiber.status = FiberStatus::runnable;
      drive(commands);
      return true;
    }
    auto open = std::find(fiber.deadlines.begin(), fiber.deadlines.end(), timer);
    if (open == fiber.deadlines.end()) continue;
    fiber.deadlines.erase(open);
    expire(fiber, timer, commands);
    drive(commands);
    return true;
  }
  return false;
}

// Whatever the fiber waits for is over; it goes on where the deadline says. What it and its
// children did stays registered: the code there says what is undone.
void RunState::expire(Fiber& fiber, TimerId timer, Commands& commands) {
  const Handler* handler = deadline_handler(fiber, timer);
  if (handler == nullptr) return;
  cancel_fibers(descendants(fiber.id), {fiber.id, false}, commands);
  fiber.given.clear();
  stop_waiting(fiber, commands);
  fiber.pc = handler->handler_pc;
  fiber.status = FiberStatus::runnable;
  drop_deadlines(fiber, commands);
}

// ---------------------------------------------------------------------------------------- rounds

RunState::After RunState::begin_round(Fiber& fiber, Activation& act, const Instruction& i) {
  if (leave_rounds(fiber, act, i.x) == After::failed) return After::failed;
  const auto kind = static_cast<RoundKind>(i.a);
  const uint32_t number = start_name(fiber, name_of(kind));
  std::string segment = "/" + std::string(round_word(kind)) + "#" + std::to_string(number);
  if (fiber.path.size() + segment.size() > kStepPathBytesMax) {
    act.fault("the path of a round is too long");
    return After::failed;
  }
  fiber.rounds.push_back({static_cast<uint32_t>(fiber.path.size()), std::move(fiber.starts)});
  fiber.starts.clear();
  fiber.path += segment;
  return After::go_on;
}

RunState::After RunState::leave_rounds(Fiber& fiber, Activation& act, uint32_t depth) {
  if (depth > fiber.rounds.size()) {
    act.fault("a round is left that was not begun");
    return After::failed;
  }
  if (depth == fiber.rounds.size()) return After::go_on;
  Fiber::Round& outermost = fiber.rounds[depth];
  fiber.path.resize(outermost.path_bytes);
  fiber.starts = std::move(outermost.starts);
  fiber.rounds.resize(depth);
  return After::go_on;
}

// ---------------------------------------------------------------------------------- compensating

RunState::After RunState::undo_since(Fiber& fiber, Activation& act, const Instruction& i) {
  const Value& mark = act.registers[i.a];
  if (!mark.is(Kind::integer) || mark.as_int() < 0 || mark.as_int() > UINT32_MAX) {
    act.fault("this is no mark of compensations");
    return After::failed;
  }
  hand_over({fiber.id}, static_cast<uint32_t>(mark.as_int()), fiber.id);
  return After::go_on;
}

RunState::After RunState::settle(Fiber& fiber, Activation& act, Commands& commands) {
  bool running = std::any_of(fibers.begin(), fibers.end(), [&](const auto& other) {
    return other->parent == fiber.id && is_compensation(*other);
  });
  const uint32_t id = fiber.id;
  if (!running && !start_pending(id)) return After::go_on;
  fiber.pc = act.pc;
  suspend(fiber, FiberStatus::at_undo, commands);
  return After::wait;
}

RunState::After RunState::rethrow(Activation& act, const Instruction& i) {
  const Value& value = act.registers[i.a];
  if (!conforms_record(unit->types(), kFailureRecord, value, nullptr)) {
    act.fault("this is no failure");
    return After::failed;
  }
  const auto field = [&](FailureField which) -> const Value& {
    return value.elements()[static_cast<size_t>(which)];
  };
  act.failure = {std::string(field(FailureField::kind).as_text()),
                 std::string(field(FailureField::message).as_text()),
                 std::string(field(FailureField::step).as_text()),
                 field(FailureField::attempt).as_int()};
  return After::failed;
}

// ---------------------------------------------------------------------------- the first, or all

RunState::After RunState::race(Fiber& fiber, Activation& act, const Instruction& i,
                               Commands& commands) {
  size_t children = 0;
  Fiber* first = nullptr;
  for (const auto& other : fibers) {
    if (other->parent != fiber.id || is_compensation(*other)) continue;
    ++children;
    if (first == nullptr && other->status == FiberStatus::done) first = other.get();
  }
  if (children != i.c || children == 0) {
    act.fault("a race of " + std::to_string(i.c) + " branches, of which there are " +
              std::to_string(children));
    return After::failed;
  }
  fiber.pc = act.pc;
  if (first != nullptr) {
    win(fiber, *first, commands);
    return After::go_on;
  }
  suspend(fiber, FiberStatus::at_race, commands);
  return After::wait;
}

void RunState::win(Fiber& parent, Fiber& winner, Commands& commands) {
  parent.registers[function_of(parent).code[parent.pc].a] = std::move(winner.result);
  const uint32_t won = winner.id;
  move_scope(won, parent.id);
  std::erase_if(fibers, [&](const auto& fiber) { return fiber->id == won; });
  cancel_fibers(descendants(parent.id), {parent.id, true}, commands);
}

size_t RunState::collect(Fiber& parent) {
  size_t going = 0;
  std::erase_if(fibers, [&](const auto& child) {
    if (child->parent != parent.id || is_compensation(*child)) return false;
    if (child->status != FiberStatus::done) {
      ++going;
      return false;
    }
    move_scope(child->id, parent.id);
    if (!child->result.is_none()) {
      auto at =
          std::lower_bound(parent.given.begin(), parent.given.end(), child->id,
                           [](const Fiber::Given& given, uint32_t id) { return given.child < id; });
      parent.given.insert(at, {child->id, std::move(child->result)});
    }
    return true;
  });
  return going;
}

RunState::After RunState::slot(Fiber& fiber, Activation& act, const Instruction& i,
                               Commands& commands) {
  const Value& most = act.registers[i.a];
  if (!most.is(Kind::integer) || most.as_int() < 1) {
    act.fault("`parallel` takes a number from 1 on");
    return After::failed;
  }
  if (collect(fiber) < static_cast<uint64_t>(most.as_int())) return After::go_on;
  fiber.pc = act.pc;
  suspend(fiber, FiberStatus::at_slot, commands);
  return After::wait;
}

RunState::After RunState::gather(Fiber& fiber, Activation& act, const Instruction& i,
                                 Commands& commands) {
  fiber.pc = act.pc;
  if (collect(fiber) > 0) {
    suspend(fiber, FiberStatus::at_gather, commands);
    return After::wait;
  }
  std::vector<Value> all;
  for (const Fiber::Given& given : fiber.given) {
    if (!given.value.is(Kind::list)) {
      act.fault("a round gave what is no list");
      return After::failed;
    }
    for (const Value& value : given.value.elements()) all.push_back(value);
  }
  fiber.given.clear();
  Value list = Value::list(std::move(all));
  if (!act.accept(list)) return After::failed;
  act.registers[i.a] = std::move(list);
  return After::go_on;
}

// What the end of a child means for the fiber that waits for it.
void RunState::child_ended(Fiber& parent, Fiber& child, Commands& commands) {
  switch (parent.status) {
    case FiberStatus::at_join: {
      bool all = std::all_of(fibers.begin(), fibers.end(), [&](const auto& other) {
        return other->parent != parent.id || is_compensation(*other) ||
               other->status == FiberStatus::done;
      });
      if (!all) return;
      take_results(parent, function_of(parent).code[parent.pc].a);
      break;
    }
    case FiberStatus::at_race:
      win(parent, child, commands);
      break;
    case FiberStatus::at_slot:
      collect(parent);
      break;
    case FiberStatus::at_gather:
      if (collect(parent) > 0) return;
      parent.status = FiberStatus::runnable;  // and gathers
      return;
    default:
      return;
  }
  ++parent.pc;
  parent.status = FiberStatus::runnable;
}

}  // namespace sluice::vm::detail
