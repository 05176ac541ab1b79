// `flowc fmt`: one style for every program.
//
// Two spaces per level, lines of at most 100 columns where a break is possible, at most one blank
// line in a row. What the author wrote on one line stays on one line if it fits; everything else
// has one item per line. Comments stay with what they stand at. Formatting what is formatted
// changes nothing, and formatting never changes the tree.
#pragma once

#include <optional>
#include <string>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

// Columns after which a line is broken where it can be.
inline constexpr std::size_t kFormatColumns = 100;

// The file in the one style, ending with a line end. Nothing when the file has syntax errors, or
// when what was made of it would have some; they are reported: what was not understood is not
// touched.
std::optional<std::string> format(const SourceFile& file, Diagnostics& diagnostics);

}  // namespace sluice::compiler
