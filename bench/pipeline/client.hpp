// One client of the engine as the load generator needs it: sends jobs, hears outcomes, acknowledges
// in bulk.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <unordered_map>

#include "bench/pipeline/websocket.hpp"

namespace sluice::bench {

/// A job that is under way, by the number of its place and its own.
struct JobId {
  std::uint32_t slot;
  std::uint64_t n;
};

/// Counts of what should not happen; all but `refused` make a measurement worthless.
struct Faults {
  std::uint64_t refused = 0;  // asked to come back later, and did
  std::uint64_t wrong = 0;    // an outcome that is not the one expected
  std::uint64_t doubled = 0;  // an outcome of a job that is not under way
  std::string first;          // what the first one was
};

/// One client socket. Owned by one thread.
class JobClient {
 public:
  /// Called with each outcome: the job, the event's name and its raw data.
  using OnOutcome = std::function<void(JobId, std::string_view name, std::string_view data)>;

  JobClient(Endpoint endpoint, std::string token, OnOutcome on_outcome, Faults& faults);

  /// Connects and waits for the welcome; goes on after the last offset where there was one.
  tl::expected<void, std::string> open();

  int file() const { return socket_.file(); }
  bool is_open() const { return socket_.is_open(); }
  bool wants_to_write() const { return socket_.wants_to_write(); }

  /// Sends a job, or keeps it until the connection's credit allows; `flush` writes.
  void submit(JobId job);

  /// Sends again what was refused and whose time has come.
  void retry_due(double now);
  double next_retry() const { return delayed_.empty() ? 1e300 : delayed_.front().first; }

  /// Acknowledges all that has been delivered, if that is more than before.
  void acknowledge();

  bool receive();
  bool flush() { return socket_.flush(); }

  std::uint64_t unaccepted() const { return unaccepted_.size() + waiting_.size(); }
  const std::string& why() const { return socket_.why(); }

 private:
  void handle(std::string_view text);
  void handle_delivery(std::string_view text);
  void handle_rejected(std::string_view text);
  void write(JobId job);
  void pump();

  Endpoint endpoint_;
  std::string token_;
  OnOutcome on_outcome_;
  Faults* faults_;
  WebSocket socket_;
  std::string session_, epoch_;
  bool welcomed_ = false;
  std::uint64_t pending_max_ = 1;
  std::uint64_t next_id_ = 1;
  std::uint64_t top_offset_ = 0, acked_offset_ = 0;
  std::unordered_map<std::uint64_t, JobId> unaccepted_;  // by the n of `session:n`
  std::deque<JobId> waiting_;                            // for credit
  std::deque<std::pair<double, JobId>> delayed_;         // refused, with the time to come back
  std::string frame_;
};

}  // namespace sluice::bench
