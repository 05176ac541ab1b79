// Labels hold: what a field marked `pii` or `secret` holds reaches no log line, no failure's
// message, no other client, and no topic or flow that does not carry the label on.
//
// What a value brings along is said by taint.hpp. What a comparison or `len` finds out carries
// nothing; neither does the result of a task, whose type says what it contains. The outcome of a
// flow carries what its `return`s were made of; a failure's message carries what the `as` that
// failed was given.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "compiler/analyse/passes.hpp"
#include "compiler/analyse/taint.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

// Where a label comes out.
void report(Diagnostics& diagnostics, const Expr* value, const Taint& taint,
            std::string_view where) {
  if (value == nullptr || taint.labels == 0 || taint.from == nullptr) return;
  const char* label = (taint.labels & kSecret) != 0 ? "secret" : "pii";
  diagnostics
      .report(Code::E0705, value->span,
              fmt::format("this is `{}`, and would reach {}", label, where))
      .also(taint.from->span, fmt::format("`{}` is marked here", taint.from->name))
      .because(
          "what a label marks may go to tasks and to the run's own client; say what is needed "
          "without it, or let a task make something of it that has no label");
}

// The part of a text or literal that brings the label, so that the report stands there.
const Expr* part_of(Values& values, const Expr& value, bool all) {
  const auto brings = [&](const Expr* part) {
    return (all ? values.whole(part) : values.carried(part)).labels != 0;
  };
  if (const auto* text = as<Interpolation>(&value)) {
    const auto found = std::find_if(text->parts.begin(), text->parts.end(), brings);
    return found == text->parts.end() ? nullptr : *found;
  }
  const auto* record = as<RecordValue>(&value);
  for (std::size_t i = 0; record != nullptr && i < record->fields.size(); ++i) {
    const Labels known = all ? Labels{0} : record->def->fields[i].labels;
    if (values.carried(record->fields[i]).without(known).labels != 0) return record->fields[i];
  }
  return nullptr;
}

// It goes on as its type, which keeps what it contains.
void hand_on(Diagnostics& diagnostics, Values& values, const Expr* value, std::string_view where) {
  if (value == nullptr || values.carried(value).labels == 0) return;
  const Expr* part = part_of(values, *value, false);
  const Expr* at = part != nullptr ? part : value;
  report(diagnostics, at, values.carried(at), where);
}

// What the runs of a flow give to those that wait for them.
struct Given {
  Taint answer;
  Taint failure;  // its message
};
using GivenByFlows = std::map<const FlowDef*, Given>;

class Labelled {
 public:
  Labelled(const Program& program, const FlowDef& flow, Fns& fns, GivenByFlows& given)
      : view_(program, flow), values_(fns), given_(given) {
    for (const FieldDef& parameter : flow.parameters) {
      values_.learn(parameter.span.begin, of_field(parameter));
    }
  }

  // Whether something is known that was not before.
  bool learn() {
    const ast::FlowDecl& flow = view_.tree();
    Given& given = given_[&view_.flow()];
    const auto before = std::pair(given.answer.labels, given.failure.labels);
    for_each_statement(flow.body, [&](const ast::Stmt& stmt) { learn(stmt); });
    tell_failure(flow.body, given.failure);
    if (flow.on_failure) {
      values_.learn_failure(flow.on_failure->why.span.begin, given.failure);
      for_each_statement(flow.on_failure->body, [&](const ast::Stmt& stmt) { learn(stmt); });
    }
    const bool more = before != std::pair(given.answer.labels, given.failure.labels);
    return values_.has_learned() || more;
  }

  void judge(Diagnostics& diagnostics) {
    diagnostics_ = &diagnostics;
    const ast::FlowDecl& flow = view_.tree();
    for_each_statement(flow.body, [&](const ast::Stmt& stmt) { judge(stmt); });
    if (flow.on_failure) {
      for_each_statement(flow.on_failure->body, [&](const ast::Stmt& stmt) { judge(stmt); });
    }
  }

 private:
  // -------------------------------------------------------------------------------- statements

  // By the name alone: two variables of one name learn from each other, which is on the safe side.
  void learn_set(const ast::SetStmt& node) {
    const Taint taint = values_.carried(view_.expr(node.value));
    const auto [first, last] = variables_.equal_range(node.name.text);
    for (auto each = first; each != last; ++each) values_.learn(each->second, taint);
  }

  void learn_var(const ast::VarStmt& node) {
    const auto [first, last] = variables_.equal_range(node.name.text);
    const bool known = std::any_of(
        first, last, [&](const auto& each) { return each.second == node.name.span.begin; });
    if (!known) variables_.emplace(node.name.text, node.name.span.begin);
    values_.learn(node.name.span.begin, values_.carried(view_.expr(node.value)));
  }

  void learn_let(const ast::LetStmt& node) {
    if (node.source != nullptr) {
      values_.learn(node.name.span.begin, yielded(*node.source));
      return;
    }
    const Expr* value = view_.expr(node.value);
    values_.learn_value(node.name.span.begin, value);
    if (is_own_client(value)) own_client_.insert(node.name.span.begin);
  }

  void learn(const ast::Stmt& stmt) {
    std::visit(ast::Overloaded{
                   [&](const ast::LetStmt& n) { learn_let(n); },
                   [&](const ast::VarStmt& n) { learn_var(n); },
                   [&](const ast::SetStmt& n) { learn_set(n); },
                   [&](const ast::EachStmt& n) {
                     values_.learn(n.variable.span.begin, values_.carried(view_.expr(n.source)));
                   },
                   [&](const ast::IfStmt& n) {
                     for (const ast::IfArm& arm : n.arms) {
                       const Expr* value = view_.expr(arm.condition);
                       if (!arm.binding) continue;
                       values_.learn(arm.binding->span.begin, values_.carried(value));
                       if (is_own_client(value)) own_client_.insert(arm.binding->span.begin);
                     }
                   },
                   [&](const ast::MatchStmt& n) { learn_match(n); },
                   [&](const ast::StepStmt&) {
                     const StepDef* step = view_.step(stmt);
                     if (step == nullptr || step->result == nullptr) return;
                     values_.learn(step->result->span.begin, result_of(*step));
                   },
                   [&](const ast::TryStmt& n) { learn_catches(n); },
                   [&](const ast::ReturnStmt& n) {
                     given_[&view_.flow()].answer |= values_.carried(view_.expr(n.value));
                   },
                   [](const auto&) {},
               },
               stmt.node);
  }

  void learn_match(const ast::MatchStmt& node) {
    const Expr* subject = view_.expr(node.subject);
    if (subject == nullptr) return;
    const Taint taint = values_.carried(subject);
    const EnumDef* def = view_.program().types[subject->type].enumeration;
    for (const ast::MatchCase& each : node.cases) {
      const auto* named = ast::as<ast::NamePattern>(each.pattern);
      const auto* typed = ast::as<ast::TypePattern>(each.pattern);
      const auto* bindings = named != nullptr   ? &named->bindings
                             : typed != nullptr ? &typed->bindings
                                                : nullptr;
      const std::string_view name = named != nullptr                       ? named->name.text
                                    : typed != nullptr && typed->case_name ? typed->case_name->text
                                                                           : std::string_view();
      const CaseDef* found = def == nullptr ? nullptr : def->find(name);
      for (std::size_t i = 0; bindings != nullptr && i < bindings->size(); ++i) {
        const bool known = found != nullptr && i < found->fields.size();
        values_.learn((*bindings)[i].span.begin,
                      known ? taint | of_field(found->fields[i]) : taint);
      }
    }
  }

  // A task's result is as its type says; that of a flow is made of what its run was given.
  Taint result_of(const StepDef& step) {
    Taint all = step.flow == nullptr ? Taint() : given_[step.flow].answer;
    const Policies& policies = step.policies;
    if (policies.fallback_value) all |= values_.carried(policies.fallback_value->value);
    if (policies.fallback_step) all |= result_of(*policies.fallback_step->value);
    return all;
  }

  Taint yielded(const ast::Stmt& source) {
    Taint all;
    for_each_block(source, [&](const ast::Block& block) {
      for_each_statement(block, [&](const ast::Stmt& stmt) {
        const auto* node = ast::as<ast::YieldStmt>(stmt);
        if (node != nullptr) all |= values_.carried(view_.expr(node->value));
      });
    });
    const auto* race = ast::as<ast::RaceStmt>(source);
    for (std::size_t i = 0; race != nullptr && i < race->branches.size(); ++i) {
      const ast::Stmt* stmt = step_of(race->branches[i]);
      const StepDef* step = stmt == nullptr ? nullptr : view_.step(*stmt);
      if (step != nullptr) all |= result_of(*step);
    }
    return all;
  }

  // --------------------------------------------------------------------- messages of failures

  static bool takes_invalid(const ast::CatchArm& arm) {
    return !arm.kind || arm.kind->text == vm::failure_kind::kInvalid;
  }

  void learn_catches(const ast::TryStmt& node) {
    Taint told;
    tell_failure(node.body, told);
    for (const ast::CatchArm& arm : node.catches) {
      if (arm.why && takes_invalid(arm)) values_.learn_failure(arm.why->span.begin, told);
    }
  }

  // What the message of a failure that leaves the block may tell of.
  void tell_failure(const ast::Block& block, Taint& told) {
    for (const ast::StmtPtr& each : block.statements) tell_failure(without_let(*each), told, *each);
  }

  void tell_failure(const ast::Stmt& stmt, Taint& told, const ast::Stmt& with_let) {
    for_each_expr(with_let, [&](const ast::Expr& each) {
      const Expr* expr = view_.flow().module->exprs[each.id];
      if (expr != nullptr) told |= values_.told_by_failure(*expr);
    });
    if (ast::as<ast::StepStmt>(stmt) != nullptr) {
      const StepDef* step = view_.step(stmt);
      const bool fails = step != nullptr && !step->policies.fallback_value;
      if (fails && step->flow != nullptr) told |= given_[step->flow].failure;
      return;
    }
    const auto* tried = ast::as<ast::TryStmt>(stmt);
    if (tried != nullptr &&
        std::any_of(tried->catches.begin(), tried->catches.end(), takes_invalid)) {
      for (const ast::CatchArm& arm : tried->catches) tell_failure(arm.body, told);
      return;
    }
    const auto steps = [&](const std::vector<ast::Branch>& branches) {
      for (const ast::Branch& each : branches) {
        if (const ast::Stmt* step = step_of(each)) tell_failure(*step, told, *step);
      }
    };
    if (const auto* node = ast::as<ast::ParallelStmt>(stmt)) steps(node->branches);
    if (const auto* node = ast::as<ast::RaceStmt>(stmt)) steps(node->branches);
    for_each_block(stmt, [&](const ast::Block& inner) { tell_failure(inner, told); });
  }

  // --------------------------------------------------------------------------- where it comes out

  void judge(const ast::Stmt& stmt) {
    std::visit(ast::Overloaded{
                   [&](const ast::LogStmt& n) { tell(view_.expr(n.value), "a log line"); },
                   [&](const ast::FailStmt& n) {
                     tell(view_.expr(n.message),
                          "the message of a failure, which histories and dashboards show");
                   },
                   [&](const ast::NotifyStmt& n) { judge_notify(n); },
                   [&](const ast::PublishStmt& n) {
                     pass_on(view_.expr(n.event), fmt::format("the topic `{}`, whose event has no "
                                                              "such label there",
                                                              n.topic.text()));
                   },
                   [&](const ast::StartStmt& n) { judge_start(n); },
                   [&](const ast::StepStmt& n) {
                     judge_call(n.call, false);
                     for (const ast::Policy& policy : n.policies) {
                       const auto* other = std::get_if<ast::FallbackPolicy>(&policy.node);
                       if (other != nullptr) judge_call(other->value, false);
                     }
                   },
                   [](const auto&) {},
               },
               stmt.node);
  }

  bool is_own_client(const Expr* client) const {
    const auto* local = as<LocalRef>(client);
    return as<RunClient>(client) != nullptr ||
           (local != nullptr && own_client_.count(local->local->span.begin) != 0);
  }

  void judge_notify(const ast::NotifyStmt& node) {
    const Expr* event = view_.expr(node.event);
    switch (node.target) {
      case ast::NotifyStmt::Target::kRunClient:
        return;
      case ast::NotifyStmt::Target::kClient:
        if (!is_own_client(view_.expr(node.to))) tell(event, "another client");
        return;
      case ast::NotifyStmt::Target::kGroup:
        tell(view_.expr(node.to), "all who see the name of the group");
        return tell(event, "the clients of a group");
      case ast::NotifyStmt::Target::kRun:
        return pass_on(event, "another run, in a field that has no such label");
    }
  }

  void judge_start(const ast::StartStmt& node) {
    judge_call(node.call,
               node.for_client != nullptr && !is_own_client(view_.expr(node.for_client)));
  }

  // Arguments of a flow, which does with its parameters what their labels let it.
  void judge_call(const ast::ExprPtr& tree, bool other_client) {
    const auto* call = ast::as<ast::CallExpr>(tree);
    const FlowDef* flow = call == nullptr ? nullptr : flow_named(*call->callee);
    if (flow == nullptr) return;
    for (std::size_t i = 0; i < call->arguments.size(); ++i) {
      const ast::Argument& argument = call->arguments[i];
      const auto& all = flow->parameters;
      const auto place = std::find_if(all.begin(), all.end(), [&](const FieldDef& each) {
        return argument.label && each.name == argument.label->text;
      });
      if (!argument.label && i >= all.size()) return;
      if (argument.label && place == all.end()) continue;
      const FieldDef& parameter = argument.label ? *place : all[i];
      const Expr* value = view_.expr(argument.value);
      if (other_client) {
        tell(value, "a run for another client");
      } else {
        const Taint left = values_.carried(value).without(parameter.labels);
        report(*diagnostics_, value, left,
               fmt::format("the parameter `{}` of the flow `{}`, which has no such label",
                           parameter.name, flow->name));
      }
    }
  }

  const FlowDef* flow_named(const ast::Expr& callee) const {
    const auto* simple = ast::as<ast::NameExpr>(callee);
    const auto* field = ast::as<ast::FieldExpr>(callee);
    const std::string_view name = simple != nullptr  ? std::string_view(simple->name)
                                  : field != nullptr ? std::string_view(field->field.text)
                                                     : std::string_view();
    for (const FlowDef& flow : view_.program().flows) {
      if (flow.name == name) return &flow;
    }
    return nullptr;
  }

  // Somebody may see all of it.
  void tell(const Expr* value, std::string_view where) {
    if (value == nullptr || values_.whole(value).labels == 0) return;
    if (const Expr* part = part_of(values_, *value, true)) return tell(part, where);
    report(*diagnostics_, value, values_.whole(value), where);
  }

  void pass_on(const Expr* value, std::string_view where) {
    hand_on(*diagnostics_, values_, value, where);
  }

  View view_;
  Values values_;
  GivenByFlows& given_;
  Diagnostics* diagnostics_ = nullptr;
  std::multimap<std::string, std::uint32_t> variables_;  // `var`s by name
  std::set<std::uint32_t> own_client_;                   // names that stand for the run's client
};

bool has_labels(const Program& program) {
  const auto any = [](const std::vector<FieldDef>& fields) {
    return std::any_of(fields.begin(), fields.end(),
                       [](const FieldDef& each) { return each.labels != 0; });
  };
  const auto in_case = [&](const CaseDef& each) { return any(each.fields); };
  return std::any_of(program.records.begin(), program.records.end(),
                     [&](const RecordDef& each) { return any(each.fields); }) ||
         std::any_of(program.flows.begin(), program.flows.end(),
                     [&](const FlowDef& each) { return any(each.parameters); }) ||
         std::any_of(program.enums.begin(), program.enums.end(), [&](const EnumDef& each) {
           return std::any_of(each.cases.begin(), each.cases.end(), in_case);
         });
}

}  // namespace

void check_labels(const Program& program, Diagnostics& diagnostics) {
  if (!has_labels(program)) return;
  const Contents contents(program);
  Fns fns(program, contents);
  GivenByFlows given;
  std::deque<Labelled> flows;
  for (const FlowDef& flow : program.flows) flows.emplace_back(program, flow, fns, given);
  // Flows learn from those that they run.
  bool more = true;
  while (more) {
    more = false;
    for (Labelled& each : flows) more = each.learn() || more;
  }
  for (Labelled& each : flows) each.judge(diagnostics);
  for (const UpgradeDef& upgrade : program.upgrades) {
    Values values(fns);
    hand_on(diagnostics, values, upgrade.value,
            "the newer version, in a field that has no such label");
  }
}

}  // namespace sluice::compiler::analyse
