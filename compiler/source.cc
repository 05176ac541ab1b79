#include "compiler/source.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::compiler {
namespace {

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

// The bytes of the sequence that begins `text`, or 0 if it is not UTF-8. REQUIRES: !text.empty().
std::size_t sequence_length(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : std::uint8_t{0};
  };
  const unsigned char first = at(0);
  if (first == 0) return 0;
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const unsigned char second = at(1);
  if (!is_continuation(second)) return 0;
  if (first < 0xE0) return 2;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (!is_continuation(at(2))) return 0;
  if (first < 0xF0) return 3;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return is_continuation(at(3)) ? 4 : 0;
}

bool is_small(char letter) {
  return (letter >= 'a' && letter <= 'z') || letter == '_';
}

bool is_word(char letter) {
  return is_small(letter) || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
}

bool is_module_part(std::string_view part) {
  return !part.empty() && is_small(part.front()) && std::all_of(part.begin(), part.end(), is_word);
}

}  // namespace

Span join(Span first, Span last) {
  return Span{first.file, first.begin, last.end};
}

SourceFile::SourceFile(FileId id, std::string path, std::string module, std::string text)
    : id_(id), path_(std::move(path)), module_(std::move(module)), text_(std::move(text)) {
  line_starts_.push_back(0);
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') line_starts_.push_back(static_cast<std::uint32_t>(i + 1));
  }
  invalid_utf8_at_ = find_invalid_utf8(text_);
}

Position SourceFile::position(std::size_t offset) const {
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<std::uint32_t>(after - line_starts_.begin());
  std::size_t begin = line_starts_[line - 1];
  std::uint32_t column = 1;
  while (begin < offset && begin < text_.size()) {
    ++begin;
    while (begin < text_.size() && is_continuation(static_cast<unsigned char>(text_[begin])))
      ++begin;
    if (begin <= offset) ++column;
  }
  return {line, column};
}

std::string_view SourceFile::line_text(std::uint32_t line) const {
  const std::size_t begin = line_starts_[line - 1];
  std::size_t end = line < line_starts_.size() ? line_starts_[line] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r') --end;
  return std::string_view(text_).substr(begin, end - begin);
}

std::size_t SourceFile::line_begin(std::uint32_t line) const {
  return line_starts_[line - 1];
}

std::uint32_t SourceFile::line_count() const {
  return static_cast<std::uint32_t>(line_starts_.size());
}

std::string_view SourceFile::text_of(Span span) const {
  return std::string_view(text_).substr(span.begin, span.size());
}

FileId SourceSet::add(std::string path, std::string text) {
  auto module = module_of_path(path);
  std::string name = module.has_value() ? *module : path;
  return add(std::move(path), std::move(name), std::move(text));
}

FileId SourceSet::add(std::string path, std::string module, std::string text) {
  const auto id = FileId{static_cast<std::uint32_t>(files_.size())};
  files_.emplace_back(id, std::move(path), std::move(module), std::move(text));
  return id;
}

tl::expected<std::string, std::string> module_of_path(std::string_view path) {
  constexpr std::string_view kExtension = ".flow";
  const auto fail = [&](std::string_view why) {
    return tl::unexpected(fmt::format("`{}` cannot name a module: {}", path, why));
  };
  if (path.size() <= kExtension.size() || !path.ends_with(kExtension)) {
    return fail("its name does not end in `.flow`");
  }
  if (path.front() == '/') return fail("it is not a relative path");
  std::string_view rest = path.substr(0, path.size() - kExtension.size());
  std::string module;
  while (true) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (!is_module_part(part)) {
      return fail(fmt::format("`{}` is not a name of small letters, digits and `_`", part));
    }
    if (!module.empty()) module += '.';
    module += part;
    if (slash == std::string_view::npos) return module;
    rest.remove_prefix(slash + 1);
  }
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = sequence_length(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return !is_continuation(static_cast<unsigned char>(byte));
  }));
}

}  // namespace sluice::compiler
