// Live streams: what workers say while they work, on its way to the sockets of the run's client.
//
// Pieces go past the journal, and are lost with the process; the step's result is not. What they
// depend on is durable: an attempt is heard of here only once the record that opened it is
// committed, and a stream ends here only once its step's end is. Of one step one attempt speaks at
// a time. When another begins to, which is a new `order`, everything of the older is dropped. Where
// `hedge` lets two attempts run, the first to say something is held back until the partition has
// journaled that it speaks (core::Spoke).
//
// A stream's text is kept while its step is open, so that whoever joins late, or was too slow, gets
// all of it (`snapshot`). Beyond kStreamTextBytes, or kStreamsBytes in all, its further pieces are
// dropped: what is shown stops, and the result comes whole as ever.
//
// Thread-safe. One lock, under which only Outbox::emit is called, which queues.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/node/lease.hpp"
#include "engine/node/requests.hpp"

namespace sluice::node {

struct Shared;

// The text of one attempt, bytes.
inline constexpr std::size_t kStreamTextBytes = 1u << 20;
// Streams that have ended and whose end is still known.
inline constexpr std::size_t kStreamEnds = 16'384;
// The texts of all open streams of this node, bytes.
inline constexpr std::size_t kStreamsBytes = 256u << 20;
// Pieces of attempts that are not known to be durable yet, of all workers: a few commits' worth.
inline constexpr std::size_t kEarlyPieces = 1024;
inline constexpr std::size_t kEarlyBytes = 1u << 20;

class StreamDesk {
 public:
  explicit StreamDesk(Shared& shared) : shared_(shared) {}

  // ---- from apply threads: effects, in their order, after the commit.
  void offered(const core::Offer& offer);
  void revoked(const core::AttemptKey& key) { closed(key); }
  void ended(const core::StreamEnded& end);
  // Not ours any more: nobody here knows how its streams go on.
  void drop_partition(core::PartitionId partition);
  // All that is owed was offered again. Streams that were dropped and are not among it have ended.
  void taken_over(core::PartitionId partition);

  // ---- the dispatcher gave the attempt up, or its report was admitted.
  void closed(const core::AttemptKey& key);

  // ---- from gateway threads. `n` counts the attempt's pieces from 0: one that came before, or of
  // an attempt that is over, is dropped.
  void piece(const Lease& lease, std::uint64_t n, std::string_view text);
  void attach(core::TenantId tenant, std::string_view client, unsigned shard);
  void detach(core::TenantId tenant, std::string_view client, unsigned shard);
  // All that there is of the client's open streams, or of one. The client must be attached.
  std::vector<StreamUpdate> snapshots(core::TenantId tenant, std::string_view client) const;
  std::optional<StreamUpdate> snapshot(const core::RunId& run, std::uint32_t step) const;
  // How that stream ended, as far as it is remembered: nothing while it is open, else `stream` with
  // its end; `cancelled` where that is not known any more.
  std::optional<StreamUpdate> end_of(StreamUpdate stream) const;

 private:
  // An open attempt.
  struct Voice {
    std::uint32_t attempt = 0;
    core::Seq opened = 0;
    std::uint64_t nonce = 0;   // of the newest hand-out that spoke
    std::uint64_t next_n = 0;  // piece expected next of that hand-out
    bool undecided = false;
    bool asked = false;  // the partition is asked to decide
    std::string held;    // said meanwhile
  };
  struct Stream {
    core::PartitionId partition{};
    core::TenantId tenant{};
    std::string client;
    std::string path;
    std::uint32_t attempt = 0;  // that is shown
    std::uint64_t order = 0;    // rises with each attempt or hand-out that is shown
    std::string text;
    bool orphan = false;  // its partition was dropped
    std::vector<Voice> voices;
  };
  using StreamKey = std::pair<core::RunId, std::uint32_t>;
  struct KeyHash {
    std::size_t operator()(const StreamKey& key) const {
      return core::IdHash{}(key.first) ^ std::size_t{key.second} * 0x9e3779b97f4a7c15;
    }
  };
  using Streams = std::unordered_map<StreamKey, Stream, KeyHash>;
  struct End {
    StreamUpdate::What what = StreamUpdate::What::cancelled;
    std::uint32_t attempt = 0;
  };
  struct Early {
    Lease lease;
    std::uint64_t n = 0;
    std::string text;
  };

  // All below: REQUIRES the lock.
  void take(const Lease& lease, std::uint64_t n, std::string_view text);
  void take_early(const core::AttemptKey& key);
  void keep_early(const Lease& lease, std::uint64_t n, std::string_view text);
  void say(const StreamKey& key, Stream& stream, Voice& voice, std::string_view text);
  void ask(const core::AttemptKey& key, core::Seq opened);
  void decided(const core::AttemptKey& key, bool ok);
  void show(const StreamKey& key, Stream& stream, std::uint32_t attempt, StreamUpdate::What what);
  void forget(Streams::iterator at, StreamUpdate::What what);
  void remember(const StreamKey& key, End end);
  StreamUpdate update_of(const StreamKey& key, const Stream& stream, StreamUpdate::What what) const;
  void emit(const Stream& stream, const StreamUpdate& update);

  Shared& shared_;
  std::atomic<std::size_t> open_{0};  // streams: so that nobody takes the lock where there is none
  mutable std::mutex mutex_;
  Streams streams_;
  // By tenant and client: its open streams, and the shards at which it is attached.
  struct Client {
    std::vector<StreamKey> streams;
    std::map<unsigned, unsigned> shards;
  };
  std::map<std::pair<core::TenantId, std::string>, Client, std::less<>> clients_;
  std::unordered_map<StreamKey, End, KeyHash> ends_;
  std::deque<StreamKey> ends_order_;  // oldest first
  std::uint64_t last_order_ = 0;
  std::size_t bytes_ = 0;
  std::deque<Early> early_;
  std::size_t early_bytes_ = 0;
};

}  // namespace sluice::node
