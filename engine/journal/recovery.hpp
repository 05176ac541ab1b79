// Recovery: a partition from its newest checkpoint and the fold of what follows.
//
// The fold runs the same `apply` as the owner did. At the end of each stored batch the chain is
// compared, so that a hole or a foreign record is found, and the digest of the effects (sometimes
// the hash of the state), so that an apply that is no longer the same function is found: before
// anything of this partition leaves the process. Either halts this partition alone, until a person
// overrides the record (override.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <variant>

#include "engine/core/partition.hpp"
#include "engine/core/programs.hpp"
#include "engine/journal/append.hpp"
#include "engine/journal/checkpoint.hpp"
#include "engine/journal/database.hpp"
#include "engine/journal/override.hpp"

namespace sluice::journal {

// A record as it is stored.
struct StoredRecord {
  core::Record record;
  Day day = 0;
  std::uint64_t epoch = 0;
  core::RunId run;
  core::Seq run_prev = 0;
  core::PartitionId cause_partition{};
  bool last_of_batch = false;  // the next three are set
  core::Hash128 chain;
  Digest digest;
};

// A partition's records after `after`, in order. One reader per connection at a time.
class JournalReader {
 public:
  explicit JournalReader(Database& database) : database_(database) {}
  // `from_day` bounds the leaves that are looked at: the day of record `after`, or 0.
  Database::Result<void> open(core::PartitionId partition, core::Seq after, Day from_day);
  // False at the end. `out` keeps its memory.
  Database::Result<bool> next(StoredRecord& out);

 private:
  Database& database_;
};

// The partition cannot be folded: a person has to look. Nothing of it was sent anywhere.
struct Damage {
  core::Seq seq = 0;
  std::string message;
  core::Seq first = 0;  // where it may lie: the record itself, or the first of its batch
  core::Seq last = 0;   // of the journal, as it was read
  // What an override of it can be; nothing: none mends it.
  std::optional<OverrideMode> cure;
};
using RecoveryError = std::variant<DatabaseError, Damage>;

struct Recovered {
  core::Partition partition;
  Tip tip;
  std::uint64_t records = 0;  // folded
  core::Seq checkpoint_seq = 0;
};

struct RecoveryHooks {
  // Before a record is applied and after: the poison notebook. False: it killed the process before,
  // the partition halts.
  std::function<bool(const core::Record&)> applying;
  std::function<void()> applied;
  // Runs that ended in the tail: the projection may not have them.
  std::function<void(core::RunRow&&)> run_changed;
  // A record that is overridden, and its effects.
  std::function<void(const core::Record&, OverrideMode, const core::Effects&)> overridden;
};

// Where a fold begins. From the beginning, when the projection is to be made again or a partition
// is to be audited: only while its first record is still there.
enum class FoldFrom : std::uint8_t { checkpoint, beginning };

tl::expected<Recovered, RecoveryError> recover(Database& database,
                                               const core::Partition::Config& config,
                                               core::ProgramSource& programs,
                                               const RecoveryHooks& hooks,
                                               FoldFrom from = FoldFrom::checkpoint);

}  // namespace sluice::journal
