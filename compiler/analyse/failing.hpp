// Which expressions fail in practice, so that what a failure leaves behind is worth a finding.
// Private to compiler/analyse.
#pragma once

#include <optional>

#include "compiler/analyse/view.hpp"

namespace sluice::compiler::analyse {

// The first part of an expression that depends on data which it may not fit: `as T`, `decode`,
// `decimal` and `timestamp` of a text, the index of a list, a division. Sums and products fail only
// beyond 64 bits, and texts and lists only beyond their limits: these do not count, as nearly
// everything would. What is constant does not fail.
std::optional<Span> first_failing(const ir::Expr& expr);

// Of the expressions of a statement itself, as far as they are computed before it does anything.
std::optional<Span> first_failing(const View& view, const ast::Stmt& stmt);

}  // namespace sluice::compiler::analyse
