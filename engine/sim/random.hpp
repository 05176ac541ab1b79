// Random numbers of the simulation: one seed, the same numbers on every machine.
//
// Streams are split by name, so that drawing more in one place (say, by a new checker) does not
// change what another draws.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed);
  // A stream of its own, told by the seed and the name alone, not by what was drawn before.
  Random split(std::string_view name) const;

  std::uint64_t next();
  // From 0 to bound - 1. REQUIRES: bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Both ends included. REQUIRES: low <= high.
  std::int64_t between(std::int64_t low, std::int64_t high);
  // True in `in_thousand` of 1000 cases.
  bool chance(unsigned in_thousand) { return below(1000) < in_thousand; }

 private:
  std::uint64_t seed_;
  std::uint64_t state_;
};

}  // namespace sluice::sim
