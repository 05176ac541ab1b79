// Makes the projection of runs (table `run`) again from the journal.
//
// For a person who lost or changed its rows; no node of the cluster needs to be stopped: rows that
// a node wrote later win. Folds each partition from its first record, or from its newest checkpoint
// where retention has dropped the beginning: then runs that ended before that checkpoint are not
// brought back.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "engine/node/node.hpp"

namespace sluice::node {

struct Rebuilt {
  std::uint64_t records = 0;    // folded
  std::uint64_t runs = 0;       // rows written
  unsigned partitions_cut = 0;  // folded from a checkpoint only
};

// `database` as of NodeConfig. Writes nothing but table `run`. Blocks until done.
tl::expected<Rebuilt, StartError> rebuild_runs(const std::string& database);

}  // namespace sluice::node
