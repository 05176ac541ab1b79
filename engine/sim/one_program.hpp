// The programs of a simulation: one, deployed from the beginning.
#pragma once

#include <memory>
#include <utility>

#include "engine/core/programs.hpp"
#include "vm/unit.hpp"

namespace sluice::sim {

inline constexpr core::DeploymentNumber kDeployment = 1;

class OneProgram : public core::ProgramSource {
 public:
  explicit OneProgram(std::shared_ptr<const vm::VerifiedProgram> program)
      : unit_(std::move(program)) {}
  vm::Unit* unit(core::DeploymentNumber number) override {
    return number == kDeployment ? &unit_ : nullptr;
  }
  vm::Unit& unit() { return unit_; }
  const vm::Program& program() const { return unit_.program(); }

 private:
  vm::Unit unit_;
};

}  // namespace sluice::sim
