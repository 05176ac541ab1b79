#include "compiler/parser/recovery.hpp"

#include <algorithm>
#include <array>

#include "FlowLexer.h"
#include "FlowParser.h"
#include "compiler/parser/messages.hpp"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using antlr4::Token;
using grammar::FlowLexer;
using grammar::FlowParser;

// The rules that end an error's reach.
constexpr std::array<size_t, 13> kRecoveryPoints = {
    FlowParser::RuleStatement,   FlowParser::RulePolicy,       FlowParser::RuleField,
    FlowParser::RuleEnumCase,    FlowParser::RuleTopicSetting, FlowParser::RuleFlowSetting,
    FlowParser::RuleBranch,      FlowParser::RuleMatchCase,    FlowParser::RuleTestItem,
    FlowParser::RuleDeclaration, FlowParser::RuleImportLine,   FlowParser::RuleModuleLine,
    FlowParser::RuleCondition,
};

// What the items are of the rules that read lists of them; the rule itself if it reads none.
size_t item_rule(size_t list_rule) {
  switch (list_rule) {
    case FlowParser::RuleFile:
      return FlowParser::RuleDeclaration;
    case FlowParser::RuleBlock:
      return FlowParser::RuleStatement;
    case FlowParser::RulePolicyBlock:
      return FlowParser::RulePolicy;
    case FlowParser::RuleFieldBlock:
      return FlowParser::RuleField;
    case FlowParser::RuleParameters:
      return FlowParser::RuleField;
    case FlowParser::RuleEnumDeclaration:
      return FlowParser::RuleEnumCase;
    case FlowParser::RuleTopicDeclaration:
      return FlowParser::RuleTopicSetting;
    case FlowParser::RuleFlowDeclaration:
      return FlowParser::RuleFlowSetting;
    case FlowParser::RuleParallelStatement:
      return FlowParser::RuleBranch;
    case FlowParser::RuleRaceStatement:
      return FlowParser::RuleBranch;
    case FlowParser::RuleMatchStatement:
      return FlowParser::RuleMatchCase;
    case FlowParser::RuleTestDeclaration:
      return FlowParser::RuleTestItem;
    case FlowParser::RuleInvariantDeclaration:
      return FlowParser::RuleTestItem;
    default:
      return list_rule;
  }
}

bool stands_before_name(size_t rule, size_t word) {
  const bool titled = word == FlowLexer::K_TEST || word == FlowLexer::K_INVARIANT;
  return (rule == FlowParser::RuleDeclaration && !titled) || word == FlowLexer::K_LET ||
         word == FlowLexer::K_VAR || word == FlowLexer::K_STEP || word == FlowLexer::K_EACH;
}

bool is_closing(size_t type) {
  return type == FlowLexer::RBRACE || type == FlowLexer::RPAREN || type == FlowLexer::RBRACKET;
}

}  // namespace

void Recovery::reportError(antlr4::Parser* parser, const antlr4::RecognitionException& error) {
  if (leaving_) return;
  leaving_ = true;
  ++mistakes_;
  report_syntax_error(mistake_of(*parser, error, list_), list_, diagnostics_);
}

void Recovery::recover(antlr4::Parser* parser, std::exception_ptr error) {
  const antlr4::ParserRuleContext* context = parser->getContext();
  const size_t rule = context->getRuleIndex();
  const bool ends_here =
      std::find(kRecoveryPoints.begin(), kRecoveryPoints.end(), rule) != kRecoveryPoints.end();
  if (!ends_here) {
    // `file` has no rule above it; what reaches it is reported, and the rest goes unread.
    if (rule == FlowParser::RuleFile) {
      lose(parser->getInputStream()->index(), list_.tokens.size());
      return;
    }
    std::rethrow_exception(error);
  }
  const size_t start = context->start->getTokenIndex();
  const size_t at = parser->getInputStream()->index();
  if (rule == FlowParser::RuleCondition) {
    // The block behind it can be read, if it begins on this line.
    const size_t block = block_behind(start, at);
    if (block == start) std::rethrow_exception(error);
    leaving_ = false;
    parser->getInputStream()->seek(block);
    lose(start, block);
    return;
  }
  leaving_ = false;
  const size_t found = list_.tokens[at].getType();
  const bool named = found == FlowLexer::NAME || found == FlowLexer::TYPE || is_word(found);
  const bool parameter = rule == FlowParser::RuleField && found == FlowLexer::COLON && at == start;
  const bool word = at == start + 1 && stands_before_name(rule, list_.tokens[start].getType());
  if (parameter || (word && !named)) list_.damage.add_nameless();
  // A word in the middle of its line is part of the mistake: `let step = 1`.
  const bool part = at > start && is_word(list_.tokens[at].getType()) && !begins_afresh(at);
  skip(parser, rule, start, std::max(start + 1, part ? at + 1 : at));
}

Token* Recovery::recoverInline(antlr4::Parser* parser) {
  throw antlr4::InputMismatchException(parser);
}

void Recovery::sync(antlr4::Parser* parser) {
  const size_t list_rule = parser->getRuleContext()->getRuleIndex();
  const size_t rule = item_rule(list_rule);
  if (rule == list_rule) return;
  const antlr4::atn::ATN& atn = parser->getATN();
  antlr4::atn::ATNState* state = atn.states[parser->getState()];
  const auto kind = static_cast<int>(state->getStateType());
  const bool loop = kind == antlr4::atn::ATNState::STAR_LOOP_ENTRY ||
                    kind == antlr4::atn::ATNState::STAR_LOOP_BACK;
  if (!loop) return;
  while (true) {
    const size_t at = parser->getInputStream()->index();
    const antlr4::misc::IntervalSet& expected = atn.nextTokens(state);
    if (expected.contains(list_.tokens[at].getType())) return;
    if (list_.tokens[at].getType() == Token::EOF) return;
    ++mistakes_;
    report_unexpected_item(rule, at, list_, diagnostics_);
    lose_item_before(*parser->getContext(), rule, at);
    skip(parser, rule, at, at + 1);
    const size_t next = parser->getInputStream()->index();
    const bool commas = rule == FlowParser::RuleField || rule == FlowParser::RuleEnumCase;
    if (commas && list_.tokens[next].getType() == FlowLexer::COMMA)
      parser->getInputStream()->seek(next + 1);
  }
}

void Recovery::skip(antlr4::Parser* parser, size_t rule, size_t start, size_t from) {
  const std::vector<FlowToken>& tokens = list_.tokens;
  const FlowToken& first = tokens[start];
  const uint32_t depth = first.depth;
  size_t line = start;  // the first token of the line on which it began
  while (line > 0 && !tokens[line].first_on_line && tokens[line].depth >= depth) --line;
  const bool below_it = tokens[line].first_on_line && tokens[line].depth == depth;
  size_t at = std::min(from, tokens.size() - 1);
  for (; tokens[at].getType() != Token::EOF; ++at) {
    if (tokens[at].depth < depth) break;
    if (tokens[at].depth > depth) continue;
    if (is_closing(tokens[at].getType()) && depth > 0) break;
    if (begins_item(rule, at)) break;
    // A word below the one that began the mistake begins another thing, whatever it is.
    const bool below =
        below_it && tokens[at].first_on_line && tokens[at].column() == tokens[line].column();
    const bool word = is_word(tokens[at].getType()) || tokens[at].getType() == FlowLexer::NAME;
    if (below && word) break;
  }
  parser->getInputStream()->seek(at);
  lose(start, at);
}

void Recovery::lose_item_before(const antlr4::ParserRuleContext& list, size_t rule, size_t at) {
  if (rule == FlowParser::RuleDeclaration || list_.tokens[at].first_on_line) return;
  if (list.children.empty()) return;
  const auto* item = dynamic_cast<antlr4::ParserRuleContext*>(list.children.back());
  if (item == nullptr || item->getRuleIndex() != rule || item->stop == nullptr) return;
  const bool before = item->stop->getTokenIndex() + 1 == at;
  if (before && list_.tokens[at - 1].getType() != FlowLexer::RBRACE) {
    lose(item->start->getTokenIndex(), at);
  }
}

size_t Recovery::block_behind(size_t start, size_t from) const {
  const std::vector<FlowToken>& tokens = list_.tokens;
  for (size_t at = from; tokens[at].getType() != Token::EOF; ++at) {
    if (tokens[at].line() != tokens[from].line() || tokens[at].depth < tokens[start].depth) break;
    const bool block = tokens[at].getType() == FlowLexer::LBRACE && at > start &&
                       tokens[at].depth == tokens[start].depth;
    if (block) return at;
  }
  return start;
}

void Recovery::lose(size_t first, size_t end) {
  if (first >= end) return;
  list_.damage.add_place(join(list_.tokens[first].span(), list_.tokens[end - 1].span()));
  for (size_t i = first; i < end; ++i) {
    if (list_.tokens[i].getType() != FlowLexer::TEXT) {
      list_.damage.add_words(list_.tokens[i].text());
    }
  }
}

bool Recovery::begins_afresh(size_t index) const {
  if (index == 0 || list_.tokens[index].first_on_line) return true;
  const size_t before = list_.tokens[index - 1].getType();
  return before == FlowLexer::LBRACE || before == FlowLexer::RBRACE;
}

bool Recovery::begins_item(size_t rule, size_t index) const {
  const FlowToken& token = list_.tokens[index];
  const size_t type = token.getType();
  const bool fresh = begins_afresh(index);
  switch (rule) {
    case FlowParser::RuleStatement:
      // `if` and `match` are also expressions.
      return is_statement_word(type) &&
             (fresh || (type != FlowLexer::K_IF && type != FlowLexer::K_MATCH));
    case FlowParser::RulePolicy:
      return is_policy_word(type);
    case FlowParser::RuleField: {
      const size_t next = list_.tokens[std::min(index + 1, list_.tokens.size() - 1)].getType();
      return type == FlowLexer::COMMA || (fresh && next == FlowLexer::COLON);
    }
    case FlowParser::RuleEnumCase:
      return type == FlowLexer::COMMA || fresh;
    case FlowParser::RuleTopicSetting:
      return is_topic_word(type);
    case FlowParser::RuleFlowSetting:
      return is_flow_word(type) || type == FlowLexer::LBRACE;
    case FlowParser::RuleBranch:
      return type == FlowLexer::K_BRANCH || type == FlowLexer::K_STEP;
    case FlowParser::RuleMatchCase:
      return type == FlowLexer::K_CASE || (type == FlowLexer::K_ELSE && fresh);
    case FlowParser::RuleTestItem:
      return is_test_word(type) && token.first_on_line;
    default:
      return begins_declaration(list_.tokens, index) ||
             (type == FlowLexer::K_IMPORT && rule != FlowParser::RuleDeclaration);
  }
}

}  // namespace sluice::compiler
