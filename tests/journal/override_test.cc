// A record that cannot be folded, and what an override of it makes of the partition.
#include "engine/journal/override.hpp"

#include "engine/journal/reads.hpp"
#include "tests/journal/harness.hpp"

namespace sluice::journal::test {
namespace {

constexpr core::PartitionId kPartition{0};

using core::Offer;
using core::test::all_of;
using core::test::only;

void run_through(Driver& driver, const std::string& client, const std::string& id) {
  auto effects = driver.publish(client, id);
  for (int step = 0; step < 4; ++step) {
    const auto offers = all_of<Offer>(effects);
    ASSERT_EQ(offers.size(), 1u);
    driver.grant(offers[0]);
    effects = driver.done(offers[0], "r");
  }
}

class OverrideTest : public JournalTest {
 protected:
  // Nine records and one delivery per client and call.
  static constexpr core::Seq kPerRun = 9;

  tl::expected<Recovered, RecoveryError> fold(Driver& driver) {
    RecoveryHooks hooks;
    hooks.applying = [this](const core::Record& record) {
      return record.seq != poisonous || record.verdict != core::Verdict::ok;
    };
    hooks.overridden = [this](const core::Record& record, OverrideMode,
                              const core::Effects& effects) {
      ++overridden[record.seq];
      for (const auto& dead : all_of<core::DeadLettered>(effects)) dead_letters.push_back(dead.run);
    };
    return recover(database, driver.config, driver.programs, hooks);
  }
  Damage damage(Driver& driver) {
    auto folded = fold(driver);
    if (folded || !std::holds_alternative<Damage>(folded.error())) {
      ADD_FAILURE() << "it folds";
      return {};
    }
    return std::get<Damage>(folded.error());
  }
  // Overrides what the fold halts at.
  void mend(Driver& driver, std::optional<OverrideMode> mode = std::nullopt) {
    const Damage found = damage(driver);
    ASSERT_TRUE(found.cure.has_value()) << found.message;
    NewOverride wanted{
        kPartition,    found.seq, found.first, found.last, mode.value_or(*found.cure),
        found.message, "a test",  "ann"};
    const auto done = write_override(database, wanted);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    ASSERT_EQ(*done, OverrideWritten::written);
    EXPECT_EQ(query("select owner is null from partition where part = 0"), "t");
  }
  // The next owner: folds, and goes on from what it came to.
  void take_over(Driver& driver) {
    auto folded = fold(driver);
    ASSERT_TRUE(folded.has_value()) << std::get<Damage>(folded.error()).message;
    query("update partition set owner = 'a', epoch = epoch + 1 where part = 0");
    ++epoch;
    driver.partition = std::move(folded->partition);
    tip = folded->tip;
    driver.take(core::make_record({}, core::Takeover{epoch}));
  }
  void expect_folds_the_same(Driver& driver) {
    append_all(driver);
    auto folded = fold(driver);
    ASSERT_TRUE(folded.has_value()) << std::get<Damage>(folded.error()).message;
    EXPECT_EQ(folded->partition.state_hash(), driver.partition.state_hash());
    EXPECT_EQ(folded->tip, tip);
  }
  // Per client the offsets 1, 2, 3…, each once.
  void expect_offsets_without_gaps() {
    EXPECT_EQ(query("select count(*) from (select client from delivery group by client"
                    " having max(\"offset\") <> count(*) or count(*) <> count(distinct \"offset\"))"
                    " x"),
              "0");
  }
  std::uint64_t offset(Driver& driver, const std::string& client) {
    const auto view = driver.partition.client(core::test::kTenant, client);
    return view ? view->last_offset : 0;
  }

  core::Seq poisonous = 0;
  std::map<core::Seq, int> overridden;
  std::vector<core::RunId> dead_letters;
};

// Ann's first event is gone with its body; what it led to was delivered. Bob and a later run of
// hers came after it, Bob under the number after hers.
TEST_F(OverrideTest, ABodyThatCannotBeReadIsPassedOver) {
  Driver driver;
  run_through(driver, "ann", "1");
  run_through(driver, "bob", "1");
  run_through(driver, "ann", "2");
  append_all(driver);
  query("update journal set body = '\\x00' where seq = 1");
  EXPECT_EQ(damage(driver).seq, 1u);
  EXPECT_EQ(damage(driver).cure, OverrideMode::skip);
  EXPECT_EQ(damage(driver).last, 3 * kPerRun);
  mend(driver);
  take_over(driver);
  EXPECT_EQ(overridden[1], 1);
  EXPECT_EQ(offset(driver, "ann"), 2u);
  EXPECT_EQ(offset(driver, "bob"), 1u);
  EXPECT_EQ(driver.partition.client(core::test::kTenant, "bob")->number, 2u);
  EXPECT_TRUE(driver.partition.stuck_runs().empty());
  run_through(driver, "ann", "3");
  run_through(driver, "bob", "2");
  run_through(driver, "eve", "1");
  expect_folds_the_same(driver);
  EXPECT_EQ(offset(driver, "ann"), 3u);
  expect_offsets_without_gaps();
  expect_folds_the_same(driver);
}

TEST_F(OverrideTest, AResultThatKillsTheProcessMakesItsRunADeadLetter) {
  Driver driver;
  run_through(driver, "bob", "1");
  auto effects = driver.publish("ann", "1");
  const core::RunId run = only<core::Accepted>(effects).runs.at(0);
  const Offer offer = only<Offer>(effects);
  driver.grant(offer);
  driver.done(offer, "poison");
  poisonous = driver.partition.last_seq();
  run_through(driver, "ann", "2");
  append_all(driver);
  EXPECT_EQ(damage(driver).seq, poisonous);
  mend(driver);
  take_over(driver);
  EXPECT_EQ(dead_letters, std::vector<core::RunId>{run});
  EXPECT_FALSE(driver.partition.run(run).has_value());
  // What the dead letter would have told its client was never stored, and takes no offset.
  EXPECT_EQ(offset(driver, "ann"), 1u);
  run_through(driver, "ann", "3");
  expect_folds_the_same(driver);
  EXPECT_EQ(offset(driver, "ann"), 2u);
  expect_offsets_without_gaps();
  EXPECT_EQ(query("select verdict from v_journal where seq = " + std::to_string(poisonous)),
            "overridden");
  auto records = read_run_records(database, kPartition, poisonous, 100);
  ASSERT_TRUE(records.has_value());
  EXPECT_EQ(records->records.back().verdict, core::Verdict::overridden);
}

TEST_F(OverrideTest, AByteThatChangesOnlyTheChainIsAccepted) {
  Driver driver;
  run_through(driver, "ann", "1");
  run_through(driver, "ann", "2");
  append_all(driver);
  query("update journal set chain = set_byte(chain, 0, get_byte(chain, 0) # 1) where seq = 5");
  EXPECT_EQ(damage(driver).seq, 5u);
  EXPECT_EQ(damage(driver).cure, OverrideMode::accept);
  mend(driver);
  take_over(driver);
  EXPECT_TRUE(dead_letters.empty());
  run_through(driver, "ann", "3");
  expect_folds_the_same(driver);
  EXPECT_EQ(offset(driver, "ann"), 3u);
  expect_offsets_without_gaps();
}

// The event says another client now. Accepted: the run is that client's in what follows, but what
// was delivered was ann's.
TEST_F(OverrideTest, AnAlteredClientIsAcceptedWithoutALossOfOffsets) {
  Driver driver;
  run_through(driver, "ann", "1");
  run_through(driver, "cid", "1");
  append_all(driver);
  query(
      "update journal set body = decode(replace(encode(body, 'hex'), encode('ann', 'hex'),"
      " encode('eve', 'hex')), 'hex') where seq = 1");
  EXPECT_EQ(damage(driver).cure, OverrideMode::accept);
  mend(driver);
  take_over(driver);
  EXPECT_EQ(offset(driver, "ann"), 1u);
  EXPECT_EQ(offset(driver, "cid"), 1u);
  EXPECT_EQ(offset(driver, "eve"), 0u);
  for (const auto* client : {"eve", "ann", "cid"}) run_through(driver, client, "9");
  expect_folds_the_same(driver);
  expect_offsets_without_gaps();
}

// What comes after the stretch is compared again.
TEST_F(OverrideTest, TheOverrideCoversNothingBehindItsStretch) {
  Driver driver;
  run_through(driver, "ann", "1");
  append_all(driver);
  query("update journal set chain = set_byte(chain, 0, get_byte(chain, 0) # 1) where seq = 5");
  mend(driver);
  take_over(driver);
  run_through(driver, "ann", "2");
  append_all(driver);
  const std::string last = std::to_string(driver.partition.last_seq());
  query("update journal set digest = set_byte(digest, 0, get_byte(digest, 0) # 1) where seq = " +
        last);
  EXPECT_EQ(std::to_string(damage(driver).seq), last);
}

// Inside the stretch: another record that cannot be folded halts as before, and is the next.
TEST_F(OverrideTest, TwoRecordsAreOverriddenOneAfterTheOther) {
  Driver driver;
  for (int i = 1; i <= 3; ++i) run_through(driver, "ann", std::to_string(i));
  append_all(driver);
  query("update journal set body = '\\x' where seq in (1, 10)");
  mend(driver);
  EXPECT_EQ(damage(driver).seq, 10u);
  mend(driver);
  take_over(driver);
  run_through(driver, "ann", "4");
  expect_folds_the_same(driver);
  EXPECT_EQ(offset(driver, "ann"), 4u);
  EXPECT_EQ(query("select count(*) from v_override where operator = 'ann' and why = 'a test'"),
            "2");
  expect_offsets_without_gaps();
}

// The timer of a run that is gone is passed over; a timer whose turn it is not fires by its name;
// and one whose record cannot be read fires when its partition serves again.
TEST_F(OverrideTest, TimersOfTheStretchFireByName) {
  core::test::Pipeline pipeline;
  pipeline.timeout_ms = 60'000;
  Driver driver(pipeline);
  const core::RunId ann = only<core::Accepted>(driver.publish("ann", "1")).runs.at(0);
  driver.advance(core::test::kMs);
  const core::RunId bob = only<core::Accepted>(driver.publish("bob", "1")).runs.at(0);
  driver.advance(core::test::kMs);
  const core::RunId cid = only<core::Accepted>(driver.publish("cid", "1")).runs.at(0);
  driver.advance(61'000 * core::test::kMs);
  append_all(driver);
  ASSERT_EQ(query("select count(*) from journal where kind = 12"), "3");
  query(
      "update journal set body = '\\x00' where seq = 1 or seq = "
      "(select min(seq) + 1 from journal where kind = 12)");
  mend(driver);
  mend(driver);
  take_over(driver);
  EXPECT_FALSE(driver.partition.run(ann).has_value());
  EXPECT_TRUE(driver.partition.run(bob).has_value());
  EXPECT_FALSE(driver.partition.run(cid).has_value());
  EXPECT_TRUE(driver.partition.stuck_runs().empty());
  driver.advance(1 * core::test::kMs);
  EXPECT_FALSE(driver.partition.run(bob).has_value());
  expect_folds_the_same(driver);
  expect_offsets_without_gaps();
}

TEST_F(OverrideTest, ARecordIsOverriddenOnceAndOnlyAtTheJournalsEnd) {
  Driver driver;
  run_through(driver, "ann", "1");
  append_all(driver);
  NewOverride wanted{kPartition, 3, 3, kPerRun - 1, OverrideMode::skip, "f", "w", "me"};
  EXPECT_EQ(write_override(database, wanted).value(), OverrideWritten::moved_on);
  EXPECT_EQ(query("select count(*) from override"), "0");
  EXPECT_EQ(query("select owner from partition where part = 0"), "a");
  wanted.tip = kPerRun;
  EXPECT_EQ(write_override(database, wanted).value(), OverrideWritten::written);
  EXPECT_EQ(write_override(database, wanted).value(), OverrideWritten::known);
  EXPECT_EQ(query("select count(*) from override"), "1");
}

// A client that the rows know under a number that is another's: no fold can mend that.
TEST_F(OverrideTest, NumbersThatContradictEachOtherHaltForGood) {
  Driver driver;
  run_through(driver, "ann", "1");
  run_through(driver, "bob", "1");
  append_all(driver);
  query("update delivery set client = 3 where client = 2");
  query("update journal set chain = set_byte(chain, 0, get_byte(chain, 0) # 1) where seq = 2");
  mend(driver);
  const Damage found = damage(driver);
  EXPECT_EQ(found.seq, 2 * kPerRun);
  EXPECT_FALSE(found.cure.has_value());
  EXPECT_NE(found.message.find("client `bob`"), std::string::npos) << found.message;
}

}  // namespace
}  // namespace sluice::journal::test
