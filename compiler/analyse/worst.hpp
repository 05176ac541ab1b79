// The worst case of a flow: how long its steps take at most and how often each task is tried, along
// the most expensive way through every statement. Private to compiler/analyse and the tools that
// explain.
//
// What is counted: attempts with their `queue` and `timeout`, the gaps between them, `within`,
// `fallback`, `sleep`, `receive … within`, `deadline`, and the rounds of loops. What is not:
// waiting for a worker where neither `queue` nor `within` bounds it (Cost::waits), as that is a
// matter of how many workers there are, and the run's own computing.
#pragma once

#include <array>
#include <optional>
#include <unordered_map>

#include "compiler/analyse/amount.hpp"
#include "compiler/analyse/view.hpp"

namespace sluice::compiler::analyse {

// How a statement or block is left.
enum class Exit : std::uint8_t { kOn, kLeaves, kBreaks, kContinues, kYields, kFails };
inline constexpr std::size_t kExits = 6;

// The most expensive way to each exit; nothing where none leads there.
class Exits {
 public:
  std::optional<Way>& operator[](Exit exit) { return ways_[static_cast<std::size_t>(exit)]; }
  const std::optional<Way>& operator[](Exit exit) const {
    return ways_[static_cast<std::size_t>(exit)];
  }
  void or_else(Exit exit, const Way& way);
  // Every way of `other`, after `before`.
  void or_else(const Exits& other, const Way& before);
  // The most expensive of all.
  Way most() const;

 private:
  std::array<std::optional<Way>, kExits> ways_;
};

// Rounds of a loop, and how many of them come one after the other.
struct Rounds {
  Amount all;
  Amount turns;
};

// The time that `on failure` has; engine/core/limits.hpp.
inline constexpr std::int64_t kOnFailureMs = 10'000;

// What runs of other flows cost a step that waits for them: undoing and `on failure` included, as
// their answer comes after both. One table for a program, so that each flow is looked at once.
class Children {
 public:
  Cost of(const ir::Program& program, const ir::StepDef& step);

 private:
  std::unordered_map<const ir::FlowDef*, std::optional<Cost>> known_;  // nothing: under way
};

class Worst {
 public:
  // Both outlive it.
  Worst(const View& view, Children& children) : view_(view), children_(children) {}

  // Remembered, as are those of all statements inside.
  const Exits& statement(const ast::Stmt& stmt);
  Exits block(const ast::Block& block);

  // One step with its attempts, gaps and limits, without its `fallback`, and with all of them.
  Cost of_task(const ir::StepDef& step) const;
  Cost of_step(const ir::StepDef& step) const;
  // What undoes it, `compensate` or `unsure`.
  Cost undo_of(const ast::StepStmt& node);
  // REQUIRES: an EachStmt or WhileStmt.
  Rounds rounds_of(const ast::Stmt& stmt);

 private:
  Exits go(const ast::Stmt& stmt);
  Exits step(const ast::Stmt& stmt, const ast::StepStmt& node);
  Exits try_block(const ast::TryStmt& node);
  Exits receive(const ast::Stmt& stmt, const ast::ReceiveStmt& node);
  Exits deadline(const ast::Stmt& stmt, const ast::DeadlineStmt& node);
  Exits branches(const std::vector<ast::Branch>& branches, bool race);
  Exits loop(const ast::Stmt& stmt, const ast::Block& body);
  Exits of_branch(const ast::Branch& branch);

  const View& view_;
  Children& children_;
  std::unordered_map<const ast::Stmt*, Exits> seen_;
};

// What a whole flow comes to.
struct FlowCost {
  Cost body;  // until it answers or fails; the flow's own `timeout` not looked at
  Cost undo;  // of all that it may have done by then
  Cost both;  // the way for which the two together are most
  Cost on_failure;
  Cost all() const;  // attempts of all together
  Way way() const { return {body, undo, both}; }
};
FlowCost cost_of_flow(const View& view, Worst& worst);

// The first of the flow's waiting statements that `limit_ms` may cut, beginning with `block` at 0;
// nothing if all end in time or nobody can know.
struct Cut {
  Span span;
  std::string what;         // "the step `reply`"
  std::int64_t end_ms = 0;  // when it may end
};
std::optional<Cut> first_cut(const View& view, Worst& worst, const ast::Block& block,
                             std::int64_t limit_ms);

}  // namespace sluice::compiler::analyse
