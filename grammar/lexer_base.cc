#include "grammar/lexer_base.hpp"

#include <algorithm>

#include "FlowLexer.h"

namespace sluice::grammar {

void FlowLexerBase::reset() {
  antlr4::Lexer::reset();
  pushed_.clear();
}

void FlowLexerBase::pushMode(size_t entered) {
  antlr4::Lexer::pushMode(entered);
  pushed_.push_back(entered);
}

size_t FlowLexerBase::popMode() {
  if (modeStack.empty()) {
    setMode(DEFAULT_MODE);
    return mode;
  }
  pushed_.pop_back();
  return antlr4::Lexer::popMode();
}

void FlowLexerBase::skip() {
  antlr4::Lexer::skip();
  const auto string = std::find(pushed_.begin(), pushed_.end(), FlowLexer::STRING);
  if (string == pushed_.end()) return;
  const std::string space = getText();
  if (space.find_first_of("\r\n") == std::string::npos) return;
  const auto levels = static_cast<size_t>(pushed_.end() - string);
  for (size_t i = 0; i < levels; ++i) popMode();
  setType(FlowLexer::STRING_BROKEN);
}

}  // namespace sluice::grammar
