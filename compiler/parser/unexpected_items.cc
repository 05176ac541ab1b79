// What stands in a list of declarations, statements, policies … and begins none of them.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "FlowLexer.h"
#include "FlowParser.h"
#include "compiler/parser/messages.hpp"
#include "compiler/parser/words.hpp"

namespace sluice::compiler {
namespace {

using antlr4::Token;
using grammar::FlowLexer;
using grammar::FlowParser;

struct Item {
  const FlowToken& before;
  const FlowToken& found;
  const FlowToken& next;
  const FlowToken& after_next;
  Diagnostics& diagnostics;
  bool python = false;  // `for x in xs:`, `def f(x): return x`

  size_t type() const { return found.getType(); }
  bool is_name() const { return type() == FlowLexer::NAME || type() >= FlowLexer::K_EVENT; }
};

bool is_plain_name(size_t type) {
  return type == FlowLexer::NAME || is_soft_word(type);
}

// "`retrun` begins no statement", with the word that was meant if it can be told.
void tell_unknown_word(const Item& item, std::string_view what,
                       const std::vector<std::string_view>& words, std::string_view synonym) {
  auto& report = item.diagnostics.report(
      Code::E0115, item.found.span(), fmt::format("{} begins no {}", describe(item.found), what));
  std::optional<std::string_view> meant;
  if (!synonym.empty()) {
    meant = synonym;
  } else if (item.type() == FlowLexer::NAME) {
    meant = nearest(item.found.text(), words);
  }
  if (!meant.has_value()) return;
  report.here(fmt::format("did you mean `{}`?", *meant));
  // The word alone would not do.
  if (item.python) {
    report.because("a block stands in braces, and a `fn` is `fn NAME(…) -> TYPE = VALUE`");
  } else if (item.next.getType() == FlowLexer::DOT) {
    report.because(fmt::format("`{}` takes what follows it, without brackets or dots", *meant));
  } else {
    report.mend(fmt::format("write `{}`", *meant), {{item.found.span(), std::string(*meant)}});
  }
}

// A line that ends with a colon, or has a `return` behind one.
bool is_python(const TokenList& list, size_t at) {
  const auto& tokens = list.tokens;
  const size_t line = tokens[at].getLine();
  for (; at + 1 < tokens.size() && tokens[at].getLine() == line; ++at) {
    if (tokens[at].getType() != FlowLexer::COLON) continue;
    if (tokens[at + 1].getLine() != line || tokens[at + 1].getType() == FlowLexer::K_RETURN)
      return true;
  }
  return false;
}

void tell_declaration(const Item& item) {
  const size_t type = item.type();
  if (type == FlowLexer::K_MODULE || type == FlowLexer::K_IMPORT) {
    item.diagnostics
        .report(Code::E0115, item.found.span(),
                fmt::format("`{}` comes too late", item.found.text()))
        .because("a file begins with its `module` line, then come the imports, then declarations");
    return;
  }
  if (is_statement_word(type)) {
    item.diagnostics
        .report(Code::E0115, item.found.span(),
                fmt::format("`{}` stands outside of a flow", item.found.text()))
        .because(
            "statements belong into the block of a `flow`; a value for the whole file is a "
            "`const`");
    return;
  }
  tell_unknown_word(item, "declaration", declaration_words(), declaration_meant(item.found.text()));
}

// `x = 1`, `f(x)`, `text.f(x)`.
bool tell_missing_word(const Item& item) {
  if (!is_plain_name(item.type())) return false;
  const Span before{item.found.span().file, item.found.span().begin, item.found.span().begin};
  if (item.next.getType() == FlowLexer::ASSIGN) {
    item.diagnostics
        .report(Code::E0121, item.found.span(), "an assignment begins with a word of its own")
        .because("`let` binds a name once, `var` declares a variable, `set` assigns it")
        .mend("bind a new name", {{before, "let "}})
        .mend("assign a variable", {{before, "set "}});
    return true;
  }
  const bool call =
      item.next.getType() == FlowLexer::LPAREN ||
      (item.next.getType() == FlowLexer::DOT && item.after_next.getType() == FlowLexer::NAME);
  const bool synonym = !statement_meant(item.found.text()).empty();
  // `let a = switch x.y { … }`.
  const std::string_view word = statement_meant(item.before.text());
  if (!item.found.first_on_line && !word.empty() && !item.before.first_on_line) {
    item.diagnostics
        .report(Code::E0115, item.before.span(),
                fmt::format("`{}` begins no value", item.before.text()))
        .here(fmt::format("did you mean `{}`?", word));
    return true;
  }
  if (!call || synonym) return false;
  item.diagnostics.report(Code::E0121, item.found.span(), "a call alone is not a statement")
      .because("work that a worker does is a `step`; a pure value is bound with `let`")
      .mend("run it as a step", {{before, "step "}});
  return true;
}

bool tell_stray_part(const Item& item) {
  const auto tell = [&](std::string_view sentence) {
    item.diagnostics.report(Code::E0115, item.found.span(), std::string(sentence));
    return true;
  };
  switch (item.type()) {
    case FlowLexer::K_ELSE:
      return tell("this `else` belongs to no `if`");
    case FlowLexer::K_CATCH:
      return tell("this `catch` belongs to no `try`");
    case FlowLexer::K_CASE:
      return tell("this `case` stands outside of a `match`");
    case FlowLexer::K_BRANCH:
      return tell("this `branch` stands outside of `parallel` and `race`");
    default:
      return false;
  }
}

// What follows a complete statement and does not go on with its expression.
bool tell_sign(const Item& item) {
  const size_t type = item.type();
  const char initial = item.before.text().empty() ? ' ' : item.before.text().front();
  if (type == FlowLexer::LBRACE && item.before.getType() == FlowLexer::NAME && initial >= 'a') {
    std::string capital(item.before.text());
    capital[0] = static_cast<char>(capital[0] - 'a' + 'A');
    item.diagnostics
        .report(Code::E0113, item.before.span(),
                fmt::format("`{}` should begin with a capital letter", item.before.text()))
        .because(
            "types, events and failure kinds begin with a capital letter, all other names do not")
        .mend(fmt::format("write `{}`", capital), {{item.before.span(), capital}});
    return true;
  }
  if (type == FlowLexer::QUESTION) {
    item.diagnostics.report(Code::E0106, item.found.span(), "`?` is not an operator here")
        .because("choose with `if CONDITION then A else B`; `??` gives a value for what is absent");
    return true;
  }
  if (is_word(type) || type == FlowLexer::NAME || type == FlowLexer::TYPE) return false;
  item.diagnostics.report(Code::E0101, item.found.span(),
                          fmt::format("expected a statement, found {}", describe(item.found)));
  return true;
}

void tell_statement(const Item& item) {
  if (tell_stray_part(item) || tell_missing_word(item) || tell_sign(item)) return;
  const std::string_view text = item.found.text();
  if (text == "elif" || text == "elseif" || text == "elsif") {
    tell_unknown_word(item, "statement", {}, "else if");
    return;
  }
  if (item.type() == FlowLexer::K_FOR) {
    auto& report =
        item.diagnostics.report(Code::E0115, item.found.span(), "`for` begins no statement");
    report.here("did you mean `each`?");
    if (item.after_next.getType() == FlowLexer::K_IN && !item.python) {
      report.mend("write `each`", {{item.found.span(), "each"}});
    } else {
      report.because("`each n in 1..3 { … }` counts, `each x in xs { … }` goes through a list");
    }
    return;
  }
  // `throw "why"`: a kind is missing, which nobody but the author knows.
  if (statement_meant(text) == "fail" && item.next.getType() != FlowLexer::TYPE) {
    item.diagnostics
        .report(Code::E0115, item.found.span(), fmt::format("`{}` begins no statement", text))
        .here("did you mean `fail`?")
        .because("`fail Kind \"message\"`; `catch` and `on failure` know it by its kind");
    return;
  }
  const bool declares = item.type() >= FlowLexer::K_RECORD && item.type() <= FlowLexer::K_FLOW;
  if (declares) {
    item.diagnostics
        .report(Code::E0115, item.found.span(), fmt::format("`{}` stands inside of a block", text))
        .because("declarations stand at the top level of the file");
    return;
  }
  if (is_policy_word(item.type()) || is_flow_word(item.type())) {
    item.diagnostics
        .report(Code::E0115, item.found.span(), fmt::format("`{}` begins no statement", text))
        .because(
            "settings of a flow stand before its `{`, policies of a step in braces after its "
            "call");
    return;
  }
  tell_unknown_word(item, "statement", statement_words(), statement_meant(text));
}

void tell_setting(const Item& item, std::string_view what,
                  const std::vector<std::string_view>& words) {
  const bool sign = item.type() == FlowLexer::COLON || item.type() == FlowLexer::FAT_ARROW;
  if (sign && item.before.getType() == FlowLexer::RPAREN) {
    item.diagnostics.report(Code::E0101, item.found.span(), "the result follows `->`")
        .here("write `->`")
        .mend("write `->`", {{item.found.span(), " ->"}});
    return;
  }
  if (item.type() == FlowLexer::COMMA) {
    item.diagnostics
        .report(
            Code::E0115, item.found.span(),
            fmt::format("no comma stands between {}", what == "policy" ? "policies" : "settings"))
        .mend("remove it", {{item.found.span(), ""}});
    return;
  }
  tell_unknown_word(item, what, words, {});
}

void tell_field(const Item& item) {
  auto& report =
      item.diagnostics.report(Code::E0101, item.found.span(),
                              fmt::format("expected a field, found {}", describe(item.found)));
  report.because("a field is written `name: type`, with a small first letter");
}

void tell_enum_case(const Item& item) {
  auto& report = item.diagnostics.report(
      Code::E0113, item.found.span(),
      item.type() == FlowLexer::TYPE
          ? fmt::format("the case `{}` should begin with a small letter", item.found.text())
          : fmt::format("expected a case of the enum, found {}", describe(item.found)));
  if (item.type() != FlowLexer::TYPE) return;
  std::string small(item.found.text());
  small[0] = static_cast<char>(small[0] - 'A' + 'a');
  report.mend(fmt::format("write `{}`", small), {{item.found.span(), small}});
}

}  // namespace

void report_unexpected_item(size_t item_rule, size_t at, const TokenList& list,
                            Diagnostics& diagnostics) {
  const auto token = [&](size_t index) -> const FlowToken& {
    return list.tokens[std::min(index, list.tokens.size() - 1)];
  };
  if (list.mended.contains(token(at).line())) return;
  const Item item{token(at == 0 ? 0 : at - 1), token(at), token(at + 1), token(at + 2), diagnostics,
                  is_python(list, at)};
  // A mended line that goes on into the next one took its first word.
  const bool second = !item.found.first_on_line && item.before.first_on_line && at > 1;
  if (second && list.mended.contains(token(at - 2).line())) return;
  if (report_habit_of_item(item_rule, at, list, diagnostics)) return;
  switch (item_rule) {
    case FlowParser::RuleDeclaration:
      return tell_declaration(item);
    case FlowParser::RuleStatement:
      return tell_statement(item);
    case FlowParser::RulePolicy:
      return tell_setting(item, "policy", policy_words());
    case FlowParser::RuleTopicSetting:
      return tell_setting(item, "setting", topic_words());
    case FlowParser::RuleFlowSetting:
      return tell_setting(item, "setting", flow_words());
    case FlowParser::RuleTestItem:
      return tell_setting(item, "line of a test", test_words());
    case FlowParser::RuleField:
      return tell_field(item);
    case FlowParser::RuleEnumCase:
      return tell_enum_case(item);
    case FlowParser::RuleBranch:
      return tell_unknown_word(item, "branch", {"branch", "step"}, {});
    default:
      return tell_unknown_word(item, "case", {"case", "else"}, {});
  }
}

}  // namespace sluice::compiler
