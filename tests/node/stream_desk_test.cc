// Who of a step's attempts is heard, and what its client's shards are told.
#include "engine/node/stream_desk.hpp"

#include <gtest/gtest.h>

#include "engine/node/shared.hpp"

namespace sluice::node {
namespace {

constexpr core::TenantId kTenant{7};
constexpr core::PartitionId kPartition{0};
constexpr unsigned kShard = 1;

class Told : public Outbox {
 public:
  void emit(unsigned shard, std::vector<Outgoing>&& messages) override {
    for (const Outgoing& message : messages) {
      const auto& update = std::get<StreamUpdate>(message);
      EXPECT_EQ(update.tenant, "acme");
      static constexpr const char* kWords[] = {"open",     "reset",  "say",      "snapshot",
                                               "complete", "failed", "cancelled"};
      text += std::to_string(shard) + " " + kWords[static_cast<int>(update.what)] + " " +
              std::to_string(update.attempt);
      if (!update.text.empty()) text += " " + update.text;
      text += "\n";
    }
  }
  std::string take() { return std::exchange(text, {}); }
  std::string text;
};

struct World {
  World() {
    shared.inboxes.push_back(std::make_unique<Inbox>());
    shared.tenants.add(kTenant, "acme");
    desk.attach(kTenant, "ann", kShard);
  }
  static journal::Cluster cluster() {
    journal::Cluster made;
    made.partitions = 1;
    return made;
  }
  core::Offer offer(std::uint32_t attempt, bool undecided = false) {
    core::Offer made;
    made.key = {kPartition, run, 1, attempt};
    made.opened = 100 + attempt;
    made.tenant = kTenant;
    made.client = "ann";
    made.path = "f/s";
    made.stream = true;
    made.undecided = undecided;
    return made;
  }
  void say(std::uint32_t attempt, std::uint64_t n, const std::string& text,
           std::uint64_t nonce = 1) {
    Lease lease;
    lease.partition = kPartition;
    lease.run = run;
    lease.step = 1;
    lease.attempt = attempt;
    lease.seq = 100 + attempt;
    lease.nonce = nonce;
    desk.piece(lease, n, text);
  }
  void end(core::StreamEnd how) { desk.ended({9, kPartition, run, 1, how}); }
  // What the partition was asked to decide; `ok` is its answer.
  std::vector<std::uint32_t> decide(bool ok = true) {
    Inbox::Contents contents;
    shared.inboxes[0]->drain(contents);
    std::vector<std::uint32_t> asked;
    for (RecordInput& input : contents.records) {
      asked.push_back(core::decode<core::Spoke>(input.record.body)->attempt);
      input.then(ok);
    }
    return asked;
  }

  Told told;
  Shared shared{NodeConfig{}, told, cluster()};
  StreamDesk& desk = shared.streams;
  core::RunId run = core::make_run_id(kPartition, 1, 1, 0);
};

TEST(StreamDesk, PiecesGoToTheClientsShardsBetweenBeginningAndEnd) {
  World w;
  w.desk.attach(kTenant, "ann", 2);
  w.desk.attach(kTenant, "bob", 3);
  w.desk.offered(w.offer(1));
  EXPECT_EQ(w.told.take(), "1 open 1\n2 open 1\n");
  w.desk.detach(kTenant, "ann", 2);
  w.say(1, 0, "a");
  w.say(1, 1, "b");
  EXPECT_EQ(w.told.take(), "1 say 1 a\n1 say 1 b\n");
  ASSERT_EQ(w.desk.snapshots(kTenant, "ann").size(), 1u);
  EXPECT_EQ(w.desk.snapshots(kTenant, "ann")[0].text, "ab");
  EXPECT_TRUE(w.desk.snapshots(kTenant, "bob").empty());
  w.end(core::StreamEnd::complete);
  EXPECT_EQ(w.told.take(), "1 complete 1\n");
  w.say(1, 2, "c");
  w.end(core::StreamEnd::complete);
  EXPECT_EQ(w.told.take(), "");
  EXPECT_TRUE(w.desk.snapshots(kTenant, "ann").empty());
}

TEST(StreamDesk, NothingOfAnAttemptThatIsOverIsHeard) {
  World w;
  w.desk.offered(w.offer(1));
  w.say(1, 0, "a");
  w.desk.closed(w.offer(1).key);
  w.say(1, 1, "b");
  w.desk.offered(w.offer(2));
  w.say(1, 2, "c");
  w.say(2, 0, "d");
  EXPECT_EQ(w.told.take(), "1 open 1\n1 say 1 a\n1 reset 2\n1 say 2 d\n");
  EXPECT_EQ(w.desk.snapshot(w.run, 1)->text, "d");
  w.end(core::StreamEnd::failed);
  EXPECT_EQ(w.told.take(), "1 failed 2\n");
}

TEST(StreamDesk, ARepeatedPieceIsDroppedAndANewHandOutBeginsAgain) {
  World w;
  w.desk.offered(w.offer(1));
  w.say(1, 0, "a");
  w.say(1, 0, "a");
  w.say(1, 1, "b");
  w.say(1, 0, "x", 5);  // handed out anew after a failover
  w.say(1, 2, "c");     // who had it before
  w.say(1, 1, "y", 5);
  EXPECT_EQ(w.told.take(), "1 open 1\n1 say 1 a\n1 say 1 b\n1 reset 1\n1 say 1 x\n1 say 1 y\n");
}

TEST(StreamDesk, WhatComesBeforeTheCommitIsKeptUntilThen) {
  World w;
  w.say(1, 0, "a");
  w.say(1, 1, "b");
  EXPECT_EQ(w.told.take(), "");
  w.desk.offered(w.offer(1));
  EXPECT_EQ(w.told.take(), "1 open 1\n1 say 1 a\n1 say 1 b\n");
  w.say(2, 0, "c");
  w.desk.offered(w.offer(2));
  EXPECT_EQ(w.told.take(), "1 reset 2\n1 say 2 c\n");
}

TEST(StreamDesk, WhatComesEarlyIsBounded) {
  World w;
  for (std::uint64_t n = 0; n < 2 * kEarlyPieces; ++n) w.say(1, n, "x");
  w.desk.offered(w.offer(1));
  EXPECT_EQ(w.desk.snapshot(w.run, 1)->text.size(), kEarlyPieces);
}

TEST(StreamDesk, OfTwoAttemptsTheOneThatIsDecidedSpeaks) {
  for (const bool second_first : {false, true}) {
    World w;
    w.desk.offered(w.offer(1, true));
    w.desk.offered(w.offer(2, true));
    EXPECT_EQ(w.told.take(), "1 open 1\n");  // the second is not heard of before it speaks
    const std::uint32_t first = second_first ? 2 : 1, other = second_first ? 1 : 2;
    w.say(first, 0, "a");
    w.say(other, 0, "x");
    w.say(first, 1, "b");
    EXPECT_EQ(w.told.take(), "");
    // The other was taken back by the decision for the first; its question came too late.
    w.desk.revoked(w.offer(other).key);
    EXPECT_EQ(w.decide(), (std::vector<std::uint32_t>{first, other}));
    EXPECT_EQ(w.told.take(), second_first ? "1 reset 2\n1 say 2 ab\n" : "1 say 1 ab\n");
    w.say(first, 2, "c");
    EXPECT_EQ(w.told.take(), second_first ? "1 say 2 c\n" : "1 say 1 c\n");
    EXPECT_TRUE(w.decide().empty());
  }
}

TEST(StreamDesk, WhereNobodyListensTheFirstToSpeakIsToldAllTheSame) {
  World w;
  core::Offer offer = w.offer(1, true);
  offer.client.clear();
  w.desk.offered(offer);
  w.say(1, 0, "a");
  EXPECT_EQ(w.decide(), std::vector<std::uint32_t>{1});
  w.say(1, 1, "b");
  EXPECT_TRUE(w.decide().empty());
  w.end(core::StreamEnd::complete);
  EXPECT_EQ(w.told.take(), "");
}

TEST(StreamDesk, ADecisionThatWasNotMadeIsAskedForAgain) {
  World w;
  w.desk.offered(w.offer(1, true));
  w.say(1, 0, "a");
  w.decide(false);
  EXPECT_EQ(w.told.take(), "1 open 1\n");
  w.say(1, 1, "b");
  w.decide();
  EXPECT_EQ(w.told.take(), "1 say 1 ab\n");
}

TEST(StreamDesk, ATakeoverBeginsAgainWhatIsOpenAndEndsTheRest) {
  World w;
  w.desk.offered(w.offer(1));
  w.say(1, 0, "a");
  w.told.take();
  w.desk.drop_partition(kPartition);
  w.say(1, 1, "b");  // not ours to tell
  EXPECT_EQ(w.told.take(), "");
  core::Offer again = w.offer(1);
  again.reissued = true;
  w.desk.offered(again);
  w.desk.taken_over(kPartition);
  EXPECT_EQ(w.told.take(), "1 reset 1\n");
  w.desk.drop_partition(kPartition);
  w.desk.taken_over(kPartition);
  EXPECT_EQ(w.told.take(), "1 cancelled 1\n");
}

TEST(StreamDesk, ATextIsBounded) {
  World w;
  w.desk.offered(w.offer(1));
  for (std::uint64_t n = 0; n < 20; ++n) w.say(1, n, std::string(kStreamTextBytes / 10, 'x'));
  EXPECT_EQ(w.desk.snapshot(w.run, 1)->text.size(), kStreamTextBytes / 10 * 10);
}

}  // namespace
}  // namespace sluice::node
