// The whole compiler: sources in, artifact out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

struct CompileOptions {
  bool debug_lines = true;  // keep the way from an instruction to its line
};

struct CompileResult {
  // The bytes of the artifact (vm/artifact.hpp); set iff no error was reported.
  std::optional<std::string> artifact;
  // What was checked, for tools; null after a syntax error. After other errors it is there, with
  // holes.
  std::shared_ptr<const ir::Program> program;
};

// Parses, checks and compiles all files as one program, the standard library included. Every
// finding goes to `diagnostics`, sorted. Pure: reads no file, clock or environment; the same
// sources give the same bytes.
CompileResult compile(SourceSet& sources, Diagnostics& diagnostics,
                      const CompileOptions& options = {});

}  // namespace sluice::compiler
