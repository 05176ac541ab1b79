#include "tests/fuzz/targets.hpp"

#include "tests/fuzz/mutators.hpp"

namespace sluice::fuzz {
namespace {

constexpr Target kTargets[] = {
    {"parse", parse, 16 << 10, mutated_source},
    {"check", check, 16 << 10, mutated_source},
    {"json", json, 16 << 10, nullptr},
    {"artifact", artifact, 64 << 10, mutated_artifact},
    {"snapshot", snapshot, 16 << 10, mutated_snapshot},
    {"vm", machine, 4 << 10, nullptr},
    {"canary", canary, 64, nullptr},
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
