#include <algorithm>

#include "vm/engine_events.hpp"
#include "vm/operands.hpp"
#include "vm/run_state.hpp"

// Signals: what a run accepts, their queue, and the fibers that wait for them.
namespace sluice::vm::detail {

SignalFit RunState::fits(uint32_t event, std::optional<uint32_t> topic, uint64_t bytes) const {
  // One that has not begun yet has its queue already.
  const bool named =
      (phase == Phase::created || phase == Phase::running) &&
      std::any_of(program().receives.begin(), program().receives.end(), [&](const auto& site) {
        return site.flow == flow && site.event == event && site.topic == topic;
      });
  if (!named) return SignalFit::unexpected;
  const bool awaited = std::any_of(fibers.begin(), fibers.end(), [&](const auto& fiber) {
    if (fiber->status != FiberStatus::at_receive) return false;
    const ReceiveSite& site = program().receives[function_of(*fiber).code[fiber->pc].c];
    return site.event == event && site.topic == topic && !site.filter;
  });
  if (awaited) return SignalFit::taken;  // at once, past the queue
  for (const Signal& signal : signals) bytes += signal.value.logical_bytes();
  // What the engine itself tells always has room: it keeps one of those in the queue at most.
  const bool own = program().events[event].name.starts_with(kEngineEvents);
  const bool room = own || (signals.size() < kSignalsMax && bytes <= kSignalBytesMax);
  return room ? SignalFit::taken : SignalFit::full;
}

// Fibers are asked in the order in which they were made, so branches in that of the text.
bool RunState::signal(Signal signal, Commands& commands) {
  if (fits(signal.event, signal.topic, 0) != SignalFit::taken ||
      !conforms_record(unit->types(), program().events[signal.event].record, signal.value,
                       nullptr)) {
    return false;
  }
  fuel = kActivationFuel;
  for (const auto& fiber : fibers) {
    if (fiber->status != FiberStatus::at_receive) continue;
    Failure failure;
    const std::optional<bool> taken = wanted(*fiber, signal, failure);
    if (taken == false) continue;
    if (!signal.from.empty()) commands.emplace_back(Join{std::move(signal.from)});
    if (taken) {
      fiber->registers[function_of(*fiber).code[fiber->pc].a] = std::move(signal.value);
      cancel_timer(fiber->timer, commands);
      ++fiber->pc;
      fiber->status = FiberStatus::runnable;
    } else {
      fail(*fiber, std::move(failure), commands);
    }
    drive(commands);
    return true;
  }
  signals.push_back(std::move(signal));
  return true;
}

std::optional<bool> RunState::wanted(const Fiber& fiber, const Signal& signal, Failure& failure) {
  const Instruction& i = function_of(fiber).code[fiber.pc];
  const ReceiveSite& site = program().receives[i.c];
  if (site.event != signal.event || site.topic != signal.topic) return false;
  if (!site.filter) return true;
  const RegisterRange captured = kept_while_waiting(program(), i);
  Activation act;
  act.function = &program().functions[*site.filter];
  act.registers = unit->stack();
  act.stack_base = act.function->registers;
  act.fuel = fuel;
  act.registers[0] = signal.value;
  for (uint32_t r = 0; r < captured.count; ++r) {
    act.registers[1 + r] = fiber.registers[captured.first + r];
  }
  const Stop stop = execute(*unit, act);
  fuel = act.fuel;
  for (uint32_t r = 0; r < act.function->registers; ++r) act.registers[r] = Value();
  if (stop != Stop::returned) {
    failure = std::move(act.failure);
    return std::nullopt;
  }
  return act.result.is(Kind::boolean) && act.result.as_bool();
}

std::string RunState::receive_path(const Fiber& fiber, uint32_t site) const {
  return fiber.path + "/" + program().receives[site].name;
}

// What was queued comes first, the oldest that fits. One that the filter fails on is taken away
// with the failure, or it would fail every receive after this one too.
RunState::After RunState::receive(Fiber& fiber, Activation& act, const Instruction& i,
                                  Commands& commands) {
  const Value within = act.registers[i.b];
  if (!within.is_none() && !within.is(Kind::duration)) {
    act.fault("`within` takes a duration");
    return After::failed;
  }
  fiber.pc = act.pc;
  if (receives_from_topic(program(), i.c)) {
    commands.emplace_back(
        Subscribe{i.c, act.registers[i.b + 1 + kept_while_waiting(program(), i).count]});
  }
  for (size_t at = 0; at < signals.size(); ++at) {
    const std::optional<bool> taken = wanted(fiber, signals[at], act.failure);
    if (taken == false) continue;
    if (!signals[at].from.empty()) commands.emplace_back(Join{std::move(signals[at].from)});
    if (taken) act.registers[i.a] = std::move(signals[at].value);
    signals.erase(signals.begin() + static_cast<ptrdiff_t>(at));
    return taken ? After::go_on : After::failed;
  }
  if (!within.is_none() && within.as_int() <= 0) {
    act.registers[i.a] = Value();
    return After::go_on;
  }
  if (!within.is_none()) {
    fiber.timer = start_timer(receive_path(fiber, i.c), TimerUse::receive, within, commands);
  }
  suspend(fiber, FiberStatus::at_receive, commands);
  return After::wait;
}

}  // namespace sluice::vm::detail
