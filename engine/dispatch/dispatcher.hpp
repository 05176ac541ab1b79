// The dispatcher: which worker gets which attempt, and until when.
//
// Pure: time is passed in (record time as the shell estimates it, never falling), and every call
// returns what the shell is to do. It holds nothing durable: after a takeover the partitions offer
// their open attempts again. One dispatcher may serve several partitions; the shell calls it from
// one thread at a time.
//
// Order: first in, first out per (tenant, task); a retry is a new offer and joins at the end. A
// worker that serves several queues is given the one whose head has waited longest among its tasks;
// workers of all tenants (`*`) take tenants in turn. All operations are O(log n) in what they
// touch: nothing scans attempts, queues or workers.
//
// Safe attempts (idempotent or keyed) may be handed out again after a failover; unsafe ones are
// handed out once, and only after their Granted record is durable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/record.hpp"

namespace sluice::dispatch {

using core::AttemptKey;
using core::LapseReason;
using core::Offer;
using core::TenantId;
using core::TimeUs;
using core::WorkerId;

struct Config {
  // A lease's length where the task has no `heartbeat`, ms.
  std::uint32_t lease_ms = 10'000;
  // After a failover, how long past the lease an unsafe granted attempt waits to be reclaimed, ms.
  std::uint32_t reclaim_grace_ms = 2'000;
  // After a failover, how long at least a safe attempt waits to be reclaimed before its `queue`
  // time ends it, ms: the lease and the time in which workers come back.
  std::uint32_t requeue_grace_ms = 12'000;
  // Tasks that one worker may offer: each costs a look when the worker is served.
  std::size_t tasks_per_worker = 256;
  // Credit of one worker; more is cut.
  std::uint32_t credit_max = 10'000;
  // Hand-outs are numbered from here; a later process of the same cluster must begin higher.
  std::uint64_t first_nonce = 1;
};

// Send the task to the worker. `offer` lives as long as its attempt is known here: copy what is
// needed before the next call.
struct HandOut {
  WorkerId worker{};
  const Offer* offer = nullptr;
  std::uint64_t nonce = 0;
  std::uint32_t lease_ms = 0;
  std::uint64_t deadline_ms =
      0;  // the smaller of the attempt's timeout and the step's rest; 0: none
};
// Journal Granted for it; when that is durable, call granted(). The worker's credit is reserved.
struct RequestGrant {
  AttemptKey key;
  core::Seq opened = 0;
};
// Tell the worker to stop; its report will be stale.
struct CancelTask {
  WorkerId worker{};
  AttemptKey key;
  core::Seq opened = 0;
  std::uint64_t nonce = 0;
  std::string why;
};
// Journal Lapsed. The attempt is no longer known here; the partition decides what follows.
struct Lapse {
  AttemptKey key;
  core::Seq opened = 0;
  LapseReason reason = LapseReason::lost;
};
// Answer the worker's `reclaim` or `renew` of this attempt with `stale`.
struct StaleLease {
  WorkerId worker{};
  AttemptKey key;
  std::uint64_t nonce = 0;
};

using Action = std::variant<HandOut, RequestGrant, CancelTask, Lapse, StaleLease>;
using Actions = std::vector<Action>;

// What a lease names, as the shell read it from its token.
struct LeaseName {
  AttemptKey key;
  core::Seq opened = 0;
  std::uint64_t nonce = 0;
  std::uint64_t args_digest = 0;
};

struct DispatcherStats {
  std::uint64_t workers = 0;
  std::uint64_t queued = 0;      // offers that wait for a worker
  std::uint64_t handed_out = 0;  // leases
  std::uint64_t waiting_grant = 0;
  std::uint64_t waiting_reclaim = 0;
};

class Dispatcher {
 public:
  explicit Dispatcher(const Config& config);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // ---- from the partitions, after the commit.
  // An attempt is open. One that is already known is ignored.
  void offer(Offer offer, TimeUs now, Actions& actions);
  // It is closed otherwise than by a report. Unknown: nothing.
  void revoke(const AttemptKey& key, std::string_view why, TimeUs now, Actions& actions);
  // Its Granted record is durable.
  void granted(const AttemptKey& key, TimeUs now, Actions& actions);
  // A report about it was admitted: the lease is over.
  void reported(const AttemptKey& key, TimeUs now, Actions& actions);
  // The partition is no longer ours: forget all it offered, without a word to anybody.
  void drop_partition(core::PartitionId partition);

  // ---- from the workers. `tenant` none: all tenants.
  void worker_joined(WorkerId worker, std::optional<TenantId> tenant,
                     const std::vector<std::string>& tasks, std::uint32_t credit, TimeUs now,
                     Actions& actions);
  // May take n more from now on; 0 pauses.
  void credit(WorkerId worker, std::uint32_t n, TimeUs now, Actions& actions);
  // StaleLease unless that hand-out holds the attempt. Any socket may renew: the token is the
  // right.
  void renew(WorkerId worker, const LeaseName& lease, TimeUs now, Actions& actions);
  // After a reconnect or a failover the worker goes on: the lease is renewed and is the worker's.
  void reclaim(WorkerId worker, const LeaseName& lease, TimeUs now, Actions& actions);
  enum class Leave : std::uint8_t { bye, lost };
  // bye: no more hand-outs, its leases go on. lost: likewise; it may come back and reclaim them.
  void worker_left(WorkerId worker, Leave how, TimeUs now, Actions& actions);

  // Lets every lease, attempt and wait end whose time has come.
  void tick(TimeUs now, Actions& actions);
  // When tick has something to do; none: nothing waits for time.
  std::optional<TimeUs> next_due() const;

  DispatcherStats stats() const;
  // A worker offers the task to that tenant, busy or not.
  bool served(TenantId tenant, std::string_view task) const;
  // Some attempt of the task stands in that tenant's queue.
  bool waits(TenantId tenant, std::string_view task) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::dispatch
