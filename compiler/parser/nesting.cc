// Refuses programs whose tree would be too high, before anything walks it recursively.
#include <fmt/format.h>

#include <vector>

#include "FlowLexer.h"
#include "compiler/limits.hpp"
#include "compiler/parser/tokens.hpp"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using grammar::FlowLexer;

bool ends_operand(size_t type) {
  return type == FlowLexer::INT || type == FlowLexer::DECIMAL || type == FlowLexer::DURATION ||
         type == FlowLexer::TYPE || type == FlowLexer::NAME || type == FlowLexer::RBRACE ||
         type == FlowLexer::RPAREN || type == FlowLexer::RBRACKET || type == FlowLexer::K_TRUE ||
         type == FlowLexer::K_FALSE || type == FlowLexer::STRING_CLOSE ||
         type == FlowLexer::BLOCK_CLOSE || is_soft_word(type);
}

// Begins an operand and never goes on with one: after an operand it begins something new.
bool begins_operand(size_t type) {
  return type == FlowLexer::INT || type == FlowLexer::DECIMAL || type == FlowLexer::DURATION ||
         type == FlowLexer::TYPE || type == FlowLexer::NAME || type == FlowLexer::K_TRUE ||
         type == FlowLexer::K_FALSE || type == FlowLexer::STRING_OPEN ||
         type == FlowLexer::BLOCK_OPEN || is_soft_word(type);
}

bool is_separator(size_t type) {
  const bool statement = type >= FlowLexer::K_MODULE && type <= FlowLexer::K_LOG &&
                         type != FlowLexer::K_IF && type != FlowLexer::K_MATCH;
  return statement || type == FlowLexer::COMMA || type == FlowLexer::COLON ||
         type == FlowLexer::K_CASE;
}

bool is_operator(size_t type) {
  const bool word =
      type == FlowLexer::K_IF || (type >= FlowLexer::K_IN && type <= FlowLexer::K_ELSE);
  const bool sign = type >= FlowLexer::DOT_DOT && type <= FlowLexer::PERCENT;
  return word || (sign && type != FlowLexer::COMMA && type != FlowLexer::COLON &&
                  type != FlowLexer::ASSIGN);
}

}  // namespace

void check_nesting(TokenList& list, Diagnostics& diagnostics) {
  std::vector<std::size_t> counts;  // operators of the expression under way, per open level
  std::size_t operators = 0;        // their sum
  size_t last = antlr4::Token::EOF;
  for (const FlowToken& token : list.tokens) {
    const size_t type = token.getType();
    while (counts.size() > token.depth + 1) {
      operators -= counts.back();
      counts.pop_back();
    }
    while (counts.size() < token.depth + 1) counts.push_back(0);
    const bool else_if = type == FlowLexer::K_ELSE && last == FlowLexer::RBRACE;
    if (is_separator(type) || else_if || (begins_operand(type) && ends_operand(last))) {
      operators -= counts.back();
      counts.back() = 0;
    }
    const bool postfix = type == FlowLexer::LPAREN || type == FlowLexer::LBRACKET;
    if (is_operator(type) || postfix) {
      ++counts.back();
      ++operators;
    }
    last = type;
    if (token.depth <= kNestingMax && operators <= kOperatorChainMax) continue;
    list.too_deep = true;
    const bool brackets = token.depth > kNestingMax;
    diagnostics
        .report(Code::E0120, token.span(),
                brackets ? "brackets and blocks are nested too deeply"
                         : "this expression has too many operators")
        .because(fmt::format("at most {}; {}", brackets ? kNestingMax : kOperatorChainMax,
                             brackets ? "move the inner part to a `fn`, or to a flow of its own"
                                      : "give parts of it a name with `let` or `const`"));
    return;
  }
}

}  // namespace sluice::compiler
