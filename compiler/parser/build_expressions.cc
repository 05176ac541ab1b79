#include <fmt/format.h>

#include <algorithm>

#include "FlowLexer.h"
#include "compiler/limits.hpp"
#include "compiler/parser/builder.hpp"

namespace sluice::compiler {

using grammar::FlowLexer;

const FlowToken& Builder::token(antlr4::Token* symbol) {
  return *static_cast<FlowToken*>(symbol);
}

Span Builder::span_of(antlr4::tree::TerminalNode* node) {
  return token(node->getSymbol()).span();
}

Span Builder::span_of(antlr4::ParserRuleContext* context) {
  const Span first = token(context->start).span();
  if (context->stop == nullptr ||
      context->stop->getTokenIndex() < context->start->getTokenIndex()) {
    return Span{first.file, first.begin, first.begin};
  }
  return join(first, token(context->stop).span());
}

ast::Name Builder::name(const FlowToken& symbol) {
  if (symbol.text().size() > kNameBytesMax) {
    diagnostics_.report(Code::E0127, symbol.span(), "this name is too long")
        .because(fmt::format("a name has at most {} letters; it travels with every record",
                             kNameBytesMax));
  }
  return {std::string(symbol.text()), symbol.span()};
}

ast::Name Builder::name(antlr4::tree::TerminalNode* node) {
  return name(token(node->getSymbol()));
}

ast::Name Builder::name(Parser::IdentifierContext* context) {
  return name(token(context->start));
}

ast::Name Builder::name(Parser::MemberContext* context) {
  return name(token(context->start));
}

ast::QualifiedName Builder::qualified(Parser::QualifiedNameContext* context) {
  ast::QualifiedName result;
  result.span = span_of(context);
  result.parts.push_back(name(context->identifier()));
  for (auto* part : context->member()) result.parts.push_back(name(part));
  return result;
}

ast::QualifiedName Builder::qualified(Parser::TypeNameContext* context) {
  return type_name(context->identifier(), context->TYPE());
}

ast::QualifiedName Builder::type_name(Parser::IdentifierContext* module,
                                      antlr4::tree::TerminalNode* type_word) {
  ast::QualifiedName result;
  result.span = span_of(type_word);
  if (module != nullptr) {
    result.span.begin = span_of(module).begin;
    result.parts.push_back(name(module));
  }
  result.parts.push_back(name(type_word));
  return result;
}

ast::Doc Builder::doc_before(antlr4::ParserRuleContext* context) {
  const FlowToken& first = token(context->start);
  const std::size_t index = first.getTokenIndex();
  const std::uint32_t from = index == 0 ? 0 : list_.tokens[index - 1].span().end;
  const auto begins_later = [](std::uint32_t offset, const Comment& comment) {
    return offset <= comment.span.begin;
  };
  auto last = std::upper_bound(list_.comments.begin(), list_.comments.end(), first.span().begin,
                               begins_later);
  auto begin = last;
  while (begin != list_.comments.begin() && std::prev(begin)->documentation &&
         std::prev(begin)->span.begin >= from) {
    const Span before = std::prev(begin)->span;
    // What stands behind code on its line speaks of that code.
    const std::string_view gap = std::string_view(file_.text()).substr(from, before.begin - from);
    if (index > 0 && gap.find('\n') == std::string_view::npos) break;
    --begin;
  }
  ast::Doc doc;
  for (auto it = begin; it != last; ++it) {
    std::string_view line = file_.text_of(it->span).substr(3);
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (it == begin) {
      doc.span = it->span;
    } else {
      doc.text += '\n';
    }
    doc.text += line;
    doc.span.end = it->span.end;
  }
  return doc;
}

ast::ExprPtr Builder::make(Span span, decltype(ast::Expr::node) node) {
  auto expr = std::make_unique<ast::Expr>();
  expr->span = span;
  expr->id = module_->expr_count++;
  expr->node = std::move(node);
  return expr;
}

ast::TypePtr Builder::type(Parser::TypeContext* context) {
  auto* simple = context->simpleType();
  auto result = std::make_unique<ast::Type>();
  result->span = span_of(simple);
  if (simple->identifier() != nullptr || simple->TYPE() != nullptr) {
    ast::NamedType named;
    named.name.span = result->span;
    if (simple->identifier() != nullptr) named.name.parts.push_back(name(simple->identifier()));
    if (simple->TYPE() != nullptr) named.name.parts.push_back(name(simple->TYPE()));
    result->node = std::move(named);
  } else if (simple->LBRACKET() != nullptr) {
    result->node = ast::ListType{type(simple->type(0))};
  } else {
    result->node = ast::MapType{type(simple->type(0)), type(simple->type(1))};
  }
  if (context->QUESTION() == nullptr) return result;
  auto optional = std::make_unique<ast::Type>();
  optional->span = span_of(context);
  optional->node = ast::OptionalType{std::move(result)};
  return optional;
}

ast::PatternPtr Builder::pattern(Parser::PatternContext* context) {
  auto result = std::make_unique<ast::Pattern>();
  result->span = span_of(context);
  std::vector<ast::Name> bindings;
  if (auto* bound = context->bindings(); bound != nullptr) {
    for (auto* each : bound->identifier()) bindings.push_back(name(each));
  }
  if (context->TYPE() != nullptr) {
    ast::TypePattern node{type_name(context->identifier(), context->TYPE()), std::nullopt,
                          std::move(bindings)};
    if (context->member() != nullptr) node.case_name = name(context->member());
    result->node = std::move(node);
  } else if (context->identifier() != nullptr) {
    ast::Name word = name(context->identifier());
    if (word.text == "_" && bindings.empty()) {
      result->node = ast::WildcardPattern{};
    } else {
      result->node = ast::NamePattern{std::move(word), std::move(bindings)};
    }
  } else if (context->string() != nullptr) {
    result->node = ast::LiteralPattern{string(context->string())};
  } else if (context->K_TRUE() != nullptr || context->K_FALSE() != nullptr) {
    result->node =
        ast::LiteralPattern{make(result->span, ast::BoolLiteral{context->K_TRUE() != nullptr})};
  } else {
    auto* node = context->INT() != nullptr       ? context->INT()
                 : context->DECIMAL() != nullptr ? context->DECIMAL()
                                                 : context->DURATION();
    ast::ExprPtr value = number(node);
    if (context->MINUS() != nullptr) {
      value = make(result->span, ast::UnaryExpr{ast::UnaryOp::kNegate, std::move(value)});
    }
    result->node = ast::LiteralPattern{std::move(value)};
  }
  return result;
}

ast::ExprPtr Builder::expression(Parser::ExpressionContext* context) {
  if (auto* simple = dynamic_cast<Parser::PrimaryExpressionContext*>(context)) {
    return primary(simple->primary());
  }
  if (auto* operation = dynamic_cast<Parser::BinaryExpressionContext*>(context)) {
    return binary(operation);
  }
  const Span span = span_of(context);
  if (auto* negation = dynamic_cast<Parser::NotExpressionContext*>(context)) {
    ast::ExprPtr operand = expression(negation->expression());
    return make(span, ast::UnaryExpr{ast::UnaryOp::kNot, std::move(operand)});
  }
  if (auto* minus = dynamic_cast<Parser::NegateExpressionContext*>(context)) {
    ast::ExprPtr operand = expression(minus->expression());
    return make(span, ast::UnaryExpr{ast::UnaryOp::kNegate, std::move(operand)});
  }
  if (auto* choice = dynamic_cast<Parser::IfExpressionContext*>(context)) {
    ast::IfExpr node;
    node.condition = expression(choice->expression(0));
    node.then_value = expression(choice->expression(1));
    node.else_value = expression(choice->expression(2));
    return make(span, std::move(node));
  }
  if (auto* both = dynamic_cast<Parser::RangeExpressionContext*>(context)) return range(both);
  return postfix(context);
}

ast::ExprPtr Builder::postfix(Parser::ExpressionContext* context) {
  const Span span = span_of(context);
  if (auto* access = dynamic_cast<Parser::FieldExpressionContext*>(context)) {
    ast::ExprPtr base = expression(access->expression());
    return make(span, ast::FieldExpr{std::move(base), name(access->member()),
                                     access->QUESTION_DOT() != nullptr});
  }
  if (auto* invocation = dynamic_cast<Parser::CallExpressionContext*>(context)) {
    ast::ExprPtr callee = expression(invocation->expression());
    return make(span, ast::CallExpr{std::move(callee), arguments(invocation->arguments())});
  }
  if (auto* index = dynamic_cast<Parser::IndexExpressionContext*>(context)) {
    ast::ExprPtr base = expression(index->expression(0));
    ast::ExprPtr at = expression(index->expression(1));
    return make(span, ast::IndexExpr{std::move(base), std::move(at)});
  }
  if (auto* update = dynamic_cast<Parser::WithExpressionContext*>(context)) {
    ast::ExprPtr base = expression(update->expression());
    return make(span, ast::WithExpr{std::move(base), field_inits(update->fieldInits())});
  }
  auto* cast = dynamic_cast<Parser::AsExpressionContext*>(context);
  ast::ExprPtr value = expression(cast->expression());
  return make(span, ast::AsExpr{std::move(value), type(cast->type())});
}

namespace {

ast::BinaryOp operator_of(size_t type) {
  switch (type) {
    case FlowLexer::K_OR:
      return ast::BinaryOp::kOr;
    case FlowLexer::K_AND:
      return ast::BinaryOp::kAnd;
    case FlowLexer::EQUAL:
      return ast::BinaryOp::kEqual;
    case FlowLexer::NOT_EQUAL:
      return ast::BinaryOp::kNotEqual;
    case FlowLexer::LESS:
      return ast::BinaryOp::kLess;
    case FlowLexer::LESS_EQUAL:
      return ast::BinaryOp::kLessEqual;
    case FlowLexer::GREATER:
      return ast::BinaryOp::kGreater;
    case FlowLexer::GREATER_EQUAL:
      return ast::BinaryOp::kGreaterEqual;
    case FlowLexer::K_IN:
      return ast::BinaryOp::kIn;
    case FlowLexer::QUESTION_QUESTION:
      return ast::BinaryOp::kCoalesce;
    case FlowLexer::PLUS:
      return ast::BinaryOp::kAdd;
    case FlowLexer::MINUS:
      return ast::BinaryOp::kSubtract;
    case FlowLexer::STAR:
      return ast::BinaryOp::kMultiply;
    case FlowLexer::SLASH:
      return ast::BinaryOp::kDivide;
    default:
      return ast::BinaryOp::kRemainder;
  }
}

bool compares(ast::BinaryOp op) {
  return op >= ast::BinaryOp::kEqual && op <= ast::BinaryOp::kIn;
}

}  // namespace

ast::ExprPtr Builder::binary(Parser::BinaryExpressionContext* context) {
  auto* sign = static_cast<antlr4::tree::TerminalNode*>(context->children[1]);
  ast::BinaryExpr node;
  node.op = operator_of(sign->getSymbol()->getType());
  node.op_span = span_of(sign);
  node.left = expression(context->expression(0));
  node.right = expression(context->expression(1));
  const auto* left = ast::as<ast::BinaryExpr>(node.left);
  if (compares(node.op) && left != nullptr && compares(left->op) && !node.left->in_parens) {
    report_chain(node.op_span, *node.left, "comparisons");
    return damaged(span_of(context));
  }
  return make(span_of(context), std::move(node));
}

ast::ExprPtr Builder::range(Parser::RangeExpressionContext* context) {
  ast::RangeExpr node;
  node.first = expression(context->expression(0));
  node.last = expression(context->expression(1));
  if (ast::as<ast::RangeExpr>(node.first) != nullptr && !node.first->in_parens) {
    report_chain(span_of(context->DOT_DOT()), *node.first, "ranges");
    return damaged(span_of(context));
  }
  return make(span_of(context), std::move(node));
}

void Builder::report_chain(Span span, const ast::Expr& left, std::string_view what) {
  auto& report = diagnostics_.report(Code::E0116, span, fmt::format("{} do not chain", what));
  report.also(left.span, "this is one already");
  if (what == "comparisons") report.because("write `a < b and b < c`, or `x in 1..8`");
}

}  // namespace sluice::compiler
