#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "compiler/parser/builder.hpp"
#include "compiler/parser/literals.hpp"

namespace sluice::compiler {

std::unique_ptr<ast::Module> Builder::build(Parser::FileContext* context) {
  module_ = std::make_unique<ast::Module>();
  module_->file = file_.id();
  module_->damage = list_.damage;
  if (auto* line = context->moduleLine(); line != nullptr && line->exception == nullptr) {
    module_->name = qualified(line->qualifiedName());
    module_->doc = doc_before(line);
  }
  for (auto* line : context->importLine()) {
    if (is_lost(line)) continue;
    module_->imports.push_back({span_of(line), qualified(line->qualifiedName())});
  }
  for (auto* each : context->declaration()) {
    if (is_lost(each)) continue;
    if (auto built = declaration(each); built.has_value()) {
      module_->declarations.push_back(std::move(*built));
    }
  }
  module_->damage.settle();
  return std::move(module_);
}

bool Builder::is_lost(const antlr4::ParserRuleContext* context) const {
  if (context->exception != nullptr) return true;
  const auto& places = list_.damage.places();
  if (places.empty()) return false;
  const std::uint32_t begin = token(context->start).span().begin;
  const auto next =
      std::upper_bound(places.begin(), places.end(), begin,
                       [](std::uint32_t at, const Span& each) { return at < each.begin; });
  return next != places.begin() && std::prev(next)->end > begin;
}

void Builder::lose(Span place) {
  module_->damage.add_place(place);
  module_->damage.add_words(file_.text_of(place));
}

ast::ExprPtr Builder::damaged(Span span) {
  module_->damage.add_words(file_.text_of(span));
  return make(span, ast::DamagedExpr{});
}

std::optional<ast::Decl> Builder::declaration(Parser::DeclarationContext* context) {
  ast::Decl decl;
  decl.span = span_of(context);
  decl.doc = doc_before(context);
  const bool known = declare_any(
      decl, context->recordDeclaration(), context->enumDeclaration(), context->eventDeclaration(),
      context->upgradeDeclaration(), context->topicDeclaration(), context->taskDeclaration(),
      context->poolDeclaration(), context->policyDeclaration(), context->constDeclaration(),
      context->fnDeclaration(), context->flowDeclaration(), context->migrateDeclaration(),
      context->testDeclaration(), context->invariantDeclaration());
  if (!known) return std::nullopt;
  return decl;
}

void Builder::declare(ast::Decl& decl, Parser::RecordDeclarationContext* context) {
  decl.name = name(context->TYPE());
  decl.node = ast::RecordDecl{fields(context->fieldBlock()->field())};
}

void Builder::declare(ast::Decl& decl, Parser::EnumDeclarationContext* context) {
  decl.name = name(context->TYPE());
  ast::EnumDecl node;
  for (auto* each : context->enumCase()) {
    if (is_lost(each)) continue;
    ast::EnumCase built;
    built.doc = doc_before(each);
    built.name = name(each->identifier());
    if (each->parameters() != nullptr) built.fields = fields(each->parameters()->field());
    built.span = span_of(each);
    node.cases.push_back(std::move(built));
  }
  decl.node = std::move(node);
}

void Builder::declare(ast::Decl& decl, Parser::EventDeclarationContext* context) {
  decl.name = name(context->TYPE());
  ast::EventDecl node;
  if (context->NAME() != nullptr) node.version = version(context->NAME());
  node.fields = fields(context->fieldBlock()->field());
  decl.node = std::move(node);
}

void Builder::declare(ast::Decl& decl, Parser::UpgradeDeclarationContext* context) {
  decl.name = name(context->TYPE());
  ast::UpgradeDecl node;
  node.from_version = version(context->NAME(0));
  node.to_version = version(context->NAME(1));
  node.old = name(context->identifier());
  node.value = expression(context->expression());
  decl.node = std::move(node);
}

std::uint32_t Builder::version(antlr4::tree::TerminalNode* node) {
  constexpr std::size_t kDigitsMax = 6;
  const std::string_view text = token(node->getSymbol()).text();
  const std::string_view digits = text.substr(1);
  const bool number = text.front() == 'v' && !digits.empty() && digits.size() <= kDigitsMax &&
                      digits.front() != '0' &&
                      std::all_of(digits.begin(), digits.end(),
                                  [](unsigned char letter) { return std::isdigit(letter) != 0; });
  if (number) return static_cast<std::uint32_t>(int_value(digits).value_or(1));
  diagnostics_.report(Code::E0124, span_of(node), fmt::format("`{}` is no version", text))
      .because("a version is written `v1`, `v2` and so on");
  lose(span_of(node));
  return 1;
}

std::vector<ast::Field> Builder::fields(const std::vector<Parser::FieldContext*>& contexts) {
  std::vector<ast::Field> result;
  for (auto* each : contexts) {
    if (!is_lost(each)) result.push_back(field(each));
  }
  return result;
}

ast::Field Builder::field(Parser::FieldContext* context) {
  ast::Field result;
  result.span = span_of(context);
  result.doc = doc_before(context);
  result.name = name(context->member());
  result.type = type(context->type());
  for (auto* label : context->NAME()) result.labels.push_back(name(label));
  std::size_t next = 0;
  if (context->ASSIGN() != nullptr) result.default_value = expression(context->expression(next++));
  if (context->K_WHERE() != nullptr) result.where = expression(context->expression(next));
  return result;
}

void Builder::declare(ast::Decl& decl, Parser::TopicDeclarationContext* context) {
  decl.name = name(context->identifier());
  ast::TopicDecl node;
  node.event = qualified(context->typeName());
  for (auto* each : context->topicSetting()) {
    if (is_lost(each)) continue;
    if (auto built = topic_setting(each); built.has_value()) {
      node.settings.push_back(std::move(*built));
    }
  }
  decl.node = std::move(node);
}

std::optional<ast::TopicSetting> Builder::topic_setting(Parser::TopicSettingContext* context) {
  ast::TopicSetting result;
  result.span = span_of(context);
  if (auto* s = dynamic_cast<Parser::OrderSettingContext*>(context)) {
    result.node = ast::OrderSetting{order(expression(s->expression()))};
    return result;
  }
  if (auto* s = dynamic_cast<Parser::DedupeSettingContext*>(context)) {
    result.node = ast::DedupeSetting{expression(s->expression())};
    return result;
  }
  if (auto* s = dynamic_cast<Parser::RetainSettingContext*>(context)) {
    result.node = ast::RetainSetting{expression(s->expression())};
    return result;
  }
  if (auto* s = dynamic_cast<Parser::TopicLimitContext*>(context)) {
    result.node = limit(s->limit());
    return result;
  }
  if (auto* s = dynamic_cast<Parser::TopicTtlContext*>(context)) {
    result.node = ast::TtlSetting{expression(s->expression())};
    return result;
  }
  return std::nullopt;
}

ast::Scope Builder::order(ast::ExprPtr by) {
  ast::Scope result;
  result.span = by->span;
  const auto* word = ast::as<ast::NameExpr>(by);
  if (word != nullptr && word->name == "client") {
    result.kind = ast::Scope::Kind::kClient;
  } else if (word != nullptr && word->name == "tenant") {
    result.kind = ast::Scope::Kind::kTenant;
  } else {
    result.kind = ast::Scope::Kind::kKey;
    result.key = std::move(by);
  }
  return result;
}

ast::LimitSetting Builder::limit(Parser::LimitContext* context) {
  ast::LimitSetting result;
  const Span count = span_of(context->INT());
  const Span unit = span_of(context->NAME());
  result.rate.span = join(count, unit);
  result.rate.count = int_value(file_.text_of(count)).value_or(0);
  const std::string_view word = file_.text_of(unit);
  result.rate.per_ms = word == "s"   ? 1'000
                       : word == "m" ? 60'000
                       : word == "h" ? 3'600'000
                       : word == "d" ? 86'400'000
                                     : 0;
  if (result.rate.per_ms == 0 || result.rate.count == 0) {
    diagnostics_
        .report(Code::E0125, result.rate.span,
                fmt::format("`{}` is no rate", file_.text_of(result.rate.span)))
        .because("a rate is a number from 1 per `s`, `m`, `h` or `d`, as in `50/s`");
  }
  result.scope = scope(context->scope());
  if (context->value() != nullptr) result.burst = value(context->value());
  return result;
}

ast::Scope Builder::scope(Parser::ScopeContext* context) {
  ast::Scope result;
  result.span = span_of(context);
  if (context->K_CLIENT() != nullptr) return result;
  result.kind = context->K_TENANT() != nullptr ? ast::Scope::Kind::kTenant : ast::Scope::Kind::kKey;
  if (context->expression() != nullptr) result.key = expression(context->expression());
  return result;
}

void Builder::declare(ast::Decl& decl, Parser::TaskDeclarationContext* context) {
  decl.name = name(context->identifier());
  ast::TaskDecl node;
  node.parameters = fields(context->parameters()->field());
  node.parameters_span = span_of(context->parameters());
  if (context->type() != nullptr) node.result = type(context->type());
  node.policies = policies(context->policyBlock());
  decl.node = std::move(node);
}

void Builder::declare(ast::Decl& decl, Parser::PoolDeclarationContext* context) {
  decl.name = name(context->identifier());
  decl.node = ast::PoolDecl{context->value() == nullptr ? nullptr : value(context->value())};
}

void Builder::declare(ast::Decl& decl, Parser::PolicyDeclarationContext* context) {
  decl.name = name(context->identifier());
  decl.node = ast::PolicyDecl{policies(context->policyBlock())};
}

void Builder::declare(ast::Decl& decl, Parser::ConstDeclarationContext* context) {
  decl.name = name(context->identifier());
  ast::ConstDecl node;
  if (context->type() != nullptr) node.type = type(context->type());
  node.value = expression(context->expression());
  decl.node = std::move(node);
}

void Builder::declare(ast::Decl& decl, Parser::FnDeclarationContext* context) {
  decl.name = name(context->identifier());
  ast::FnDecl node;
  node.parameters = fields(context->parameters()->field());
  node.parameters_span = span_of(context->parameters());
  node.result = type(context->type());
  node.body = expression(context->expression());
  decl.node = std::move(node);
}

void Builder::declare(ast::Decl& decl, Parser::FlowDeclarationContext* context) {
  decl.name = name(context->identifier());
  ast::FlowDecl node;
  node.parameters = fields(context->parameters()->field());
  node.parameters_span = span_of(context->parameters());
  if (context->outcomes() != nullptr) {
    for (auto* each : context->outcomes()->typeName()) node.outcomes.push_back(qualified(each));
  }
  for (auto* each : context->flowSetting()) {
    if (is_lost(each)) continue;
    if (auto built = flow_setting(each); built.has_value()) {
      node.settings.push_back(std::move(*built));
    }
  }
  node.body = block(context->block());
  if (auto* handler = context->onFailure(); handler != nullptr) {
    ast::OnFailure built;
    built.span = span_of(handler);
    built.why = name(handler->identifier());
    built.body = block(handler->block());
    node.on_failure = std::move(built);
  }
  decl.node = std::move(node);
}

std::optional<ast::FlowSetting> Builder::flow_setting(Parser::FlowSettingContext* context) {
  ast::FlowSetting result;
  result.span = span_of(context);
  if (auto* s = dynamic_cast<Parser::TriggerContext*>(context)) {
    if (s->qualifiedName() != nullptr) {
      result.node = ast::TopicTrigger{qualified(s->qualifiedName())};
    } else {
      ast::ScheduleTrigger node{string(s->string(0)), nullptr};
      if (s->K_IN() != nullptr) node.zone = string(s->string(1));
      result.node = std::move(node);
    }
    return result;
  }
  if (auto* s = dynamic_cast<Parser::FlowTimeoutContext*>(context)) {
    result.node = ast::FlowTimeoutSetting{expression(s->expression())};
    return result;
  }
  if (auto* s = dynamic_cast<Parser::ConcurrencyContext*>(context)) {
    result.node = concurrency(s);
    return result;
  }
  if (auto* s = dynamic_cast<Parser::FlowLimitContext*>(context)) {
    result.node = limit(s->limit());
    return result;
  }
  if (auto* s = dynamic_cast<Parser::FlowTtlContext*>(context)) {
    result.node = ast::TtlSetting{expression(s->expression())};
    return result;
  }
  if (auto* s = dynamic_cast<Parser::BudgetContext*>(context)) {
    ast::ExprPtr amount = value(s->value());
    if (s->K_CALLS() != nullptr) {
      result.node = ast::BudgetCallsSetting{std::move(amount), qualified(s->qualifiedName())};
    } else {
      result.node = ast::BudgetTimeSetting{std::move(amount)};
    }
    return result;
  }
  return std::nullopt;
}

ast::ConcurrencySetting Builder::concurrency(Parser::ConcurrencyContext* context) {
  using Mode = ast::ConcurrencySetting::Mode;
  ast::ConcurrencySetting node;
  node.count = value(context->value());
  node.scope = scope(context->scope());
  if (auto* mode = context->concurrencyMode(); mode != nullptr) {
    node.mode = mode->K_NEWEST() != nullptr   ? Mode::kNewestWins
                : mode->K_QUEUE() != nullptr  ? Mode::kQueue
                : mode->K_REJECT() != nullptr ? Mode::kReject
                                              : Mode::kJoins;
    if (mode->value() != nullptr) node.queue = value(mode->value());
  }
  return node;
}

void Builder::declare(ast::Decl& decl, Parser::MigrateDeclarationContext* context) {
  decl.name = name(context->identifier(0));
  ast::MigrateDecl node;
  node.at = qualified(context->qualifiedName(0));
  if (context->K_TO() != nullptr) node.to = qualified(context->qualifiedName(1));
  if (context->LPAREN() != nullptr) node.old = name(context->identifier(1));
  node.locals = field_inits(context->fieldInits());
  decl.node = std::move(node);
}

}  // namespace sluice::compiler
