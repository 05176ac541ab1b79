// Random work for one partition, steered by numbers: the same numbers make the same journal.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/core/driver.hpp"

namespace sluice::core::test {

// One of 256 pipelines.
Pipeline random_pipeline(std::uint8_t shape);
// The same, where most steps that may be repeated are hedged.
Pipeline hedged_pipeline(std::uint8_t shape);

class RandomWork {
 public:
  explicit RandomWork(Driver& driver) : driver_(driver) {}

  // Publishes, reports (also wrongly and again), grants, lapses, cancels or lets time pass.
  void step(std::uint32_t choice);
  // Answers everything that is open and lets time pass until nothing is left.
  void drain();
  // Each accepted event has exactly one answer per run, each client's offsets count from 1.
  void check_answers() const;

 private:
  void note(const Effects& effects);
  void report(const Offer& offer, std::uint32_t choice);

  Driver& driver_;
  std::vector<Offer> offers_;  // all that were ever made
  std::vector<RunId> runs_;
  std::uint32_t published_ = 0;
};

// Checkpoints of a driver's partition as a database would keep them.
class StoredCheckpoints {
 public:
  explicit StoredCheckpoints(Driver& driver) : driver_(driver) {}

  // Begins, goes on with, commits or abandons a checkpoint, as the number says.
  void maybe_write(std::uint32_t choice);
  std::optional<Partition> restore_newest();

 private:
  Driver& driver_;
  std::uint64_t generation_ = 0;
  std::optional<Partition::Checkpoint> open_;
  std::map<RowId, std::map<std::uint64_t, StateRow>> rows_;  // by id, then generation
  std::map<std::uint64_t, Partition::Checkpoint> committed_;
};

}  // namespace sluice::core::test
