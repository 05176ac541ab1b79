#include "compiler/parse.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "compiler/limits.hpp"
#include "tests/compiler/testing.hpp"

namespace sluice::compiler {
namespace {

// The shape of an expression, fully bracketed.
std::string shape(const ast::Expr& expr) {
  return std::visit(
      ast::Overloaded{
          [](const ast::IntLiteral& node) { return fmt::format("{}", node.value); },
          [](const ast::NameExpr& node) { return node.name; },
          [](const ast::UnaryExpr& node) {
            return fmt::format("({} {})", ast::text_of(node.op), shape(*node.operand));
          },
          [](const ast::BinaryExpr& node) {
            return fmt::format("({} {} {})", shape(*node.left), ast::text_of(node.op),
                               shape(*node.right));
          },
          [](const ast::RangeExpr& node) {
            return fmt::format("({} .. {})", shape(*node.first), shape(*node.last));
          },
          [](const ast::FieldExpr& node) {
            return fmt::format("{}{}{}", shape(*node.base), node.optional ? "?." : ".",
                               node.field.text);
          },
          [](const ast::IndexExpr& node) {
            return fmt::format("{}[{}]", shape(*node.base), shape(*node.index));
          },
          [](const ast::CallExpr& node) {
            return fmt::format("{}#{}", shape(*node.callee), node.arguments.size());
          },
          [](const ast::IfExpr& node) {
            return fmt::format("(if {} {} {})", shape(*node.condition), shape(*node.then_value),
                               shape(*node.else_value));
          },
          [](const ast::AsExpr& node) { return fmt::format("({} as)", shape(*node.value)); },
          [](const ast::WithExpr& node) { return fmt::format("({} with)", shape(*node.base)); },
          [](const auto&) { return std::string("?"); }},
      expr.node);
}

TEST(Parse, PrecedenceFromTightToLoose) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"1 + 2 * 3", "(1 + (2 * 3))"},
      {"1 - 2 - 3", "((1 - 2) - 3)"},
      {"-a.b + c", "((- a.b) + c)"},
      {"a ?? b + c", "(a ?? (b + c))"},
      {"a..b ?? c", "(a .. (b ?? c))"},
      {"x in 1..8", "(x in (1 .. 8))"},
      {"not a == b and c", "((not (a == b)) and c)"},
      {"a or b and c", "(a or (b and c))"},
      {"a == b or c < d + 1", "((a == b) or (c < (d + 1)))"},
      {"if a then b else c + 1", "(if a b (c + 1))"},
      {"if a then b else if c then d else e", "(if a b (if c d e))"},
      {"f(x).y[z]?.w", "f#1.y[z]?.w"},
      {"- - 1", "(- (- 1))"},
      {"a as T == b", "((a as) == b)"},
      {"(a + b) * c", "((a + b) * c)"},
      {"a with { b: 1 } == c", "((a with) == c)"},
  };
  for (const auto& [text, expected] : rows) {
    const auto parsed = parse_value(text);
    ASSERT_TRUE(parsed->result.ok) << text << "\n" << parsed->findings();
    EXPECT_EQ(shape(value(*parsed)), expected) << text;
  }
}

std::string plain(const std::string& literal) {
  const auto parsed = parse_value(literal);
  EXPECT_TRUE(parsed->result.ok) << literal << "\n" << parsed->findings();
  return std::get<ast::StringLiteral>(value(*parsed).node).plain().value_or("?");
}

TEST(Parse, StringsAndTheirEscapes) {
  EXPECT_EQ(plain(R"("")"), "");
  EXPECT_EQ(plain(R"("a\n\t\r\"\\\$")"), "a\n\t\r\"\\$");
  EXPECT_EQ(plain(R"("\u{e4}\u{1F600}")"), "\xC3\xA4\xF0\x9F\x98\x80");
  EXPECT_EQ(plain(R"("5$ and $x")"), "5$ and $x");
}

TEST(Parse, TextBlocksLoseTheirCommonIndentation) {
  EXPECT_EQ(plain("\"\"\"\n  a\n    b\n\n  c\n  \"\"\""), "a\n  b\n\nc");
  EXPECT_EQ(plain("\"\"\"\n    a\n  \"\"\""), "  a") << "the closing quotes count";
  EXPECT_EQ(plain("\"\"\"one line\"\"\""), "one line");
  EXPECT_EQ(plain("\"\"\"first\n   second\"\"\""), "first\nsecond");
  EXPECT_EQ(plain("\"\"\"\n  a \\n b \"quoted\" $\n  \"\"\""), "a \n b \"quoted\" $");
  EXPECT_EQ(plain("\"\"\"\r\n  a\r\n  b\r\n  \"\"\""), "a\nb");
  EXPECT_EQ(plain("\"\"\"\n\"\"\""), "");
  EXPECT_EQ(plain("\"\"\"\"\"\""), "");
}

TEST(Parse, InterpolationsKeepTheirPlaces) {
  const auto parsed = parse_value(R"("a ${b + 1} c ${"in ${d} ner"}")");
  ASSERT_TRUE(parsed->result.ok) << parsed->findings();
  const auto& parts = std::get<ast::StringLiteral>(value(*parsed).node).parts;
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].text, "a ");
  EXPECT_EQ(shape(*parts[1].expr), "(b + 1)");
  EXPECT_EQ(parts[2].text, " c ");
  EXPECT_EQ(std::get<ast::StringLiteral>(parts[3].expr->node).parts.size(), 3u);
}

TEST(Parse, Durations) {
  const std::vector<std::pair<std::string, std::int64_t>> rows = {
      {"250ms", 250},      {"2s", 2'000},     {"5m", 300'000},   {"1h", 3'600'000},
      {"7d", 604'800'000}, {"1.5s", 1'500},   {"0.25s", 250},    {"1.0ms", 1},
      {"0.5h", 1'800'000}, {"1.001s", 1'001}, {"1_000ms", 1'000}};
  for (const auto& [text, ms] : rows) {
    const auto parsed = parse_value(text);
    ASSERT_TRUE(parsed->result.ok) << text << "\n" << parsed->findings();
    EXPECT_EQ(std::get<ast::DurationLiteral>(value(*parsed).node).ms, ms) << text;
  }
  for (const char* bad : {"0.5ms", "1.0001s", "36526d", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_value(bad)->result.ok) << bad;
  }
}

TEST(Parse, SpansAreBytesOfTheSource) {
  const auto parsed = parse_text("// \xC3\xA4\nconst name = (1 + two)\n");
  ASSERT_TRUE(parsed->result.ok);
  const ast::Decl& decl = parsed->module().declarations.at(0);
  EXPECT_EQ(parsed->file().text_of(decl.span), "const name = (1 + two)");
  EXPECT_EQ(parsed->file().text_of(decl.name.span), "name");
  EXPECT_EQ(parsed->file().text_of(value(*parsed).span), "1 + two");
  EXPECT_TRUE(value(*parsed).in_parens);
}

TEST(Parse, DocCommentsBelongToWhatFollows) {
  const auto parsed = parse_text(
      "/// The module.\nmodule a\n\n// no doc\n/// One.\n///\n/// Two.\nrecord R {\n  a: int /// "
      "of a? no\n"
      "  /// Of b.\n  b: int\n}\n//// a line\nconst c = 1\n");
  ASSERT_TRUE(parsed->result.ok) << parsed->findings();
  EXPECT_EQ(parsed->module().doc.text, "The module.");
  const ast::Decl& record = parsed->module().declarations.at(0);
  EXPECT_EQ(record.doc.text, "One.\n\nTwo.");
  EXPECT_EQ(std::get<ast::RecordDecl>(record.node).fields.at(0).doc.text, "");
  EXPECT_EQ(std::get<ast::RecordDecl>(record.node).fields.at(1).doc.text, "Of b.");
  EXPECT_EQ(parsed->module().declarations.at(1).doc.text, "");
}

TEST(Parse, PoliciesThatCouldBeValues) {
  const auto parsed = parse_body(
      "  step x = t() { keyed  uses retry.fast }\n  step y = t() { keyed stream keep }\n"
      "  step z = t() { keyed a.key  timeout 2s }\n  step w = t() { hedge after 2s fallback (1) "
      "}\n");
  ASSERT_TRUE(parsed->result.ok) << parsed->findings();
  const auto policies = [&](std::size_t i) -> const std::vector<ast::Policy>& {
    return std::get<ast::StepStmt>(statements(*parsed).at(i)->node).policies;
  };
  EXPECT_EQ(policies(0).size(), 2u);
  EXPECT_EQ(std::get<ast::KeyedPolicy>(policies(0)[0].node).key, nullptr);
  EXPECT_EQ(policies(1).size(), 3u);
  EXPECT_NE(std::get<ast::KeyedPolicy>(policies(2)[0].node).key, nullptr);
  EXPECT_EQ(policies(3).size(), 2u);
}

TEST(Parse, ShortStepsAreNamedAfterTheirTask) {
  const auto parsed = parse_body("  step text.shorten(a)\n  step y = text.shorten(a)");
  ASSERT_TRUE(parsed->result.ok) << parsed->findings();
  const auto& short_step = std::get<ast::StepStmt>(statements(*parsed).at(0)->node);
  EXPECT_EQ(short_step.name.text, "shorten");
  EXPECT_FALSE(short_step.named);
  EXPECT_TRUE(std::get<ast::StepStmt>(statements(*parsed).at(1)->node).named);
}

TEST(Parse, WhatFollowsAMistakeIsStillRead) {
  const auto parsed = parse_body("  let x = )\n  let y = 1\n  retrun B {}\n  let z = 2");
  EXPECT_FALSE(parsed->result.ok);
  const auto& all = statements(*parsed);
  const auto lost = std::count_if(all.begin(), all.end(), [](const ast::StmtPtr& each) {
    return ast::as<ast::DamagedStmt>(each) != nullptr;
  });
  EXPECT_EQ(all.size(), 4u) << parsed->findings();
  EXPECT_EQ(lost, 2) << parsed->findings();
}

// Seconds of this process's own work: what else runs on the machine does not count.
double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

TEST(Parse, RefusesWhatIsTooLargeAtOnce) {
  const double begin = cpu_seconds();
  const auto parsed = parse_text(std::string(10'000'000, 'x'));
  const double took = cpu_seconds() - begin;
  EXPECT_EQ(parsed->diagnostics.items().at(0).code, Code::E0119);
  EXPECT_EQ(parsed->diagnostics.items().size(), 1u);
  EXPECT_LT(took, 1.0);
}

TEST(Parse, RefusesWhatIsNotUtf8) {
  const auto parsed = parse_text("const a = \"\xFF\"\n");
  ASSERT_EQ(parsed->diagnostics.items().size(), 1u);
  EXPECT_EQ(parsed->diagnostics.items().at(0).code, Code::E0118);
  EXPECT_EQ(parsed->diagnostics.items().at(0).span.begin, 11u);
}

TEST(Parse, NestingAndChainsEndAtTheirLimits) {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '(') + "1" + std::string(levels, ')');
  };
  EXPECT_TRUE(parse_value(nested(kNestingMax - 1))->result.ok);
  EXPECT_FALSE(parse_value(nested(kNestingMax + 1))->result.ok);
  const auto chain = [](std::string_view link, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += link;
    return text + "1";
  };
  EXPECT_TRUE(parse_value(chain("1 + ", kOperatorChainMax))->result.ok);
  for (const char* link :
       {"1 + ", "not ", "- ", "if 1 then 1 else ", "a.", "a ?? ", "(", "[", "f("}) {
    const auto parsed = parse_value(chain(link, 50'000));
    EXPECT_EQ(parsed->diagnostics.items().at(0).code, Code::E0120) << link;
  }
  // Many items in a list, and many statements, are no nesting.
  EXPECT_TRUE(parse_value("[" + chain("-1, ", 20'000) + "]")->result.ok);
  std::string lines;
  for (int i = 0; i < 5'000; ++i) lines += "  let x = a.b + 1\n";
  EXPECT_TRUE(parse_body(lines)->result.ok);
}

TEST(Parse, TwentyThousandLinesInTime) {
  std::string text;
  for (int i = 0; i < 2'000; ++i) {
    text += fmt::format(
        "flow f{0}(a: A) -> B or C on asks timeout 3s {{\n  step x = search(a.text, {0}) {{\n"
        "    timeout 2s\n    attempts 3 backoff 100ms..2s jitter\n  }}\n  if x.n == {0} {{\n"
        "    return B {{ text: \"hello ${{x.name}}\", n: [y for y in x.items if y > 3] }}\n  }}\n"
        "  return C {{}}\n}}\n",
        i);
  }
  ASSERT_LT(text.size(), kSourceBytesMax);
  const double begin = cpu_seconds();
  const auto parsed = parse_text(text);
  const double took = cpu_seconds() - begin;
  EXPECT_TRUE(parsed->result.ok) << parsed->findings();
  // 20,000 lines: 0.35 s as built for release; the rest is room for debug and sanitizer builds.
  EXPECT_LT(took, 10.0);
  RecordProperty("cpu_milliseconds", static_cast<int>(took * 1'000));
}

}  // namespace
}  // namespace sluice::compiler
