// How long flowd takes, after `kill -9` with many runs in flight, until all of them are running
// again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::bench {

struct RecoveryOptions {
  std::string url;
  std::vector<std::string> client_tokens;
  std::string worker_token;
  std::uint32_t runs = 2000;
  pid_t flowd = -1;                        // the one to kill
  std::vector<std::string> flowd_command;  // how to start it again
};

/// Seconds since the new flowd's process was started.
struct RecoveryResult {
  double ready = 0;     // it says that it serves
  double offered = 0;   // every open task has been offered again to a worker that knows nothing
  double answered = 0;  // every run, two steps later, has been answered to its client
  std::uint64_t doubled = 0, wrong = 0;
};

/// Brings all runs to their second step, whose tasks the worker keeps; kills flowd; starts it
/// again; takes every task anew and answers them. Each outcome is compared with the expected one.
/// Stops the flowd that it started.
tl::expected<RecoveryResult, std::string> run_recovery(const RecoveryOptions& options);

}  // namespace sluice::bench
