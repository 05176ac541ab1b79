// What the tests of the compiler's front half share.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ast.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/parse.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

// A text and what parse() made of it.
struct Parsed {
  SourceSet sources;
  Diagnostics diagnostics;
  ParseResult result;

  const SourceFile& file() const { return sources.file(FileId{0}); }
  const ast::Module& module() const { return *result.module; }
  // The findings as `E0101 2:3 message`, one a line.
  std::string findings() const;
};

std::unique_ptr<Parsed> parse_text(std::string text);

// The statements of `flow f(a: A) -> B { … }` around the body.
std::unique_ptr<Parsed> parse_body(const std::string& body);
const std::vector<ast::StmtPtr>& statements(const Parsed& parsed);

// The expression in `const c = …`.
std::unique_ptr<Parsed> parse_value(const std::string& expression);
const ast::Expr& value(const Parsed& parsed);

// Every *.flow below the given places of the repository.
std::vector<std::filesystem::path> flow_files(const std::vector<std::string>& places);
std::string read_text(const std::filesystem::path& path);

// The fenced ```flow blocks of a document.
std::vector<std::string> flow_blocks(const std::filesystem::path& document);

}  // namespace sluice::compiler
