// Source text: files, their names, and the way from a byte offset to a line and a column.
//
// Everything inside the compiler speaks of byte offsets `[begin, end)`. Lines and columns (from 1,
// columns in code points, as editors and the protocols count) exist only where a diagnostic or a
// debug line is printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::compiler {

// Index of a file in its SourceSet.
enum class FileId : std::uint32_t {};

// A piece of one file's text, in bytes.
struct Span {
  FileId file{};
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  std::uint32_t size() const { return end - begin; }
  friend bool operator==(const Span&, const Span&) = default;
};

// From the beginning of `first` to the end of `last`. REQUIRES: the same file.
Span join(Span first, Span last);

// Where a byte stands, for people: both count from 1, the column in code points.
struct Position {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  friend bool operator==(const Position&, const Position&) = default;
};

class SourceFile {
 public:
  // `path` is shown to people; `module` is the dotted name that the file's place gives it
  // ("support.answer").
  SourceFile(FileId id, std::string path, std::string module, std::string text);

  FileId id() const { return id_; }
  const std::string& path() const { return path_; }
  const std::string& module() const { return module_; }
  const std::string& text() const { return text_; }

  // The offset of the first byte that is not UTF-8 (overlong forms, surrogates and U+0000
  // included), if any. Such a file is never lexed: parse() reports it and returns an empty tree.
  std::optional<std::size_t> invalid_utf8_at() const { return invalid_utf8_at_; }

  // REQUIRES: offset <= text().size(). An offset inside a code point counts as its first byte.
  Position position(std::size_t offset) const;

  // The line's text without its line end. REQUIRES: 1 <= line <= line_count().
  std::string_view line_text(std::uint32_t line) const;
  // The offset of the line's first byte. REQUIRES: as above.
  std::size_t line_begin(std::uint32_t line) const;
  std::uint32_t line_count() const;

  // The text of a span. REQUIRES: span.file == id().
  std::string_view text_of(Span span) const;

 private:
  FileId id_;
  std::string path_;
  std::string module_;
  std::string text_;
  std::vector<std::uint32_t> line_starts_;
  std::optional<std::size_t> invalid_utf8_at_;
};

// The files of one compilation. Files keep their address and are never removed.
class SourceSet {
 public:
  SourceSet() = default;
  SourceSet(const SourceSet&) = delete;
  SourceSet& operator=(const SourceSet&) = delete;
  SourceSet(SourceSet&&) = default;
  SourceSet& operator=(SourceSet&&) = default;

  // Adds a file; its module name is that of the path: "support/answer.flow" is `support.answer`.
  FileId add(std::string path, std::string text);
  // Adds a file whose module name was found otherwise (below a source root, the standard library).
  FileId add(std::string path, std::string module, std::string text);

  const SourceFile& file(FileId id) const { return files_.at(static_cast<std::size_t>(id)); }
  std::size_t size() const { return files_.size(); }
  auto begin() const { return files_.begin(); }
  auto end() const { return files_.end(); }

 private:
  std::deque<SourceFile> files_;
};

// The module that a relative path with `/` names: "a/b.flow" is "a.b". Fails, with a sentence for
// people, on a path that is absolute, has `.` or `..` or empty parts, does not end in ".flow", or
// whose parts are not names (a small letter or `_`, then small and capital letters, digits, `_`).
tl::expected<std::string, std::string> module_of_path(std::string_view path);

// The offset of the first byte that does not belong to valid UTF-8, or nothing. U+0000 counts as
// invalid.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// The number of code points. REQUIRES: valid UTF-8.
std::size_t count_code_points(std::string_view text);

}  // namespace sluice::compiler
