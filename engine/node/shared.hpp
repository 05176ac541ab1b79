// What the parts of one node have in common. Made by Node::start, outlives all of its threads.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/journal/ownership.hpp"
#include "engine/journal/schema.hpp"
#include "engine/node/clock.hpp"
#include "engine/node/config.hpp"
#include "engine/node/inbox.hpp"
#include "engine/node/notebook.hpp"
#include "engine/node/presence.hpp"
#include "engine/node/registry.hpp"
#include "engine/node/requests.hpp"
#include "engine/node/stream_desk.hpp"

namespace sluice::node {

struct Counters {
  std::atomic<std::uint64_t> records{0}, batches{0}, deliveries{0}, accepted{0}, rejected{0},
      duplicates{0}, tasks_handed_out{0}, reports_settled{0}, reports_stale{0}, attempts_lapsed{0},
      checkpoints{0}, append_bytes{0}, append_retries{0}, reconnects{0}, commit_us_total{0},
      recovered_records{0}, recovery_us{0}, dead_letters{0};
  // Counted by one thread at a time, read by others.
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n = 1) {
    counter.fetch_add(n, std::memory_order_relaxed);
  }
};

// Messages on their way to the gateway, by shard.
class Outgoings {
 public:
  explicit Outgoings(unsigned shards) : shards_(shards) {}
  // A message for a shard that does not exist goes nowhere: its connection is none of this process.
  void add(unsigned shard, Outgoing&& message) {
    if (shard < shards_.size()) shards_[shard].push_back(std::move(message));
  }
  void emit(Outbox& outbox) {
    for (unsigned i = 0; i < shards_.size(); ++i) {
      if (shards_[i].empty()) continue;
      outbox.emit(i, std::move(shards_[i]));
      shards_[i] = {};
    }
  }
  unsigned shards() const { return static_cast<unsigned>(shards_.size()); }

 private:
  std::vector<std::vector<Outgoing>> shards_;
};

// Runs that somebody watches. Thread-safe; costs one atomic load when nobody does.
class Watches {
 public:
  void add(const core::RunId& run, unsigned shard);
  void remove(const core::RunId& run, unsigned shard);
  std::vector<unsigned> shards(const core::RunId& run) const;

 private:
  std::atomic<std::uint64_t> count_{0};
  mutable std::mutex mutex_;
  std::unordered_map<core::RunId, std::unordered_map<unsigned, unsigned>, core::IdHash> runs_;
};

// How a partition stands on this node, for status and readiness.
struct PartitionState {
  enum class Phase : std::uint8_t { elsewhere, recovering, serving, halted };
  Phase phase = Phase::elsewhere;
  std::uint64_t epoch = 0;
  core::Seq durable = 0;
  std::uint64_t runs = 0;
  std::string why;
};

class PartitionStates {
 public:
  explicit PartitionStates(unsigned partitions) : states_(partitions) {}
  void set(core::PartitionId partition, PartitionState state) {
    const std::lock_guard lock(mutex_);
    states_[number(partition)] = std::move(state);
    changed_.notify_all();
  }
  // Something of it became durable under this epoch: it serves.
  void progress(core::PartitionId partition, std::uint64_t epoch, core::Seq durable,
                std::uint64_t runs) {
    const std::lock_guard lock(mutex_);
    PartitionState& state = states_[number(partition)];
    const bool news = state.phase != PartitionState::Phase::serving;
    state.phase = PartitionState::Phase::serving;
    state.epoch = epoch;
    state.durable = durable;
    state.runs = runs;
    if (news) changed_.notify_all();
  }
  bool serves(core::PartitionId partition) const {
    const std::lock_guard lock(mutex_);
    return states_[number(partition)].phase == PartitionState::Phase::serving;
  }
  std::vector<PartitionState> all() const {
    const std::lock_guard lock(mutex_);
    return states_;
  }
  // Until none of these is on its way any more (it serves, or halted). False: not within that time.
  bool wait_settled(const std::vector<core::PartitionId>& partitions,
                    std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] {
      for (const auto partition : partitions) {
        const auto phase = states_[number(partition)].phase;
        if (phase != PartitionState::Phase::serving && phase != PartitionState::Phase::halted) {
          return false;
        }
      }
      return true;
    });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<PartitionState> states_;
};

// Which of the apply threads have their connection: how many have not. Thread-safe.
class Connections {
 public:
  void went() {
    const std::lock_guard lock(mutex_);
    ++missing_;
  }
  void came() {
    const std::lock_guard lock(mutex_);
    if (--missing_ == 0) changed_.notify_all();
  }
  bool all() const { return missing_.load(std::memory_order_relaxed) == 0; }
  // False: not within that time.
  bool wait_all(std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return all(); });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::atomic<unsigned> missing_{0};  // read without the lock by every request
};

struct Shared {
  Shared(NodeConfig c, Outbox& o, const journal::Cluster& k)
      : config(std::move(c)),
        outbox(o),
        cluster(k),
        clock(config.time_shift_us),
        deployments(config.database),
        states(k.partitions) {}

  NodeConfig config;
  Outbox& outbox;
  journal::Cluster cluster;
  journal::NodeIdentity identity;
  DatabaseClock clock;
  Tenants tenants;
  Deployments deployments;
  Counters counters;
  Watches watches;
  PartitionStates states;
  StreamDesk streams{*this};
  PresenceDesk presence{*this};
  std::unique_ptr<Notebook> notebook;           // may be null
  std::vector<std::unique_ptr<Inbox>> inboxes;  // one per apply thread

  // Until when by monotonic_us() this node may append: moved on by each renewal.
  std::atomic<std::int64_t> owned_until_us{0};
  std::atomic<std::int64_t> delivery_epoch{1};
  std::atomic<bool> stopping{false};
  // Number of config.schedule_tenant; 0: not known yet, and no schedule is served.
  std::atomic<std::uint32_t> schedule_tenant{0};
  std::atomic<bool> tail_lost{false};   // clients must be told: the delivery epoch rises
  std::atomic<bool> fenced_off{false};  // another process runs under our name
  Connections connections;

  // Said at most once each, for status.
  void warn(const std::string& warning);
  std::vector<std::string> warnings() const;
  void set_trouble(const std::string& why);  // the database's, "" when it is over
  std::string trouble() const;

  // A partition's thread is fixed, whether it is owned or not.
  Inbox& inbox(core::PartitionId partition) { return *inboxes[number(partition) % inboxes.size()]; }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> warnings_;
  std::string trouble_;
};

// One line on standard error, with the node's name and time: what an operator should read.
void log_line(const Shared& shared, const std::string& text);

}  // namespace sluice::node
