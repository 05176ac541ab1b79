// The whole compiler: sources in, artifact out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

struct CompileOptions {
  bool debug_lines = true;  // keep the way from an instruction to its line
  bool tests = false;       // code for the values and conditions of test and invariant blocks too
  bool deploying = false;   // what the engine does not execute yet is an error
  // Names of the zones that schedules may name, sorted: asked for only if there is a schedule. Null
  // or an empty list: whatever zone is named is taken.
  const std::vector<std::string>& (*zones)() = nullptr;
};

struct CompileResult {
  // The bytes of the artifact (vm/artifact.hpp); set iff no error was reported.
  std::optional<std::string> artifact;
  // What was checked, for tools; never null. After errors it has holes, and what could not be read
  // is missing.
  std::shared_ptr<const ir::Program> program;
  // With CompileOptions::tests: the artifact's pure function for each expression of a test or
  // invariant. Those of conditions take their counts.
  std::unordered_map<const ir::Expr*, std::uint32_t> test_functions;
};

// Parses, checks and compiles all files as one program, the standard library included. Every
// finding goes to `diagnostics`, sorted. Pure: reads no file, clock or environment; the same
// sources give the same bytes.
CompileResult compile(SourceSet& sources, Diagnostics& diagnostics,
                      const CompileOptions& options = {});

}  // namespace sluice::compiler
