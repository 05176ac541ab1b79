// Signs that other languages have: named, with an edit, and read as what is meant.
#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "FlowLexer.h"
#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {
namespace {

using grammar::FlowLexer;

class ForeignSigns {
 public:
  ForeignSigns(const SourceFile& file, TokenList& list, Diagnostics& diagnostics)
      : file_(file), list_(list), diagnostics_(diagnostics) {}

  void run() {
    std::vector<FlowToken> kept;
    kept.reserve(list_.tokens.size());
    for (std::size_t i = 0; i < list_.tokens.size(); ++i) {
      FlowToken& token = list_.tokens[i];
      if (const std::size_t behind = behind_loop_head(i); behind != i) {
        for (std::size_t k = 0; k < kLoopHead.size(); ++k) {
          kept.push_back(list_.tokens[i + k]);
          kept.back().set_type(kLoopHead[k]);
        }
        i = behind - 1;
        continue;
      }
      if (token.getType() < FlowLexer::BAD_SEMICOLON || token.getType() == antlr4::Token::EOF ||
          mend(token)) {
        kept.push_back(token);
      }
    }
    list_.tokens = std::move(kept);
    report_semicolons();
  }

 private:
  // `for (let i = 0; i < 3; i++) {`: told once, and read as `each _ in _ {`. Answers the place of
  // the `{`; `at` itself where no such loop begins.
  static constexpr std::array<size_t, 4> kLoopHead = {FlowLexer::K_EACH, FlowLexer::NAME,
                                                      FlowLexer::K_IN, FlowLexer::NAME};

  std::size_t behind_loop_head(std::size_t at) {
    const auto& tokens = list_.tokens;
    if (tokens[at].getType() != FlowLexer::K_FOR || at + 1 >= tokens.size()) return at;
    if (tokens[at + 1].getType() != FlowLexer::LPAREN) return at;
    std::size_t brace = at + 1;
    while (brace < tokens.size() && tokens[brace].getType() != FlowLexer::LBRACE &&
           tokens[brace].line() == tokens[at].line()) {
      ++brace;
    }
    const bool found = brace < tokens.size() && tokens[brace].getType() == FlowLexer::LBRACE;
    if (!found || brace < at + kLoopHead.size()) return at;
    diagnostics_.report(Code::E0115, tokens[at].span(), "`for` begins no statement")
        .here("did you mean `each`?")
        .because("`each n in 1..3 { … }` counts, `each x in xs { … }` goes through a list");
    list_.mended.add_line(tokens[at].line());
    return brace;
  }

  // Reports the token and gives it the type of what is meant. False: it goes.
  bool mend(FlowToken& token) {
    switch (token.getType()) {
      case FlowLexer::BAD_SEMICOLON:
        semicolons_.push_back(token.span());
        return false;
      case FlowLexer::BAD_AND:
        return replace(token, FlowLexer::K_AND, "and");
      case FlowLexer::BAD_OR:
        if (joins_types(token)) return tell_no_union(token);
        return replace(token, FlowLexer::K_OR, "or");
      case FlowLexer::BAD_NOT:
        return replace(token, FlowLexer::K_NOT, "not ");
      case FlowLexer::BAD_EQUAL:
        return replace(token, FlowLexer::EQUAL, "==");
      case FlowLexer::BAD_NOT_EQUAL:
        return replace(token, FlowLexer::NOT_EQUAL, "!=");
      case FlowLexer::BAD_DOTS:
        return mend_dots(token);
      case FlowLexer::BAD_ASSIGN:
        return mend_assign(token);
      case FlowLexer::BAD_BLOCK_COMMENT:
        return mend_block_comment(token);
      case FlowLexer::BAD_HASH:
        return mend_hash(token);
      case FlowLexer::BAD_QUOTE:
        return mend_quote(token);
      case FlowLexer::BAD_NUMBER:
        return mend_number(token);
      case FlowLexer::BAD_LETTERS:
        return mend_letters(token);
      case FlowLexer::BAD_SIGN:
        return mend_sign(token);
      default:
        return true;  // a token of the string modes, which are numbered behind
    }
  }

  bool replace(FlowToken& token, size_t type, std::string_view meant) {
    const std::string_view word = meant.substr(0, meant.find(' '));
    diagnostics_
        .report(Code::E0106, token.span(),
                fmt::format("`{}` is not an operator here", token.text()))
        .here(fmt::format("write `{}`", word))
        .mend(fmt::format("write `{}`", word), {{token.span(), spaced(token, meant)}});
    list_.mended.add_line(token.line());
    token.set_type(type);
    return true;
  }

  const FlowToken& before(const FlowToken& token) const {
    return &token == list_.tokens.data() ? token : *(&token - 1);
  }

  // `string | none`, `enum E { low | high }`: types of other languages. The list ends with EOF.
  bool joins_types(const FlowToken& token) const {
    if (token.text() != "|") return false;
    const FlowToken* first = &token;
    while (first != list_.tokens.data() && !first->first_on_line) --first;
    const size_t type = first->getType();
    return type == FlowLexer::K_ENUM || type == FlowLexer::K_RECORD || type == FlowLexer::K_EVENT;
  }

  bool tell_no_union(FlowToken& token) {
    diagnostics_.report(Code::E0106, token.span(), "`|` is not an operator here")
        .because(
            "what may be absent is written `string?`; one of several is an "
            "`enum`, its cases with commas between them");
    list_.mended.add_line(token.line());
    token.set_type(FlowLexer::K_OR);
    return true;
  }

  // A word needs spaces where a sign did not: `a&&b`.
  std::string spaced(const FlowToken& token, std::string_view word) const {
    const std::string& text = file_.text();
    const auto is_space = [](char letter) { return letter == ' ' || letter == '\n'; };
    std::string edit(word);
    const bool letters = word.front() >= 'a' && word.front() <= 'z';
    if (!letters) return edit;
    const Span span = token.span();
    const bool after_bracket = span.begin > 0 && text[span.begin - 1] == '(';
    if (span.begin > 0 && !is_space(text[span.begin - 1]) && !after_bracket) edit.insert(0, " ");
    if (edit.back() != ' ' && span.end < text.size() && !is_space(text[span.end])) edit += ' ';
    return edit;
  }

  bool mend_dots(FlowToken& token) {
    const size_t previous = before(token).getType();
    if (previous == FlowLexer::LBRACKET || previous == FlowLexer::LBRACE ||
        previous == FlowLexer::COMMA) {
      diagnostics_
          .report(Code::E0106, token.span(),
                  fmt::format("`{}` is not an operator here", token.text()))
          .because("`xs + [x]` puts lists together, `r with { field: value }` changes a record");
      list_.mended.add_line(token.line());
      token.set_type(FlowLexer::DOT_DOT);
      return true;
    }
    diagnostics_
        .report(Code::E0106, token.span(),
                fmt::format("`{}` is not an operator here", token.text()))
        .here("write `..`")
        .because("a range has both its ends: `1..8` counts from 1 to 8")
        .mend("write `..`", {{token.span(), ".."}});
    list_.mended.add_line(token.line());
    token.set_type(FlowLexer::DOT_DOT);
    return true;
  }

  bool mend_assign(FlowToken& token) {
    const std::string_view sign = token.text();
    auto& report = diagnostics_.report(Code::E0106, token.span(),
                                       fmt::format("`{}` is not an operator here", sign));
    if (sign == ":=") {
      report.here("write `=`, behind `let`, `var`, `set` or `step` and the name");
    } else {
      report.here(fmt::format("write `set x = x {} …`", sign.substr(0, 1)));
    }
    report.because("a name is bound by `let`, declared by `var` and assigned by `set`");
    list_.mended.add_line(token.line());
    token.set_type(FlowLexer::ASSIGN);
    return true;
  }

  bool mend_block_comment(const FlowToken& token) {
    const std::string_view text = token.text();
    auto& report =
        diagnostics_
            .report(Code::E0108, Span{file_.id(), token.span().begin, token.span().begin + 2},
                    "there are no block comments")
            .here("a comment begins with `//` and ends with its line");
    const bool closed = text.ends_with("*/") && text.size() >= 4;
    const Span span = token.span();
    const std::string& whole = file_.text();
    const bool ends_line = span.end >= whole.size() || whole[span.end] == '\n';
    if (closed && ends_line && text.find('\n') == std::string_view::npos) {
      std::string_view inside = text.substr(2, text.size() - 4);
      while (inside.ends_with(' ')) inside.remove_suffix(1);
      report.mend("write `//`", {{span, fmt::format("//{}", inside)}});
    }
    return false;
  }

  bool mend_hash(const FlowToken& token) {
    const Span sign{file_.id(), token.span().begin, token.span().begin + 1};
    diagnostics_.report(Code::E0108, sign, "`#` does not begin a comment")
        .here("write `//`")
        .mend("write `//`", {{sign, "//"}});
    return false;
  }

  bool mend_quote(const FlowToken& token) {
    const std::string_view text = token.text();
    auto& report =
        diagnostics_.report(Code::E0109, token.span(), "strings are written in double quotes")
            .here("write `\"…\"`");
    const bool closed = text.size() >= 2 && text.back() == text.front();
    const bool plain = text.find('"') == std::string_view::npos;
    if (closed && plain) {
      report.mend("write double quotes",
                  {{token.span(), fmt::format("\"{}\"", text.substr(1, text.size() - 2))}});
    }
    if (!closed) list_.mended.add_line(token.line());
    return true;
  }

  // `5min`: the unit that is meant, if it can be told.
  static std::string_view unit_meant(std::string_view unit) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 25> kUnits = {{
        {"sec", "s"},
        {"secs", "s"},
        {"second", "s"},
        {"seconds", "s"},
        {"S", "s"},
        {"min", "m"},
        {"mins", "m"},
        {"minute", "m"},
        {"minutes", "m"},
        {"M", "m"},
        {"hr", "h"},
        {"hrs", "h"},
        {"hour", "h"},
        {"hours", "h"},
        {"H", "h"},
        {"day", "d"},
        {"days", "d"},
        {"D", "d"},
        {"msec", "ms"},
        {"msecs", "ms"},
        {"millis", "ms"},
        {"millisecond", "ms"},
        {"milliseconds", "ms"},
        {"MS", "ms"},
        {"Ms", "ms"},
    }};
    for (const auto& [written, meant] : kUnits) {
      if (written == unit) return meant;
    }
    return {};
  }

  bool mend_number(FlowToken& token) {
    const std::string_view text = token.text();
    const std::size_t unit_at = text.find_first_not_of("0123456789_.");
    const std::string_view unit = text.substr(unit_at);
    auto& report = diagnostics_
                       .report(Code::E0111, token.span(),
                               fmt::format("`{}` is neither a number nor a duration", text))
                       .because(
                           "a duration is a number and one of `ms`, `s`, `m`, `h`, `d`, as in "
                           "`250ms` or `24h`; a name cannot begin with a digit");
    if (const std::string_view meant = unit_meant(unit); !meant.empty()) {
      const std::string right = fmt::format("{}{}", text.substr(0, unit_at), meant);
      report.here(fmt::format("write `{}`", right))
          .mend(fmt::format("write `{}`", right), {{token.span(), right}});
    }
    list_.mended.add_line(token.line());
    token.set_type(FlowLexer::NAME);
    return true;
  }

  bool mend_letters(const FlowToken& token) {
    const std::string_view text = token.text();
    list_.mended.add_line(token.line());
    if (text == "\u00a0") {
      diagnostics_.report(Code::E0110, token.span(), "a no-break space is not a space here")
          .mend("write a space", {{token.span(), " "}});
      return false;
    }
    if (text == "\ufeff" && token.span().begin == 0) {
      diagnostics_.report(Code::E0110, token.span(), "the file begins with a byte order mark")
          .because("source files are plain UTF-8")
          .mend("remove it", {{token.span(), ""}});
      return false;
    }
    auto& report = diagnostics_.report(Code::E0110, token.span(),
                                       fmt::format("`{}` cannot stand outside a string", text));
    if (text.starts_with("\u201c") || text.starts_with("\u201d")) {
      report.here("write a plain `\"`");
    } else {
      report.because(
          "names are made of the letters a to z and A to Z, digits and `_`; every letter "
          "is welcome in strings and comments");
    }
    return false;
  }

  bool mend_sign(const FlowToken& token) {
    list_.mended.add_line(token.line());
    const std::string_view text = token.text();
    const auto byte = static_cast<unsigned char>(text.front());
    const bool visible = byte > 0x20 && byte < 0x7f;
    const std::string shown =
        visible ? fmt::format("`{}`", text) : fmt::format("the control character U+{:04X}", byte);
    diagnostics_.report(Code::E0110, token.span(),
                        fmt::format("{} is no sign of the language", shown));
    return false;
  }

  // All of a file's are one mistake, with one edit that removes them.
  void report_semicolons() {
    if (semicolons_.empty()) return;
    std::vector<Edit> edits;
    for (const Span span : semicolons_) edits.push_back({span, ""});
    auto& report =
        diagnostics_.report(Code::E0107, semicolons_.front(), "there are no semicolons")
            .because("every statement begins with a word of its own, so none needs an end");
    if (semicolons_.size() > 1) {
      report.here(fmt::format("this and {} more in this file", semicolons_.size() - 1));
    }
    report.mend(semicolons_.size() > 1 ? "remove all of them" : "remove it", std::move(edits));
  }

  const SourceFile& file_;
  TokenList& list_;
  Diagnostics& diagnostics_;
  std::vector<Span> semicolons_;
};

}  // namespace

void mend_foreign_signs(const SourceFile& file, TokenList& list, Diagnostics& diagnostics) {
  ForeignSigns(file, list, diagnostics).run();
}

}  // namespace sluice::compiler
