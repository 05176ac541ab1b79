// What `flowc explain` says about tests/golden/explain/*.flow is NAME.explain, text and JSON.
// UPDATE_GOLDEN=1 rewrites it; check the sums by hand.
#include "compiler/explain.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "compiler/compile.hpp"
#include "compiler/render.hpp"

namespace sluice::golden {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(GoldenExplain, SaysWhatIsWritten) {
  std::size_t seen = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(SLUICE_SOURCE_DIR) / "tests/golden/explain")) {
    if (entry.path().extension() != ".flow") continue;
    ++seen;
    compiler::SourceSet sources;
    compiler::Diagnostics diagnostics;
    sources.add(entry.path().filename().string(), "", read(entry.path()));
    const auto result = compiler::compile(sources, diagnostics);
    ASSERT_FALSE(diagnostics.has_errors()) << compiler::render_text(diagnostics, sources, {});
    const std::string said = compiler::explain_text(*result.program, sources) + "\n" +
                             compiler::explain_json(*result.program, sources);
    const fs::path golden = fs::path(entry.path()).replace_extension(".explain");
    if (std::getenv("UPDATE_GOLDEN") != nullptr) {
      std::ofstream(golden, std::ios::binary) << said;
    }
    EXPECT_EQ(said, read(golden)) << entry.path();
  }
  EXPECT_GT(seen, 0u);
}

}  // namespace
}  // namespace sluice::golden
