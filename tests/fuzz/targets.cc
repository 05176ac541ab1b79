#include "tests/fuzz/targets.hpp"

namespace sluice::fuzz {
namespace {

constexpr Target kTargets[] = {
    {"parse", parse, 16 << 10, true},
    {"check", check, 16 << 10, true},
    {"json", json, 16 << 10, false},
    {"artifact", artifact, 64 << 10, false},
    {"snapshot", snapshot, 16 << 10, false},
    {"vm", machine, 4 << 10, false},
    {"canary", canary, 64, true},
};

}  // namespace

std::span<const Target> targets() {
  return kTargets;
}

const Target* find_target(std::string_view name) {
  for (const Target& target : kTargets) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

}  // namespace sluice::fuzz
