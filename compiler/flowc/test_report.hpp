// Results of tests for people, programs and CI servers.
#pragma once

#include <string>
#include <vector>

#include "compiler/flowc/conditions.hpp"
#include "compiler/flowc/test_run.hpp"
#include "compiler/source.hpp"

namespace sluice::flowc {

struct TimedResult {
  TestResult result;
  double seconds = 0;  // of the clock on the wall
};

// One line for a test that passed; for one that failed what did not hold, with the lines that say
// so and the run's timeline.
std::string test_text(const TestResult& result, const compiler::SourceSet& sources, bool colour);
// What does not hold, with the lines that say so and what was counted.
std::string broken_text(const std::vector<Broken>& broken, const compiler::SourceSet& sources,
                        bool colour);
// [{"message","file","line","column","end_line","end_column","actual"}]
std::string broken_json(const std::vector<Broken>& broken, const compiler::SourceSet& sources);
// "3 passed, 1 failed".
std::string summary_text(const std::vector<TimedResult>& results, bool colour);
// {"tests":[{"title","module","file","line","outcome","records","crashes","failures":[…]}],
//  "passed":N,"failed":N}
std::string tests_json(const std::vector<TimedResult>& results, const compiler::SourceSet& sources);
// JUnit XML: a suite for each module.
std::string tests_junit(const std::vector<TimedResult>& results,
                        const compiler::SourceSet& sources);

}  // namespace sluice::flowc
