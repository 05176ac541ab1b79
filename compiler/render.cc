#include "compiler/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace sluice::compiler {
namespace {

// Code points of one source line that are shown; of a longer one a window around the mark.
constexpr std::size_t kLineShownMax = 160;
constexpr std::size_t kShownBeforeMark = 60;
// A tab is shown as this many spaces.
constexpr std::size_t kTabColumns = 4;

class Colours {
 public:
  explicit Colours(bool on) : on_(on) {}
  std::string error(std::string_view text) const { return wrap("1;31", text); }
  std::string warning(std::string_view text) const { return wrap("1;33", text); }
  std::string strong(std::string_view text) const { return wrap("1", text); }
  std::string frame(std::string_view text) const { return wrap("34", text); }
  std::string second(std::string_view text) const { return wrap("36", text); }
  std::string of(Severity severity, std::string_view text) const {
    return severity == Severity::kError ? error(text) : warning(text);
  }

 private:
  std::string wrap(std::string_view code, std::string_view text) const {
    if (!on_ || text.empty()) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }
  bool on_;
};

// One line of source as it is shown, and the column of each of its bytes there.
struct ShownLine {
  std::string text;
  std::vector<std::size_t> columns;  // by byte, one more for the end
};

ShownLine show(std::string_view line) {
  ShownLine shown;
  std::size_t column = 0;
  std::size_t at = 0;
  while (at < line.size()) {
    const auto byte = static_cast<unsigned char>(line[at]);
    std::size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    length = std::min(length, line.size() - at);
    const bool valid = !find_invalid_utf8(line.substr(at, length)).has_value();
    if (!valid) length = 1;
    std::string piece(line.substr(at, length));
    std::size_t width = 1;
    if (byte == '\t') {
      piece = std::string(kTabColumns, ' ');
      width = kTabColumns;
    } else if (!valid || byte < 0x20 || byte == 0x7f) {
      piece = "?";
    }
    shown.columns.insert(shown.columns.end(), length, column);
    shown.text += piece;
    column += width;
    at += length;
  }
  shown.columns.push_back(column);
  return shown;
}

struct Mark {
  std::size_t begin = 0;  // bytes within the line
  std::size_t end = 0;
  std::string text;
  bool primary = false;
};

// The marks of one diagnostic in one file, by line.
using Marks = std::map<std::uint32_t, std::vector<Mark>>;

class TextRenderer {
 public:
  TextRenderer(const SourceSet& sources, const RenderOptions& options)
      : sources_(sources), colours_(options.colour) {}

  std::string render(const Diagnostic& item) {
    out_.clear();
    const std::string kind = item.severity == Severity::kError ? "error" : "warning";
    out_ += colours_.of(item.severity, fmt::format("{}[{}]", kind, info(item.code).name));
    out_ += colours_.strong(fmt::format(": {}\n", item.message));
    render_places(item);
    if (!item.note.empty()) add_remark("note", item.note);
    for (const Fix& fix : item.fixes) add_remark("fix", fix.title);
    return std::move(out_);
  }

  std::string excerpt(Span span, std::string label) {
    out_.clear();
    Diagnostic item;
    item.span = span;
    item.primary_label = std::move(label);
    render_places(item);
    return std::move(out_);
  }

 private:
  void render_places(const Diagnostic& item) {
    std::map<FileId, Marks> files;
    add_mark(files, item.span, item.primary_label, true);
    for (const Label& label : item.labels) add_mark(files, label.span, label.text, false);
    std::uint32_t last_line = 0;
    for (const auto& [file, marks] : files) last_line = std::max(last_line, marks.rbegin()->first);
    gutter_ = fmt::format("{}", last_line).size();
    render_file(item, item.span.file, files[item.span.file]);
    for (const auto& [file, marks] : files) {
      if (file != item.span.file) render_file(item, file, marks);
    }
  }

  void add_mark(std::map<FileId, Marks>& files, Span span, const std::string& text, bool primary) {
    const SourceFile& file = sources_.file(span.file);
    const std::size_t size = file.text().size();
    const std::size_t begin = std::min<std::size_t>(span.begin, size);
    const std::uint32_t line = file.position(begin).line;
    const std::size_t line_begin = file.line_begin(line);
    const std::size_t line_size = file.line_text(line).size();
    Mark mark;
    mark.begin = std::min(begin - line_begin, line_size);
    mark.end = std::min(std::min<std::size_t>(span.end, size) - line_begin, line_size);
    mark.end = std::max(mark.end, mark.begin);
    mark.text = text;
    mark.primary = primary;
    files[span.file][line].push_back(std::move(mark));
  }

  void render_file(const Diagnostic& item, FileId id, const Marks& marks) {
    const SourceFile& file = sources_.file(id);
    const bool own = id == item.span.file;
    const Position place =
        own ? file.position(std::min<std::size_t>(item.span.begin, file.text().size()))
            : Position{marks.begin()->first, 1};
    out_ += fmt::format("{}{} {}:{}:{}\n", std::string(gutter_, ' '),
                        colours_.frame(own ? "-->" : ":::"), file.path(), place.line, place.column);
    frame("");
    std::uint32_t before = 0;
    for (const auto& [line, on_line] : marks) {
      if (before != 0 && line > before + 1) out_ += colours_.frame("...") + "\n";
      render_line(item, file, line, on_line);
      before = line;
    }
  }

  void frame(std::string_view text) {
    out_ += fmt::format("{} {}{}{}\n", std::string(gutter_, ' '), colours_.frame("|"),
                        text.empty() ? "" : " ", text);
  }

  void render_line(const Diagnostic& item, const SourceFile& file, std::uint32_t line,
                   const std::vector<Mark>& marks) {
    const ShownLine shown = show(file.line_text(line));
    const std::size_t width = shown.columns.back();
    std::size_t from = 0;
    const std::size_t first = shown.columns[marks.front().begin];
    if (width > kLineShownMax && first > kShownBeforeMark) from = first - kShownBeforeMark;
    const bool cut_begin = from > 0;
    const bool cut_end = width - from > kLineShownMax;
    const std::string text = window(shown.text, from);
    out_ += fmt::format("{} {} {}{}{}\n", colours_.frame(fmt::format("{:>{}}", line, gutter_)),
                        colours_.frame("|"), cut_begin ? "…" : "", text, cut_end ? "…" : "");
    for (const Mark& mark : marks) {
      const std::size_t begin = shown.columns[mark.begin];
      const std::size_t end = std::max(shown.columns[mark.end], begin + 1);
      if (begin < from || begin >= from + kLineShownMax) continue;
      const std::size_t count = std::min(end, from + kLineShownMax) - begin;
      const std::string line_text =
          fmt::format("{}{}{}", std::string(count, mark.primary ? '^' : '-'),
                      mark.text.empty() ? "" : " ", mark.text);
      frame(std::string(begin - from + (cut_begin ? 1 : 0), ' ') +
            (mark.primary ? colours_.of(item.severity, line_text) : colours_.second(line_text)));
    }
  }

  // kLineShownMax code points of the shown text, from the given column.
  static std::string window(const std::string& text, std::size_t from) {
    std::string cut;
    std::size_t column = 0;
    for (const char byte : text) {
      const bool begins = (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
      if (begins) ++column;
      if (column > from && column <= from + kLineShownMax) cut += byte;
    }
    return cut;
  }

  void add_remark(std::string_view kind, std::string_view text) {
    out_ += fmt::format("{} {} {}\n", std::string(gutter_, ' '), colours_.frame("="),
                        colours_.strong(fmt::format("{}: ", kind)) + std::string(text));
  }

  const SourceSet& sources_;
  Colours colours_;
  std::string out_;
  std::size_t gutter_ = 1;
};

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

std::string render_text(const Diagnostics& diagnostics, const SourceSet& sources,
                        const RenderOptions& options) {
  if (diagnostics.items().empty()) return {};
  std::string out;
  TextRenderer renderer(sources, options);
  for (const Diagnostic& item : diagnostics.items()) out += renderer.render(item) + "\n";
  std::string summary;
  if (diagnostics.error_count() > 0) summary = counted(diagnostics.error_count(), "error");
  if (diagnostics.warning_count() > 0) {
    summary += (summary.empty() ? "" : ", ") + counted(diagnostics.warning_count(), "warning");
  }
  if (diagnostics.dropped() > 0) {
    summary += fmt::format(" (the last {} are not shown)", diagnostics.dropped());
  }
  const std::string_view first = info(diagnostics.items().front().code).name;
  return out + summary + fmt::format("; `flowc help {}` explains a code\n", first);
}

std::string render_excerpt(Span span, std::string label, const SourceSet& sources,
                           const RenderOptions& options) {
  return TextRenderer(sources, options).excerpt(span, std::move(label));
}

std::string render_explanation(Code code, const RenderOptions& options) {
  const Colours colours(options.colour);
  const CodeInfo& row = info(code);
  const std::string kind = row.severity == Severity::kError ? "error" : "warning";
  return fmt::format("{}: {}\n\n{}\n",
                     colours.of(row.severity, fmt::format("{} {}", kind, row.name)),
                     colours.strong(row.title), row.explanation);
}

}  // namespace sluice::compiler
