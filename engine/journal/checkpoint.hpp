// Stored state: what a checkpoint writes, and what recovery reads before it folds the tail.
//
// A checkpoint of a partition is made of rows (run_state), each of the generation at which it was
// written, and a last row (checkpoint) that makes them count. The generation is the seq that the
// checkpoint stands at. Rows of a checkpoint that was never completed do not count, and the next
// one that is completed removes them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/partition.hpp"
#include "engine/journal/append.hpp"
#include "engine/journal/database.hpp"

namespace sluice::journal {

// Rows of one slice. Safe to repeat. Writes nothing when the partition is no longer owned under
// this
// epoch: a late slice of an earlier owner could outlive the checkpoints that should remove it.
Database::Result<void> write_state_rows(Database& database, core::PartitionId partition,
                                        std::uint64_t epoch, core::Seq generation,
                                        const std::vector<core::StateRow>& rows);

// All rows are stored and the journal is durable up to checkpoint.seq: from here on recovery begins
// there. Drops what it supersedes. False: the partition is no longer owned under this epoch,
// nothing was changed.
Database::Result<bool> commit_checkpoint(Database& database, core::PartitionId partition,
                                         std::uint64_t epoch,
                                         const core::Partition::Checkpoint& checkpoint,
                                         const core::Hash128& chain);

struct StoredCheckpoint {
  core::Partition::Checkpoint checkpoint;
  core::Hash128 chain;
  std::vector<core::StateRow> rows;
};
// The newest; nothing if there is none.
Database::Result<std::optional<StoredCheckpoint>> read_checkpoint(Database& database,
                                                                  core::PartitionId partition);

}  // namespace sluice::journal
