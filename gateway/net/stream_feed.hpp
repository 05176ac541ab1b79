// Puts the live streams of one client before one socket: the first piece of an attempt at once,
// later ones gathered and sent at most every `pace`; in order, nothing of an attempt that is over,
// and exactly one end of each stream that was begun. Pure; time is passed in.
//
// Bounded: a socket without room gets no pieces, and neither does one whose gathered text grows
// beyond kStreamGatherBytes. What was left out comes as one `snapshot` when there is room again.
// Opens, resets and ends are small and always sent.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/node/requests.hpp"

namespace sluice::gateway {

class StreamFeed {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using What = node::StreamUpdate::What;

  class Owner {
   public:
    virtual ~Owner() = default;
    // `n` counts the pieces sent of this attempt, from 0.
    virtual void send_token(const node::StreamUpdate& stream, std::uint64_t n,
                            std::string_view text) = 0;
    // open, reset, snapshot (with its text), complete, failed, cancelled.
    virtual void send_stream(const node::StreamUpdate& stream) = 0;
    virtual bool has_stream_room() const = 0;
    // All there is of that stream; nothing: it has ended, and its end is on the way.
    virtual std::optional<node::StreamUpdate> read_stream(const core::RunId& run,
                                                          std::uint32_t step_number) = 0;
  };

  StreamFeed(Owner& owner, std::chrono::milliseconds pace) : owner_(owner), pace_(pace) {}

  void set_pace(std::chrono::milliseconds pace) { pace_ = pace; }
  // What there was before the socket came. Updates before this call are ignored.
  void begin(std::vector<node::StreamUpdate> snapshots, Time now);
  // Begun and not over: its end will be sent.
  bool knows(const core::RunId& run, std::uint32_t step_number) const {
    return streams_.count({run, step_number}) > 0;
  }
  void on_update(const node::StreamUpdate& update, Time now);
  // Sends what is due.
  void on_time(Time now);
  // When something is due; nothing: no piece waits for time.
  std::optional<Time> next_due() const;

 private:
  struct Stream {
    node::StreamUpdate head;  // of what is shown; without text
    std::uint64_t have = 0;   // bytes of its text that were sent or are gathered
    std::string gathered;
    std::uint64_t sent = 0;                 // pieces of this attempt
    Time next{};                            // before which no further piece may leave
    bool lost = false;                      // pieces were left out: a snapshot is to come
    std::optional<node::StreamUpdate> end;  // waits for the rest to leave
    bool over = false;
  };
  using Key = std::pair<core::RunId, std::uint32_t>;

  void take_piece(Stream& stream, const node::StreamUpdate& piece, Time now);
  void begin_attempt(const node::StreamUpdate& update);
  void finish(Stream& stream, Time now);
  void flush(Stream& stream, Time now);
  void send_gathered(Stream& stream, Time now);
  bool waits(const Stream& stream) const {
    return stream.lost || stream.end || !stream.gathered.empty();
  }

  Owner& owner_;
  std::chrono::milliseconds pace_;
  bool begun_ = false;
  std::map<Key, Stream> streams_;
};

}  // namespace sluice::gateway
