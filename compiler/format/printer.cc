#include "compiler/format/printer.hpp"

#include <algorithm>
#include <utility>

#include "compiler/format.hpp"
#include "compiler/parse.hpp"

namespace sluice::compiler {

namespace {

// Comments that stood within one expression may move twice: behind their item, and from there to
// the item below.
constexpr int kRunsMax = 4;

}  // namespace

std::optional<std::string> format(const SourceFile& file, Diagnostics& diagnostics) {
  const ParseResult parsed = parse(file, diagnostics);
  if (!parsed.ok) return std::nullopt;
  std::string printed = Printer(file, *parsed.module).print();
  std::string before = file.text();
  for (int run = 1; run < kRunsMax && printed != before; ++run) {
    const SourceFile again(file.id(), file.path(), file.module(), printed);
    Diagnostics broken;
    const ParseResult reparsed = parse(again, broken);
    if (!reparsed.ok) {
      const Diagnostic& first = broken.items().front();
      diagnostics
          .report(first.code, Span{file.id(), 0, 0},
                  "this file stays as it is: formatted it would not be read: " + first.message)
          .because("that is a defect of `flowc fmt`: please report it with the file");
      return std::nullopt;
    }
    before = std::exchange(printed, Printer(again, *reparsed.module).print());
  }
  return printed;
}

Printer::Printer(const SourceFile& file, const ast::Module& module)
    : file_(file), module_(module), comments_(comments_of(file)) {}

Doc Printer::raw(Span span) {
  // Comments in it are printed with it.
  const auto from = comments_.begin() + static_cast<std::ptrdiff_t>(next_comment_);
  comments_.erase(std::remove_if(from, comments_.end(),
                                 [&](const Comment& comment) {
                                   return comment.span.begin >= span.begin &&
                                          comment.span.begin < span.end;
                                 }),
                  comments_.end());
  return Doc::text(std::string(text(span)));
}

bool Printer::on_one_line(Span span) const {
  return text(span).find('\n') == std::string_view::npos;
}

bool Printer::has_comment_in(std::uint32_t begin, std::uint32_t end) const {
  return std::any_of(comments_.begin(), comments_.end(), [&](const Comment& comment) {
    return comment.span.begin >= begin && comment.span.begin < end;
  });
}

// A line of nothing but blanks stands between the two places.
bool Printer::blank_line_between(std::uint32_t begin, std::uint32_t end) const {
  if (begin >= end) return false;
  const std::string_view gap = std::string_view(file_.text()).substr(begin, end - begin);
  std::size_t line_ends = 0;
  for (const char letter : gap) {
    if (letter == '\n') {
      if (++line_ends == 2) return true;
    } else if (letter != ' ' && letter != '\t' && letter != '\r') {
      line_ends = 0;
    }
  }
  return false;
}

// `last_end` is the source's end of what was printed last; 0 at the beginning of a list.
void Printer::add_comments_before(std::uint32_t offset, DocList& out, std::uint32_t& last_end) {
  while (next_comment_ < comments_.size() && comments_[next_comment_].span.begin < offset) {
    const Span span = comments_[next_comment_++].span;
    if (last_end != 0) {
      out.push_back(Doc::hard_line());
      if (blank_line_between(last_end, span.begin)) out.push_back(Doc::hard_line());
    }
    std::string_view comment = text(span);
    while (comment.ends_with(' ') || comment.ends_with('\t') || comment.ends_with('\r')) {
      comment.remove_suffix(1);
    }
    out.push_back(row(comment));
    last_end = span.end;
  }
}

// What stands inside of an item and was not printed with it, and what stands behind it on its line.
Doc Printer::comments_after(std::uint32_t end) {
  DocList out;
  while (next_comment_ < comments_.size()) {
    const Span span = comments_[next_comment_].span;
    const bool inside = span.begin < end;
    if (!inside) {
      const std::string_view gap = std::string_view(file_.text()).substr(end, span.begin - end);
      const bool same_line = std::all_of(gap.begin(), gap.end(), [](char letter) {
        return letter == ' ' || letter == '\t' || letter == ',';
      });
      if (!same_line) break;
    }
    ++next_comment_;
    if (!out.empty()) out.push_back(Doc::hard_line());
    std::string_view comment = text(span);
    while (comment.ends_with(' ') || comment.ends_with('\r')) comment.remove_suffix(1);
    out.push_back(row(out.empty() ? "  " : "", comment));
  }
  if (out.empty()) return {};
  return Doc::concat(std::move(out));
}

Doc Printer::item(const Item& item) {
  Doc printed = item.print();
  return row(std::move(printed), comments_after(item.span.end));
}

Doc Printer::lines(const std::vector<Item>& items, std::uint32_t end) {
  DocList out;
  std::uint32_t last_end = 0;
  for (const Item& each : items) {
    add_comments_before(each.span.begin, out, last_end);
    if (last_end != 0) {
      out.push_back(Doc::hard_line());
      if (blank_line_between(last_end, each.span.begin)) out.push_back(Doc::hard_line());
    }
    out.push_back(item(each));
    last_end = each.span.end;
    const std::size_t printed = next_comment_;
    if (printed > 0) last_end = std::max(last_end, comments_[printed - 1].span.end);
  }
  add_comments_before(end, out, last_end);
  return Doc::concat(std::move(out));
}

Doc Printer::braced(Span braces, const std::vector<Item>& items, std::string_view separator) {
  const bool comments = has_comment_in(braces.begin, braces.end);
  if (items.empty() && !comments) return row("{}");
  if (on_one_line(braces) && !comments) {
    DocList inner;
    for (const Item& each : items) {
      inner.push_back(inner.empty()
                          ? Doc::line(" ")
                          : Doc::line(std::string(separator), each.after_comma ? "," : ""));
      inner.push_back(each.print());
    }
    return Doc::group(
        row("{", Doc::nest(kIndent, Doc::concat(std::move(inner))), Doc::line(" "), "}"));
  }
  Doc inner = lines(items, braces.end == 0 ? 0 : braces.end - 1);
  return row("{", Doc::nest(kIndent, row(Doc::hard_line(), std::move(inner))), Doc::hard_line(),
             "}");
}

Doc Printer::listed(std::string_view open, std::string_view close, Span brackets,
                    const std::vector<Item>& items, bool keep_breaks) {
  const bool comments = has_comment_in(brackets.begin, brackets.end);
  if (items.empty() && !comments) return row(open, close);
  const std::uint32_t inner_begin = brackets.begin + static_cast<std::uint32_t>(open.size());
  const bool broken =
      comments || (keep_breaks && !items.empty() &&
                   !on_one_line(Span{brackets.file, inner_begin, items.front().span.begin}));
  const std::string_view padding = open == "{" ? " " : "";
  if (!broken) {
    DocList inner;
    for (const Item& each : items) {
      inner.push_back(inner.empty() ? Doc::line(std::string(padding)) : Doc::line(", ", ","));
      inner.push_back(each.print());
    }
    return Doc::group(row(open, Doc::nest(kIndent, Doc::concat(std::move(inner))),
                          Doc::line(std::string(padding), ","), close));
  }
  std::vector<Item> with_commas;
  for (const Item& each : items) {
    with_commas.push_back({each.span, [&each] { return row(each.print(), ","); }});
  }
  Doc inner = lines(with_commas, brackets.end - 1);
  return row(open, Doc::nest(kIndent, row(Doc::hard_line(), std::move(inner))), Doc::hard_line(),
             close);
}

}  // namespace sluice::compiler
