// One mistake, one finding: what only follows from another one goes.
#pragma once

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

// - On a line that could not be read as it stands, nothing but that is told, and where the parser
//   gave up nothing behind it.
// - What is never reached for an error in the same line is not told.
// - A name that is unknown in several places of a file is one finding, with all of them marked.
// - Of a declaration that holds what could not be read nothing is warned.
// REQUIRES: the list is sorted.
void settle_consequences(const SourceSet& sources, const ir::Program& program,
                         Diagnostics& diagnostics);

}  // namespace sluice::compiler
