// It answers: every path through a flow ends with exactly one outcome.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/analyse/passes.hpp"

namespace sluice::compiler::analyse {

namespace {

constexpr Ways kEnds{.on = false};

Ways either(Ways a, Ways b) {
  return {a.on || b.on, a.breaks || b.breaks, a.continues || b.continues, a.yields || b.yields};
}

class Paths {
 public:
  // Reports what is never reached unless `diagnostics` is null.
  Paths(const View& view, Diagnostics* diagnostics) : view_(view), diagnostics_(diagnostics) {}

  Ways block(const ast::Block& block) {
    Ways ways;
    bool sure = true;
    for (const ast::StmtPtr& stmt : block.statements) {
      const Ways here = statement(without_let(*stmt));
      ways = either(
          {.on = false, .breaks = ways.breaks, .continues = ways.continues, .yields = ways.yields},
          here);
      if (here.on) continue;
      // What could not be read may go on or not: it leaves no gap, and what follows is reached.
      if (view_.is_damaged(stmt->span)) {
        sure = false;
        continue;
      }
      if (stmt != block.statements.back()) unreachable(block, *stmt);
      break;
    }
    ways.on = ways.on && sure;
    return ways;
  }

 private:
  Ways maybe(const std::optional<ast::Block>& body, Ways without) {
    return body ? block(*body) : without;
  }

  Ways statement(const ast::Stmt& stmt) {
    return std::visit(
        ast::Overloaded{
            [](const ast::DamagedStmt&) { return kEnds; },
            [](const ast::ReturnStmt&) { return kEnds; },
            [](const ast::FailStmt&) { return kEnds; },
            // Outside of a loop they were reported, and leave nothing.
            [&](const ast::BreakStmt&) { return Ways{.on = loops_ == 0, .breaks = true}; },
            [&](const ast::ContinueStmt&) { return Ways{.on = loops_ == 0, .continues = true}; },
            [&](const ast::YieldStmt&) { return Ways{.on = gathers_ == 0, .yields = true}; },
            [&](const ast::IfStmt& node) {
              Ways ways = maybe(node.else_body, Ways{});
              for (const ast::IfArm& arm : node.arms) ways = either(ways, block(arm.body));
              return ways;
            },
            [&](const ast::MatchStmt& node) {
              // Without `else` the cases cover everything: that was checked.
              Ways ways = maybe(node.else_body, node.cases.empty() ? Ways{} : kEnds);
              for (const ast::MatchCase& each : node.cases) ways = either(ways, block(each.body));
              return ways;
            },
            [&](const ast::TryStmt& node) {
              Ways ways = block(node.body);
              for (const ast::CatchArm& arm : node.catches) ways = either(ways, block(arm.body));
              return ways;
            },
            [&](const ast::ReceiveStmt& node) {
              const Ways late = maybe(node.else_body, Ways{});
              return either(maybe(node.body, Ways{}), late);
            },
            [&](const ast::DeadlineStmt& node) {
              return either(block(node.body), maybe(node.else_body, Ways{}));
            },
            [&](const ast::ParallelStmt& node) { return parallel(node); },
            [&](const ast::RaceStmt& node) { return race(node); },
            [&](const ast::WhileStmt& node) {
              ++loops_;
              const Ways body = block(node.body);
              --loops_;
              return Ways{.on = !view_.is_true(node.condition) || body.breaks,
                          .yields = body.yields};
            },
            [&](const ast::EachStmt& node) { return each(node); },
            [&](const ast::StepStmt&) {
              for_each_block(stmt, [&](const ast::Block& undo) { block(undo); });
              return Ways{};
            },
            [](const auto&) { return Ways{}; },
        },
        stmt.node);
  }

  // All branches are waited for, so one that never comes to its end keeps the block from its own.
  Ways parallel(const ast::ParallelStmt& node) {
    Ways ways;
    for (const ast::Branch& each : node.branches) {
      if (const ast::Block* body = body_of(each)) {
        ways.on = block(*body).on && ways.on;
      } else {
        statement(*step_of(each));
      }
    }
    return ways;
  }

  Ways race(const ast::RaceStmt& node) {
    Ways ways = node.branches.empty() ? Ways{} : kEnds;
    ++gathers_;
    for (const ast::Branch& each : node.branches) {
      if (const ast::Block* body = body_of(each)) {
        const Ways here = block(*body);
        ways.on = ways.on || here.on || here.yields;
      } else {
        ways.on = statement(*step_of(each)).on;
      }
    }
    --gathers_;
    return ways;
  }

  // Whether there is a first round is known of a range that is written out.
  Ways each(const ast::EachStmt& node) {
    ++loops_;
    ++gathers_;
    const Ways body = block(node.body);
    --gathers_;
    --loops_;
    if (body.on || body.breaks || body.continues || body.yields) return {};
    const auto* range = ast::as<ast::RangeExpr>(node.source);
    if (range == nullptr) return {};
    const auto first = view_.integer(range->first);
    const auto last = view_.integer(range->last);
    return first && last && *first <= *last ? kEnds : Ways{};
  }

  // A `match` that lacks a case was reported; what follows is reached by that case.
  bool lacks_a_case(const ast::Stmt& ender) const {
    const auto& items = diagnostics_->items();
    return std::any_of(items.begin(), items.end(), [&](const Diagnostic& each) {
      return each.code == Code::E0303 && each.span.file == ender.span.file &&
             each.span.begin >= ender.span.begin && each.span.end <= ender.span.end;
    });
  }

  void unreachable(const ast::Block& block, const ast::Stmt& ender) {
    if (diagnostics_ == nullptr || lacks_a_case(ender)) return;
    const auto place = std::find_if(block.statements.begin(), block.statements.end(),
                                    [&](const auto& stmt) { return stmt.get() == &ender; });
    const Span first = (*std::next(place))->span;
    const char* why = std::visit(
        ast::Overloaded{
            [](const ast::ReturnStmt&) { return "the run is answered here"; },
            [](const ast::FailStmt&) { return "the run fails here"; },
            [](const ast::BreakStmt&) { return "the loop is left here"; },
            [](const ast::ContinueStmt&) { return "the round ends here"; },
            [](const ast::YieldStmt&) { return "its value is given here, and that ends it"; },
            [](const ast::WhileStmt&) { return "this loop is never left by `break`"; },
            [](const auto&) { return "every path ends in here"; },
        },
        without_let(ender).node);
    diagnostics_
        ->report(Code::W0004, join(first, block.statements.back()->span), "this is never reached")
        .also(ender.span, why);
  }

  const View& view_;
  Diagnostics* diagnostics_;
  int loops_ = 0;    // around
  int gathers_ = 0;  // `race` and `each` around
};

std::string outcome_names(const ir::FlowDef& flow) {
  std::string names;
  for (const ir::RecordDef* outcome : flow.outcomes) {
    names += fmt::format("{}`{}`", names.empty() ? "" : " or ", outcome->name);
  }
  return names;
}

Span last_byte(Span block) {
  return {block.file, block.end - 1, block.end};
}

Span first_bytes(Span statement, std::uint32_t size) {
  return {statement.file, statement.begin, statement.begin + size};
}

// Says of the statement at the end of a block how a run passes it by, where one sees it easily.
void say_way_past(Diagnostic& diagnostic, const ast::Block& block) {
  if (block.statements.empty()) return;
  const ast::Stmt& last = without_let(*block.statements.back());
  if (const auto* found = ast::as<ast::IfStmt>(last); found != nullptr && !found->else_body) {
    diagnostic.also(first_bytes(last.span, 2), "it goes on when no condition holds");
  } else if (ast::as<ast::EachStmt>(last) != nullptr) {
    diagnostic.also(first_bytes(last.span, 4), "it goes on after the last round");
  } else if (ast::as<ast::WhileStmt>(last) != nullptr) {
    diagnostic.also(first_bytes(last.span, 5), "it goes on when the loop is over");
  } else if (const auto* limit = ast::as<ast::DeadlineStmt>(last);
             limit != nullptr && !limit->else_body) {
    diagnostic.also(first_bytes(last.span, 8), "it goes on when time is up");
  } else if (const auto* wait = ast::as<ast::ReceiveStmt>(last);
             wait != nullptr && !wait->else_body && wait->within != nullptr) {
    diagnostic.also(first_bytes(last.span, 7), "it goes on when nothing comes in time");
  }
}

void report_gap(const View& view, Diagnostics& diagnostics, const ast::Block& block,
                const char* run, const char* why) {
  const Span head = join(view.tree().outcomes.front().span, view.tree().outcomes.back().span);
  Diagnostic& diagnostic = diagnostics.report(
      Code::E0401, last_byte(block.span),
      fmt::format("{} of `{}` can come to this end without an outcome", run, view.flow().name));
  diagnostic.also(head, fmt::format("it promises {}", outcome_names(view.flow())));
  say_way_past(diagnostic, block);
  diagnostic.because(why);
}

// Whether something that could not be read stands between the flow and the next declaration, and
// such words may have been there.
bool loses_on_failure(const View& view) {
  const Span flow = view.flow().tree->span;
  std::uint32_t next = std::numeric_limits<std::uint32_t>::max();
  for (const ast::Decl& decl : view.flow().module->tree->declarations) {
    if (decl.span.begin >= flow.end) next = std::min(next, decl.span.begin);
  }
  return view.is_damaged({flow.file, flow.end, next}) &&
         view.program().damage_in(flow.file).names("failure");
}

}  // namespace

Ways ways_of(const View& view, const ast::Block& block) {
  return Paths(view, nullptr).block(block);
}

void check_answers(const View& view, Diagnostics& diagnostics) {
  Paths paths(view, &diagnostics);
  const ir::FlowDef& flow = view.flow();
  const ast::FlowDecl& tree = view.tree();
  const bool body_on = paths.block(tree.body).on;
  const bool failure_on = tree.on_failure && paths.block(tree.on_failure->body).on;
  if (tree.outcomes.empty()) return;
  if (body_on) {
    report_gap(view, diagnostics, tree.body, "a run",
               "every run answers exactly once, so every path ends with `return EVENT` or `fail`");
  }
  if (!tree.on_failure && !loses_on_failure(view)) {
    diagnostics
        .report(Code::E0402, flow.tree->name.span,
                fmt::format("nobody is answered when a run of `{}` fails", flow.name))
        .also(join(tree.outcomes.front().span, tree.outcomes.back().span),
              fmt::format("it promises {}", outcome_names(flow)))
        .because(
            "any run may fail, be cancelled or run out of time; `on failure (why) { return … }` "
            "behind the flow answers then");
  } else if (tree.on_failure && failure_on) {
    report_gap(view, diagnostics, tree.on_failure->body, "a failed run",
               "every run answers exactly once, also when it fails");
  }
}

}  // namespace sluice::compiler::analyse
