// What is known when the program is compiled: constants, and short ways for arithmetic with one.
#include <limits>

#include "compiler/check/fold.hpp"
#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;
using ast::BinaryOp;

void FunctionCode::constant(const vm::Value& value, Register to) {
  switch (value.kind()) {
    case vm::Kind::none:
      builder_.emit(Op::load_none, to);
      return;
    case vm::Kind::boolean:
      builder_.emit_flag(Op::load_bool, to, value.as_bool());
      return;
    case vm::Kind::integer:
      if (value.as_int() >= std::numeric_limits<std::int32_t>::min() &&
          value.as_int() <= std::numeric_limits<std::int32_t>::max()) {
        builder_.emit_imm(Op::load_int, to, static_cast<std::int32_t>(value.as_int()));
        return;
      }
      break;
    default:
      break;
  }
  builder_.emit_wide(Op::load_const, to, generator_.constant(value));
}

namespace {

// Whether it is made of literals only, so that folding it is worth the try. Looks no deeper than a
// few levels: what is deeper is folded from inside.
bool is_literal(const Expr& expr, int depth = 4) {
  if (depth == 0) return false;
  return std::visit(ast::Overloaded{
                        [](const NoneValue&) { return true; },
                        [](const BoolValue&) { return true; },
                        [](const IntValue&) { return true; },
                        [](const FloatValue&) { return true; },
                        [](const StringValue&) { return true; },
                        [](const DurationValue&) { return true; },
                        [](const Constant&) { return true; },
                        [](const ConstRef&) { return true; },
                        [&](const Negate& node) { return is_literal(*node.operand, depth - 1); },
                        [&](const ListValue& node) {
                          for (const Expr* each : node.elements) {
                            if (!is_literal(*each, depth - 1)) return false;
                          }
                          return true;
                        },
                        [&](const RecordValue& node) {
                          for (const Expr* each : node.fields) {
                            if (!is_literal(*each, depth - 1)) return false;
                          }
                          return true;
                        },
                        [&](const CaseValue& node) {
                          for (const Expr* each : node.fields) {
                            if (!is_literal(*each, depth - 1)) return false;
                          }
                          return true;
                        },
                        [&](const MapValue& node) { return node.entries.empty(); },
                        [](const auto&) { return false; },
                    },
                    expr.node);
}

}  // namespace

bool FunctionCode::folded(const Expr& expr, Register to) {
  if (!is_literal(expr)) return false;
  const auto value = fold(expr);
  if (!value) return false;
  constant(*value, to);
  return true;
}

std::optional<std::int64_t> FunctionCode::number_in(const Expr& expr) const {
  if (expr.type != kInt || !is_literal(expr)) return std::nullopt;
  const auto value = fold(expr);
  if (!value || !value->is(vm::Kind::integer)) return std::nullopt;
  return value->as_int();
}

namespace {

std::optional<std::int16_t> fitting(std::optional<std::int64_t> number) {
  if (!number || *number < std::numeric_limits<std::int16_t>::min() ||
      *number > std::numeric_limits<std::int16_t>::max()) {
    return std::nullopt;
  }
  return static_cast<std::int16_t>(*number);
}

}  // namespace

bool FunctionCode::with_small(const Expr& expr, const Arithmetic& node, Register to) {
  auto number = number_in(*node.right);
  const Expr* other = node.left;
  const bool either = node.op == BinaryOp::kAdd || node.op == BinaryOp::kMultiply;
  if (!number && either && node.right->type == kInt) {
    number = number_in(*node.left);
    other = node.right;
  }
  Op op = Op::nop;
  switch (node.op) {
    case BinaryOp::kAdd:
      op = Op::add_imm;
      break;
    case BinaryOp::kSubtract:
      op = Op::add_imm;
      if (number && *number != std::numeric_limits<std::int64_t>::min()) number = -*number;
      break;
    case BinaryOp::kMultiply:
      op = Op::mul_imm;
      break;
    case BinaryOp::kRemainder:
      op = Op::rem_imm;
      break;
    default:
      return false;
  }
  const auto small = fitting(number);
  if (!small) return false;
  const Register operand = eval(*other);
  at(expr.span);
  builder_.emit_short(op, to, operand, *small);
  return true;
}

std::optional<double> FunctionCode::float_in(const Expr& expr) const {
  if (expr.type != kFloat || !is_literal(expr)) return std::nullopt;
  const auto value = fold(expr);
  if (!value || !value->is(vm::Kind::floating)) return std::nullopt;
  return value->as_float();
}

bool FunctionCode::with_float(const Expr& expr, const Arithmetic& node, Register to) {
  const auto left = float_in(*node.left);
  auto right = float_in(*node.right);
  if (left.has_value() == right.has_value()) return false;
  Op op = Op::nop;
  switch (node.op) {
    case BinaryOp::kAdd:
      op = Op::add_float_const;
      break;
    case BinaryOp::kSubtract:
      op = left ? Op::const_sub_float : Op::add_float_const;
      if (right) right = -*right;
      break;
    case BinaryOp::kMultiply:
      op = Op::mul_float_const;
      break;
    case BinaryOp::kDivide:
      op = left ? Op::const_div_float : Op::div_float_const;
      break;
    default:
      return false;
  }
  const std::uint32_t constant = generator_.constant(vm::Value::floating(left ? *left : *right));
  if (constant > std::numeric_limits<std::uint16_t>::max()) return false;
  const Register operand = eval(left ? *node.right : *node.left);
  at(expr.span);
  builder_.emit_indexed(op, to, operand, constant);
  return true;
}

bool FunctionCode::skip_if_small(const Compare& node, bool when) {
  auto number = number_in(*node.right);
  if (!number) return false;
  const bool above = node.op == BinaryOp::kGreater || node.op == BinaryOp::kLessEqual;
  if (above && *number < INT16_MAX) ++*number;  // a > 5 is a >= 6
  const auto small = fitting(number);
  if (!small || (above && *small == INT16_MAX)) return false;
  Op op = Op::skip_if_not_equal_imm;
  switch (node.op) {
    case BinaryOp::kEqual:
      op = when ? Op::skip_if_equal_imm : Op::skip_if_not_equal_imm;
      break;
    case BinaryOp::kNotEqual:
      op = when ? Op::skip_if_not_equal_imm : Op::skip_if_equal_imm;
      break;
    case BinaryOp::kLess:
    case BinaryOp::kLessEqual:
      op = when ? Op::skip_if_less_imm : Op::skip_if_not_less_imm;
      break;
    default:
      op = when ? Op::skip_if_not_less_imm : Op::skip_if_less_imm;
      break;
  }
  builder_.emit_short(op, eval(*node.left), *small);
  return true;
}

}  // namespace sluice::compiler
