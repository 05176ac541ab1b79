#include "compiler/render.hpp"

#include <gtest/gtest.h>

#include "tests/compiler/testing.hpp"

namespace sluice::compiler {
namespace {

struct Case {
  SourceSet sources;
  Diagnostics diagnostics;
};

TEST(Render, ShowsTheLineTheMarkAndTheMend) {
  Case c;
  const FileId file = c.sources.add("a/b.flow", "const a = 1\n  if x = 3 {\n\n}\n");
  c.diagnostics.report(Code::E0105, Span{file, 19, 20}, "`=` does not compare")
      .here("write `==`")
      .also(Span{file, 26, 27}, "the block ends here")
      .because("`=` gives a name its value")
      .mend("write `==`", {{Span{file, 19, 20}, "=="}});
  EXPECT_EQ(render_text(c.diagnostics, c.sources, {}),
            "error[E0105]: `=` does not compare\n"
            " --> a/b.flow:2:8\n"
            "  |\n"
            "2 |   if x = 3 {\n"
            "  |        ^ write `==`\n"
            "...\n"
            "4 | }\n"
            "  | - the block ends here\n"
            "  = note: `=` gives a name its value\n"
            "  = fix: write `==`\n"
            "\n"
            "1 error; `flowc help E0105` explains a code\n");
}

TEST(Render, NothingToSayIsNothing) {
  Case c;
  EXPECT_EQ(render_text(c.diagnostics, c.sources, {.colour = true}), "");
  EXPECT_EQ(render_json(c.diagnostics, c.sources),
            "{\"diagnostics\":[],\"errors\":0,\"warnings\":0}\n");
}

TEST(Render, ColoursOnlyWhereTheyAreWanted) {
  Case c;
  const FileId file = c.sources.add("a.flow", "x\n");
  c.diagnostics.report(Code::E0101, Span{file, 0, 1}, "m");
  EXPECT_EQ(render_text(c.diagnostics, c.sources, {}).find('\x1b'), std::string::npos);
  EXPECT_NE(render_text(c.diagnostics, c.sources, {.colour = true}).find("\x1b[1;31m"),
            std::string::npos);
}

TEST(Render, WhatATerminalMustNotGetIsReplaced) {
  Case c;
  const FileId file = c.sources.add("a.flow", "\x1b[31m\tx \xFF\n");
  c.diagnostics.report(Code::E0118, Span{file, 8, 9}, "m");
  const std::string text = render_text(c.diagnostics, c.sources, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("1 | ?[31m    x ?\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  |            ^\n"), std::string::npos) << text;
}

TEST(Render, LongLinesAreCutAroundTheMark) {
  Case c;
  const FileId file =
      c.sources.add("a.flow", std::string(5'000, 'a') + "!" + std::string(5'000, 'b'));
  c.diagnostics.report(Code::E0101, Span{file, 5'000, 5'001}, "m");
  const std::string text = render_text(c.diagnostics, c.sources, {});
  EXPECT_LT(text.size(), 700u);
  EXPECT_NE(text.find("a!b"), std::string::npos);
  const std::size_t sign = text.find('!');
  const std::size_t line_begin = text.rfind('\n', sign) + 1;
  const std::size_t mark = text.find('^');
  const std::size_t mark_begin = text.rfind('\n', mark) + 1;
  // The cut is shown by one character of three bytes.
  EXPECT_EQ(sign - line_begin - 2, mark - mark_begin);
}

TEST(Render, JsonCountsInCodePoints) {
  Case c;
  const FileId file = c.sources.add("a \"b\".flow", "// \xC3\xA4\xC3\xB6 x\n");
  c.diagnostics.report(Code::E0101, Span{file, 8, 9}, "say \"x\"\n")
      .mend("y", {{Span{file, 8, 8}, "\t"}});
  EXPECT_EQ(render_json_array(c.diagnostics, c.sources),
            R"([{"code":"E0101","severity":"error","message":"say \"x\"\n","file":"a \"b\".flow",)"
            R"("line":1,"column":7,"end_line":1,"end_column":8,"labels":[],"fixes":[{"title":"y",)"
            R"("edits":[{"file":"a \"b\".flow","line":1,"column":7,"end_line":1,"end_column":7,)"
            R"("text":"\t"}]}]}])");
  EXPECT_EQ(json_quote("\x01\xFF"), "\"\\u0001\xEF\xBF\xBD\"");
}

TEST(Render, SarifNamesEveryRule) {
  Case c;
  const FileId file = c.sources.add("a.flow", "x\n");
  c.diagnostics.report(Code::E0101, Span{file, 0, 1}, "m");
  const std::string text = render_sarif(c.diagnostics, c.sources);
  EXPECT_NE(text.find(R"("version":"2.1.0")"), std::string::npos);
  for (const CodeInfo& row : all_codes()) {
    EXPECT_NE(text.find(R"("id":")" + std::string(row.name)), std::string::npos) << row.name;
  }
  EXPECT_NE(text.find(R"("ruleId":"E0101","ruleIndex":0,"level":"error")"), std::string::npos);
}

}  // namespace
}  // namespace sluice::compiler
