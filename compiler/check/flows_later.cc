// Statements that the language has and this version does not execute yet. Each is reported once, by
// its name, and what stands inside is checked like the rest, so that no other mistake hides there.
#include <fmt/format.h>

#include "compiler/check/flows.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// The statement's first word.
Span first_word(const ast::Stmt& tree, std::string_view word) {
  const auto size = static_cast<std::uint32_t>(word.substr(0, word.find(' ')).size());
  return {tree.span.file, tree.span.begin, tree.span.begin + size};
}

}  // namespace

void FlowChecker::refuse(Code code, const ast::Stmt& tree, std::string_view word,
                         std::string_view why) {
  context_.diagnostics
      .report(code, first_word(tree, word), fmt::format("`{}` is not executed yet", word))
      .because(std::string(why));
}

bool FlowChecker::forbidden_in_on_failure(const ast::Stmt& tree, std::string_view word) {
  if (place_ != Place::kOnFailure) return false;
  context_.diagnostics
      .report(Code::E0406, first_word(tree, word),
              fmt::format("`{}` has no place in `on failure`", word))
      .because(
          "somebody waits for the answer: `on failure` ends within 10 s and waits for nothing "
          "but steps that have a `fallback`");
  return true;
}

void FlowChecker::outside_loop(const ast::Stmt& tree, std::string_view word) {
  if (loops_ > 0) return;
  context_.diagnostics.report(Code::E0412, tree.span,
                              fmt::format("`{}` belongs into a loop", word));
}

Stmt* FlowChecker::later(const ast::Stmt& tree) {
  Refused out = std::visit(
      ast::Overloaded{
          [&](const ast::RaceStmt& node) { return race(tree, node); },
          [&](const ast::EachStmt& node) { return each(tree, node); },
          [&](const ast::WhileStmt& node) { return while_loop(tree, node); },
          [&](const ast::ReceiveStmt& node) { return receive(tree, node); },
          [&](const ast::DeadlineStmt& node) { return deadline(tree, node); },
          [&](const ast::TryStmt& node) { return try_statement(tree, node); },
          [&](const ast::StartStmt& node) { return start(tree, node); },
          [&](const ast::YieldStmt& node) {
            exprs_.infer(*node.value);
            if (gathering_ == 0) {
              context_.diagnostics
                  .report(Code::E0412, tree.span, "`yield` belongs into `race` or `each`")
                  .because("it gives the value of a branch or of a round");
            }
            return Refused{};
          },
          [&](const ast::BreakStmt&) {
            outside_loop(tree, "break");
            return Refused{};
          },
          [&](const ast::ContinueStmt&) {
            outside_loop(tree, "continue");
            return Refused{};
          },
          [&](const ast::SleepStmt& node) {
            exprs_.infer(*node.value);
            if (!forbidden_in_on_failure(tree, "sleep")) {
              refuse(Code::E0606, tree, "sleep", "a run waits for its steps, and for nothing else");
            }
            return Refused{};
          },
          [&](const ast::PublishStmt& node) {
            exprs_.infer(*node.event);
            context_.resolve(scope_, Space::kTopic, node.topic, "topic");
            refuse(Code::E0609, tree, "publish", "events come into topics from outside");
            return Refused{};
          },
          [&](const ast::LogStmt& node) {
            exprs_.infer(*node.value);
            refuse(Code::E0611, tree, "log", "the history of a run shows each step and its result");
            return Refused{};
          },
          [&](const auto&) { return Refused{}; },
      },
      tree.node);
  return made(tree, std::move(out));
}

Refused FlowChecker::race(const ast::Stmt& tree, const ast::RaceStmt& node) {
  refuse(Code::E0602, tree, "race", "`parallel` waits for all of its branches");
  Refused out;
  ++gathering_;
  for (Branch& each : branches(node.branches)) out.blocks.push_back(std::move(each.body));
  --gathering_;
  return out;
}

Refused FlowChecker::each(const ast::Stmt& tree, const ast::EachStmt& node) {
  refuse(Code::E0603, tree, "each",
         "`parallel` runs branches that are written out; a comprehension goes through a list");
  Expr* source = exprs_.infer(*node.source);
  if (node.parallel != nullptr) exprs_.want(*node.parallel, {kInt});
  const TypeInfo info = types_[source->type];
  TypeId element = kPoison;
  if (info.kind == TypeKind::kList) {
    element = info.element;
  } else if (info.kind != TypeKind::kPoison) {
    context_.diagnostics.report(Code::E0316, node.source->span,
                                fmt::format("only a list can be gone through, and this is {}",
                                            with_article(types_.name(source->type))));
  }
  locals_.open();
  locals_.declare(context_.local(node.variable, element, Local::Kind::kElement));
  ++loops_;
  ++gathering_;
  if (node.parallel != nullptr) locals_.enter_frame();
  Refused out;
  out.blocks.push_back(block(node.body));
  if (node.parallel != nullptr) locals_.leave_frame();
  --gathering_;
  --loops_;
  locals_.close();
  return out;
}

Refused FlowChecker::while_loop(const ast::Stmt& tree, const ast::WhileStmt& node) {
  refuse(Code::E0604, tree, "while", "a step can be repeated with `attempts`");
  exprs_.want_bool(*node.condition);
  ++loops_;
  Refused out;
  out.blocks.push_back(block(node.body));
  --loops_;
  return out;
}

Refused FlowChecker::receive(const ast::Stmt& tree, const ast::ReceiveStmt& node) {
  if (!forbidden_in_on_failure(tree, "receive")) {
    refuse(Code::E0605, tree, "receive", "a run waits for its steps, and for nothing else");
  }
  TypeId type = kPoison;
  if (const Symbol* symbol = context_.resolve(scope_, Space::kType, node.event, "event")) {
    if (RecordDef* event = symbol->as<RecordDef>()) type = event->type;
  }
  if (node.topic) context_.resolve(scope_, Space::kTopic, *node.topic, "topic");
  if (node.within != nullptr) exprs_.want(*node.within, {kDuration});
  Refused out;
  if (node.else_body) out.blocks.push_back(block(*node.else_body));
  // Without a block the name lives on after the statement.
  const bool inner = node.body.has_value();
  if (inner) locals_.open();
  locals_.declare(context_.local(node.name, type, Local::Kind::kElement));
  if (node.where != nullptr) exprs_.want_bool(*node.where);
  if (inner) {
    out.blocks.push_back(block(*node.body));
    locals_.close();
  }
  return out;
}

Refused FlowChecker::deadline(const ast::Stmt& tree, const ast::DeadlineStmt& node) {
  refuse(Code::E0607, tree, "deadline", "`within` bounds a step, `timeout` the whole flow");
  exprs_.want(*node.duration, {kDuration});
  Refused out;
  out.blocks.push_back(block(node.body));
  if (node.else_body) out.blocks.push_back(block(*node.else_body));
  return out;
}

Refused FlowChecker::try_statement(const ast::Stmt& tree, const ast::TryStmt& node) {
  refuse(Code::E0608, tree, "try",
         "`fallback` stands in for a step that fails, `on failure` answers for the whole flow");
  Refused out;
  out.blocks.push_back(block(node.body));
  for (const ast::CatchArm& arm : node.catches) {
    locals_.open();
    if (arm.why) {
      locals_.declare(context_.local(*arm.why, context_.program.failure->type, Local::Kind::kWhy));
    }
    out.blocks.push_back(block(arm.body));
    locals_.close();
  }
  return out;
}

Refused FlowChecker::start(const ast::Stmt& tree, const ast::StartStmt& node) {
  refuse(Code::E0610, tree, "start", "a flow is started by its topic or through the API");
  if (const auto* call = ast::as<ast::CallExpr>(*node.call)) {
    for (const ast::Argument& argument : call->arguments) exprs_.infer(*argument.value);
  }
  if (node.for_client != nullptr) exprs_.want(*node.for_client, {kString});
  return {};
}

}  // namespace sluice::compiler
