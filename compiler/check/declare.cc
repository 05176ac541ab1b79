// Declarations outside of bodies: fields, constants, topics, tasks, the heads of flows.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/view.hpp"
#include "compiler/check/context.hpp"
#include "compiler/check/exprs.hpp"
#include "compiler/check/fold.hpp"
#include "compiler/check/policies.hpp"
#include "compiler/engine_events.hpp"
#include "vm/tenant_key.hpp"

namespace sluice::compiler {

using namespace ir;

// What a topic does that says nothing: repeats are told for a day, events are kept for a week.
inline constexpr std::int64_t kDedupeMsDefault = 24LL * 3'600'000;
inline constexpr std::int64_t kRetainMsDefault = 7LL * 24 * 3'600'000;

namespace {

class Declarations {
 public:
  Declarations(Context& context, ModuleScope& scope)
      : context_(context), scope_(scope), locals_(context) {}

  enum class Fields { kData, kParameters };

  std::vector<FieldDef> fields(const std::vector<ast::Field>& trees, Fields kind,
                               std::string_view what) {
    std::vector<FieldDef> made;
    std::unordered_map<std::string_view, Span> seen;
    for (const ast::Field& tree : trees) {
      const auto [place, added] = seen.try_emplace(tree.name.text, tree.name.span);
      if (!added) {
        context_.diagnostics
            .report(Code::E0204, tree.name.span,
                    fmt::format("the {} `{}` is declared twice", what, tree.name.text))
            .also(place->second, "first here");
        continue;
      }
      FieldDef& field = made.emplace_back();
      field.name = tree.name.text;
      field.span = tree.name.span;
      field.type = context_.resolve_type(scope_, *tree.type);
      field.type_span = join(tree.name.span, tree.type->span);
      field.tree = &tree;
      field.module = scope_.module;
      field.labels = labels(tree);
      check_constraint(tree, kind);
    }
    return made;
  }

  // Defaults and constraints, once every type is known.
  void values(std::vector<FieldDef>& fields, bool data) {
    for (FieldDef& field : fields) {
      if (field.tree == nullptr) continue;
      if (field.tree->default_value != nullptr) context_.ensure_default(field);
      if (field.tree->where != nullptr && data) where(field);
    }
  }

  void topic(TopicDef& def) {
    const auto& node = std::get<ast::TopicDecl>(def.tree->node);
    const Symbol* symbol = context_.resolve(scope_, Space::kType, node.event, "event");
    if (symbol != nullptr) def.event = event_of(*symbol, node.event.span);
    if (def.event != nullptr && refuse_engines(*def.event, node.event.span, context_.diagnostics)) {
      def.event = nullptr;
    }
    if (def.event != nullptr) def.event->crosses_edge = true;
    def.dedupe_ms = kDedupeMsDefault;
    def.retain_ms = kRetainMsDefault;
    std::vector<const ast::TopicSetting*> seen;
    for (const ast::TopicSetting& setting : node.settings) {
      const auto same = std::find_if(seen.begin(), seen.end(), [&](const auto* other) {
        return other->node.index() == setting.node.index();
      });
      if (same != seen.end()) {
        context_.diagnostics.report(Code::E0501, setting.span, "this setting is given twice")
            .also((*same)->span, "first here");
        continue;
      }
      seen.push_back(&setting);
      topic_setting(def, setting);
    }
  }

  RecordDef* event_of(const Symbol& symbol, Span span) {
    RecordDef* def = symbol.as<RecordDef>();
    if (def != nullptr && def->is_event) return def;
    context_.diagnostics
        .report(Code::E0203, span,
                fmt::format("an event is wanted here, and this is {}", kind_with_article(symbol)))
        .also(symbol.span, "declared here")
        .because("what crosses the edge is declared with `event`");
    return nullptr;
  }

  void task(TaskDef& def) {
    const auto& node = std::get<ast::TaskDecl>(def.tree->node);
    PolicyReader(context_, scope_, PolicyPlace::kTask).read(node.policies, def.policies);
  }

  void task_head(TaskDef& def) {
    const auto& node = std::get<ast::TaskDecl>(def.tree->node);
    def.parameters = fields(node.parameters, Fields::kParameters, "parameter");
    if (node.result != nullptr) {
      def.result = context_.resolve_type(scope_, *node.result);
      def.result_span = node.result->span;
    }
    for (const ast::Policy& policy : node.policies) {
      const auto* fails = std::get_if<ast::FailsPolicy>(&policy.node);
      if (fails == nullptr) continue;
      for (const ast::Name& kind : fails->kinds) {
        if (std::find(def.kinds.begin(), def.kinds.end(), kind.text) != def.kinds.end()) {
          context_.diagnostics.report(Code::E0204, kind.span,
                                      fmt::format("the kind `{}` is named twice", kind.text));
          continue;
        }
        def.kinds.push_back(kind.text);
        context_.declared_kinds.insert(kind.text);
      }
    }
  }

  void pool(PoolDef& def) {
    const auto& node = std::get<ast::PoolDecl>(def.tree->node);
    if (node.slots == nullptr) return;
    PolicyReader reader(context_, scope_, PolicyPlace::kBundle);
    const auto slots = reader.integer(*node.slots, "the number of slots", 1, kSlotsMax);
    def.slots = slots.value_or(0);
    context_.unexecuted(Code::E0630, node.slots->span, "slots");
  }

 private:
  Labels labels(const ast::Field& tree) {
    Labels all = 0;
    for (const ast::Name& label : tree.labels) {
      if (label.text == "pii") {
        all |= kPii;
      } else if (label.text == "secret") {
        all |= kSecret;
      } else {
        context_.diagnostics
            .report(Code::E0201, label.span, fmt::format("there is no label `{}`", label.text))
            .because("`pii` marks what tells of a person, `secret` what nobody else may see");
      }
    }
    return all;
  }

  void check_constraint(const ast::Field& tree, Fields kind) {
    if (kind == Fields::kParameters && tree.where != nullptr) {
      context_.diagnostics
          .report(Code::E0318, tree.where->span, "nobody would check this constraint")
          .because(
              "`where` is checked at the edge, where events and results come in; it stands on "
              "fields of records and events");
    }
  }

  void where(FieldDef& field) {
    locals_.open();
    field.self = context_.local(field.tree->name, field.type, Local::Kind::kParameter);
    locals_.declare(field.self);
    Exprs exprs(context_, scope_, World::kConstraint, locals_);
    field.where = exprs.want_bool(*field.tree->where);
    field.where_calls = std::move(exprs.calls());
    locals_.close();
  }

  void topic_setting(TopicDef& def, const ast::TopicSetting& setting) {
    PolicyReader reader(context_, scope_, PolicyPlace::kBundle);
    std::visit(ast::Overloaded{
                   [&](const ast::OrderSetting& order) { order_by(def, setting, order); },
                   [&](const ast::DedupeSetting& dedupe) {
                     def.dedupe_ms = reader.duration(*dedupe.window, "a window").value_or(0);
                   },
                   [&](const ast::RetainSetting& retain) {
                     def.retain_ms = reader.duration(*retain.duration, "a retention").value_or(0);
                   },
                   [&](const ast::LimitSetting& limit) {
                     def.limit = reader.limit(limit, setting.span);
                     def.limit->per = per_of(limit.scope);
                     if (limit.scope.key != nullptr)
                       def.limit->key = event_key(def, *limit.scope.key);
                   },
                   [&](const ast::TtlSetting& ttl) {
                     def.ttl_ms = reader.duration(*ttl.duration, "a ttl").value_or(0);
                   },
               },
               setting.node);
  }

  void order_by(TopicDef& def, const ast::TopicSetting& setting, const ast::OrderSetting& order) {
    switch (order.scope.kind) {
      case ast::Scope::Kind::kClient:
        return;
      case ast::Scope::Kind::kTenant:
        def.key = tenant_key(def, setting.span);
        return;
      case ast::Scope::Kind::kKey:
        break;
    }
    def.key = event_key(def, *order.scope.key);
  }

  // The same for all events of a tenant; null after an error of the event's.
  Expr* tenant_key(TopicDef& def, Span span) {
    if (def.event == nullptr) return nullptr;
    take_event(def, span);
    return context_.expr(span, kString, StringValue{std::string(vm::kTenantKey)});
  }

  // The event as keys see it.
  void take_event(TopicDef& def, Span span) {
    if (def.event_local != nullptr) return;
    def.event_local = context_.local({"event", span}, def.event->type, Local::Kind::kParameter);
  }

  // A key over the fields of the topic's event; null after an error of the event's.
  Expr* event_key(TopicDef& def, const ast::Expr& tree) {
    if (def.event == nullptr) return nullptr;
    take_event(def, tree.span);
    Exprs exprs(context_, scope_, World::kOrderKey, locals_);
    exprs.set_event(def.event_local);
    Expr* key = exprs.infer(tree);
    if (key->type == kString || key->type == kInt || key->type == kPoison) return key;
    context_.diagnostics
        .report(Code::E0301, tree.span,
                fmt::format("events are ordered by a `string` or an `int`, not by {}",
                            with_article(context_.types.name(key->type))))
        .also(def.event->tree->name.span, "the event");
    return key;
  }

  Context& context_;
  ModuleScope& scope_;
  Locals locals_;
};

// The kinds by which a flow fails, so that policies may name them before any body is checked.
void declare_failed_kinds(const ast::Block& body, std::set<std::string>& kinds) {
  analyse::for_each_statement(body, [&](const ast::Stmt& stmt) {
    if (const auto* node = ast::as<ast::FailStmt>(stmt)) kinds.insert(node->kind.text);
  });
}

void head(Context& context, FlowDef& def) {
  ModuleScope& scope = *context.scope_of.at(def.module);
  const auto& node = std::get<ast::FlowDecl>(def.tree->node);
  Declarations declarations(context, scope);
  def.parameters =
      declarations.fields(node.parameters, Declarations::Fields::kParameters, "parameter");
  declare_failed_kinds(node.body, context.declared_kinds);
  if (def.head_damaged) def.outcomes_known = false;
  for (const ast::QualifiedName& name : node.outcomes) {
    const Symbol* symbol = context.resolve(scope, Space::kType, name, "event");
    RecordDef* event = symbol == nullptr ? nullptr : declarations.event_of(*symbol, name.span);
    if (event == nullptr || refuse_engines(*event, name.span, context.diagnostics)) {
      def.outcomes_known = false;
      continue;
    }
    event->crosses_edge = true;
    if (std::find(def.outcomes.begin(), def.outcomes.end(), event) != def.outcomes.end()) {
      context.diagnostics.report(Code::E0204, name.span,
                                 fmt::format("the outcome `{}` is named twice", event->name));
      continue;
    }
    def.outcomes.push_back(event);
  }
}

void heads(Context& context) {
  Program& program = context.program;
  const auto at = [&](const Module* module) {
    return Declarations(context, *context.scope_of.at(module));
  };
  using Fields = Declarations::Fields;
  for (RecordDef& def : program.records) {
    if (def.tree == nullptr) continue;
    const auto* event = std::get_if<ast::EventDecl>(&def.tree->node);
    const auto& trees =
        event != nullptr ? event->fields : std::get<ast::RecordDecl>(def.tree->node).fields;
    def.fields = at(def.module).fields(trees, Fields::kData, "field");
  }
  for (EnumDef& def : program.enums) {
    std::unordered_map<std::string_view, Span> seen;
    if (std::get<ast::EnumDecl>(def.tree->node).cases.empty() && !def.damaged) {
      context.diagnostics.report(Code::E0320, def.tree->name.span,
                                 fmt::format("the enum `{}` has no case", def.name));
    }
    for (const ast::EnumCase& tree : std::get<ast::EnumDecl>(def.tree->node).cases) {
      const auto [place, added] = seen.try_emplace(tree.name.text, tree.name.span);
      if (!added) {
        context.diagnostics
            .report(Code::E0204, tree.name.span,
                    fmt::format("the case `{}` is declared twice", tree.name.text))
            .also(place->second, "first here");
        continue;
      }
      for (const ast::Field& field : tree.fields) {
        if (field.name.text != "case") continue;
        context.diagnostics
            .report(Code::E0320, field.name.span, "a field of a case cannot be called `case`")
            .because("in JSON, `case` is the member that says which case it is");
      }
      def.cases.push_back({tree.name.text, tree.name.span,
                           at(def.module).fields(tree.fields, Fields::kData, "field")});
    }
  }
  for (TaskDef& def : program.tasks) at(def.module).task_head(def);
  for (FnDef& def : program.fns) {
    const auto& node = std::get<ast::FnDecl>(def.tree->node);
    def.parameters = at(def.module).fields(node.parameters, Fields::kParameters, "parameter");
    def.result = context.resolve_type(*context.scope_of.at(def.module), *node.result);
  }
  for (FlowDef& def : program.flows) head(context, def);
}

}  // namespace

void check_declarations(Context& context) {
  Program& program = context.program;
  heads(context);
  const auto at = [&](const Module* module) {
    return Declarations(context, *context.scope_of.at(module));
  };
  for (ConstDef& def : program.consts) context.ensure_const(def);
  for (RecordDef& def : program.records) {
    if (def.tree != nullptr) at(def.module).values(def.fields, true);
  }
  for (EnumDef& def : program.enums) {
    for (CaseDef& each : def.cases) at(def.module).values(each.fields, true);
  }
  for (TaskDef& def : program.tasks) at(def.module).values(def.parameters, false);
  for (FnDef& def : program.fns) at(def.module).values(def.parameters, false);
  for (FlowDef& def : program.flows) at(def.module).values(def.parameters, false);
  for (PoolDef& def : program.pools) at(def.module).pool(def);
  for (PolicyDef& def : program.policies) context.ensure_policy(def);
  for (TaskDef& def : program.tasks) at(def.module).task(def);
  for (TopicDef& def : program.topics) at(def.module).topic(def);
}

void Context::ensure_default(FieldDef& field) {
  if (field.state == FieldDef::State::kDone) return;
  if (field.state == FieldDef::State::kOpen) {
    diagnostics.report(Code::E0215, field.span,
                       fmt::format("the default of `{}` is made of itself", field.name));
    return;
  }
  field.state = FieldDef::State::kOpen;
  Locals locals(*this);
  Exprs exprs(*this, *scope_of.at(field.module), World::kConstant, locals);
  field.default_value =
      exprs.want(*field.tree->default_value,
                 {field.type, field.type_span, fmt::format("`{}` is declared here", field.name)});
  field.state = FieldDef::State::kDone;
  const auto folded = fold(*field.default_value);
  if (folded) {
    field.folded_default = *folded;
  } else if (folded.error().is_constant) {
    diagnostics.report(Code::E0315, folded.error().span, folded.error().message);
  } else if (!folded.error().was_reported) {
    diagnostics.report(Code::E0310, folded.error().span, "a default must be a constant")
        .because(
            "it is known when the program is compiled: literals, constants, and what "
            "operators make of them");
  }
}

void Context::report_const_cycle(const ConstDef& def) {
  Diagnostic& diagnostic =
      diagnostics.report(Code::E0215, def.tree->name.span,
                         fmt::format("the constant `{}` is made of itself", def.name));
  bool inside = false;
  for (const ConstDef* open : open_consts_) {
    if (inside) diagnostic.also(open->tree->name.span, "by way of this one");
    if (open == &def) inside = true;
  }
}

void Context::ensure_const(ConstDef& def) {
  if (def.state == ConstDef::State::kDone) return;
  if (def.state == ConstDef::State::kOpen) {
    report_const_cycle(def);
    return;
  }
  def.state = ConstDef::State::kOpen;
  open_consts_.push_back(&def);
  const auto& node = std::get<ast::ConstDecl>(def.tree->node);
  ModuleScope& scope = *scope_of.at(def.module);
  Locals locals(*this);
  Exprs exprs(*this, scope, World::kConstant, locals);
  if (node.type != nullptr) {
    def.type = resolve_type(scope, *node.type);
    def.value = exprs.want(*node.value, {def.type, node.type->span, "the constant's type"});
  } else {
    def.value = exprs.infer_closed(*node.value, def.name);
    def.type = def.value->type;
  }
  open_consts_.pop_back();
  def.state = ConstDef::State::kDone;
  if (def.value->type == kPoison) {
    def.type = kPoison;
    return;
  }
  const auto folded = fold(*def.value);
  if (folded) {
    def.folded = *folded;
  } else if (folded.error().is_constant) {
    diagnostics.report(Code::E0315, folded.error().span, folded.error().message);
  } else if (!folded.error().was_reported) {
    diagnostics
        .report(Code::E0310, folded.error().span, "this is not known when the program is compiled")
        .because(
            "a constant is made of literals, other constants, and what operators make of "
            "them; a `fn` without parameters computes the rest");
  }
}

}  // namespace sluice::compiler
