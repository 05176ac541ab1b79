// Several partitions that send each other messages over a network that loses, doubles and reorders
// them, driven by numbers: the same numbers make the same journals.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/core/message.hpp"
#include "engine/core/partition.hpp"
#include "tests/core/driver.hpp"

namespace sluice::core::test {

// Flows that use flows. Topic 0 "asks" of Ask { text } by client starts `parent`, which looks,
// publishes what it was asked to topic 1 "echoes" (by its text; starts `echo`), starts a detached
// `child`, runs another as a step (within 5 s, undone by task "undo"), files, and answers what the
// child answered. `child` and `echo` look once.
std::shared_ptr<const vm::VerifiedProgram> family_program();

class Cluster {
 public:
  // Without a program: the family's.
  Cluster(unsigned partitions, std::uint64_t outbox_messages = kOutboxMessagesMax,
          std::shared_ptr<const vm::VerifiedProgram> program = nullptr);

  struct Member {
    Member(const Partition::Config& c, Cluster& cluster);
    Partition::Config config;
    Partition partition;
    std::vector<Driver::Journaled> journal;
    std::vector<Offer> offers;  // all that were ever made
  };

  // One thing that happens, as the number says.
  void step(std::uint32_t choice);
  // The network works, everything is answered, time passes: until nothing is left.
  void drain();

  void ask(const std::string& client, const std::string& text);
  void deliver(std::size_t index, bool keep);
  void done(Member& member, const Offer& offer);
  void failed(Member& member, const Offer& offer, const std::string& kind);
  void cancel(const RunId& run);
  void advance(TimeUs by);
  // It dies, and goes on from its journal.
  void crash(Member& member);
  Effects take(Member& member, Record record);

  Member& at(PartitionId partition) { return *members[number(partition)]; }
  // Each journal folds to the same states and effects at every record.
  void check_folds();

  TestPrograms programs;
  std::vector<std::unique_ptr<Member>> members;
  TimeUs now = kStart;
  struct Flying {
    PartitionId to{};
    Record record;
  };
  std::vector<Flying> network;
  std::vector<RunId> asked;          // runs of accepted events
  std::vector<Delivery> deliveries;  // of all partitions
  std::vector<DeadLettered> dead;
  std::set<RunId> steps;  // runs that a step began
  std::uint32_t asks = 0;
};

}  // namespace sluice::core::test
