// What reaches an apply thread, and how: many writers, one reader, a lock held for a push or a
// swap, and a wake-up only when the reader sleeps.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <variant>
#include <vector>

#include "engine/core/partition.hpp"
#include "engine/core/record.hpp"
#include "engine/journal/ownership.hpp"
#include "engine/node/requests.hpp"

namespace sluice::node {

// A record to be admitted, given its seq and applied.
struct RecordInput {
  core::PartitionId partition{};
  core::Record record;  // tenant, kind, body
  Reply reply;
  bool from_client = false;  // bounded, and behind all others
  std::int64_t received_us = 0;  // monotonic; of an event, whose ttl counts from here
  core::AttemptKey attempt;  // of done and failed
  // Called when the record is durable (true), or dropped or lost (false). May be empty.
  std::function<void(bool)> then;
};

// A look at a partition's state, told once what was seen is durable.
struct LookInput {
  core::PartitionId partition{};
  // On the apply thread. Returns the seq that the answer depends on.
  std::function<core::Seq(core::Partition&)> look;
  // True: what was seen holds. False: the partition is not served here.
  std::function<void(bool)> then;
};

// To the thread itself.
struct Adopt {
  std::vector<journal::Owned> partitions;
};
struct CheckpointWritten {
  core::PartitionId partition{};
  core::Seq generation = 0;
  bool committed = false;  // the last step; else one slice
  bool ok = false;
};
struct SetLive {  // where this client's deliveries go while it is attached
  std::uint64_t client_hash = 0;
  unsigned shard = 0;
  int change = 0;  // +1, -1
};
struct Touch {  // partitions whose newest record is older than this day get a new one, so that its
                // leaf may go
  journal::Day before = 0;
};
struct Halt {
  std::function<void()>
      done;  // every partition is checkpointed and quiet, or that could not be had in time
};

using Command = std::variant<Adopt, CheckpointWritten, SetLive, Touch, Halt>;

class Inbox {
 public:
  Inbox();
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  void post(RecordInput&& input);
  void post(LookInput&& input);
  void post(Command&& command);

  struct Contents {
    std::vector<RecordInput> records;
    std::vector<LookInput> looks;
    std::vector<Command> commands;
    bool empty() const { return records.empty() && looks.empty() && commands.empty(); }
    void clear() {
      records.clear();
      looks.clear();
      commands.clear();
    }
  };
  // Swaps what has come with the reader's empty vectors.
  void drain(Contents& out);

  // The reader is about to poll fd(): false if something came meanwhile. After a poll call awake().
  bool try_sleep();
  void awake();
  int fd() const { return event_; }

  // Client requests from their post until they are applied, kept by poster and reader: what `busy`
  // is decided by.
  std::atomic<std::size_t> waiting_requests{0};
  std::atomic<std::size_t> waiting_bytes{0};
  // By monotonic_us(), since when the reader has no connection to append on; 0: it has one. Kept by
  // the reader: what `unavailable` is decided by.
  std::atomic<std::int64_t> gone_since_us{0};

 private:
  void wake(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  Contents contents_;
  bool asleep_ = false;
  int event_;
};

}  // namespace sluice::node
