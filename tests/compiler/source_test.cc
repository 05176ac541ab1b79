#include "compiler/source.hpp"

#include <gtest/gtest.h>

namespace sluice::compiler {
namespace {

TEST(Source, PositionsCountCodePoints) {
  SourceSet sources;
  const SourceFile& file = sources.file(sources.add("a.flow", "ab\n\xC3\xA4\xE2\x82\xACx\r\n\n"));
  EXPECT_EQ(file.position(0), (Position{1, 1}));
  EXPECT_EQ(file.position(2), (Position{1, 3}));
  EXPECT_EQ(file.position(3), (Position{2, 1}));
  EXPECT_EQ(file.position(5), (Position{2, 2}));
  EXPECT_EQ(file.position(8), (Position{2, 3}));
  EXPECT_EQ(file.position(4), (Position{2, 1})) << "within a code point";
  EXPECT_EQ(file.position(file.text().size()), (Position{4, 1}));
  EXPECT_EQ(file.line_text(2), "\xC3\xA4\xE2\x82\xACx");
  EXPECT_EQ(file.line_count(), 4u);
}

TEST(Source, FindsInvalidUtf8) {
  struct Row {
    std::string text;
    std::optional<std::size_t> at;
  };
  const std::vector<Row> rows = {
      {"plain", std::nullopt},
      {"\xF0\x9F\x98\x80", std::nullopt},
      {"a\x80", 1},
      {"a\xC3", 1},
      {"\xC0\xAF", 0},          // overlong
      {"\xE0\x80\x80", 0},      // overlong
      {"ab\xED\xA0\x80", 2},    // surrogate
      {"\xF4\x90\x80\x80", 0},  // beyond U+10FFFF
      {"\xFF", 0},
      {std::string("a\0b", 3), 1},
  };
  for (const Row& row : rows) EXPECT_EQ(find_invalid_utf8(row.text), row.at) << row.text;
}

TEST(Source, ModulesComeFromPaths) {
  EXPECT_EQ(module_of_path("support/answer.flow").value(), "support.answer");
  EXPECT_EQ(module_of_path("a.flow").value(), "a");
  for (const char* bad : {"/a.flow", "a/../b.flow", "a//b.flow", ".flow", "a.txt", "a-b.flow",
                          "A.flow", "1.flow", "", "a/.flow", "./a.flow"}) {
    EXPECT_FALSE(module_of_path(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace sluice::compiler
