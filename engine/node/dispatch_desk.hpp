// The dispatcher (engine/dispatch) behind a lock: apply threads bring what was committed, gateway
// threads bring what workers say, a ticker brings time. What it decides leaves from here: task
// frames to the gateway, decisions to the partitions' inboxes.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/dispatch/dispatcher.hpp"
#include "engine/node/lease.hpp"
#include "engine/node/shared.hpp"
#include "engine/node/unserved.hpp"

namespace sluice::node {

class DispatchDesk {
 public:
  explicit DispatchDesk(Shared& shared);
  ~DispatchDesk();

  // REQUIRES: shared.clock is anchored.
  void start();
  void stop();

  // What a committed batch has for the dispatcher, in order. Emits `out`, which holds the batch's
  // other messages, together with the task frames: one emit per shard.
  struct Work {
    std::vector<core::Effect> effects;  // Offer, Revoke, GrantCommitted; taken
    std::vector<core::AttemptKey> reported;
    bool empty() const { return effects.empty() && reported.empty(); }
    void clear() {
      effects.clear();
      reported.clear();
    }
  };
  void commit(Work& work, Outgoings& out);
  void drop_partition(core::PartitionId partition);

  // The hello came; its tenant's number may have to be asked for. worker_joined follows, unless the
  // worker leaves before.
  void worker_expected(WorkerId worker, std::uint32_t credit);
  void worker_joined(const WorkerHello& hello, std::optional<core::TenantId> tenant);
  void worker_credit(WorkerId worker, std::uint32_t credit);
  bool worker_renew(WorkerId worker, const Lease& lease);
  void worker_left(WorkerId worker, bool bye);

  dispatch::DispatcherStats stats() const;
  // Some worker offers the task to that tenant, busy or not.
  bool served(core::TenantId tenant, std::string_view task) const;
  // What the run waits for, if that is a task which nobody has offered since it began to wait.
  struct Lacking {
    core::AttemptKey key;
    core::TenantId tenant{};
    std::string task;
    std::string pool;
  };
  std::optional<Lacking> lacking(const core::RunId& run) const;

 private:
  // All below: REQUIRES the lock.
  void perform(Outgoings& out, const std::vector<Lease>& named = {});
  void hand_out(const dispatch::HandOut& action, Outgoings& out);
  void no_longer_lacks(const core::AttemptKey& key);
  void forget(const core::AttemptKey& key) {
    handed_.erase(key);
    no_longer_lacks(key);
    shared_.streams.closed(key);
  }
  void offer(core::Offer&& offer, core::TimeUs present);
  std::string pool_of(const core::Offer& offer) const;
  void say_unserved(core::TimeUs present);
  unsigned shard_of(WorkerId worker) const;
  core::TimeUs now();
  void tick_loop();

  Shared& shared_;
  mutable std::mutex mutex_;
  std::unique_ptr<dispatch::Dispatcher> dispatcher_;
  dispatch::Actions actions_;
  Outgoings outgoings_;  // of calls that bring none
  core::TimeUs last_now_ = 0;
  // What each attempt's worker holds: a cancellation names it again.
  std::unordered_map<core::AttemptKey, Lease, core::AttemptKeyHash> handed_;
  std::unordered_map<std::uint64_t, unsigned> shards_;
  std::unordered_map<std::uint64_t, std::uint32_t> expected_;  // with their credit
  Unserved unserved_;
  std::unordered_map<core::RunId, Lacking, core::IdHash> lacking_;

  std::condition_variable ticker_wakes_;
  bool ticker_idle_ = false;  // waits long or for ever: tell it when something gets a time
  bool stopping_ = false;
  std::thread ticker_;
};

}  // namespace sluice::node
