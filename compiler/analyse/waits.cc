// It ends and it cannot hang: loops wait, waits end, and the answer to a failed run depends on
// nothing that can fail.
#include <fmt/format.h>

#include "compiler/analyse/failing.hpp"
#include "compiler/analyse/passes.hpp"
#include "compiler/check/fold.hpp"
#include "vm/limits.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

// ------------------------------------------------------------------- every path of a loop waits

// Where a run can come without having waited since the beginning of a block.
struct Dry {
  bool on = true;  // to its end
  bool breaks = false;
  bool continues = false;
  bool yields = false;
  bool fails = false;  // to a failure, which a `catch` goes on from
};

Dry either(Dry a, Dry b) {
  return {a.on || b.on, a.breaks || b.breaks, a.continues || b.continues, a.yields || b.yields,
          a.fails || b.fails};
}

class Loops {
 public:
  Loops(const View& view, Diagnostics& diagnostics) : view_(view), diagnostics_(diagnostics) {}

  Dry block(const ast::Block& block) {
    Dry dry;
    for (const ast::StmtPtr& each : block.statements) {
      const Dry here = statement(without_let(*each));
      // What follows a wait is looked at too, for the loops in it.
      if (!dry.on) continue;
      const bool on = here.on;
      dry = either(dry, here);
      dry.on = on;
    }
    return dry;
  }

 private:
  static constexpr Dry kWaits{.on = false};

  Dry maybe(const std::optional<ast::Block>& body, Dry without) {
    return body ? block(*body) : without;
  }

  Dry statement(const ast::Stmt& stmt) {
    Dry dry = go(stmt);
    dry.fails = dry.fails || first_failing(view_, stmt);
    return dry;
  }

  Dry go(const ast::Stmt& stmt) {
    return std::visit(
        ast::Overloaded{
            [&](const ast::StepStmt&) {
              for_each_block(stmt, [&](const ast::Block& undo) { block(undo); });
              return kWaits;
            },
            [&](const ast::SleepStmt& node) { return is_over(node) ? Dry{} : kWaits; },
            [](const ast::DamagedStmt&) { return kWaits; },
            [](const ast::ReturnStmt&) { return kWaits; },
            [](const ast::FailStmt&) { return Dry{.on = false, .fails = true}; },
            [](const ast::BreakStmt&) { return Dry{.on = false, .breaks = true}; },
            [](const ast::ContinueStmt&) { return Dry{.on = false, .continues = true}; },
            [](const ast::YieldStmt&) { return Dry{.on = false, .yields = true}; },
            [&](const ast::ReceiveStmt& node) { return receive(node); },
            [&](const ast::IfStmt& node) {
              Dry dry = maybe(node.else_body, Dry{});
              for (const ast::IfArm& arm : node.arms) dry = either(dry, block(arm.body));
              return dry;
            },
            [&](const ast::MatchStmt& node) {
              Dry dry = maybe(node.else_body, node.cases.empty() ? Dry{} : kWaits);
              for (const ast::MatchCase& each : node.cases) dry = either(dry, block(each.body));
              return dry;
            },
            [&](const ast::DeadlineStmt& node) {
              const Dry late = maybe(node.else_body, Dry{});  // mostly comes after a wait
              const auto limit = view_.duration_ms(node.duration);
              return limit && *limit <= 0 ? either(block(node.body), late) : block(node.body);
            },
            [&](const ast::TryStmt& node) { return try_block(node); },
            [&](const ast::ParallelStmt& node) { return branches(node.branches, true); },
            [&](const ast::RaceStmt& node) { return branches(node.branches, false); },
            [&](const ast::WhileStmt& node) { return while_loop(stmt, node); },
            [&](const ast::EachStmt& node) { return each(stmt, node); },
            [](const auto&) { return Dry{}; },
        },
        stmt.node);
  }

  // Whether a `sleep` is over when it begins, as far as the program says.
  bool is_over(const ast::SleepStmt& node) const {
    const Expr* value = view_.expr(node.value);
    if (node.until) {
      // An instant that is written down was there before the program.
      return as<Now>(value) != nullptr || (value != nullptr && fold(*value).has_value());
    }
    const auto time = view_.duration_ms(node.value);
    return time && *time <= 0;
  }

  // `within 0s` looks whether something is there, and waits for nothing.
  Dry receive(const ast::ReceiveStmt& node) {
    const Dry taken = maybe(node.body, Dry{});
    const Dry late = maybe(node.else_body, Dry{});
    const auto limit = view_.duration_ms(node.within);
    return limit && *limit <= 0 ? either(taken, late) : kWaits;
  }

  Dry try_block(const ast::TryStmt& node) {
    Dry body = block(node.body);
    const bool fails = body.fails;
    body.fails = false;
    for (const ast::CatchArm& arm : node.catches) {
      const Dry caught = block(arm.body);
      if (fails) body = either(body, caught);
    }
    body.fails = body.fails || fails;
    return body;
  }

  // `parallel` has waited when one branch has; `race` may be over with the first that has not.
  Dry branches(const std::vector<ast::Branch>& all, bool together) {
    Dry dry{.on = together};
    for (const ast::Branch& each : all) {
      const ast::Block* body = body_of(each);
      const Dry here = body == nullptr ? statement(*step_of(each)) : block(*body);
      const bool ends = here.on || here.yields;
      dry.on = together ? dry.on && here.on : dry.on || ends;
      dry.fails = dry.fails || here.fails;
    }
    return dry;
  }

  Dry while_loop(const ast::Stmt& stmt, const ast::WhileStmt& node) {
    const Dry body = block(node.body);
    if (body.on || body.continues) {
      diagnostics_
          .report(Code::E0702, word_of(stmt, 5), "a round of this loop can pass without waiting")
          .because(
              "a run that never waits would hold its partition: every path round a `while` has a "
              "`step`, `receive`, `sleep` or `race`. `each n in 1..N` is the bounded loop");
    }
    return {.on = !view_.is_true(node.condition) || body.breaks,
            .yields = body.yields,
            .fails = body.fails};
  }

  Dry each(const ast::Stmt& stmt, const ast::EachStmt& node) {
    const Dry body = block(node.body);
    const std::optional<std::int64_t> rounds = rounds_of(view_, node);
    const bool goes = body.on || body.continues || body.breaks || body.yields;
    if (!rounds) return {.fails = body.fails};  // there may be no round at all
    if ((body.on || body.continues) && *rounds > kRoundsMax) {
      diagnostics_
          .report(Code::E0703, node.source->span,
                  fmt::format("{} rounds without a wait are too many", *rounds))
          .also(word_of(stmt, 4), "a round of this loop can pass without waiting")
          .because(fmt::format("between two waits a run has the fuel for at most {} rounds, and "
                               "fails with `Fault` beyond it",
                               kRoundsMax));
    }
    return {.on = goes || *rounds == 0, .fails = body.fails};
  }

  // A round costs at least one unit of fuel.
  static constexpr std::int64_t kRoundsMax = vm::kActivationFuel;

  const View& view_;
  Diagnostics& diagnostics_;
};

// ---------------------------------------------------------------------------- every wait ends

// A wait that nothing bounds, as far as one block is concerned.
struct Hang {
  Span span;
  std::string what;  // reads on after "nothing bounds"
  bool is_loop = false;
};

bool has_limit(const StepDef& step) {
  const Policies& policies = step.policies;
  return policies.timeout_ms || policies.within_ms || policies.damaged;
}

class Waits {
 public:
  Waits(const View& view, Diagnostics& diagnostics) : view_(view), diagnostics_(diagnostics) {}

  std::optional<Hang> block(const ast::Block& block) {
    std::optional<Hang> first;
    for (const ast::StmtPtr& each : block.statements) {
      auto found = statement(without_let(*each));
      if (!first) first = std::move(found);
    }
    return first;
  }

  // The first in the steps' compensations, which no limit of the flow ends.
  std::optional<Hang> undo;

 private:
  std::optional<Hang> statement(const ast::Stmt& stmt) {
    if (ast::as<ast::StepStmt>(stmt) != nullptr) return step(stmt);
    if (const auto* node = ast::as<ast::ReceiveStmt>(stmt)) return receive(stmt, *node);
    if (const auto* node = ast::as<ast::RaceStmt>(stmt)) return race(stmt, *node);
    if (const auto* node = ast::as<ast::DeadlineStmt>(stmt)) {
      block(node->body);
      return node->else_body ? block(*node->else_body) : std::nullopt;
    }
    if (const auto* node = ast::as<ast::WhileStmt>(stmt)) return while_loop(stmt, *node);
    std::optional<Hang> first;
    const int outer = races_;
    races_ = 0;
    if (const auto* node = ast::as<ast::ParallelStmt>(stmt)) {
      for (const ast::Branch& each : node->branches) {
        auto found = branch(each);
        if (!first) first = std::move(found);
      }
    } else {
      races_ = outer;
      for_each_block(stmt, [&](const ast::Block& inner) {
        auto found = block(inner);
        if (!first) first = std::move(found);
      });
    }
    races_ = outer;
    return first;
  }

  // Its waits may all end, and it goes on: unless something leaves it.
  std::optional<Hang> while_loop(const ast::Stmt& stmt, const ast::WhileStmt& node) {
    if (auto found = block(node.body)) return found;
    if (!view_.is_true(node.condition) || view_.is_damaged(stmt.span)) return std::nullopt;
    const Ways ways = ways_of(view_, node.body);
    bool leaves = ways.breaks || ways.yields;
    for_each_statement(node.body, [&](const ast::Stmt& each) {
      leaves = leaves || ast::as<ast::ReturnStmt>(each) != nullptr ||
               ast::as<ast::FailStmt>(each) != nullptr;
    });
    if (leaves) return std::nullopt;
    return Hang{word_of(stmt, 5), "this `while`", true};
  }

  std::optional<Hang> branch(const ast::Branch& branch) {
    const ast::Block* body = body_of(branch);
    return body == nullptr ? step(*step_of(branch)) : block(*body);
  }

  std::optional<Hang> step(const ast::Stmt& stmt) {
    for_each_block(stmt, [&](const ast::Block& body) {
      auto found = block(body);
      if (!undo) undo = std::move(found);
    });
    const StepDef* found = view_.step(stmt);
    while (found != nullptr && (found->task == nullptr || has_limit(*found))) {
      found = found->policies.fallback_step ? found->policies.fallback_step->value : nullptr;
    }
    if (found == nullptr) return std::nullopt;
    return Hang{found->name_span, fmt::format("the step `{}`", found->name)};
  }

  std::optional<Hang> receive(const ast::Stmt& stmt, const ast::ReceiveStmt& node) {
    std::optional<Hang> first;
    for_each_block(stmt, [&](const ast::Block& inner) {
      auto found = block(inner);
      if (!first) first = std::move(found);
    });
    if (node.within != nullptr) return first;
    if (races_ > 0) return Hang{word_of(stmt, 7), "this `receive`"};
    diagnostics_
        .report(Code::E0701, word_of(stmt, 7),
                fmt::format("this waits for ever if no `{}` comes", node.event.text()))
        .because(
            "`within D` bounds it, and `else { … }` says what happens then; only inside `race`, "
            "where another branch can win, may it be left out");
    return first;
  }

  // One branch that ends bounds the others.
  std::optional<Hang> race(const ast::Stmt& stmt, const ast::RaceStmt& node) {
    ++races_;
    bool bounded = node.branches.empty() || view_.is_damaged(stmt.span);
    for (const ast::Branch& each : node.branches) bounded = !branch(each) || bounded;
    --races_;
    if (bounded) return std::nullopt;
    return Hang{word_of(stmt, 4), "this `race`"};
  }

  const View& view_;
  Diagnostics& diagnostics_;
  int races_ = 0;  // around, with nothing between that waits for all
};

}  // namespace

void check_loops(const View& view, Diagnostics& diagnostics) {
  Loops loops(view, diagnostics);
  loops.block(view.tree().body);
  if (view.tree().on_failure) loops.block(view.tree().on_failure->body);
}

void check_hanging(const View& view, Diagnostics& diagnostics) {
  const FlowDef& flow = view.flow();
  Waits waits(view, diagnostics);
  const std::optional<Hang> body = waits.block(view.tree().body);
  const std::optional<Hang>& found = waits.undo ? waits.undo : body;
  if (!found || (!waits.undo && (flow.timeout_ms || flow.head_damaged))) return;
  Diagnostic& diagnostic = diagnostics.report(
      Code::W0007, found->span,
      fmt::format("`{}` can wait for ever: nothing bounds {}", flow.name, found->what));
  if (waits.undo) {
    diagnostic.because(
        "compensations run outside of the flow's `timeout`; give the step or its "
        "task a `timeout` or a `within`");
  } else {
    diagnostic.also(flow.tree->name.span, "the flow has no `timeout`");
    diagnostic.because(found->is_loop
                           ? "give the flow a `timeout`, or leave the loop by `break`"
                           : "give the flow a `timeout`, or the step or its task a `timeout` or a "
                             "`within`");
  }
}

void check_on_failure(const View& view, Diagnostics& diagnostics) {
  for (const StepDef* step : view.flow().steps) {
    if (!step->in_on_failure || (step->task == nullptr && step->flow == nullptr)) continue;
    const Policies& policies = step->policies;
    if (policies.fallback_value || policies.fallback_step || policies.damaged) continue;
    // The last fallback of a chain is a step too; its own failure is judged where it was named.
    if (step->name.ends_with(".fallback")) {
      diagnostics
          .report(Code::E0408, step->name_span,
                  "in `on failure`, a `fallback` must not be able to fail itself")
          .because("give a value there, so that the answer never depends on a worker");
      continue;
    }
    diagnostics
        .report(Code::E0408, step->name_span,
                fmt::format("in `on failure`, the step `{}` needs a `fallback`", step->name))
        .because(
            "it answers for a run that has failed already; nothing may keep it from "
            "answering");
  }
}

}  // namespace sluice::compiler::analyse
