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

}  // namespace sluice::compiler::analyse
