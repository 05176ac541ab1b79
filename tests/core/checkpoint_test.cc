#include <gtest/gtest.h>

#include "tests/core/driver.hpp"
#include "tests/core/random_work.hpp"

namespace sluice::core::test {
namespace {

struct Stored {
  Partition::Checkpoint checkpoint;
  std::vector<StateRow> rows;
};

Stored store(Partition& partition) {
  Stored stored{partition.begin_checkpoint(), {}};
  for (auto rows = partition.checkpoint_rows(1000); !rows.empty();
       rows = partition.checkpoint_rows(1000)) {
    stored.rows.insert(stored.rows.end(), rows.begin(), rows.end());
  }
  return stored;
}

Driver with_runs(unsigned count) {
  Driver driver;
  for (unsigned i = 0; i < count; ++i)
    driver.publish("c" + std::to_string(i % 7), std::to_string(i));
  return driver;
}

TEST(Checkpoint, RunsThatBeginAndEndBetweenTwoWriteNoRow) {
  Driver driver;
  store(driver.partition);
  Offer offer = only<Offer>(driver.publish("ada", "1"));
  for (int i = 0; i < 3; ++i) offer = only<Offer>(driver.done(offer, "r"));
  driver.done(offer, "r");
  for (const StateRow& row : store(driver.partition).rows) {
    EXPECT_NE(row_kind(row.id), RowKind::run);
  }
}

TEST(Checkpoint, OnlyWhatChangedIsWrittenAndAnEndErases) {
  Driver driver;
  driver.publish("ada", "1");
  Offer second = only<Offer>(driver.publish("ada", "2"));
  const auto runs_of = [](const Stored& stored) {
    std::vector<StateRow> rows;
    for (const StateRow& row : stored.rows) {
      if (row_kind(row.id) == RowKind::run) rows.push_back(row);
    }
    return rows;
  };
  EXPECT_EQ(runs_of(store(driver.partition)).size(), 2u);
  EXPECT_TRUE(runs_of(store(driver.partition)).empty());
  for (int i = 0; i < 4; ++i) {
    const auto offers = all_of<Offer>(driver.done(second, "r"));
    if (!offers.empty()) second = offers.front();
  }
  const auto rows = runs_of(store(driver.partition));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_TRUE(rows[0].erased);
  EXPECT_TRUE(runs_of(store(driver.partition)).empty());
}

TEST(Checkpoint, ARunTouchedMeanwhileIsCopiedFirst) {
  Driver driver = with_runs(20);
  const Partition::Checkpoint checkpoint = driver.partition.begin_checkpoint();
  std::vector<StateRow> rows = driver.partition.checkpoint_rows(1);
  Effects owed;
  driver.partition.reissue(owed);
  for (const Offer& offer : all_of<Offer>(owed)) driver.done(offer, "changed");
  for (auto more = driver.partition.checkpoint_rows(1); !more.empty();
       more = driver.partition.checkpoint_rows(1)) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  const auto restored = Partition::restore(driver.config, driver.programs, checkpoint, rows);
  ASSERT_TRUE(restored.has_value()) << restored.error();
  EXPECT_EQ(restored->last_seq(), 20u);
  EXPECT_EQ(restored->stats().runs, 20u);
  EXPECT_EQ(restored->stats().open_attempts, 20u);
}

TEST(Checkpoint, DamageIsFoundAndSaid) {
  Driver driver = with_runs(3);
  const Stored good = store(driver.partition);
  const auto error_of = [&](const Partition::Checkpoint& checkpoint,
                            const std::vector<StateRow>& rows) {
    const auto restored = Partition::restore(driver.config, driver.programs, checkpoint, rows);
    return restored ? std::string() : restored.error();
  };
  EXPECT_EQ(error_of(good.checkpoint, good.rows), "");
  for (std::size_t i = 0; i < good.rows.size(); ++i) {
    for (std::size_t at = 0; at < good.rows[i].body.size(); at += 13) {
      auto rows = good.rows;
      rows[i].body[at] = static_cast<char>(rows[i].body[at] ^ 0x40);
      EXPECT_NE(error_of(good.checkpoint, rows), "") << i << " " << at;
    }
    auto fewer = good.rows;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_NE(error_of(good.checkpoint, fewer), "") << i;
  }
  auto checkpoint = good.checkpoint;
  checkpoint.rest[3] ^= 1;
  EXPECT_EQ(error_of(checkpoint, good.rows), "the checkpoint's rest is damaged");
  checkpoint = good.checkpoint;
  checkpoint.core = 9;
  EXPECT_EQ(error_of(checkpoint, good.rows), "the checkpoint is of core 9");
  checkpoint = good.checkpoint;
  ++checkpoint.seq;
  EXPECT_NE(error_of(checkpoint, good.rows).find("hash"), std::string::npos);
  TestPrograms empty;
  const auto restored = Partition::restore(driver.config, empty, good.checkpoint, good.rows);
  ASSERT_FALSE(restored.has_value());
  EXPECT_NE(restored.error().find("deployment 1 is not loaded"), std::string::npos);
}

TEST(Checkpoint, AnAbandonedOneIsWrittenAgain) {
  Driver driver = with_runs(5);
  driver.partition.begin_checkpoint();
  driver.partition.checkpoint_rows(1);
  driver.partition.abandon_checkpoint();
  const Stored stored = store(driver.partition);
  const auto restored =
      Partition::restore(driver.config, driver.programs, stored.checkpoint, stored.rows);
  ASSERT_TRUE(restored.has_value()) << restored.error();
  EXPECT_EQ(restored->stats().runs, 5u);
}

TEST(Checkpoint, TimersAndDedupeAndOffsetsComeBack) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  pipeline.steps[0].policies.attempts = 2;
  pipeline.steps[0].policies.backoff_min_ms = 1000;
  pipeline.steps[0].policies.backoff_max_ms = 1000;
  pipeline.notify = true;
  pipeline.timeout_ms = 60'000;
  Driver driver(pipeline);
  const Effects made = driver.publish("ada", "1");
  driver.failed(only<Offer>(made), "Busy");
  const Stored stored = store(driver.partition);
  auto restored =
      Partition::restore(driver.config, driver.programs, stored.checkpoint, stored.rows);
  ASSERT_TRUE(restored.has_value()) << restored.error();
  EXPECT_EQ(restored->next_due(), kStart + 1000 * kMs);
  EXPECT_EQ(restored->stats().timers, 2u);
  EXPECT_EQ(restored->client(kTenant, "ada")->last_offset, 1u);
  driver.partition = std::move(*restored);
  EXPECT_TRUE(only<Accepted>(driver.publish("ada", "1")).duplicate);
  const Offer again = only<Offer>(driver.advance(1000 * kMs));
  EXPECT_EQ(again.key.attempt, 2u);
  EXPECT_EQ(only<Delivery>(driver.done(again, "r")).offset, 2u);
}

}  // namespace
}  // namespace sluice::core::test
