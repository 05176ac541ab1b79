#include <fmt/format.h>

#include <algorithm>

#include "FlowLexer.h"
#include "compiler/parser/builder.hpp"

namespace sluice::compiler {

ast::StmtPtr Builder::make(antlr4::ParserRuleContext* place, decltype(ast::Stmt::node) node) {
  auto stmt = std::make_unique<ast::Stmt>();
  stmt->span = span_of(place);
  stmt->id = module_->stmt_count++;
  stmt->node = std::move(node);
  return stmt;
}

ast::Block Builder::block(Parser::BlockContext* context) {
  ast::Block result;
  result.span = span_of(context);
  for (auto* each : context->statement()) {
    if (is_lost(each)) continue;
    if (ast::StmtPtr built = statement(each); built != nullptr) {
      result.statements.push_back(std::move(built));
    }
  }
  if (!list_.damage.places().empty()) keep_places(result);
  return result;
}

void Builder::keep_places(ast::Block& block) {
  const auto& places = list_.damage.places();
  auto place =
      std::upper_bound(places.begin(), places.end(), block.span.begin,
                       [](std::uint32_t begin, const Span& each) { return begin < each.begin; });
  for (; place != places.end() && place->begin < block.span.end; ++place) {
    const auto next =
        std::find_if(block.statements.begin(), block.statements.end(),
                     [&](const ast::StmtPtr& each) { return each->span.end > place->begin; });
    if (next != block.statements.end() && (*next)->span.begin <= place->begin) continue;
    auto lost = std::make_unique<ast::Stmt>();
    lost->span = *place;
    lost->id = module_->stmt_count++;
    lost->node = ast::DamagedStmt{};
    block.statements.insert(next, std::move(lost));
  }
}

ast::StmtPtr Builder::statement(Parser::StatementContext* context) {
  if (auto* s = context->letStatement()) return let(s);
  if (auto* s = context->stepStatement()) return step(s);
  if (auto* s = context->ifStatement()) return if_statement(s);
  if (auto* s = context->raceStatement()) return race(s);
  if (auto* s = context->eachStatement()) return each(s);
  if (auto* s = context->matchStatement()) return match_statement(s);
  if (auto* s = context->whileStatement()) return while_statement(s);
  if (auto* s = context->receiveStatement()) return receive(s);
  if (auto* s = context->notifyStatement()) return notify(s);
  if (auto* s = context->startStatement()) return start(s);
  if (auto* s = context->tryStatement()) return try_statement(s);
  if (auto* s = context->parallelStatement()) {
    return make(s, ast::ParallelStmt{branches(s->branch())});
  }
  if (auto* s = context->deadlineStatement()) {
    ast::DeadlineStmt node{expression(s->expression()), block(s->block(0)), std::nullopt};
    if (s->K_ELSE() != nullptr) node.else_body = block(s->block(1));
    return make(s, std::move(node));
  }
  return simple_statement(context);
}

ast::StmtPtr Builder::simple_statement(Parser::StatementContext* context) {
  if (auto* s = context->returnStatement()) {
    ast::ExprPtr value = s->expression() == nullptr ? nullptr : expression(s->expression());
    return make(s, ast::ReturnStmt{std::move(value)});
  }
  if (auto* s = context->varStatement()) {
    ast::Name bound = name(s->identifier());
    return make(s, ast::VarStmt{std::move(bound), expression(s->expression())});
  }
  if (auto* s = context->setStatement()) {
    ast::Name assigned = name(s->identifier());
    return make(s, ast::SetStmt{std::move(assigned), expression(s->expression())});
  }
  if (auto* s = context->yieldStatement()) {
    return make(s, ast::YieldStmt{expression(s->expression())});
  }
  if (auto* s = context->breakStatement()) return make(s, ast::BreakStmt{});
  if (auto* s = context->continueStatement()) return make(s, ast::ContinueStmt{});
  if (auto* s = context->sleepStatement()) {
    return make(s, ast::SleepStmt{expression(s->expression()), s->K_UNTIL() != nullptr});
  }
  if (auto* s = context->publishStatement()) {
    ast::ExprPtr event = expression(s->expression());
    return make(s, ast::PublishStmt{std::move(event), qualified(s->qualifiedName())});
  }
  if (auto* s = context->failStatement()) {
    ast::ExprPtr message = s->expression() == nullptr ? nullptr : expression(s->expression());
    return make(s, ast::FailStmt{name(s->TYPE()), std::move(message)});
  }
  if (auto* s = context->logStatement()) return make(s, ast::LogStmt{expression(s->expression())});
  return nullptr;
}

ast::StmtPtr Builder::let(Parser::LetStatementContext* context) {
  ast::LetStmt node;
  node.name = name(context->identifier());
  if (context->raceStatement() != nullptr) {
    node.source = race(context->raceStatement());
  } else if (context->eachStatement() != nullptr) {
    node.source = each(context->eachStatement());
  } else if (context->startStatement() != nullptr) {
    node.source = start(context->startStatement());
  } else {
    node.value = expression(context->expression());
  }
  return make(context, std::move(node));
}

ast::StmtPtr Builder::step(Parser::StepStatementContext* context) {
  ast::StepStmt node;
  node.named = context->identifier() != nullptr;
  node.call = call(context->call());
  if (node.named) {
    node.name = name(context->identifier());
  } else {
    node.name = qualified(context->call()->qualifiedName()).last();
  }
  node.has_policies = context->policyBlock() != nullptr;
  if (node.has_policies) node.policies = policies(context->policyBlock());
  return make(context, std::move(node));
}

std::vector<ast::Branch> Builder::branches(const std::vector<Parser::BranchContext*>& contexts) {
  std::vector<ast::Branch> result;
  for (auto* each : contexts) {
    if (is_lost(each)) continue;
    ast::Branch branch;
    branch.span = span_of(each);
    if (each->stepStatement() != nullptr) {
      branch.node = step(each->stepStatement());
    } else {
      ast::Name label = name(each->identifier());
      branch.node = ast::BranchArm{std::move(label), block(each->block())};
    }
    result.push_back(std::move(branch));
  }
  return result;
}

ast::StmtPtr Builder::race(Parser::RaceStatementContext* context) {
  return make(context, ast::RaceStmt{branches(context->branch())});
}

ast::StmtPtr Builder::each(Parser::EachStatementContext* context) {
  ast::EachStmt node;
  node.variable = name(context->identifier());
  node.source = expression(context->expression(0));
  if (context->K_PARALLEL() != nullptr) node.parallel = expression(context->expression(1));
  node.body = block(context->block());
  return make(context, std::move(node));
}

ast::StmtPtr Builder::start(Parser::StartStatementContext* context) {
  ast::StartStmt node;
  node.call = call(context->call());
  if (context->K_FOR() != nullptr) node.for_client = expression(context->expression());
  return make(context, std::move(node));
}

ast::IfArm Builder::condition(Parser::ConditionContext* context) {
  ast::IfArm arm;
  if (context->exception != nullptr) {
    arm.condition = damaged(span_of(context));
    return arm;
  }
  if (context->K_LET() != nullptr) arm.binding = name(context->identifier());
  arm.condition = expression(context->expression(0));
  if (context->expression().size() == 2) {
    const Span sign = span_of(context->ASSIGN().back());
    diagnostics_.report(Code::E0105, sign, "`=` does not compare")
        .here("write `==`")
        .because("`=` gives a name its value; it is no expression")
        .mend("write `==`", {{sign, "=="}});
    ast::BinaryExpr meant{ast::BinaryOp::kEqual, sign, std::move(arm.condition),
                          expression(context->expression(1))};
    const Span whole = join(meant.left->span, meant.right->span);
    arm.condition = make(whole, std::move(meant));
  }
  return arm;
}

ast::StmtPtr Builder::if_statement(Parser::IfStatementContext* context) {
  ast::IfStmt node;
  const auto conditions = context->condition();
  const auto blocks = context->block();
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    ast::IfArm arm = condition(conditions[i]);
    arm.body = block(blocks[i]);
    arm.span = join(span_of(conditions[i]), arm.body.span);
    node.arms.push_back(std::move(arm));
  }
  if (blocks.size() > conditions.size()) node.else_body = block(blocks.back());
  return make(context, std::move(node));
}

ast::StmtPtr Builder::match_statement(Parser::MatchStatementContext* context) {
  ast::MatchStmt node;
  node.subject = expression(context->expression());
  for (auto* each : context->matchCase()) {
    if (is_lost(each)) continue;
    ast::MatchCase arm;
    arm.span = span_of(each);
    arm.pattern = pattern(each->pattern());
    arm.body = block(each->block());
    node.cases.push_back(std::move(arm));
  }
  if (context->K_ELSE() != nullptr) node.else_body = block(context->block());
  return make(context, std::move(node));
}

ast::StmtPtr Builder::while_statement(Parser::WhileStatementContext* context) {
  ast::IfArm head = condition(context->condition());
  if (head.binding.has_value()) {
    diagnostics_.report(Code::E0101, head.binding->span, "`while` cannot bind a name")
        .because("write `while true { if let x = … { … } else { break } }`");
    head.condition = damaged(span_of(context->condition()));
  }
  return make(context, ast::WhileStmt{std::move(head.condition), block(context->block())});
}

ast::StmtPtr Builder::receive(Parser::ReceiveStatementContext* context) {
  ast::ReceiveStmt node;
  node.name = name(context->identifier());
  node.event = qualified(context->typeName());
  ast::QualifiedName source = qualified(context->qualifiedName());
  if (!(source.is_simple() && source.last().text == "client")) node.topic = std::move(source);
  std::size_t next = 0;
  if (context->K_WHERE() != nullptr) node.where = expression(context->expression(next++));
  if (context->K_WITHIN() != nullptr) node.within = expression(context->expression(next));
  const auto blocks = context->block();
  const bool has_else = context->K_ELSE() != nullptr;
  if (blocks.size() > (has_else ? 1U : 0U)) node.body = block(blocks.front());
  if (has_else) node.else_body = block(blocks.back());
  return make(context, std::move(node));
}

ast::StmtPtr Builder::notify(Parser::NotifyStatementContext* context) {
  ast::NotifyStmt node;
  node.event = expression(context->expression(0));
  if (context->K_TO() != nullptr) {
    node.target = context->K_CLIENT() != nullptr  ? ast::NotifyStmt::Target::kClient
                  : context->K_GROUP() != nullptr ? ast::NotifyStmt::Target::kGroup
                                                  : ast::NotifyStmt::Target::kRun;
    node.to = expression(context->expression(1));
  }
  return make(context, std::move(node));
}

ast::StmtPtr Builder::try_statement(Parser::TryStatementContext* context) {
  ast::TryStmt node;
  node.body = block(context->block());
  for (auto* each : context->catchArm()) {
    ast::CatchArm arm;
    arm.span = span_of(each);
    if (each->TYPE() != nullptr) arm.kind = name(each->TYPE());
    if (each->identifier() != nullptr) arm.why = name(each->identifier());
    arm.body = block(each->block());
    node.catches.push_back(std::move(arm));
  }
  // `except` and `rescue` behind it were told already.
  const std::size_t behind = context->getStop()->getTokenIndex() + 1;
  const std::string_view word =
      behind < list_.tokens.size() ? list_.tokens[behind].text() : std::string_view();
  if (node.catches.empty() && word != "except" && word != "rescue") {
    diagnostics_.report(Code::E0123, span_of(context->K_TRY()), "this `try` has no `catch`")
        .because("without one a failure goes on to the flow, as it would without `try`");
  }
  return make(context, std::move(node));
}

}  // namespace sluice::compiler
