// Who owns which partition.
//
// A node keeps one row alive (`node.seen`, by the database's clock); its partitions name it by name
// and boot. Taking a partition raises its epoch in an UPDATE that waits for every append in flight,
// so no append under the old epoch can commit after it. A node that went silent loses nothing until
// somebody takes its partitions: if nobody did, it goes on under the same epochs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/journal/append.hpp"
#include "engine/journal/database.hpp"

namespace sluice::journal {

struct NodeIdentity {
  std::string name;  // the same after a restart
  core::Id128 boot;  // of this process
  std::string address;
  std::string version;
};

// What the append connections of a boot call themselves to PostgreSQL.
std::string append_application(const core::Id128& boot);

// Writes the node's row. An earlier boot of the same name is over from here on.
Database::Result<core::TimeUs> register_node(Database& database, const NodeIdentity& node);

struct Renewal {
  core::TimeUs database_time = 0;
  bool ours = false;  // false: another process runs under our name
};
Database::Result<Renewal> renew(Database& database, const NodeIdentity& node);

struct Owned {
  core::PartitionId partition{};
  std::uint64_t epoch = 0;
};

// Takes the partitions that are free, were an earlier boot's of the same name, or whose node was
// silent for ownership_ms. A backend that still appends for the old owner and does not end within
// `patience_ms` is terminated.
Database::Result<std::vector<Owned>> take_partitions(Database& database, const NodeIdentity& node,
                                                     std::uint32_t ownership_ms,
                                                     int patience_ms = 250);

// Those of `partitions` again, under a new epoch, if they are still this boot's: after its state of
// them was thrown away.
Database::Result<std::vector<Owned>> retake_partitions(
    Database& database, const NodeIdentity& node, const std::vector<core::PartitionId>& partitions);

// What this boot owns now.
Database::Result<std::vector<Owned>> owned_partitions(Database& database, const NodeIdentity& node);

// Lets them go, if they are still this boot's: the next node that looks takes them.
Database::Result<void> release_partitions(Database& database, const NodeIdentity& node,
                                          const std::vector<core::PartitionId>& partitions);

// The node's row goes too: a clean stop.
Database::Result<void> unregister_node(Database& database, const NodeIdentity& node);

struct OwnerRow {
  core::PartitionId partition{};
  std::uint64_t epoch = 0;
  std::string owner;  // empty: free
};
Database::Result<std::vector<OwnerRow>> read_owners(Database& database);

}  // namespace sluice::journal
