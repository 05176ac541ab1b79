// One golden program: its text, and what the compiler must say about it.
//
// An expectation is a comment under the line of code that it speaks of:
//
//     if x = 3 { … }
//     //   ^ error[E0105]: `=` does not compare
//
// The carets stand under the span, to the end of its first line. Where the `//` would cover the
// span, or the span is empty, the place is written in numbers, columns from 1 and the end behind
// the last one: `//@ 1-2 error[E0119]: …`. What is found behind the last line belongs to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::golden {

// A finding as the expectation writes it.
struct Finding {
  std::uint32_t line = 1;          // of the code
  std::uint32_t column_begin = 1;  // code points
  std::uint32_t column_end = 1;
  std::string text;  // "error[E0105]: `=` does not compare"
  friend auto operator<=>(const Finding&, const Finding&) = default;
};

// What the text expects, with the line numbers that the code has in the text as it is.
std::vector<Finding> expected_in(std::string_view text);

// What was found in one file.
std::vector<Finding> found_in(const compiler::Diagnostics& diagnostics,
                              const compiler::SourceFile& file);

// The text with the findings in place of its old expectations. REQUIRES: `found` is of this text.
std::string rewrite(std::string_view text, const std::vector<Finding>& found);

std::string describe(const Finding& finding);

}  // namespace sluice::golden
