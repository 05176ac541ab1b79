// `concurrency` across partitions: a run counts in the partition of its key, wherever its event
// came in.
#include <gtest/gtest.h>

#include <limits>

#include "tests/core/driver.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

constexpr unsigned kPartitions = 8;

// One run of the tenant at a time.
std::shared_ptr<const vm::VerifiedProgram> program(vm::Overload overload, std::uint32_t waiting) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  vm::Program made = make_program(pipeline);
  made.flows[0].concurrency = vm::Concurrency{1, overload, waiting, vm::Per::tenant};
  return vm::verify(std::move(made)).value();
}

// A partition with its records, and the messages that it sends.
struct Side {
  Side(PartitionId id, TestPrograms& programs) : partition({id, kPartitions, {}}, programs) {}

  Effects take(Record record) {
    record.seq = partition.next_seq();
    record.time = now;
    record.core = partition.core();
    Effects effects;
    const auto applied = partition.apply(record, {}, effects);
    EXPECT_TRUE(applied.has_value()) << applied.error().message;
    return effects;
  }
  // Everything that is due now.
  Effects settle() {
    Effects all;
    while (partition.next_due() && *partition.next_due() <= now) {
      for (Effect& effect : take(partition.make_advance(now))) all.push_back(std::move(effect));
    }
    return all;
  }

  Partition partition;
  TimeUs now = kStart;
};

class Routed : public testing::Test {
 protected:
  void start(vm::Overload overload, std::uint32_t waiting = 10) {
    programs.add(1, program(overload, waiting));
    const PartitionId home = partition_of_key(kTenant, "concurrency per tenant", kPartitions);
    there.emplace(home, programs);
    here.emplace(PartitionId{static_cast<std::uint16_t>((number(home) + 1) % kPartitions)},
                 programs);
  }

  Event event(const std::string& id) {
    data = ask("hi");
    Event made;
    made.deployment = 1;
    made.client = "ada";
    made.id = id_ = id;
    made.order_key = "ada";
    made.data = data;
    return made;
  }
  RunId publish(const std::string& id) {
    const Event made = event(id);
    EXPECT_FALSE(here->partition.admit(kTenant, made, here->now, {}).has_value());
    const Effects effects = here->take(make_record(kTenant, made));
    EXPECT_TRUE(all_of<Offer>(effects).empty());
    const auto accepted = only<Accepted>(effects);
    const auto sent = only<Send>(effects);
    EXPECT_EQ(sent.destination, there->partition.id());
    there->take(make_record(kTenant, Message{here->partition.id(), sent.n, sent.body}));
    EXPECT_EQ(partition_of(accepted.runs.at(0)), there->partition.id());
    return accepted.runs.at(0);
  }
  void done(const Offer& offer) {
    const std::string result = text_value("x");
    const Done report{offer.key.run, offer.key.step,    offer.key.attempt,
                      offer.opened,  offer.args_digest, 1,
                      result};
    there->take(make_record(kTenant, report));
  }

  TestPrograms programs;
  std::optional<Side> here, there;
  std::string data, id_;
};

TEST_F(Routed, RunsOfAKeyTakeTurnsInItsPartition) {
  start(vm::Overload::wait);
  const RunId first = publish("1");
  const RunId second = publish("2");
  EXPECT_NE(to_text(first), to_text(second));
  const Offer offer = only<Offer>(there->settle());
  EXPECT_EQ(offer.key.run, first);
  EXPECT_EQ(there->partition.run(second)->state, RunState::waiting);
  EXPECT_TRUE(there->partition.stuck_runs().empty());
  done(offer);
  const Offer next = only<Offer>(there->settle());
  EXPECT_EQ(next.key.run, second);
  EXPECT_EQ(here->partition.stats().runs, 0u);
}

TEST_F(Routed, ARepeatIsToldOfTheSameRun) {
  start(vm::Overload::wait);
  const RunId run = publish("1");
  const auto again = here->partition.admit(kTenant, event("1"), here->now, {});
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(std::get<Accepted>(*again).duplicate);
  EXPECT_EQ(std::get<Accepted>(*again).runs, std::vector<RunId>{run});
  const auto checkpoint = here->partition.begin_checkpoint(true);
  const auto rows = here->partition.checkpoint_rows(std::numeric_limits<std::size_t>::max() / 2);
  auto restored =
      Partition::restore({here->partition.id(), kPartitions, {}}, programs, checkpoint, rows);
  ASSERT_TRUE(restored.has_value()) << restored.error();
  const auto later = restored->admit(kTenant, event("1"), here->now, {});
  EXPECT_EQ(std::get<Accepted>(*later).runs, std::vector<RunId>{run});
}

TEST_F(Routed, OneForWhomThereIsNoRoomIsAnswered) {
  start(vm::Overload::reject);
  const RunId first = publish("1");
  EXPECT_EQ(only<Offer>(there->settle()).key.run, first);
  const RunId second = publish("2");
  const Effects effects = there->settle();
  const auto ended = only<RunChanged>(effects).row;
  EXPECT_EQ(ended.run, second);
  EXPECT_EQ(ended.state, RunState::failed);
  EXPECT_EQ(ended.outcome_name, "Failed");
  EXPECT_EQ(ended.why.substr(0, 5), "Busy:");
}

TEST_F(Routed, TheTimeoutCountsFromTheEvent) {
  start(vm::Overload::wait);
  publish("1");
  there->settle();
  const RunId second = publish("2");
  EXPECT_EQ(there->partition.run(second)->started, kStart);
}

}  // namespace
}  // namespace sluice::core::test
