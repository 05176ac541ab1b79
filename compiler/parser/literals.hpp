// From the spelling of a literal to its value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

// "1_000". Nothing when it is over 2^63, the largest that a minus sign can bring into range.
std::optional<std::uint64_t> int_value(std::string_view spelling);

// "1.5s" in milliseconds. Reports what is no whole number of them, or too long; nothing then.
std::optional<std::int64_t> duration_ms(std::string_view spelling, Span span,
                                        Diagnostics& diagnostics);

// A piece of a string as written: text with its escapes, or the place of an interpolation.
struct RawPart {
  std::string_view text;  // empty for an interpolation
  Span span;
  bool interpolation = false;
};

// The value of each piece of text (an interpolation's is empty), in the same order. In a block the
// first line end and the last line go, and so does the indentation that all lines share, that of
// the closing `"""` included. Escapes are resolved afterwards: an escaped line end is text, not
// layout.
std::vector<std::string> string_values(const std::vector<RawPart>& parts, bool block,
                                       Diagnostics& diagnostics);

}  // namespace sluice::compiler
