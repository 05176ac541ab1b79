// What a run may have at once: branches and rounds alive, compensations registered. Only what the
// program itself says is counted: numbers that are written out.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/bounds.hpp"
#include "compiler/analyse/passes.hpp"
#include "vm/limits.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

const Amount kOne{1, nullptr};

// Counts what a way through a block registers to be undone, and reports the first statement by
// which it is too much.
class Registered {
 public:
  Registered(const View& view, Diagnostics& diagnostics) : view_(view), diagnostics_(diagnostics) {}

  Amount block(const ast::Block& block) {
    Amount sum;
    for (const ast::StmtPtr& each : block.statements) {
      const ast::Stmt& stmt = without_let(*each);
      sum = plus(sum, statement(stmt));
      judge(sum, stmt);
    }
    return sum;
  }

 private:
  Amount statement(const ast::Stmt& stmt) {
    if (const auto* step = ast::as<ast::StepStmt>(stmt)) return of_step(*step);
    if (const auto* each = ast::as<ast::EachStmt>(stmt)) {
      const Amount once = block(each->body);
      const auto rounds = rounds_of(view_, *each);
      return rounds ? times(once, {*rounds, nullptr}) : once;
    }
    if (const auto* all = ast::as<ast::ParallelStmt>(stmt)) return of_branches(all->branches);
    // One way or the other; of a `race` the losers are undone.
    Amount most;
    for_each_block(stmt, [&](const ast::Block& inner) { most = larger(most, block(inner)); });
    return most;
  }

  static Amount of_step(const ast::StepStmt& node) {
    const auto undoes = [](const ast::Policy& policy) {
      return std::holds_alternative<ast::CompensatePolicy>(policy.node);
    };
    return std::any_of(node.policies.begin(), node.policies.end(), undoes) ? kOne : Amount();
  }

  Amount of_branches(const std::vector<ast::Branch>& branches) {
    Amount sum;
    for (const ast::Branch& each : branches) {
      const ast::Block* body = body_of(each);
      sum = plus(sum, body == nullptr ? statement(*step_of(each)) : block(*body));
    }
    return sum;
  }

  void judge(const Amount& sum, const ast::Stmt& stmt) {
    if (said_ || !exceeds(sum, vm::kCompensationsMax)) return;
    said_ = true;
    const auto* each = ast::as<ast::EachStmt>(stmt);
    diagnostics_
        .report(Code::W0018, each != nullptr ? each->source->span : stmt.span,
                fmt::format("up to {} compensations are registered by then", sum.value))
        .because(fmt::format("a run has {} at most: the step that would add one more fails with "
                             "`Fault`. A flow for each part, run as a step, has its own",
                             vm::kCompensationsMax));
  }

  const View& view_;
  Diagnostics& diagnostics_;
  bool said_ = false;
};

void check_parallel(const View& view, const ast::Stmt& stmt, Diagnostics& diagnostics) {
  const auto* each = ast::as<ast::EachStmt>(stmt);
  const auto beside = each == nullptr ? std::nullopt : view.integer(each->parallel);
  if (!beside || *beside <= vm::kFibersMax) return;
  const Expr* source = view.expr(each->source);
  const Amount rounds = source == nullptr ? Amount() : Bounds(view).elements(*source);
  if (!exceeds(rounds, vm::kFibersMax)) return;
  diagnostics
      .report(Code::W0018, each->parallel->span,
              fmt::format("{} rounds at once are more than a run may have", *beside))
      .because(fmt::format("at most {} branches and rounds are alive at once: one more fails with "
                           "`Fault`",
                           vm::kFibersMax));
}

}  // namespace

void check_sizes(const View& view, Diagnostics& diagnostics) {
  Registered(view, diagnostics).block(view.tree().body);
  for_each_statement(view.tree().body,
                     [&](const ast::Stmt& stmt) { check_parallel(view, stmt, diagnostics); });
}

}  // namespace sluice::compiler::analyse
