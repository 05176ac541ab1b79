#include "compiler/format.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "FlowLexer.h"
#include "compiler/compile.hpp"
#include "compiler/parser/tokens.hpp"
#include "compiler/render.hpp"
#include "tests/compiler/testing.hpp"

namespace sluice::compiler {
namespace {

using grammar::FlowLexer;

// What a program is, whatever its layout: its tokens without commas and repeated parentheses, text
// blocks without their blanks.
std::vector<std::string> essence(const SourceFile& file) {
  std::vector<std::string> words;
  std::size_t dropped_parens = 0;
  TokenList list = lex(file);
  std::erase_if(list.tokens,
                [](const FlowToken& token) { return token.getType() == FlowLexer::COMMA; });
  for (std::size_t i = 0; i < list.tokens.size(); ++i) {
    const FlowToken& token = list.tokens[i];
    const size_t type = token.getType();
    const size_t next = i + 1 < list.tokens.size() ? list.tokens[i + 1].getType() : 0;
    const bool twice = (type == FlowLexer::LPAREN && next == FlowLexer::LPAREN) ||
                       (type == FlowLexer::RPAREN && next == FlowLexer::RPAREN);
    if (twice) {
      ++dropped_parens;
      continue;
    }
    std::string text(token.text());
    if (type == FlowLexer::TEXT) {
      text.erase(std::remove_if(text.begin(), text.end(),
                                [](char letter) { return letter == ' ' || letter == '\n'; }),
                 text.end());
      if (text.empty()) continue;
    }
    words.push_back(std::move(text));
  }
  return words;
}

std::vector<std::string> comments(const SourceFile& file) {
  std::vector<std::string> texts;
  for (const Comment& comment : comments_of(file)) {
    std::string text(file.text_of(comment.span));
    while (text.ends_with(' ') || text.ends_with('\r')) text.pop_back();
    texts.push_back(std::move(text));
  }
  std::sort(texts.begin(), texts.end());
  return texts;
}

// Formats, and holds the result to everything that formatting promises.
void check_formatting(const std::string& text, const std::string& origin) {
  SCOPED_TRACE(origin);
  SourceSet sources;
  Diagnostics diagnostics;
  const SourceFile& before = sources.file(sources.add("a.flow", text));
  const auto once = format(before, diagnostics);
  if (!once.has_value()) {  // a file with syntax errors is not touched
    Diagnostics again;
    EXPECT_FALSE(parse(before, again).ok) << render_text(diagnostics, sources, {}) << text;
    return;
  }
  const SourceFile& after = sources.file(sources.add("b.flow", *once));
  const auto twice = format(after, diagnostics);
  ASSERT_TRUE(twice.has_value()) << render_text(diagnostics, sources, {}) << *once;
  EXPECT_EQ(*once, *twice) << "formatting what is formatted changes it";
  const std::vector<std::string> words = essence(before);
  const std::vector<std::string> kept = essence(after);
  const auto [word, other] = std::mismatch(words.begin(), words.end(), kept.begin(), kept.end());
  EXPECT_TRUE(words == kept) << "from `" << (word == words.end() ? "the end" : *word) << "` in\n"
                             << text << "\nwhich became\n"
                             << *once;
  EXPECT_EQ(comments(before), comments(after)) << *once;
  EXPECT_TRUE(once->empty() || once->back() == '\n');
  if (text.find("\"\"\"") == std::string::npos) {
    EXPECT_EQ(once->find("\n\n\n"), std::string::npos);
  }
  EXPECT_FALSE(once->starts_with('\n'));
}

TEST(Format, KeepsItsPromisesOnEveryProgramOfTheRepository) {
  const auto files = flow_files({"tests", "examples", "stdlib"});
  EXPECT_GT(files.size(), 20u);
  for (const auto& path : files) check_formatting(read_text(path), path.string());
}

TEST(Format, WhatAuthorsReadIsFormatted) {
  for (const auto& path : flow_files({"examples", "stdlib"})) {
    const std::string text = read_text(path);
    SourceSet sources;
    Diagnostics diagnostics;
    EXPECT_EQ(format(sources.file(sources.add("a.flow", text)), diagnostics), text) << path;
  }
}

TEST(Format, KeepsItsPromisesWhateverTheLineEnds) {
  // Every program once more with its lines broken everywhere, and with as few line ends as
  // possible.
  for (const auto& path : flow_files({"tests/golden/format", "tests/golden/syntax"})) {
    const std::string text = read_text(path);
    SourceSet sources;
    const SourceFile& file = sources.file(sources.add("a.flow", text));
    Diagnostics diagnostics;
    if (!parse(file, diagnostics).ok) continue;
    const TokenList list = lex(file);
    std::string broken;
    std::string joined;
    for (const FlowToken& token : list.tokens) {
      const std::uint32_t depth_of_string = token.getType() == FlowLexer::TEXT ? 1 : 0;
      if (depth_of_string != 0 || text.find('"') != std::string::npos) {
        broken.clear();
        break;
      }
      broken += std::string(token.text()) + "\n";
      joined += std::string(token.text()) + " ";
    }
    if (broken.empty()) continue;
    check_formatting(broken, path.string() + " broken");
    check_formatting(joined, path.string() + " joined");
  }
}

// Where a comment may stand: before a token that is in no string.
std::vector<std::uint32_t> places_of_comments(const SourceFile& file) {
  std::vector<std::uint32_t> places;
  int strings = 0;
  for (const FlowToken& token : lex(file).tokens) {
    const size_t type = token.getType();
    if (strings == 0) places.push_back(token.span().begin);
    if (type == FlowLexer::STRING_OPEN || type == FlowLexer::BLOCK_OPEN) ++strings;
    if (type == FlowLexer::STRING_CLOSE || type == FlowLexer::BLOCK_CLOSE) --strings;
  }
  return places;
}

// In every program comments stand where nobody would put them, at the end of lines that they break
// and in lines of their own.
TEST(Format, KeepsItsPromisesWhereverCommentsStand) {
  constexpr unsigned kVariants = 8;
  unsigned seed = 0;
  for (const auto& path : flow_files({"tests/golden", "examples", "stdlib"})) {
    const std::string text = read_text(path);
    SourceSet sources;
    const SourceFile& file = sources.file(sources.add("a.flow", text));
    Diagnostics diagnostics;
    if (!parse(file, diagnostics).ok) continue;
    const std::vector<std::uint32_t> places = places_of_comments(file);
    for (unsigned variant = 0; variant < kVariants; ++variant) {
      std::mt19937 random(++seed);
      std::string commented = text;
      std::vector<std::uint32_t> chosen;
      for (unsigned i = 0; i <= variant % 5; ++i)
        chosen.push_back(places[random() % places.size()]);
      std::sort(chosen.rbegin(), chosen.rend());
      for (const std::uint32_t place : chosen) {
        const std::string comment = fmt::format("// note {}\n", random() % 100);
        commented.insert(place, random() % 2 == 0 ? " " + comment : "\n" + comment);
      }
      check_formatting(commented, fmt::format("{} seed {}", path.string(), seed));
    }
  }
}

TEST(Format, LeavesBrokenFilesAlone) {
  SourceSet sources;
  Diagnostics diagnostics;
  EXPECT_FALSE(format(sources.file(sources.add("a.flow", "const a =\n")), diagnostics).has_value());
  EXPECT_TRUE(diagnostics.has_errors());
}

std::string text_block_value(const std::string& source) {
  const auto parsed = parse_text(source);
  EXPECT_TRUE(parsed->result.ok) << source << parsed->findings();
  return std::get<ast::StringLiteral>(value(*parsed).node).plain().value_or("?");
}

TEST(Format, TextBlocksKeepTheirValue) {
  for (const char* block :
       {"const c = \"\"\"\n        a\n          b\n\n   \n        c  \n      \"\"\"\n",
        "const c = \"\"\"x\n   y\n  \"\"\"\n", "const c = \"\"\"\n\ta\n\t\tb\n\t\"\"\"\n",
        "const c = \"\"\"\n\"\"\"\n", "const c = \"\"\"\n   \n     \n  \"\"\"\n",
        "const c = \"\"\"\n  a\n  b\"\"\"\n", "const c = \"\"\"\r\n  a\r\n    b\r\n  \"\"\"\r\n"}) {
    SourceSet sources;
    Diagnostics diagnostics;
    const auto formatted = format(sources.file(sources.add("a.flow", block)), diagnostics);
    ASSERT_TRUE(formatted.has_value()) << block;
    EXPECT_EQ(text_block_value(block), text_block_value(*formatted)) << *formatted;
    check_formatting(block, block);
  }
}

TEST(Format, DoesNotChangeWhatIsCompiled) {
  std::size_t compiled = 0;
  for (const auto& path : flow_files({"tests/golden"})) {
    SourceSet sources;
    Diagnostics diagnostics;
    sources.add("main.flow", read_text(path));
    const auto before = compile(sources, diagnostics, {.debug_lines = false});
    if (!before.artifact.has_value()) continue;
    const auto formatted = format(sources.file(FileId{0}), diagnostics);
    ASSERT_TRUE(formatted.has_value());
    SourceSet again;
    Diagnostics after_diagnostics;
    again.add("main.flow", *formatted);
    const auto after = compile(again, after_diagnostics, {.debug_lines = false});
    EXPECT_EQ(before.artifact, after.artifact) << path;
    ++compiled;
  }
  EXPECT_GT(compiled, 0u);
}

}  // namespace
}  // namespace sluice::compiler
