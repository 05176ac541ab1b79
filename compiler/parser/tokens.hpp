// The tokens of one file, on their way from the lexer to the parser.
//
// Three passes, each reporting what it finds: read_tokens() lexes; mend_foreign_signs() replaces
// what other languages write (`&&`, `;`) by what is meant; mend_brackets() closes what is open and
// drops what closes nothing. The parser then sees a list in which every bracket and string has its
// partner.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "antlr4-runtime.h"
#include "compiler/comments.hpp"
#include "compiler/damage.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

class FlowToken final : public antlr4::Token {
 public:
  FlowToken(size_t type, std::string_view source, Span span, uint32_t line, uint32_t column)
      : type_(type), source_(source), span_(span), line_(line), column_(column) {}

  std::string getText() const override { return std::string(text()); }
  size_t getType() const override { return type_; }
  size_t getLine() const override { return line_; }
  size_t getCharPositionInLine() const override { return column_; }
  size_t getChannel() const override { return DEFAULT_CHANNEL; }
  size_t getTokenIndex() const override { return index_; }
  size_t getStartIndex() const override { return span_.begin; }
  size_t getStopIndex() const override { return span_.end == 0 ? 0 : span_.end - 1; }
  antlr4::TokenSource* getTokenSource() const override { return nullptr; }
  antlr4::CharStream* getInputStream() const override { return nullptr; }
  std::string toString() const override { return getText(); }

  std::string_view text() const { return source_.substr(span_.begin, span_.size()); }
  Span span() const { return span_; }
  uint32_t line() const { return line_; }      // from 1
  uint32_t column() const { return column_; }  // bytes, from 0
  void set_type(size_t type) { type_ = type; }
  void set_index(uint32_t index) { index_ = index; }

  bool first_on_line = false;
  // Open brackets, blocks and strings before this token; a closing one still counts itself.
  uint32_t depth = 0;

 private:
  size_t type_;
  std::string_view source_;
  Span span_;
  uint32_t line_;
  uint32_t column_;
  uint32_t index_ = 0;
};

// Places where a mistake was mended already, so that its consequences are not reported.
class MendedPlaces {
 public:
  struct Lines {
    uint32_t first;
    uint32_t last;
    friend bool operator==(const Lines&, const Lines&) = default;
  };

  void add_line(uint32_t line) { add_lines(line, line); }
  void add_lines(uint32_t first, uint32_t last) {
    // One line may hold thousands of brackets.
    if (ranges_.empty() || ranges_.back() != Lines{first, last}) ranges_.push_back({first, last});
  }
  void add_all_from(uint32_t line) { add_lines(line, UINT32_MAX); }
  bool contains(uint32_t line) const;
  bool empty() const { return ranges_.empty(); }

  const std::vector<Lines>& ranges() const { return ranges_; }

 private:
  std::vector<Lines> ranges_;
};

struct TokenList {
  std::vector<FlowToken> tokens;  // the last one is EOF
  std::vector<Comment> comments;  // in order
  MendedPlaces mended;
  Damage damage;          // the words of mended lines, and what the parser skipped
  bool too_deep = false;  // reported; the parser must not run
};

// All three passes. REQUIRES: the file is valid UTF-8 and of a permitted size, and outlives the
// list.
TokenList read_tokens(const SourceFile& file, Diagnostics& diagnostics);

// Single passes, in their order.
TokenList lex(const SourceFile& file);
void mend_foreign_signs(const SourceFile& file, TokenList& list, Diagnostics& diagnostics);
void mend_brackets(const SourceFile& file, TokenList& list, Diagnostics& diagnostics);
void check_nesting(TokenList& list, Diagnostics& diagnostics);

// What ANTLR's parser reads from. REQUIRES: the list outlives the stream and does not change.
class FlowTokenStream final : public antlr4::TokenStream {
 public:
  explicit FlowTokenStream(std::vector<FlowToken>& tokens) : tokens_(tokens) {}

  antlr4::Token* LT(ssize_t offset) override;
  antlr4::Token* get(size_t index) const override { return &tokens_.at(index); }
  antlr4::TokenSource* getTokenSource() const override { return nullptr; }
  std::string getText(const antlr4::misc::Interval& interval) override;
  std::string getText() override { return {}; }
  std::string getText(antlr4::RuleContext* context) override;
  std::string getText(antlr4::Token* start, antlr4::Token* stop) override;

  void consume() override;
  size_t LA(ssize_t offset) override;
  ssize_t mark() override { return -1; }
  void release(ssize_t) override {}
  size_t index() override { return index_; }
  void seek(size_t index) override { index_ = index; }
  size_t size() override { return tokens_.size(); }
  std::string getSourceName() const override { return "flow"; }

 private:
  std::vector<FlowToken>& tokens_;
  size_t index_ = 0;
};

}  // namespace sluice::compiler
