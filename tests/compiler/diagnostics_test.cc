#include "compiler/diagnostics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "compiler/fixes.hpp"
#include "compiler/limits.hpp"

namespace sluice::compiler {
namespace {

TEST(Codes, AreUniqueSortedAndExplained) {
  std::set<std::string_view> names;
  std::string_view last;
  for (const CodeInfo& row : all_codes()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.title.empty()) << row.name;
    EXPECT_GT(row.explanation.size(), 30u) << row.name;
    const bool warning = row.name.front() == 'W';
    EXPECT_EQ(warning, row.severity == Severity::kWarning) << row.name;
    if (!last.empty() && last.front() == row.name.front()) {
      EXPECT_LT(last, row.name);
    }
    last = row.name;
    EXPECT_EQ(find_code(row.name), row.code);
  }
  EXPECT_EQ(find_code("e0101"), Code::E0101);
  EXPECT_EQ(find_code("E9999"), std::nullopt);
}

TEST(Diagnostics, KeepALimitAndCountTheRest) {
  Diagnostics diagnostics;
  for (std::uint32_t i = 0; i < kDiagnosticsMax + 7; ++i) {
    diagnostics.report(Code::E0101, Span{FileId{0}, i, i + 1}, "x").because("y");
  }
  EXPECT_EQ(diagnostics.items().size(), kDiagnosticsMax);
  EXPECT_EQ(diagnostics.dropped(), 7u);
  EXPECT_EQ(diagnostics.error_count(), kDiagnosticsMax + 7);
}

TEST(Diagnostics, SortDropsRepeats) {
  Diagnostics diagnostics;
  diagnostics.report(Code::E0101, Span{FileId{0}, 5, 6}, "later");
  diagnostics.report(Code::E0101, Span{FileId{0}, 1, 2}, "twice");
  diagnostics.report(Code::E0101, Span{FileId{0}, 1, 2}, "twice");
  diagnostics.sort();
  ASSERT_EQ(diagnostics.items().size(), 2u);
  EXPECT_EQ(diagnostics.items().front().message, "twice");
  EXPECT_EQ(diagnostics.error_count(), 2u);
}

TEST(Nearest, FindsWhatWasMeantAndNothingElse) {
  const std::vector<std::string_view> words = {"return", "receive", "retain", "step"};
  EXPECT_EQ(nearest("retrun", words), "return");
  EXPECT_EQ(nearest("stpe", words), "step");
  EXPECT_EQ(nearest("recieve", words), "receive");
  EXPECT_EQ(nearest("banana", words), std::nullopt);
  EXPECT_EQ(nearest("st", words), std::nullopt);
  EXPECT_EQ(nearest(std::string(5000, 'a'), words), std::nullopt);
}

TEST(Fixes, OfTwoAtOnePlaceTheFirstWins) {
  SourceSet sources;
  const FileId file = sources.add("a.flow", "one two three");
  Diagnostics diagnostics;
  diagnostics.report(Code::E0101, Span{file, 0, 3}, "a").mend("x", {{Span{file, 0, 3}, "1"}});
  diagnostics.report(Code::E0101, Span{file, 0, 7}, "b").mend("x", {{Span{file, 2, 7}, "2"}});
  diagnostics.report(Code::E0101, Span{file, 8, 9}, "c").mend("x", {{Span{file, 8, 13}, "3"}});
  diagnostics.report(Code::E0101, Span{file, 4, 5}, "d")
      .mend("either", {{Span{file, 4, 7}, "4"}})
      .mend("or", {{Span{file, 4, 7}, "5"}});
  const FixedFiles fixed = apply_fixes(diagnostics, sources);
  EXPECT_EQ(fixed.applied, 2u);
  EXPECT_EQ(fixed.texts.at(file), "1 two 3");
}

}  // namespace
}  // namespace sluice::compiler
