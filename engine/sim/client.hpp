// A client: sends events under ids of its own until they are accepted, and takes what is delivered
// to it in order, whatever the sockets do.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/sim/checkers.hpp"
#include "engine/sim/random.hpp"
#include "engine/sim/world.hpp"

namespace sluice::sim {

// Tokens of answers to signals begin here; below are events.
inline constexpr std::uint64_t kSignalTokens = 1'000'000;

class Client {
 public:
  Client(World& world, unsigned index, Random random);

  void start();
  // Everything it sent was answered, and each run it heard of has ended.
  bool content() const;
  bool is(core::TenantId tenant, const std::string& client) const {
    return tenant == tenant_ && client == name_;
  }
  core::PartitionId home() const { return home_; }
  core::TenantId tenant() const { return tenant_; }
  ClientName name() const { return {core::number(tenant_), name_}; }

  // ---- what reaches it
  void answered(std::uint64_t token, const core::Effect& effect);
  void delivered(std::uint64_t connection, const core::Delivery& delivery);

 private:
  struct Sending {
    Key key;
    std::string data;
    bool done = false;
  };

  void send_next();
  void send(unsigned number);
  void keep_sending(unsigned number);
  void accepted(unsigned number, const core::Accepted& answer);
  // What it sends under this number, from what it knows now.
  void compose(Sending& sending, unsigned number);
  void rejected(unsigned number, const core::Rejected& answer);
  void cancel(const core::RunId& run);
  void watch();  // the socket: connected to its home's owner, and nothing missed
  void connect();
  void hang_up();  // its node learns it some time later

  // ---- signals (client_signals.cc)
  struct Signaling {
    core::RunId run;
    std::string id;
    std::string data;
    bool fits = true;  // the run receives such an event
    bool done = false;
  };
  // To a run of `talk` that this client started.
  void plan_signals(const core::RunId& run);
  void begin_signal(const core::RunId& run, bool fits);
  void signal(std::size_t index);
  void signal_answered(std::size_t index, const core::Effect& effect);

  World& world_;
  unsigned index_;
  Random random_;
  core::TenantId tenant_;
  std::string name_;
  core::PartitionId home_;
  std::map<unsigned, Sending> sending_;  // by number from 1; also what is done
  unsigned cancels_ = 0;
  std::vector<Signaling> signals_;

  std::uint64_t connection_ = 0;
  int node_ = -1;
  std::uint64_t boot_ = 0;
  std::uint64_t offset_ = 0;                // the last delivery that it took
  TimeUs asked_ = 0;                        // when it last asked for what it missed
  std::map<core::RunId, bool> runs_;        // those it heard of; true: ended
  TimeUs gone_until_ = 0;                   // has no socket until then
  std::set<core::RunId> joined_;            // of them those whose answer may be another's
  std::map<core::RunId, core::Seq> turns_;  // of them those that a newer one supersedes
};

}  // namespace sluice::sim
