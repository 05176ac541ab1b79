#include "compiler/parser/builder.hpp"

namespace sluice::compiler {

std::vector<ast::Policy> Builder::policies(Parser::PolicyBlockContext* context) {
  std::vector<ast::Policy> result;
  for (auto* each : context->policy()) {
    if (is_lost(each)) continue;
    if (auto built = policy(each); built.has_value()) result.push_back(std::move(*built));
  }
  return result;
}

std::vector<ast::Name> Builder::kinds(Parser::KindsContext* context) {
  std::vector<ast::Name> result;
  for (auto* each : context->TYPE()) result.push_back(name(each));
  return result;
}

ast::AttemptsPolicy Builder::attempts(Parser::AttemptsPolicyContext* context) {
  ast::AttemptsPolicy node;
  node.count = value(context->value());
  if (auto* backoff = context->backoff(); backoff != nullptr) {
    node.backoff_from = value(backoff->value(0));
    node.backoff_to = value(backoff->value(1));
    if (backoff->K_FACTOR() != nullptr) node.factor = value(backoff->value(2));
    node.jitter = backoff->K_JITTER() != nullptr;
  }
  node.has_kinds = context->kinds() != nullptr;
  if (node.has_kinds) node.kinds = kinds(context->kinds());
  return node;
}

// How long, how often and by whom. False if it is none of these.
bool Builder::set_running(ast::Policy& result, Parser::PolicyContext* context) {
  auto& node = result.node;
  if (auto* p = dynamic_cast<Parser::TimeoutPolicyContext*>(context)) {
    node = ast::TimeoutPolicy{expression(p->expression())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::QueuePolicyContext*>(context)) {
    node = ast::QueuePolicy{expression(p->expression())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::WithinPolicyContext*>(context)) {
    node = ast::WithinPolicy{expression(p->expression())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::HeartbeatPolicyContext*>(context)) {
    node = ast::HeartbeatPolicy{expression(p->expression())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::AttemptsPolicyContext*>(context)) {
    node = attempts(p);
    return true;
  }
  if (auto* p = dynamic_cast<Parser::PoolPolicyContext*>(context)) {
    node = ast::PoolPolicy{qualified(p->qualifiedName())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::PriorityPolicyContext*>(context)) {
    node = ast::PriorityPolicy{name(p->identifier())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::BreakerPolicyContext*>(context)) {
    node = ast::BreakerPolicy{value(p->value(0)), value(p->value(1)), value(p->value(2)),
                              value(p->value(3))};
    return true;
  }
  return false;
}

// What else may run, and what becomes of effects. False if it is none of these.
bool Builder::set_effects(ast::Policy& result, Parser::PolicyContext* context) {
  auto& node = result.node;
  if (auto* p = dynamic_cast<Parser::HedgePolicyContext*>(context)) {
    node = ast::HedgePolicy{value(p->value()), p->call() == nullptr ? nullptr : call(p->call())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::FallbackPolicyContext*>(context)) {
    node = ast::FallbackPolicy{expression(p->expression())};
    return true;
  }
  if (dynamic_cast<Parser::IdempotentPolicyContext*>(context) != nullptr) {
    node = ast::IdempotentPolicy{};
    return true;
  }
  if (dynamic_cast<Parser::ReadonlyPolicyContext*>(context) != nullptr) {
    node = ast::ReadonlyPolicy{};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::KeyedPolicyContext*>(context)) {
    node = ast::KeyedPolicy{p->expression() == nullptr ? nullptr : expression(p->expression())};
    return true;
  }
  if (dynamic_cast<Parser::StreamPolicyContext*>(context) != nullptr) {
    node = ast::StreamPolicy{};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::CompensatePolicyContext*>(context)) {
    node = ast::CompensatePolicy{block(p->block())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::UnsurePolicyContext*>(context)) {
    node = ast::UnsurePolicy{block(p->block())};
    return true;
  }
  if (dynamic_cast<Parser::KeepPolicyContext*>(context) != nullptr) {
    node = ast::KeepPolicy{};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::UsesPolicyContext*>(context)) {
    node = ast::UsesPolicy{qualified(p->qualifiedName())};
    return true;
  }
  if (auto* p = dynamic_cast<Parser::FailsPolicyContext*>(context)) {
    node = ast::FailsPolicy{kinds(p->kinds())};
    return true;
  }
  return false;
}

std::optional<ast::Policy> Builder::policy(Parser::PolicyContext* context) {
  ast::Policy result;
  result.span = span_of(context);
  if (!set_running(result, context) && !set_effects(result, context)) return std::nullopt;
  return result;
}

}  // namespace sluice::compiler
