#include "engine/node/clock.hpp"

#include <time.h>

#include <algorithm>

#include "engine/node/config.hpp"

namespace sluice::node {

std::int64_t monotonic_us() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

void DatabaseClock::observe(std::int64_t sent_us, std::int64_t received_us,
                            core::TimeUs database_us) {
  const std::lock_guard lock(mutex_);
  database_us += shift_us_;
  const std::int64_t lowest = database_us - received_us;
  const std::int64_t highest = database_us - sent_us;
  if (!anchored_) {
    anchored_ = true;
    slewed_at_us_ = received_us;
    offset_us_ = lowest + (highest - lowest) / 2;
    return;
  }
  const std::int64_t present = offset_us_;
  const std::int64_t off = present < lowest    ? lowest - present
                           : present > highest ? highest - present
                                               : 0;
  off_us_ = off;
  const std::int64_t passed = std::max<std::int64_t>(0, received_us - slewed_at_us_);
  slewed_at_us_ = received_us;
  if (off > kClockOffUsMax || off < -kClockOffUsMax) return;
  // At least a microsecond, or frequent observations would never move it.
  const std::int64_t step = std::max<std::int64_t>(off != 0, passed * kClockSlewPpm / 1'000'000);
  offset_us_ = present + std::clamp(off, -step, step);
}

bool DatabaseClock::trusted() const {
  const std::int64_t off = off_us();
  return off <= kClockOffUsMax && off >= -kClockOffUsMax;
}

}  // namespace sluice::node
