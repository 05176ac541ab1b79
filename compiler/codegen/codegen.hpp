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
// program gives the same bytes. With CompileOptions::tests, `test_functions` gets the functions of
// CompileResult. REQUIRES: the program has no errors.
std::optional<std::string> generate(
    const ir::Program& program, const SourceSet& sources, Diagnostics& diagnostics,
    const CompileOptions& options,
    std::unordered_map<const ir::Expr*, std::uint32_t>* test_functions);

}  // namespace sluice::compiler
