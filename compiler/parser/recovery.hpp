// What the parser does at a mistake: says one thing, and skips to where the text can be read again.
//
// No token is ever made up or taken away. An error leaves rules until one that ends its reach (a
// statement, a policy, a field, a declaration …), which skips, at its own bracket depth, to the
// next word that begins another one.
#pragma once

#include <cstddef>
#include <exception>

#include "antlr4-runtime.h"
#include "compiler/diagnostics.hpp"
#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {

class Recovery final : public antlr4::DefaultErrorStrategy {
 public:
  // REQUIRES: both outlive the parser's run.
  Recovery(TokenList& list, Diagnostics& diagnostics) : list_(list), diagnostics_(diagnostics) {}

  // How many mistakes were seen, those on mended lines included.
  std::size_t mistakes() const { return mistakes_; }

  void reset(antlr4::Parser*) override { leaving_ = false; }
  bool inErrorRecoveryMode(antlr4::Parser*) override { return false; }
  void reportMatch(antlr4::Parser*) override {}
  void reportError(antlr4::Parser* parser, const antlr4::RecognitionException& error) override;
  void recover(antlr4::Parser* parser, std::exception_ptr error) override;
  antlr4::Token* recoverInline(antlr4::Parser* parser) override;
  void sync(antlr4::Parser* parser) override;

 private:
  // Moves the parser to the next token, not before `from`, that begins an item of the kind that
  // `rule` reads, or ends the list. `start` is where the broken item began.
  void skip(antlr4::Parser* parser, size_t rule, size_t start, size_t from);
  // The `{` at the depth of `start` on the line of `from`; `start` if there is none.
  size_t block_behind(size_t start, size_t from) const;
  // An item that is followed by more on its line was not meant to end there: `b: List<string>`.
  void lose_item_before(const antlr4::ParserRuleContext& list, size_t rule, size_t at);
  // No tree is made of the tokens from `first` up to `end`.
  void lose(size_t first, size_t end);
  // At the beginning of a line or behind a brace.
  bool begins_afresh(size_t index) const;
  bool begins_item(size_t rule, size_t index) const;

  TokenList& list_;
  Diagnostics& diagnostics_;
  std::size_t mistakes_ = 0;
  bool leaving_ = false;  // reported, and on the way to a rule that ends it
};

}  // namespace sluice::compiler
