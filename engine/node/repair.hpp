// Looks at partitions that cannot be folded, and writes the override that lets one go on: what
// `flowd repair` does. A node may be running: folds read one snapshot of the database and change
// nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "engine/journal/override.hpp"
#include "engine/journal/recovery.hpp"
#include "engine/node/node.hpp"
#include "engine/node/notebook.hpp"
#include "engine/node/registry.hpp"

namespace sluice::node {

// What became of an overridden record.
struct Overridden {
  core::Seq seq = 0;
  std::string kind;
  journal::OverrideMode mode{};
  std::vector<core::RunId> dead_letters;  // runs that it ended
  bool rejected = false;                  // it was an event or a start: its id is free again
};

// How a partition folds from its newest checkpoint.
struct FoldReport {
  core::PartitionId partition{};
  core::Seq checkpoint = 0;
  std::uint64_t records = 0;              // folded, if it does
  std::optional<journal::Damage> damage;  // at what it halts
  std::vector<Overridden> overridden;     // on the way
};

struct RepairRequest {
  core::PartitionId partition{};
  core::Seq record = 0;
  std::optional<journal::OverrideMode> mode;  // nothing: what cures it
  std::string why;
  std::string by;
};

class Repair {
 public:
  // `state_dir`: of the node's notebook; may be empty. Refuses a database that holds no Sluice.
  static tl::expected<std::unique_ptr<Repair>, StartError> open(const std::string& database,
                                                                const std::string& state_dir);

  unsigned partitions() const { return partitions_; }
  // REQUIRES: partition < partitions().
  tl::expected<FoldReport, StartError> fold(core::PartitionId partition);
  // Writes the override, if that record is where the partition halts, and folds again. The
  // partition is let go: a running node takes it up within a second or two.
  tl::expected<FoldReport, StartError> override_record(const RepairRequest& request);

 private:
  Repair(const std::string& database, const std::string& state_dir);
  tl::expected<void, StartError> connect();
  tl::expected<FoldReport, StartError> fold_snapshot(core::PartitionId partition);

  journal::Database database_;
  Deployments deployments_;
  std::unique_ptr<Notebook> notebook_;
  unsigned partitions_ = 0;
};

}  // namespace sluice::node
