// How long a list is at most, and how large a number, as far as the program says.
// Private to compiler/analyse.
#pragma once

#include <optional>

#include "compiler/analyse/amount.hpp"
#include "compiler/analyse/origins.hpp"
#include "compiler/analyse/view.hpp"

namespace sluice::compiler::analyse {

class Bounds {
 public:
  explicit Bounds(const View& view) : view_(view), origins_(view) {}

  // Elements of a list, or entries of a map. Without a bound, the reason and how to tell it.
  Amount elements(const ir::Expr& list) const;
  // The largest value of an int; nothing where none is known.
  std::optional<std::int64_t> largest(const ir::Expr& number) const;

 private:
  Amount elements_of_field(const ir::Expr& expr, const ir::FieldOf& node) const;
  Amount elements_of_call(const ir::Expr& expr, const ir::CallBuiltin& call) const;
  Amount elements_of_local(const ir::Expr& expr, const ir::Local& local) const;
  Amount of_range(const ir::Expr& expr, const ir::Expr& first, const ir::Expr& last) const;

  // Expressions looked at for one question: names that stand for sums of names could be many.
  static constexpr int kLookedAtMax = 10'000;

  const View& view_;
  Origins origins_;
  mutable int looked_at_ = 0;
};

}  // namespace sluice::compiler::analyse
