#include <fmt/format.h>

#include "compiler/parser/builder.hpp"

namespace sluice::compiler {

ast::Name Builder::title(Parser::StringContext* context) {
  const ast::ExprPtr text = string(context);
  const auto plain = ast::as<ast::StringLiteral>(text)->plain();
  if (!plain.has_value()) {
    diagnostics_.report(Code::E0101, text->span, "a title cannot hold an interpolation")
        .because("it is known before the program runs; write `\\$` for the sign itself");
  }
  return {plain.value_or(""), text->span};
}

void Builder::declare(ast::Decl& decl, Parser::TestDeclarationContext* context) {
  decl.name = title(context->string());
  decl.node = ast::TestDecl{test_items(context->testItem())};
}

void Builder::declare(ast::Decl& decl, Parser::InvariantDeclarationContext* context) {
  decl.name = title(context->string());
  ast::InvariantDecl node{test_items(context->testItem())};
  for (const ast::TestItem& item : node.items) {
    if (ast::as<ast::AlwaysItem>(item) != nullptr) continue;
    diagnostics_.report(Code::E0101, item.span, "an invariant holds `always` lines only")
        .because("it is a property of every run; a scenario is a `test`");
  }
  decl.node = std::move(node);
}

std::vector<ast::TestItem> Builder::test_items(
    const std::vector<Parser::TestItemContext*>& contexts) {
  std::vector<ast::TestItem> result;
  for (auto* each : contexts) {
    if (is_lost(each)) continue;
    if (auto built = test_item(each); built.has_value()) result.push_back(std::move(*built));
  }
  return result;
}

std::optional<ast::TestItem> Builder::test_item(Parser::TestItemContext* context) {
  ast::TestItem result;
  result.span = span_of(context);
  if (auto* item = dynamic_cast<Parser::GivenContext*>(context)) {
    ast::GivenItem node;
    node.task = qualified(item->qualifiedName());
    for (auto* each : item->givenAnswer()) node.answers.push_back(given_answer(each));
    result.node = std::move(node);
    return result;
  }
  if (auto* item = dynamic_cast<Parser::WhenContext*>(context)) {
    result.node = when(item);
    return result;
  }
  if (auto* item = dynamic_cast<Parser::ExpectEventContext*>(context)) {
    result.node = expect_event(item->eventExpectation());
    return result;
  }
  if (auto* item = dynamic_cast<Parser::ExpectStepContext*>(context)) {
    result.node = expect_step(item);
    return result;
  }
  if (auto* item = dynamic_cast<Parser::ExpectRefusedContext*>(context)) {
    result.node = ast::ExpectRefusedItem{item->identifier() != nullptr ? name(item->identifier())
                                                                       : name(item->TYPE())};
    return result;
  }
  if (auto* item = dynamic_cast<Parser::ExpectValueContext*>(context)) {
    result.node = ast::ExpectValueItem{expression(item->expression())};
    return result;
  }
  if (auto* item = dynamic_cast<Parser::AlwaysContext*>(context)) {
    result.node = ast::AlwaysItem{expression(item->expression())};
    return result;
  }
  return std::nullopt;
}

ast::WhenItem Builder::when(Parser::WhenContext* context) {
  ast::WhenItem node;
  if (context->value() != nullptr) {
    node.after = value(context->value());
    // `given look returns "x" after 1s`, and the next line begins with `when`.
    const FlowToken& after = token(context->K_AFTER()->getSymbol());
    const FlowToken& word = token(context->K_WHEN()->getSymbol());
    if (!after.first_on_line && word.first_on_line) {
      diagnostics_
          .report(Code::E0101, join(after.span(), span_of(context->value())),
                  "`after` begins the line of its `when`")
          .because("what a task takes stands before its answer: `given TASK takes 1s returns …`");
    }
  }
  if (context->string() != nullptr) node.from = string(context->string());
  auto* what = context->happening();
  if (what->call() != nullptr) {
    node.start = call(what->call());
  } else if (what->typeName() != nullptr) {
    ast::QualifiedName type_name = qualified(what->typeName());
    const Span span = join(type_name.span, span_of(what->fieldInits()));
    node.event = make(span, ast::RecordExpr{std::move(type_name), field_inits(what->fieldInits())});
    if (what->NAME() != nullptr) {
      node.version = version(what->NAME());
      node.version_span = span_of(what->NAME());
    }
    if (what->qualifiedName() != nullptr) node.topic = qualified(what->qualifiedName());
  }
  return node;
}

ast::GivenAnswer Builder::given_answer(Parser::GivenAnswerContext* context) {
  ast::GivenAnswer node;
  node.span = span_of(context);
  if (auto* times = context->givenTimes(); times != nullptr) {
    const bool queue = times->K_QUEUE() != nullptr;
    if (queue) node.queue = value(times->value(0));
    if (times->K_STREAM() != nullptr) node.stream = value(times->value(queue ? 1 : 0));
  }
  if (context->value() != nullptr) node.takes = value(context->value());
  if (context->expression() != nullptr) node.returns = expression(context->expression());
  if (context->TYPE() != nullptr) node.fails = name(context->TYPE());
  if (context->string() != nullptr) node.message = string(context->string());
  node.always = context->K_ALWAYS() != nullptr;
  return node;
}

ast::ExpectEventItem Builder::expect_event(Parser::EventExpectationContext* context) {
  using Kind = ast::ExpectEventItem::Kind;
  ast::ExpectEventItem node;
  node.kind = context->K_RETURN() != nullptr   ? Kind::kReturn
              : context->K_NOTIFY() != nullptr ? Kind::kNotify
                                               : Kind::kPublish;
  node.event.type = qualified(context->typeName());
  node.event.has_fields = context->fieldInits() != nullptr;
  if (node.event.has_fields) node.event.fields = field_inits(context->fieldInits());
  if (context->value() != nullptr) node.within = value(context->value());
  using Count = ast::ExpectEventItem::Count;
  auto* count = context->eventCount();
  if (count == nullptr) return node;
  node.count = count->K_ONCE() != nullptr    ? Count::kOnce
               : count->K_NEVER() != nullptr ? Count::kNever
                                             : Count::kTimes;
  if (node.count == Count::kTimes) node.times = number(count->INT());
  return node;
}

ast::ExpectStepItem Builder::expect_step(Parser::ExpectStepContext* context) {
  using Kind = ast::ExpectStepItem::Kind;
  ast::ExpectStepItem node;
  node.step = qualified(context->qualifiedName());
  auto* count = context->stepCount();
  if (count == nullptr || count->K_NEVER() != nullptr) {
    node.kind = Kind::kNever;
  } else if (count->K_TIMES() != nullptr) {
    node.kind = Kind::kTimes;
    node.times = number(count->INT());
  } else if (count->K_BEFORE() != nullptr) {
    node.kind = Kind::kBefore;
    node.other = qualified(count->qualifiedName());
  } else if (count->K_WITHIN() != nullptr) {
    node.kind = Kind::kWithin;
    node.within = value(count->value());
  }
  return node;
}

}  // namespace sluice::compiler
