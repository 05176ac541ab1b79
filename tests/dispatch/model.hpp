// The dispatcher's rules, written so that they can be read: one vector of attempts and one of
// workers, everything found by looking at all of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/dispatch/dispatcher.hpp"

namespace sluice::dispatch {

class Model {
 public:
  explicit Model(const Config& config) : config_(config), nonce_(config.first_nonce) {}

  void offer(const Offer& offer, TimeUs now);
  void revoke(const AttemptKey& key, const std::string& why, TimeUs now);
  void granted(const AttemptKey& key, TimeUs now);
  void reported(const AttemptKey& key, TimeUs now);
  void drop_partition(core::PartitionId partition);
  void joined(unsigned worker, std::optional<unsigned> tenant,
              const std::vector<std::string>& tasks, std::uint32_t credit, TimeUs now);
  void credit(unsigned worker, std::uint32_t n, TimeUs now);
  void renew(unsigned worker, const LeaseName& lease, bool take_over, TimeUs now);
  void left(unsigned worker);
  void tick(TimeUs now);
  std::optional<TimeUs> next_due() const;
  DispatcherStats stats() const;

  // What was asked since the last call, in the form of action_text.
  std::string take_actions();
  // Of an attempt that is leased; 0: it is not.
  std::uint64_t nonce_of(const AttemptKey& key) const;

 private:
  enum class State { queued, granting, leased, reclaiming, overdue };
  struct Attempt {
    Offer offer;
    State state = State::queued;
    std::uint64_t order = 0;
    unsigned worker = 0;
    std::uint64_t nonce = 0;
    TimeUs offered = 0, lease_end = 0, timeout = 0;  // timeout 0: none
    TimeUs queue_end = 0;                            // 0: for ever
  };
  struct Worker {
    unsigned id = 0;
    std::optional<unsigned> tenant;
    std::vector<std::string> tasks;
    std::uint32_t credit = 0;
  };
  // (tenant or all, task): those who may have credit, in the order in which they take turns.
  using Place = std::pair<std::optional<unsigned>, std::string>;

  Attempt* find(const AttemptKey& key);
  Worker* find(unsigned worker);
  void forget(const AttemptKey& key);
  std::uint32_t available(const Worker& worker) const;
  Attempt* head(unsigned tenant, const std::string& task);
  bool serve_queue(unsigned tenant, const std::string& task, TimeUs now);
  void serve(unsigned worker, TimeUs now);
  void serve_released(TimeUs now);
  void assign(Worker& worker, Attempt& attempt, TimeUs now);
  void hand_out(Worker& worker, Attempt& attempt, TimeUs now);
  void lease(Attempt& attempt, unsigned worker, std::uint64_t nonce, TimeUs from, TimeUs now);
  std::uint32_t lease_ms(const Attempt& a) const {
    return a.offer.heartbeat_ms ? a.offer.heartbeat_ms : config_.lease_ms;
  }
  TimeUs due(const Attempt& attempt) const;  // 0: none
  void update_turns();

  Config config_;
  std::uint64_t nonce_;
  std::uint64_t order_ = 1;
  std::vector<Attempt> attempts_;
  std::vector<Worker> workers_;
  std::map<Place, std::vector<unsigned>> idle_;
  std::map<std::string, std::vector<unsigned>> turns_;  // tenants with work, per task
  std::vector<unsigned> released_;
  std::string actions_;
};

}  // namespace sluice::dispatch
