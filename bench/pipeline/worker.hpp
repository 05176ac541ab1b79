// The benchmark's worker: answers every task at once with what `step_result` makes of its first
// argument.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "bench/pipeline/websocket.hpp"

namespace sluice::bench {

/// What the worker of a run needs to know.
struct WorkerOptions {
  std::string url;
  std::string token;
  std::uint64_t credit = 2048;
};

/// One task as it was offered; the views end with the call that hands it on.
struct OfferedTask {
  std::string_view lease;  // raw, with quotes
  std::string_view name;
  std::string_view argument;
  std::string_view run;
  std::string_view step;
  std::uint64_t attempt;
};

/// A worker on one socket. Owned by one thread, which waits on `file()` and calls `work()`.
class TaskWorker {
 public:
  /// Called for each task; true: answer it at once, false: the caller keeps the lease.
  using OnTask = std::function<bool(const OfferedTask&)>;

  static tl::expected<TaskWorker, std::string> open(const WorkerOptions& options, OnTask on_task);

  int file() const { return socket_.file(); }

  /// Takes and answers all that has come. False when the connection is gone; `why()` says so.
  bool work();

  /// Reports the result of a task that the caller kept; `lease` raw, with quotes.
  void done(std::string_view lease, std::string_view result);

  bool wants_to_write() const { return socket_.wants_to_write(); }

  /// Writes what `done` has appended. False when the connection is gone.
  bool flush() { return socket_.flush(); }

  std::uint64_t tasks() const { return tasks_; }
  std::uint64_t settled() const { return settled_; }
  std::uint64_t stale() const { return stale_; }
  const std::string& why() const { return socket_.why(); }

 private:
  void handle(std::string_view text);
  void take(const OfferedTask& task);

  WebSocket socket_;
  OnTask on_task_;
  std::uint64_t credit_ = 0;
  std::uint64_t taken_since_credit_ = 0;
  std::uint64_t tasks_ = 0, settled_ = 0, stale_ = 0;
  std::string frame_;
};

/// The worker as a process of its own: ends on SIGTERM or when the engine ends the connection.
/// Returns the exit code.
int run_worker(const WorkerOptions& options);

}  // namespace sluice::bench
