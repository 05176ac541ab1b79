// Which clients have a socket at a node, and what runs that receive `Away` or `Back` are to be told
// of that: what engine/node's Presences is in production. Time is passed in: true time for the
// grace, the node's for what runs are told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/record.hpp"
#include "engine/sim/scheduler.hpp"

namespace sluice::sim {

// How long a client without a socket still counts as there.
inline constexpr TimeUs kGrace = 2 * kSecond;

class Sessions {
 public:
  using Who = std::pair<core::TenantId, std::string>;
  struct Now {
    TimeUs real = 0;  // true time
    TimeUs time = 0;  // of records
  };
  // To be journaled.
  struct News {
    Who who;
    core::Presence presence;
  };
  using Out = std::vector<News>;

  // Nobody is away before the grace from here is over.
  explicit Sessions(Now opened) : opened_(opened) {}

  // Frames come late and doubled: a connection that has left does not come back.
  void attached(const Who& who, std::uint64_t connection, Now now, Out& out);
  void left(const Who& who, std::uint64_t connection, Now now, TimeUs grace);
  void wanted(const core::PresenceWanted& effect, Now now, Out& out);
  void over(const core::RunRow& row);
  void drop(core::PartitionId partition);
  std::optional<TimeUs> next_due() const;  // in true time
  void tick(TimeUs real, Out& out);

  // Whether it is away; nothing: nobody knows it, or it may still come.
  std::optional<bool> away(const Who& who) const;
  // For so long it has had no socket; 0: it has one.
  TimeUs absent(const Who& who, TimeUs real) const;

 private:
  enum class State : std::uint8_t { here, leaving, away };
  struct Client {
    std::set<std::uint64_t> open;  // connections
    State state = State::away;
    TimeUs due = 0;                    // of `leaving`
    TimeUs left = 0;                   // true time; 0: it never had a socket here
    TimeUs since = 0;                  // as runs are told
    std::map<core::RunId, bool> runs;  // what each was told: away
  };
  static void settle(const Who& who, Client& client, bool away, TimeUs since, Out& out);

  Now opened_;
  std::map<Who, Client> clients_;
  std::map<Who, std::uint64_t> closed_;  // the last connection that has left
};

}  // namespace sluice::sim
