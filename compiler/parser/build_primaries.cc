#include <fmt/format.h>

#include "FlowLexer.h"
#include "compiler/parser/builder.hpp"
#include "compiler/parser/literals.hpp"

namespace sluice::compiler {

using grammar::FlowLexer;

ast::ExprPtr Builder::primary(Parser::PrimaryContext* context) {
  const Span span = span_of(context);
  if (auto* word = dynamic_cast<Parser::NameExpressionContext*>(context)) {
    if (word->TYPE() == nullptr) return make(span, ast::NameExpr{name(word->identifier()).text});
    return type_use(span, type_name(word->identifier(), word->TYPE()), word->typeUse());
  }
  if (ast::ExprPtr simple = literal(context); simple != nullptr) return simple;
  if (auto* parens = dynamic_cast<Parser::ParenExpressionContext*>(context)) {
    ast::ExprPtr inner = expression(parens->expression());
    inner->in_parens = true;
    return inner;
  }
  if (auto* word = dynamic_cast<Parser::TypeExpressionContext*>(context)) {
    return type_use(span, type_name(nullptr, word->TYPE()), word->typeUse());
  }
  if (auto* brackets = dynamic_cast<Parser::BracketExpressionContext*>(context)) {
    return bracket_expression(brackets);
  }
  return match_expression(dynamic_cast<Parser::MatchExpressionContext*>(context));
}

ast::ExprPtr Builder::literal(Parser::PrimaryContext* context) {
  if (auto* integer = dynamic_cast<Parser::IntLiteralContext*>(context)) {
    return number(integer->INT());
  }
  if (auto* text = dynamic_cast<Parser::StringLiteralContext*>(context)) {
    return string(text->string());
  }
  if (auto* duration = dynamic_cast<Parser::DurationLiteralContext*>(context)) {
    return number(duration->DURATION());
  }
  if (auto* decimal = dynamic_cast<Parser::DecimalLiteralContext*>(context)) {
    return number(decimal->DECIMAL());
  }
  if (auto* truth = dynamic_cast<Parser::BoolLiteralContext*>(context)) {
    return make(span_of(context), ast::BoolLiteral{truth->K_TRUE() != nullptr});
  }
  return nullptr;
}

ast::ExprPtr Builder::number(antlr4::tree::TerminalNode* node) {
  const FlowToken& symbol = token(node->getSymbol());
  const std::string_view spelling = symbol.text();
  if (symbol.getType() == FlowLexer::DURATION) {
    const auto ms = duration_ms(spelling, symbol.span(), diagnostics_);
    if (!ms) return damaged(symbol.span());
    return make(symbol.span(), ast::DurationLiteral{*ms, std::string(spelling)});
  }
  if (symbol.getType() == FlowLexer::DECIMAL) {
    std::string text;
    for (const char letter : spelling) {
      if (letter != '_') text += letter;
    }
    return make(symbol.span(), ast::DecimalLiteral{std::move(text)});
  }
  const auto value = int_value(spelling);
  if (!value.has_value()) {
    diagnostics_.report(Code::E0117, symbol.span(), fmt::format("`{}` is too large", spelling))
        .because("an `int` has 64 bits: at most 9223372036854775807");
    return damaged(symbol.span());
  }
  return make(symbol.span(), ast::IntLiteral{*value});
}

ast::ExprPtr Builder::value(Parser::ValueContext* context) {
  if (context->qualifiedName() != nullptr) return name_chain(context->qualifiedName());
  return number(static_cast<antlr4::tree::TerminalNode*>(context->children.front()));
}

ast::ExprPtr Builder::name_chain(Parser::QualifiedNameContext* context) {
  const ast::Name first = name(context->identifier());
  ast::ExprPtr chain = make(first.span, ast::NameExpr{first.text});
  for (auto* part : context->member()) {
    ast::Name field = name(part);
    const Span span = join(first.span, field.span);
    chain = make(span, ast::FieldExpr{std::move(chain), std::move(field), false});
  }
  return chain;
}

ast::ExprPtr Builder::call(Parser::CallContext* context) {
  ast::ExprPtr callee = name_chain(context->qualifiedName());
  return make(span_of(context), ast::CallExpr{std::move(callee), arguments(context->arguments())});
}

ast::ExprPtr Builder::string(Parser::StringContext* context) {
  const Span span = span_of(context);
  ast::StringLiteral node;
  if (context->BAD_QUOTE() != nullptr) {
    const std::string_view spelling = file_.text_of(span);
    ast::StringPart part;
    part.text = std::string(spelling.substr(1, spelling.size() < 2 ? 0 : spelling.size() - 2));
    part.span = span;
    node.parts.push_back(std::move(part));
    return make(span, std::move(node));
  }
  node.block = context->BLOCK_OPEN() != nullptr;
  // The lexer cuts text at a lone `$` or quote; what is one piece to the author is one piece here.
  std::vector<RawPart> raw;
  for (auto* part : context->stringPart()) {
    const Span place = span_of(part);
    const bool interpolation = part->expression() != nullptr;
    if (!interpolation && !raw.empty() && !raw.back().interpolation) {
      raw.back().span.end = place.end;
      raw.back().text = file_.text_of(raw.back().span);
    } else {
      raw.push_back(
          {interpolation ? std::string_view() : file_.text_of(place), place, interpolation});
    }
  }
  std::vector<std::string> values = string_values(raw, node.block, diagnostics_);
  std::vector<Parser::ExpressionContext*> inner;
  for (auto* part : context->stringPart()) {
    if (part->expression() != nullptr) inner.push_back(part->expression());
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (!raw[i].interpolation && values[i].empty()) continue;
    ast::StringPart part;
    part.text = std::move(values[i]);
    part.span = raw[i].span;
    if (raw[i].interpolation) part.expr = expression(inner[next++]);
    node.parts.push_back(std::move(part));
  }
  return make(span, std::move(node));
}

ast::ExprPtr Builder::match_expression(Parser::MatchExpressionContext* context) {
  ast::MatchExpr node;
  node.subject = expression(context->expression(0));
  for (auto* arm : context->matchArm()) {
    ast::MatchArm built;
    built.span = span_of(arm);
    built.pattern = pattern(arm->pattern());
    built.value = expression(arm->expression());
    node.arms.push_back(std::move(built));
  }
  if (context->K_ELSE() != nullptr) node.else_value = expression(context->expression(1));
  return make(span_of(context), std::move(node));
}

ast::ExprPtr Builder::type_use(Span span, ast::QualifiedName type_word,
                               Parser::TypeUseContext* use) {
  if (use->fieldInits() != nullptr) {
    return make(span, ast::RecordExpr{std::move(type_word), field_inits(use->fieldInits())});
  }
  return make(span, ast::CaseExpr{std::move(type_word), name(use->member())});
}

ast::ExprPtr Builder::bracket_expression(Parser::BracketExpressionContext* context) {
  const Span span = span_of(context);
  if (context->COLON() != nullptr) return make(span, ast::MapExpr{});
  if (context->expression() == nullptr) return make(span, ast::ListExpr{});
  ast::ExprPtr first = expression(context->expression());
  auto* rest = context->collection();
  if (auto* loop = dynamic_cast<Parser::ComprehensionContext*>(rest)) {
    ast::ComprehensionExpr node;
    node.element = std::move(first);
    node.variable = name(loop->identifier());
    node.source = expression(loop->expression(0));
    if (loop->K_IF() != nullptr) node.filter = expression(loop->expression(1));
    return make(span, std::move(node));
  }
  if (auto* map = dynamic_cast<Parser::MapEntriesContext*>(rest)) {
    ast::MapExpr node;
    ast::ExprPtr value_of_first = expression(map->expression());
    node.entries.push_back({std::move(first), std::move(value_of_first)});
    for (auto* entry : map->mapEntry()) {
      ast::ExprPtr key = expression(entry->expression(0));
      ast::ExprPtr mapped = expression(entry->expression(1));
      node.entries.push_back({std::move(key), std::move(mapped)});
    }
    return make(span, std::move(node));
  }
  ast::ListExpr node;
  node.elements.push_back(std::move(first));
  auto* list = dynamic_cast<Parser::ListElementsContext*>(rest);
  for (auto* element : list->expression()) node.elements.push_back(expression(element));
  return make(span, std::move(node));
}

std::vector<ast::Argument> Builder::arguments(Parser::ArgumentsContext* context) {
  std::vector<ast::Argument> result;
  for (auto* argument : context->argument()) {
    ast::Argument built;
    built.span = span_of(argument);
    if (argument->member() != nullptr) built.label = name(argument->member());
    if (argument->typeName() != nullptr) {
      const ast::QualifiedName type = qualified(argument->typeName());
      built.value = make(type.span, ast::NameExpr{type.text()});
    } else {
      built.value = expression(argument->expression());
    }
    result.push_back(std::move(built));
  }
  return result;
}

std::vector<ast::FieldInit> Builder::field_inits(Parser::FieldInitsContext* context) {
  std::vector<ast::FieldInit> result;
  for (auto* init : context->fieldInit()) {
    ast::FieldInit built;
    built.span = span_of(init);
    built.name = name(init->member());
    built.value = expression(init->expression());
    result.push_back(std::move(built));
  }
  return result;
}

}  // namespace sluice::compiler
