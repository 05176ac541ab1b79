// From trees to the checked program.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"

namespace sluice::compiler {

// The zones that schedules may name (CompileOptions::zones).
using ZoneNames = const std::vector<std::string>& (*)();

// Checks all modules as one program: modules and imports, names, types, the rules of flows and
// policies. Every finding goes to `diagnostics`; never null. `standard` are the files that ship
// with the compiler. What a tree lost to a syntax error (ast::Module::damage) is no finding, and
// none follows from it. REQUIRES: the trees' files are in `sources`.
std::unique_ptr<ir::Program> check(const SourceSet& sources, const std::set<FileId>& standard,
                                   std::vector<std::unique_ptr<ast::Module>> trees,
                                   Diagnostics& diagnostics, ZoneNames zones = nullptr);

}  // namespace sluice::compiler
