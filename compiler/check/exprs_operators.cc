// Operators: which types each takes and what it makes of them.
#include <fmt/format.h>

#include "compiler/check/exprs.hpp"

namespace sluice::compiler {

using namespace ir;
using ast::BinaryOp;

namespace {

// Literals whose type the other side of an operator decides.
bool needs_hint(const ast::Expr& tree) {
  if (const auto* unary = ast::as<ast::UnaryExpr>(tree)) {
    return unary->op == ast::UnaryOp::kNegate && needs_hint(*unary->operand);
  }
  if (const auto* list = ast::as<ast::ListExpr>(tree)) return list->elements.empty();
  if (const auto* map = ast::as<ast::MapExpr>(tree)) return map->entries.empty();
  return ast::as<ast::DecimalLiteral>(tree) != nullptr || ast::as<ast::IntLiteral>(tree) != nullptr;
}

}  // namespace

Expr* Exprs::unary(const ast::Expr& tree, const ast::UnaryExpr& node, TypeId hint) {
  if (node.op == ast::UnaryOp::kNot) {
    return context_.expr(tree.span, kBool, Not{want_bool(*node.operand)});
  }
  if (const auto* literal = ast::as<ast::IntLiteral>(*node.operand)) {
    Expr* value = int_literal(*node.operand, *literal, hint, true);
    value->span = tree.span;
    return value;
  }
  Expr* operand = infer(*node.operand, hint);
  const TypeId type = operand->type;
  if (type == kPoison) return context_.poison(tree.span);
  if (refuse_optional(*operand, "`-`")) return context_.poison(tree.span);
  if (type != kInt && type != kFloat && type != kDecimal && type != kDuration) {
    context_.diagnostics.report(Code::E0302, tree.span, "`-` does not fit here")
        .here(fmt::format("this is {}", with_article(types_.name(type))))
        .because("it takes an int, a float, a decimal or a duration");
    return context_.poison(tree.span);
  }
  if (const auto* number = as<FloatValue>(operand)) {
    return context_.expr(tree.span, kFloat, FloatValue{0.0 - number->value});
  }
  const auto* literal = as<Constant>(operand);
  if (literal != nullptr && type == kDecimal) {
    const vm::Value negated = vm::Value::decimal(vm::negate(literal->value.as_decimal()));
    return context_.expr(tree.span, kDecimal, Constant{negated});
  }
  return context_.expr(tree.span, type, Negate{operand});
}

void Exprs::operands(const ast::BinaryExpr& node, TypeId hint, Expr** left, Expr** right) {
  if (needs_hint(*node.left) && !needs_hint(*node.right)) {
    *right = infer(*node.right, hint);
    *left = infer(*node.left, (*right)->type == kPoison ? hint : (*right)->type);
  } else {
    *left = infer(*node.left, hint);
    *right = infer(*node.right, (*left)->type == kPoison ? hint : (*left)->type);
  }
}

Expr* Exprs::binary(const ast::Expr& tree, const ast::BinaryExpr& node, TypeId hint) {
  switch (node.op) {
    case BinaryOp::kOr:
    case BinaryOp::kAnd: {
      Expr* left = want_bool(*node.left);
      Expr* right = want_bool(*node.right);
      return context_.expr(tree.span, kBool, Logic{node.op == BinaryOp::kAnd, left, right});
    }
    case BinaryOp::kEqual:
    case BinaryOp::kNotEqual:
    case BinaryOp::kLess:
    case BinaryOp::kLessEqual:
    case BinaryOp::kGreater:
    case BinaryOp::kGreaterEqual:
      return comparison(tree, node);
    case BinaryOp::kIn:
      return membership(tree, node);
    case BinaryOp::kCoalesce:
      return coalesce(tree, node, hint);
    case BinaryOp::kAdd:
    case BinaryOp::kSubtract:
    case BinaryOp::kMultiply:
    case BinaryOp::kDivide:
    case BinaryOp::kRemainder:
      return arithmetic(tree, node, hint);
  }
  return context_.poison(tree.span);
}

bool Exprs::refuse_optional(const Expr& operand, std::string_view what) {
  if (!types_.is_optional(operand.type) && operand.type != kNone) return false;
  context_.diagnostics
      .report(Code::E0308, operand.span,
              fmt::format("{} needs a value, and this may be `none`", what))
      .here(fmt::format("this is {}", with_article(types_.name(operand.type))))
      .because("give another value with `??`, or look with `if let`");
  return true;
}

Expr* Exprs::bad_operands(const ast::Expr& tree, const ast::BinaryExpr& node, const Expr& left,
                          const Expr& right) {
  Diagnostic& diagnostic = context_.diagnostics.report(
      Code::E0302, node.op_span,
      fmt::format("`{}` does not take {} and {}", ast::text_of(node.op),
                  with_article(types_.name(left.type)), with_article(types_.name(right.type))));
  diagnostic.also(left.span, fmt::format("this is {}", with_article(types_.name(left.type))));
  diagnostic.also(right.span, fmt::format("this is {}", with_article(types_.name(right.type))));
  const bool text = left.type == kString || right.type == kString;
  const auto between = [&](TypeId a, TypeId b) {
    return (left.type == a && right.type == b) || (left.type == b && right.type == a);
  };
  if (node.op == BinaryOp::kAdd && text) {
    diagnostic.because("text is put together by interpolation: `\"${a} and ${b}\"`");
  } else if (between(kInt, kFloat)) {
    diagnostic.because("`float(x)` makes a float of an int");
  } else if (between(kInt, kDecimal) || between(kFloat, kDecimal)) {
    diagnostic.because("`decimal(x)` makes a decimal of an int or a float");
  } else if (node.op == BinaryOp::kRemainder) {
    diagnostic.because("`%` is the remainder of two ints");
  }
  return context_.poison(tree.span);
}

Expr* Exprs::bad_quotient(const ast::Expr& tree, const ast::BinaryExpr& node) {
  context_.diagnostics
      .report(Code::E0302, node.op_span, "`/` does not take decimals, which are exact")
      .because(
          "a quotient such as 1/3 never ends: `divide(a, b, 2)` rounds it to so many places, "
          "halves away from zero");
  return context_.poison(tree.span);
}

Expr* Exprs::arithmetic(const ast::Expr& tree, const ast::BinaryExpr& node, TypeId hint) {
  Expr* left = nullptr;
  Expr* right = nullptr;
  const bool list_hint = types_.kind(hint) == TypeKind::kList && node.op == BinaryOp::kAdd;
  const TypeId number = types_.without_optional(hint);
  const bool number_hint = number == kFloat || number == kDecimal;
  operands(node, list_hint || number_hint ? hint : kPoison, &left, &right);
  if (left->type == kPoison || right->type == kPoison) return context_.poison(tree.span);
  const std::string sign = fmt::format("`{}`", ast::text_of(node.op));
  if (refuse_optional(*left, sign) || refuse_optional(*right, sign)) {
    return context_.poison(tree.span);
  }
  const TypeId l = left->type;
  const TypeId r = right->type;
  const auto made = [&](TypeId type) {
    return context_.expr(tree.span, type, Arithmetic{node.op, left, right});
  };
  const bool adds = node.op == BinaryOp::kAdd;
  if (l == kInt && r == kInt) return made(kInt);
  if (l == kFloat && r == kFloat && node.op != BinaryOp::kRemainder) return made(kFloat);
  if (l == kDecimal || r == kDecimal) {
    if (node.op == BinaryOp::kMultiply && (l == kInt || r == kInt)) return made(kDecimal);
    if (l == r && node.op == BinaryOp::kDivide) return bad_quotient(tree, node);
    if (l == r && node.op != BinaryOp::kRemainder) return made(kDecimal);
  }
  if (l == kTimestamp && (adds || node.op == BinaryOp::kSubtract)) {
    if (r == kDuration) return made(kTimestamp);
    if (r == kTimestamp && !adds) return made(kDuration);
  }
  if (l == kDuration && r == kTimestamp && adds) {
    std::swap(left, right);
    return made(kTimestamp);
  }
  if (l == kDuration && r == kDuration) {
    if (adds || node.op == BinaryOp::kSubtract) return made(kDuration);
    if (node.op == BinaryOp::kDivide) return made(kInt);
  }
  if (l == kDuration && r == kInt &&
      (node.op == BinaryOp::kMultiply || node.op == BinaryOp::kDivide)) {
    return made(kDuration);
  }
  if (l == kInt && r == kDuration && node.op == BinaryOp::kMultiply) {
    std::swap(left, right);
    return made(kDuration);
  }
  if (adds && l == r && (l == kString || l == kBytes)) return made(l);
  if (adds && types_.kind(l) == TypeKind::kList && types_.kind(r) == TypeKind::kList) {
    bool ok = false;
    const TypeId type = types_.unite(l, r, &ok);
    if (ok) return made(type);
  }
  return bad_operands(tree, node, *left, *right);
}

Expr* Exprs::comparison(const ast::Expr& tree, const ast::BinaryExpr& node) {
  Expr* left = nullptr;
  Expr* right = nullptr;
  operands(node, kPoison, &left, &right);
  Expr* made = context_.expr(tree.span, kBool, Compare{node.op, left, right});
  if (left->type == kPoison || right->type == kPoison) return made;
  if (node.op == BinaryOp::kEqual || node.op == BinaryOp::kNotEqual) {
    bool ok = false;
    types_.unite(left->type, right->type, &ok);
    if (ok) return made;
    bad_operands(tree, node, *left, *right);
    return made;
  }
  const std::string sign = fmt::format("`{}`", ast::text_of(node.op));
  if (refuse_optional(*left, sign) || refuse_optional(*right, sign)) return made;
  if (left->type != right->type || !types_.is_ordered(left->type)) {
    bad_operands(tree, node, *left, *right);
  }
  return made;
}

Expr* Exprs::membership(const ast::Expr& tree, const ast::BinaryExpr& node) {
  Expr* haystack = infer(*node.right);
  const TypeInfo info = types_[haystack->type];
  if (info.kind == TypeKind::kList) {
    Expr* needle = infer(*node.left, info.element);
    bool ok = false;
    types_.unite(needle->type, info.element, &ok);
    if (!ok) bad_operands(tree, node, *needle, *haystack);
    return context_.expr(tree.span, kBool, In{needle, haystack});
  }
  if (info.kind == TypeKind::kMap) {
    Expr* needle = want(*node.left, {kString, haystack->span, "the keys of a map are strings"});
    return context_.expr(tree.span, kBool, In{needle, haystack});
  }
  Expr* needle = infer(*node.left);
  if (info.kind != TypeKind::kPoison) {
    Diagnostic& diagnostic =
        context_.diagnostics
            .report(Code::E0302, node.op_span,
                    "`in` looks into a list, a range or the keys of a map")
            .also(haystack->span,
                  fmt::format("this is {}", with_article(types_.name(haystack->type))));
    if (info.kind == TypeKind::kString) {
      diagnostic.because("`contains(text, part)` looks into a string");
    }
  }
  return context_.expr(tree.span, kBool, In{needle, haystack});
}

Expr* Exprs::coalesce(const ast::Expr& tree, const ast::BinaryExpr& node, TypeId hint) {
  Expr* left = infer(*node.left, hint);
  if (left->type == kPoison) {
    infer(*node.right, hint);
    return context_.poison(tree.span);
  }
  if (!types_.is_optional(left->type) && left->type != kNone) {
    infer(*node.right, left->type);
    context_.diagnostics
        .report(Code::W0008, node.op_span, "the left side always has a value, so `??` does nothing")
        .also(left->span, fmt::format("this is {}", with_article(types_.name(left->type))));
    return left;
  }
  const TypeId inner = types_.without_optional(left->type);
  Expr* right = infer(*node.right, left->type == kNone ? hint : inner);
  bool ok = false;
  TypeId type = types_.unite(inner, right->type, &ok);
  if (left->type == kNone) type = right->type;
  if (!ok) {
    mismatch(right->span, right->type,
             {inner, left->span,
              fmt::format("the left side is {}", with_article(types_.name(left->type)))});
    return context_.poison(tree.span);
  }
  return context_.expr(tree.span, type, Coalesce{left, right});
}

Expr* Exprs::range(const ast::Expr& tree, const ast::RangeExpr& node) {
  Expr* first = want(*node.first, {kInt, tree.span, "a range goes from int to int"});
  Expr* last = want(*node.last, {kInt, tree.span, "a range goes from int to int"});
  return context_.expr(tree.span, types_.list_of(kInt), RangeValue{first, last});
}

}  // namespace sluice::compiler
