#include "compiler/analyse/origins.hpp"

#include <algorithm>

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

// The argument that stands for a parameter of a flow; null if there is none.
const Expr* argument_of(const View& view, const ast::CallExpr& call, const FlowDef& flow,
                        std::size_t index) {
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    const ast::Argument& argument = call.arguments[i];
    const bool is_it =
        argument.label ? argument.label->text == flow.parameters[index].name : i == index;
    if (is_it) return view.expr(argument.value);
  }
  return nullptr;
}

bool names(const ast::Expr& callee, const FlowDef& flow) {
  const auto* simple = ast::as<ast::NameExpr>(callee);
  const auto* field = ast::as<ast::FieldExpr>(callee);
  return (simple != nullptr && simple->name == flow.name) ||
         (field != nullptr && field->field.text == flow.name);
}

}  // namespace

bool Origins::holds_records(TypeId type) const {
  const TypeInfo& info = view_.program().types[type];
  if (info.record != nullptr || info.enumeration != nullptr) return true;
  return info.element != kPoison && holds_records(info.element);
}

const Expr* Origins::given(const Expr& value, std::uint32_t field) const {
  if (looked_at_++ >= kLookedAtMax) return nullptr;
  if (const auto* made = as<RecordValue>(&value)) {
    return field < made->fields.size() ? made->fields[field] : nullptr;
  }
  if (const auto* changed = as<With>(&value)) {
    for (const auto& [at, instead] : changed->fields) {
      if (at == field) return instead;
    }
    return changed->base == nullptr ? nullptr : given(*changed->base, field);
  }
  const auto* local = as<LocalRef>(&value);
  if (local == nullptr || local->local->kind != Local::Kind::kLet) return nullptr;
  const ast::LetStmt* let = view_.let_of(*local->local);
  const Expr* from = let == nullptr ? nullptr : view_.expr(let->value);
  return from == nullptr ? nullptr : given(*from, field);
}

bool Origins::are_checked(const std::vector<const Expr*>& values) const {
  return std::all_of(values.begin(), values.end(),
                     [&](const Expr* each) { return each == nullptr || is_checked(*each); });
}

bool Origins::is_checked(const Expr& value) const {
  if (looked_at_++ >= kLookedAtMax) return false;
  if (!holds_records(value.type)) return true;
  const auto parts = [&] {
    bool all = true;
    for_each_part(value, [&](const Expr& part) { all = all && is_checked(part); });
    return all;
  };
  return std::visit(
      ast::Overloaded{
          [&](const LocalRef& n) { return is_checked_local(*n.local); },
          [&](const ConstRef& n) { return n.def->value != nullptr && is_checked(*n.def->value); },
          [&](const FieldOf& n) {
            const Expr* made = given(*n.base, n.index);
            return is_checked(made != nullptr ? *made : *n.base);
          },
          [&](const RecordValue& n) {
            const bool free =
                std::none_of(n.def->fields.begin(), n.def->fields.end(),
                             [](const FieldDef& each) { return each.where != nullptr; });
            return free && parts();
          },
          [&](const With& n) {
            const RecordDef* def = view_.program().types[value.type].record;
            const bool free = std::none_of(n.fields.begin(), n.fields.end(), [&](const auto& each) {
              return def == nullptr || def->fields[each.first].where != nullptr;
            });
            return free && parts();
          },
          [&](const CaseValue& n) {
            const auto& fields = n.def->cases[n.which].fields;
            const bool free = std::none_of(fields.begin(), fields.end(), [](const FieldDef& each) {
              return each.where != nullptr;
            });
            return free && parts();
          },
          [&](const Comprehension& n) {
            inner_[n.variable] = n.source;
            return n.element != nullptr && is_checked(*n.element);
          },
          [&](const MatchExpr& n) { return is_checked_match(n); },
          [&](const AsType&) { return true; },
          // A function gives back what it was given, or what it makes of it.
          [&](const CallFn& n) {
            return parts() && n.def->body != nullptr && is_checked(*n.def->body);
          },
          [&](const auto&) { return parts(); },
      },
      value.node);
}

bool Origins::is_checked_match(const MatchExpr& node) const {
  bool all = node.else_value == nullptr || is_checked(*node.else_value);
  for (const MatchArm& arm : node.arms) {
    for (const Local* each : arm.pattern.bindings) {
      if (each != nullptr) inner_[each] = node.subject;
    }
    all = all && arm.value != nullptr && is_checked(*arm.value);
  }
  return all;
}

bool Origins::is_checked_local(const Local& local) const {
  if (const auto inner = inner_.find(&local); inner != inner_.end()) {
    return inner->second != nullptr && is_checked(*inner->second);
  }
  if (local.kind == Local::Kind::kParameter) {
    const auto& own = view_.flow().locals;
    const auto found = std::find(own.begin(), own.end(), &local);
    // That of a function: its arguments were looked at.
    if (found == own.end()) return true;
    return is_checked_parameter(static_cast<std::size_t>(found - own.begin()));
  }
  if (local.kind == Local::Kind::kStep)
    return local.step != nullptr && is_checked_step(*local.step);
  if (const ast::ReceiveStmt* receive = view_.receive_of(local)) {
    return is_checked_receive(*receive, local.type);
  }
  const ast::LetStmt* let = view_.let_of(local);
  if (let != nullptr && let->source != nullptr) return is_checked_let(*let);
  const std::vector<const Expr*> from = view_.taken_from(local);
  return !from.empty() && are_checked(from);
}

// What a `race` or `each` gives is what it yields.
bool Origins::is_checked_let(const ast::LetStmt& let) const {
  bool all = true;
  for_each_block(*let.source, [&](const ast::Block& block) {
    for_each_statement(block, [&](const ast::Stmt& stmt) {
      const auto* node = ast::as<ast::YieldStmt>(stmt);
      const Expr* value = node == nullptr ? nullptr : view_.expr(node->value);
      all = all && (value == nullptr || is_checked(*value));
    });
  });
  const auto* race = ast::as<ast::RaceStmt>(*let.source);
  for (std::size_t i = 0; race != nullptr && i < race->branches.size(); ++i) {
    const ast::Stmt* stmt = step_of(race->branches[i]);
    const StepDef* step = stmt == nullptr ? nullptr : view_.step(*stmt);
    all = all && (step == nullptr || is_checked_step(*step));
  }
  return all;
}

// The result of a worker was checked; the outcome of a flow was made by the program.
bool Origins::is_checked_step(const StepDef& step) const {
  const Policies& policies = step.policies;
  if (step.flow != nullptr) return false;
  if (policies.fallback_value && !is_checked(*policies.fallback_value->value)) return false;
  return !policies.fallback_step || is_checked_step(*policies.fallback_step->value);
}

// From outside, unless the program itself runs the flow.
bool Origins::is_checked_parameter(std::size_t index) const {
  const FlowDef& flow = view_.flow();
  if (depth_ >= kDepthMax || index >= flow.parameters.size()) return false;
  for (const FlowDef& other : view_.program().flows) {
    const bool starts =
        std::find(other.started.begin(), other.started.end(), &flow) != other.started.end();
    const bool uses = starts || std::any_of(other.steps.begin(), other.steps.end(),
                                            [&](const auto* step) { return step->flow == &flow; });
    if (!uses) continue;
    const View view(view_.program(), other);
    const Origins there(view, depth_ + 1);
    for (const StepDef* step : other.steps) {
      const bool runs = step->flow == &flow && index < step->arguments.size();
      const Expr* value = runs ? step->arguments[index] : nullptr;
      if (value != nullptr && !there.is_checked(*value)) return false;
    }
    bool all = true;
    const auto look = [&](const ast::Stmt& stmt) {
      const auto* start = ast::as<ast::StartStmt>(stmt);
      const auto* call = start == nullptr ? nullptr : ast::as<ast::CallExpr>(start->call);
      if (call == nullptr || !names(*call->callee, flow)) return;
      const Expr* value = argument_of(view, *call, flow, index);
      all = all && (value == nullptr || there.is_checked(*value));
    };
    for_each_statement(view.tree().body, look);
    if (view.tree().on_failure) for_each_statement(view.tree().on_failure->body, look);
    if (!all) return false;
  }
  return true;
}

// An event of a topic was checked; a signal was, unless a flow of the program sends it.
bool Origins::is_checked_receive(const ast::ReceiveStmt& receive, TypeId event) const {
  if (receive.topic) return true;
  bool all = true;
  for (const FlowDef& other : view_.program().flows) {
    const View view(view_.program(), other);
    const auto look = [&](const ast::Stmt& stmt) {
      const auto* node = ast::as<ast::NotifyStmt>(stmt);
      if (node == nullptr || node->target != ast::NotifyStmt::Target::kRun) return;
      const Expr* value = view.expr(node->event);
      all = all && (value == nullptr || value->type != event);
    };
    for_each_statement(view.tree().body, look);
  }
  return all;
}

}  // namespace sluice::compiler::analyse
