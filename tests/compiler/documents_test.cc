// What the documents show is what the compiler takes.
#include <gtest/gtest.h>

#include "compiler/compile.hpp"
#include "compiler/render.hpp"
#include "tests/compiler/testing.hpp"

namespace sluice::compiler {
namespace {

namespace fs = std::filesystem;

// Every block parses. Those that begin with `module` or `event` are whole programs and compile; the
// others take declarations for granted, or show what comes later.
TEST(Documents, EveryExampleOfTheLanguagePageParses) {
  const auto blocks = flow_blocks(fs::path(SLUICE_SOURCE_DIR) / "docs/language.md");
  EXPECT_GT(blocks.size(), 12u);
  for (const std::string& block : blocks) {
    const auto parsed = parse_text(block);
    EXPECT_TRUE(parsed->result.ok) << block << "\n"
                                   << render_text(parsed->diagnostics, parsed->sources, {});
  }
}

TEST(Documents, WholeProgramsCompile) {
  std::size_t compiled = 0;
  for (const std::string& block : flow_blocks(fs::path(SLUICE_SOURCE_DIR) / "docs/language.md")) {
    if (!block.starts_with("module ") && !block.starts_with("event ")) continue;
    SourceSet sources;
    Diagnostics diagnostics;
    sources.add("page.flow", "", block);
    const CompileResult result = compile(sources, diagnostics);
    EXPECT_TRUE(result.artifact.has_value()) << render_text(diagnostics, sources, {});
    ++compiled;
  }
  EXPECT_GE(compiled, 5u);
}

// Explanations show wrong code beside right code; what they show must be text that at least lexes.
TEST(Documents, ExplanationsCloseTheirBlocks) {
  for (const CodeInfo& row : all_codes()) {
    std::size_t fences = 0;
    std::size_t at = 0;
    while ((at = row.explanation.find("```", at)) != std::string_view::npos) {
      ++fences;
      at += 3;
    }
    EXPECT_EQ(fences % 2, 0u) << row.name;
  }
}

}  // namespace
}  // namespace sluice::compiler
