// What must hold, whatever breaks: the invariants of the engine, by their numbers there, checked on
// what is seen from outside while a run goes on, and on what the database holds in the end.
//
//   1 journal   2 nothing ahead of its commit   3 folds agree   4 keys   5 attempts and ends
//   6 messages  7 deliveries                    9 nothing stuck, everything ends
//   13 turns: under `concurrency` no more go on than may, and each event has the answer of its run
//      or of a newer one
//   14 signals  15 hedges and streams  16 children  17 schedules  19 joins  20 presence:
//   promises.hpp
//   18 groups: a run's line stands once in the log
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/partition.hpp"
#include "engine/core/programs.hpp"
#include "engine/core/record.hpp"
#include "engine/sim/database.hpp"
#include "engine/sim/promises.hpp"

namespace sluice::sim {

struct Violation {
  unsigned invariant = 0;
  bool liveness = false;  // nothing wrong was done, but something was not done
  std::string text;
};

// What tells one input from another, as a client means it.
struct Key {
  std::uint32_t tenant = 0;
  std::uint32_t topic = 0;
  std::string client, order_key, id;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// Tells records of one seq apart.
std::uint64_t fingerprint(const core::Record& record);

class Checkers {
 public:
  // Both must outlive the checkers.
  // `outbox_messages` is that of every partition's configuration.
  Checkers(const Database& database, core::ProgramSource& programs, const vm::Program& program,
           std::uint64_t outbox_messages);

  // ---- while the run goes on
  void violation(unsigned invariant, std::string text);
  void stuck(std::string text);
  // Something left a node that depends on this record, as the node knows it (0: it was read from
  // the database).
  void observed(core::PartitionId partition, core::Seq seq, std::uint64_t print, const char* what);
  void accepted(const Key& key, const core::Accepted& answer);
  // A client was told that its signal is taken.
  void signalled(const core::RunId& run, const std::string& client, const std::string& id);
  // The task frame left a node for a worker's socket. A node's time as a partition's owner: what it
  // offered early may be lost with it, and begin anew under a higher epoch.
  struct Term {
    int node = 0;
    std::uint64_t boot = 0;
    Epoch epoch = 0;
    friend auto operator<=>(const Term&, const Term&) = default;
  };
  void handed_out(const Term& term, const core::Offer& offer, std::uint64_t nonce);
  // In the order in which the client took them.
  void received(const core::Delivery& delivery);

  // ---- in the end
  struct End {
    bool all_ended = false;  // every run, every outbox, every client has what it waits for
    bool harmless = false;   // nothing was broken on purpose: every flow must have its good answer
    std::uint64_t seed = 0;  // draws the batch borders of the folds
  };
  void finish(const End& end);

  const std::vector<Violation>& violations() const { return violations_; }
  // What happened, and how often: by then every journal was folded.
  Happened happened() const;
  void refused(const std::string& why) { ++refused_["refused " + why]; }

 private:
  core::Partition::Config config_of(core::PartitionId partition) const;
  void check_journal(core::PartitionId partition, const Database::Stored& stored);
  void check_observations();
  void check_fold(core::PartitionId partition, const Database::Stored& stored);
  void check_checkpoint(core::PartitionId partition, const Database::Stored& stored,
                        const StoredCheckpoint& checkpoint);
  void check_inputs(core::PartitionId partition, const Database::Stored& stored);
  core::PartitionId home_of_run(core::PartitionId partition, core::TenantId tenant,
                                const core::Event& event) const;
  void check_input(core::PartitionId partition, const JournalRow& row);
  void check_reports(core::PartitionId partition, const Database::Stored& stored);
  void check_messages(core::PartitionId partition, const Database::Stored& stored);
  void check_acknowledged(core::PartitionId partition, const Database::Stored& stored);
  void check_outboxes(const End& end);
  void check_deliveries();
  void check_received();
  // At most one run of a key, or of a client's turns, goes on: told by what the records of a
  // partition, in their order, led to.
  class Turns;
  void check_superseded(const core::RunId& run);
  void check_ends(const End& end);
  void check_end(const core::RunId& run, const core::Delivery& outcome, const End& end);
  void check_signals();
  void check_board();

  struct Observation {
    core::PartitionId partition{};
    core::Seq seq = 0;
    std::uint64_t print = 0;
    const char* what = "";
  };
  struct Started {
    std::uint32_t topic = 0;
    std::string text;  // of the event
    bool has_client = false;
    core::PartitionId partition{};
    core::Seq seq = 0;
    Key key;
  };
  struct First {
    core::EventId event;
    core::Seq seq = 0;
    std::vector<core::RunId> runs;
  };

  const Database& database_;
  core::ProgramSource& programs_;
  const vm::Program& program_;
  const std::uint64_t outbox_messages_;
  std::vector<Violation> violations_;
  std::vector<Observation> observations_;
  std::map<Key, First> accepted_;
  std::map<core::EventId, Key> events_;
  std::set<std::tuple<unsigned, core::RunId, core::StepNumber, std::uint32_t>> unsafe_;
  // Per owner's term and step (of a hedged one per attempt): the highest (attempt, nonce).
  std::map<std::tuple<Term, core::RunId, core::StepNumber, std::uint32_t>,
           std::pair<std::uint32_t, std::uint64_t>>
      highest_;
  std::map<std::pair<core::RunId, core::StepNumber>, std::string> tasks_;  // handed out
  std::set<core::RunId> charged_;                                          // whose charge is done
  std::set<core::RunId> refunded_;  // whose refund was at least tried
  std::map<ClientName, std::vector<core::Delivery>> received_;
  // Per way (source, destination): the bodies that were taken, and by the fold those that were
  // sent.
  using Way = std::pair<unsigned, unsigned>;
  std::map<Way, std::vector<std::string>> taken_;
  std::map<Way, std::vector<std::string>> sent_;
  std::map<Key, TimeUs> journaled_;  // when last
  std::map<core::RunId, Started> started_;
  std::map<core::RunId, Key> meant_;  // by the client that was told of the run
  std::set<core::RunId> superseded_;
  std::set<core::RunId> joined_;
  std::set<std::tuple<core::RunId, std::string, std::string>> signalled_;  // run, client, id
  std::vector<std::unique_ptr<Promise>> promises_;
  Happened refused_;
  std::map<core::RunId, std::vector<core::Delivery>> ends_;
};

}  // namespace sluice::sim
