#include <algorithm>

#include "vm/evaluator.hpp"
#include "vm/failure_kinds.hpp"
#include "vm/operands.hpp"
#include "vm/run_state.hpp"

// What a run sends beyond itself, and what comes back of the runs that its steps began.
namespace sluice::vm::detail {

RunState::After RunState::wait_for_mail(Fiber& fiber, Activation& act, Commands& commands) {
  fiber.pc = act.pc;
  suspend(fiber, FiberStatus::at_mail, commands);
  return After::wait;
}

bool RunState::take_arguments(Activation& act, uint32_t first,
                              const std::vector<Parameter>& parameters, const std::string& what,
                              std::vector<Value>& out) {
  for (size_t p = 0; p < parameters.size(); ++p) {
    const Value& argument = act.registers[first + p];
    std::string path;
    if (!conforms(unit->types(), parameters[p].type, argument, &path)) {
      return act.fault("argument `" + parameters[p].name + "`" + path + " of " + what +
                       " is not of its type");
    }
    out.push_back(argument);
  }
  return true;
}

// What comes into a topic from outside is checked at the edge, what comes from inside here.
bool RunState::keeps_constraints(Activation& act, uint32_t event, const Value& value) {
  const Type wanted{Kind::record, program().events[event].record};
  const auto& types = unit->types().types;
  const auto found = std::find(types.begin(), types.end(), wanted);
  if (found == types.end()) return true;
  const TypeId type{static_cast<uint32_t>(found - types.begin())};
  const std::vector<JsonProblem> problems = check_constraints(*unit, type, value);
  return problems.empty() ||
         act.fail(failure_kind::kInvalid,
                  "`" + program().events[event].name + "` at " + list_problems(problems));
}

RunState::After RunState::publish(Fiber& fiber, Activation& act, const Instruction& i,
                                  Commands& commands) {
  const Value& value = act.registers[i.a];
  const uint32_t event = program().topics[i.b].event;
  if (!event_value(act, event, value) || !keeps_constraints(act, event, value)) {
    return After::failed;
  }
  if (host == nullptr) {
    act.fault("this run has nobody to publish through");
    return After::failed;
  }
  // A superseded run sends nothing: its successor speaks.
  if (phase == Phase::compensating && ending.status == RunStatus::superseded) return After::go_on;
  if (!host->takes_messages()) return wait_for_mail(fiber, act, commands);
  commands.emplace_back(Publish{i.b, value});
  return After::go_on;
}

RunState::After RunState::start_run(Fiber& fiber, Activation& act, const Instruction& i,
                                    Commands& commands) {
  const FlowInfo& started = program().flows[i.c];
  StartRun start;
  start.flow = i.c;
  start.client = info.client;
  const std::string what = "`start " + started.name + "`";
  if (!take_arguments(act, i.b, started.parameters, what, start.arguments)) return After::failed;
  if (i.x != 0) {
    const Value& client = act.registers[i.b + started.parameters.size()];
    if (!client.is(Kind::string)) {
      act.fault("the client of " + what + " is no string");
      return After::failed;
    }
    start.client = client.as_text();
  }
  if (host == nullptr) {
    act.fault("this run has nobody to start others through");
    return After::failed;
  }
  if (!host->takes_messages()) return wait_for_mail(fiber, act, commands);
  start.run = host->new_run(start);
  act.registers[i.a] = Value::string(start.run);
  commands.emplace_back(std::move(start));
  return After::go_on;
}

bool RunState::mail_open(Commands& commands) {
  bool any = false;
  for (const auto& fiber : fibers) {
    if (fiber->status != FiberStatus::at_mail) continue;
    fiber->status = FiberStatus::runnable;
    any = true;
  }
  if (any) drive(commands);
  return any;
}

std::optional<Value> RunState::outcome_value(const StepSite& site, std::optional<uint32_t> event,
                                             Value value) const {
  const std::vector<uint32_t>& outcomes = program().flows[*site.flow].outcomes;
  if (outcomes.empty()) return event ? std::nullopt : std::optional(Value());
  const auto at = event ? std::find(outcomes.begin(), outcomes.end(), *event) : outcomes.end();
  if (at == outcomes.end()) return std::nullopt;
  if (!conforms_record(unit->types(), program().events[*event].record, value, nullptr)) {
    return std::nullopt;
  }
  if (!site.outcomes) return value;
  const auto which = static_cast<uint16_t>(at - outcomes.begin());
  return Value::enumeration(*site.outcomes, which, std::span<const Value>(&value, 1));
}

bool RunState::step_called_off(StepId step, Failure failure, Commands& commands) {
  const Fiber* fiber = waiting_for(step);
  if (fiber == nullptr || !program().steps[function_of(*fiber).code[fiber->pc].c].flow) {
    return false;
  }
  called_off.push_back({step, fiber->id});
  return step_failed(step, std::move(failure), false, commands);
}

bool RunState::child_gone(StepId step, Commands& commands) {
  const auto at = std::find_if(called_off.begin(), called_off.end(),
                               [&](const CalledOff& each) { return each.step == step; });
  if (at == called_off.end()) return false;
  const uint32_t scope = at->scope;
  called_off.erase(at);
  fuel = kActivationFuel;
  Fiber* waiting = find(scope);
  if (waiting != nullptr) {
    const bool undoing = std::any_of(fibers.begin(), fibers.end(), [&](const auto& other) {
      return other->parent == scope && is_compensation(*other);
    });
    const bool over = waiting->status == FiberStatus::at_undo && !undoing && !start_pending(scope);
    if (over) {
      ++waiting->pc;
      waiting->status = FiberStatus::runnable;
    }
  }
  drive(commands);
  return true;
}

bool RunState::child_ended(StepId step, std::optional<uint32_t> event, Value value,
                           Commands& commands) {
  Fiber* fiber = waiting_for(step);
  if (fiber == nullptr) return false;
  const Instruction& i = function_of(*fiber).code[fiber->pc];
  const StepSite& site = program().steps[i.c];
  auto outcome = site.flow ? outcome_value(site, event, std::move(value)) : std::nullopt;
  if (!outcome) {
    Failure failure{std::string(failure_kind::kInvalid),
                    "the run ended with what is no outcome of its flow", "", 0};
    return step_failed(step, std::move(failure), true, commands);
  }
  fiber->step = {};
  fiber->registers[i.a] = std::move(*outcome);
  ++fiber->pc;
  fiber->status = FiberStatus::runnable;
  drive(commands);
  return true;
}

}  // namespace sluice::vm::detail
