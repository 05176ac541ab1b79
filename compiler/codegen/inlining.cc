// Small functions are put where they are called: a call costs more than what they do.
#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// Expressions in a function that is still small, with those of the functions it calls.
constexpr int kSmallMax = 24;

// What is left of `budget` after the expression; below zero if it is too large, or of a kind that
// stays a function: what is neither arithmetic nor a look at data costs more than its call.
int left_of(int budget, const Expr& expr);

int left_of(int budget, const std::vector<Expr*>& exprs) {
  for (const Expr* each : exprs) {
    if (budget < 0) break;
    budget = left_of(budget, *each);
  }
  return budget;
}

int left_of(int budget, const Expr& expr) {
  if (--budget < 0) return budget;
  return std::visit(ast::Overloaded{
                        [&](const NoneValue&) { return budget; },
                        [&](const BoolValue&) { return budget; },
                        [&](const IntValue&) { return budget; },
                        [&](const FloatValue&) { return budget; },
                        [&](const StringValue&) { return budget; },
                        [&](const DurationValue&) { return budget; },
                        [&](const Constant&) { return budget; },
                        [&](const LocalRef&) { return budget; },
                        [&](const ConstRef&) { return budget; },
                        [&](const Not& node) { return left_of(budget, *node.operand); },
                        [&](const Negate& node) { return left_of(budget, *node.operand); },
                        [&](const Arithmetic& node) {
                          return left_of(budget, std::vector<Expr*>{node.left, node.right});
                        },
                        [&](const Compare& node) {
                          return left_of(budget, std::vector<Expr*>{node.left, node.right});
                        },
                        [&](const Logic& node) {
                          return left_of(budget, std::vector<Expr*>{node.left, node.right});
                        },
                        [&](const Coalesce& node) {
                          return left_of(budget, std::vector<Expr*>{node.left, node.right});
                        },
                        [&](const IfExpr& node) {
                          return left_of(budget, std::vector<Expr*>{node.condition, node.then_value,
                                                                    node.else_value});
                        },
                        [&](const FieldOf& node) { return left_of(budget, *node.base); },
                        [&](const IndexOf& node) {
                          return left_of(budget, std::vector<Expr*>{node.base, node.index});
                        },
                        [&](const CallFn& node) {
                          return left_of(left_of(budget, node.arguments), *node.def->body);
                        },
                        [&](const CallBuiltin& node) { return left_of(budget, node.arguments); },
                        [&](const Interpolation& node) { return left_of(budget, node.parts); },
                        [&](const auto&) { return -1; },
                    },
                    expr.node);
}

}  // namespace

bool Generator::is_small(const FnDef& fn) {
  const auto [at, fresh] = small_.emplace(&fn, false);
  if (fresh) at->second = left_of(kSmallMax, *fn.body) >= 0;
  return at->second;
}

// The parameters are the registers of the arguments: nothing changes those before the value is
// there. What fails inside fails at the call, as it would in the function.
bool FunctionCode::inlined(const Expr& expr, const CallFn& node, Register to) {
  if (!generator_.is_small(*node.def)) return false;
  std::vector<Register> arguments;
  for (const Expr* argument : node.arguments) arguments.push_back(eval(*argument));
  for (std::size_t i = 0; i < arguments.size(); ++i) bind(node.def->locals[i], arguments[i]);
  at(expr.span);
  ++inlining_;
  into(*node.def->body, to);
  --inlining_;
  return true;
}

}  // namespace sluice::compiler
