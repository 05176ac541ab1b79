// The model of the journal's database: what PostgreSQL keeps, and what each statement does, in one
// instant each. That a statement is lost, answered too late or executed after its sender has given
// it up is the business of the line to it (faults.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/partition.hpp"
#include "engine/core/record.hpp"
#include "engine/sim/options.hpp"

namespace sluice::sim {

using core::Hash128;
using core::PartitionId;
using core::Seq;

using Epoch = std::uint64_t;
using Generation = std::uint64_t;
// Tenant and name.
using ClientName = std::pair<std::uint32_t, std::string>;

struct JournalRow {
  core::Record record;
  Epoch epoch = 0;
  // Of the owner that wrote it, right after applying it. Production keeps it only per batch.
  Hash128 live_hash;
  bool batch_end = false;
  // On a batch's last record only.
  Hash128 chain, digest, state_hash;
};

// One partition's part of an append statement.
struct AppendPart {
  PartitionId partition{};
  Epoch epoch = 0;
  Seq previous = 0;
  Hash128 previous_chain;
  std::vector<JournalRow> rows;
  std::vector<core::Delivery> deliveries;
};

struct Tip {
  Epoch epoch = 0;
  Seq seq = 0;
  Hash128 chain;
};

struct StoredCheckpoint {
  Generation generation = 0;
  core::Partition::Checkpoint checkpoint;
};

// What recovery reads.
struct Recovery {
  std::optional<StoredCheckpoint> checkpoint;
  std::vector<core::StateRow> rows;
  std::vector<JournalRow> tail;
  Generation next_generation = 1;
};

struct Ownership {
  Epoch epoch = 0;
  int owner = -1;  // node; -1: never owned
  std::uint64_t boot = 0;
  TimeUs owner_seen = 0;  // by the database's clock
};

class Database {
 public:
  explicit Database(const Options& options);

  // Clock: true time and what it is off by.
  void jump_clock(TimeUs by) { clock_off_ += by; }
  TimeUs clock(TimeUs true_time) const { return true_time + clock_off_; }

  // ---- statements
  // Each part passes if its epoch is the partition's and its tip is the journal's last row. The
  // partitions that passed.
  std::vector<PartitionId> append(const std::vector<AppendPart>& parts);
  // Also drops what is left of checkpoints that were never committed.
  std::optional<Epoch> take_over(PartitionId partition, Epoch from, int node, std::uint64_t boot);
  void renew(int node, TimeUs true_time) { seen_[node] = clock(true_time); }
  std::vector<Ownership> ownership() const;
  Tip tip(PartitionId partition) const;
  // False: the epoch is no longer the partition's.
  bool store_rows(PartitionId partition, Epoch epoch, Generation generation,
                  const std::vector<core::StateRow>& rows);
  bool commit_checkpoint(PartitionId partition, Epoch epoch, const StoredCheckpoint& checkpoint);
  Recovery recover(PartitionId partition) const;
  std::vector<core::Delivery> deliveries(PartitionId home, const ClientName& client,
                                         std::uint64_t after) const;

  // ---- for the checkers: what is kept in the end
  struct Stored {
    Epoch epoch = 0;
    int owner = -1;
    std::uint64_t boot = 0;
    std::vector<JournalRow> journal;  // in the order of insertion
    std::map<ClientName, std::vector<core::Delivery>> deliveries;
    std::map<core::RowId, std::map<Generation, core::StateRow>> rows;
    std::vector<StoredCheckpoint> checkpoints;
    std::vector<Seq> tips_appended_to;
  };
  const std::vector<Stored>& stored() const { return stored_; }
  // A planted bug has done its work at least once.
  bool planted() const { return planted_; }

 private:
  bool passes(const Stored& stored, const AppendPart& part);
  void insert(Stored& stored, const AppendPart& part);
  void drop_unfinished(Stored& stored);
  void plant_in_rows(std::vector<JournalRow>& rows);
  void plant_in_deliveries(std::vector<core::Delivery>& deliveries);

  Plant plant_;
  mutable bool planted_ = false;  // also reads can be planted
  TimeUs clock_off_ = 0;
  std::vector<Stored> stored_;
  std::map<int, TimeUs> seen_;
};

}  // namespace sluice::sim
