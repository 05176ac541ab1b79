#include "compiler/analyse/failing.hpp"

#include <algorithm>
#include <set>

#include "compiler/check/fold.hpp"
#include "vm/ops.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

// Looks into each function once.
class Finder {
 public:
  std::optional<Span> in(const Expr& expr) {
    std::optional<Span> found;
    for_each_part(expr, [&](const Expr& part) {
      if (!found) found = in(part);
    });
    if (found) return found;
    return fails(expr) ? std::optional(expr.span) : std::nullopt;
  }

 private:
  bool fails(const Expr& expr) {
    if (const auto* cast = as<AsType>(&expr)) return cast->value != nullptr && expr.type != kJson;
    if (const auto* at = as<IndexOf>(&expr)) return is_open(expr) && at->index->type == kInt;
    if (const auto* sum = as<Arithmetic>(&expr)) {
      const bool divides =
          sum->op == ast::BinaryOp::kDivide || sum->op == ast::BinaryOp::kRemainder;
      return divides && is_open(*sum->right);
    }
    if (const auto* call = as<CallBuiltin>(&expr)) {
      const std::string_view name = vm::kBuiltins[call->builtin].name;
      constexpr std::string_view kOfTexts[] = {"decimal", "timestamp"};
      const bool of_text =
          std::find(std::begin(kOfTexts), std::end(kOfTexts), name) != std::end(kOfTexts) &&
          call->arguments[0]->type == kString;
      return (name == "decode" || name == "divide" || of_text) && is_open(expr);
    }
    const auto* call = as<CallFn>(&expr);
    if (call == nullptr || call->def == nullptr || call->def->body == nullptr) return false;
    return seen_.insert(call->def).second && in(*call->def->body).has_value();
  }

  // Whether it depends on what is known only when it runs. A constant that cannot be computed was
  // reported.
  static bool is_open(const Expr& expr) {
    const auto value = fold(expr);
    return !value && !value.error().is_constant;
  }

  std::set<const FnDef*> seen_;
};

}  // namespace

std::optional<Span> first_failing(const Expr& expr) {
  return Finder().in(expr);
}

std::optional<Span> first_failing(const View& view, const ast::Stmt& stmt) {
  std::optional<Span> found;
  const auto look = [&](const ast::Expr& each) {
    const Expr* expr = view.flow().module->exprs[each.id];
    if (!found && expr != nullptr) found = first_failing(*expr);
  };
  const auto* step = ast::as<ast::StepStmt>(stmt);
  if (step == nullptr) {
    for_each_expr(stmt, look);
    return found;
  }
  const auto* call = ast::as<ast::CallExpr>(step->call);
  for (std::size_t i = 0; call != nullptr && i < call->arguments.size(); ++i) {
    if (call->arguments[i].value != nullptr) look(*call->arguments[i].value);
  }
  for (const ast::Policy& policy : step->policies) {
    const auto* keyed = std::get_if<ast::KeyedPolicy>(&policy.node);
    if (keyed != nullptr && keyed->key != nullptr) look(*keyed->key);
  }
  return found;
}

}  // namespace sluice::compiler::analyse
