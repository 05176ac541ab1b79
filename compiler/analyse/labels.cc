// Labels hold: what a field marked `pii` or `secret` holds reaches no log line, no failure's
// message, no other client, and no topic or flow that does not carry the label on.
//
// A value *carries* labels when it was made of a labelled field, whatever became of it: part of a
// text, element of a list. A record does not carry what stands in a field of its own with that
// label: its type *contains* the label, and gives it back when the field is read. What a comparison
// or `len` finds out carries nothing; neither does the result of a task, whose type says what it
// contains.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "compiler/analyse/passes.hpp"
#include "vm/ops.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

// Labels, and a field that brought one of them.
struct Taint {
  Labels labels = 0;
  const FieldDef* from = nullptr;

  Taint& operator|=(const Taint& other) {
    if (from == nullptr || labels == 0) from = other.labels == 0 ? from : other.from;
    labels |= other.labels;
    return *this;
  }
  Taint without(Labels known) const {
    const auto left = static_cast<Labels>(labels & ~known);
    return {left, left == 0 ? nullptr : from};
  }
};

Taint operator|(Taint a, const Taint& b) {
  return a |= b;
}

Taint of_field(const FieldDef& field) {
  return {field.labels, field.labels == 0 ? nullptr : &field};
}

// The labels of all fields within a type. Types may hold themselves, so what they contain is
// gathered until nothing is added.
class Contents {
 public:
  explicit Contents(const Program& program) : program_(program) {
    bool changed = true;
    const auto note = [&](Taint& known, const std::vector<FieldDef>& fields) {
      const Labels before = known.labels;
      for (const FieldDef& each : fields) known |= of_field(each) | of(each.type);
      changed = changed || known.labels != before;
    };
    while (changed) {
      changed = false;
      for (const RecordDef& def : program.records) note(records_[&def], def.fields);
      for (const EnumDef& def : program.enums) {
        for (const CaseDef& each : def.cases) note(enums_[&def], each.fields);
      }
    }
  }

  Taint of(TypeId type) const {
    const TypeInfo& info = program_.types[type];
    if (info.record != nullptr) return found(records_, info.record);
    if (info.enumeration != nullptr) return found(enums_, info.enumeration);
    return info.element == kPoison ? Taint() : of(info.element);
  }

 private:
  template <typename Def>
  static Taint found(const std::unordered_map<const Def*, Taint>& known, const Def* def) {
    const auto place = known.find(def);
    return place == known.end() ? Taint() : place->second;
  }

  const Program& program_;
  std::unordered_map<const RecordDef*, Taint> records_;
  std::unordered_map<const EnumDef*, Taint> enums_;
};

class Labelled {
 public:
  Labelled(const View& view, const Contents& contents, Diagnostics& diagnostics)
      : view_(view), contents_(contents), diagnostics_(diagnostics) {
    for (const FieldDef& parameter : view.flow().parameters) {
      names_[parameter.span.begin] |= of_field(parameter);
    }
  }

  void run(const ast::FlowDecl& flow) {
    do {
      changed_ = false;
      for_each_statement(flow.body, [&](const ast::Stmt& stmt) { learn(stmt); });
      if (flow.on_failure) {
        for_each_statement(flow.on_failure->body, [&](const ast::Stmt& stmt) { learn(stmt); });
      }
    } while (changed_);
    for_each_statement(flow.body, [&](const ast::Stmt& stmt) { judge(stmt); });
    if (flow.on_failure) {
      for_each_statement(flow.on_failure->body, [&](const ast::Stmt& stmt) { judge(stmt); });
    }
  }

 private:
  // ------------------------------------------------------------------------------- expressions

  Taint carried(const Expr* expr) {
    if (expr == nullptr) return {};
    return std::visit(
        ast::Overloaded{
            [&](const LocalRef& n) { return names_[n.local->span.begin]; },
            [&](const Negate& n) { return carried(n.operand); },
            [&](const Arithmetic& n) { return carried(n.left) | carried(n.right); },
            [&](const Coalesce& n) { return carried(n.left) | carried(n.right); },
            [&](const IfExpr& n) { return carried(n.then_value) | carried(n.else_value); },
            [&](const MatchExpr& n) { return carried_by_match(n); },
            [&](const ListValue& n) {
              Taint all;
              for (const Expr* each : n.elements) all |= carried(each);
              return all;
            },
            [&](const MapValue& n) {
              Taint all;
              for (const auto& [key, value] : n.entries) all |= carried(key) | carried(value);
              return all;
            },
            [&](const Comprehension& n) {
              learn(n.variable->span.begin, carried(n.source));
              return carried(n.element);
            },
            [&](const FieldOf& n) {
              const FieldDef* field = field_of(n);
              return carried(n.base) | (field == nullptr ? Taint() : of_field(*field));
            },
            [&](const IndexOf& n) { return carried(n.base); },
            [&](const RecordValue& n) { return carried_by(n.fields, n.def->fields); },
            [&](const CaseValue& n) { return carried_by(n.fields, n.def->cases[n.which].fields); },
            [&](const With& n) {
              Taint all = carried(n.base);
              const RecordDef* def = view_.program().types[expr->type].record;
              for (const auto& [at, value] : n.fields) {
                all |= carried(value).without(def == nullptr ? Labels{0} : def->fields[at].labels);
              }
              return all;
            },
            [&](const CallFn& n) {
              Taint all;
              for (const Expr* each : n.arguments) all |= whole(each);
              return all;
            },
            [&](const CallBuiltin& n) { return carried_by_builtin(n); },
            [&](const Interpolation& n) {
              Taint all;
              for (const Expr* each : n.parts) all |= whole(each);
              return all;
            },
            [](const auto&) { return Taint(); },
        },
        expr->node);
  }

  // What comes out with a value: what it carries and what its type contains.
  Taint whole(const Expr* expr) {
    return expr == nullptr ? Taint() : carried(expr) | contents_.of(expr->type);
  }

  Taint carried_by(const std::vector<Expr*>& values, const std::vector<FieldDef>& fields) {
    Taint all;
    for (std::size_t i = 0; i < values.size() && i < fields.size(); ++i) {
      all |= carried(values[i]).without(fields[i].labels);
    }
    return all;
  }

  Taint carried_by_match(const MatchExpr& node) {
    const Taint subject = carried(node.subject);
    const EnumDef* def = view_.program().types[node.subject->type].enumeration;
    Taint all = carried(node.else_value);
    for (const MatchArm& arm : node.arms) {
      for (std::size_t i = 0; i < arm.pattern.bindings.size(); ++i) {
        const Local* bound = arm.pattern.bindings[i];
        if (bound == nullptr || def == nullptr) continue;
        const auto& fields = def->cases[arm.pattern.which].fields;
        learn(bound->span.begin, i < fields.size() ? subject | of_field(fields[i]) : subject);
      }
      all |= carried(arm.value);
    }
    return all;
  }

  Taint carried_by_builtin(const CallBuiltin& call) {
    constexpr std::string_view kTellLittle[] = {"len",       "contains", "starts_with",
                                                "ends_with", "has",      "index_of"};
    constexpr std::string_view kTellAll[] = {"str", "encode"};
    const auto is_one_of = [&](const auto& names) {
      return std::find(std::begin(names), std::end(names), vm::kBuiltins[call.builtin].name) !=
             std::end(names);
    };
    Taint all;
    if (is_one_of(kTellLittle)) return all;
    const bool text = is_one_of(kTellAll);
    for (const Expr* each : call.arguments) all |= text ? whole(each) : carried(each);
    return all;
  }

  const FieldDef* field_of(const FieldOf& node) const {
    const Types& types = view_.program().types;
    const RecordDef* record = types[types.without_optional(node.base->type)].record;
    return record == nullptr || node.index >= record->fields.size() ? nullptr
                                                                    : &record->fields[node.index];
  }

  // -------------------------------------------------------------------------------- statements

  void learn(std::uint32_t name, const Taint& taint) {
    Taint& known = names_[name];
    const Labels before = known.labels;
    known |= taint;
    changed_ = changed_ || known.labels != before;
  }

  // By the name alone: two variables of one name learn from each other, which is on the safe side.
  void learn_set(const ast::SetStmt& node) {
    const Taint taint = carried(view_.expr(node.value));
    const auto [first, last] = variables_.equal_range(node.name.text);
    for (auto each = first; each != last; ++each) learn(each->second, taint);
  }

  void learn(const ast::Stmt& stmt) {
    std::visit(ast::Overloaded{
                   [&](const ast::LetStmt& n) {
                     learn(n.name.span.begin,
                           n.source == nullptr ? carried(view_.expr(n.value)) : yielded(*n.source));
                   },
                   [&](const ast::VarStmt& n) {
                     const auto [first, last] = variables_.equal_range(n.name.text);
                     const bool known = std::any_of(first, last, [&](const auto& each) {
                       return each.second == n.name.span.begin;
                     });
                     if (!known) variables_.emplace(n.name.text, n.name.span.begin);
                     learn(n.name.span.begin, carried(view_.expr(n.value)));
                   },
                   [&](const ast::SetStmt& n) { learn_set(n); },
                   [&](const ast::EachStmt& n) {
                     learn(n.variable.span.begin, carried(view_.expr(n.source)));
                   },
                   [&](const ast::IfStmt& n) {
                     for (const ast::IfArm& arm : n.arms) {
                       if (arm.binding)
                         learn(arm.binding->span.begin, carried(view_.expr(arm.condition)));
                     }
                   },
                   [&](const ast::MatchStmt& n) { learn_match(n); },
                   [](const auto&) {},
               },
               stmt.node);
  }

  void learn_match(const ast::MatchStmt& node) {
    const Expr* subject = view_.expr(node.subject);
    if (subject == nullptr) return;
    const Taint taint = carried(subject);
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
        learn((*bindings)[i].span.begin, known ? taint | of_field(found->fields[i]) : taint);
      }
    }
  }

  Taint yielded(const ast::Stmt& source) {
    Taint all;
    for_each_block(source, [&](const ast::Block& block) {
      for_each_statement(block, [&](const ast::Stmt& stmt) {
        const auto* node = ast::as<ast::YieldStmt>(stmt);
        if (node != nullptr) all |= carried(view_.expr(node->value));
      });
    });
    return all;
  }

  // --------------------------------------------------------------------------- where it comes out

  void judge(const ast::Stmt& stmt) {
    std::visit(ast::Overloaded{
                   [&](const ast::LetStmt& n) {
                     if (const auto* start = ast::as<ast::StartStmt>(n.source)) judge_start(*start);
                   },
                   [&](const ast::LogStmt& n) { tell(view_.expr(n.value), "a log line"); },
                   [&](const ast::FailStmt& n) {
                     tell(view_.expr(n.message),
                          "the message of a failure, which histories and dashboards show");
                   },
                   [&](const ast::NotifyStmt& n) { judge_notify(n); },
                   [&](const ast::PublishStmt& n) {
                     hand_on(view_.expr(n.event), fmt::format("the topic `{}`, whose event has no "
                                                              "such label there",
                                                              n.topic.text()));
                   },
                   [&](const ast::StartStmt& n) { judge_start(n); },
                   [&](const ast::StepStmt& n) { judge_call(n.call, false); },
                   [](const auto&) {},
               },
               stmt.node);
  }

  bool is_own_client(const ast::ExprPtr& client) const {
    return as<RunClient>(view_.expr(client)) != nullptr;
  }

  void judge_notify(const ast::NotifyStmt& node) {
    const Expr* event = view_.expr(node.event);
    switch (node.target) {
      case ast::NotifyStmt::Target::kRunClient:
        return;
      case ast::NotifyStmt::Target::kClient:
        if (!is_own_client(node.to)) tell(event, "another client");
        return;
      case ast::NotifyStmt::Target::kGroup:
        return tell(event, "the clients of a group");
      case ast::NotifyStmt::Target::kRun:
        return hand_on(event, "another run, in a field that has no such label");
    }
  }

  void judge_start(const ast::StartStmt& node) {
    judge_call(node.call, node.for_client != nullptr && !is_own_client(node.for_client));
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
        const Taint left = carried(value).without(parameter.labels);
        report(value, left,
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
    if (value == nullptr || whole(value).labels == 0) return;
    if (const Expr* part = part_of(*value, true)) return tell(part, where);
    report(value, whole(value), where);
  }

  // It goes on as its type, which keeps what it contains.
  void hand_on(const Expr* value, std::string_view where) {
    if (value == nullptr || carried(value).labels == 0) return;
    if (const Expr* part = part_of(*value, false)) {
      return report(part, carried(part), where);
    }
    report(value, carried(value), where);
  }

  // The part of a text or literal that brings the label, so that the report stands there.
  const Expr* part_of(const Expr& value, bool all) {
    const auto brings = [&](const Expr* part) {
      return (all ? whole(part) : carried(part)).labels != 0;
    };
    if (const auto* text = as<Interpolation>(&value)) {
      const auto found = std::find_if(text->parts.begin(), text->parts.end(), brings);
      return found == text->parts.end() ? nullptr : *found;
    }
    const auto* record = as<RecordValue>(&value);
    for (std::size_t i = 0; record != nullptr && i < record->fields.size(); ++i) {
      const Labels known = all ? Labels{0} : record->def->fields[i].labels;
      if (carried(record->fields[i]).without(known).labels != 0) return record->fields[i];
    }
    return nullptr;
  }

  void report(const Expr* value, const Taint& taint, std::string_view where) {
    if (value == nullptr || taint.labels == 0 || taint.from == nullptr) return;
    const char* label = (taint.labels & kSecret) != 0 ? "secret" : "pii";
    diagnostics_
        .report(Code::E0705, value->span,
                fmt::format("this is `{}`, and would reach {}", label, where))
        .also(taint.from->span, fmt::format("`{}` is marked here", taint.from->name))
        .because(
            "what a label marks may go to tasks and to the run's own client; say what is needed "
            "without it, or let a task make something of it that has no label");
  }

  const View& view_;
  const Contents& contents_;
  Diagnostics& diagnostics_;
  std::map<std::uint32_t, Taint> names_;                 // by the first byte of the name
  std::multimap<std::string, std::uint32_t> variables_;  // `var`s by name
  bool changed_ = false;
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
  for (const FlowDef& flow : program.flows) {
    const View view(program, flow);
    Labelled(view, contents, diagnostics).run(view.tree());
  }
}

}  // namespace sluice::compiler::analyse
