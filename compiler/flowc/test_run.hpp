// Runs test blocks: each is a rehearsal, whose history is then held against what the test and the
// program's invariants expect.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "compiler/compile.hpp"
#include "engine/sim/rehearsal.hpp"
#include "vm/json.hpp"
#include "vm/unit.hpp"

namespace sluice::flowc {

// Something that did not hold.
struct TestFailure {
  compiler::Span span;   // of the line that says so
  std::string message;   // a sentence: what does not hold
  std::string expected;  // may be empty
  std::string actual;    // may be empty
  std::string timeline;  // of the run, with `>` before the lines that count; empty: nothing ran
};

struct TestResult {
  const compiler::ir::TestDef* test = nullptr;
  std::vector<TestFailure> failures;
  std::size_t records = 0;  // of the journal
  std::size_t crashes = 0;  // how often it was repeated with a crash
  bool passed() const { return failures.empty(); }
};

class TestRunner {
 public:
  // `compiled` with CompileOptions::tests; `program` is its artifact. Both must outlive the runner.
  TestRunner(const compiler::CompileResult& compiled,
             std::shared_ptr<const vm::VerifiedProgram> program);

  // With `crash_points`, once more for every boundary of its journal: with the effects of the last
  // record lost, recovered from the journal, and with the effects gone out, recovered from a
  // checkpoint. Each has to end as the first one did.
  TestResult run(const compiler::ir::TestDef& test, bool crash_points);

 private:
  struct Scene;

  bool prepare(const compiler::ir::TestDef& test, Scene& scene);
  bool give(const compiler::ir::Given& given, Scene& scene);
  using Problems = std::vector<vm::JsonProblem>;
  bool bring(const compiler::ir::When& when, std::size_t line, Scene& scene);
  Problems arrives(const compiler::ir::When& when, vm::Value& value);
  bool value_of(const compiler::ir::Expr* expr, Scene& scene, vm::Value* value);
  void judge(const compiler::ir::TestDef& test, Scene& scene);
  void judge_when(const compiler::ir::When& when, std::size_t line, Scene& scene);
  void judge_event(const compiler::ir::ExpectEvent& expect, Scene& scene);
  void judge_step(const compiler::ir::ExpectStep& expect, Scene& scene);
  void crash(Scene& scene);

  const compiler::CompileResult& compiled_;
  std::shared_ptr<const vm::VerifiedProgram> program_;
  vm::Unit unit_;
};

}  // namespace sluice::flowc
