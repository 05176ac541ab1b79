#include "engine/sim/random.hpp"

#include "engine/core/siphash.hpp"

namespace sluice::sim {

Random::Random(std::uint64_t seed) : seed_(seed), state_(seed) {}

Random Random::split(std::string_view name) const {
  return Random(core::siphash64({seed_, 0x73696d756c617465}, name));
}

// SplitMix64 (Steele, Lea, Flood): every seed, zero too, begins a full period.
std::uint64_t Random::next() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

std::uint64_t Random::below(std::uint64_t bound) {
  // The slight bias of the remainder does not matter to a simulation.
  return next() % bound;
}

std::int64_t Random::between(std::int64_t low, std::int64_t high) {
  const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) +
                                   (span == 0 ? next() : below(span)));
}

}  // namespace sluice::sim
