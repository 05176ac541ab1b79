// Load on the engine: closed loop (so many jobs always under way) or open loop (so many a second,
// come what may).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "bench/pipeline/client.hpp"

namespace sluice::bench {

struct LoadOptions {
  std::string url;
  std::vector<std::string> tokens;  // one client each
  std::uint32_t in_flight = 1;      // closed loop; in an open loop, the most at once
  double rate = 0;                  // jobs a second; 0: closed loop
  double warmup_seconds = 2;
  double seconds = 10;
  double ack_seconds = 0.1;  // how long an acknowledgement may wait for company
};

struct LoadResult {
  std::uint64_t jobs = 0;  // whose outcome came within the window
  double seconds = 0;
  double p50_ms = 0, p99_ms = 0, p999_ms = 0, max_ms = 0;
  Faults faults;
  std::uint64_t missing = 0;  // not answered within 30 s of the window's end
};

/// Calls at the borders of the measured window, for whoever counts CPU and bytes.
struct Window {
  std::function<void()> begins;
  std::function<void()> ends;
};

/// Connects one client per token, runs the load, and drains it.
tl::expected<LoadResult, std::string> run_load(const LoadOptions& options, const Window& window);

}  // namespace sluice::bench
