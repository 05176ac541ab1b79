// Time. The only place of the engine where a clock is read.
//
// Record time is the database's clock, estimated: each round trip bounds the difference between it
// and our monotonic clock, and the estimate moves toward those bounds by at most kClockSlewPpm, so
// that record time never jumps with a clock that somebody sets. A difference of more than
// kClockOffUsMax is not slewed away: the node stops appending until it is gone or the node is
// started anew.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "engine/core/ids.hpp"

namespace sluice::node {

// Microseconds of a clock that only goes on, also while the machine is suspended. For durations of
// this process.
std::int64_t monotonic_us();

class DatabaseClock {
 public:
  explicit DatabaseClock(std::int64_t shift_us = 0) : shift_us_(shift_us) {}

  // The server said `database_us` at some moment between `sent_us` and `received_us` of the
  // monotonic clock. Thread-safe.
  void observe(std::int64_t sent_us, std::int64_t received_us, core::TimeUs database_us);

  // The database's time at that moment of the monotonic clock. Lock-free. REQUIRES: observe was
  // called.
  core::TimeUs at(std::int64_t monotonic) const {
    return monotonic + offset_us_.load(std::memory_order_relaxed);
  }
  core::TimeUs now() const { return at(monotonic_us()); }

  // How far the last observation was from the estimate, us; 0: within its bounds.
  std::int64_t off_us() const { return off_us_.load(std::memory_order_relaxed); }
  bool trusted() const;

 private:
  const std::int64_t shift_us_;  // NodeConfig::time_shift_us
  std::mutex mutex_;
  bool anchored_ = false;
  std::int64_t slewed_at_us_ = 0;
  std::atomic<std::int64_t> offset_us_{0};
  std::atomic<std::int64_t> off_us_{0};
};

}  // namespace sluice::node
