// The rules of flows: every path answers, nothing is unreachable, what is repeated may be repeated,
// what is done can be undone, and nothing waits for ever.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/context.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// How a block or statement goes on.
enum class Way : std::uint8_t {
  kOn,       // to what follows
  kEnds,     // never: it returns or fails
  kUnknown,  // it holds something that was reported
};

Way both(Way a, Way b) {
  if (a == Way::kUnknown || b == Way::kUnknown) return Way::kUnknown;
  return a == Way::kEnds && b == Way::kEnds ? Way::kEnds : Way::kOn;
}

// ---------------------------------------------------------------------------------- every path
// ends

class Paths {
 public:
  explicit Paths(Context& context) : context_(context) {}

  Way block(const Block& block) {
    Way way = Way::kOn;
    const Stmt* ender = nullptr;
    for (const Stmt* stmt : block.statements) {
      if (ender != nullptr) {
        unreachable(*stmt, *block.statements.back(), *ender);
        break;
      }
      const Way here = statement(*stmt);
      if (here == Way::kUnknown) way = here;
      if (here != Way::kEnds) continue;
      way = way == Way::kUnknown ? way : Way::kEnds;
      ender = stmt;
    }
    return way;
  }

 private:
  Way statement(const Stmt& stmt) {
    return std::visit(
        ast::Overloaded{
            [](const Return&) { return Way::kEnds; },
            [](const Fail&) { return Way::kEnds; },
            [&](const If& node) {
              Way way = node.else_body ? block(*node.else_body) : Way::kOn;
              for (const IfArm& arm : node.arms) way = both(way, block(arm.body));
              return way;
            },
            [&](const Match& node) {
              Way way = node.else_body ? block(*node.else_body) : Way::kEnds;
              for (const MatchCase& each : node.cases) way = both(way, block(each.body));
              return node.cases.empty() && !node.else_body ? Way::kUnknown : way;
            },
            [&](const Parallel& node) {
              // It ends where one branch never comes to its end: all are waited for.
              Way way = Way::kOn;
              for (const Branch& each : node.branches) {
                const Way here = each.step != nullptr ? Way::kOn : block(each.body);
                if (here == Way::kUnknown || way == Way::kUnknown) {
                  way = Way::kUnknown;
                } else if (here == Way::kEnds) {
                  way = Way::kEnds;
                }
              }
              return way;
            },
            [&](const Step& node) {
              if (node.step->policies.compensate && node.step->policies.compensate->value) {
                block(*node.step->policies.compensate->value);
              }
              if (node.step->policies.unsure && node.step->policies.unsure->value) {
                block(*node.step->policies.unsure->value);
              }
              return Way::kOn;
            },
            [&](const Refused& node) {
              for (const Block& each : node.blocks) block(each);
              return Way::kUnknown;
            },
            [](const Let&) { return Way::kOn; },
            [](const Set&) { return Way::kOn; },
            [](const Notify&) { return Way::kOn; },
            [](const Sleep&) { return Way::kOn; },
            [](const auto&) { return Way::kUnknown; },
        },
        stmt.node);
  }

  void unreachable(const Stmt& first, const Stmt& last, const Stmt& ender) {
    const bool returns = std::holds_alternative<Return>(ender.node);
    const bool fails = std::holds_alternative<Fail>(ender.node);
    context_.diagnostics.report(Code::W0004, join(first.span, last.span), "this is never reached")
        .also(ender.span, returns ? "the run is answered here"
                          : fails ? "the run fails here"
                                  : "every path ends in here");
  }

  Context& context_;
};

std::string outcome_names(const FlowDef& flow) {
  std::string names;
  for (const RecordDef* outcome : flow.outcomes) {
    names += fmt::format("{}`{}`", names.empty() ? "" : " or ", outcome->name);
  }
  return names;
}

Span last_byte(Span block) {
  return {block.file, block.end - 1, block.end};
}

// The `if` at the end of a block that lets a run pass by.
std::optional<Span> way_past(const Block& block) {
  if (block.statements.empty()) return std::nullopt;
  const Stmt& last = *block.statements.back();
  const auto* found = as<If>(&last);
  if (found == nullptr || found->else_body) return std::nullopt;
  return Span{last.span.file, last.span.begin, last.span.begin + 2};
}

void check_answers(Context& context, const FlowDef& flow) {
  Paths paths(context);
  const Way body = paths.block(flow.body);
  const Way failure = flow.on_failure ? paths.block(*flow.on_failure) : Way::kOn;
  const bool has_outcomes = !flow.outcomes.empty() || !flow.outcomes_known;
  if (!has_outcomes) return;
  const auto& tree = std::get<ast::FlowDecl>(flow.tree->node);
  const Span head = join(tree.outcomes.front().span, tree.outcomes.back().span);
  const std::string wanted = fmt::format("it promises {}", outcome_names(flow));
  if (body == Way::kOn) {
    Diagnostic& diagnostic = context.diagnostics.report(
        Code::E0401, last_byte(flow.body.span),
        fmt::format("a run of `{}` can come to this end without an outcome", flow.name));
    diagnostic.also(head, wanted);
    if (const auto gap = way_past(flow.body)) {
      diagnostic.also(*gap, "it goes on when no condition holds");
    }
    diagnostic.because(
        "every run answers exactly once, so every path ends with `return EVENT` or `fail`");
  }
  if (!flow.on_failure) {
    context.diagnostics
        .report(Code::E0402, flow.tree->name.span,
                fmt::format("nobody is answered when a run of `{}` fails", flow.name))
        .also(head, wanted)
        .because(
            "any run may fail, be cancelled or run out of time; `on failure (why) { return … }` "
            "behind the flow answers then");
  } else if (failure == Way::kOn) {
    Diagnostic& diagnostic = context.diagnostics.report(
        Code::E0401, last_byte(flow.on_failure->span),
        fmt::format("a failed run of `{}` can come to this end without an outcome", flow.name));
    diagnostic.also(head, wanted);
    if (const auto gap = way_past(*flow.on_failure)) {
      diagnostic.also(*gap, "it goes on when no condition holds");
    }
    diagnostic.because("every run answers exactly once, also when it fails");
  }
}

// ------------------------------------------------------------------------------ it can be repeated

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

void report_repeat(Context& context, const std::pair<std::string, Span>& kind, Span span,
                   std::string_view name) {
  context.diagnostics
      .report(Code::E0504, span,
              fmt::format("`{}` may not be repeated after `{}`", name, kind.first))
      .also(kind.second, "asked for here")
      .because(
          "a task that timed out or was lost may have been done. Say `idempotent` if doing it "
          "twice is harmless, `keyed` if the worker drops repeats of the key");
}

void check_repeats(Context& context, const FlowDef& flow) {
  for (const StepDef* step : flow.steps) {
    if (step->task == nullptr || forbidden_repeat(step->task->policies) != nullptr) continue;
    if (const auto* kind = forbidden_repeat(step->policies)) {
      report_repeat(context, *kind, step->name_span, step->name);
    }
  }
}

// -------------------------------------------------------------------------------- it can be undone

class Undoing {
 public:
  explicit Undoing(Context& context) : context_(context) {}

  // `later` is what may fail after the block, if anything; answers the same for its beginning.
  std::optional<Span> block(const Block& block, std::optional<Span> later) {
    for (auto each = block.statements.rbegin(); each != block.statements.rend(); ++each) {
      later = statement(**each, later);
    }
    return later;
  }

 private:
  std::optional<Span> statement(const Stmt& stmt, std::optional<Span> later) {
    return std::visit(
        ast::Overloaded{
            [&](const Return&) { return std::optional<Span>(); },
            [&](const Fail&) { return std::optional(stmt.span); },
            [&](const Step& node) { return step(*node.step, later); },
            [&](const If& node) {
              std::optional<Span> first;
              for (const IfArm& arm : node.arms) first = nearer(first, block(arm.body, later));
              return nearer(first, node.else_body ? block(*node.else_body, later) : later);
            },
            [&](const Match& node) {
              std::optional<Span> first;
              for (const MatchCase& each : node.cases)
                first = nearer(first, block(each.body, later));
              return nearer(first, node.else_body ? block(*node.else_body, later) : std::nullopt);
            },
            [&](const Parallel& node) { return parallel(node, later); },
            [&](const Refused& node) {
              for (const Block& each : node.blocks) block(each, std::nullopt);
              return later;
            },
            [&](const auto&) { return later; },
        },
        stmt.node);
  }

  static std::optional<Span> nearer(std::optional<Span> a, std::optional<Span> b) {
    return a ? a : b;
  }

  // Where a step may fail for good, which its own `fallback` value prevents.
  static std::optional<Span> failure_of(const StepDef& step) {
    if (step.policies.fallback_value) return std::nullopt;
    return step.name_span;
  }

  std::optional<Span> step(const StepDef& step, std::optional<Span> later) {
    if (later && step.task != nullptr) judge(step, *later);
    return nearer(failure_of(step), later);
  }

  // Each branch may be undone because of what fails beside it.
  std::optional<Span> parallel(const Parallel& node, std::optional<Span> later) {
    std::vector<std::optional<Span>> own;
    for (const Branch& each : node.branches) {
      own.push_back(each.step != nullptr ? failure_of(*each.step) : quiet(each.body));
    }
    for (std::size_t i = 0; i < node.branches.size(); ++i) {
      std::optional<Span> beside = later;
      // The first two failing branches are enough: one of them is not this one.
      for (std::size_t k = 0, seen = 0; k < own.size() && seen < 2 && !beside; ++k) {
        if (!own[k]) continue;
        ++seen;
        if (k != i) beside = own[k];
      }
      const Branch& each = node.branches[i];
      if (each.step != nullptr) {
        step(*each.step, beside);
      } else {
        block(each.body, beside);
      }
    }
    for (const std::optional<Span>& each : own) later = nearer(each, later);
    return later;
  }

  // What may fail in a block, without judging its steps.
  std::optional<Span> quiet(const Block& body) {
    quiet_ = true;
    const std::optional<Span> found = block(body, std::nullopt);
    quiet_ = false;
    return found;
  }

  void judge(const StepDef& step, Span later) {
    const Policies& policies = step.policies;
    if (quiet_ || policies.idempotent || policies.compensate || policies.keep) return;
    context_.diagnostics
        .report(Code::W0005, step.name_span,
                fmt::format("what `{}` does stays done when the run fails later", step.name))
        .also(later, "this may fail")
        .because(
            "`compensate { … }` undoes it, `keep` says that it may stay, and `idempotent` that "
            "the task has no effect to undo");
  }

  Context& context_;
  bool quiet_ = false;
};

void check_undoing(Context& context, const FlowDef& flow) {
  Undoing(context).block(flow.body, std::nullopt);
  for (const StepDef* step : flow.steps) {
    const Policies& policies = step->policies;
    if (!policies.compensate || policies.unsure || step->task == nullptr) continue;
    context.diagnostics
        .report(Code::W0006, policies.compensate->span,
                fmt::format("nothing cleans up if `{}` ends without an answer", step->name))
        .because(
            "a step that timed out or was lost may have happened; `unsure { … }` undoes it by "
            "its key and its arguments, as there is no result");
  }
}

// -------------------------------------------------------------------------------- it cannot hang

bool has_limit(const StepDef& step) {
  return step.policies.timeout_ms.has_value() || step.policies.within_ms.has_value();
}

void check_hanging(Context& context, const FlowDef& flow) {
  const StepDef* first = nullptr;
  for (const StepDef* step : flow.steps) {
    if (step->task == nullptr || has_limit(*step)) continue;
    const bool outside = step->in_compensation;
    if (flow.timeout_ms && !outside) continue;
    if (step->in_on_failure) continue;  // ends within 10 s
    if (first == nullptr || (outside && !first->in_compensation)) first = step;
    if (first->in_compensation) break;
  }
  if (first == nullptr) return;
  Diagnostic& diagnostic = context.diagnostics.report(
      Code::W0007, first->name_span,
      fmt::format("`{}` can wait for ever: nothing bounds the step `{}`", flow.name, first->name));
  if (first->in_compensation) {
    diagnostic.because(
        "compensations run outside of the flow's `timeout`; give the step or its "
        "task a `timeout` or a `within`");
  } else {
    diagnostic.also(flow.tree->name.span, "the flow has no `timeout`");
    diagnostic.because(
        "give the flow a `timeout`, or the step or its task a `timeout` or a "
        "`within`");
  }
}

void check_on_failure(Context& context, const FlowDef& flow) {
  for (const StepDef* step : flow.steps) {
    if (!step->in_on_failure || step->task == nullptr) continue;
    if (step->policies.fallback_value || step->policies.fallback_step) continue;
    // The last fallback of a chain is a step too; its own failure is judged where it was named.
    if (step->name.ends_with(".fallback")) {
      context.diagnostics
          .report(Code::E0408, step->name_span,
                  "in `on failure`, a `fallback` must not be able to fail itself")
          .because("give a value there, so that the answer never depends on a worker");
      continue;
    }
    context.diagnostics
        .report(Code::E0408, step->name_span,
                fmt::format("in `on failure`, the step `{}` needs a `fallback`", step->name))
        .because(
            "it answers for a run that has failed already; nothing may keep it from "
            "answering");
  }
}

}  // namespace

void check_flow(Context& context, FlowDef& flow) {
  check_answers(context, flow);
  check_on_failure(context, flow);
  check_repeats(context, flow);
  check_undoing(context, flow);
  check_hanging(context, flow);
}

void check_task_rules(Context& context) {
  for (const TaskDef& task : context.program.tasks) {
    if (const auto* kind = forbidden_repeat(task.policies)) {
      report_repeat(context, *kind, task.tree->name.span, task.name);
    }
  }
}

}  // namespace sluice::compiler
