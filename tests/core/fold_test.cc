// A partition is a function of its journal: random work, and folds of it that must agree.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/core/driver.hpp"
#include "tests/core/random_work.hpp"

namespace sluice::core::test {
namespace {

TEST(Fold, FromTheBeginningItIsTheLiveStateAtEverySeq) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Driver driver(hedged_pipeline(shape));
    RandomWork work(driver);
    for (const std::uint32_t choice : choices) work.step(choice);
    Partition folded = driver.fold();
    RC_ASSERT(folded.state_hash() == driver.partition.state_hash());
    RC_ASSERT(folded.last_seq() == driver.partition.last_seq());
    Effects live, after;
    driver.partition.reissue(live);
    folded.reissue(after);
    RC_ASSERT(live.size() == after.size());
    RC_ASSERT(driver.partition.stuck_runs().empty());
  }));
}

TEST(Fold, FromACheckpointItIsTheSameWhereverThatWasTaken) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Driver driver(hedged_pipeline(shape));
    RandomWork work(driver);
    StoredCheckpoints stored(driver);
    for (const std::uint32_t choice : choices) {
      work.step(choice);
      stored.maybe_write(choice);
    }
    auto restored = stored.restore_newest();
    if (!restored) return;
    for (std::size_t i = restored->last_seq(); i < driver.journal.size(); ++i) {
      Effects made;
      RC_ASSERT(restored->apply(driver.journal[i].record, {}, made).has_value());
      RC_ASSERT(restored->state_hash() == driver.journal[i].state);
      RC_ASSERT(restored->take_digest() == driver.journal[i].digest);
    }
    RC_ASSERT(restored->state_hash() == driver.partition.state_hash());
  }));
}

// Longer journals than RapidCheck makes, with a checkpoint now and then.
TEST(Fold, LongJournalsFoldFromEveryCheckpoint) {
  std::uint64_t state = 2026;
  const auto draw = [&] {  // SplitMix64
    std::uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return static_cast<std::uint32_t>(z >> 32);
  };
  int restored_count = 0;
  for (int round = 0; round < 60; ++round) {
    Driver driver(hedged_pipeline(static_cast<std::uint8_t>(draw())));
    RandomWork work(driver);
    StoredCheckpoints stored(driver);
    for (int i = 0; i < 300; ++i) {
      work.step(draw());
      stored.maybe_write(draw());
    }
    driver.fold();
    auto restored = stored.restore_newest();
    if (!restored) continue;  // none was finished in time
    ++restored_count;
    for (std::size_t i = restored->last_seq(); i < driver.journal.size(); ++i) {
      Effects made;
      ASSERT_TRUE(restored->apply(driver.journal[i].record, {}, made).has_value());
      ASSERT_EQ(restored->state_hash(), driver.journal[i].state);
      ASSERT_EQ(restored->take_digest(), driver.journal[i].digest);
    }
    work.drain();
    EXPECT_EQ(driver.partition.stats().runs, 0u);
    work.check_answers();
  }
  EXPECT_GT(restored_count, 30);
}

TEST(Fold, EveryRunEndsOnceEverythingIsAnsweredOrTimedOut) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Driver driver(hedged_pipeline(shape));
    RandomWork work(driver);
    for (const std::uint32_t choice : choices) work.step(choice);
    work.drain();
    RC_ASSERT(driver.partition.stats().runs == 0u);
    RC_ASSERT(driver.partition.stats().timers == 0u);
    RC_ASSERT(driver.partition.stats().open_attempts == 0u);
    work.check_answers();
  }));
}

}  // namespace
}  // namespace sluice::core::test
