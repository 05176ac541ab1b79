#include "compiler/parser/messages.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "FlowLexer.h"
#include "FlowParser.h"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using antlr4::Token;
using antlr4::misc::IntervalSet;
using grammar::FlowLexer;
using grammar::FlowParser;

// Enough levels of return addresses for what follows an expression deep inside of others.
constexpr int kFollowDepthMax = 40;

void add_expected(const antlr4::atn::ATN& atn, antlr4::atn::ATNState* state,
                  const Ref<antlr4::atn::PredictionContext>& context, int depth,
                  IntervalSet& expected) {
  const IntervalSet& next = atn.nextTokens(state);
  expected.addAll(next);
  if (!next.contains(Token::EPSILON) || context == nullptr || depth == 0) return;
  for (size_t i = 0; i < context->size(); ++i) {
    const size_t back = context->getReturnState(i);
    if (back == antlr4::atn::PredictionContext::EMPTY_RETURN_STATE) continue;
    add_expected(atn, atn.states[back], context->getParent(i), depth - 1, expected);
  }
}

// Several alternatives were under way; what could have come is what each of them wanted.
IntervalSet expected_by(antlr4::Parser& parser, const antlr4::NoViableAltException& error) {
  IntervalSet expected;
  const antlr4::atn::ATNConfigSet* alive = error.getDeadEndConfigs();
  if (alive == nullptr) return expected;
  for (const auto& config : alive->configs) {
    add_expected(parser.getATN(), config->state, config->context, kFollowDepthMax, expected);
  }
  return expected;
}

std::string shown(size_t type) {
  const std::string name = FlowLexer(nullptr).getVocabulary().getLiteralName(type);
  if (name.size() > 2) return fmt::format("`{}`", name.substr(1, name.size() - 2));
  switch (type) {
    case FlowLexer::INT:
      return "a whole number";
    case FlowLexer::DECIMAL:
      return "a number";
    case FlowLexer::DURATION:
      return "a duration such as `2s`";
    case FlowLexer::TYPE:
      return "a name with a capital letter";
    case FlowLexer::NAME:
      return "a name";
    case FlowLexer::STRING_OPEN:
      return "a string";
    case FlowLexer::STRING_CLOSE:
    case FlowLexer::BLOCK_CLOSE:
      return "the end of the string";
    case Token::EOF:
      return "the end of the file";
    default:
      return {};
  }
}

// Takes the whole class out of the set when its marks are all in it.
struct WordClass {
  std::vector<size_t> marks;
  std::string_view text;
  bool (*belongs)(size_t);
};

bool is_soft_or_name(size_t type) {
  return type == FlowLexer::NAME || is_soft_word(type);
}

bool begins_expression(size_t type) {
  return is_soft_or_name(type) || type == FlowLexer::INT || type == FlowLexer::DECIMAL ||
         type == FlowLexer::DURATION || type == FlowLexer::TYPE || type == FlowLexer::LPAREN ||
         type == FlowLexer::LBRACKET || type == FlowLexer::MINUS || type == FlowLexer::K_NOT ||
         type == FlowLexer::K_IF || type == FlowLexer::K_MATCH || type == FlowLexer::K_TRUE ||
         type == FlowLexer::K_FALSE || type == FlowLexer::STRING_OPEN ||
         type == FlowLexer::BLOCK_OPEN || type == FlowLexer::BAD_QUOTE;
}

bool begins_type(size_t type) {
  return is_soft_or_name(type) || type == FlowLexer::TYPE || type == FlowLexer::LBRACKET ||
         type == FlowLexer::LBRACE;
}

bool continues_expression(size_t type) {
  return type == FlowLexer::DOT || type == FlowLexer::QUESTION_DOT || type == FlowLexer::LPAREN ||
         type == FlowLexer::LBRACKET || (type >= FlowLexer::K_IN && type <= FlowLexer::K_OR) ||
         type == FlowLexer::QUESTION_QUESTION || type == FlowLexer::DOT_DOT ||
         (type >= FlowLexer::EQUAL && type <= FlowLexer::PERCENT && type != FlowLexer::ASSIGN);
}

bool is_member_word(size_t type) {
  return is_word(type) || type == FlowLexer::NAME;
}

bool is_any_statement(size_t type) {
  return is_statement_word(type);
}

bool is_any_declaration(size_t type) {
  return (type >= FlowLexer::K_RECORD && type <= FlowLexer::K_FLOW) ||
         (type >= FlowLexer::K_EVENT && type <= FlowLexer::K_UPGRADE);
}

const std::vector<WordClass>& word_classes() {
  static const std::vector<WordClass> classes = {
      {{FlowLexer::K_LET, FlowLexer::K_STEP}, "a statement", is_any_statement},
      {{FlowLexer::K_RECORD, FlowLexer::K_EVENT}, "a declaration", is_any_declaration},
      {{FlowLexer::INT, FlowLexer::K_NOT}, "an expression", begins_expression},
      {{FlowLexer::INT, FlowLexer::K_TRUE, FlowLexer::TYPE}, "a pattern", begins_expression},
      {{FlowLexer::PLUS, FlowLexer::STAR}, "", continues_expression},
      {{FlowLexer::TYPE, FlowLexer::LBRACE, FlowLexer::LBRACKET}, "a type", begins_type},
      {{FlowLexer::K_LET, FlowLexer::NAME}, "a name", is_member_word},
      {{FlowLexer::NAME, FlowLexer::K_EVENT}, "a name", is_soft_or_name},
      {{FlowLexer::K_IDEMPOTENT, FlowLexer::K_KEYED}, "a policy", is_policy_word},
      {{FlowLexer::K_DEDUPE, FlowLexer::K_RETAIN}, "a setting", is_topic_word},
      {{FlowLexer::K_CONCURRENCY, FlowLexer::K_BUDGET}, "a setting", is_flow_word},
      {{FlowLexer::K_GIVEN, FlowLexer::K_EXPECT}, "a test line", is_test_word},
  };
  return classes;
}

}  // namespace

bool Mistake::within(size_t wanted) const {
  return std::find(rules.begin(), rules.end(), wanted) != rules.end();
}

Mistake mistake_of(antlr4::Parser& parser, const antlr4::RecognitionException& error,
                   const TokenList& list) {
  Mistake mistake;
  for (auto* context = dynamic_cast<antlr4::RuleContext*>(parser.getContext()); context != nullptr;
       context = dynamic_cast<antlr4::RuleContext*>(context->parent)) {
    mistake.rules.push_back(context->getRuleIndex());
  }
  const Token* offending = error.getOffendingToken();
  mistake.at = offending == nullptr ? list.tokens.size() - 1 : offending->getTokenIndex();
  if (const auto* several = dynamic_cast<const antlr4::NoViableAltException*>(&error)) {
    mistake.expected = expected_by(parser, *several);
  }
  if (mistake.expected.isEmpty()) mistake.expected = error.getExpectedTokens();
  return mistake;
}

std::string describe(const FlowToken& token) {
  switch (token.getType()) {
    case Token::EOF:
      return "the end of the file";
    case FlowLexer::STRING_OPEN:
    case FlowLexer::BAD_QUOTE:
      return "a string";
    case FlowLexer::BLOCK_OPEN:
      return "a text block";
    case FlowLexer::STRING_CLOSE:
    case FlowLexer::BLOCK_CLOSE:
    case FlowLexer::TEXT:
      return "the rest of the string";
    default:
      return fmt::format("`{}`", token.text());
  }
}

std::string describe(const IntervalSet& expected) {
  std::vector<ssize_t> types = expected.toList();
  std::vector<std::string> parts;
  const auto holds = [&](size_t mark) {
    return std::find(types.begin(), types.end(), static_cast<ssize_t>(mark)) != types.end();
  };
  for (const WordClass& words : word_classes()) {
    if (!std::all_of(words.marks.begin(), words.marks.end(), holds)) continue;
    if (!words.text.empty()) parts.emplace_back(words.text);
    const auto gone = [&](ssize_t type) { return words.belongs(static_cast<size_t>(type)); };
    types.erase(std::remove_if(types.begin(), types.end(), gone), types.end());
  }
  for (const ssize_t type : types) {
    std::string text = shown(static_cast<size_t>(type));
    if (!text.empty()) parts.push_back(std::move(text));
  }
  constexpr std::size_t kPartsMax = 5;
  if (parts.empty() || parts.size() > kPartsMax) return {};
  std::string joined = parts.front();
  for (std::size_t i = 1; i < parts.size(); ++i) {
    joined += (i + 1 == parts.size() ? " or " : ", ") + parts[i];
  }
  return joined;
}

}  // namespace sluice::compiler
