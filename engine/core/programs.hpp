// Where a partition finds the programs that its records name.
#pragma once

#include "engine/core/ids.hpp"

namespace sluice::vm {
class Unit;
}

namespace sluice::core {

// Given by the shell to the partitions of one thread. A unit is a thread's own instance of a
// verified program: it must outlive every partition that used it, and its address must not change.
class ProgramSource {
 public:
  virtual ~ProgramSource() = default;

  // Null when the shell has not loaded that deployment. Loading waits for the database, so the
  // shell does it beforehand: `Partition::needs` names what is missing.
  virtual vm::Unit* unit(DeploymentNumber number) = 0;
};

}  // namespace sluice::core
