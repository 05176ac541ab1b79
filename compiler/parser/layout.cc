#include "compiler/parser/layout.hpp"

#include <algorithm>
#include <optional>

#include "FlowLexer.h"
#include "compiler/parser/brackets.hpp"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using antlr4::Token;
using grammar::FlowLexer;

// More than that, and the indentation is not to be trusted.
constexpr std::size_t kMendsMax = 20;
// A bracket is looked for in its whole line: in a longer line the work would be quadratic.
constexpr std::size_t kLineTokensMax = 500;
// Lines of settings that are looked at before the `{` of a flow.
constexpr std::size_t kSettingsMax = 20;

class Layout {
 public:
  explicit Layout(const std::vector<FlowToken>& tokens) : tokens_(tokens) {}

  std::vector<BracketMend> run() {
    for (std::size_t i = 0; i < tokens_.size() && !lost_; ++i) {
      const size_t type = tokens_[i].getType();
      if (tokens_[i].first_on_line) line_tokens_ = 0;
      if (++line_tokens_ > kLineTokensMax) lost_ = true;
      if (begins_line(i)) lines_.push_back(i);
      if (begins_line(i) && stands_for_brace(i)) continue;
      if (type == Token::EOF || (begins_line(i) && !is_closer(type))) close_before_line(i);
      if (type == FlowLexer::STRING_BROKEN) {
        lost_ = true;
      } else if (is_opener(type)) {
        open_.push_back({i, type, indent_of_opener()});
      } else if (is_closer(type)) {
        close(i);
      }
    }
    if (lost_ || mends_.size() > kMendsMax) return {};
    std::stable_sort(mends_.begin(), mends_.end(),
                     [](const BracketMend& a, const BracketMend& b) { return a.at < b.at; });
    return std::move(mends_);
  }

 private:
  struct Open {
    std::size_t at = 0;
    size_t type = 0;      // as it is meant
    uint32_t indent = 0;  // of the line that it stands on
  };

  bool begins_line(std::size_t i) const {
    const bool in_text = !open_.empty() && is_string(open_.back().type);
    return tokens_[i].first_on_line && !in_text && tokens_[i].getType() != Token::EOF;
  }

  bool ends_line(std::size_t i) const {
    return i + 1 >= tokens_.size() || tokens_[i + 1].first_on_line ||
           tokens_[i + 1].getType() == Token::EOF;
  }
  uint32_t line_of(std::size_t i) const { return tokens_[i].line(); }
  // A flow's settings may stand in lines of their own, before its `{`.
  uint32_t indent_of_opener() const {
    std::size_t at = lines_.size();
    const std::size_t least = at > kSettingsMax ? at - kSettingsMax : 1;
    while (at > least && open_.empty() && is_flow_word(tokens_[lines_[at - 1]].getType())) --at;
    return at == 0 ? 0 : tokens_[lines_[at - 1]].column();
  }
  bool fits(const Open& open, std::size_t closer) const {
    return closer_of(open.type) == tokens_[closer].getType();
  }

  void insert(std::size_t before, size_t type, std::size_t partner) {
    mends_.push_back({BracketMend::Kind::kInsert, before, type, partner});
  }
  void remove(std::size_t at) {
    mends_.push_back({BracketMend::Kind::kRemove, at, tokens_[at].getType(), at});
  }

  void replace(std::size_t at, size_t type, std::size_t partner) {
    mends_.push_back({BracketMend::Kind::kReplace, at, type, partner});
  }

  void close_missing(std::size_t before) {
    const Open& open = open_.back();
    if (is_string(open.type) || open.type == FlowLexer::INTERPOLATION) lost_ = true;
    if (open.type != FlowLexer::LBRACE) before = place_in_line(open.at, before);
    insert(before, closer_of(open.type), open.at);
    open_.pop_back();
  }

  // `["a", "b"(`: an opener with nothing behind it, where the outer one should be closed.
  bool stands_for_closer(std::size_t before) {
    if (open_.size() < 2 || open_.back().type == FlowLexer::LBRACE) return false;
    const Open& inner = open_.back();
    const Open& outer = open_[open_.size() - 2];
    if (line_of(outer.at) != line_of(inner.at) || outer.type == FlowLexer::LBRACE) return false;
    if (place_in_line(inner.at, before) != inner.at + 1) return false;
    replace(inner.at, closer_of(outer.type), outer.at);
    open_.pop_back();
    open_.pop_back();
    return true;
  }

  // Where the parenthesis at `opener` ends at the latest: before what cannot stand in it, or behind
  // its line.
  std::size_t place_in_line(std::size_t opener, std::size_t before) const {
    const bool head = begins_declaration(tokens_, line_begin(opener));
    int depth = 0;
    for (std::size_t at = opener + 1; at < before && line_of(at) == line_of(opener); ++at) {
      const size_t type = tokens_[at].getType();
      const bool literal = !head && tokens_[at - 1].getType() == FlowLexer::TYPE;
      if (depth == 0 && (type == FlowLexer::ARROW || (type == FlowLexer::LBRACE && !literal)))
        return at;
      if (is_opener(type)) ++depth;
      if (is_closer(type)) --depth;
    }
    return before;
  }

  // The token that begins the line of this one.
  std::size_t line_begin(std::size_t i) const {
    while (i > 0 && !tokens_[i].first_on_line) --i;
    return i;
  }

  // A word or sign alone in its line, where the `}` of the block should be: `end`.
  bool stands_for_brace(std::size_t i) {
    const FlowToken& token = tokens_[i];
    if (!ends_line(i) || is_closer(token.getType()) || is_statement_word(token.getType()))
      return false;
    if (open_.empty() || open_.back().type != FlowLexer::LBRACE) return false;
    if (open_.back().indent != token.column()) return false;
    replace(i, FlowLexer::RBRACE, open_.back().at);
    open_.pop_back();
    return true;
  }

  // A line that is indented no deeper than the line of an opener stands behind what it opened.
  void close_before_line(std::size_t i) {
    const uint32_t column = tokens_[i].getType() == Token::EOF ? 0 : tokens_[i].column();
    while (!open_.empty() && open_.back().indent >= column) {
      if (!stands_for_closer(i)) close_missing(i);
    }
  }

  void close(std::size_t i) {
    const bool in_text = !open_.empty() && is_string(open_.back().type);
    if (in_text || is_string_end(tokens_[i].getType())) {
      // Strings are told by their own rules.
      if (open_.empty() || !fits(open_.back(), i)) {
        lost_ = true;
      } else {
        open_.pop_back();
      }
      return;
    }
    if (begins_line(i)) {
      close_at_line(i);
    } else {
      close_within_line(i);
    }
  }

  void close_at_line(std::size_t i) {
    const uint32_t column = tokens_[i].column();
    while (!open_.empty() && open_.back().indent > column) close_missing(i);
    if (!open_.empty() && open_.back().indent == column) {
      const Open opener = open_.back();
      open_.pop_back();
      // `if (` … `}` is a block, `{` … `)` is one, too.
      if (!fits(opener, i)) {
        const bool block = tokens_[i].getType() == FlowLexer::RBRACE;
        const std::size_t wrong = block ? opener.at : i;
        const size_t right = block ? size_t{FlowLexer::LBRACE} : closer_of(opener.type);
        replace(wrong, right, block ? i : opener.at);
      }
      last_closed_line_ = line_of(opener.at);
      close_parenthesis_before_block(opener, i);
      return;
    }
    const std::optional<std::size_t> place = place_of_missing_opener(i);
    if (place.has_value() && !mends_.empty() && is_removed(*place - 1)) {
      mends_.back() = {BracketMend::Kind::kReplace, *place - 1, FlowLexer::LBRACE, i};
    } else if (place.has_value()) {
      insert(*place, FlowLexer::LBRACE, i);
    } else {
      remove(i);
    }
  }

  bool is_removed(std::size_t i) const {
    return mends_.back().kind == BracketMend::Kind::kRemove && mends_.back().at == i;
  }

  // `each x in f(xs {` … `}`: with nothing behind the `}` the parenthesis ends before the block.
  void close_parenthesis_before_block(const Open& block, std::size_t closer) {
    const FlowToken& next = tokens_[std::min(closer + 1, tokens_.size() - 1)];
    if (!next.first_on_line && next.getType() != Token::EOF && next.getType() != FlowLexer::K_ELSE)
      return;
    while (!open_.empty() && line_of(open_.back().at) == line_of(block.at) &&
           open_.back().type != FlowLexer::LBRACE) {
      close_missing(block.at);
    }
  }

  void close_within_line(std::size_t i) {
    if (open_.empty()) {
      remove_or_open(i);
      return;
    }
    const Open& opener = open_.back();
    const bool here = line_of(opener.at) == line_of(i);
    if (!fits(opener, i)) {
      close_other(i);
    } else if (here || line_of(opener.at) == last_closed_line_ || !closed_below(opener, i)) {
      open_.pop_back();
    } else {
      remove(i);
    }
  }

  // `[1, 2)`: the closer of an outer one, or of none, or the wrong one.
  void close_other(std::size_t i) {
    const Open inner = open_.back();
    if (line_of(inner.at) != line_of(i) || closed_behind(inner, i)) {
      remove_or_open(i);
      return;
    }
    const Open* outer = open_.size() < 2 ? nullptr : &open_[open_.size() - 2];
    if (outer != nullptr && line_of(outer->at) == line_of(i) && fits(*outer, i) &&
        !closed_behind(*outer, i)) {
      close_missing(i);
      open_.pop_back();  // the outer one, by this closer
    } else {
      replace(i, closer_of(inner.type), inner.at);
      open_.pop_back();
    }
  }

  // `f)x)`: two that close nothing are a pair.
  void remove_or_open(std::size_t i) {
    int depth = 0;
    for (std::size_t at = i + 1; at < tokens_.size() && line_of(at) == line_of(i); ++at) {
      const size_t type = tokens_[at].getType();
      if (is_opener(type)) ++depth;
      if (!is_closer(type) || --depth >= 0) continue;
      if (at == i + 1) break;
      replace(i, opener_of(type), at);
      open_.push_back({i, opener_of(type), indent_of_opener()});
      return;
    }
    remove(i);
  }

  // Whether the rest of the line has what closes the opener.
  bool closed_behind(const Open& opener, std::size_t i) const {
    int depth = 0;
    for (++i; i < tokens_.size() && line_of(i) == line_of(opener.at); ++i) {
      if (is_opener(tokens_[i].getType())) ++depth;
      if (!is_closer(tokens_[i].getType())) continue;
      if (depth == 0) return fits(opener, i);
      --depth;
    }
    return false;
  }

  // Whether the opener's block goes on below this line, or has a closer of its own there.
  bool closed_below(const Open& opener, std::size_t i) const {
    while (i < tokens_.size() && !tokens_[i].first_on_line) ++i;
    if (i >= tokens_.size() || tokens_[i].getType() == Token::EOF) return false;
    if (tokens_[i].column() > opener.indent) return true;
    return tokens_[i].column() == opener.indent && fits(opener, i);
  }

  // The end of the line above, indented as this `}`, with nothing but deeper lines between.
  std::optional<std::size_t> place_of_missing_opener(std::size_t closer) const {
    if (tokens_[closer].getType() != FlowLexer::RBRACE) return std::nullopt;
    const uint32_t column = tokens_[closer].column();
    std::size_t at = lines_.size() - 1;  // the closer's own line
    while (at > 0 && tokens_[lines_[at - 1]].column() > column) --at;
    if (at == 0 || at == lines_.size() - 1) return std::nullopt;
    const std::size_t header = lines_[at - 1];
    if (tokens_[header].column() != column) return std::nullopt;
    // A `}` goes on in its line, as `} else`, or it is the end of something.
    if (is_closer(tokens_[header].getType()) && tokens_[header + 1].first_on_line)
      return std::nullopt;
    // The settings of a flow stand before its block.
    if (tokens_[header].getType() == FlowLexer::K_FLOW) {
      while (at + 1 < lines_.size() && is_flow_word(tokens_[lines_[at]].getType())) ++at;
    }
    return lines_[at];
  }

  const std::vector<FlowToken>& tokens_;
  std::vector<BracketMend> mends_;
  std::vector<Open> open_;
  std::vector<std::size_t> lines_;  // the tokens that begin them
  uint32_t last_closed_line_ = 0;   // of the opener that a `}` at the left of its line closed
  std::size_t line_tokens_ = 0;     // so far
  bool lost_ = false;
};

}  // namespace

std::vector<BracketMend> mends_by_layout(const std::vector<FlowToken>& tokens) {
  return Layout(tokens).run();
}

}  // namespace sluice::compiler
