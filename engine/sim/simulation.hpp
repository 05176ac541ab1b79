// The seeded simulation: the production partition and dispatcher in a world that breaks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/sim/checkers.hpp"
#include "engine/sim/options.hpp"
#include "vm/verifier.hpp"

namespace sluice::sim {

struct Outcome {
  std::vector<Violation> violations;
  bool planted = false;       // the planted bug had its occasion
  std::uint64_t steps = 0;    // things that happened
  std::uint64_t awaits = 0;   // places at which a node could have crashed
  std::uint64_t records = 0;  // in all journals
  std::uint64_t takeovers = 0;
  std::uint64_t checkpoints = 0;
  std::int64_t virtual_us = 0;
  Happened happened;
  std::string digest;  // of all journals: equal for equal options
  std::string trace;
};

// One run, from options that name it wholly.
Outcome simulate(const Options& options, const std::shared_ptr<const vm::VerifiedProgram>& program,
                 bool trace = false);

// "invariant 4 (correctness): …"
std::string describe(const Violation& violation);

}  // namespace sluice::sim
