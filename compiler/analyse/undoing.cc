// It can be undone: an effect that something after it can leave half done is compensated, or kept
// on purpose.
#include <fmt/format.h>

#include <set>

#include "compiler/analyse/failing.hpp"
#include "compiler/analyse/passes.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

struct Reason {
  Span span;
  const char* what;  // under its place in the text
};

// What may undo what was done before, the first of it in the text.
struct Failing {
  std::optional<Reason> fails;  // and `catch` may take it
  std::optional<Reason> cut;    // a wait that time may run out in, which nothing catches

  explicit operator bool() const { return fails || cut; }
  const Reason& reason() const { return fails ? *fails : *cut; }
};

Failing nearer(const Failing& a, const Failing& b) {
  return {a.fails ? a.fails : b.fails, a.cut ? a.cut : b.cut};
}

Failing failing(Span span, const char* what = "this may fail") {
  return {Reason{span, what}, std::nullopt};
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
  // `late`: the flow may take longer than its own `timeout`.
  Undoing(const View& view, bool late, Diagnostics& diagnostics)
      : view_(view), diagnostics_(diagnostics), late_(late) {}

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

  // What it computes may fail before it does anything.
  Failing statement(const ast::Stmt& stmt, Failing later) {
    return nearer(computing(stmt), go(stmt, std::move(later)));
  }

  Failing computing(const ast::Stmt& stmt) const {
    const auto found = first_failing(view_, stmt);
    return found ? failing(*found) : Failing();
  }

  // A wait, in which the `deadline` around or the flow's own time may run out, or a race be lost.
  Failing wait(Span span) const {
    if (deadlines_ > 0) return {std::nullopt, Reason{span, "its `deadline` may end here"}};
    if (races_ > 0) return {std::nullopt, Reason{span, "another branch may win here"}};
    if (late_) return {std::nullopt, Reason{span, "the flow's `timeout` may end here"}};
    return {};
  }

  Failing go(const ast::Stmt& stmt, Failing later) {
    return std::visit(
        ast::Overloaded{
            [&](const ast::ReturnStmt&) { return Failing(); },
            [&](const ast::FailStmt&) { return failing(stmt.span); },
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
            [&](const ast::SleepStmt&) { return nearer(wait(stmt.span), later); },
            [&](const ast::ReceiveStmt& node) {
              const Failing late = maybe(node.else_body, later);
              return nearer(wait(word_of(stmt, 7)), nearer(maybe(node.body, later), late));
            },
            [&](const ast::DeadlineStmt& node) { return deadline(node, later); },
            [&](const ast::TryStmt& node) { return try_block(node, later); },
            [&](const ast::WhileStmt& node) { return loop(node.body, computing(stmt), later); },
            [&](const ast::EachStmt& node) { return loop(node.body, {}, later); },
            [&](const ast::ParallelStmt& node) { return branches(node.branches, false, later); },
            [&](const ast::RaceStmt& node) { return branches(node.branches, true, later); },
            [&](const auto&) { return later; },
        },
        stmt.node);
  }

  // Where a step may fail for good, which its own `fallback` value prevents.
  Failing failure_of(const ast::Stmt& stmt) const {
    const StepDef* step = view_.step(stmt);
    if (step == nullptr) return {};
    const Failing time = wait(step->name_span);
    return step->policies.fallback_value ? time : nearer(failing(step->name_span), time);
  }

  Failing step(const ast::Stmt& stmt, const Failing& later) {
    const StepDef* found = view_.step(stmt);
    if (later && found != nullptr) judge(*found, later.reason());
    return nearer(failure_of(stmt), later);
  }

  // What its end undoes is inside of it; what stands before is undone by an outer one only.
  Failing deadline(const ast::DeadlineStmt& node, const Failing& later) {
    const Failing late = maybe(node.else_body, later);
    ++deadlines_;
    Failing inside = block(node.body, later);
    --deadlines_;
    if (inside.cut && deadlines_ == 0) inside.cut = wait(inside.cut->span).cut;
    return nearer(inside, late);
  }

  // A step of one round comes before those of the next, or beside them when rounds run at once.
  // `again` is what may fail between two rounds.
  Failing loop(const ast::Block& body, const Failing& again, const Failing& later) {
    const Failing outer_after = after_loop_;
    const Failing outer_round = round_;
    const Failing own = nearer(quiet(body), again);
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
    Failing inside = quiet(node.body);
    if (!quiet_) block(node.body, nearer(caught, later));
    if (all) inside.fails = std::nullopt;
    return nearer(inside, nearer(caught, later));
  }

  // Each branch may be undone because of what fails beside it, in a race because another one wins
  // while it waits.
  Failing branches(const std::vector<ast::Branch>& all, bool race, Failing later) {
    std::vector<Failing> own;
    for (const ast::Branch& each : all) {
      const ast::Block* body = body_of(each);
      own.push_back(body == nullptr ? quiet_step(*step_of(each)) : quiet(*body));
    }
    if (race && all.size() > 1) ++races_;
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
        statement(*step_of(all[i]), beside);
      }
    }
    if (race && all.size() > 1) --races_;
    for (const Failing& each : own) later = nearer(each, later);
    return later;
  }

  Failing quiet_step(const ast::Stmt& stmt) { return nearer(computing(stmt), failure_of(stmt)); }

  // What may fail in a block, without judging its steps.
  Failing quiet(const ast::Block& body) {
    const bool outer = quiet_;
    const Failing after = after_loop_;
    const Failing round = round_;
    quiet_ = true;
    after_loop_ = round_ = Failing();
    const Failing found = block(body, {});
    quiet_ = outer;
    after_loop_ = after;
    round_ = round;
    return found;
  }

  void judge(const StepDef& step, const Reason& later) {
    const Policies& policies = step.policies;
    if (quiet_ || policies.idempotent || policies.compensate || policies.keep) return;
    if (policies.damaged) return;
    if (step.flow != nullptr) return judge_flow(step, later);
    if (step.task == nullptr) return;
    diagnostics_
        .report(Code::W0005, step.name_span,
                fmt::format("what `{}` does stays done when the run fails later", step.name))
        .also(later.span, in_words(step, later))
        .because(
            "`compensate { … }` undoes it, `keep` says that it may stay, and `idempotent` that "
            "the task has no effect to undo");
  }

  static const char* in_words(const StepDef& step, const Reason& later) {
    return later.span == step.name_span ? "this may fail in a later round" : later.what;
  }

  // A run that has completed undoes nothing when its parent fails.
  void judge_flow(const StepDef& step, const Reason& later) {
    std::set<const FlowDef*> seen;
    const StepDef* effect = lasting_effect(*step.flow, seen);
    if (effect == nullptr) return;
    diagnostics_
        .report(Code::W0005, step.name_span,
                fmt::format("what the flow `{}` does stays done when the run fails later",
                            step.flow->name))
        .also(later.span, in_words(step, later))
        .also(effect->name_span, "this has an effect, which only its own run undoes")
        .because(
            "a run that has completed undoes nothing any more: `compensate { … }` on the step that "
            "ran it does, `keep` there or in the flow says that it may stay");
  }

  const View& view_;
  Diagnostics& diagnostics_;
  bool late_;
  bool quiet_ = false;
  int deadlines_ = 0;   // around
  int races_ = 0;       // around, whose other branches may win
  Failing after_loop_;  // what may fail once the loop around is left
  Failing round_;       // what may fail in its next round
};

}  // namespace

void check_undoing(const View& view, Children& children, Diagnostics& diagnostics) {
  const auto& timeout = view.flow().timeout_ms;
  Worst worst(view, children);
  const bool late =
      timeout && exceeds(worst.block(view.tree().body).most().cost.time, timeout->value);
  Undoing(view, late, diagnostics).block(view.tree().body, {});
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
