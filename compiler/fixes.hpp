// Applying what diagnostics propose.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

struct FixedFiles {
  std::map<FileId, std::string> texts;  // only files that changed
  std::size_t applied = 0;              // diagnostics whose fix was used
};

// Uses the fix of each diagnostic that proposes exactly one; of two that touch the same place the
// first wins.
FixedFiles apply_fixes(const Diagnostics& diagnostics, const SourceSet& sources);

// The text with the edits made. REQUIRES: they do not overlap and lie within the text.
std::string apply_edits(std::string_view text, std::vector<Edit> edits);

}  // namespace sluice::compiler
