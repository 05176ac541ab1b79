// It can be repeated: attempts beyond the first only where doing it twice is harmless.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/passes.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

bool may_have_happened(std::string_view kind) {
  return kind == vm::failure_kind::kTimedOut || kind == vm::failure_kind::kLost;
}

bool is_safe(const Policies& policies) {
  return policies.idempotent || policies.keyed || policies.damaged;
}

// The kinds of `on` that repeat what may have happened; null if none does or all may be repeated.
const std::pair<std::string, Span>* forbidden_repeat(const Policies& policies) {
  if (is_safe(policies) || !policies.attempts) return nullptr;
  const Attempts& attempts = policies.attempts->value;
  if (attempts.count < 2) return nullptr;
  const auto found = std::find_if(attempts.kinds.begin(), attempts.kinds.end(),
                                  [](const auto& kind) { return may_have_happened(kind.first); });
  return found == attempts.kinds.end() ? nullptr : &*found;
}

void report_repeat(Diagnostics& diagnostics, const std::pair<std::string, Span>& kind, Span span,
                   std::string_view name) {
  diagnostics
      .report(Code::E0504, span,
              fmt::format("`{}` may not be repeated after `{}`", name, kind.first))
      .also(kind.second, "asked for here")
      .because(
          "a task that timed out or was lost may have been done. Say `idempotent` if doing it "
          "twice is harmless, `keyed` if the worker drops repeats of the key");
}

void report_hedge(Diagnostics& diagnostics, Span span, std::string_view what, const TaskDef& task) {
  diagnostics.report(Code::E0504, span, fmt::format("{} may not be done twice", what))
      .also(task.tree->name.span, "neither `idempotent` nor `keyed`")
      .because(
          "a hedge begins while the first attempt goes on, and the slower one may be done as well. "
          "Say `idempotent` if doing it twice is harmless, `keyed` if the worker drops repeats of "
          "the key");
}

void check_hedge(const StepDef& step, Diagnostics& diagnostics) {
  if (!step.policies.hedge || step.task == nullptr) return;
  const Said<Hedge>& hedge = *step.policies.hedge;
  if (!is_safe(step.policies)) {
    report_hedge(diagnostics, hedge.span, fmt::format("`{}`", step.task->name), *step.task);
  } else if (const StepDef* other = hedge.value.call; other && !is_safe(other->policies)) {
    report_hedge(diagnostics, other->span, fmt::format("`{}`", other->task->name), *other->task);
  }
}

}  // namespace

void check_repeats(const View& view, Diagnostics& diagnostics) {
  for (const StepDef* step : view.flow().steps) {
    const auto& of_task = step->task != nullptr ? step->task->policies : step->policies;
    if (!of_task.hedge || is_safe(of_task)) check_hedge(*step, diagnostics);
    if (step->task == nullptr || forbidden_repeat(step->task->policies) != nullptr) continue;
    if (const auto* kind = forbidden_repeat(step->policies)) {
      report_repeat(diagnostics, *kind, step->name_span, step->name);
    }
  }
}

void check_task_repeats(const Program& program, Diagnostics& diagnostics) {
  for (const TaskDef& task : program.tasks) {
    if (task.policies.hedge && !is_safe(task.policies)) {
      report_hedge(diagnostics, task.policies.hedge->span, fmt::format("`{}`", task.name), task);
    }
    if (const auto* kind = forbidden_repeat(task.policies)) {
      report_repeat(diagnostics, *kind, task.tree->name.span, task.name);
    }
  }
}

}  // namespace sluice::compiler::analyse
