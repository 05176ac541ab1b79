// Virtual time: what is to happen, in the order of its times. What is due at one instant happens in
// the order in which it was planned, so a run is a function of its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/core/ids.hpp"

namespace sluice::sim {

using core::TimeUs;

inline constexpr TimeUs kMs = 1000;
inline constexpr TimeUs kSecond = 1'000'000;
// Virtual time begins here: 2025-12-31T23:59:55Z, so that schedules come due while things break.
inline constexpr TimeUs kEpoch = 1'767'225'595 * kSecond;

class Scheduler {
 public:
  using Task = std::function<void()>;

  TimeUs now() const { return now_; }
  // Not before now.
  void at(TimeUs time, Task task);
  void after(TimeUs delay, Task task) { at(now_ + delay, std::move(task)); }
  // The next thing happens; false: nothing is planned, or not until `limit`, which it then is.
  bool step(TimeUs limit);
  std::uint64_t steps() const { return steps_; }

 private:
  struct Item {
    TimeUs time;
    std::uint64_t order;
    Task task;
  };
  static bool later(const Item& a, const Item& b) {
    return a.time != b.time ? a.time > b.time : a.order > b.order;
  }

  TimeUs now_ = kEpoch;
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
  std::vector<Item> heap_;
};

}  // namespace sluice::sim
