// Frames of the worker socket and bodies of the workers' HTTP calls (protocols.md, "Worker
// socket"). Pure; fuzzed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/codec/frame_fields.hpp"

namespace sluice::gateway {

enum class WorkerVerb : std::uint8_t {
  kHello,
  kCredit,
  kRenew,
  kDone,
  kFailed,
  kBye,
  kRefresh,
  kPing,
  kPoll,
  kStream
};

struct WorkerParse {
  bool good = false;  // else close with 4400, or answer 400
  WorkerVerb verb = WorkerVerb::kPing;
  std::string message;
};

// The `t` of every frame that a worker may say.
std::vector<std::string_view> worker_verbs();

// A frame of the socket. `credit` and lengths are within their limits afterwards.
WorkerParse parse_worker_frame(std::string_view text, FrameFields& fields);
// The body of POST /v1/tasks/poll and /v1/tasks/{lease}/done, failed, renew: the frame without `t`
// and `lease`. An empty body is {}.
WorkerParse parse_worker_body(WorkerVerb verb, std::string_view text, FrameFields& fields);

struct TaskFrameText {
  std::string_view lease, task, args_json, key, tenant, client, run, step, correlation, traceparent,
      priority;
  std::uint32_t attempt = 1;
  std::uint32_t lease_ms = 0;
  std::uint64_t deadline_ms = 0;  // 0: left out
};
void append_task(std::string& out, const TaskFrameText& frame);
void append_worker_welcome(std::string& out, std::string_view worker, std::uint32_t lease_ms);
void append_settled(std::string& out, std::string_view lease);
void append_stale(std::string& out, std::string_view lease);
void append_cancel(std::string& out, std::string_view lease, std::string_view why);

}  // namespace sluice::gateway
