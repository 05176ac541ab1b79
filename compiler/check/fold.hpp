// Values that are known when the program is compiled. Private to the compiler.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "compiler/ir.hpp"
#include "vm/value.hpp"

namespace sluice::compiler {

struct FoldProblem {
  Span span;
  bool is_constant = false;   // true: it is one, but computing it fails
  bool was_reported = false;  // it holds poison, or a constant that has no value
  std::string message;        // what fails; empty unless is_constant
};

// The value of a constant expression. REQUIRES: the constants that it names were folded.
tl::expected<vm::Value, FoldProblem> fold(const ir::Expr& expr);

}  // namespace sluice::compiler
