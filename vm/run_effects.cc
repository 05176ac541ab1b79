#include <algorithm>

#include "vm/failure_kinds.hpp"
#include "vm/operands.hpp"
#include "vm/run_state.hpp"
#include "vm/text.hpp"

// The instructions that act: `effect`, `suspends` and those that end a run.
namespace sluice::vm::detail {

RunState::After RunState::perform(Fiber& fiber, Activation& act, Commands& commands) {
  const Instruction& i = act.function->code[act.pc];
  switch (i.op) {
    case Op::step:
      return start_step(fiber, act, i, commands);
    case Op::step_key:
      return load_key(fiber, act, i);
    case Op::arm_unsure:
      return arm(fiber, i);
    case Op::on_undo:
      return on_undo(fiber, act, i);
    case Op::spawn:
      return spawn(fiber, act, i);
    case Op::join:
      return join(fiber, act, i, commands);
    case Op::notify:
      return notify(fiber, act, i, commands);
    case Op::log:
      return log(fiber, act, i, commands);
    case Op::finish:
    case Op::finish_bare:
      return leave(fiber, act, i, commands);
    case Op::now:
      act.registers[i.a] = Value::timestamp(now_us);
      return After::go_on;
    case Op::publish:
      return publish(fiber, act, i, commands);
    case Op::start_run:
      return start_run(fiber, act, i, commands);
    case Op::run_client:
      act.registers[i.a] = info.client ? Value::string(*info.client) : Value();
      return After::go_on;
    case Op::run_id:
      act.registers[i.a] = Value::string(info.run_id);
      return After::go_on;
    default:
      return perform_block(fiber, act, i, commands);
  }
}

// "…/NAME", with "#n" for the n-th start of that name; `more` starts are still to come.
std::string RunState::path_of(const Fiber& fiber, uint32_t name, const std::string& last,
                              uint32_t more) const {
  uint32_t count = more;
  for (const Fiber::Starts& starts : fiber.starts) {
    if (starts.name == name) count += starts.count;
  }
  std::string path;
  path.reserve(fiber.path.size() + last.size() + 8);
  path += fiber.path;
  path += '/';
  path += last;
  if (count > 1) path += "#" + std::to_string(count);
  return path;
}

std::string RunState::step_path(const Fiber& fiber, uint32_t site, uint32_t more) const {
  return path_of(fiber, unit->verified().site_name(site), program().steps[site].name, more);
}

uint32_t RunState::start_name(Fiber& fiber, uint32_t name) {
  auto at = std::lower_bound(fiber.starts.begin(), fiber.starts.end(), name,
                             [](const Fiber::Starts& s, uint32_t n) { return s.name < n; });
  if (at != fiber.starts.end() && at->name == name) {
    return ++at->count;
  }
  fiber.starts.insert(at, {name, 1});
  return 1;
}

RunState::After RunState::start_step(Fiber& fiber, Activation& act, const Instruction& i,
                                     Commands& commands) {
  const StepSite& site = program().steps[i.c];
  if (time_is_up) {
    act.failure = out_of_time();
    return After::failed;
  }
  const std::vector<Parameter>& parameters = step_parameters(program(), site);
  StartStep start;
  if (!take_arguments(act, i.b, parameters, "step `" + site.name + "`", start.arguments)) {
    return After::failed;
  }
  if (site.hedge_site) {
    const StepSite& other = program().steps[*site.hedge_site];
    const size_t first = i.b + parameters.size() + (site.has_key_expr ? 1 : 0);
    if (!take_arguments(act, static_cast<uint32_t>(first), step_parameters(program(), other),
                        "step `" + other.name + "`", start.hedge_arguments)) {
      return After::failed;
    }
  }
  start.path = step_path(fiber, i.c, 1);
  if (start.path.size() > kStepPathBytesMax) {
    act.fault("the path of step `" + site.name + "` is too long");
    return After::failed;
  }
  if (site.has_key_expr) {
    append_text(unit->types(), act.registers[i.b + parameters.size()], start.key);
  } else {
    start.key = info.run_id + ":" + start.path;
  }
  if (start.key.empty() || start.key.size() > kStepKeyBytesMax) {
    act.fault("the key of step `" + site.name + "` has " + std::to_string(start.key.size()) +
              " bytes, of 1 to " + std::to_string(kStepKeyBytesMax));
    return After::failed;
  }
  start_name(fiber, unit->verified().site_name(i.c));
  start.id = {next_step++};
  start.site = &site;
  start.site_index = i.c;
  start.compensating = compensates(fiber);
  fiber.pc = act.pc;
  drop_deadlines(fiber, commands);  // of blocks that it has left
  for (const Fiber* at = &fiber; at != nullptr; at = find(at->parent)) {
    start.deadlines.insert(start.deadlines.end(), at->deadlines.begin(), at->deadlines.end());
    if (is_compensation(*at)) break;
  }
  fiber.step = start.id;
  suspend(fiber, FiberStatus::at_step, commands);
  commands.emplace_back(std::move(start));
  return After::wait;
}

RunState::After RunState::load_key(Fiber& fiber, Activation& act, const Instruction& i) {
  act.registers[i.a] = Value::string(info.run_id + ":" + step_path(fiber, i.c, 1));
  return After::go_on;
}

RunState::After RunState::arm(Fiber& fiber, const Instruction& i) {
  auto first = fiber.registers.begin() + i.b;
  fiber.armed = Closure{i.a, std::vector<Value>(first, first + i.x)};
  return After::go_on;
}

RunState::After RunState::on_undo(Fiber& fiber, Activation& act, const Instruction& i) {
  auto first = fiber.registers.begin() + i.b;
  Closure closure{i.a, std::vector<Value>(first, first + i.x)};
  register_undo(fiber.id, step_path(fiber, i.c), std::move(closure));
  if (undo.size() <= kCompensationsMax) return After::go_on;
  // What this step did is undone with the rest.
  act.fault("more than " + std::to_string(kCompensationsMax) +
            " compensations are registered: too many rounds to undo all of them");
  return After::failed;
}

RunState::After RunState::spawn(Fiber& fiber, Activation& act, const Instruction& i) {
  if (fibers.size() >= kFibersMax) {
    act.fault("more than " + std::to_string(kFibersMax) + " branches at once");
    return After::failed;
  }
  const std::string& segment = program().functions[i.a].segment;
  if (segment.empty()) return spawn_step(fiber, i);
  std::string path;
  if (segment == round_word(RoundKind::each)) {
    path = fiber.path + "/" + segment + "#" +
           std::to_string(start_name(fiber, name_of(RoundKind::each)));
  } else {
    uint32_t name = unit->verified().segment_name(i.a);
    path = path_of(fiber, name, segment, 1);
    start_name(fiber, name);
  }
  if (path.size() > kStepPathBytesMax) {
    act.fault("the path of a branch is too long");
    return After::failed;
  }
  auto first = fiber.registers.begin() + i.b;
  add_fiber(fiber.id, i.a, std::move(path), std::vector<Value>(first, first + i.c));
  return After::go_on;
}

// A branch without a name of its own: its steps have paths as if they stood in this fiber, so it
// goes on counting from here, and they are counted here too.
RunState::After RunState::spawn_step(Fiber& fiber, const Instruction& i) {
  auto first = fiber.registers.begin() + i.b;
  Fiber& branch = add_fiber(fiber.id, i.a, fiber.path, std::vector<Value>(first, first + i.c));
  branch.starts = fiber.starts;
  for (const Instruction& each : program().functions[i.a].code) {
    if (each.op == Op::step) start_name(fiber, unit->verified().site_name(each.c));
  }
  return After::go_on;
}

RunState::After RunState::join(Fiber& fiber, Activation& act, const Instruction& i,
                               Commands& commands) {
  size_t children = 0;
  bool done = true;
  for (const auto& other : fibers) {
    if (other->parent != fiber.id || is_compensation(*other)) continue;
    ++children;
    done = done && other->status == FiberStatus::done;
  }
  if (children != i.c) {
    act.fault("a join of " + std::to_string(i.c) + " branches, of which there are " +
              std::to_string(children));
    return After::failed;
  }
  if (done) {
    take_results(fiber, i.a);
    return After::go_on;
  }
  fiber.pc = act.pc;
  suspend(fiber, FiberStatus::at_join, commands);
  return After::wait;
}

// The results of all children, which are then gone; what they have registered is their parent's
// from now on.
void RunState::take_results(Fiber& parent, uint16_t first) {
  size_t next = first;
  for (const auto& child : fibers) {
    if (child->parent != parent.id || is_compensation(*child)) continue;
    parent.registers[next++] = std::move(child->result);
    move_scope(child->id, parent.id);
  }
  uint32_t id = parent.id;
  std::erase_if(fibers,
                [&](const auto& fiber) { return fiber->parent == id && !is_compensation(*fiber); });
}

bool RunState::event_value(Activation& act, uint32_t event, const Value& value) {
  std::string path;
  const EventInfo& info_of_event = program().events[event];
  if (conforms_record(unit->types(), info_of_event.record, value, &path)) return true;
  return act.fault("what is sent as `" + info_of_event.name + "`" + path + " is not of its type");
}

RunState::After RunState::notify(Fiber& fiber, Activation& act, const Instruction& i,
                                 Commands& commands) {
  const Value& value = act.registers[i.a];
  if (!event_value(act, i.b, value)) return After::failed;
  Notify command{i.b, value, static_cast<NotifyTo>(i.x), ""};
  if (command.to != NotifyTo::run_client) {
    const Value& target = act.registers[i.c];
    if (!target.is(Kind::string)) {
      act.fault("the target of `notify` is no string");
      return After::failed;
    }
    command.target = target.as_text();
  }
  // A superseded run sends nothing: its successor speaks.
  bool silent = phase == Phase::compensating && ending.status == RunStatus::superseded;
  if (silent) return After::go_on;
  if (host != nullptr && !host->takes_notify(command)) return wait_for_mail(fiber, act, commands);
  commands.emplace_back(std::move(command));
  return After::go_on;
}

RunState::After RunState::log(Fiber& fiber, Activation& act, const Instruction& i,
                              Commands& commands) {
  const Value& text = act.registers[i.a];
  if (!text.is(Kind::string)) {
    act.fault("what is logged is no string");
    return After::failed;
  }
  commands.emplace_back(Log{fiber.path, std::string(cut_text(text.as_text(), kLogTextBytesMax))});
  return After::go_on;
}

RunState::After RunState::leave(Fiber& fiber, Activation& act, const Instruction& i,
                                Commands& commands) {
  if (compensates(fiber)) {
    act.fault("a compensation cannot answer for the run");
    return After::failed;
  }
  if (i.op == Op::finish_bare) {
    finish(fiber, std::nullopt, Value(), commands);
    return After::left;
  }
  Value value = act.registers[i.a];
  if (!event_value(act, i.b, value)) return After::failed;
  finish(fiber, i.b, std::move(value), commands);
  return After::left;
}

}  // namespace sluice::vm::detail
