// Every limit of the compiler's front half, in one place, with its unit and its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::compiler {

// Bytes of one source file. Fifty thousand lines of flow are about 2 MB and belong in modules; a
// file beyond this is a mistake (a data file, a binary) and is refused before it is read by the
// lexer.
inline constexpr std::size_t kSourceBytesMax = 1'048'576;

// Bytes of all source files of one compilation together.
inline constexpr std::size_t kProgramBytesMax = 64u * 1'048'576;

// Files of one compilation.
inline constexpr std::size_t kSourceFilesMax = 10'000;

// Levels of brackets, blocks and expressions within one another. Keeps every recursive walk over
// the tree within a small stack; nobody reads a program this deep.
inline constexpr std::size_t kNestingMax = 200;

// Operators in a row at one level, as in `a + b + c …`: such a chain is a tree of this height.
inline constexpr std::size_t kOperatorChainMax = 500;

// Diagnostics kept for one compilation. The rest is counted and summed up in one line.
inline constexpr std::size_t kDiagnosticsMax = 100;

// Bytes of one name. Names travel in every record, metric and frame.
inline constexpr std::size_t kNameBytesMax = 100;

// Milliseconds of the longest duration literal: a hundred years.
inline constexpr std::int64_t kDurationMsMax = 36'525LL * 86'400'000;

}  // namespace sluice::compiler
