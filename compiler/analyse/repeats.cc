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

// The kinds of `on` that repeat what may have happened; null if none does or all may be repeated.
const std::pair<std::string, Span>* forbidden_repeat(const Policies& policies) {
  if (policies.idempotent || policies.keyed || !policies.attempts) return nullptr;
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

}  // namespace

void check_repeats(const View& view, Diagnostics& diagnostics) {
  for (const StepDef* step : view.flow().steps) {
    if (step->task == nullptr || forbidden_repeat(step->task->policies) != nullptr) continue;
    if (const auto* kind = forbidden_repeat(step->policies)) {
      report_repeat(diagnostics, *kind, step->name_span, step->name);
    }
  }
}

void check_task_repeats(const Program& program, Diagnostics& diagnostics) {
  for (const TaskDef& task : program.tasks) {
    if (const auto* kind = forbidden_repeat(task.policies)) {
      report_repeat(diagnostics, *kind, task.tree->name.span, task.name);
    }
  }
}

}  // namespace sluice::compiler::analyse
