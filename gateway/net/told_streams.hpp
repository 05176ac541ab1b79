// What a session's socket was told of live streams and may still owe the end of: when the socket is
// gone, the session's next one goes on from here. Pure; not thread-safe.
//
// An end that was sent into a socket may have died with it. It counts as heard once the client
// acknowledges a delivery that was sent after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/node/requests.hpp"

namespace sluice::gateway {

// Of one session; beyond it the oldest are forgotten.
inline constexpr std::size_t kToldStreamsMax = 256;

class ToldStreams {
 public:
  // A frame about the stream was sent; `offset` is that of the last delivery sent before it.
  void note(const node::StreamUpdate& stream, std::uint64_t offset);
  void acknowledged(std::uint64_t offset);
  bool knows(const core::RunId& run, std::uint32_t step_number) const;

  // Streams without an end, and such whose end may not have been heard; oldest first. Without text.
  std::vector<node::StreamUpdate> take();

 private:
  struct Told {
    node::StreamUpdate stream;
    bool ended = false;
    std::uint64_t offset = 0;  // of an end: heard when a later one is acknowledged
  };
  std::deque<Told> told_;
};

}  // namespace sluice::gateway
