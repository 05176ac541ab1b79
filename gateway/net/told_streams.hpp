// What a session's socket was told of live streams and may still owe the end of: when the socket is
// gone, the session's next one goes on from here. Pure; not thread-safe.
//
// An end that was sent into a socket may have died with it. It counts as heard once a WebSocket
// ping that was sent behind it has been answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "engine/node/requests.hpp"

namespace sluice::gateway {

// Of one session; beyond it the oldest are forgotten.
inline constexpr std::size_t kToldStreamsMax = 256;

class ToldStreams {
 public:
  // A frame about the stream was sent. Of an end: the number of the ping to send behind it; else
  // nothing.
  std::optional<std::uint64_t> note(const node::StreamUpdate& stream);
  // That ping was answered.
  void heard(std::uint64_t ping);
  bool knows(const core::RunId& run, std::uint32_t step_number) const;

  // Streams without an end, and such whose end may not have been heard; oldest first. Without text.
  std::vector<node::StreamUpdate> take();

 private:
  struct Told {
    node::StreamUpdate stream;
    bool ended = false;
    std::uint64_t ping = 0;
  };
  std::deque<Told> told_;
  std::uint64_t pings_ = 0;
};

}  // namespace sluice::gateway
