// What the documents show is what the compiler takes.
#include <gtest/gtest.h>

#include "compiler/compile.hpp"
#include "compiler/render.hpp"
#include "tests/compiler/testing.hpp"

namespace sluice::compiler {
namespace {

namespace fs = std::filesystem;

// Some examples are compiled with the declarations that they take for granted: the document's first
// block of the section. Here every block must parse; those that begin with `module` must also
// compile.
TEST(Documents, EveryExampleOfTheLanguagePageParses) {
  const auto blocks = flow_blocks(fs::path(SLUICE_SOURCE_DIR) / "docs/language.md");
  EXPECT_GT(blocks.size(), 15u);
  for (const std::string& block : blocks) {
    const auto parsed = parse_text(block);
    EXPECT_TRUE(parsed->result.ok) << block << "\n"
                                   << render_text(parsed->diagnostics, parsed->sources, {});
  }
}

TEST(Documents, WholeModulesCompile) {
  std::size_t compiled = 0;
  for (const std::string& block : flow_blocks(fs::path(SLUICE_SOURCE_DIR) / "docs/language.md")) {
    if (!block.starts_with("module ")) continue;
    SourceSet sources;
    Diagnostics diagnostics;
    sources.add("page.flow", "", block);
    const CompileResult result = compile(sources, diagnostics);
    EXPECT_TRUE(result.artifact.has_value()) << render_text(diagnostics, sources, {});
    ++compiled;
  }
  EXPECT_GT(compiled, 0u);
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
