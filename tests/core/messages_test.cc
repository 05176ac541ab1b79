// Messages between partitions, and the flows that use flows: with loss, repeats, reordering and a
// crash anywhere.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "engine/core/history.hpp"
#include "tests/core/cluster.hpp"

namespace sluice::core::test {
namespace {

// What a run publishes goes to the home of its ordering key, which is the event's text.
void check_destination(const Send& send, unsigned partitions) {
  const auto envelope = decode<Envelope>(send.body);
  if (envelope->kind != MessageKind::publish) return;
  const auto data = vm::decode_value(decode<PublishMessage>(envelope->body)->data);
  EXPECT_EQ(send.destination, partition_of_key(kTenant, data->elements()[0].as_text(), partitions));
}

// Per way, the bodies that were taken, and by the fold those that were sent.
void check_ways(Cluster& cluster) {
  std::map<std::pair<unsigned, unsigned>, std::vector<std::string>> sent, taken;
  for (const auto& member : cluster.members) {
    Partition folded(member->config, cluster.programs);
    for (const auto& entry : member->journal) {
      Effects made;
      ASSERT_TRUE(folded.apply(entry.record, {}, made).has_value());
      for (const Send& send : all_of<Send>(made)) {
        sent[{number(member->config.id), number(send.destination)}].push_back(send.body);
        check_destination(send, member->config.partitions);
      }
      if (entry.record.kind != Kind::message) continue;
      const auto message = *decode<Message>(entry.record.body);
      taken[{number(message.source), number(member->config.id)}].emplace_back(message.body);
    }
  }
  EXPECT_EQ(sent, taken);
}

// Everybody is answered once, and by the right one.
void check_answers(const Cluster& cluster) {
  std::map<RunId, int> outcomes;
  for (const Delivery& delivery : cluster.deliveries) {
    if (delivery.outcome) ++outcomes[delivery.run];
    EXPECT_FALSE(cluster.steps.contains(delivery.run)) << "a step's run answered the client";
  }
  for (const RunId& run : cluster.asked) EXPECT_EQ(outcomes[run], 1) << to_text(run);
  EXPECT_TRUE(cluster.dead.empty());
}

TEST(Messages, EachOnceAndInOrderWhateverTheNetworkAndCrashesDo) {
  std::array<std::uint64_t, kStepRowCount> taken{};
  std::uint64_t parked = 0;
  EXPECT_TRUE(rc::check([&](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Cluster cluster(1 + shape % 4, shape % 3 == 0 ? 1 + shape % 5 : kOutboxMessagesMax);
    for (std::size_t i = 0; i < 4 * choices.size(); ++i) {
      cluster.step(choices[i % choices.size()] * 2654435761u +
                   static_cast<std::uint32_t>(i) * 40503u);
    }
    cluster.drain();
    cluster.check_folds();
    check_ways(cluster);
    check_answers(cluster);
    RC_ASSERT(!testing::Test::HasFailure());
    for (const auto& member : cluster.members) {
      const auto transitions = member->partition.stats().step_transitions;
      for (std::size_t row = 0; row < kStepRowCount; ++row) taken[row] += transitions[row];
      for (const auto& entry : member->journal) {
        parked += entry.record.verdict == Verdict::parked ? 1 : 0;
      }
    }
  }));
  EXPECT_GT(parked, 10u) << "no run ever waited for the outbox";
}

Cluster busy(unsigned partitions, int asks) {
  Cluster cluster(partitions);
  for (int i = 0; i < asks; ++i) cluster.ask("c" + std::to_string(i), "t" + std::to_string(i));
  return cluster;
}

TEST(Messages, AChildsAnswerIsTheStepsValue) {
  Cluster cluster = busy(3, 5);
  cluster.drain();
  check_answers(cluster);
  int answers = 0;
  std::set<RunId> asked(cluster.asked.begin(), cluster.asked.end());
  for (const Delivery& delivery : cluster.deliveries) {
    if (!asked.contains(delivery.run)) continue;
    EXPECT_EQ(delivery.name, "Answer");
    EXPECT_EQ(delivery.data_json, R"({"text":"looked"})");
    ++answers;
  }
  EXPECT_EQ(answers, 5);
  EXPECT_EQ(cluster.steps.size(), 5u);
}

// One partition, so that every record can be the last one before a crash.
TEST(Messages, ACrashAfterEveryRecordChangesNothing) {
  const auto play = [](std::size_t crash_after) {
    Cluster cluster(1);
    cluster.ask("ada", "hello");
    std::size_t steps = 0;
    for (int round = 0; round < 400; ++round) {
      if (++steps == crash_after) cluster.crash(*cluster.members[0]);
      if (!cluster.network.empty()) {
        cluster.deliver(0, false);
      } else if (auto& offers = cluster.members[0]->offers; !offers.empty()) {
        const Offer offer = offers.front();
        offers.erase(offers.begin());
        cluster.done(*cluster.members[0], offer);
      } else {
        break;
      }
    }
    cluster.drain();
    check_ways(cluster);
    std::string told;
    for (const Delivery& each : cluster.deliveries) {
      told += each.name + " " + each.data_json + " of " + to_text(each.run) + "\n";
    }
    return std::pair(told, cluster.members[0]->journal.size());
  };
  const auto [calm, records] = play(0);
  EXPECT_NE(calm.find("Answer"), std::string::npos);
  for (std::size_t after = 1; after <= records; ++after)
    EXPECT_EQ(play(after).first, calm) << after;
}

TEST(Messages, CancellingTheParentCancelsItsChildAndNotTheDetachedRun) {
  Cluster cluster(1);
  cluster.ask("ada", "hello");
  Cluster::Member& member = *cluster.members[0];
  cluster.done(member, Offer(member.offers.front()));  // it looked; now the child is under way
  while (!cluster.network.empty()) cluster.deliver(0, false);
  ASSERT_EQ(member.partition.stats().runs, 4u) << "parent, child, detached run and echo";
  const RunId child = *cluster.steps.begin();
  ASSERT_TRUE(member.partition.run(child));
  cluster.cancel(cluster.asked.front());
  while (!cluster.network.empty()) cluster.deliver(0, false);
  EXPECT_FALSE(member.partition.run(child));
  EXPECT_FALSE(member.partition.run(cluster.asked.front()));
  EXPECT_EQ(member.partition.stats().runs, 2u) << "the detached run and the echo go on";
  cluster.drain();
  cluster.check_folds();
  check_answers(cluster);
}

TEST(Messages, AStepsTimeIsUpForItsChildToo) {
  Cluster cluster(2);
  cluster.ask("ada", "hello");
  for (const auto& member : cluster.members) {
    if (!member->offers.empty()) cluster.done(*member, Offer(member->offers.front()));
  }
  while (!cluster.network.empty()) cluster.deliver(0, false);
  const RunId child = *cluster.steps.begin();
  ASSERT_TRUE(cluster.at(partition_of(child)).partition.run(child));
  cluster.advance(5'001 * kMs);
  while (!cluster.network.empty()) cluster.deliver(0, false);
  EXPECT_FALSE(cluster.at(partition_of(child)).partition.run(child));
  bool told = false;
  for (const Delivery& each : cluster.deliveries) {
    told = told || (each.name == "Failed" && each.data_json == R"({"reason":"TimedOut"})");
  }
  EXPECT_TRUE(told);
}

TEST(Messages, AFullOutboxParksWhoPublishesAndClosesTheDoorToClients) {
  Cluster cluster(2, 3);
  Cluster::Member& home = cluster.at(partition_of_client(kTenant, "ada", 2));
  cluster.ask("ada", "one");
  cluster.ask("ada", "two");
  ASSERT_EQ(home.offers.size(), 2u);
  cluster.done(home, Offer(home.offers[0]));
  EXPECT_EQ(home.partition.stats().outbox, 3u) << "an event, a detached run and a child";
  cluster.done(home, Offer(home.offers[1]));
  EXPECT_EQ(home.partition.stats().parked, 1u);
  EXPECT_EQ(home.partition.stats().outbox, 3u);
  EXPECT_EQ(home.journal.back().record.verdict, Verdict::parked);
  EXPECT_FALSE(home.partition.next_due() && *home.partition.next_due() <= cluster.now);
  cluster.ask("ada", "three");
  EXPECT_EQ(cluster.asked.size(), 2u) << "clients are told to come back";
  home.partition.stuck_runs();
  cluster.crash(home);
  EXPECT_EQ(home.partition.stats().parked, 1u) << "it is in the state";
  while (!cluster.network.empty()) cluster.deliver(0, false);
  ASSERT_TRUE(home.partition.next_due() && *home.partition.next_due() <= cluster.now);
  cluster.advance(0);
  EXPECT_EQ(home.partition.stats().parked, 0u);
  cluster.drain();
  cluster.check_folds();
  check_ways(cluster);
  check_answers(cluster);
}

// A run that a message began after 32 others in a row may begin no more.
TEST(Messages, TooManyHopsAreADeadLetter) {
  Cluster cluster(1);
  Cluster::Member& member = *cluster.members[0];
  std::string data = core::test::ask("again");
  const PublishMessage event{1, 1, "ada", data};
  const std::string body = encode(event);
  Envelope envelope;
  envelope.kind = MessageKind::publish;
  envelope.body = body;
  for (const std::uint32_t hops : {kHopsMax, kHopsMax + 1}) {
    envelope.hops = hops;
    const std::string bytes = encode(envelope);
    const Message message{PartitionId{0}, hops - kHopsMax + 1, bytes};
    ASSERT_EQ(member.partition.admit(message), Partition::MessageAdmission::fresh);
    Record record = make_record(kTenant, message);
    record.seq = member.partition.next_seq();
    record.time = cluster.now;
    record.core = member.partition.core();
    Effects made;
    const auto applied = member.partition.apply(record, {}, made);
    ASSERT_TRUE(applied.has_value());
    EXPECT_EQ(all_of<Acknowledge>(made).size(), 1u) << "it counts as taken in any case";
    EXPECT_EQ(all_of<DeadLettered>(made).size(), hops > kHopsMax ? 1u : 0u);
    EXPECT_EQ(applied->verdict, hops > kHopsMax ? Verdict::faulted : Verdict::ok);
  }
  EXPECT_EQ(member.partition.stats().runs, 1u);
}

// A history needs the run's records alone, also where others' messages came between and it waited
// for the outbox.
TEST(Messages, HistoriesOfParentsAndChildrenAreTold) {
  Cluster cluster(2, 2);
  for (int i = 0; i < 6; ++i) cluster.ask("c" + std::to_string(i), "t" + std::to_string(i));
  cluster.drain();
  std::map<RunId, std::vector<Record>> of_run;
  bool parked = false;
  for (const auto& member : cluster.members) {
    for (const auto& entry : member->journal) {
      if (!entry.applied.run.is_nil()) of_run[entry.applied.run].push_back(entry.record);
      parked = parked || entry.record.verdict == Verdict::parked;
    }
  }
  EXPECT_TRUE(parked);
  int started = 0, published = 0, ended = 0;
  for (const auto& [run, records] : of_run) {
    const auto history = tell_history(partition_of(run), 2, run, records, cluster.programs);
    ASSERT_TRUE(history.has_value()) << history.error();
    EXPECT_EQ(history->row.state, RunState::completed);
    for (const HistoryEntry& entry : history->entries) {
      for (const HistoryMessage& told : entry.messages) {
        started += told.kind == MessageKind::start && cluster.steps.contains(told.run) ? 1 : 0;
        published += told.kind == MessageKind::publish && told.event == "Ask" ? 1 : 0;
      }
      ended += entry.kind == "message" && entry.step == "parent/child" ? 1 : 0;
      EXPECT_EQ(entry.kind == "message" && entry.causation.empty(), false);
    }
  }
  EXPECT_EQ(started, 6) << "with the ids that the live runs gave";
  EXPECT_EQ(published, 6);
  EXPECT_EQ(ended, 6);
}

}  // namespace
}  // namespace sluice::core::test
