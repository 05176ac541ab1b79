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

// ------------------------------------------------------------------------- repeating by a loop

// A loop that tries the same call again after it may have been done, and is left once it succeeded.
class Again {
 public:
  Again(const View& view, const ast::Stmt& loop, Diagnostics& diagnostics)
      : view_(view), loop_(loop), diagnostics_(diagnostics) {}

  // A block of the loop, from which the next round is reached.
  void block(const ast::Block& block) {
    for (auto each = block.statements.begin(); each != block.statements.end(); ++each) {
      if (std::any_of(std::next(each), block.statements.end(), ends)) continue;
      const ast::Stmt& stmt = without_let(**each);
      if (is_loop(stmt)) continue;  // which is looked at itself
      if (const auto* node = ast::as<ast::TryStmt>(stmt)) judge(*node);
      for_each_block(stmt, [&](const ast::Block& inner) { this->block(inner); });
    }
  }

  static bool is_loop(const ast::Stmt& stmt) {
    return ast::as<ast::WhileStmt>(stmt) != nullptr || ast::as<ast::EachStmt>(stmt) != nullptr;
  }

 private:
  static bool ends(const ast::StmtPtr& stmt) {
    return ast::as<ast::BreakStmt>(*stmt) != nullptr ||
           ast::as<ast::ReturnStmt>(*stmt) != nullptr || ast::as<ast::FailStmt>(*stmt) != nullptr;
  }

  static bool leaves(const ast::Block& body) {
    return std::any_of(body.statements.begin(), body.statements.end(), ends);
  }

  void judge(const ast::TryStmt& node) {
    const auto repeats = [&](const ast::CatchArm& arm) {
      const Ways ways = ways_of(view_, arm.body);
      return (!arm.kind || may_have_happened(arm.kind->text)) && !leaves(arm.body) &&
             (ways.on || ways.continues);
    };
    const auto arm = std::find_if(node.catches.begin(), node.catches.end(), repeats);
    if (arm == node.catches.end() || !is_left_by(node.body)) return;
    for (const ast::StmtPtr& each : node.body.statements) {
      const ast::Stmt& stmt = without_let(*each);
      const bool is_step = ast::as<ast::StepStmt>(stmt) != nullptr;
      const StepDef* step = is_step ? view_.step(stmt) : nullptr;
      if (step == nullptr || step->task == nullptr || is_safe(step->policies)) continue;
      const auto& arguments = step->arguments;
      if (std::all_of(arguments.begin(), arguments.end(),
                      [&](const Expr* value) { return value == nullptr || is_same(*value); })) {
        report(*step, *arm);
      }
    }
  }

  // Whether there is no further round after it: it breaks, or sets what the condition asks.
  bool is_left_by(const ast::Block& body) const {
    if (leaves(body)) return true;
    const auto* node = ast::as<ast::WhileStmt>(loop_);
    const Expr* condition = node == nullptr ? nullptr : view_.expr(node->condition);
    bool sets = false;
    for_each_statement(body, [&](const ast::Stmt& stmt) {
      const auto* set = ast::as<ast::SetStmt>(stmt);
      if (set == nullptr || condition == nullptr) return;
      any_local(*condition, [&](const Local& each) { sets = sets || each.name == set->name.text; });
    });
    return sets;
  }

  // Whether every round gives the same.
  bool is_same(const Expr& value) const {
    bool same = true;
    any_local(value, [&](const Local& local) {
      const bool inside = local.span.begin >= loop_.span.begin && local.span.end <= loop_.span.end;
      same = same && !inside && !(local.kind == Local::Kind::kVar && is_set(local.name));
    });
    return same;
  }

  bool is_set(std::string_view name) const {
    bool found = false;
    for_each_block(loop_, [&](const ast::Block& block) {
      for_each_statement(block, [&](const ast::Stmt& stmt) {
        const auto* set = ast::as<ast::SetStmt>(stmt);
        found = found || (set != nullptr && set->name.text == name);
      });
    });
    return found;
  }

  template <typename Visit>
  static void any_local(const Expr& expr, const Visit& visit) {
    if (const auto* local = as<LocalRef>(&expr)) visit(*local->local);
    for_each_part(expr, [&](const Expr& part) { any_local(part, visit); });
  }

  void report(const StepDef& step, const ast::CatchArm& arm) {
    diagnostics_
        .report(Code::E0504, step.name_span,
                fmt::format("the loop may do `{}` twice", step.task->name))
        .also(arm.kind ? arm.kind->span : Span{arm.span.file, arm.span.begin, arm.span.begin + 5},
              "after this it is called again")
        .because(
            "a task that timed out or was lost may have been done. Say `idempotent` if doing it "
            "twice is harmless, or `keyed E` with one key for all rounds if the worker drops "
            "repeats of it");
  }

  const View& view_;
  const ast::Stmt& loop_;
  Diagnostics& diagnostics_;
};

void check_loops_again(const View& view, Diagnostics& diagnostics) {
  const auto look = [&](const ast::Stmt& stmt) {
    if (!Again::is_loop(stmt)) return;
    for_each_block(stmt,
                   [&](const ast::Block& body) { Again(view, stmt, diagnostics).block(body); });
  };
  for_each_statement(view.tree().body, look);
  if (view.tree().on_failure) for_each_statement(view.tree().on_failure->body, look);
}

}  // namespace

void check_repeats(const View& view, Diagnostics& diagnostics) {
  check_loops_again(view, diagnostics);
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
