// The database's layout: migrations, the cluster's row, and the daily leaves of `journal` and
// `delivery`.
//
// The schema is brought up to date at every start, by whichever node comes first (an advisory
// lock). A database of a newer format is refused; an older one is migrated forward, never back.
// Tables live in the first schema of the search path.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/journal/database.hpp"

namespace sluice::journal {

// Version of the layout, raised by each migration (migrations.cc).
inline constexpr int kFormat = 4;

// Days since 1970-01-01 UTC of a record time: the key of a leaf.
using Day = std::int32_t;
inline constexpr core::TimeUs kUsPerDay = 86'400'000'000;
constexpr Day day_of(core::TimeUs time) {
  return static_cast<Day>(time / kUsPerDay);
}

// Leaves are made this far ahead, so that midnight waits for nobody.
inline constexpr Day kLeavesAhead = 2;

// What the database knows of itself; fixed when it was initialised, but for the last three.
struct Cluster {
  core::Id128 id;
  int format = 0;
  unsigned partitions = 0;
  std::array<std::uint8_t, 16> lease_key{};
  std::int64_t delivery_epoch = 1;
  std::int64_t system_id = 0;
  std::int32_t timeline = 0;
};

// Migrates and reads the cluster's row; an empty database is initialised with `partitions`.
// REQUIRES: 1 <= partitions <= 1024.
Database::Result<Cluster> migrate(Database& database, unsigned partitions);

// The server is another one (restored, promoted): remember it. Returns what the row says now.
Database::Result<void> record_server(Database& database, const ServerFacts& facts);
// Deliveries may have been lost with the tail of the journal: every client must be told.
Database::Result<std::int64_t> raise_delivery_epoch(Database& database);

// Makes the leaves of [first, last]. Does nothing for those that exist.
Database::Result<void> ensure_leaves(Database& database, Day first, Day last);

// Days that have a leaf of the journal, ascending.
Database::Result<std::vector<Day>> leaves(Database& database);

// Drops the leaves of `journal` before `journal_before` and those of `delivery` before
// `delivery_before`. The caller has made sure that no checkpoint, tip or live run needs them. A
// leaf that is busy (its lock cannot be had within a second) is left for the next time.
Database::Result<int> drop_leaves(Database& database, Day journal_before, Day delivery_before);

// The oldest day that recovery or a history of a live run needs: of every partition's newest
// checkpoint and tip. Nothing older is read again by an owner, nor by the repair of a partition
// that has halted.
Database::Result<Day> oldest_day_needed(Database& database);

}  // namespace sluice::journal
