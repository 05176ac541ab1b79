#include "compiler/check/fold.hpp"

#include <cmath>
#include <limits>

#include "vm/text.hpp"

namespace sluice::compiler {

using namespace ir;
using ast::BinaryOp;
using vm::Value;

namespace {

using Folded = tl::expected<Value, FoldProblem>;

tl::unexpected<FoldProblem> fails(const Expr& at, std::string message) {
  return tl::make_unexpected(FoldProblem{at.span, true, false, std::move(message)});
}

tl::unexpected<FoldProblem> no_constant(const Expr& at) {
  return tl::make_unexpected(FoldProblem{at.span, false, false, {}});
}

tl::unexpected<FoldProblem> reported(const Expr& at) {
  return tl::make_unexpected(FoldProblem{at.span, false, true, {}});
}

constexpr const char* kTooLarge = "the result is too large for an `int`";

Folded checked(const Expr& at, Value value) {
  if (!value.within_limits()) return fails(at, "the value is too large");
  return value;
}

Folded fold_integers(const Expr& at, BinaryOp op, std::int64_t l, std::int64_t r, vm::Kind kind) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflow = __builtin_add_overflow(l, r, &result);
      break;
    case BinaryOp::kSubtract:
      overflow = __builtin_sub_overflow(l, r, &result);
      break;
    case BinaryOp::kMultiply:
      overflow = __builtin_mul_overflow(l, r, &result);
      break;
    default:
      if (r == 0) return fails(at, "this divides by zero");
      if (r == -1) {
        if (op == BinaryOp::kRemainder) {
          result = 0;
        } else {
          overflow = __builtin_sub_overflow(std::int64_t{0}, l, &result);
        }
      } else {
        result = op == BinaryOp::kDivide ? l / r : l % r;
      }
  }
  if (overflow) return fails(at, kTooLarge);
  return kind == vm::Kind::duration ? Value::duration(result) : Value::integer(result);
}

Folded fold_decimals(const Expr& at, BinaryOp op, const Value& l, const Value& r) {
  const auto number = [](const Value& value) {
    return value.is(vm::Kind::integer) ? vm::decimal_of(value.as_int()) : value.as_decimal();
  };
  const vm::Decimal a = number(l), b = number(r);
  const auto result = op == BinaryOp::kAdd        ? vm::add(a, b)
                      : op == BinaryOp::kSubtract ? vm::subtract(a, b)
                                                  : vm::multiply(a, b);
  if (!result) return fails(at, "the result has more digits than a `decimal` holds, 33");
  return Value::decimal(*result);
}

// timestamp - timestamp, timestamp ± duration
Folded fold_times(const Expr& at, BinaryOp op, std::int64_t us, const Value& right) {
  constexpr std::int64_t kUsPerMs = 1000;
  std::int64_t result = 0;
  if (right.is(vm::Kind::timestamp)) {
    if (__builtin_sub_overflow(us, right.as_int(), &result)) return fails(at, kTooLarge);
    return Value::duration(result / kUsPerMs);
  }
  const std::int64_t sign = op == BinaryOp::kAdd ? kUsPerMs : -kUsPerMs;
  if (__builtin_mul_overflow(right.as_int(), sign, &result) ||
      __builtin_add_overflow(us, result, &result)) {
    return fails(at, "this is beyond the times that a `timestamp` holds");
  }
  return Value::timestamp(result);
}

Folded fold_floats(const Expr& at, BinaryOp op, double l, double r) {
  if (op == BinaryOp::kDivide && r == 0) return fails(at, "this divides by zero");
  const double result = op == BinaryOp::kAdd        ? l + r
                        : op == BinaryOp::kSubtract ? l - r
                        : op == BinaryOp::kMultiply ? l * r
                                                    : l / r;
  if (!std::isfinite(result)) return fails(at, "the result is too large for a `float`");
  return Value::floating(result);
}

Folded fold_arithmetic(const Expr& at, const Arithmetic& node) {
  Folded left = fold(*node.left);
  if (!left) return left;
  Folded right = fold(*node.right);
  if (!right) return right;
  if (left->is(vm::Kind::decimal) || right->is(vm::Kind::decimal)) {
    return fold_decimals(at, node.op, *left, *right);
  }
  switch (left->kind()) {
    case vm::Kind::timestamp:
      return fold_times(at, node.op, left->as_int(), *right);
    case vm::Kind::floating:
      return fold_floats(at, node.op, left->as_float(), right->as_float());
    case vm::Kind::integer:
    case vm::Kind::duration: {
      const bool ratio = node.op == BinaryOp::kDivide && right->is(vm::Kind::duration);
      return fold_integers(at, node.op, left->as_int(), right->as_int(),
                           ratio ? vm::Kind::integer : left->kind());
    }
    case vm::Kind::string:
    case vm::Kind::bytes:
    case vm::Kind::list: {
      Value sum = *left;
      sum.append_all(*right);
      return checked(at, std::move(sum));
    }
    default:
      return no_constant(at);
  }
}

Folded fold_negate(const Expr& at, const Negate& node) {
  Folded operand = fold(*node.operand);
  if (!operand) return operand;
  if (operand->is(vm::Kind::floating)) return Value::floating(0.0 - operand->as_float());
  if (operand->is(vm::Kind::decimal)) return Value::decimal(vm::negate(operand->as_decimal()));
  return fold_integers(at, BinaryOp::kSubtract, 0, operand->as_int(), operand->kind());
}

tl::expected<std::vector<Value>, FoldProblem> fold_all(const std::vector<Expr*>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const Expr* expr : exprs) {
    Folded value = fold(*expr);
    if (!value) return tl::make_unexpected(value.error());
    values.push_back(std::move(*value));
  }
  return values;
}

template <typename Make>
Folded fold_parts(const Expr& at, const std::vector<Expr*>& exprs, Make make) {
  auto values = fold_all(exprs);
  if (!values) return tl::make_unexpected(values.error());
  return checked(at, make(std::move(*values)));
}

Folded fold_map(const Expr& at, const MapValue& node) {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, value] : node.entries) {
    Folded k = fold(*key);
    if (!k) return k;
    Folded v = fold(*value);
    if (!v) return v;
    entries.emplace_back(std::move(*k), std::move(*v));
  }
  return checked(at, Value::map(std::move(entries)));
}

Folded fold_compare(const Compare& node) {
  Folded left = fold(*node.left);
  if (!left) return left;
  Folded right = fold(*node.right);
  if (!right) return right;
  if (node.op == BinaryOp::kEqual) return Value::boolean(*left == *right);
  if (node.op == BinaryOp::kNotEqual) return Value::boolean(!(*left == *right));
  const int order = vm::compare(*left, *right).value_or(0);
  switch (node.op) {
    case BinaryOp::kLess:
      return Value::boolean(order < 0);
    case BinaryOp::kLessEqual:
      return Value::boolean(order <= 0);
    case BinaryOp::kGreater:
      return Value::boolean(order > 0);
    default:
      return Value::boolean(order >= 0);
  }
}

// The text of a scalar, as the machine would write it; false for other values.
bool append_text(const Value& value, std::string& out) {
  switch (value.kind()) {
    case vm::Kind::string:
      out += value.as_text();
      return true;
    case vm::Kind::boolean:
      out += value.as_bool() ? "true" : "false";
      return true;
    case vm::Kind::integer:
      vm::append_int(value.as_int(), out);
      return true;
    case vm::Kind::floating:
      vm::append_float(value.as_float(), out);
      return true;
    case vm::Kind::decimal:
      vm::append_decimal(value.as_decimal(), out);
      return true;
    case vm::Kind::duration:
      vm::append_duration(value.as_int(), out);
      return true;
    case vm::Kind::timestamp:
      vm::append_timestamp(value.as_int(), out);
      return true;
    default:
      return false;
  }
}

Folded fold_interpolation(const Expr& at, const Interpolation& node) {
  std::string text;
  for (const Expr* part : node.parts) {
    Folded value = fold(*part);
    if (!value) return value;
    if (!append_text(*value, text)) return no_constant(*part);
  }
  return checked(at, Value::string(text));
}

}  // namespace

Folded fold(const Expr& expr) {
  return std::visit(ast::Overloaded{
                        [&](const NoneValue&) -> Folded { return Value(); },
                        [&](const BoolValue& v) -> Folded { return Value::boolean(v.value); },
                        [&](const IntValue& v) -> Folded { return Value::integer(v.value); },
                        [&](const FloatValue& v) -> Folded { return Value::floating(v.value); },
                        [&](const StringValue& v) -> Folded { return Value::string(v.value); },
                        [&](const DurationValue& v) -> Folded { return Value::duration(v.ms); },
                        [&](const Constant& v) -> Folded { return v.value; },
                        [&](const ConstRef& v) -> Folded {
                          if (v.def->folded) return *v.def->folded;
                          return reported(expr);
                        },
                        [&](const Poison&) -> Folded { return reported(expr); },
                        [&](const Negate& v) -> Folded { return fold_negate(expr, v); },
                        [&](const Not& v) -> Folded {
                          Folded operand = fold(*v.operand);
                          return operand ? Folded(Value::boolean(!operand->as_bool())) : operand;
                        },
                        [&](const Arithmetic& v) -> Folded { return fold_arithmetic(expr, v); },
                        [&](const Compare& v) -> Folded { return fold_compare(v); },
                        [&](const Logic& v) -> Folded {
                          Folded left = fold(*v.left);
                          if (!left || left->as_bool() != v.is_and) return left;
                          return fold(*v.right);
                        },
                        [&](const IfExpr& v) -> Folded {
                          Folded condition = fold(*v.condition);
                          if (!condition) return condition;
                          return fold(condition->as_bool() ? *v.then_value : *v.else_value);
                        },
                        [&](const Interpolation& v) -> Folded {
                          return fold_interpolation(expr, v);
                        },
                        [&](const ListValue& v) -> Folded {
                          return fold_parts(expr, v.elements, [](std::vector<Value> items) {
                            return Value::list(std::move(items));
                          });
                        },
                        [&](const MapValue& v) -> Folded { return fold_map(expr, v); },
                        [&](const RecordValue& v) -> Folded {
                          return fold_parts(expr, v.fields, [&](const std::vector<Value>& fields) {
                            return Value::record(v.def->index, fields);
                          });
                        },
                        [&](const CaseValue& v) -> Folded {
                          return fold_parts(expr, v.fields, [&](const std::vector<Value>& fields) {
                            return Value::enumeration(v.def->index,
                                                      static_cast<std::uint16_t>(v.which), fields);
                          });
                        },
                        [&](const auto&) -> Folded { return no_constant(expr); },
                    },
                    expr.node);
}

}  // namespace sluice::compiler
