// From text to tree. The only door to the ANTLR parser, whose types and exceptions end in parse.cc.
#pragma once

#include <memory>

#include "compiler/ast.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

struct ParseResult {
  // Never null. After a syntax error it holds the declarations and statements that could be read;
  // what could not is left out, so later stages may run on it but must not draw conclusions from
  // what is missing.
  std::unique_ptr<ast::Module> module;
  // No syntax error was reported for this file.
  bool ok = false;
};

// Reads one file. Reports every problem found to `diagnostics` (codes E01xx) and never throws on
// bad input. Refuses at once what is over kSourceBytesMax or not UTF-8. Thread-safe: calls may run
// side by side.
ParseResult parse(const SourceFile& file, Diagnostics& diagnostics);

}  // namespace sluice::compiler
