// What breaks, and when: drawn from the seed, until the faults stop.
#pragma once

#include <cstdint>

#include "engine/sim/options.hpp"
#include "engine/sim/random.hpp"
#include "engine/sim/scheduler.hpp"

namespace sluice::sim {

class World;

class Faults {
 public:
  Faults(World& world, Random random) : world_(world), random_(random) {}

  // Plans the pauses, stops and jumps of the whole run.
  void plan();

  // Nothing breaks any more once the faults have stopped.
  bool strikes(unsigned in_thousand);
  // Asked at every await of a node: before a statement is sent, after it was executed, after it was
  // answered, and between two effects that leave.
  bool crashes();
  std::uint64_t awaits() const { return awaits_; }

  enum class Fate : std::uint8_t { done, lost, answer_lost, late };
  Fate statement();

  TimeUs up_to(TimeUs most) { return random_.between(0, most); }

 private:
  World& world_;
  Random random_;
  std::uint64_t awaits_ = 0;
  bool database_down_ = false;
};

}  // namespace sluice::sim
