// Which clients are there: a client is, from its first session's attach until the grace after its
// last one's detach is over. Runs that receive `Away` or `Back` of std.presence (core's
// PresenceWanted) are told when that changes, by a Presence record each; who was told what is
// core's to keep, which drops what its run knows already. So a thing is rather said twice here than
// never.
//
// Presences is the rule, without clock and thread; PresenceDesk runs it on the node's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/record.hpp"

namespace sluice::node {

struct Shared;

class Presences {
 public:
  // One moment by both clocks: monotonic, for the grace, and of records.
  struct Now {
    std::int64_t monotonic_us = 0;
    core::TimeUs time = 0;
  };
  // To be journaled.
  struct News {
    core::TenantId tenant{};
    core::Presence presence;
  };
  using Out = std::vector<News>;

  explicit Presences(std::int64_t grace_us) : grace_us_(grace_us) {}

  // Sessions can attach from now on: whoever is not there has the grace to come. Before that
  // nobody is away.
  void open(Now now);

  void arrived(core::TenantId tenant, std::string_view client, Now now, Out& out);
  void left(core::TenantId tenant, std::string_view client, Now now);

  void wanted(const core::PresenceWanted& effect, Now now, Out& out);
  // The run has ended. Nothing where it was never wanted.
  void over(core::TenantId tenant, std::string_view client, const core::RunId& run);
  // Its runs are not ours to tell any more.
  void drop_partition(core::PartitionId partition);

  // When tick() has something to do, by the monotonic clock.
  std::optional<std::int64_t> next_due() const;
  void tick(Now now, Out& out);

  std::size_t clients() const { return clients_.size(); }  // that are known here
  std::size_t listening() const { return listening_; }     // runs

 private:
  enum class State : std::uint8_t { here, leaving, away };
  struct Listener {
    core::RunId run;
    bool told_away = false;
  };
  struct Client {
    std::size_t sessions = 0;
    State state = State::away;
    std::int64_t due_us = 0;  // of `leaving`; 0: the grace begins with open()
    core::TimeUs since = 0;   // when the last session left; 0: before anybody here knew of it
    std::vector<Listener> runs;
  };
  using Key = std::pair<core::TenantId, std::string>;
  using Clients = std::map<Key, Client>;

  void leave(const Key& key, Client& client, std::int64_t due_us);
  void stay(const Key& key, Client& client);
  void settle(Clients::iterator at, bool away, core::TimeUs since, Out& out);
  void forget_idle(Clients::iterator at);

  std::int64_t grace_us_;
  std::optional<Now> opened_;
  Clients clients_;
  std::set<std::pair<std::int64_t, Key>> due_;  // of those that are leaving
  std::size_t listening_ = 0;
};

// Thread-safe. One lock, under which records are posted to apply threads.
class PresenceDesk {
 public:
  explicit PresenceDesk(Shared& shared);
  ~PresenceDesk();
  // open: when the node serves. stop: nobody is told any more, whoever leaves from then on.
  void start();
  void open();
  void stop();

  // ---- from gateway threads: sessions.
  void arrived(core::TenantId tenant, std::string_view client);
  void left(core::TenantId tenant, std::string_view client);

  // ---- from apply threads: effects, in their order, after the commit.
  void wanted(const core::PresenceWanted& effect);
  void over(const core::RunRow& row);
  void drop_partition(core::PartitionId partition);

 private:
  void loop();
  Presences::Now now() const;
  void post(Presences::Out& out);  // REQUIRES: the lock

  Shared& shared_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  Presences presences_;
  std::atomic<bool> anybody_{false};  // listens: so that ends of runs take no lock where none does
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::node
