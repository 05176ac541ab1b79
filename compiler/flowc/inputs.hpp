// Sources from the command line: files, directories, globs, and `-` for standard input.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::flowc {

// Files that flowc reads from a directory.
inline constexpr std::string_view kSourceExtension = ".flow";

struct Input {
  std::string path;         // as shown; "-" is standard input
  std::string module_path;  // below the directory that was named: "support/answer.flow"
};

// What the arguments name, each file once, directories and globs in order of name. Fails with a
// sentence when something is not there (with the nearest name that is), or names no source file.
tl::expected<std::vector<Input>, std::string> find_inputs(
    const std::vector<std::string>& arguments);

// The whole text; fails with a sentence. `limit_bytes`: more is not read; the text is empty then
// and the file is reported to `diagnostics` by the caller.
struct FileText {
  std::string text;
  std::size_t size = 0;
};
tl::expected<FileText, std::string> read_file(const std::string& path, std::size_t limit_bytes);

// Reads all of them into a set. A file that is too large is reported (E0119) and left empty.
tl::expected<compiler::SourceSet, std::string> read_sources(
    const std::vector<std::string>& arguments, compiler::Diagnostics& diagnostics);

// The dotted name after the first `module` of a source text; empty if there is none.
std::string declared_module(std::string_view text);

// Replaces a file's content in one step, so that a crash leaves the old or the new one. Fails with
// a sentence.
tl::expected<void, std::string> write_file(const std::string& path, std::string_view content);

}  // namespace sluice::flowc
