// The fence: what passes, what does not, and what an unknown outcome turns out to be.
#include <future>

#include "tests/journal/harness.hpp"

namespace sluice::journal::test {
namespace {

constexpr core::PartitionId kPartition{0};

// An uncommitted row in the place of partition 0's first record: an append that comes to it waits,
// with its partition locked.
void block(Database& blocker) {
  ASSERT_TRUE(
      blocker.script("begin; insert into journal (part, seq, day, at, kind, verdict, core,"
                     " epoch, tenant, run_prev, cause_seq, body) values (0, 1, " +
                     std::to_string(kDay) + ", now(), 1, 0, 1, 1, 1, 0, 0, '')"));
}

TEST_F(JournalTest, ABatchPassesOnceAndItsTipIsTheNextOnesFence) {
  Driver driver;
  driver.publish("ann", "1");
  driver.publish("ann", "2");
  auto first = seal(driver);
  EXPECT_EQ(append(*first), std::vector{kPartition});
  auto second = seal(driver);
  EXPECT_EQ(append(*second), std::vector{kPartition});
  EXPECT_EQ(query("select count(*), max(seq) from journal where part = 0"), "2");
  EXPECT_EQ(query("select string_agg(kind || '/' || verdict, ',' order by seq) from v_journal"),
            "event/ok,event/ok");
}

TEST_F(JournalTest, AStaleEpochDoesNotPassAndChangesNothing) {
  Driver driver;
  driver.publish("ann", "1");
  auto batch = seal(driver);
  auto taken = retake_partitions(database, node, {kPartition});
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->front().epoch, epoch + 1);
  EXPECT_TRUE(append(*batch).empty());
  EXPECT_EQ(query("select count(*) from journal"), "0");
}

TEST_F(JournalTest, AWrongTipDoesNotPass) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  driver.publish("ann", "2");
  tip.chain.low ^= 1;
  auto batch = seal(driver);
  EXPECT_TRUE(append(*batch).empty());
  EXPECT_EQ(query("select count(*) from journal"), "1");
}

// A partition with a tip, and a next batch of one record: with a delivery or without.
class SmallBatchTest : public JournalTest, public testing::WithParamInterface<AppendForm> {
 protected:
  std::unique_ptr<Batch> next_batch() {
    driver.publish("ann", "1");
    append_all(driver);
    auto effects = driver.publish("ann", "2");
    if (GetParam() == AppendForm::one_delivery) {
      for (int step = 0; step < 4; ++step) {
        const auto offer = core::test::only<core::Offer>(effects);
        driver.grant(offer);
        effects = driver.done(offer, "r");
      }
      while (written + 1 < driver.journal.size()) {
        EXPECT_EQ(append(*seal(driver)).size(), 1u);
      }
    }
    before = tip;
    stored = query(kStored);
    auto batch = seal(driver);
    EXPECT_EQ(batch->form(), GetParam());
    return batch;
  }
  static constexpr const char* kStored =
      "select (select count(*) from journal) || ' ' || (select count(*) from delivery)";
  Driver driver;
  Tip before;
  std::string stored;
};

TEST_P(SmallBatchTest, PassesOnce) {
  auto batch = next_batch();
  EXPECT_EQ(append(*batch), std::vector{kPartition});
  EXPECT_NE(query(kStored), stored);
  session.append(*batch);
  EXPECT_TRUE(std::holds_alternative<Session::Refused>(next_event(session)));
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::committed);
}

TEST_P(SmallBatchTest, AStaleEpochChangesNothing) {
  auto batch = next_batch();
  ASSERT_TRUE(retake_partitions(database, node, {kPartition}).has_value());
  EXPECT_TRUE(append(*batch).empty());
  EXPECT_EQ(query(kStored), stored);
}

TEST_P(SmallBatchTest, AnEpochThatIsRaisedWhileItWaitsChangesNothing) {
  auto batch = next_batch();
  Database taker = connected(target);
  ASSERT_TRUE(taker.script("begin; update partition set epoch = epoch + 1 where part = 0"));
  session.append(*batch);
  while (query("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "0") {
    (void)session.step();
  }
  ASSERT_TRUE(taker.script("commit"));
  const auto event = next_event(session);
  ASSERT_TRUE(std::holds_alternative<Session::Appended>(event));
  EXPECT_TRUE(std::get<Session::Appended>(event).passed.empty());
  EXPECT_EQ(query(kStored), stored);
}

TEST_P(SmallBatchTest, ATipThatIsNotThereChangesNothing) {
  next_batch();
  const auto again = [this](core::Hash128 chain) {
    --written;
    tip = before;
    tip.chain = chain;
    return seal(driver);
  };
  core::Hash128 wrong = before.chain;
  wrong.high ^= 1;
  EXPECT_TRUE(append(*again(wrong)).empty());
  const std::string at = " where part = 0 and seq = " + std::to_string(before.seq);
  query("update journal set day = day + 1" + at);
  EXPECT_TRUE(append(*again(before.chain)).empty());
  EXPECT_EQ(query(kStored), stored);
  query("update journal set day = day - 1" + at);
  EXPECT_EQ(append(*again(before.chain)), std::vector{kPartition});
}

INSTANTIATE_TEST_SUITE_P(Forms, SmallBatchTest,
                         testing::Values(AppendForm::one_record, AppendForm::one_delivery),
                         [](const auto& form) {
                           return form.param == AppendForm::one_record ? "one_record"
                                                                       : "one_delivery";
                         });

TEST_F(JournalTest, WhatIsStoredIsTheSameByAnyStatement) {
  Driver driver;
  auto effects = driver.publish("ann", "1");
  for (int step = 0; step < 4; ++step) {
    const auto offer = core::test::only<core::Offer>(effects);
    driver.grant(offer);
    effects = driver.done(offer, "r");
  }
  const std::string all =
      "select (select string_agg((to_jsonb(j) - 'chain' - 'digest')::text, ' ' order by seq) from"
      " journal j) || (select string_agg(d::text, ' ' order by seq) from delivery d)";
  append_all(driver);
  const std::string one_by_one = query(all);
  query("truncate journal, delivery");
  Batch batch;
  const auto part = batch.open(kPartition, epoch, {});
  for (const auto& entry : driver.journal) batch.add(part, entry.record, entry.applied);
  for (const auto& delivery : core::test::all_of<core::Delivery>(driver.effects)) {
    batch.deliver(part, delivery, core::encode_delivery(delivery));
  }
  batch.close(part, {driver.journal.back().digest, true, driver.journal.back().state});
  batch.seal();
  ASSERT_EQ(batch.form(), AppendForm::one_day);
  EXPECT_EQ(append(batch), std::vector{kPartition});
  EXPECT_EQ(query(all), one_by_one);
}

TEST_F(JournalTest, OneBadPartitionDoesNotHoldUpTheOthers) {
  core::Partition::Config other;
  other.id = core::PartitionId{1};
  other.partitions = 4;
  Driver good;
  Driver bad({}, other);
  good.publish("ann", "1");
  bad.publish("bob", "1");
  Batch batch;
  for (auto* driver : {&good, &bad}) {
    const auto part = batch.open(driver->partition.id(), driver == &good ? epoch : epoch - 1, {});
    batch.add(part, driver->journal[0].record, driver->journal[0].applied);
    batch.close(part, {});
  }
  batch.seal();
  EXPECT_EQ(append(batch), std::vector{kPartition});
  EXPECT_EQ(query("select string_agg(distinct part::text, ',') from journal"), "0");
}

TEST_F(JournalTest, ATakeoverWaitsForTheAppendThatIsUnderWay) {
  Driver driver;
  driver.publish("ann", "1");
  auto batch = seal(driver);
  // Holds what the append holds, as one that is about to commit would.
  Database slow = connected(target);
  ASSERT_TRUE(slow.script("begin; select part from partition where part = 0 for share"));
  auto taking = std::async(std::launch::async, [&] {
    Database other = connected(target);
    const NodeIdentity again = identity("a", 2);
    EXPECT_TRUE(register_node(other, again).has_value());
    return take_partitions(other, again, 10'000, 20'000).value().size();
  });
  // The append takes its share lock beside the first; the takeover waits for both.
  while (query("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "0") {
  }
  EXPECT_EQ(taking.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  ASSERT_TRUE(slow.script("commit"));
  EXPECT_EQ(taking.get(), 4u);
  EXPECT_TRUE(append(*batch).empty());
}

TEST_F(JournalTest, ATakeoverEndsABackendThatDoesNotLetGo) {
  Session hung(target, append_application(node.boot));
  connect(hung);
  Driver driver;
  driver.publish("ann", "1");
  auto batch = seal(driver);
  Database blocker = connected(target);
  block(blocker);
  hung.append(*batch);
  while (query("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "0") {
    (void)hung.step();
  }
  Database other = connected(target);
  const NodeIdentity again = identity("a", 2);
  ASSERT_TRUE(register_node(other, again).has_value());
  auto taken = take_partitions(other, again, 10'000, 50);
  ASSERT_TRUE(taken.has_value()) << taken.error().message;
  EXPECT_EQ(taken->size(), 4u);
  EXPECT_TRUE(std::holds_alternative<Session::Broken>(next_event(hung)));
  ASSERT_TRUE(blocker.script("rollback"));
  EXPECT_EQ(query("select count(*) from journal"), "0");
}

TEST_F(JournalTest, AnUnknownOutcomeIsCommittedOrAbsentAndResentBytesGoInOnce) {
  Driver driver;
  driver.publish("ann", "1");
  auto batch = seal(driver);
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::absent);
  EXPECT_EQ(append(*batch).size(), 1u);
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::committed);
  // The same bytes once more: the journal's key refuses them, and looking tells that they are in.
  session.append(*batch);
  const auto event = next_event(session);
  ASSERT_TRUE(std::holds_alternative<Session::Refused>(event));
  EXPECT_EQ(std::get<Session::Refused>(event).error.sqlstate, "23505");
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::committed);
  EXPECT_EQ(query("select count(*) from journal"), "1");
  ASSERT_TRUE(retake_partitions(database, node, {kPartition}).has_value());
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::lost);
}

TEST_F(JournalTest, AKilledBackendIsReplacedAndTheBatchGoesOn) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  driver.publish("ann", "2");
  auto batch = seal(driver);
  query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like"
      " 'sluice append%' and datname = current_database()");
  session.append(*batch);
  ASSERT_TRUE(std::holds_alternative<Session::Broken>(next_event(session)));
  connect(session);
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::absent);
  EXPECT_EQ(append(*batch).size(), 1u);
}

TEST_F(JournalTest, AZombieThatCommitsLateIsFoundOrShutOut) {
  Driver driver;
  driver.publish("ann", "1");
  auto batch = seal(driver);
  Database blocker = connected(target);
  block(blocker);
  session.append(*batch);
  while (query("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "0") {
    (void)session.step();
  }
  session.close();  // the statement goes on in its backend
  session.connect();
  const auto event = next_event(session);  // ends the old backend first
  ASSERT_TRUE(std::holds_alternative<Session::Connected>(event));
  EXPECT_EQ(judge(batch->parts(), resolve()).front(), Verdict::absent);
  ASSERT_TRUE(blocker.script("rollback"));
  EXPECT_EQ(append(*batch).size(), 1u);
  EXPECT_EQ(query("select count(*) from journal"), "1");
}

TEST_F(JournalTest, MidnightIsANewLeafAndTheTipIsFoundInTheOld) {
  Driver driver;
  driver.now = std::int64_t{kDay + 1} * kUsPerDay - 1;
  driver.publish("ann", "1");
  driver.now += 1;
  driver.publish("ann", "2");
  driver.publish("ann", "3");
  auto before = seal(driver);
  EXPECT_EQ(before->day(), kDay);
  EXPECT_EQ(append(*before).size(), 1u);
  auto after = seal(driver);
  EXPECT_EQ(after->day(), kDay + 1);
  EXPECT_EQ(after->form(), AppendForm::any);
  EXPECT_EQ(append(*after).size(), 1u);
  auto later = seal(driver);
  EXPECT_EQ(later->form(), AppendForm::one_record);
  EXPECT_EQ(append(*later).size(), 1u);
  EXPECT_EQ(query("select count(*) from journal_" + std::to_string(kDay)), "1");
  EXPECT_EQ(query("select count(*) from journal_" + std::to_string(kDay + 1)), "2");
  auto folded = fold(driver);
  ASSERT_TRUE(folded.has_value());
  EXPECT_EQ(folded->partition.state_hash(), driver.partition.state_hash());
}

TEST_F(JournalTest, AMissingLeafIsRefusedByItsName) {
  Driver driver;
  driver.now = std::int64_t{kDay + 9} * kUsPerDay;
  driver.publish("ann", "1");
  auto batch = seal(driver);
  session.append(*batch);
  const auto event = next_event(session);
  ASSERT_TRUE(std::holds_alternative<Session::Refused>(event));
  EXPECT_EQ(std::get<Session::Refused>(event).error.sqlstate, "42P01");
  ASSERT_TRUE(ensure_leaves(database, kDay + 9, kDay + 9).has_value());
  EXPECT_EQ(append(*batch).size(), 1u);
}

}  // namespace
}  // namespace sluice::journal::test
