// The whole compiler: sources in, artifact out.
#pragma once

#include <optional>
#include <string>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

struct CompileOptions {
  bool debug_lines = true;  // keep the way from an instruction to its line
};

struct CompileResult {
  // The bytes of the artifact (vm/artifact.hpp); set iff no error was reported.
  std::optional<std::string> artifact;
};

// Parses, checks and compiles all files as one program, the standard library included. Every
// finding goes to `diagnostics`, sorted. Pure: reads no file, clock or environment; the same
// sources give the same bytes.
CompileResult compile(SourceSet& sources, Diagnostics& diagnostics,
                      const CompileOptions& options = {});

}  // namespace sluice::compiler
