#include "compiler/check/flows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/engine_events.hpp"

namespace sluice::compiler {

using namespace ir;

FlowChecker::FlowChecker(Context& context, ModuleScope& scope, FlowDef& flow)
    : context_(context),
      types_(context.types),
      scope_(scope),
      flow_(flow),
      tree_(std::get<ast::FlowDecl>(flow.tree->node)),
      locals_(context),
      exprs_(context, scope, World::kFlow, locals_) {}

void FlowChecker::run() {
  locals_.open();
  parameters();
  settings();
  flow_.body = block(tree_.body);
  if (tree_.on_failure) {
    place_ = Place::kOnFailure;
    locals_.open();
    flow_.why =
        context_.local(tree_.on_failure->why, context_.program.failure->type, Local::Kind::kWhy);
    locals_.declare(flow_.why);
    flow_.on_failure = block(tree_.on_failure->body);
    locals_.close();
  }
  locals_.close();
  if (flow_.concurrency) hears_its_event();
}

void FlowChecker::parameters() {
  for (FieldDef& parameter : flow_.parameters) {
    Local* local =
        context_.local({parameter.name, parameter.span}, parameter.type, Local::Kind::kParameter);
    locals_.declare(local);
    flow_.locals.push_back(local);
  }
}

// ------------------------------------------------------------------------------------- statements

Block FlowChecker::block(const ast::Block& tree) {
  locals_.open();
  Block made = open_block(tree);
  locals_.close();
  return made;
}

Block FlowChecker::open_block(const ast::Block& tree) {
  Block made;
  made.span = tree.span;
  for (const ast::StmtPtr& each : tree.statements) {
    if (Stmt* stmt = statement(*each)) made.statements.push_back(stmt);
  }
  return made;
}

Stmt* FlowChecker::made(const ast::Stmt& tree, decltype(Stmt::node) node) {
  return &context_.program.stmts.emplace_back(Stmt{tree.span, std::move(node)});
}

Stmt* FlowChecker::statement(const ast::Stmt& tree) {
  return std::visit(ast::Overloaded{
                        [&](const ast::LetStmt& node) { return let(tree, node); },
                        [&](const ast::VarStmt& node) { return var(tree, node); },
                        [&](const ast::SetStmt& node) { return set(tree, node); },
                        [&](const ast::StepStmt& node) { return step_statement(tree, node); },
                        [&](const ast::ParallelStmt& node) { return parallel(tree, node); },
                        [&](const ast::IfStmt& node) { return if_statement(tree, node); },
                        [&](const ast::MatchStmt& node) { return match(tree, node); },
                        [&](const ast::NotifyStmt& node) { return notify(tree, node); },
                        [&](const ast::LogStmt& node) { return log(tree, node); },
                        [&](const ast::ReturnStmt& node) { return return_statement(tree, node); },
                        [&](const ast::FailStmt& node) { return fail(tree, node); },
                        [&](const ast::WhileStmt& node) { return while_loop(tree, node); },
                        [&](const ast::EachStmt& node) { return each(tree, node, nullptr); },
                        [&](const ast::RaceStmt& node) { return race(tree, node, nullptr); },
                        [&](const ast::YieldStmt& node) { return yield(tree, node); },
                        [&](const ast::BreakStmt&) { return jump(tree, "break"); },
                        [&](const ast::ContinueStmt&) { return jump(tree, "continue"); },
                        [&](const ast::TryStmt& node) { return try_statement(tree, node); },
                        [&](const ast::DeadlineStmt& node) { return deadline(tree, node); },
                        [&](const ast::SleepStmt& node) { return sleep(tree, node); },
                        [&](const ast::ReceiveStmt& node) { return receive(tree, node); },
                        [&](const ast::PublishStmt& node) { return publish(tree, node); },
                        [&](const ast::StartStmt& node) { return start(tree, node, nullptr); },
                        // What could not be read was told.
                        [&](const ast::DamagedStmt&) { return made(tree, Refused{}); },
                    },
                    tree.node);
}

namespace {

// The word `let` or `var` at the beginning of a statement.
Span first_three(Span statement) {
  return {statement.file, statement.begin, statement.begin + 3};
}

}  // namespace

// `let x = task(…)`, where `step` is meant.
bool FlowChecker::is_step_without_its_word(const ast::Stmt& tree, const ast::Expr& value) {
  const auto* call = ast::as<ast::CallExpr>(value);
  const auto* name = call == nullptr ? nullptr : ast::as<ast::NameExpr>(*call->callee);
  const Symbol* symbol = name == nullptr ? nullptr : scope_.find(Space::kValue, name->name);
  const bool is_task = symbol != nullptr && symbol->as<TaskDef>() != nullptr;
  if (!is_task && (symbol == nullptr || symbol->as<FlowDef>() == nullptr)) return false;
  for (const ast::Argument& argument : call->arguments) exprs_.infer(*argument.value);
  context_.diagnostics
      .report(Code::E0203, call->callee->span,
              fmt::format("`{}` is a {}, not a function", name->name, is_task ? "task" : "flow"))
      .also(symbol->span, "declared here")
      .because("a `step` runs it and names its result")
      .mend("write `step`", {{first_three(tree.span), "step"}});
  return true;
}

Stmt* FlowChecker::let(const ast::Stmt& tree, const ast::LetStmt& node) {
  if (node.source != nullptr) {
    if (const auto* loop = ast::as<ast::EachStmt>(*node.source)) {
      return each(*node.source, *loop, &node.name);
    }
    if (const auto* found = ast::as<ast::RaceStmt>(*node.source)) {
      return race(*node.source, *found, &node.name);
    }
    return start(*node.source, std::get<ast::StartStmt>(node.source->node), &node.name);
  }
  Expr* value = is_step_without_its_word(tree, *node.value)
                    ? context_.poison(node.value->span)
                    : exprs_.infer_closed(*node.value, node.name.text);
  Local* local = context_.local(node.name, value->type, Local::Kind::kLet);
  local->word = first_three(tree.span);
  locals_.declare(local);
  return made(tree, Let{local, value});
}

Stmt* FlowChecker::var(const ast::Stmt& tree, const ast::VarStmt& node) {
  Expr* value = exprs_.infer_closed(*node.value, node.name.text);
  Local* local = context_.local(node.name, value->type, Local::Kind::kVar);
  local->word = first_three(tree.span);
  locals_.declare(local);
  return made(tree, Let{local, value});
}

Stmt* FlowChecker::set(const ast::Stmt& tree, const ast::SetStmt& node) {
  Local* local = locals_.find(node.name.text);
  if (local == nullptr) {
    exprs_.infer(*node.value);
    if (context_.is_lost(node.name)) return nullptr;
    if (const Span* dead = locals_.find_dead(node.name.text)) {
      context_.diagnostics
          .report(Code::E0201, node.name.span,
                  fmt::format("`{}` is not known here any more", node.name.text))
          .also(*dead, "declared here, in a block that has ended");
    } else {
      context_.unknown(Code::E0201, "there is no variable", node.name, locals_.names());
    }
    return nullptr;
  }
  Expr* value = exprs_.want(
      *node.value, {local->type, local->span, fmt::format("`{}` is declared here", local->name)});
  const bool told = local->assigned;  // one word is wrong, however often the name is set
  local->assigned = true;
  if (local->kind != Local::Kind::kVar && told) return made(tree, Set{local, value});
  if (local->kind != Local::Kind::kVar) {
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0409, node.name.span, fmt::format("`{}` cannot be set", local->name));
    diagnostic.also(local->span, local->kind == Local::Kind::kLet
                                     ? "bound once, by `let`; `var` makes a variable"
                                     : "bound here, once");
    if (local->word) diagnostic.mend("write `var`", {{*local->word, "var"}});
  } else if (local->frame != locals_.frame()) {
    context_.diagnostics
        .report(Code::E0409, node.name.span,
                fmt::format("`{}` cannot be set from here", local->name))
        .also(local->span, "it belongs to the flow outside")
        .because(place_ == Place::kCompensation
                     ? "a compensation reads values as they were when its step ended"
                     : "branches run at the same time, so the result would depend on chance; give "
                       "the value back as the result of a step");
  }
  return made(tree, Set{local, value});
}

Stmt* FlowChecker::if_statement(const ast::Stmt& tree, const ast::IfStmt& node) {
  If out;
  for (const ast::IfArm& arm : node.arms) {
    IfArm& each = out.arms.emplace_back();
    locals_.open();
    if (!arm.binding) {
      each.condition = exprs_.want_bool(*arm.condition);
    } else {
      each.condition = exprs_.infer(*arm.condition);
      const TypeId type = each.condition->type;
      if (!types_.is_optional(type) && type != kPoison) {
        context_.diagnostics
            .report(Code::E0312, arm.condition->span,
                    "`if let` looks whether a value is there, and this one always is")
            .here(fmt::format("this is {}", with_article(types_.name(type))))
            .because("`let` binds it without a question");
      }
      each.binding = context_.local(*arm.binding, types_.without_optional(type), Local::Kind::kLet);
      locals_.declare(each.binding);
    }
    each.body = block(arm.body);
    locals_.close();
  }
  if (node.else_body) out.else_body = block(*node.else_body);
  return made(tree, std::move(out));
}

Stmt* FlowChecker::match(const ast::Stmt& tree, const ast::MatchStmt& node) {
  Match out;
  out.subject = exprs_.infer_closed(*node.subject, "match");
  Exprs::Coverage coverage;
  for (const ast::MatchCase& each : node.cases) {
    MatchCase& made_case = out.cases.emplace_back();
    locals_.open();
    made_case.pattern = exprs_.pattern(*each.pattern, *out.subject, coverage);
    made_case.body = block(each.body);
    locals_.close();
  }
  std::optional<Span> else_span;
  if (node.else_body) {
    out.else_body = block(*node.else_body);
    else_span = node.else_body->span;
  }
  exprs_.finish_match(tree.span, *out.subject, coverage, else_span);
  return made(tree, std::move(out));
}

RecordDef* FlowChecker::event_type(const Expr& value, std::string_view what) {
  if (value.type == kPoison) return nullptr;
  const RecordDef* record = types_[value.type].record;
  if (record != nullptr && record->is_event) return &context_.program.records[record->index];
  context_.diagnostics
      .report(
          Code::E0413, value.span,
          fmt::format("{} an event, and this is {}", what, with_article(types_.name(value.type))))
      .because("what crosses the edge is declared with `event`");
  return nullptr;
}

Stmt* FlowChecker::notify(const ast::Stmt& tree, const ast::NotifyStmt& node) {
  Notify out;
  out.value = exprs_.infer(*node.event);
  RecordDef* event = event_type(*out.value, "`notify` sends");
  if (event != nullptr && refuse_engines(*event, node.event->span, context_.diagnostics))
    event = nullptr;
  if (event != nullptr) event->crosses_edge = true;
  out.event = event;
  out.target = node.target;
  const bool group = node.target == ast::NotifyStmt::Target::kGroup;
  const auto* name = group ? ast::as<ast::NameExpr>(*node.to) : nullptr;
  if (name != nullptr) {
    // A bare word is the group's name, whatever else is called so.
    out.to = context_.expr(node.to->span, kString, StringValue{name->name});
  } else if (node.to != nullptr) {
    out.to = exprs_.want(*node.to, {kString});
  }
  return made(tree, out);
}

Stmt* FlowChecker::log(const ast::Stmt& tree, const ast::LogStmt& node) {
  return made(tree, Log{exprs_.want(*node.value, {kString})});
}

Stmt* FlowChecker::return_statement(const ast::Stmt& tree, const ast::ReturnStmt& node) {
  Return out;
  if (node.value != nullptr) out.value = exprs_.infer(*node.value);
  if (place_ == Place::kCompensation) {
    context_.diagnostics.report(Code::E0407, tree.span, "a compensation cannot answer for the run")
        .because("it undoes a step; `on failure` answers");
    return nullptr;
  }
  check_outcome(tree, out);
  return made(tree, out);
}

void FlowChecker::check_outcome(const ast::Stmt& tree, Return& node) {
  const bool has_outcomes = !flow_.outcomes.empty() || !flow_.outcomes_known;
  if (node.value == nullptr) {
    if (!has_outcomes || !flow_.outcomes_known) return;
    context_.diagnostics
        .report(Code::E0404, tree.span, "a run of this flow ends with one of its outcomes")
        .also(flow_.tree->name.span, "the flow declares outcomes");
    return;
  }
  if (!has_outcomes) {
    if (node.value->type == kPoison) return;
    context_.diagnostics
        .report(Code::E0404, node.value->span,
                fmt::format("the flow `{}` declares no outcomes", flow_.name))
        .also(flow_.tree->name.span, "`-> EVENT` behind the parameters declares them")
        .because("who waits for a run must be able to read in its head what it answers");
    return;
  }
  RecordDef* event = event_type(*node.value, "a run is answered with");
  if (event == nullptr) return;
  if (std::find(flow_.outcomes.begin(), flow_.outcomes.end(), event) != flow_.outcomes.end()) {
    node.event = event;
    return;
  }
  if (!flow_.outcomes_known) return;
  std::string names;
  for (const RecordDef* outcome : flow_.outcomes) {
    names += fmt::format("{}`{}`", names.empty() ? "" : ", ", outcome->name);
  }
  const Span head = join(tree_.outcomes.front().span, tree_.outcomes.back().span);
  context_.diagnostics
      .report(Code::E0403, node.value->span,
              fmt::format("`{}` is no outcome of the flow `{}`", event->name, flow_.name))
      .also(head, fmt::format("its outcomes: {}", names))
      .mend(fmt::format("add `or {}`", event->name),
            {{{head.file, head.end, head.end}, fmt::format(" or {}", event->name)}});
}

Stmt* FlowChecker::fail(const ast::Stmt& tree, const ast::FailStmt& node) {
  Fail out;
  out.kind = node.kind.text;
  out.message = node.message != nullptr
                    ? exprs_.want(*node.message, {kString})
                    : context_.expr(tree.span, kString, StringValue{node.kind.text});
  flow_.failed_kinds.emplace_back(node.kind.text, node.kind.span);
  if (place_ == Place::kOnFailure) {
    context_.diagnostics
        .report(Code::E0406, tree.span, "`on failure` answers; it must not fail itself")
        .because("when it fails, the client gets the engine's bare `sluice.failed`");
    return nullptr;
  }
  return made(tree, std::move(out));
}

void check_bodies(Context& context) {
  for (FnDef& def : context.program.fns) {
    const auto& node = std::get<ast::FnDecl>(def.tree->node);
    Locals locals(context);
    Exprs exprs(context, *context.scope_of.at(def.module), World::kPure, locals);
    locals.open();
    for (FieldDef& parameter : def.parameters) {
      Local* local =
          context.local({parameter.name, parameter.span}, parameter.type, Local::Kind::kParameter);
      locals.declare(local);
      def.locals.push_back(local);
    }
    def.body = exprs.want(*node.body, {def.result, node.result->span, "the function's result"});
    def.calls = std::move(exprs.calls());
    def.checks_json = exprs.checks_json();
    locals.close();
  }
  for (FlowDef& def : context.program.flows) {
    FlowChecker(context, *context.scope_of.at(def.module), def).run();
  }
}

}  // namespace sluice::compiler
