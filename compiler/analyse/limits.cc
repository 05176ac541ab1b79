// Deadlines add up, and budgets hold: what a flow's steps take at most, against what it declares.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/passes.hpp"
#include "compiler/analyse/worst.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

// What a time is made of, and what is not in it.
std::string sum_of(const Cost& cost) {
  constexpr std::string_view kSum =
      "that is what the attempts, waits, gaps and limits of the steps add up to; `flowc explain` "
      "shows the sum";
  if (cost.waits.empty()) return std::string(kSum);
  return fmt::format(
      "{}. How long `{}` waits for a worker is not in it: `queue D` or `within D` "
      "bounds that",
      kSum, cost.waits.first().name);
}

void check_timeout(const View& view, Worst& worst, Diagnostics& diagnostics) {
  const auto& timeout = view.flow().timeout_ms;
  if (!timeout || timeout->value <= 0) return;
  const auto cut = first_cut(view, worst, view.tree().body, timeout->value);
  if (!cut) return;
  diagnostics
      .report(
          Code::W0010, timeout->span,
          fmt::format("the flow's `timeout` of {} may cut {}", say_ms(timeout->value), cut->what))
      .also(cut->span, fmt::format("this ends up to {} after the start", say_ms(cut->end_ms)))
      .because(sum_of(worst.block(view.tree().body).most().cost));
}

void check_on_failure_time(const View& view, Worst& worst, Diagnostics& diagnostics) {
  if (!view.tree().on_failure) return;
  const auto cut = first_cut(view, worst, view.tree().on_failure->body, kOnFailureMs);
  if (!cut) return;
  diagnostics
      .report(Code::W0010, cut->span,
              fmt::format("`on failure` has {}, which may cut {}", say_ms(kOnFailureMs), cut->what))
      .here(fmt::format("this ends up to {} after the failure", say_ms(cut->end_ms)))
      .because("a client waits for the answer; `within` on the step bounds it");
}

// ------------------------------------------------------------- limits within a shorter `deadline`

struct InnerLimit {
  Span span;
  std::string what;
  std::int64_t ms = 0;
};

// What an author wrote to last so long, here or further inside.
class InnerLimits {
 public:
  explicit InnerLimits(const View& view) : view_(view) {}

  std::optional<InnerLimit> longer_than(const ast::Block& block, std::int64_t limit) {
    std::optional<InnerLimit> found;
    for_each_statement(block, [&](const ast::Stmt& stmt) {
      if (found) return;
      auto here = limit_of(stmt);
      if (here && here->ms > limit) found = std::move(here);
    });
    return found;
  }

 private:
  std::optional<InnerLimit> said(Span span, const ast::ExprPtr& tree, std::string_view what) const {
    const auto ms = view_.duration_ms(tree);
    if (!ms) return std::nullopt;
    return InnerLimit{span, fmt::format("this `{}` of {}", what, say_ms(*ms)), *ms};
  }

  std::optional<InnerLimit> limit_of(const ast::Stmt& stmt) const {
    if (const auto* node = ast::as<ast::DeadlineStmt>(stmt)) {
      return said(node->duration->span, node->duration, "deadline");
    }
    if (const auto* node = ast::as<ast::SleepStmt>(stmt)) {
      return node->until ? std::nullopt : said(node->value->span, node->value, "sleep");
    }
    const auto* node = ast::as<ast::ReceiveStmt>(stmt);
    if (node != nullptr && node->within != nullptr) {
      return said(node->within->span, node->within, "within");
    }
    const auto* step = ast::as<ast::StepStmt>(stmt);
    for (std::size_t i = 0; step != nullptr && i < step->policies.size(); ++i) {
      const auto* within = std::get_if<ast::WithinPolicy>(&step->policies[i].node);
      const StepDef* def = view_.step(stmt);
      if (within == nullptr || def == nullptr || !def->policies.within_ms) continue;
      const std::int64_t ms = def->policies.within_ms->value;
      return InnerLimit{within->duration->span, fmt::format("this `within` of {}", say_ms(ms)), ms};
    }
    return std::nullopt;
  }

  const View& view_;
};

void check_deadlines(const View& view, const ast::Block& block, Diagnostics& diagnostics) {
  for_each_statement(block, [&](const ast::Stmt& stmt) {
    const auto* node = ast::as<ast::DeadlineStmt>(stmt);
    const auto limit = node == nullptr ? std::nullopt : view.duration_ms(node->duration);
    if (!limit || *limit <= 0) return;
    const auto inner = InnerLimits(view).longer_than(node->body, *limit);
    if (!inner) return;
    diagnostics
        .report(Code::W0010, inner->span,
                fmt::format("{} is longer than the `deadline` around it", inner->what))
        .also(node->duration->span, fmt::format("this cuts it after {}", say_ms(*limit)))
        .because("the outer limit cuts the inner one, which will never be reached");
  });
}

// ---------------------------------------------------------------------------------------- budgets

void explain_unbounded(Diagnostic& diagnostic, const Unbounded& why) {
  diagnostic.also(why.span, why.what);
  diagnostic.because(why.mend);
}

void check_budget_of_calls(const FlowDef::CallBudget& budget, const Cost& all,
                           Diagnostics& diagnostics) {
  const auto found = all.attempts.find(budget.task);
  if (found == all.attempts.end() || !exceeds(found->second, budget.calls)) return;
  const std::string_view name = budget.task->name;
  if (!found->second.is_bounded()) {
    explain_unbounded(
        diagnostics.report(Code::E0704, budget.span,
                           fmt::format("nothing bounds how often `{}` is called", name)),
        *found->second.why);
    return;
  }
  diagnostics
      .report(Code::E0704, budget.span,
              fmt::format("a run may call `{}` {} times", name, found->second.value))
      .also(budget.task->tree->name.span, "the task")
      .because(
          "every attempt is a call, and loops count with all their rounds, compensations and `on "
          "failure` included; `flowc explain` shows where they are");
}

void check_budget_of_time(const View& view, const Cost& body, Diagnostics& diagnostics) {
  const auto& budget = view.flow().budget_ms;
  if (!budget || budget->value <= 0 || !exceeds(body.time, budget->value)) return;
  if (!body.time.is_bounded()) {
    explain_unbounded(diagnostics.report(Code::E0704, budget->span,
                                         fmt::format("nothing bounds how long the steps of `{}` "
                                                     "take",
                                                     view.flow().name)),
                      *body.time.why);
    return;
  }
  diagnostics
      .report(
          Code::E0704, budget->span,
          fmt::format("the steps of `{}` may take {}", view.flow().name, say_ms(body.time.value)))
      .because(sum_of(body));
}

}  // namespace

void check_limits(const View& view, Children& children, Diagnostics& diagnostics) {
  Worst worst(view, children);
  check_timeout(view, worst, diagnostics);
  check_on_failure_time(view, worst, diagnostics);
  check_deadlines(view, view.tree().body, diagnostics);
  const FlowDef& flow = view.flow();
  if (flow.call_budgets.empty() && !flow.budget_ms) return;
  const FlowCost cost = cost_of_flow(view, worst);
  for (const auto& budget : flow.call_budgets) {
    check_budget_of_calls(budget, cost.all(), diagnostics);
  }
  check_budget_of_time(view, cost.body, diagnostics);
}

}  // namespace sluice::compiler::analyse
