// Every row of the step's state machine is taken by random work, and no other exists.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/core/cluster.hpp"
#include "tests/core/driver.hpp"
#include "tests/core/random_work.hpp"

namespace sluice::core::test {
namespace {

// A run that is given up while its child is being undone.
void add_given_up(std::array<std::uint64_t, kStepRowCount>& taken) {
  Cluster cluster(1);
  cluster.ask("ada", "hello");
  Cluster::Member& member = *cluster.members[0];
  cluster.done(member, Offer(member.offers.front()));
  cluster.cancel(cluster.asked.front());
  Partition& partition = member.partition;
  Record record = make_record(kTenant, Cancel{cluster.asked.front(), {}, "again", {}});
  record.seq = partition.next_seq();
  record.time = cluster.now;
  record.core = partition.core();
  record.verdict = Verdict::suspect;
  Effects made;
  ASSERT_TRUE(partition.apply(record, {}, made).has_value());
  EXPECT_FALSE(partition.run(cluster.asked.front()));
  const auto transitions = partition.stats().step_transitions;
  for (std::size_t row = 0; row < kStepRowCount; ++row) taken[row] += transitions[row];
}

TEST(StepTable, EveryRowIsTaken) {
  std::array<std::uint64_t, kStepRowCount> taken{};
  std::uint32_t state = 12345;
  for (unsigned shape = 0; shape < 256; ++shape) {
    Driver driver(hedged_pipeline(static_cast<std::uint8_t>(shape)));
    RandomWork work(driver);
    for (int i = 0; i < 60; ++i) {
      state = state * 1664525 + 1013904223;
      work.step(state >> 4);
    }
    work.drain();
    const auto transitions = driver.partition.stats().step_transitions;
    for (std::size_t row = 0; row < kStepRowCount; ++row) taken[row] += transitions[row];
  }
  std::uint32_t state_of_family = 54321;
  for (unsigned shape = 0; shape < 40; ++shape) {
    Cluster cluster(1 + shape % 3);
    for (int i = 0; i < 300; ++i) {
      state_of_family = state_of_family * 1664525 + 1013904223;
      cluster.step(state_of_family >> 4);
    }
    cluster.drain();
    for (const auto& member : cluster.members) {
      const auto transitions = member->partition.stats().step_transitions;
      for (std::size_t row = 0; row < kStepRowCount; ++row) taken[row] += transitions[row];
    }
  }
  add_given_up(taken);
  for (std::size_t row = 0; row < kStepRowCount; ++row) {
    EXPECT_GT(taken[row], 0u) << step_status_name(kStepRows[row].from) << " --"
                              << step_input_name(kStepRows[row].input) << "--> "
                              << step_status_name(kStepRows[row].to);
  }
}

// The diagram in the documentation is made from the rows.
TEST(StepTable, TheDocumentShowsTheseRows) {
  std::string diagram = "```mermaid\nstateDiagram-v2\n";
  for (const StepRow& row : kStepRows) {
    const bool first = row.from == StepStatus::none;
    diagram += "  " + (first ? std::string("[*]") : std::string(step_status_name(row.from))) +
               " --> " + std::string(step_status_name(row.to)) + " : " +
               std::string(step_input_name(row.input)) + "\n";
  }
  for (const StepStatus end : {StepStatus::done, StepStatus::failed, StepStatus::cancelled}) {
    diagram += "  " + std::string(step_status_name(end)) + " --> [*]\n";
  }
  diagram += "```\n";
  const std::string path = std::string(SLUICE_SOURCE_DIR) + "/docs/partition.md";
  std::ifstream file(path);
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(document.find(diagram), std::string::npos) << "docs/partition.md should hold\n"
                                                       << diagram;
}

}  // namespace
}  // namespace sluice::core::test
