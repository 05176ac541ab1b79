#include "compiler/analyse/view.hpp"

#include "compiler/analyse/amount.hpp"
#include "compiler/check/fold.hpp"

namespace sluice::compiler::analyse {

View::View(const ir::Program& program, const ir::FlowDef& flow)
    : program_(program), flow_(flow), tree_(std::get<ast::FlowDecl>(flow.tree->node)) {
  const auto look = [&](const ast::Stmt& stmt) { remember(stmt); };
  for_each_statement(tree_.body, look);
  if (tree_.on_failure) for_each_statement(tree_.on_failure->body, look);
}

void View::remember(const ast::Stmt& stmt) {
  const auto taken = [&](const ast::Name& name, const ast::ExprPtr& from) {
    if (from != nullptr) sources_.emplace(name.span.begin, from.get());
  };
  if (const auto* let = ast::as<ast::LetStmt>(stmt)) {
    lets_[let->name.span.begin] = let;
    taken(let->name, let->value);
  } else if (const auto* receive = ast::as<ast::ReceiveStmt>(stmt)) {
    receives_[receive->name.span.begin] = receive;
  } else if (const auto* var = ast::as<ast::VarStmt>(stmt)) {
    if (var->value != nullptr) variables_.emplace(var->name.text, var->value.get());
  } else if (const auto* set = ast::as<ast::SetStmt>(stmt)) {
    if (set->value != nullptr) variables_.emplace(set->name.text, set->value.get());
  } else if (const auto* each = ast::as<ast::EachStmt>(stmt)) {
    taken(each->variable, each->source);
  } else if (const auto* choice = ast::as<ast::IfStmt>(stmt)) {
    for (const ast::IfArm& arm : choice->arms) {
      if (arm.binding) taken(*arm.binding, arm.condition);
    }
  } else if (const auto* match = ast::as<ast::MatchStmt>(stmt)) {
    for (const ast::MatchCase& arm : match->cases) {
      const auto* named = ast::as<ast::NamePattern>(arm.pattern);
      const auto* typed = ast::as<ast::TypePattern>(arm.pattern);
      if (named != nullptr) {
        for (const ast::Name& name : named->bindings) taken(name, match->subject);
      } else if (typed != nullptr) {
        for (const ast::Name& name : typed->bindings) taken(name, match->subject);
      }
    }
  }
}

std::vector<const ir::Expr*> View::taken_from(const ir::Local& local) const {
  std::vector<const ir::Expr*> all;
  const auto add = [&](const auto& range) {
    for (auto each = range.first; each != range.second; ++each) {
      all.push_back(flow_.module->exprs[each->second->id]);
    }
  };
  if (local.kind == ir::Local::Kind::kVar) {
    add(variables_.equal_range(local.name));
  } else {
    add(sources_.equal_range(local.span.begin));
  }
  return all;
}

const ast::ReceiveStmt* View::receive_of(const ir::Local& local) const {
  const auto found = receives_.find(local.span.begin);
  return found == receives_.end() ? nullptr : found->second;
}

const ir::Expr* View::expr(const ast::ExprPtr& tree) const {
  return tree == nullptr ? nullptr : flow_.module->exprs[tree->id];
}

const ir::StepDef* View::step(const ast::Stmt& tree) const {
  return flow_.module->steps[tree.id];
}

std::optional<std::int64_t> View::duration_ms(const ast::ExprPtr& tree) const {
  const ir::Expr* found = expr(tree);
  if (found == nullptr || found->type != ir::kDuration) return std::nullopt;
  const auto value = fold(*found);
  return value ? std::optional(value->as_int()) : std::nullopt;
}

std::optional<std::int64_t> View::integer(const ast::ExprPtr& tree) const {
  const ir::Expr* found = expr(tree);
  if (found == nullptr || found->type != ir::kInt) return std::nullopt;
  const auto value = fold(*found);
  return value ? std::optional(value->as_int()) : std::nullopt;
}

bool View::is_true(const ast::ExprPtr& tree) const {
  const auto* literal = ast::as<ast::BoolLiteral>(tree);
  return literal != nullptr && literal->value;
}

const ast::LetStmt* View::let_of(const ir::Local& local) const {
  const auto found = lets_.find(local.span.begin);
  return found == lets_.end() ? nullptr : found->second;
}

std::optional<std::int64_t> rounds_of(const View& view, const ast::EachStmt& node) {
  if (const auto* list = ast::as<ast::ListExpr>(node.source)) {
    return static_cast<std::int64_t>(list->elements.size());
  }
  const auto* range = ast::as<ast::RangeExpr>(node.source);
  if (range == nullptr) return std::nullopt;
  const auto first = view.integer(range->first);
  const auto last = view.integer(range->last);
  return first && last ? std::optional(numbers_between(*first, *last).value) : std::nullopt;
}

const ast::Block* body_of(const ast::Branch& branch) {
  const auto* arm = std::get_if<ast::BranchArm>(&branch.node);
  return arm == nullptr ? nullptr : &arm->body;
}

const ast::Stmt* step_of(const ast::Branch& branch) {
  const auto* stmt = std::get_if<ast::StmtPtr>(&branch.node);
  return stmt == nullptr ? nullptr : stmt->get();
}

namespace {

using BlockVisit = std::function<void(const ast::Block&)>;

void blocks_of(const std::vector<ast::Branch>& branches, const BlockVisit& visit) {
  for (const ast::Branch& each : branches) {
    if (const ast::Block* body = body_of(each)) visit(*body);
    if (const ast::Stmt* step = step_of(each)) for_each_block(*step, visit);
  }
}

void blocks_of(const ast::StepStmt& node, const BlockVisit& visit) {
  for (const ast::Policy& policy : node.policies) {
    if (const auto* undo = std::get_if<ast::CompensatePolicy>(&policy.node)) visit(undo->body);
    if (const auto* undo = std::get_if<ast::UnsurePolicy>(&policy.node)) visit(undo->body);
  }
}

}  // namespace

void for_each_block(const ast::Stmt& stmt, const BlockVisit& visit) {
  const auto maybe = [&](const std::optional<ast::Block>& block) {
    if (block) visit(*block);
  };
  std::visit(ast::Overloaded{
                 [&](const ast::LetStmt& n) {
                   if (n.source != nullptr) for_each_block(*n.source, visit);
                 },
                 [&](const ast::StepStmt& n) { blocks_of(n, visit); },
                 [&](const ast::ParallelStmt& n) { blocks_of(n.branches, visit); },
                 [&](const ast::RaceStmt& n) { blocks_of(n.branches, visit); },
                 [&](const ast::EachStmt& n) { visit(n.body); },
                 [&](const ast::IfStmt& n) {
                   for (const ast::IfArm& arm : n.arms) visit(arm.body);
                   maybe(n.else_body);
                 },
                 [&](const ast::MatchStmt& n) {
                   for (const ast::MatchCase& each : n.cases) visit(each.body);
                   maybe(n.else_body);
                 },
                 [&](const ast::WhileStmt& n) { visit(n.body); },
                 [&](const ast::ReceiveStmt& n) {
                   maybe(n.body);
                   maybe(n.else_body);
                 },
                 [&](const ast::DeadlineStmt& n) {
                   visit(n.body);
                   maybe(n.else_body);
                 },
                 [&](const ast::TryStmt& n) {
                   visit(n.body);
                   for (const ast::CatchArm& arm : n.catches) visit(arm.body);
                 },
                 [](const auto&) {},
             },
             stmt.node);
}

namespace {

void statement_and_inner(const ast::Stmt& stmt,
                         const std::function<void(const ast::Stmt&)>& visit) {
  visit(stmt);
  const auto branches = [&](const std::vector<ast::Branch>& all) {
    for (const ast::Branch& each : all) {
      if (const ast::Stmt* step = step_of(each)) {
        statement_and_inner(*step, visit);
      } else {
        for_each_statement(*body_of(each), visit);
      }
    }
  };
  if (const auto* let = ast::as<ast::LetStmt>(stmt)) {
    if (let->source != nullptr) statement_and_inner(*let->source, visit);
  } else if (const auto* parallel = ast::as<ast::ParallelStmt>(stmt)) {
    branches(parallel->branches);
  } else if (const auto* race = ast::as<ast::RaceStmt>(stmt)) {
    branches(race->branches);
  } else {
    for_each_block(stmt, [&](const ast::Block& block) { for_each_statement(block, visit); });
  }
}

}  // namespace

void for_each_statement(const ast::Block& block,
                        const std::function<void(const ast::Stmt&)>& visit) {
  for (const ast::StmtPtr& each : block.statements) statement_and_inner(*each, visit);
}

Span word_of(const ast::Stmt& stmt, std::uint32_t size) {
  return {stmt.span.file, stmt.span.begin, stmt.span.begin + size};
}

const ast::Stmt& without_let(const ast::Stmt& stmt) {
  const auto* let = ast::as<ast::LetStmt>(stmt);
  return let != nullptr && let->source != nullptr ? *let->source : stmt;
}

}  // namespace sluice::compiler::analyse
