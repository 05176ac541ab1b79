// What the gateway counts, one set per shard: written by the shard's thread, read by any (relaxed:
// each number is right, the set need not be of one moment).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace sluice::gateway {

class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Upper bounds of the latency histogram, in microseconds; one more bucket holds what is above.
inline constexpr std::array<std::uint32_t, 12> kLatencyBoundsUs = {
    100, 250, 500, 1'000, 2'500, 5'000, 10'000, 25'000, 100'000, 500'000, 2'000'000, 10'000'000};

struct Latency {
  std::array<Counter, kLatencyBoundsUs.size() + 1> buckets;
  Counter sum_us;
  void observe(std::uint64_t us) {
    std::size_t i = 0;
    while (i < kLatencyBoundsUs.size() && us > kLatencyBoundsUs[i]) ++i;
    buckets[i].add();
    sum_us.add(us);
  }
};

struct Counters {
  Counter clients, workers, streams;  // sockets open now
  Counter http_requests, http_errors;
  Counter frames_in, frames_out, bytes_in, bytes_out, reads, writes;
  Counter sends, accepted, rejected, deliveries, tasks, reports;
  Counter closed_slow, closed_bad, closed_expired, refused_tokens;
  Latency accept_latency;  // from `send` to `accepted`
};

}  // namespace sluice::gateway
