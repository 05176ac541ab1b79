// What a node is told at its start, and every limit it works under, with unit and reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::node {

struct NodeConfig {
  // libpq connection string or URI; must reach PostgreSQL directly or through a pooler in session
  // mode.
  std::string database;

  // Unique among the nodes of a cluster and the same after a restart: a node that comes back takes
  // its own partitions at once, while those of another name must first be let go or expire.
  std::string name = "node-1";
  std::string address;  // shown in /v1/cluster
  std::string version = "0.1.0";

  // Number of partitions if the database is empty; afterwards the database's own number counts. 1
  // to kPartitionsMax.
  unsigned partitions = 64;

  // Threads that apply records, each with its own connection and share of the partitions. 0: half
  // the cores, at least one.
  unsigned apply_threads = 0;

  // Gateway shards: Outbox::emit is called with 0 … shards-1.
  unsigned shards = 1;

  // Where the poison notebook lives (an existing directory). Empty: none is kept, and a record that
  // kills the process is tried again at every start.
  std::string state_dir;

  // How long Node::start waits for a PostgreSQL that does not answer. 0: the first refusal is the
  // answer.
  std::uint32_t database_wait_ms = 0;

  // A batch is sent when the connection is free; it is closed to new records at these bounds.
  std::size_t batch_records_max = 512;
  std::size_t batch_bytes_max = std::size_t{1} << 20;

  // Client requests waiting for one apply thread. Beyond either they are refused `busy`. Reports of
  // workers, timers and messages are never refused.
  std::size_t inbox_requests_max = 16384;
  std::size_t inbox_bytes_max = std::size_t{64} << 20;

  // A checkpoint of a partition is due after this much tail; what bounds recovery. The first two
  // are of the whole node and are shared out over its partitions, so that recovery reads no more
  // when there are more partitions.
  std::uint64_t checkpoint_records = 40'000;
  std::uint64_t checkpoint_bytes = std::uint64_t{64} << 20;
  std::uint32_t checkpoint_ms = 60'000;

  // A partition's owner is presumed dead this long after its node's last renewal, by the database's
  // clock.
  std::uint32_t ownership_ms = 10'000;

  // What a worker's lease lasts where its task names no heartbeat.
  std::uint32_t worker_lease_ms = 30'000;

  // How long a client without a session still counts as there (std.presence): longer than a
  // reconnect takes.
  std::uint32_t presence_grace_ms = 10'000;

  // Journal and delivery leaves older than this many days are dropped when no checkpoint, live run
  // or topic needs them.
  std::uint32_t retention_days = 7;

  // How often old leaves and ended runs are looked for; the first time after a tenth of it.
  std::uint32_t housekeeping_ms = 600'000;

  // Whose runs those are that the clock starts: a deployment is shared by all tenants.
  std::string schedule_tenant = "default";

  // Added to the database's clock: tests of midnight. 0 in production.
  std::int64_t time_shift_us = 0;

  // Committed-only reads are served by this many connections: sessions and deliveries, and as many
  // again for lists and histories.
  unsigned read_threads = 1;
  // How long one list or history may take in the database.
  std::uint32_t list_ms = 5'000;
};

inline constexpr unsigned kApplyThreadsMax = 64;
inline constexpr std::uint32_t kRunPageMax = 1000;
inline constexpr std::uint32_t kDeliveryPageMax = 1024;
// Of the bodies in one page, the last one not counted: what a reader holds in memory.
inline constexpr std::uint64_t kDeliveryPageBytesMax = std::uint64_t{8} << 20;
inline constexpr std::uint32_t kHistoryRecordsMax =
    100'000;  // of one run; a longer history is cut at its old end

// What `busy` tells clients to wait; grows with the length of the queue.
inline constexpr std::uint32_t kBusyRetryMsMin = 50;
inline constexpr std::uint32_t kBusyRetryMsMax = 5'000;

// What `unavailable` tells clients to wait.
inline constexpr std::uint32_t kUnavailableRetryMs = 500;

// A client's request is taken, and answered later, while the database has been gone for less than
// this; then it is refused `unavailable` at once. Longer than a connection that only has to be made
// anew, shorter than anyone's patience.
inline constexpr std::int64_t kDatabaseGoneMs = 1'000;

// How long a stop waits for its last batches and checkpoints.
inline constexpr std::int64_t kHaltMs = 5'000;

// Reconnecting to PostgreSQL: doubles from the first to the second, each wait drawn from [half,
// whole].
inline constexpr std::uint32_t kReconnectMsMin = 20;
inline constexpr std::uint32_t kReconnectMsMax = 1'000;

// An owner stops appending this long before its ownership may be taken, by its own monotonic clock.
inline constexpr std::uint32_t kOwnershipMarginMs = 2'000;

// The database's clock may differ from our estimate by this much before the node stops appending:
// timers and dedupe windows would fire or close at the wrong time.
inline constexpr std::int64_t kClockOffUsMax = 1'000'000;
inline constexpr std::int64_t kClockSlewPpm = 500;

// Run rows and session acknowledgements are written at most this late.
inline constexpr std::uint32_t kProjectionMs = 500;

// How often a batch also carries the hash of a partition's state, which recovery compares.
inline constexpr std::int64_t kStateHashMs = 1'000;

// An input found in the notebook after this many crashes is journaled as suspect, unapplied.
inline constexpr std::uint32_t kPoisonCrashes = 2;

// Checkpoint rows are copied in slices of at most this long between batches, so that no batch waits
// longer.
inline constexpr std::uint32_t kCheckpointSliceUs = 2'000;

}  // namespace sluice::node
