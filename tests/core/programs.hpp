// Programs for tests of the engine, assembled by hand, so that these tests need no compiler.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/programs.hpp"
#include "vm/artifact.hpp"
#include "vm/unit.hpp"

namespace sluice::core::test {

// A pipeline of string -> string steps, each task named "t1", "t2" …; every step gets the one
// before's result, the first the event's text, and the last one's is the answer.
struct Pipeline {
  struct Step {
    vm::StepSite policies;     // name and task are filled in
    bool compensated = false;  // compensate { step undo(result) }
    bool unsure = false;       // unsure { step undo("unsure") }
    bool fallback = false;     // fallback "fallen"
  };
  std::vector<Step> steps{4};
  bool parallel = false;      // all steps at once, each from the event's text; answers the first's
  bool notify = false;        // notify Progress before the first step
  bool on_failure = true;     // return Failed { reason: why.message }
  bool failing_step = false;  // on failure runs step "t1" first
  bool outcomes = true;
  std::uint64_t timeout_ms = 0;
  std::uint64_t dedupe_ms = 24ull * 3600 * 1000;
  unsigned flows = 1;              // so many flows on the topic, all alike
  bool scheduled = false;          // one more flow, which the clock starts and which does nothing
  std::vector<std::string> kinds;  // that every task declares
};

// Topic 0 "asks" of event Ask { text: string }; events Answer, Failed, Progress.
vm::Program make_program(const Pipeline& pipeline);

class TestPrograms : public ProgramSource {
 public:
  void add(DeploymentNumber number, const Pipeline& pipeline);
  void add(DeploymentNumber number, std::shared_ptr<const vm::VerifiedProgram> program);
  vm::Unit* unit(DeploymentNumber number) override;

 private:
  std::map<DeploymentNumber, std::unique_ptr<vm::Unit>> units_;
};

// encode_value of Ask { text }.
std::string ask(const std::string& text);
// encode_value of a string: a task's result.
std::string text_value(const std::string& text);

}  // namespace sluice::core::test
