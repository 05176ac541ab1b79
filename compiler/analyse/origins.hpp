// Where values come from: from outside, where every `where` of their types was checked, or from the
// program itself, which may make them as it likes. Private to compiler/analyse.
#pragma once

#include <map>

#include "compiler/analyse/view.hpp"

namespace sluice::compiler::analyse {

class Origins {
 public:
  explicit Origins(const View& view, int depth = 0) : view_(view), depth_(depth) {}

  // What a field of a value was given where the program made the value; null where that is not
  // seen.
  const ir::Expr* given(const ir::Expr& value, std::uint32_t field) const;
  // Whether every `where` in the value was checked: events from outside and of topics, results of
  // tasks, what `as T` let through, and what was taken out of these.
  bool is_checked(const ir::Expr& value) const;

 private:
  bool are_checked(const std::vector<const ir::Expr*>& values) const;
  bool is_checked_local(const ir::Local& local) const;
  bool is_checked_let(const ast::LetStmt& let) const;
  bool is_checked_step(const ir::StepDef& step) const;
  bool is_checked_parameter(std::size_t index) const;
  bool is_checked_receive(const ast::ReceiveStmt& receive, ir::TypeId event) const;
  bool is_checked_match(const ir::MatchExpr& node) const;
  bool holds_records(ir::TypeId type) const;

  // Flows that start flows that start flows.
  static constexpr int kDepthMax = 4;
  // Expressions looked at for one question, as for Bounds.
  static constexpr int kLookedAtMax = 10'000;

  const View& view_;
  int depth_;
  mutable int looked_at_ = 0;
  // What the names within expressions were taken from.
  mutable std::map<const ir::Local*, const ir::Expr*> inner_;
};

}  // namespace sluice::compiler::analyse
