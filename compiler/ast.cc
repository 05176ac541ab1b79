#include "compiler/ast.hpp"

namespace sluice::compiler::ast {

std::string QualifiedName::text() const {
  std::string joined;
  for (const Name& part : parts) {
    if (!joined.empty()) joined += '.';
    joined += part.text;
  }
  return joined;
}

std::optional<std::string> StringLiteral::plain() const {
  std::string whole;
  for (const StringPart& part : parts) {
    if (part.expr != nullptr) return std::nullopt;
    whole += part.text;
  }
  return whole;
}

const char* text_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::kOr:
      return "or";
    case BinaryOp::kAnd:
      return "and";
    case BinaryOp::kEqual:
      return "==";
    case BinaryOp::kNotEqual:
      return "!=";
    case BinaryOp::kLess:
      return "<";
    case BinaryOp::kLessEqual:
      return "<=";
    case BinaryOp::kGreater:
      return ">";
    case BinaryOp::kGreaterEqual:
      return ">=";
    case BinaryOp::kIn:
      return "in";
    case BinaryOp::kCoalesce:
      return "??";
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kSubtract:
      return "-";
    case BinaryOp::kMultiply:
      return "*";
    case BinaryOp::kDivide:
      return "/";
    case BinaryOp::kRemainder:
      return "%";
  }
  return "";
}

const char* text_of(UnaryOp op) {
  return op == UnaryOp::kNot ? "not" : "-";
}

}  // namespace sluice::compiler::ast
