// Statements: steps, what hangs on them, and the functions of branches and compensations.
#include "compiler/codegen/generator.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::compiler {

using namespace ir;
using vm::FunctionKind;

void FunctionCode::bind(const Captures& captures, std::uint32_t first) {
  std::uint32_t next = first;
  for (const Local* local : captures.locals) bind(local, {next++});
  for (const StepDef* step : captures.keys) bind_key(step, {next++});
  if (captures.run_client) run_client_ = Register{next++};
  if (captures.run_id) run_id_ = Register{next++};
  if (captures.now) now_ = Register{next++};
}

void FunctionCode::flow_body(const FlowDef& flow, const Block& body) {
  for (std::uint32_t i = 0; i < flow.locals.size(); ++i) bind(flow.locals[i], {i});
  if (kind_ == FunctionKind::handler) {
    bind(flow.why, {static_cast<std::uint32_t>(flow.locals.size())});
  }
  block(body);
  if (!reachable_) return;
  if (flow.outcomes.empty()) {
    builder_.emit(Op::finish_bare);
  } else {
    // Every path answers; this is where a branch answered for the flow, which never comes back.
    fail(vm::failure_kind::kFault, "the flow came to its end without an outcome");
  }
}

void FunctionCode::block_body(const Block& body) {
  block(body);
  if (reachable_) builder_.emit(Op::ret_none);
}

void FunctionCode::branch_step(const StepDef& def) {
  const Register to = builder_.allocate();
  step(def, to);
  if (!def.key_used) {
    builder_.emit(Op::ret, to);
    return;
  }
  // The key is wanted outside too: both travel in a list.
  const Register both = builder_.allocate(2);
  builder_.emit(Op::move, both, to);
  builder_.emit(Op::move, {both.index + 1}, keys_.at(&def));
  builder_.emit_indexed(Op::make_list, to, both, 2);
  builder_.emit(Op::ret, to);
}

void FunctionCode::block(const Block& block) {
  const std::uint32_t mark = builder_.mark();
  for (const Stmt* stmt : block.statements) {
    if (!reachable_) break;
    statement(*stmt);
  }
  builder_.release_to(mark);
}

void FunctionCode::statement(const Stmt& stmt) {
  at(stmt.span);
  std::visit(ast::Overloaded{
                 [&](const Let& node) { let(node); },
                 [&](const Set& node) { set(node); },
                 [&](const If& node) { if_statement(node); },
                 [&](const Match& node) { match(node); },
                 [&](const Step& node) {
                   const Register to = builder_.allocate();
                   bind(node.step->result, to);
                   step(*node.step, to);
                 },
                 [&](const Parallel& node) { parallel(node); },
                 [&](const Notify& node) { notify(node); },
                 [&](const Return& node) { return_statement(node); },
                 [&](const Fail& node) { fail(node); },
                 [&](const Refused&) {},
                 [&](const While& node) { while_loop(node); },
                 [&](const Each& node) { each(node); },
                 [&](const Race& node) { race(node); },
                 [&](const Yield& node) { yield(node); },
                 [&](const Break&) { jump(true); },
                 [&](const Continue&) { jump(false); },
                 [&](const Try& node) { try_statement(node); },
                 [&](const Deadline& node) { deadline(node); },
                 [&](const Sleep& node) { sleep(node); },
                 [&](const Receive& node) { receive(node); },
                 [&](const Publish& node) { publish(node); },
                 [&](const Start& node) { start(node); },
                 [&](const Log& node) { log(node); },
             },
             stmt.node);
}

void FunctionCode::let(const Let& node) {
  const Register to = builder_.allocate();
  into(*node.value, to);
  bind(node.local, to);
}

bool FunctionCode::is_local(const Expr& expr, const Local* local) const {
  const auto* ref = as<LocalRef>(&expr);
  return ref != nullptr && ref->local == local;
}

FunctionCode::Register FunctionCode::apart(const Expr& expr, Register to) {
  const Register at = eval(expr);
  if (at.index != to.index) return at;
  const Register copy = builder_.allocate();
  builder_.emit(Op::move, copy, at);
  return copy;
}

bool FunctionCode::set_fields(const With& with, Register to) {
  // A `catch` must not find one field changed and the next one not.
  if (tries_ > 0 && with.fields.size() > 1) return false;
  std::vector<Register> values;
  for (const auto& [index, value] : with.fields) values.push_back(apart(*value, to));
  for (std::size_t i = 0; i < values.size(); ++i) {
    builder_.emit_indexed(Op::set_field, to, values[i], with.fields[i].first);
  }
  return true;
}

bool FunctionCode::set_longer(const Set& node, const Arithmetic& sum, Register to) {
  std::vector<Expr*> parts = parts_of(sum);
  if (!is_local(*parts[0], node.local)) return false;
  const auto* list = as<ListValue>(parts[1]);
  if (list != nullptr && list->elements.size() == 1 && parts.size() == 2) {
    const Register item = apart(*list->elements[0], to);
    at(node.value->span);
    builder_.emit(Op::append, to, item);
    return true;
  }
  if (sum.left->type != kString || parts.size() == 2) return false;
  parts.erase(parts.begin());
  const Register first = all(parts), more = builder_.allocate();
  at(node.value->span);
  builder_.emit_indexed(Op::concat_all, more, first, static_cast<std::uint32_t>(parts.size()));
  builder_.emit(Op::concat, to, to, more);
  return true;
}

bool FunctionCode::set_in_place(const Set& node, Register to) {
  if (const auto* with = as<With>(node.value)) {
    return is_local(*with->base, node.local) && set_fields(*with, to);
  }
  const auto* sum = as<Arithmetic>(node.value);
  if (sum != nullptr) return sum->op == ast::BinaryOp::kAdd && set_longer(node, *sum, to);
  const auto* call = as<CallBuiltin>(node.value);
  if (call == nullptr || static_cast<vm::Builtin>(call->builtin) != vm::Builtin::put) return false;
  if (!is_local(*call->arguments[0], node.local)) return false;
  const Register key = apart(*call->arguments[1], to), value = apart(*call->arguments[2], to);
  at(node.value->span);
  builder_.emit(Op::map_put, to, key, value);
  return true;
}

void FunctionCode::set(const Set& node) {
  const Register to = locals_.at(node.local);
  const std::uint32_t mark = builder_.mark();
  const bool done = set_in_place(node, to);
  if (!done && as<Arithmetic>(node.value) != nullptr) {
    // Reads all of its operands before it writes, and so may append in place.
    into(*node.value, to);
  } else if (!done) {
    builder_.emit(Op::move, to, eval(*node.value));
  }
  builder_.release_to(mark);
}

void FunctionCode::if_statement(const If& node) {
  const vm::Label end = builder_.make_label();
  bool any_end = false;
  for (std::size_t i = 0; i < node.arms.size(); ++i) {
    const IfArm& arm = node.arms[i];
    const std::uint32_t mark = builder_.mark();
    const vm::Label next = builder_.make_label();
    at(arm.condition->span);
    if (arm.binding != nullptr) {
      Register value = eval(*arm.condition);
      const auto* ref = as<LocalRef>(arm.condition);
      if (ref != nullptr && ref->local->kind == Local::Kind::kVar) {
        // The block may set the variable; what was bound stays.
        const Register copy = builder_.allocate();
        builder_.emit(Op::move, copy, value);
        value = copy;
      }
      builder_.emit_jump(Op::jump_if_none, value, next);
      bind(arm.binding, value);
    } else {
      jump_if(*arm.condition, false, next);
    }
    block(arm.body);
    const bool last = i + 1 == node.arms.size() && !node.else_body;
    if (reachable_ && !last) {
      builder_.emit_jump(Op::jump, end);
      any_end = true;
    }
    bind_label(next);
    builder_.release_to(mark);
  }
  if (node.else_body) block(*node.else_body);
  if (any_end) {
    bind_label(end);
  } else {
    builder_.bind(end);
  }
}

void FunctionCode::match(const Match& node) {
  const vm::Label end = builder_.make_label();
  bool any_end = false;
  const std::uint32_t outer = builder_.mark();
  const Register subject = eval(*node.subject);
  bool open = true;  // whether some value is left for what follows
  for (std::size_t i = 0; i < node.cases.size(); ++i) {
    const MatchCase& each = node.cases[i];
    const std::uint32_t mark = builder_.mark();
    const bool last = i + 1 == node.cases.size() && !node.else_body;
    const vm::Label next = builder_.make_label();
    if (!last) test(each.pattern, *node.subject, subject, next);
    bind_fields(each.pattern, subject);
    block(each.body);
    if (reachable_) {
      if (!last) builder_.emit_jump(Op::jump, end);
      any_end = true;
    }
    open = !last && each.pattern.kind != Pattern::Kind::kWildcard;
    builder_.bind(next);
    reachable_ = open;
    builder_.release_to(mark);
    if (!open) break;
  }
  if (node.else_body && open) {
    block(*node.else_body);
    any_end = any_end || reachable_;
  }
  builder_.bind(end);
  reachable_ = any_end;
  builder_.release_to(outer);
}

FunctionCode::Register FunctionCode::arguments(const StepDef& step, std::uint32_t site) {
  const auto count = static_cast<std::uint32_t>(step.arguments.size());
  const bool has_key = step.policies.keyed && step.policies.keyed->value != nullptr;
  const StepDef* hedge = step.policies.hedge ? step.policies.hedge->value.call : nullptr;
  const auto more = static_cast<std::uint32_t>(hedge != nullptr ? hedge->arguments.size() : 0);
  const Register first = builder_.allocate(count + (has_key ? 1 : 0) + more);
  for (std::uint32_t i = 0; i < count; ++i) into(*step.arguments[i], {first.index + i});
  const auto kept = keys_.find(&step);
  if (has_key) {
    into(*step.policies.keyed->value, {first.index + count});
    if (kept != keys_.end()) builder_.emit(Op::move, kept->second, {first.index + count});
  } else if (kept != keys_.end()) {
    builder_.emit_site(kept->second, site);
  }
  for (std::uint32_t i = 0; i < more; ++i) {
    into(*hedge->arguments[i], {first.index + count + (has_key ? 1 : 0) + i});
  }
  return first;
}

void FunctionCode::step(const StepDef& def, Register to) {
  const std::uint32_t site = generator_.add_site(def);
  if (def.key_used) bind_key(&def, builder_.allocate());
  const std::uint32_t mark = builder_.mark();
  const Register first = arguments(def, site);
  std::optional<Undoing> unsure;
  if (def.policies.unsure) {
    unsure = undoing(def, *def.policies.unsure->value, "/unsure");
    undo(Op::arm_unsure, *unsure, site);
  }
  const vm::Label begin = builder_.make_label();
  const vm::Label end = builder_.make_label();
  at(def.span);
  builder_.bind(begin);
  builder_.emit_indexed(Op::step, to, first, site);
  builder_.bind(end);
  builder_.release_to(mark);
  bind(def.result, to);
  const auto completed = [&] {
    if (!def.policies.compensate) return;
    undo(Op::on_undo, undoing(def, *def.policies.compensate->value, "/compensate"), site);
  };
  // What a value stands in for was not done; what another call did is undone like the step's own.
  if (!def.policies.fallback_step) completed();
  if (def.policies.fallback_value || def.policies.fallback_step) {
    const vm::Label done = builder_.make_label();
    const vm::Label handler = builder_.make_label();
    builder_.emit_jump(Op::jump, done);
    builder_.bind(handler);
    builder_.add_handler(begin, end, handler, std::nullopt);
    if (def.policies.fallback_value) {
      into(*def.policies.fallback_value->value, to);
    } else {
      fallback(def, *def.policies.fallback_step->value, unsure, to);
    }
    builder_.bind(done);
  }
  if (def.policies.fallback_step) completed();
  builder_.release_to(mark);
}

// `unsure` and the key are now those of the other call.
void FunctionCode::fallback(const StepDef& def, const StepDef& other,
                            const std::optional<Undoing>& unsure, Register to) {
  const std::uint32_t mark = builder_.mark();
  const std::uint32_t site = generator_.add_site(other);
  if (const auto kept = keys_.find(&def); kept != keys_.end()) keys_.emplace(&other, kept->second);
  const Register first = arguments(other, site);
  if (unsure) undo(Op::arm_unsure, *unsure, site);
  at(other.span);
  builder_.emit_indexed(Op::step, to, first, site);
  builder_.release_to(mark);
}

FunctionCode::Register FunctionCode::capture(const Captures& captures) {
  const Register first = builder_.allocate(static_cast<std::uint32_t>(captures.size()));
  capture(captures, first.index);
  return first;
}

void FunctionCode::capture(const Captures& captures, std::uint32_t next) {
  for (const Local* local : captures.locals) {
    builder_.emit(Op::move, {next++}, locals_.at(local));
  }
  for (const StepDef* step : captures.keys) {
    builder_.emit(Op::move, {next++}, keys_.at(step));
  }
  if (captures.run_client) builder_.emit(Op::run_client, {next++});
  if (captures.run_id) builder_.emit(Op::run_id, {next++});
  if (captures.now) builder_.emit(Op::now, {next++});
}

FunctionCode::Undoing FunctionCode::undoing(const StepDef& def, const Block& body,
                                            const char* what) {
  Undoing made{generator_.reserve(), captures_of(body)};
  FunctionCode code(generator_, name_ + "/" + def.name + what, FunctionKind::compensation,
                    static_cast<std::uint16_t>(made.captures.size()));
  code.bind(made.captures);
  code.block_body(body);
  generator_.put(made.function, code.builder(), body.span);
  return made;
}

// With the values as they are now.
void FunctionCode::undo(Op op, const Undoing& with, std::uint32_t site) {
  const std::uint32_t mark = builder_.mark();
  const Register first = capture(with.captures);
  builder_.emit_closure(op, with.function, first, static_cast<std::uint32_t>(with.captures.size()),
                        site);
  builder_.release_to(mark);
}

// The function of a branch of `parallel` or `race`.
std::uint32_t FunctionCode::branch(const Branch& each, const Captures& captures, bool in_race) {
  const std::string segment = each.step != nullptr ? "" : each.name->name;
  const std::string name = each.step != nullptr ? each.step->name : each.name->name;
  const std::uint32_t index = generator_.reserve();
  FunctionCode code(generator_, name_ + "/" + name, FunctionKind::branch,
                    static_cast<std::uint16_t>(captures.size()), segment);
  code.bind(captures);
  if (in_race) {
    each.step != nullptr ? code.race_step(*each.step) : code.race_body(each.body);
  } else {
    each.step != nullptr ? code.branch_step(*each.step) : code.block_body(each.body);
  }
  generator_.put(index, code.builder(), each.span);
  at(each.span);
  return index;
}

void FunctionCode::parallel(const Parallel& node) {
  const auto count = static_cast<std::uint32_t>(node.branches.size());
  const Register results = builder_.allocate(count);
  // Keys live as long as the results do.
  for (const Branch& each : node.branches) {
    if (each.step != nullptr && each.step->key_used) bind_key(each.step, builder_.allocate());
  }
  for (const Branch& each : node.branches) {
    const std::uint32_t mark = builder_.mark();
    const Captures captures =
        each.step != nullptr ? captures_of(*each.step) : captures_of(each.body);
    const std::uint32_t index = branch(each, captures, false);
    const Register first = capture(captures);
    builder_.emit_spawn(index, first, static_cast<std::uint32_t>(captures.size()));
    builder_.release_to(mark);
  }
  builder_.emit_join(results, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const StepDef* def = node.branches[i].step;
    if (def == nullptr) continue;
    const Register result{results.index + i};
    bind(def->result, result);
    if (!def->key_used) continue;
    const std::uint32_t mark = builder_.mark();
    const Register which = builder_.allocate();
    builder_.emit_imm(Op::load_int, which, 1);
    builder_.emit(Op::index, keys_.at(def), result, which);
    builder_.emit_imm(Op::load_int, which, 0);
    builder_.emit(Op::index, result, result, which);
    builder_.release_to(mark);
  }
}

void FunctionCode::notify(const Notify& node) {
  const std::uint32_t mark = builder_.mark();
  const Register value = eval(*node.value);
  const std::uint32_t event = generator_.event_of(*node.event);
  if (node.to == nullptr) {
    builder_.emit_notify(value, event);
  } else {
    const vm::NotifyTo to = node.target == Notify::Target::kGroup ? vm::NotifyTo::group
                            : node.target == Notify::Target::kRun ? vm::NotifyTo::run
                                                                  : vm::NotifyTo::client;
    builder_.emit_notify(value, event, to, eval(*node.to));
  }
  builder_.release_to(mark);
}

void FunctionCode::publish(const Publish& node) {
  const std::uint32_t mark = builder_.mark();
  builder_.emit_publish(eval(*node.value), generator_.topic_of(*node.topic));
  builder_.release_to(mark);
}

void FunctionCode::start(const Start& node) {
  const Register id = builder_.allocate();
  const std::uint32_t mark = builder_.mark();
  const auto count = static_cast<std::uint32_t>(node.arguments.size());
  const bool for_client = node.client != nullptr;
  const Register first = builder_.allocate(count + (for_client ? 1 : 0));
  for (std::uint32_t i = 0; i < count; ++i) into(*node.arguments[i], {first.index + i});
  if (for_client) into(*node.client, {first.index + count});
  builder_.emit_start_run(id, first, generator_.flow_of(*node.flow), for_client);
  builder_.release_to(mark);
  if (node.result != nullptr) bind(node.result, id);
}

void FunctionCode::log(const Log& node) {
  const std::uint32_t mark = builder_.mark();
  builder_.emit(Op::log, eval(*node.value));
  builder_.release_to(mark);
}

void FunctionCode::return_statement(const Return& node) {
  if (node.value == nullptr) {
    builder_.emit(Op::finish_bare);
  } else {
    const Register value = eval(*node.value);
    builder_.emit_finish(value, generator_.event_of(*node.event));
  }
  reachable_ = false;
}

void FunctionCode::fail(const Fail& node) {
  const Register kind = builder_.allocate();
  constant(vm::Value::string(node.kind), kind);
  builder_.emit(Op::fail, kind, eval(*node.message));
  reachable_ = false;
}

void FunctionCode::fail(std::string_view kind, std::string_view message) {
  const Register first = builder_.allocate(2);
  constant(vm::Value::string(kind), first);
  constant(vm::Value::string(message), {first.index + 1});
  builder_.emit(Op::fail, first, {first.index + 1});
  reachable_ = false;
}

}  // namespace sluice::compiler
