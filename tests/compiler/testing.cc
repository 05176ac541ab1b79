#include "tests/compiler/testing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace sluice::compiler {

namespace fs = std::filesystem;

std::string Parsed::findings() const {
  std::string out;
  for (const Diagnostic& item : diagnostics.items()) {
    const Position place =
        file().position(std::min<std::size_t>(item.span.begin, file().text().size()));
    out +=
        fmt::format("{} {}:{} {}\n", info(item.code).name, place.line, place.column, item.message);
  }
  return out;
}

std::unique_ptr<Parsed> parse_text(std::string text) {
  auto parsed = std::make_unique<Parsed>();
  const FileId id = parsed->sources.add("test.flow", std::move(text));
  parsed->result = parse(parsed->sources.file(id), parsed->diagnostics);
  parsed->diagnostics.sort();
  return parsed;
}

std::unique_ptr<Parsed> parse_body(const std::string& body) {
  return parse_text("flow f(a: A) -> B {\n" + body + "\n}\n");
}

const std::vector<ast::StmtPtr>& statements(const Parsed& parsed) {
  return std::get<ast::FlowDecl>(parsed.module().declarations.at(0).node).body.statements;
}

std::unique_ptr<Parsed> parse_value(const std::string& expression) {
  return parse_text("const c = " + expression + "\n");
}

const ast::Expr& value(const Parsed& parsed) {
  return *std::get<ast::ConstDecl>(parsed.module().declarations.at(0).node).value;
}

std::vector<fs::path> flow_files(const std::vector<std::string>& places) {
  std::vector<fs::path> files;
  for (const std::string& place : places) {
    const fs::path root = fs::path(SLUICE_SOURCE_DIR) / place;
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() == ".flow") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> flow_blocks(const fs::path& document) {
  const std::string text = read_text(document);
  std::vector<std::string> blocks;
  constexpr std::string_view kOpen = "\n```flow\n";
  std::size_t at = 0;
  while ((at = text.find(kOpen, at)) != std::string::npos) {
    at += kOpen.size();
    const std::size_t end = text.find("\n```", at);
    blocks.push_back(text.substr(at, end - at + 1));
    at = end;
  }
  return blocks;
}

}  // namespace sluice::compiler
