// Gives every bracket, interpolation and string its partner, and says where one was missing.
//
// A missing bracket is found late, often at the end of the file. Two things tell where it belongs:
// words that cannot stand inside parentheses, and the indentation (layout.cc).
#include "compiler/parser/brackets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "FlowLexer.h"
#include "compiler/parser/layout.hpp"
#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {

using antlr4::Token;
using grammar::FlowLexer;

bool is_opener(size_t type) {
  return type == FlowLexer::LBRACE || type == FlowLexer::LPAREN || type == FlowLexer::LBRACKET ||
         type == FlowLexer::INTERPOLATION || type == FlowLexer::STRING_OPEN ||
         type == FlowLexer::BLOCK_OPEN;
}

bool is_closer(size_t type) {
  return type == FlowLexer::RBRACE || type == FlowLexer::RPAREN || type == FlowLexer::RBRACKET ||
         type == FlowLexer::STRING_CLOSE || type == FlowLexer::BLOCK_CLOSE;
}

size_t closer_of(size_t opener) {
  switch (opener) {
    case FlowLexer::LPAREN:
      return FlowLexer::RPAREN;
    case FlowLexer::LBRACKET:
      return FlowLexer::RBRACKET;
    case FlowLexer::STRING_OPEN:
      return FlowLexer::STRING_CLOSE;
    case FlowLexer::BLOCK_OPEN:
      return FlowLexer::BLOCK_CLOSE;
    default:
      return FlowLexer::RBRACE;
  }
}

size_t opener_of(size_t closer) {
  switch (closer) {
    case FlowLexer::RPAREN:
      return FlowLexer::LPAREN;
    case FlowLexer::RBRACKET:
      return FlowLexer::LBRACKET;
    default:
      return FlowLexer::LBRACE;
  }
}

bool is_string(size_t type) {
  return type == FlowLexer::STRING_OPEN || type == FlowLexer::BLOCK_OPEN;
}

bool is_string_end(size_t type) {
  return type == FlowLexer::STRING_CLOSE || type == FlowLexer::BLOCK_CLOSE;
}

namespace {

std::string_view sign_of(size_t type) {
  switch (type) {
    case FlowLexer::LBRACE:
      return "{";
    case FlowLexer::LPAREN:
      return "(";
    case FlowLexer::LBRACKET:
      return "[";
    case FlowLexer::RPAREN:
      return ")";
    case FlowLexer::RBRACKET:
      return "]";
    default:
      return "}";
  }
}

// Words that begin a statement or declaration and never stand inside parentheses.
bool begins_statement(size_t type) {
  return type >= FlowLexer::K_RECORD && type <= FlowLexer::K_LOG && type != FlowLexer::K_IF &&
         type != FlowLexer::K_MATCH;
}

bool begins_declaration(size_t type) {
  return (type >= FlowLexer::K_RECORD && type <= FlowLexer::K_FLOW) ||
         (type >= FlowLexer::K_EVENT && type <= FlowLexer::K_UPGRADE);
}

struct Open {
  FlowToken token;
  uint32_t indent = 0;  // of the line that it stands on
};

class Brackets {
 public:
  Brackets(const SourceFile& file, TokenList& list, Diagnostics& diagnostics)
      : file_(file), list_(list), diagnostics_(diagnostics) {}

  void run() {
    const std::vector<FlowToken> original = list_.tokens;
    pass(original);
    if (!reports_.empty() && !mend_by_layout(original) && open_at_end_) {
      // Once more, closing everything where a declaration begins at the left edge.
      reset();
      close_at_declarations_ = true;
      pass(original);
    }
    for (Report& report : reports_) {
      auto& shown = diagnostics_.report(report.code, report.span, std::move(report.message));
      shown.primary_label = std::move(report.label);
      shown.labels = std::move(report.labels);
      shown.note = std::move(report.note);
      shown.fixes = std::move(report.fixes);
    }
    list_.tokens = std::move(out_);
    for (const auto& [first, last] : mended_) list_.mended.add_lines(first, last);
    for (const auto& [first, last] : guessed_) list_.damage.add_guess(lines(first, last));
  }

 private:
  struct Report {
    Code code{};
    Span span;
    std::string message;
    std::string label;
    std::vector<Label> labels;
    std::string note;
    std::vector<Fix> fixes;
  };

  Span lines(uint32_t first, uint32_t last) const {
    const auto begin = static_cast<uint32_t>(file_.line_begin(first));
    const bool to_end = last >= file_.line_count();
    const std::size_t end = to_end ? file_.text().size() : file_.line_begin(last + 1);
    return {file_.id(), begin, static_cast<uint32_t>(end)};
  }

  // What the indentation tells is better, if it needs no more mends than the brackets alone.
  bool mend_by_layout(const std::vector<FlowToken>& original) {
    const std::vector<BracketMend> mends = mends_by_layout(original);
    if (mends.empty()) return false;
    if (mends.size() > reports_.size() && !one_in_each_declaration(original, mends)) return false;
    Brackets mended(file_, list_, diagnostics_);
    mended.pass(with_mends(original, mends));
    if (!mended.reports_.empty()) return false;
    reset();
    out_ = std::move(mended.out_);
    for (const BracketMend& mend : mends) report_mend(original, mend);
    return true;
  }

  static bool one_in_each_declaration(const std::vector<FlowToken>& tokens,
                                      const std::vector<BracketMend>& mends) {
    std::size_t checked = 0;
    for (const BracketMend& mend : mends) {
      const std::size_t place = std::min(mend.at, mend.partner);
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(checked);
      const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(place + 1);
      const bool another = checked <= place && std::any_of(begin, end, [](const FlowToken& token) {
                             return token.column() == 0 && begins_declaration(token.getType());
                           });
      if (!another) return false;
      checked = place + 1;
    }
    return true;
  }

  std::vector<FlowToken> with_mends(const std::vector<FlowToken>& original,
                                    const std::vector<BracketMend>& mends) const {
    std::vector<FlowToken> tokens;
    tokens.reserve(original.size() + mends.size());
    auto mend = mends.begin();
    for (std::size_t i = 0; i < original.size(); ++i) {
      bool removed = false;
      for (; mend != mends.end() && mend->at == i; ++mend) {
        if (mend->kind == BracketMend::Kind::kInsert) {
          tokens.push_back(missing(mend->type, original[i == 0 ? 0 : i - 1]));
          continue;
        }
        removed = true;
        if (mend->kind == BracketMend::Kind::kRemove) continue;
        tokens.push_back(original[i]);
        tokens.back().set_type(mend->type);
      }
      if (!removed) tokens.push_back(original[i]);
    }
    return tokens;
  }

  // Of no width, behind `before`.
  FlowToken missing(size_t type, const FlowToken& before) const {
    const Span nowhere{file_.id(), before.span().end, before.span().end};
    return {type, file_.text(), nowhere, before.line(),
            before.column() + static_cast<uint32_t>(before.span().size())};
  }

  void report_mend(const std::vector<FlowToken>& tokens, const BracketMend& mend) {
    const FlowToken& at = tokens[mend.at];
    const FlowToken& partner = tokens[mend.partner];
    const std::string_view sign = sign_of(mend.type);
    if (mend.kind == BracketMend::Kind::kRemove) {
      // What it stands in place of is not known.
      const auto begin = static_cast<uint32_t>(file_.line_begin(at.line()));
      list_.damage.add_place({file_.id(), begin, at.span().end});
      std::size_t first = mend.at;
      while (first > 0 && !tokens[first].first_on_line) --first;
      // `task looktext: string)`: the name went with the bracket.
      const size_t behind_name = tokens[std::min(first + 2, tokens.size() - 1)].getType();
      if (first < mend.at && begins_declaration(tokens[first].getType()) &&
          behind_name != FlowLexer::LPAREN && behind_name != FlowLexer::LBRACE) {
        list_.damage.add_nameless();
      }
      tell(Code::E0103, at, fmt::format("`{}` closes nothing", at.text()))
          .fixes.push_back({"remove it", {{at.span(), ""}}});
    } else if (mend.kind == BracketMend::Kind::kReplace) {
      const bool opener = is_opener(mend.type);
      Report& report = tell(opener ? Code::E0102 : Code::E0103, at, mismatch(at, partner, sign));
      report.labels.push_back({partner.span(), opener ? "closed here" : "opened here"});
      report.fixes.push_back({fmt::format("write `{}`", sign), {{at.span(), std::string(sign)}}});
    } else if (is_opener(mend.type)) {
      const FlowToken& before = tokens[mend.at - 1];
      Report& report =
          tell(Code::E0103, before, "a block begins behind this, but its `{` is missing");
      report.labels.push_back({partner.span(), "nothing else is open that this could close"});
      report.fixes.push_back({"write `{`", {{behind(before), " {"}}});
    } else {
      const bool end = at.getType() == Token::EOF;
      Report& report =
          tell(Code::E0102, partner, fmt::format("`{}` is not closed", partner.text()));
      report.label = "opened here";
      report.labels.push_back(
          {at.span(), end ? "the file ends here" : "it should be closed before this"});
      if (!at.first_on_line && !end) mended_.push_back({at.line(), at.line()});
      report.fixes.push_back({fmt::format("write `{}`", sign),
                              {{behind(tokens[mend.at - 1]), closing_text(partner, sign, at)}}});
    }
  }

  // `at` should be the sign. The partner is the other one of the pair.
  static std::string mismatch(const FlowToken& at, const FlowToken& partner,
                              std::string_view sign) {
    if (partner.span().begin < at.span().begin) {
      return fmt::format("`{}` does not close `{}`", at.text(), partner.text());
    }
    if (is_opener(at.getType())) {
      return fmt::format("`{}` is closed by `{}`", at.text(), partner.text());
    }
    return fmt::format("`{}` stands where `{}` should", at.text(), sign);
  }

  Report& tell(Code code, const FlowToken& at, std::string message) {
    reports_.push_back({code, at.span(), std::move(message), {}, {}, {}, {}});
    mended_.push_back({at.line(), at.line()});
    return reports_.back();
  }

  static Span behind(const FlowToken& token) {
    return {token.span().file, token.span().end, token.span().end};
  }

  // A block of several lines is closed in a line of its own, indented as the one that opened it.
  std::string closing_text(const FlowToken& opener, std::string_view sign,
                           const FlowToken& place) const {
    if (opener.getType() != FlowLexer::LBRACE || !place.first_on_line) return std::string(sign);
    const std::string_view line = file_.line_text(opener.line());
    const std::size_t indent = line.find_first_not_of(" \t");
    return fmt::format("\n{}{}", line.substr(0, indent), sign);
  }

  void reset() {
    out_.clear();
    open_.clear();
    reports_.clear();
    mended_.clear();
    guessed_.clear();
    open_at_end_ = false;
    broken_string_line_ = 0;
    top_level_line_ = 1;
  }

  void pass(const std::vector<FlowToken>& tokens) {
    out_.reserve(tokens.size() + 8);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const FlowToken& token = tokens[i];
      const size_t next = i + 1 < tokens.size() ? tokens[i + 1].getType() : Token::EOF;
      if (token.first_on_line) line_indent_ = token.column();
      if (token.getType() == Token::EOF) {
        close_all_at_end(token);
      } else if (close_at_declarations_ && stands_at_left_edge(token, next)) {
        close_all_before(token);
      } else if (begins_statement_here(token) && !is_member(next)) {
        close_parentheses_before(token);
      }
      take(token);
    }
  }

  // `if` and `match` are expressions, too, but not at the left of the line that they would go on.
  bool begins_statement_here(const FlowToken& token) const {
    const size_t type = token.getType();
    if (begins_statement(type)) return true;
    if (type != FlowLexer::K_IF && type != FlowLexer::K_MATCH) return false;
    return token.first_on_line && !open_.empty() && token.column() <= open_.back().indent;
  }

  // `step: 1` and `x.step` are names.
  bool is_member(size_t next) const {
    if (next == FlowLexer::COLON) return true;
    if (out_.empty()) return false;
    const size_t last = out_.back().getType();
    return last == FlowLexer::DOT || last == FlowLexer::QUESTION_DOT;
  }

  static bool stands_at_left_edge(const FlowToken& token, size_t next) {
    const bool names_something = next == FlowLexer::TYPE || next == FlowLexer::NAME ||
                                 next == FlowLexer::STRING_OPEN || next >= FlowLexer::K_EVENT;
    return token.column() == 0 && begins_declaration(token.getType()) && names_something &&
           next != FlowLexer::COLON;
  }

  void take(const FlowToken& token) {
    const size_t type = token.getType();
    if (type == FlowLexer::STRING_BROKEN) {
      close_broken_string(token);
    } else if (is_opener(type)) {
      push(token);
      open_.push_back({token, line_indent_});
    } else if (is_closer(type)) {
      close(token);
    } else {
      push(token);
    }
  }

  void push(FlowToken token) {
    token.depth = static_cast<uint32_t>(open_.size());
    out_.push_back(token);
  }

  // A token that was not written, of no width, before `place`.
  void push_missing(size_t type, const FlowToken& place) {
    const Span nowhere{file_.id(), place.span().begin, place.span().begin};
    FlowToken missing(type, file_.text(), nowhere, place.line(), place.column());
    push(missing);
  }

  void close(const FlowToken& closer) {
    const size_t type = closer.getType();
    std::size_t found = open_.size();
    while (found > 0) {
      const Open& candidate = open_[found - 1];
      if (closer_of(candidate.token.getType()) == type) break;
      if (candidate.token.getType() == FlowLexer::INTERPOLATION ||
          is_string(candidate.token.getType())) {
        found = 0;
        break;
      }
      --found;
    }
    if (found == 0) {
      report_stray(closer);
      return;
    }
    while (open_.size() > found) {
      report_unclosed(open_.back().token, closer, "it should be closed before this");
      close_missing(closer);
    }
    if (closer.getType() == FlowLexer::STRING_CLOSE && open_.back().token.line() != closer.line()) {
      report_unclosed_string(open_.back().token);  // a text block inside of its interpolation
      mended_.push_back({open_.back().token.line(), closer.line()});
    }
    push(closer);
    open_.pop_back();
    if (open_.empty()) top_level_line_ = closer.line();
  }

  void close_missing(const FlowToken& place) {
    const uint32_t opened = open_.back().token.line();
    if (open_.back().token.getType() == FlowLexer::LBRACE) {
      guessed_.push_back({opened, std::max(opened, place.line())});
    }
    push_missing(closer_of(open_.back().token.getType()), place);
    mended_.push_back({opened, opened});
    if (!place.first_on_line) mended_.push_back({place.line(), place.line()});
    open_.pop_back();
  }

  void report_stray(const FlowToken& closer) {
    Report report{
        Code::E0103, closer.span(), fmt::format("`{}` closes nothing", closer.text()), {}, {}, {},
        {}};
    const bool brace = closer.getType() == FlowLexer::RBRACE;
    report.fixes.push_back({"remove it", {{closer.span(), ""}}});
    reports_.push_back(std::move(report));
    mended_.push_back({brace ? top_level_line_ : closer.line(), closer.line()});
    if (brace) guessed_.push_back(mended_.back());
  }

  void report_unclosed(const FlowToken& opener, const FlowToken& place, std::string where) {
    if (is_string(opener.getType())) {
      report_unclosed_string(opener);
      return;
    }
    // A string that lost its end took the closing bracket with it.
    if (opener.line() == broken_string_line_) return;
    if (opener.getType() == FlowLexer::INTERPOLATION) {
      Report report{Code::E0102,
                    opener.span(),
                    "the interpolation `${` is not closed",
                    "needs a `}` after the expression",
                    {},
                    {},
                    {}};
      report.note = "`${` begins an expression inside a string; write `\\$` for the sign itself";
      reports_.push_back(std::move(report));
      return;
    }
    Report report{Code::E0102,
                  opener.span(),
                  fmt::format("`{}` is not closed", opener.text()),
                  "opened here",
                  {},
                  {},
                  {}};
    report.labels.push_back({place.span(), std::move(where)});
    reports_.push_back(std::move(report));
  }

  void report_unclosed_string(const FlowToken& opener) {
    const bool block = opener.getType() == FlowLexer::BLOCK_OPEN;
    Report report{Code::E0104, opener.span(), {}, {}, {}, {}, {}};
    if (block) {
      report.message = "the text block is not closed";
      report.label = "it needs another `\"\"\"`";
    } else {
      report.message = "the string is not closed";
      report.label = "it needs a `\"` on the same line";
      report.note = "a string ends with its line; text of several lines stands between `\"\"\"`";
    }
    reports_.push_back(std::move(report));
  }

  // `(` or `[` open where a statement begins.
  void close_parentheses_before(const FlowToken& token) {
    while (!open_.empty()) {
      const size_t type = open_.back().token.getType();
      if (type != FlowLexer::LPAREN && type != FlowLexer::LBRACKET) return;
      report_unclosed(open_.back().token, token, fmt::format("before this `{}`", token.text()));
      close_missing(token);
    }
  }

  void close_broken_string(const FlowToken& line_end) {
    const auto opener = std::find_if(open_.begin(), open_.end(), [](const Open& open) {
      return open.token.getType() == FlowLexer::STRING_OPEN;
    });
    if (opener == open_.end()) return;  // a string that was mended already
    report_unclosed_string(opener->token);
    broken_string_line_ = opener->token.line();
    const auto keep = static_cast<std::size_t>(opener - open_.begin());
    mended_.push_back({opener->token.line(), opener->token.line()});
    // Only the string itself gets an end: what was open inside of it is cut away with its tokens.
    const std::size_t from = index_of(opener->token);
    out_.resize(from + 1, out_.front());
    open_.resize(keep + 1, open_.front());
    close_missing(line_end);
  }

  std::size_t index_of(const FlowToken& opener) const {
    std::size_t at = out_.size();
    while (at > 0 && out_[at - 1].span().begin != opener.span().begin) --at;
    return at - 1;
  }

  void close_all_before(const FlowToken& token) {
    if (open_.empty()) return;
    report_open_braces(token, fmt::format("before this `{}`", token.text()));
    while (!open_.empty()) close_missing(token);
  }

  void close_all_at_end(const FlowToken& end) {
    if (open_.empty()) return;
    open_at_end_ = true;
    const auto string = std::find_if(open_.begin(), open_.end(), [](const Open& open) {
      return is_string(open.token.getType());
    });
    if (string != open_.end()) {
      report_unclosed_string(string->token);
      mended_.push_back({string->token.line(), UINT32_MAX});
    } else {
      report_open_braces(end, "the file ends here");
    }
    while (!open_.empty()) close_missing(end);
  }

  // One report, for the innermost.
  void report_open_braces(const FlowToken& place, std::string where) {
    const FlowToken& opener = open_.back().token;
    const uint32_t first_line = opener.line();
    report_unclosed(opener, place, std::move(where));
    mended_.push_back({first_line, std::max(place.line(), first_line)});
  }

  const SourceFile& file_;
  TokenList& list_;
  Diagnostics& diagnostics_;
  std::vector<FlowToken> out_;
  std::vector<Open> open_;
  std::vector<Report> reports_;
  std::vector<std::pair<uint32_t, uint32_t>> mended_;
  std::vector<std::pair<uint32_t, uint32_t>> guessed_;  // where a brace was
  uint32_t line_indent_ = 0;
  uint32_t top_level_line_ = 1;      // where the last top-level bracket was closed
  uint32_t broken_string_line_ = 0;  // 0: none yet
  bool open_at_end_ = false;
  bool close_at_declarations_ = false;
};

}  // namespace

void mend_brackets(const SourceFile& file, TokenList& list, Diagnostics& diagnostics) {
  Brackets(file, list, diagnostics).run();
}

}  // namespace sluice::compiler
