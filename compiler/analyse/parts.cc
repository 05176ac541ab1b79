// The expressions of statements, and the parts of expressions.
#include "compiler/analyse/view.hpp"

namespace sluice::compiler::analyse {

namespace {

using ExprVisit = std::function<void(const ast::Expr&)>;

void give(const ast::ExprPtr& expr, const ExprVisit& visit) {
  if (expr != nullptr) visit(*expr);
}

void of_policies(const std::vector<ast::Policy>& policies, const ExprVisit& visit) {
  for (const ast::Policy& policy : policies) {
    if (const auto* keyed = std::get_if<ast::KeyedPolicy>(&policy.node)) give(keyed->key, visit);
    if (const auto* other = std::get_if<ast::FallbackPolicy>(&policy.node)) {
      give(other->value, visit);
    }
    if (const auto* hedge = std::get_if<ast::HedgePolicy>(&policy.node)) give(hedge->call, visit);
  }
}

}  // namespace

void for_each_expr(const ast::Stmt& stmt, const ExprVisit& visit) {
  std::visit(ast::Overloaded{
                 [&](const ast::LetStmt& n) {
                   give(n.value, visit);
                   if (n.source != nullptr) for_each_expr(*n.source, visit);
                 },
                 [&](const ast::VarStmt& n) { give(n.value, visit); },
                 [&](const ast::SetStmt& n) { give(n.value, visit); },
                 [&](const ast::StepStmt& n) {
                   give(n.call, visit);
                   of_policies(n.policies, visit);
                 },
                 [&](const ast::EachStmt& n) {
                   give(n.source, visit);
                   give(n.parallel, visit);
                 },
                 [&](const ast::YieldStmt& n) { give(n.value, visit); },
                 [&](const ast::IfStmt& n) {
                   for (const ast::IfArm& arm : n.arms) give(arm.condition, visit);
                 },
                 [&](const ast::MatchStmt& n) { give(n.subject, visit); },
                 [&](const ast::WhileStmt& n) { give(n.condition, visit); },
                 [&](const ast::ReceiveStmt& n) {
                   give(n.where, visit);
                   give(n.within, visit);
                 },
                 [&](const ast::SleepStmt& n) { give(n.value, visit); },
                 [&](const ast::DeadlineStmt& n) { give(n.duration, visit); },
                 [&](const ast::NotifyStmt& n) {
                   give(n.event, visit);
                   give(n.to, visit);
                 },
                 [&](const ast::PublishStmt& n) { give(n.event, visit); },
                 [&](const ast::StartStmt& n) {
                   give(n.call, visit);
                   give(n.for_client, visit);
                 },
                 [&](const ast::FailStmt& n) { give(n.message, visit); },
                 [&](const ast::ReturnStmt& n) { give(n.value, visit); },
                 [&](const ast::LogStmt& n) { give(n.value, visit); },
                 [](const auto&) {},
             },
             stmt.node);
}

void for_each_part(const ast::Expr& expr, const ExprVisit& visit) {
  std::visit(ast::Overloaded{
                 [&](const ast::StringLiteral& n) {
                   for (const ast::StringPart& part : n.parts) give(part.expr, visit);
                 },
                 [&](const ast::FieldExpr& n) { give(n.base, visit); },
                 [&](const ast::CallExpr& n) {
                   give(n.callee, visit);
                   for (const ast::Argument& each : n.arguments) give(each.value, visit);
                 },
                 [&](const ast::IndexExpr& n) {
                   give(n.base, visit);
                   give(n.index, visit);
                 },
                 [&](const ast::RecordExpr& n) {
                   for (const ast::FieldInit& each : n.fields) give(each.value, visit);
                 },
                 [&](const ast::ListExpr& n) {
                   for (const ast::ExprPtr& each : n.elements) give(each, visit);
                 },
                 [&](const ast::MapExpr& n) {
                   for (const ast::MapEntry& each : n.entries) {
                     give(each.key, visit);
                     give(each.value, visit);
                   }
                 },
                 [&](const ast::ComprehensionExpr& n) {
                   give(n.element, visit);
                   give(n.source, visit);
                   give(n.filter, visit);
                 },
                 [&](const ast::IfExpr& n) {
                   give(n.condition, visit);
                   give(n.then_value, visit);
                   give(n.else_value, visit);
                 },
                 [&](const ast::MatchExpr& n) {
                   give(n.subject, visit);
                   for (const ast::MatchArm& arm : n.arms) give(arm.value, visit);
                   give(n.else_value, visit);
                 },
                 [&](const ast::UnaryExpr& n) { give(n.operand, visit); },
                 [&](const ast::BinaryExpr& n) {
                   give(n.left, visit);
                   give(n.right, visit);
                 },
                 [&](const ast::RangeExpr& n) {
                   give(n.first, visit);
                   give(n.last, visit);
                 },
                 [&](const ast::WithExpr& n) {
                   give(n.base, visit);
                   for (const ast::FieldInit& each : n.fields) give(each.value, visit);
                 },
                 [&](const ast::AsExpr& n) { give(n.value, visit); },
                 [](const auto&) {},
             },
             expr.node);
}

namespace {

using ValueVisit = std::function<void(const ir::Expr&)>;

void give_all(const std::vector<ir::Expr*>& parts, const ValueVisit& visit) {
  for (const ir::Expr* each : parts) {
    if (each != nullptr) visit(*each);
  }
}

template <typename... Parts>
void give_each(const ValueVisit& visit, const Parts*... parts) {
  (void)std::initializer_list<int>{(parts == nullptr ? 0 : (visit(*parts), 0))...};
}

}  // namespace

void for_each_part(const ir::Expr& expr, const ValueVisit& visit) {
  using namespace ir;
  std::visit(
      ast::Overloaded{
          [&](const Not& n) { give_each(visit, n.operand); },
          [&](const Negate& n) { give_each(visit, n.operand); },
          [&](const Arithmetic& n) { give_each(visit, n.left, n.right); },
          [&](const Compare& n) { give_each(visit, n.left, n.right); },
          [&](const Logic& n) { give_each(visit, n.left, n.right); },
          [&](const In& n) { give_each(visit, n.needle, n.haystack); },
          [&](const Coalesce& n) { give_each(visit, n.left, n.right); },
          [&](const IfExpr& n) { give_each(visit, n.condition, n.then_value, n.else_value); },
          [&](const MatchExpr& n) {
            give_each(visit, n.subject);
            for (const MatchArm& arm : n.arms) give_each(visit, arm.value);
            give_each(visit, n.else_value);
          },
          [&](const ListValue& n) { give_all(n.elements, visit); },
          [&](const MapValue& n) {
            for (const auto& [key, value] : n.entries) give_each(visit, key, value);
          },
          [&](const RangeValue& n) { give_each(visit, n.first, n.last); },
          [&](const Comprehension& n) { give_each(visit, n.source, n.filter, n.element); },
          [&](const FieldOf& n) { give_each(visit, n.base); },
          [&](const IndexOf& n) { give_each(visit, n.base, n.index); },
          [&](const RecordValue& n) { give_all(n.fields, visit); },
          [&](const CaseValue& n) { give_all(n.fields, visit); },
          [&](const With& n) {
            give_each(visit, n.base);
            for (const auto& [at, value] : n.fields) give_each(visit, value);
          },
          [&](const CallFn& n) { give_all(n.arguments, visit); },
          [&](const CallBuiltin& n) { give_all(n.arguments, visit); },
          [&](const AsType& n) { give_each(visit, n.value); },
          [&](const Interpolation& n) { give_all(n.parts, visit); },
          [](const auto&) {},
      },
      expr.node);
}

}  // namespace sluice::compiler::analyse
