// What was appended folds to the state that was live; what was damaged halts.
#include "engine/journal/projection.hpp"
#include "engine/journal/reads.hpp"
#include "tests/journal/harness.hpp"

namespace sluice::journal::test {
namespace {

constexpr core::PartitionId kPartition{0};

using core::Offer;
using core::test::all_of;

// A run through all four steps; the driver's tasks are unsafe, so each is granted.
void run_through(Driver& driver, const std::string& client, const std::string& id) {
  auto effects = driver.publish(client, id);
  for (int step = 0; step < 4; ++step) {
    const auto offers = all_of<Offer>(effects);
    ASSERT_EQ(offers.size(), 1u);
    driver.grant(offers[0]);
    effects = driver.done(offers[0], "r");
  }
}

class RecoveryTest : public JournalTest {
 protected:
  bool checkpoint(Driver& driver) {
    auto begun = driver.partition.begin_checkpoint();
    for (auto rows = driver.partition.checkpoint_rows(512); !rows.empty();
         rows = driver.partition.checkpoint_rows(512)) {
      EXPECT_TRUE(write_state_rows(database, kPartition, epoch, begun.seq, rows).has_value());
    }
    auto done = commit_checkpoint(database, kPartition, epoch, begun, tip.chain);
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return done && *done;
  }
  void expect_folds(Driver& driver, std::uint64_t records) {
    auto folded = fold(driver);
    ASSERT_TRUE(folded.has_value());
    EXPECT_EQ(folded->records, records);
    EXPECT_EQ(folded->tip, tip);
    EXPECT_EQ(folded->partition.last_seq(), driver.partition.last_seq());
    EXPECT_EQ(folded->partition.state_hash(), driver.partition.state_hash());
  }
  Damage damage(Driver& driver) {
    auto folded = fold(driver);
    if (folded || !std::holds_alternative<Damage>(folded.error())) {
      ADD_FAILURE() << "it folds";
      return {};
    }
    return std::get<Damage>(folded.error());
  }
};

TEST_F(RecoveryTest, AnEmptyJournalIsAnEmptyPartition) {
  Driver driver;
  expect_folds(driver, 0);
}

TEST_F(RecoveryTest, TheFoldIsTheLiveState) {
  Driver driver;
  for (int i = 0; i < 5; ++i) run_through(driver, "c" + std::to_string(i), "1");
  driver.publish("open", "1");
  append_all(driver);
  expect_folds(driver, driver.journal.size());
}

TEST_F(RecoveryTest, ACheckpointAndItsTailAreTheLiveState) {
  Driver driver;
  for (int i = 0; i < 5; ++i) driver.publish("c" + std::to_string(i), "1");
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  expect_folds(driver, 0);
  run_through(driver, "later", "1");
  append_all(driver);
  expect_folds(driver, 9);
  ASSERT_TRUE(checkpoint(driver));
  expect_folds(driver, 0);
  EXPECT_EQ(query("select count(*) from checkpoint"), "1");
}

TEST_F(RecoveryTest, RowsOfACheckpointThatWasNeverCompletedDoNoHarm) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  run_through(driver, "bob", "1");
  append_all(driver);
  auto begun = driver.partition.begin_checkpoint();
  auto rows = driver.partition.checkpoint_rows(1 << 20);
  ASSERT_TRUE(write_state_rows(database, kPartition, epoch, begun.seq, rows).has_value());
  driver.partition.abandon_checkpoint();
  expect_folds(driver, 9);
  driver.publish("ann", "2");
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  expect_folds(driver, 0);
}

// The run's row is of a checkpoint that was never completed; when the next one is, the run is over
// and has no row that would hide it.
TEST_F(RecoveryTest, ARunThatEndedIsNotBroughtBackByAnUncompletedCheckpoint) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  auto effects = driver.publish("bob", "1");
  append_all(driver);
  auto begun = driver.partition.begin_checkpoint();
  auto rows = driver.partition.checkpoint_rows(1 << 20);
  ASSERT_TRUE(write_state_rows(database, kPartition, epoch, begun.seq, rows).has_value());
  // The process dies here; the next owner knows nothing of those rows.
  auto recovered = fold(driver);
  ASSERT_TRUE(recovered.has_value());
  driver.partition = std::move(recovered->partition);
  for (int step = 0; step < 4; ++step) {
    const auto offers = all_of<Offer>(effects);
    ASSERT_EQ(offers.size(), 1u);
    driver.grant(offers[0]);
    effects = driver.done(offers[0], "r");
  }
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  expect_folds(driver, 0);
}

TEST_F(RecoveryTest, AForeignEpochWritesNoRows) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  auto begun = driver.partition.begin_checkpoint();
  auto rows = driver.partition.checkpoint_rows(1 << 20);
  ASSERT_FALSE(rows.empty());
  ASSERT_TRUE(write_state_rows(database, kPartition, epoch + 1, begun.seq, rows).has_value());
  EXPECT_EQ(query("select count(*) from run_state"), "0");
}

TEST_F(RecoveryTest, AForeignEpochCannotCompleteACheckpoint) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  ++epoch;
  EXPECT_FALSE(checkpoint(driver));
  EXPECT_EQ(query("select count(*) from checkpoint"), "0");
}

TEST_F(RecoveryTest, TheDedupeWindowOutlivesTheProcess) {
  Driver driver;
  run_through(driver, "ann", "1");
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  auto folded = fold(driver);
  ASSERT_TRUE(folded.has_value());
  const std::string data = core::test::ask("hi");
  core::Event event;
  event.deployment = 1;
  event.client = event.order_key = "ann";
  event.id = "1";
  event.data = data;
  const auto answer = folded->partition.admit(core::test::kTenant, event, driver.now, {});
  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(std::holds_alternative<core::Accepted>(*answer));
  EXPECT_TRUE(std::get<core::Accepted>(*answer).duplicate);
}

TEST_F(RecoveryTest, AnAlteredRecordAHoleAndAnotherDigestHalt) {
  Driver driver;
  for (int i = 0; i < 4; ++i) driver.publish("c" + std::to_string(i), "1");
  append_all(driver);
  query("create table saved as select * from journal");
  const auto restore = [&] {
    query("delete from journal; insert into journal select * from saved");
  };
  query("update journal set at = at + interval '1 us' where seq = 2");
  EXPECT_EQ(damage(driver).seq, 2u);
  EXPECT_NE(damage(driver).message.find("chain"), std::string::npos);
  restore();
  query("delete from journal where seq = 3");
  EXPECT_NE(damage(driver).message.find("hole"), std::string::npos);
  restore();
  query("update journal set digest = set_byte(digest, 0, get_byte(digest, 0) # 1) where seq = 1");
  EXPECT_NE(damage(driver).message.find("digest"), std::string::npos);
  restore();
  query("update journal set digest = set_byte(digest, 20, get_byte(digest, 20) # 1) where seq = 1");
  EXPECT_NE(damage(driver).message.find("state"), std::string::npos);
  restore();
  query("update journal set chain = null, digest = null where seq = 4");
  EXPECT_NE(damage(driver).message.find("middle of a batch"), std::string::npos);
  restore();
  expect_folds(driver, 4);
}

TEST_F(RecoveryTest, ADamagedCheckpointHalts) {
  Driver driver;
  driver.publish("ann", "1");
  append_all(driver);
  ASSERT_TRUE(checkpoint(driver));
  query("update run_state set body = set_byte(body, 8, get_byte(body, 8) # 1)");
  EXPECT_EQ(damage(driver).seq, 1u);
}

TEST_F(RecoveryTest, ARunsRecordsAreFoundByItsChain) {
  Driver driver;
  run_through(driver, "ann", "1");
  run_through(driver, "bob", "1");
  const core::Seq last = driver.partition.last_seq();
  append_all(driver);
  auto records = read_run_records(database, kPartition, last, 100);
  ASSERT_TRUE(records.has_value());
  EXPECT_TRUE(records->complete);
  ASSERT_EQ(records->records.size(), 9u);
  EXPECT_EQ(records->records.front().seq, 10u);
  EXPECT_EQ(records->records.front().kind, core::Kind::event);
  EXPECT_EQ(records->records.back().seq, last);
  auto cut = read_run_records(database, kPartition, last, 3);
  ASSERT_TRUE(cut.has_value());
  EXPECT_FALSE(cut->complete);
}

TEST_F(RecoveryTest, DeliveriesAreStoredWithTheirRecords) {
  Driver driver;
  for (int i = 1; i <= 3; ++i) run_through(driver, "ann", std::to_string(i));
  append_all(driver);
  const auto view = driver.partition.client(core::test::kTenant, "ann");
  ASSERT_TRUE(view.has_value());
  const auto read = [&](PageLimit limit, std::uint64_t after = 1) {
    return read_deliveries(database, kPartition, view->number, after, limit).value();
  };
  const DeliveryRows page = read({.rows = 10, .bytes = 1'000'000});
  ASSERT_EQ(page.rows.size(), 2u);
  EXPECT_EQ(page.rows[0].offset, 2u);
  EXPECT_EQ(page.rows[1].offset, 3u);
  EXPECT_TRUE(page.rows[1].outcome);
  EXPECT_FALSE(page.more);
  // A page that a limit ended says so; the first is in it whatever its size.
  for (const PageLimit limit : {PageLimit{1, 1'000'000}, {10, 1}, {10, 0}}) {
    const DeliveryRows first = read(limit);
    ASSERT_EQ(first.rows.size(), 1u);
    EXPECT_EQ(first.rows[0].offset, 2u);
    EXPECT_TRUE(first.more);
    EXPECT_FALSE(read({.rows = 2, .bytes = limit.bytes}, 2).more);
  }
  EXPECT_TRUE(read({.rows = 10, .bytes = 10}, 3).rows.empty());
  EXPECT_EQ(oldest_delivery(database, kPartition, view->number).value(), 1u);
}

TEST_F(RecoveryTest, RunRowsAreReplacedByNewerOnesOnly) {
  Driver driver;
  driver.publish("ann", "1");
  auto rows = driver.partition.changed_runs(10);
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_TRUE(write_runs(database, rows).has_value());
  core::RunRow older = rows[0];
  older.as_of = 0;
  older.step = "stale";
  ASSERT_TRUE(write_runs(database, {older}).has_value());
  auto stored = read_run(database, rows[0].run);
  ASSERT_TRUE(stored.has_value() && stored->has_value());
  EXPECT_EQ((*stored)->step, rows[0].step);
  EXPECT_EQ((*stored)->client, "ann");
  EXPECT_EQ((*stored)->started, rows[0].started);
  EXPECT_EQ(query("select state || ' ' || flow from v_run"), "running " + rows[0].flow);
  RunFilter filter;
  filter.client = "bob";
  EXPECT_TRUE(list_runs(database, filter)->empty());
  filter.client = "ann";
  EXPECT_EQ(list_runs(database, filter)->size(), 1u);
}

TEST_F(RecoveryTest, AcksNeverFall) {
  const core::TenantId tenant{1};
  ASSERT_TRUE(write_acks(database, {{tenant, "ann", "s", 5}}).has_value());
  ASSERT_TRUE(write_acks(database, {{tenant, "ann", "s", 3}}).has_value());
  EXPECT_EQ(read_ack(database, tenant, "ann", "s").value(), std::optional<std::uint64_t>(5));
  EXPECT_EQ(read_ack(database, tenant, "ann", "t").value(), std::nullopt);
}

}  // namespace
}  // namespace sluice::journal::test
