// The program that the simulation runs: small, and with one of everything that recovery could get
// wrong. An unsafe step with compensation, retries with backoff, `parallel`, progress and outcomes;
// and a topic ordered by a key, whose deliveries cross partitions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/core/programs.hpp"
#include "vm/unit.hpp"
#include "vm/verifier.hpp"

namespace sluice::sim {

// Indices in the program.
inline constexpr std::uint32_t kTopicAsks = 0;   // event Ask { text }, by client
inline constexpr std::uint32_t kTopicNotes = 1;  // event Note { text, key }, by key
inline constexpr core::DeploymentNumber kDeployment = 1;

std::shared_ptr<const vm::VerifiedProgram> workload_program();

// encode_value of the events.
std::string ask_value(std::string_view text);
std::string note_value(std::string_view text, std::string_view key);
// What a worker that does its work answers: the task's name and its argument.
std::string task_result(std::string_view task, std::string_view text);
// The Answer of a run whose steps all succeeded, as its delivery's data.
std::string answer_json(std::uint32_t topic, std::string_view text);

// One deployment, loaded.
class OneProgram : public core::ProgramSource {
 public:
  explicit OneProgram(std::shared_ptr<const vm::VerifiedProgram> program)
      : unit_(std::move(program)) {}
  vm::Unit* unit(core::DeploymentNumber number) override {
    return number == kDeployment ? &unit_ : nullptr;
  }
  const vm::Program& program() const { return unit_.program(); }

 private:
  vm::Unit unit_;
};

}  // namespace sluice::sim
