// Overrides: what a person decided of a record at which a partition halts. Table `override`, whose
// rows are only ever inserted; `flowd repair` writes them (engine/node/repair.hpp), every fold
// obeys them (recovery.hpp, docs/partition.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/departed.hpp"
#include "engine/journal/database.hpp"
#include "engine/journal/schema.hpp"

namespace sluice::journal {

enum class OverrideMode : std::uint8_t {
  skip,   // the record is not worked on: its verdict is `overridden`
  accept  // what the batch that ends with it gives now is right, whatever is stored
};
std::string_view override_word(OverrideMode mode);

struct Override {
  core::Seq seq = 0;
  // The stretch that was journaled by an owner with another state: from the record, or where one
  // of a batch was altered from the batch's first, to the journal's last when this was written.
  core::Seq first = 0;
  core::Seq tip = 0;
  OverrideMode mode = OverrideMode::skip;
  core::Departed departed;
};

// Those whose stretch ends after `after`, by their first record. Damaged ones are an error of kind
// `foreign`.
Database::Result<std::vector<Override>> read_overrides(Database& database,
                                                       core::PartitionId partition,
                                                       core::Seq after);

struct NewOverride {
  core::PartitionId partition{};
  core::Seq seq = 0;
  core::Seq first = 0;
  core::Seq tip = 0;  // the last record that was seen
  OverrideMode mode = OverrideMode::skip;
  std::string found;  // at what it halts
  std::string why;
  std::string by;
};
enum class OverrideWritten : std::uint8_t {
  written,
  moved_on,  // the journal has records after `tip`: look again
  known      // this record was overridden so before
};
// Writes it with what has departed, in one transaction. The projection's rows of that partition
// that the fold will make again are dropped, and the partition is let go: the next node that looks
// folds it under a new epoch.
Database::Result<OverrideWritten> write_override(Database& database, const NewOverride& wanted);

}  // namespace sluice::journal
