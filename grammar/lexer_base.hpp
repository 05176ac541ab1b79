// What the generated lexer inherits: a mode stack that survives any input.
#pragma once

#include <vector>

#include "antlr4-runtime.h"

namespace sluice::grammar {

class FlowLexerBase : public antlr4::Lexer {
 public:
  explicit FlowLexerBase(antlr4::CharStream* input) : antlr4::Lexer(input) {}

  void reset() override;

  // ANTLR's own throws on an empty stack; a stray `}` must not.
  void pushMode(size_t entered) override;
  size_t popMode() override;

  // A string ends with its line, also where an interpolation is open: a line end there puts the
  // lexer back to where the string began and becomes the token STRING_BROKEN instead of space.
  void skip() override;

 private:
  std::vector<size_t> pushed_;  // the mode that each level of modeStack entered
};

}  // namespace sluice::grammar
