// From the checked program to the artifact.
#pragma once

#include <optional>
#include <string>

#include "compiler/compile.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

// The bytes of the artifact; nothing, after a report, if the program is too large for one. The same
// program gives the same bytes. REQUIRES: the program has no errors.
std::optional<std::string> generate(const ir::Program& program, const SourceSet& sources,
                                    Diagnostics& diagnostics, const CompileOptions& options);

}  // namespace sluice::compiler
