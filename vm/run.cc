#include "vm/run.hpp"

#include <algorithm>

#include "vm/failure_kinds.hpp"
#include "vm/run_state.hpp"

namespace sluice::vm {
namespace detail {

Fiber* RunState::find(uint32_t id) const {
  auto at = std::lower_bound(fibers.begin(), fibers.end(), id,
                             [](const auto& fiber, uint32_t i) { return fiber->id < i; });
  return at != fibers.end() && (*at)->id == id ? at->get() : nullptr;
}

Fiber* RunState::waiting_for(StepId step) {
  for (const auto& fiber : fibers) {
    if (fiber->status == FiberStatus::at_step && fiber->step == step) return fiber.get();
  }
  return nullptr;
}

Fiber& RunState::add_fiber(uint32_t parent, uint32_t function, std::string path,
                           std::vector<Value> values) {
  auto fiber = std::make_unique<Fiber>();
  fiber->id = next_fiber++;
  fiber->parent = parent;
  fiber->function = function;
  fiber->path = std::move(path);
  fiber->registers = std::move(values);
  fiber->registers.resize(program().functions[function].registers);
  fibers.push_back(std::move(fiber));
  return *fibers.back();
}

// Takes the arguments in: from here on the run goes on. The values for the flow's own code, or why
// they are none. Of the arguments only those stay that `on failure` will ask for.
tl::expected<std::vector<Value>, Failure> RunState::take_arguments() {
  const FlowInfo& info_of_flow = program().flows[flow];
  const TypeTable& types = unit->types();
  std::optional<Failure> refused;
  if (arguments.size() != info_of_flow.parameters.size()) {
    refused = Failure{std::string(failure_kind::kFault), "wrong number of arguments", "", 0};
    arguments.resize(info_of_flow.parameters.size());
  }
  for (size_t i = 0; i < arguments.size() && !refused; ++i) {
    std::string path;
    if (conforms(types, info_of_flow.parameters[i].type, arguments[i], &path)) continue;
    refused = Failure{
        std::string(failure_kind::kFault),
        "argument `" + info_of_flow.parameters[i].name + "`" + path + " is not of its type", "", 0};
  }
  phase = Phase::running;
  std::vector<Value> values = arguments;
  std::vector<Value> kept(info_of_flow.on_failure ? arguments.size() : 0);
  if (info_of_flow.on_failure && !refused) {
    for (uint16_t r : unit->verified().facts(*info_of_flow.on_failure).live_parameters) {
      if (r < kept.size()) kept[r] = arguments[r];
    }
  }
  arguments = std::move(kept);
  if (refused) return tl::unexpected(std::move(*refused));
  return values;
}

void RunState::begin(Commands& commands) {
  auto values = take_arguments();
  if (!values) {
    fail_run(RunStatus::failed, std::move(values.error()), commands);
  } else {
    const uint32_t function = program().flows[flow].function;
    add_fiber(0, function, program().functions[function].segment, std::move(*values));
  }
  drive(commands);
}

void RunState::drive(Commands& commands) {
  fuel = kActivationFuel;
  while (phase != Phase::ended) {
    Fiber* next = nullptr;
    for (const auto& fiber : fibers) {
      if (fiber->status == FiberStatus::runnable) {
        next = fiber.get();
        break;
      }
    }
    if (next != nullptr) {
      run(*next, commands);
    } else if (fibers.empty() && phase == Phase::compensating && has_called_off(0)) {
      break;
    } else if (fibers.empty()) {
      unwind(commands);
    } else if (holds_too_much()) {
      fail_too_large(commands);
    } else {
      break;
    }
  }
}

void RunState::run(Fiber& fiber, Commands& commands) {
  Activation act;
  act.function = &function_of(fiber);
  act.pc = fiber.pc;
  act.registers = fiber.registers.data();
  for (;;) {
    act.fuel = fuel;
    Stop stop = execute(*unit, act);
    fuel = act.fuel;
    fiber.pc = act.pc;
    if (stop == Stop::returned) return complete(fiber, std::move(act.result), commands);
    if (stop == Stop::failed) return fail(fiber, std::move(act.failure), commands);
    switch (perform(fiber, act, commands)) {
      case After::go_on:
        ++act.pc;
        break;
      case After::failed:
        return fail(fiber, std::move(act.failure), commands);
      case After::wait:
      case After::left:
        return;
    }
  }
}

// Registers that nothing reads afterwards go: the snapshot holds what is left, so live and restored
// states are equal.
void RunState::suspend(Fiber& fiber, FiberStatus status, Commands& commands) {
  fiber.status = status;
  if (!fiber.deadlines.empty()) drop_deadlines(fiber, commands);
  const SuspensionPoint* point = unit->verified().facts(fiber.function).suspension_at(fiber.pc);
  size_t next = 0;
  for (size_t r = 0; r < fiber.registers.size(); ++r) {
    if (next < point->live.size() && point->live[next] == r) {
      ++next;
    } else {
      fiber.registers[r] = Value();
    }
  }
}

bool RunState::holds_too_much() const {
  uint64_t bytes = 0;
  for (const auto& fiber : fibers) {
    for (const Value& value : fiber->registers) bytes += value.logical_bytes();
    for (const Fiber::Given& given : fiber->given) bytes += given.value.logical_bytes();
    bytes += fiber->result.logical_bytes() + fiber->path.size();
  }
  for (const Signal& signal : signals) bytes += signal.value.logical_bytes();
  for (const std::vector<Undo>* entries : {&undo, &pending}) {
    for (const Undo& entry : *entries) {
      for (const Value& value : entry.closure.captured) bytes += value.logical_bytes();
    }
  }
  return bytes > kSnapshotBytesMax;
}

bool RunState::step_succeeded(StepId step, Value result, Commands& commands) {
  Fiber* fiber = waiting_for(step);
  if (fiber == nullptr) return false;
  const Instruction& i = function_of(*fiber).code[fiber->pc];
  if (program().steps[i.c].flow) return false;  // its run tells
  TypeId type = program().tasks[program().steps[i.c].task].result;
  std::string path;
  if (type == kTypeNone) result = Value();
  if (!conforms(unit->types(), type, result, &path)) {
    Failure failure{std::string(failure_kind::kInvalid),
                    "the result is not of its type at `" + path + "`", "", 0};
    return step_failed(step, std::move(failure), true, commands);
  }
  fiber->armed.reset();
  fiber->step = {};
  fiber->registers[i.a] = std::move(result);
  ++fiber->pc;
  fiber->status = FiberStatus::runnable;
  drive(commands);
  return true;
}

bool RunState::step_failed(StepId step, Failure failure, bool unsure, Commands& commands) {
  Fiber* fiber = waiting_for(step);
  if (fiber == nullptr) return false;
  std::string path = step_path(*fiber, function_of(*fiber).code[fiber->pc].c);
  if (failure.step.empty()) failure.step = path;
  if (unsure && fiber->armed) register_undo(fiber->id, path, std::move(*fiber->armed));
  fiber->armed.reset();
  fiber->step = {};
  fiber->status = FiberStatus::runnable;
  fuel = kActivationFuel;
  fail(*fiber, std::move(failure), commands);
  drive(commands);
  return true;
}

bool RunState::cancel(CancelKind kind, std::string message, Commands& commands) {
  if (phase != Phase::created && kind == CancelKind::joined) return false;
  if (phase == Phase::created) {
    (void)take_arguments();  // those that do not conform are none, as for a run that begins so
  } else if (phase != Phase::running) {
    return false;
  }
  RunStatus status = RunStatus::cancelled;
  std::string_view word = failure_kind::kCancelled;
  if (kind == CancelKind::timed_out) {
    status = RunStatus::failed;
    word = failure_kind::kTimedOut;
  } else if (kind == CancelKind::superseded) {
    status = RunStatus::superseded;
    word = failure_kind::kSuperseded;
  } else if (kind == CancelKind::busy) {
    status = RunStatus::failed;
    word = failure_kind::kBusy;
  } else if (kind == CancelKind::joined) {
    status = RunStatus::joined;
    word = failure_kind::kSuperseded;
  }
  fail_run(status, {std::string(word), std::move(message), "", 0}, commands);
  drive(commands);
  return true;
}

Failure RunState::out_of_time() {
  return {std::string(failure_kind::kTimedOut), "`on failure` was not done within its time", "", 0};
}

// What it waits for fails, and every step that it comes to: their fallbacks give the answer.
bool RunState::on_failure_expired(Commands& commands) {
  if (phase != Phase::failing) return false;
  time_is_up = true;
  const auto waits = [](const auto& fiber) { return fiber->status == FiberStatus::at_step; };
  for (;;) {
    const auto waiting = std::find_if(fibers.begin(), fibers.end(), waits);
    if (waiting == fibers.end() || phase != Phase::failing) break;
    Fiber& fiber = **waiting;
    stop_waiting(fiber, commands);
    fiber.status = FiberStatus::runnable;
    fuel = kActivationFuel;
    fail(fiber, out_of_time(), commands);
    drive(commands);
  }
  time_is_up = false;
  if (phase != Phase::failing) return true;
  cancel_fibers(descendants(0), {0, false}, commands);
  ending.why = out_of_time();
  end(commands);
  return true;
}

}  // namespace detail

using detail::Fiber;
using detail::FiberStatus;

Run::Run(Unit& unit, uint32_t flow, std::vector<Value> arguments, RunInfo info)
    : state_(std::make_unique<detail::RunState>(unit, flow)) {
  state_->arguments = std::move(arguments);
  state_->info = std::move(info);
}
Run::Run(std::unique_ptr<detail::RunState> state) : state_(std::move(state)) {}
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;
Run::~Run() = default;

void Run::set_now(int64_t us) {
  state_->now_us = us;
}

bool Run::begin(Commands& commands) {
  if (state_->phase != Phase::created) return false;
  state_->begin(commands);
  return true;
}
bool Run::step_succeeded(StepId step, Value result, Commands& commands) {
  return state_->step_succeeded(step, std::move(result), commands);
}
bool Run::child_ended(StepId step, std::optional<uint32_t> event, Value value, Commands& commands) {
  return state_->child_ended(step, event, std::move(value), commands);
}
bool Run::step_called_off(StepId step, Failure failure, Commands& commands) {
  return state_->step_called_off(step, std::move(failure), commands);
}
bool Run::child_gone(StepId step, Commands& commands) {
  return state_->child_gone(step, commands);
}
std::vector<StepId> Run::called_off() const {
  std::vector<StepId> steps;
  for (const auto& each : state_->called_off) steps.push_back(each.step);
  return steps;
}
bool Run::mail_open(Commands& commands) {
  return state_->mail_open(commands);
}
void Run::set_host(Host* host) {
  state_->host = host;
}
bool Run::waits_for_mail() const {
  const auto& fibers = state_->fibers;
  return std::any_of(fibers.begin(), fibers.end(),
                     [](const auto& fiber) { return fiber->status == FiberStatus::at_mail; });
}
bool Run::step_failed(StepId step, Failure failure, bool unsure, Commands& commands) {
  return state_->step_failed(step, std::move(failure), unsure, commands);
}
bool Run::cancel(CancelKind kind, std::string message, Commands& commands) {
  return state_->cancel(kind, std::move(message), commands);
}
SignalFit Run::fits(uint32_t event, std::optional<uint32_t> topic, uint64_t bytes) const {
  return state_->fits(event, topic, bytes);
}
bool Run::signal(Signal signal, Commands& commands) {
  return state_->signal(std::move(signal), commands);
}
bool Run::withdraw(uint32_t event) {
  return std::erase_if(state_->signals,
                       [&](const Signal& each) { return each.event == event && !each.topic; }) > 0;
}
bool Run::take_back(std::string_view from) {
  return !from.empty() &&
         std::erase_if(state_->signals, [&](const Signal& each) { return each.from == from; }) > 0;
}
bool Run::timer_fired(TimerId timer, Commands& commands) {
  return state_->timer_fired(timer, commands);
}
bool Run::on_failure_expired(Commands& commands) {
  return state_->on_failure_expired(commands);
}

Phase Run::phase() const {
  return state_->phase;
}
uint32_t Run::flow() const {
  return state_->flow;
}
const RunInfo& Run::info() const {
  return state_->info;
}
const std::vector<Value>& Run::arguments() const {
  return state_->arguments;
}

std::vector<Run::OpenStep> Run::open_steps() const {
  std::vector<OpenStep> steps;
  for (const auto& fiber : state_->fibers) {
    if (fiber->status != FiberStatus::at_step) continue;
    uint32_t site = state_->function_of(*fiber).code[fiber->pc].c;
    steps.push_back(
        {fiber->step, site, state_->step_path(*fiber, site), state_->compensates(*fiber)});
  }
  std::sort(steps.begin(), steps.end(),
            [](const OpenStep& a, const OpenStep& b) { return a.id < b.id; });
  return steps;
}
bool Run::is_open(StepId step) const {
  return state_->waiting_for(step) != nullptr;
}
std::vector<std::string> Run::open_receives() const {
  std::vector<std::string> paths;
  for (const auto& fiber : state_->fibers) {
    if (fiber->status != FiberStatus::at_receive) continue;
    paths.push_back(state_->receive_path(*fiber, state_->function_of(*fiber).code[fiber->pc].c));
  }
  return paths;
}
size_t Run::queued_signals() const {
  return state_->signals.size();
}
std::vector<TimerId> Run::open_timers() const {
  std::vector<TimerId> timers;
  for (const auto& fiber : state_->fibers) {
    if (fiber->timer.value != 0) timers.push_back(fiber->timer);
    timers.insert(timers.end(), fiber->deadlines.begin(), fiber->deadlines.end());
  }
  std::sort(timers.begin(), timers.end());
  return timers;
}

}  // namespace sluice::vm
