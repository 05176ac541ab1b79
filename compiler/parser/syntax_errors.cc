// The mistakes that have a sentence of their own, tried one after another, and the general one.
#include <fmt/format.h>

#include <cctype>
#include <string>
#include <string_view>

#include "FlowLexer.h"
#include "FlowParser.h"
#include "compiler/parser/messages.hpp"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using antlr4::Token;
using grammar::FlowLexer;
using grammar::FlowParser;

struct Place {
  const Mistake& mistake;
  const FlowToken& found;
  const FlowToken& before;  // the token before it, or `found` at the file's beginning
  const std::vector<FlowToken>& tokens;
  Diagnostics& diagnostics;

  bool could(size_t type) const { return mistake.expected.contains(type); }
  bool is(size_t type) const { return found.getType() == type; }
  bool after(size_t type) const { return before.getType() == type; }
};

std::string with_small_letter(std::string_view name) {
  std::string small(name);
  small[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(small[0])));
  return small;
}

// `user_turn` is `UserTurn` as a type.
std::string with_capitals(std::string_view name) {
  std::string capital;
  bool next_is_capital = true;
  for (const char letter : name) {
    if (letter == '_') {
      next_is_capital = true;
      continue;
    }
    capital += next_is_capital ? static_cast<char>(std::toupper(static_cast<unsigned char>(letter)))
                               : letter;
    next_is_capital = false;
  }
  return capital;
}

constexpr std::string_view kCapitals =
    "types, events and failure kinds begin with a capital letter, all other names do not";

bool tell_reserved_word(const Place& place) {
  const bool name_wanted = place.could(FlowLexer::NAME) && !place.could(FlowLexer::INT);
  if (!name_wanted || !is_reserved_word(place.found.getType())) return false;
  // The next statement, rather: what is before it is not finished.
  if (place.found.first_on_line && is_statement_word(place.found.getType())) {
    place.diagnostics
        .report(Code::E0101, place.found.span(),
                fmt::format("expected a name, found the statement `{}`", place.found.text()))
        .because("what stands before it is not finished");
    return true;
  }
  place.diagnostics
      .report(
          Code::E0114, place.found.span(),
          fmt::format("`{}` is a word of the language and cannot be a name", place.found.text()))
      .here("choose another name")
      .mend("add an underscore", {{place.found.span(), fmt::format("{}_", place.found.text())}});
  return true;
}

bool tell_capital(const Place& place) {
  const Span span = place.found.span();
  const std::string_view text = place.found.text();
  if (place.is(FlowLexer::TYPE) && place.could(FlowLexer::NAME) && !place.could(FlowLexer::TYPE)) {
    const std::string small = with_small_letter(text);
    place.diagnostics
        .report(Code::E0113, span, fmt::format("`{}` should begin with a small letter", text))
        .because(std::string(kCapitals))
        .mend(fmt::format("write `{}`", small), {{span, small}});
    return true;
  }
  const bool small_name = place.is(FlowLexer::NAME);
  if (small_name && place.could(FlowLexer::TYPE) && !place.could(FlowLexer::NAME)) {
    const std::string capital = with_capitals(text);
    if (capital.empty()) return false;
    place.diagnostics
        .report(Code::E0113, span, fmt::format("`{}` should begin with a capital letter", text))
        .because(std::string(kCapitals))
        .mend(fmt::format("write `{}`", capital), {{span, capital}});
    return true;
  }
  return false;
}

// `notify searching { … }`, `receive v: verdict from …`, `catch`.
bool tell_capital_before(const Place& place) {
  if (!place.after(FlowLexer::NAME)) return false;
  const bool literal = place.is(FlowLexer::LBRACE) && !place.could(FlowLexer::LBRACE);
  const bool type_name = place.mistake.rule() == FlowParser::RuleTypeName;
  if (!literal && !type_name) return false;
  const std::string capital = with_capitals(place.before.text());
  if (capital.empty()) return false;
  place.diagnostics
      .report(Code::E0113, place.before.span(),
              fmt::format("`{}` should begin with a capital letter", place.before.text()))
      .because(std::string(kCapitals))
      .mend(fmt::format("write `{}`", capital), {{place.before.span(), capital}});
  return true;
}

bool tell_type_of_local(const Place& place) {
  const size_t rule = place.mistake.rule();
  const bool binds = rule == FlowParser::RuleLetStatement || rule == FlowParser::RuleVarStatement;
  if (!binds || !place.is(FlowLexer::COLON)) return false;
  place.diagnostics.report(Code::E0126, place.found.span(), "the type of a local is not written")
      .here("`=` and the value follow the name")
      .because(
          "inside a flow the value tells the type; signatures and fields are where types stand");
  return true;
}

bool tell_sign(const Place& place, size_t wrong, size_t right, std::string_view right_text,
               std::string_view sentence) {
  if (!place.is(wrong) || !place.could(right)) return false;
  place.diagnostics.report(Code::E0101, place.found.span(), std::string(sentence))
      .here(fmt::format("write `{}`", right_text))
      .mend(fmt::format("write `{}`", right_text), {{place.found.span(), std::string(right_text)}});
  return true;
}

bool tell_wrong_sign(const Place& place) {
  const Mistake& mistake = place.mistake;
  if (mistake.within(FlowParser::RuleFieldInit) &&
      tell_sign(place, FlowLexer::ASSIGN, FlowLexer::COLON, ":", "a field is given with `:`")) {
    return true;
  }
  const bool sign = place.is(FlowLexer::COLON) || place.is(FlowLexer::FAT_ARROW);
  if (sign && place.after(FlowLexer::RPAREN) && place.could(FlowLexer::LBRACE)) {
    // Behind a task's parameters the grammar no longer asks for the arrow.
    return tell_sign(place, place.found.getType(), FlowLexer::LBRACE, "->",
                     "the result follows `->`");
  }
  if (tell_sign(place, FlowLexer::COLON, FlowLexer::ARROW, "->", "the result follows `->`")) {
    return true;
  }
  if (tell_sign(place, FlowLexer::FAT_ARROW, FlowLexer::ARROW, "->", "the result follows `->`")) {
    return true;
  }
  if (tell_sign(place, FlowLexer::ARROW, FlowLexer::FAT_ARROW, "=>",
                "the value of a case follows `=>`")) {
    return true;
  }
  if (tell_sign(place, FlowLexer::COLON, FlowLexer::FAT_ARROW, "=>",
                "the value of a case follows `=>`")) {
    return true;
  }
  return tell_sign(place, FlowLexer::EQUAL, FlowLexer::ASSIGN, "=", "a value is given with `=`");
}

bool tell_named_argument(const Place& place) {
  if (!place.is(FlowLexer::ASSIGN) || !place.could(FlowLexer::RPAREN)) return false;
  place.diagnostics.report(Code::E0101, place.found.span(), "an argument is named with `:`")
      .here("write `:`")
      .mend("write `:`", {{place.found.span(), ":"}});
  return true;
}

// `timeout: 2s`, `timeout = 2s`.
bool tell_policy_sign(const Place& place) {
  const bool sign = place.is(FlowLexer::COLON) || place.is(FlowLexer::ASSIGN);
  const bool setting = place.mistake.within(FlowParser::RulePolicy) ||
                       place.mistake.within(FlowParser::RuleTopicSetting) ||
                       place.mistake.within(FlowParser::RuleFlowSetting);
  if (!sign || !setting || !is_word(place.before.getType())) return false;
  place.diagnostics
      .report(Code::E0101, place.found.span(),
              fmt::format("the value of `{0}` follows without `{1}`", place.before.text(),
                          place.found.text()))
      .mend("remove it", {{place.found.span(), ""}});
  return true;
}

bool tell_fn_body(const Place& place) {
  const bool body = place.is(FlowLexer::LBRACE) || place.is(FlowLexer::ASSIGN);
  if (place.mistake.rule() != FlowParser::RuleFnDeclaration || !body) return false;
  const bool result_missing = place.could(FlowLexer::ARROW);
  place.diagnostics
      .report(Code::E0101, place.found.span(),
              result_missing ? "the result type of the `fn` is missing"
                             : "the body of a `fn` is not a block")
      .here(result_missing ? "expected `-> TYPE = EXPRESSION`" : "expected `=` and an expression")
      .because("a `fn` is one expression, so that it can be shown to end");
  return true;
}

bool tell_if_expression(const Place& place) {
  if (place.mistake.rule() != FlowParser::RuleExpression) return false;
  if (place.could(FlowLexer::K_THEN) && !place.could(FlowLexer::INT)) {
    place.diagnostics
        .report(Code::E0122, place.found.span(),
                fmt::format("expected `then`, found {}", describe(place.found)))
        .because("as a value: `if CONDITION then A else B`; with braces it is a statement");
    return true;
  }
  if (!place.could(FlowLexer::K_ELSE) || place.could(FlowLexer::INT)) return false;
  place.diagnostics
      .report(Code::E0122, place.found.span(),
              fmt::format("expected `else`, found {}", describe(place.found)))
      .because("an `if` that is a value needs a value for both cases");
  return true;
}

bool tell_question(const Place& place) {
  if (!place.is(FlowLexer::QUESTION)) return false;
  place.diagnostics.report(Code::E0106, place.found.span(), "`?` is not an operator here")
      .because("choose with `if CONDITION then A else B`; `??` gives a value for what is absent");
  return true;
}

bool tell_brace_as_value(const Place& place) {
  if (!place.is(FlowLexer::LBRACE) || !place.could(FlowLexer::INT)) return false;
  place.diagnostics.report(Code::E0101, place.found.span(), "`{` begins no expression")
      .because("a record is written `Type { field: value }`, a map `[\"key\": value]`");
  return true;
}

bool tell_step_without_call(const Place& place) {
  const Mistake& mistake = place.mistake;
  const bool in_step =
      mistake.within(FlowParser::RuleStepStatement) && !place.could(FlowLexer::RPAREN) &&
      !mistake.within(FlowParser::RuleArguments) && !mistake.within(FlowParser::RulePolicyBlock);
  if (!in_step || !(mistake.within(FlowParser::RuleCall) || place.could(FlowLexer::ASSIGN))) {
    return false;
  }
  place.diagnostics
      .report(Code::E0101, place.found.span(),
              fmt::format("expected the call of a task or flow, found {}", describe(place.found)))
      .because(
          "a step runs a task or another flow: `step name = task(…)`, or short `step task(…)`");
  return true;
}

bool tell_field_shape(const Place& place) {
  if (place.mistake.rule() != FlowParser::RuleField || !place.could(FlowLexer::COLON)) return false;
  place.diagnostics
      .report(Code::E0101, place.found.span(),
              fmt::format("expected `:` after `{}`, found {}", place.before.text(),
                          describe(place.found)))
      .because("a field is written `name: type`");
  return true;
}

// `let x = step f(a)`.
bool tell_let_step(const Place& place) {
  const bool in_let = place.mistake.within(FlowParser::RuleLetStatement);
  if (!in_let || !place.is(FlowLexer::K_STEP)) return false;
  if (!place.after(FlowLexer::ASSIGN) || place.mistake.at < 3) return false;
  const FlowToken& let = place.tokens[place.mistake.at - 3];
  const FlowToken& next = place.tokens[place.mistake.at + 1];
  Span word = place.found.span();
  word.end = next.span().begin;
  place.diagnostics.report(Code::E0101, place.found.span(), "a step is no value")
      .because("a step binds its result itself: `step name = task(…)`")
      .mend("write `step` in place of `let`", {{let.span(), "step"}, {word, ""}});
  return true;
}

// After an element of a list: a comma or the list's end, whatever else the grammar's state allows.
std::string end_of_element(const Place& place) {
  if (place.after(FlowLexer::LPAREN) || place.after(FlowLexer::LBRACKET) ||
      place.after(FlowLexer::LBRACE) || place.after(FlowLexer::COMMA)) {
    return {};
  }
  const Mistake& mistake = place.mistake;
  const size_t rule = mistake.rule();
  if (place.could(FlowLexer::INT)) return {};
  if (place.could(FlowLexer::RBRACKET) && place.could(FlowLexer::COMMA)) return "`,` or `]`";
  if (place.could(FlowLexer::RPAREN) && mistake.within(FlowParser::RuleArguments)) {
    return "`,` or `)`";
  }
  if (place.could(FlowLexer::RPAREN) && rule == FlowParser::RuleCall) return "`,` or `)`";
  if (place.could(FlowLexer::RBRACE) && rule == FlowParser::RuleFieldInits) return "`,` or `}`";
  return {};
}

void tell_general(const Place& place) {
  std::string expected = end_of_element(place);
  if (expected.empty()) expected = describe(place.mistake.expected);
  const std::string found = describe(place.found);
  std::string message = expected.empty() ? fmt::format("{} does not fit here", found)
                                         : fmt::format("expected {}, found {}", expected, found);
  place.diagnostics.report(Code::E0101, place.found.span(), std::move(message));
}

}  // namespace

void report_syntax_error(const Mistake& mistake, const TokenList& list, Diagnostics& diagnostics) {
  const FlowToken& found = list.tokens[mistake.at];
  const FlowToken& before = list.tokens[mistake.at == 0 ? 0 : mistake.at - 1];
  if (list.mended.contains(found.line()) || list.mended.contains(before.line())) return;
  // A bracket that was not written was told as missing.
  if (found.span().size() == 0 && found.getType() != Token::EOF) return;
  if (report_habit(mistake, list, diagnostics)) return;
  const Place place{mistake, found, before, list.tokens, diagnostics};
  const bool told = tell_type_of_local(place) || tell_step_without_call(place) ||
                    tell_reserved_word(place) || tell_capital(place) || tell_if_expression(place) ||
                    tell_let_step(place) || tell_fn_body(place) || tell_capital_before(place) ||
                    tell_policy_sign(place) || tell_wrong_sign(place) ||
                    tell_named_argument(place) || tell_question(place) ||
                    tell_brace_as_value(place) || tell_field_shape(place);
  if (!told) tell_general(place);
}

}  // namespace sluice::compiler
