// Which of a flow's waiting statements a time limit may cut.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/worst.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

using Found = std::optional<Cut>;

// Goes forward with the time that may have passed, into the first statement that may end too late.
// What has no bound ends the search: a limit is what such a flow relies on.
class Cuts {
 public:
  Cuts(const View& view, Worst& worst, std::int64_t limit)
      : view_(view), worst_(worst), limit_(limit) {}

  Found block(const ast::Block& block, std::int64_t offset) {
    for (const ast::StmtPtr& each : block.statements) {
      const ast::Stmt& stmt = without_let(*each);
      const Exits& exits = worst_.statement(stmt);
      if (is_late(offset, exits.most().cost.time)) {
        if (Found found = inside(stmt, offset)) return found;
      }
      const std::optional<Way>& on = exits[Exit::kOn];
      if (!on || !on->cost.time.is_bounded()) return std::nullopt;
      offset = after(offset, on->cost.time);
    }
    return std::nullopt;
  }

 private:
  static std::int64_t after(std::int64_t offset, const Amount& time) {
    return plus({offset, nullptr}, time).value;
  }
  bool is_late(std::int64_t offset, const Amount& time) const {
    return exceeds(plus({offset, nullptr}, time), limit_);
  }

  // REQUIRES: the time is bounded.
  Found late(Span span, std::string what, std::int64_t end) const {
    return end > limit_ ? Found(Cut{span, std::move(what), end}) : std::nullopt;
  }

  Found maybe(const std::optional<ast::Block>& body, std::int64_t offset) {
    return body ? block(*body, offset) : std::nullopt;
  }

  Found inside(const ast::Stmt& stmt, std::int64_t offset) {
    return std::visit(
        ast::Overloaded{
            [&](const ast::StepStmt&) { return step(stmt, offset); },
            [&](const ast::IfStmt& node) {
              Found found;
              for (const ast::IfArm& arm : node.arms) {
                if (!found) found = block(arm.body, offset);
              }
              return found ? found : maybe(node.else_body, offset);
            },
            [&](const ast::MatchStmt& node) {
              Found found;
              for (const ast::MatchCase& each : node.cases) {
                if (!found) found = block(each.body, offset);
              }
              return found ? found : maybe(node.else_body, offset);
            },
            [&](const ast::TryStmt& node) { return try_block(node, offset); },
            [&](const ast::ParallelStmt& node) {
              Found found;
              for (const ast::Branch& each : node.branches) {
                if (!found) found = branch(each, offset);
              }
              return found;
            },
            [&](const ast::RaceStmt&) { return itself(stmt, 4, "race", offset); },
            [&](const ast::SleepStmt&) { return itself(stmt, 5, "sleep", offset); },
            [&](const ast::ReceiveStmt& node) { return receive(stmt, node, offset); },
            [&](const ast::DeadlineStmt& node) { return deadline(stmt, node, offset); },
            [&](const ast::WhileStmt& node) { return block(node.body, offset); },
            [&](const ast::EachStmt& node) { return each(stmt, node, offset); },
            [](const auto&) { return Found(); },
        },
        stmt.node);
  }

  Found step(const ast::Stmt& stmt, std::int64_t offset) const {
    const StepDef* def = view_.step(stmt);
    if (def == nullptr) return std::nullopt;
    const Amount own = worst_.of_task(*def).time;
    const Amount all = worst_.of_step(*def).time;
    if (!all.is_bounded()) return std::nullopt;
    if (is_late(offset, own)) {
      return late(def->name_span, fmt::format("the step `{}`", def->name), after(offset, own));
    }
    return late(def->name_span, fmt::format("the fallback of the step `{}`", def->name),
                after(offset, all));
  }

  Found itself(const ast::Stmt& stmt, std::uint32_t size, std::string_view word,
               std::int64_t offset) {
    const Amount time = worst_.statement(stmt).most().cost.time;
    if (!time.is_bounded()) return std::nullopt;
    return late(word_of(stmt, size), fmt::format("this `{}`", word), after(offset, time));
  }

  Found branch(const ast::Branch& branch, std::int64_t offset) {
    const ast::Block* body = body_of(branch);
    return body == nullptr ? step(*step_of(branch), offset) : block(*body, offset);
  }

  Found try_block(const ast::TryStmt& node, std::int64_t offset) {
    if (Found found = block(node.body, offset)) return found;
    const Way most = worst_.block(node.body).most();
    const Amount caught = plus(most.cost.time, most.undo.time);
    if (!caught.is_bounded()) return std::nullopt;
    for (const ast::CatchArm& arm : node.catches) {
      if (Found found = block(arm.body, after(offset, caught))) return found;
    }
    return std::nullopt;
  }

  Found receive(const ast::Stmt& stmt, const ast::ReceiveStmt& node, std::int64_t offset) {
    const auto limit = view_.duration_ms(node.within);
    if (!limit) return std::nullopt;
    const std::int64_t end = after(offset, {*limit, nullptr});
    if (end > limit_) return late(word_of(stmt, 7), "this `receive`", end);
    if (Found found = maybe(node.body, end)) return found;
    return maybe(node.else_body, end);
  }

  Found deadline(const ast::Stmt& stmt, const ast::DeadlineStmt& node, std::int64_t offset) {
    const auto limit = view_.duration_ms(node.duration);
    if (!limit) return std::nullopt;
    const std::int64_t end = after(offset, {*limit, nullptr});
    if (end <= limit_) return maybe(node.else_body, end);
    if (Found found = block(node.body, offset)) return found;
    return late(word_of(stmt, 8), "this `deadline`", end);
  }

  // In the round that may be cut, if their number is known; else in the first.
  Found each(const ast::Stmt& stmt, const ast::EachStmt& node, std::int64_t offset) {
    const Rounds rounds = worst_.rounds_of(stmt);
    const Amount once = worst_.block(node.body).most().cost.time;
    if (!once.is_bounded() || once.value == 0 || !rounds.turns.is_bounded()) {
      return block(node.body, offset);
    }
    const std::int64_t fit = std::max<std::int64_t>(limit_ - offset, 0) / once.value;
    const std::int64_t last = std::max<std::int64_t>(rounds.turns.value - 1, 0);
    const std::int64_t before = std::clamp<std::int64_t>(fit, 0, last);
    return block(node.body, after(offset, times(once, {before, nullptr})));
  }

  const View& view_;
  Worst& worst_;
  std::int64_t limit_;
};

}  // namespace

std::optional<Cut> first_cut(const View& view, Worst& worst, const ast::Block& block,
                             std::int64_t limit_ms) {
  return Cuts(view, worst, limit_ms).block(block, 0);
}

}  // namespace sluice::compiler::analyse
