// One partition with its journal, driven by hand: what a shell does, without threads, database or
// time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/core/check.hpp"
#include "engine/core/partition.hpp"
#include "tests/core/programs.hpp"

namespace sluice::core::test {

inline constexpr TenantId kTenant{7};
inline constexpr TimeUs kStart = 1'760'000'000'000'000;  // some instant of 2025
inline constexpr TimeUs kMs = kUsPerMs;

class Driver {
 public:
  explicit Driver(const Pipeline& pipeline = {}, Partition::Config config = {});

  // Takes the record in and keeps its effects; the record's own are returned.
  Effects take(Record record);
  // What the record led to, or, if it was not admitted, the answer alone.
  Effects publish(const std::string& client, const std::string& id, const std::string& text = "hi");
  Effects done(const Offer& offer, const std::string& result);
  Effects failed(const Offer& offer, const std::string& kind, bool retry = true,
                 std::uint32_t retry_after_ms = 0, const std::string& message = "no");
  Effects lapse(const Offer& offer, LapseReason reason);
  Effects grant(const Offer& offer);
  Effects speak(const Offer& offer);
  Effects cancel(const RunId& run);
  // Lets time pass; every timer that comes due fires.
  Effects advance(TimeUs by);

  // A partition folded from the journal's beginning; checks every stored hash and digest.
  Partition fold();

  Partition::Config config;
  TestPrograms programs;
  Partition partition;
  TimeUs now = kStart;
  struct Journaled {
    Record record;
    Applied applied;
    Hash128 state;
    Hash128 digest;
  };
  std::vector<Journaled> journal;
  Effects effects;  // all so far
};

template <class E>
std::vector<E> all_of(const Effects& effects) {
  std::vector<E> found;
  for (const Effect& effect : effects) {
    if (const auto* e = std::get_if<E>(&effect)) found.push_back(*e);
  }
  return found;
}

// The only effect of that type. REQUIRES: there is exactly one.
template <class E>
E only(const Effects& effects) {
  const auto found = all_of<E>(effects);
  SLUICE_CHECK(found.size() == 1);
  return found.front();
}

}  // namespace sluice::core::test
