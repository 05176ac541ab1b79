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
    const bool whole = block.starts_with("module ") || block.starts_with("event ") ||
                       (block.starts_with("record ") && block.find("\nflow ") != block.npos);
    if (!whole) continue;
    SourceSet sources;
    Diagnostics diagnostics;
    sources.add("page.flow", "", block);
    const CompileResult result = compile(sources, diagnostics);
    EXPECT_TRUE(result.artifact.has_value()) << render_text(diagnostics, sources, {});
    // A warning is shown only where the block speaks of it.
    for (const Diagnostic& each : diagnostics.items()) {
      EXPECT_NE(block.find(info(each.code).name), std::string::npos)
          << render_text(diagnostics, sources, {});
    }
    ++compiled;
  }
  EXPECT_GE(compiled, 5u);
}

// Nothing at all is found in the examples: no false alarm.
TEST(Documents, ExamplesAreWithoutFindings) {
  std::size_t checked = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(SLUICE_SOURCE_DIR) / "examples")) {
    if (!entry.is_directory()) continue;
    SourceSet sources;
    Diagnostics diagnostics;
    for (const auto& file : fs::directory_iterator(entry.path())) {
      if (file.path().extension() != ".flow") continue;
      sources.add(file.path().filename().string(), file.path().stem().string(),
                  read_text(file.path()));
    }
    ASSERT_GT(sources.size(), 0u) << entry.path();
    compile(sources, diagnostics);
    EXPECT_TRUE(diagnostics.items().empty()) << entry.path() << "\n"
                                             << render_text(diagnostics, sources, {});
    ++checked;
  }
  EXPECT_GE(checked, 11u);
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
