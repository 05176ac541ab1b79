// It can be undone: an effect that something after it can leave half done is compensated, or kept
// on purpose.
#include <fmt/format.h>

#include <set>

#include "compiler/analyse/passes.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

using Failing = std::optional<Span>;  // what may fail, the first of it in the text

Failing nearer(Failing a, Failing b) {
  return a ? a : b;
}

// The first step of a flow, or of one that it runs, whose effect is there once its run has
// completed: then its own `compensate` undoes nothing any more. Null if there is none.
const StepDef* lasting_effect(const FlowDef& flow, std::set<const FlowDef*>& seen) {
  if (!seen.insert(&flow).second) return nullptr;
  for (const StepDef* step : flow.steps) {
    const Policies& policies = step->policies;
    if (step->in_on_failure || step->in_compensation) continue;
    if (policies.keep || policies.idempotent || policies.damaged) continue;
    if (step->task != nullptr) return step;
    const StepDef* inner = step->flow == nullptr ? nullptr : lasting_effect(*step->flow, seen);
    if (inner != nullptr) return inner;
  }
  return nullptr;
}

// Goes backwards, as a step is judged by what may fail after it.
class Undoing {
 public:
  Undoing(const View& view, Diagnostics& diagnostics) : view_(view), diagnostics_(diagnostics) {}

  // `later` is what may fail after the block, if anything; answers the same for its beginning.
  Failing block(const ast::Block& block, Failing later) {
    for (auto each = block.statements.rbegin(); each != block.statements.rend(); ++each) {
      later = statement(without_let(**each), later);
    }
    return later;
  }

 private:
  Failing maybe(const std::optional<ast::Block>& body, Failing later) {
    return body ? block(*body, later) : later;
  }

  Failing statement(const ast::Stmt& stmt, Failing later) {
    return std::visit(
        ast::Overloaded{
            [&](const ast::ReturnStmt&) { return Failing(); },
            [&](const ast::FailStmt&) { return Failing(stmt.span); },
            // What comes after it in the text does not come after it in time.
            [&](const ast::BreakStmt&) { return after_loop_; },
            [&](const ast::ContinueStmt&) { return nearer(round_, after_loop_); },
            [&](const ast::StepStmt&) { return step(stmt, later); },
            [&](const ast::IfStmt& node) {
              Failing first;
              for (const ast::IfArm& arm : node.arms) first = nearer(first, block(arm.body, later));
              return nearer(first, maybe(node.else_body, later));
            },
            [&](const ast::MatchStmt& node) {
              Failing first;
              for (const ast::MatchCase& each : node.cases) {
                first = nearer(first, block(each.body, later));
              }
              return nearer(first, node.else_body ? block(*node.else_body, later) : Failing());
            },
            [&](const ast::ReceiveStmt& node) {
              const Failing late = maybe(node.else_body, later);
              return nearer(maybe(node.body, later), late);
            },
            [&](const ast::DeadlineStmt& node) {
              const Failing late = maybe(node.else_body, later);
              return nearer(block(node.body, later), late);
            },
            [&](const ast::TryStmt& node) { return try_block(node, later); },
            [&](const ast::WhileStmt& node) { return loop(node.body, later); },
            [&](const ast::EachStmt& node) { return loop(node.body, later); },
            [&](const ast::ParallelStmt& node) { return branches(node.branches, later); },
            [&](const ast::RaceStmt& node) { return branches(node.branches, later); },
            [&](const auto&) { return later; },
        },
        stmt.node);
  }

  // Where a step may fail for good, which its own `fallback` value prevents.
  Failing failure_of(const ast::Stmt& stmt) const {
    const StepDef* step = view_.step(stmt);
    if (step == nullptr || step->policies.fallback_value) return std::nullopt;
    return step->name_span;
  }

  Failing step(const ast::Stmt& stmt, Failing later) {
    const StepDef* found = view_.step(stmt);
    if (later && found != nullptr) judge(*found, *later);
    return nearer(failure_of(stmt), later);
  }

  // A step of one round comes before those of the next, or beside them when rounds run at once.
  Failing loop(const ast::Block& body, Failing later) {
    const Failing outer_after = after_loop_;
    const Failing outer_round = round_;
    const Failing own = quiet(body);
    if (quiet_) return nearer(own, later);
    after_loop_ = later;
    round_ = own;
    block(body, nearer(own, later));
    after_loop_ = outer_after;
    round_ = outer_round;
    return nearer(own, later);
  }

  // A `catch` without a kind leaves no failure to what follows.
  Failing try_block(const ast::TryStmt& node, Failing later) {
    Failing caught;
    bool all = false;
    for (const ast::CatchArm& arm : node.catches) {
      caught = nearer(caught, block(arm.body, later));
      all = all || !arm.kind;
    }
    const Failing inside = quiet(node.body);
    if (!quiet_) block(node.body, nearer(caught, later));
    return all ? nearer(caught, later) : nearer(inside, nearer(caught, later));
  }

  // Each branch may be undone because of what fails beside it.
  Failing branches(const std::vector<ast::Branch>& all, Failing later) {
    std::vector<Failing> own;
    for (const ast::Branch& each : all) {
      const ast::Block* body = body_of(each);
      own.push_back(body == nullptr ? failure_of(*step_of(each)) : quiet(*body));
    }
    for (std::size_t i = 0; i < all.size() && !quiet_; ++i) {
      Failing beside = later;
      // The first two failing branches are enough: one of them is not this one.
      for (std::size_t k = 0, seen = 0; k < own.size() && seen < 2 && !beside; ++k) {
        if (!own[k]) continue;
        ++seen;
        if (k != i) beside = own[k];
      }
      if (const ast::Block* body = body_of(all[i])) {
        block(*body, beside);
      } else {
        step(*step_of(all[i]), beside);
      }
    }
    for (const Failing& each : own) later = nearer(each, later);
    return later;
  }

  // What may fail in a block, without judging its steps.
  Failing quiet(const ast::Block& body) {
    const bool outer = quiet_;
    const Failing after = after_loop_;
    const Failing round = round_;
    quiet_ = true;
    after_loop_ = round_ = std::nullopt;
    const Failing found = block(body, std::nullopt);
    quiet_ = outer;
    after_loop_ = after;
    round_ = round;
    return found;
  }

  void judge(const StepDef& step, Span later) {
    const Policies& policies = step.policies;
    if (quiet_ || policies.idempotent || policies.compensate || policies.keep) return;
    if (policies.damaged) return;
    if (step.flow != nullptr) return judge_flow(step, later);
    if (step.task == nullptr) return;
    diagnostics_
        .report(Code::W0005, step.name_span,
                fmt::format("what `{}` does stays done when the run fails later", step.name))
        .also(later, later == step.name_span ? "this may fail in a later round" : "this may fail")
        .because(
            "`compensate { … }` undoes it, `keep` says that it may stay, and `idempotent` that "
            "the task has no effect to undo");
  }

  // A run that has completed undoes nothing when its parent fails.
  void judge_flow(const StepDef& step, Span later) {
    std::set<const FlowDef*> seen;
    const StepDef* effect = lasting_effect(*step.flow, seen);
    if (effect == nullptr) return;
    diagnostics_
        .report(Code::W0005, step.name_span,
                fmt::format("what the flow `{}` does stays done when the run fails later",
                            step.flow->name))
        .also(later, later == step.name_span ? "this may fail in a later round" : "this may fail")
        .also(effect->name_span, "this has an effect, which only its own run undoes")
        .because(
            "a run that has completed undoes nothing any more: `compensate { … }` on the step that "
            "ran it does, `keep` there or in the flow says that it may stay");
  }

  const View& view_;
  Diagnostics& diagnostics_;
  bool quiet_ = false;
  Failing after_loop_;  // what may fail once the loop around is left
  Failing round_;       // what may fail in its next round
};

}  // namespace

void check_undoing(const View& view, Diagnostics& diagnostics) {
  Undoing(view, diagnostics).block(view.tree().body, std::nullopt);
  for (const StepDef* step : view.flow().steps) {
    const Policies& policies = step->policies;
    if (!policies.compensate || policies.unsure || step->task == nullptr) continue;
    if (policies.damaged) continue;
    diagnostics
        .report(Code::W0006, policies.compensate->span,
                fmt::format("nothing cleans up if `{}` ends without an answer", step->name))
        .because(
            "a step that timed out or was lost may have happened; `unsure { … }` undoes it by "
            "its key and its arguments, as there is no result");
  }
}

}  // namespace sluice::compiler::analyse
