// From an event as it came in (JSON text and names) to a node's request: the same for sockets and
// HTTP.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/node/requests.hpp"
#include "gateway/codes.hpp"
#include "vm/json.hpp"

namespace sluice::gateway {

class Shard;

// Why it was not taken, before the node ever saw it.
struct InputError {
  ErrorCode code = ErrorCode::invalid;
  std::string message;
  std::vector<vm::JsonProblem> errors;  // of `invalid`
  bool malformed = false;               // not JSON at all: 400 over HTTP instead of 422
};

struct PublishInput {
  std::string_view tenant;
  std::string_view client;  // empty: none
  std::string_view topic;
  std::string_view id;
  std::string_view data;  // JSON
  std::string_view correlation;
  std::string_view traceparent;
  std::uint64_t ttl_ms = 0;
  std::uint64_t version = 0;  // of the event that the data is in; 0: the newest
};
// Checks the data against the topic's event, computes the ordering key. The reply is left to the
// caller.
tl::expected<node::PublishRequest, InputError> make_publish(Shard& shard,
                                                            const PublishInput& input);

struct StartInput {
  std::string_view tenant;
  std::string_view client;
  std::string_view flow;
  std::string_view id;
  std::string_view parameters;  // JSON object by name
  std::string_view correlation;
  std::string_view traceparent;
};
tl::expected<node::StartRequest, InputError> make_start(Shard& shard, const StartInput& input);

struct SignalInput {
  node::Behalf client;
  core::RunId run;
  std::string_view event;  // its name
  std::string_view id;
  std::string_view data;      // JSON
  std::uint64_t version = 0;  // of the event that the data is in; 0: the newest
};
// Checks the data against the event as the run's own program has it. The reply is left to the
// caller.
tl::expected<node::SignalRequest, InputError> make_signal(Shard& shard, const SignalInput& input,
                                                          const node::RunProgram& of);

// A task's result as bytes, or what is wrong with it in one sentence (a failure of kind Invalid).
// `malformed` in the error: not JSON at all.
struct ResultError {
  std::string message;
};
// `known` false: its program is not in memory, or has no such task.
tl::expected<std::string, ResultError> encode_result(Shard& shard, const node::Lease& lease,
                                                     std::string_view result_json, bool* known);

}  // namespace sluice::gateway
