// What people write out of a habit of other languages, or before they know the order of things:
// each has a sentence that shows how it is written here.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "FlowLexer.h"
#include "FlowParser.h"
#include "compiler/parser/messages.hpp"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using grammar::FlowLexer;
using grammar::FlowParser;

// A token that does not fit, with those around it.
struct Spot {
  const TokenList& list;
  size_t at = 0;
  size_t item = 0;                   // the rule of the items of a list, or 0
  const Mistake* mistake = nullptr;  // null: it begins no item of a list
  Diagnostics& diagnostics;

  const FlowToken& token(ptrdiff_t offset) const {
    const auto last = static_cast<ptrdiff_t>(list.tokens.size()) - 1;
    const auto index = std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(at) + offset, 0, last);
    return list.tokens[static_cast<size_t>(index)];
  }
  const FlowToken& found() const { return token(0); }
  bool is(size_t type, ptrdiff_t offset = 0) const { return token(offset).getType() == type; }
  bool reads(std::string_view text, ptrdiff_t offset = 0) const {
    return token(offset).text() == text;
  }
  bool within(size_t rule) const {
    return item == rule || (mistake != nullptr && mistake->within(rule));
  }
  bool could(size_t type) const { return mistake != nullptr && mistake->expected.contains(type); }
  bool touches_before() const { return token(-1).span().end == found().span().begin; }
  Diagnostic& tell(Code code, std::string sentence, ptrdiff_t offset = 0) const {
    return diagnostics.report(code, token(offset).span(), std::move(sentence));
  }
};

Span empty_at(Span span) {
  return {span.file, span.begin, span.begin};
}
Span empty_behind(Span span) {
  return {span.file, span.end, span.end};
}

// ------------------------------------------------------------------------------------------ types

bool ends_type(const Spot& spot) {
  return spot.within(FlowParser::RuleField) && spot.is(FlowLexer::COLON, -2);
}

// `List<string>`, `Map<string, int>`.
bool tell_angle_brackets(const Spot& spot) {
  if (!spot.is(FlowLexer::LESS) || !ends_type(spot)) return false;
  spot.tell(Code::E0101, "a type has no `<…>`")
      .because("a list is written `[string]`, a map `{string: int}`, what may be absent `string?`");
  return true;
}

// `string[]`, `map[string]int`.
bool tell_brackets_behind(const Spot& spot) {
  if (!spot.is(FlowLexer::LBRACKET) || !ends_type(spot)) return false;
  Diagnostic& report = spot.tell(Code::E0101, "the brackets of a list stand round its type");
  report.because("a list is written `[string]`, a map `{string: int}`");
  if (!spot.is(FlowLexer::RBRACKET, 1)) return true;
  const Span brackets{spot.found().span().file, spot.found().span().begin,
                      spot.token(1).span().end};
  report.mend(fmt::format("write `[{}]`", spot.token(-1).text()),
              {{empty_at(spot.token(-1).span()), "["}, {brackets, "]"}});
  return true;
}

// `name?: string`.
bool tell_optional_name(const Spot& spot) {
  if (!spot.is(FlowLexer::QUESTION) || !spot.is(FlowLexer::COLON, 1)) return false;
  if (!spot.within(FlowParser::RuleField)) return false;
  Diagnostic& report = spot.tell(Code::E0101, "the `?` stands behind the type");
  report.because("`name: string?` is a string or `none`; ` = none` behind it makes it optional");
  const bool simple = spot.is(FlowLexer::NAME, 2) || spot.is(FlowLexer::TYPE, 2);
  if (!simple || spot.is(FlowLexer::DOT, 3)) return true;
  report.mend("write it behind the type",
              {{spot.found().span(), ""}, {empty_behind(spot.token(2).span()), "?"}});
  return true;
}

// --------------------------------------------------------------------------- policies and settings

// `timeout 5 s`.
bool tell_blank_in_duration(const Spot& spot) {
  constexpr std::string_view kUnits[] = {"ms", "s", "m", "h", "d"};
  const std::string_view word = spot.found().text();
  const bool unit = std::find(std::begin(kUnits), std::end(kUnits), word) != std::end(kUnits);
  const bool number = spot.is(FlowLexer::INT, -1) || spot.is(FlowLexer::DECIMAL, -1);
  if (!unit || !number || spot.found().line() != spot.token(-1).line()) return false;
  const Span blank{spot.found().span().file, spot.token(-1).span().end, spot.found().span().begin};
  const std::string right = fmt::format("{}{}", spot.token(-1).text(), word);
  spot.tell(Code::E0111, "a duration is written without a space")
      .here(fmt::format("write `{}`", right))
      .mend(fmt::format("write `{}`", right), {{blank, ""}});
  return true;
}

bool tell_policy_word(const Spot& spot) {
  struct Synonym {
    std::string_view word;
    std::string_view ours;
  };
  static constexpr std::array<Synonym, 14> kSynonyms = {{
      {"retry", "attempts"},
      {"retries", "attempts"},
      {"max_attempts", "attempts"},
      {"tries", "attempts"},
      {"default", "fallback"},
      {"otherwise", "fallback"},
      {"rollback", "compensate"},
      {"undo", "compensate"},
      {"compensation", "compensate"},
      {"deadline", "within"},
      {"label", "pool"},
      {"worker", "pool"},
      {"pure", "idempotent"},
      {"idempotency_key", "keyed"},
  }};
  if (spot.item != FlowParser::RulePolicy) return false;
  for (const Synonym& each : kSynonyms) {
    if (spot.found().text() != each.word) continue;
    Diagnostic& report = spot.tell(Code::E0115, fmt::format("`{}` begins no policy", each.word));
    report.here(fmt::format("did you mean `{}`?", each.ours));
    report.mend(fmt::format("write `{}`", each.ours),
                {{spot.found().span(), std::string(each.ours)}});
    if (each.ours == "attempts") report.because("`attempts N` counts the first one too");
    return true;
  }
  return false;
}

bool tell_gaps(const Spot& spot) {
  if (!spot.within(FlowParser::RulePolicy) || !spot.could(FlowLexer::DOT_DOT)) return false;
  spot.tell(Code::E0101, fmt::format("expected `..`, found {}", describe(spot.found())))
      .because("`backoff A..B` waits A after the first attempt, then longer, and at most B");
  return true;
}

// `pool "cpu"`.
bool tell_quoted_name(const Spot& spot) {
  if (!spot.is(FlowLexer::STRING_OPEN) || !spot.could(FlowLexer::NAME)) return false;
  if (spot.could(FlowLexer::INT) || spot.could(FlowLexer::STRING_OPEN)) return false;
  Diagnostic& report = spot.tell(Code::E0101, "a name stands here, without quotes");
  if (spot.within(FlowParser::RuleImportLine)) {
    report.because("modules are known by their names: `import std.retry`");
    return true;
  }
  if (!spot.is(FlowLexer::TEXT, 1) || !spot.is(FlowLexer::STRING_CLOSE, 2)) return true;
  const std::string name(spot.token(1).text());
  report.mend(fmt::format("write `{}`", name),
              {{Span{spot.found().span().file, spot.found().span().begin, spot.token(2).span().end},
                name}});
  return true;
}

// `flow f(a: A) Answer`, `-> Answer, Failed`, `on asks -> Answer`.
bool tell_outcomes(const Spot& spot) {
  if (spot.item != FlowParser::RuleFlowSetting) return false;
  if (spot.is(FlowLexer::TYPE) && spot.is(FlowLexer::RPAREN, -1)) {
    spot.tell(Code::E0101, "the outcomes follow `->`")
        .here("write `->` before them")
        .mend("write `->`", {{empty_at(spot.found().span()), "-> "}});
    return true;
  }
  if (spot.is(FlowLexer::COMMA) && spot.is(FlowLexer::TYPE, -1) && spot.is(FlowLexer::TYPE, 1)) {
    spot.tell(Code::E0101, "outcomes are joined by `or`")
        .here("write `or`")
        .mend("write `or`", {{spot.found().span(), " or"}});
    return true;
  }
  if (!spot.is(FlowLexer::ARROW)) return false;
  spot.tell(Code::E0101, "the outcomes stand before the settings")
      .because("`flow NAME(…) -> OUTCOMES on TOPIC timeout D { … }`");
  return true;
}

// ------------------------------------------------------------------------------------- statements

bool tell_on_failure(const Spot& spot) {
  if (spot.item == FlowParser::RuleStatement && spot.is(FlowLexer::K_ON) &&
      (spot.is(FlowLexer::K_FAILURE, 1) || spot.reads("error", 1))) {
    spot.tell(Code::E0115, "`on failure` stands behind the flow's block")
        .because("close the block first: `} on failure (why) { … }`");
    return true;
  }
  if (!spot.within(FlowParser::RuleOnFailure)) return false;
  if (spot.is(FlowLexer::LBRACE) && spot.is(FlowLexer::K_FAILURE, -1)) {
    spot.tell(Code::E0101, "the failure needs a name here")
        .here("write `(why)`")
        .mend("write `(why)`", {{empty_at(spot.found().span()), "(why) "}});
    return true;
  }
  if (!spot.could(FlowLexer::K_FAILURE) || !spot.is(FlowLexer::NAME)) return false;
  spot.tell(Code::E0101, fmt::format("expected `failure`, found {}", describe(spot.found())))
      .here("write `failure`")
      .mend("write `failure`", {{spot.found().span(), "failure"}});
  return true;
}

// `catch why { … }`, `catch (TimedOut) { … }`, `} except { … }`.
bool tell_catch(const Spot& spot) {
  constexpr std::string_view kShape =
      "`catch Kind (why) { … }`; both the kind and the name may be left out";
  if (spot.within(FlowParser::RuleCatchArm)) {
    if (spot.is(FlowLexer::NAME) && spot.is(FlowLexer::K_CATCH, -1)) {
      spot.tell(Code::E0101, "the name of the failure stands in brackets")
          .because(std::string(kShape))
          .mend("write brackets",
                {{spot.found().span(), fmt::format("({})", spot.found().text())}});
      return true;
    }
    if (spot.is(FlowLexer::K_AS) && spot.is(FlowLexer::NAME, 1)) {
      const Span both{spot.found().span().file, spot.found().span().begin,
                      spot.token(1).span().end};
      spot.tell(Code::E0101, "the name of the failure stands in brackets")
          .because(std::string(kShape))
          .mend("write brackets", {{both, fmt::format("({})", spot.token(1).text())}});
      return true;
    }
    if (!spot.is(FlowLexer::TYPE) || !spot.is(FlowLexer::LPAREN, -1)) return false;
    Diagnostic& report = spot.tell(Code::E0101, "the kind of failure stands before the brackets");
    report.because(std::string(kShape));
    if (!spot.is(FlowLexer::RPAREN, 1)) return true;
    const Span all{spot.found().span().file, spot.token(-1).span().begin, spot.token(1).span().end};
    report.mend(fmt::format("write `{}`", spot.found().text()),
                {{all, std::string(spot.found().text())}});
    return true;
  }
  const bool foreign = spot.reads("except") || spot.reads("rescue");
  if (!foreign || spot.item != FlowParser::RuleStatement) return false;
  std::vector<Edit> edits{{spot.found().span(), "catch"}};
  if (spot.is(FlowLexer::K_AS, 2) && spot.is(FlowLexer::NAME, 3)) {
    const Span both{spot.found().span().file, spot.token(2).span().begin, spot.token(3).span().end};
    edits.push_back({both, fmt::format("({})", spot.token(3).text())});
  }
  spot.tell(Code::E0115, fmt::format("`{}` begins no statement", spot.found().text()))
      .here("did you mean `catch`?")
      .because(std::string(kShape))
      .mend("write `catch`", std::move(edits));
  return true;
}

// `case low => fail …` as a statement, `case low { 1 }` as a value.
bool tell_case(const Spot& spot) {
  if (spot.is(FlowLexer::FAT_ARROW) && spot.could(FlowLexer::LBRACE) &&
      spot.within(FlowParser::RuleMatchCase)) {
    spot.tell(Code::E0101, "a case of a statement has a block")
        .because("`case PATTERN { … }`; only where `match` is a value, `=>` and a value follow");
    return true;
  }
  const bool block = spot.is(FlowLexer::LBRACE) && spot.could(FlowLexer::FAT_ARROW);
  if (!block) return false;
  spot.tell(Code::E0101, "a case of a value has a value")
      .here("write `=> VALUE`")
      .because("where `match` is a value, each case gives one: `case PATTERN => VALUE`");
  return true;
}

// `Answer("x")`.
bool tell_call_of_type(const Spot& spot) {
  if (!spot.is(FlowLexer::LPAREN) || !spot.is(FlowLexer::TYPE, -1)) return false;
  if (!spot.could(FlowLexer::LBRACE) || !spot.could(FlowLexer::DOT)) return false;
  const std::string_view name = spot.token(-1).text();
  spot.tell(Code::E0101, fmt::format("`{}` is not called", name))
      .because(fmt::format("a record is written with the names of its fields: `{} {{ field: value "
                           "}}`, a case of an enum `{}.name`",
                           name, name));
  return true;
}

// `True`, `None`.
bool tell_capital_value(const Spot& spot) {
  constexpr std::pair<std::string_view, std::string_view> kValues[] = {
      {"True", "true"}, {"False", "false"}, {"None", "none"}, {"Null", "none"}, {"Nil", "none"}};
  if (!spot.is(FlowLexer::TYPE, -1) || !spot.could(FlowLexer::LBRACE)) return false;
  for (const auto& [written, ours] : kValues) {
    if (spot.token(-1).text() != written) continue;
    spot.tell(Code::E0113, fmt::format("`{}` should begin with a small letter", written), -1)
        .here(fmt::format("write `{}`", ours))
        .mend(fmt::format("write `{}`", ours), {{spot.token(-1).span(), std::string(ours)}});
    return true;
  }
  return false;
}

// `f"…"`.
bool tell_prefixed_string(const Spot& spot) {
  if (!spot.is(FlowLexer::STRING_OPEN) || !spot.is(FlowLexer::NAME, -1)) return false;
  if (!spot.touches_before() || spot.token(-1).text().size() != 1) return false;
  spot.tell(Code::E0101, fmt::format("a string has no `{}` before it", spot.token(-1).text()))
      .because("every string takes values: `\"Hello ${name}\"`")
      .mend("remove it", {{spot.token(-1).span(), ""}});
  return true;
}

// `fail "why"`.
bool tell_fail(const Spot& spot) {
  const bool fails =
      spot.mistake != nullptr && spot.mistake->rule() == FlowParser::RuleFailStatement;
  if (!fails || !spot.is(FlowLexer::STRING_OPEN)) return false;
  spot.tell(Code::E0101, "a failure has a kind before its message")
      .because("`fail Kind \"message\"`; `catch` and `on failure` know it by its kind");
  return true;
}

// `event Ask = { … }`.
bool tell_equals_before_block(const Spot& spot) {
  if (!spot.is(FlowLexer::ASSIGN) || !spot.is(FlowLexer::LBRACE, 1)) return false;
  if (!spot.could(FlowLexer::LBRACE)) return false;
  spot.tell(Code::E0101, "no `=` stands before the `{`")
      .mend("remove it", {{spot.found().span(), ""}});
  return true;
}

// `step x = f(a) with { … }`.
bool tell_with_policies(const Spot& spot) {
  if (spot.item != FlowParser::RuleStatement || !spot.is(FlowLexer::K_WITH)) return false;
  if (!spot.is(FlowLexer::LBRACE, 1)) return false;
  spot.tell(Code::E0115, "no `with` stands before the policies of a step")
      .because("they follow the call in braces: `step x = f(a) { within 5s }`")
      .mend("remove it", {{spot.found().span(), ""}});
  return true;
}

// `let x = await f(a)`: two names in a row.
bool tell_await(const Spot& spot) {
  if (spot.item != FlowParser::RuleStatement || !spot.reads("await", -1)) return false;
  if (!spot.is(FlowLexer::ASSIGN, -2) || !spot.is(FlowLexer::K_LET, -4)) return false;
  Span word = spot.token(-1).span();
  word.end = spot.found().span().begin;
  spot.tell(Code::E0101, "there is no `await`", -1)
      .because("a `step` waits for its task, and names the result itself: `step name = task(…)`")
      .mend("write `step` in place of `let`", {{spot.token(-4).span(), "step"}, {word, ""}});
  return true;
}

// `return { text: "" }`.
bool tell_record_without_type(const Spot& spot) {
  if (!spot.is(FlowLexer::LBRACE) || !spot.is(FlowLexer::K_RETURN, -1)) return false;
  if (!spot.is(FlowLexer::COLON, 2)) return false;
  spot.tell(Code::E0101, "a record is written with its type")
      .here("write the event's name before the `{`")
      .because("`return Answer { text: \"…\" }`");
  return true;
}

// `if (x) fail Odd "…"`.
bool tell_missing_block(const Spot& spot) {
  if (!spot.could(FlowLexer::LBRACE) || !is_statement_word(spot.found().getType())) return false;
  if (spot.is(FlowLexer::K_IF) || spot.could(FlowLexer::INT)) return false;
  spot.tell(Code::E0101, fmt::format("expected `{{`, found {}", describe(spot.found())))
      .because("what an `if`, a loop or a case does stands in braces, one statement too");
  return true;
}

// `let mut x = 1`.
bool tell_mut(const Spot& spot) {
  if (!spot.is(FlowLexer::NAME) || !spot.reads("mut", -1)) return false;
  if (!spot.is(FlowLexer::K_LET, -2)) return false;
  const Span words{spot.found().span().file, spot.token(-2).span().begin,
                   spot.token(-1).span().end};
  spot.tell(Code::E0101, "a variable is declared by `var`", -1)
      .mend("write `var`", {{words, "var"}});
  return true;
}

bool follows_on_line(const Spot& spot, size_t word) {
  for (ptrdiff_t back = -1; static_cast<ptrdiff_t>(spot.at) + back >= 0; --back) {
    if (spot.token(back).line() != spot.found().line()) return false;
    if (spot.is(word, back)) return true;
  }
  return false;
}

// `notify Progress {} for client "x"`, `notify Progress {} to "x"`.
bool tell_receiver(const Spot& spot) {
  if (spot.item == FlowParser::RuleStatement && spot.is(FlowLexer::K_FOR) &&
      spot.is(FlowLexer::K_CLIENT, 1) && follows_on_line(spot, FlowLexer::K_NOTIFY)) {
    spot.tell(Code::E0101, "whom `notify` reaches follows `to`")
        .mend("write `to`", {{spot.found().span(), "to"}});
    return true;
  }
  if (!spot.is(FlowLexer::K_TO, -1) || !spot.could(FlowLexer::K_GROUP)) return false;
  spot.tell(Code::E0101,
            fmt::format("expected `client`, `group` or `run`, found {}", describe(spot.found())))
      .because("`to client X`, `to group G`, `to run R`; without `to`, the run's own client");
  return true;
}

// `text: string where len(text) > 0 = "a"`.
bool tell_default_behind(const Spot& spot) {
  if (spot.item != FlowParser::RuleField || !spot.is(FlowLexer::ASSIGN)) return false;
  if (!follows_on_line(spot, FlowLexer::K_WHERE)) return false;
  spot.tell(Code::E0101, "a default stands before `where`")
      .because("`name: type = VALUE where CONDITION`");
  return true;
}

// `expect search once`, `given search takes 2s stream 1s`.
bool tell_order_in_test(const Spot& spot) {
  if (spot.item != FlowParser::RuleTestItem || spot.found().first_on_line) return false;
  const bool count = spot.is(FlowLexer::K_ONCE) || spot.is(FlowLexer::K_NEVER) ||
                     spot.is(FlowLexer::K_BEFORE) || spot.is(FlowLexer::K_WITHIN) ||
                     (spot.is(FlowLexer::INT) && spot.is(FlowLexer::K_TIMES, 1));
  if (count && spot.is(FlowLexer::K_EXPECT, -2)) {
    spot.tell(Code::E0101, "an expected step has a word before it", -1)
        .because("`expect step NAME once`, `N times`, `never`, `before NAME` or `within D`")
        .mend("write `step`", {{empty_at(spot.token(-1).span()), "step "}});
    return true;
  }
  const bool part =
      spot.is(FlowLexer::K_STREAM) || spot.is(FlowLexer::K_QUEUE) || spot.is(FlowLexer::K_TAKES);
  if (!part || !follows_on_line(spot, FlowLexer::K_GIVEN)) return false;
  spot.tell(Code::E0101, fmt::format("`{}` comes too late", spot.found().text()))
      .because("`given TASK queue D stream D takes D returns VALUE`, each but the task if wanted");
  return true;
}

// `expect Answer`.
bool tell_expected_event(const Spot& spot) {
  const bool alone = spot.is(FlowLexer::TYPE, -1) && spot.is(FlowLexer::K_EXPECT, -2);
  if (!alone || !spot.within(FlowParser::RuleTestItem)) return false;
  spot.tell(Code::E0101, "an expected event has a word before it", -1)
      .because("`expect return EVENT` is an answer, `expect notify EVENT` progress");
  return true;
}

// `when Ask { … } refused busy`, `expect rejected busy`.
bool tell_refused(const Spot& spot) {
  if (!spot.within(FlowParser::RuleTestItem)) return false;
  constexpr std::string_view kShape = "`expect refused busy` stands behind its `when`";
  const auto is_kind = [&](ptrdiff_t at) {
    return spot.is(FlowLexer::NAME, at) || spot.is(FlowLexer::TYPE, at);
  };
  if (spot.is(FlowLexer::K_REFUSED) && !spot.is(FlowLexer::K_EXPECT, -1) && is_kind(1)) {
    spot.tell(Code::E0101, "a refusal is expected in a line of its own")
        .because(std::string(kShape))
        .mend("write `expect refused`", {{empty_at(spot.found().span()), "expect "}});
    return true;
  }
  if (!spot.is(FlowLexer::K_EXPECT, -2) || !is_kind(0)) return false;
  constexpr std::array<std::string_view, 5> kWords = {"rejected", "reject", "refuse", "refusal",
                                                      "rejects"};
  const bool meant = std::any_of(kWords.begin(), kWords.end(),
                                 [&](std::string_view word) { return spot.reads(word, -1); });
  if (!meant) return false;
  spot.tell(Code::E0101, fmt::format("`{}` begins no expectation", spot.token(-1).text()), -1)
      .because(std::string(kShape))
      .mend("write `refused`", {{spot.token(-1).span(), "refused"}});
  return true;
}

using Tell = bool (*)(const Spot&);

constexpr Tell kInPlace[] = {
    tell_angle_brackets,
    tell_brackets_behind,
    tell_optional_name,
    tell_blank_in_duration,
    tell_gaps,
    tell_quoted_name,
    tell_on_failure,
    tell_catch,
    tell_case,
    tell_capital_value,
    tell_call_of_type,
    tell_prefixed_string,
    tell_fail,
    tell_equals_before_block,
    tell_expected_event,
    tell_missing_block,
    tell_mut,
    tell_receiver,
    tell_refused,
};
constexpr Tell kAsItem[] = {
    tell_angle_brackets, tell_brackets_behind, tell_optional_name,       tell_blank_in_duration,
    tell_policy_word,    tell_outcomes,        tell_on_failure,          tell_catch,
    tell_with_policies,  tell_await,           tell_record_without_type, tell_expected_event,
    tell_receiver,       tell_default_behind,  tell_order_in_test,       tell_refused,
};

}  // namespace

bool report_habit(const Mistake& mistake, const TokenList& list, Diagnostics& diagnostics) {
  const Spot spot{list, mistake.at, 0, &mistake, diagnostics};
  return std::any_of(std::begin(kInPlace), std::end(kInPlace),
                     [&](Tell tell) { return tell(spot); });
}

bool report_habit_of_item(size_t item, size_t at, const TokenList& list, Diagnostics& diagnostics) {
  const Spot spot{list, at, item, nullptr, diagnostics};
  return std::any_of(std::begin(kAsItem), std::end(kAsItem), [&](Tell tell) { return tell(spot); });
}

}  // namespace sluice::compiler
