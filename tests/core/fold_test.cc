// A partition is a function of its journal: random work, and folds of it that must agree.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/core/driver.hpp"
#include "tests/core/random_work.hpp"

namespace sluice::core::test {
namespace {

TEST(Fold, FromTheBeginningItIsTheLiveStateAtEverySeq) {
  rc::check([](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Driver driver(random_pipeline(shape));
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
  });
}

TEST(Fold, FromACheckpointItIsTheSameWhereverThatWasTaken) {
  rc::check([](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Driver driver(random_pipeline(shape));
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
  });
}

TEST(Fold, EveryRunEndsOnceEverythingIsAnsweredOrTimedOut) {
  rc::check([](const std::vector<std::uint32_t>& choices, std::uint8_t shape) {
    Driver driver(random_pipeline(shape));
    RandomWork work(driver);
    for (const std::uint32_t choice : choices) work.step(choice);
    work.drain();
    RC_ASSERT(driver.partition.stats().runs == 0u);
    RC_ASSERT(driver.partition.stats().timers == 0u);
    RC_ASSERT(driver.partition.stats().open_attempts == 0u);
    work.check_answers();
  });
}

}  // namespace
}  // namespace sluice::core::test
