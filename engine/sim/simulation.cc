#include "engine/sim/simulation.hpp"

#include <fmt/format.h>

#include "engine/sim/client.hpp"
#include "engine/sim/node.hpp"
#include "engine/sim/worker.hpp"
#include "engine/sim/world.hpp"

namespace sluice::sim {

namespace {

std::string hex(const core::Hash128& hash) {
  return fmt::format("{:016x}{:016x}", hash.high, hash.low);
}

}  // namespace

Outcome simulate(const Options& options, const std::shared_ptr<const vm::VerifiedProgram>& program,
                 bool trace) {
  World world(options, program);
  world.tracing = trace;
  world.run();
  Outcome outcome;
  outcome.violations = world.checkers.violations();
  outcome.planted = world.planted || world.database.planted();
  outcome.steps = world.scheduler.steps();
  outcome.awaits = world.faults.awaits();
  outcome.virtual_us = world.scheduler.now() - kEpoch;
  core::Hash128 all;
  for (const Database::Stored& stored : world.database.stored()) {
    outcome.records += stored.journal.size();
    outcome.checkpoints += stored.checkpoints.size();
    outcome.takeovers += stored.epoch;
    for (const JournalRow& row : stored.journal) all += row.live_hash;
    if (!stored.journal.empty()) all += stored.journal.back().chain;
  }
  outcome.happened = world.checkers.happened();
  outcome.digest = hex(all);
  outcome.trace = std::move(world.trace);
  return outcome;
}

std::string describe(const Violation& violation) {
  return fmt::format("invariant {} ({}): {}", violation.invariant,
                     violation.liveness ? "liveness" : "correctness", violation.text);
}

}  // namespace sluice::sim
