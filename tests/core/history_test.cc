#include "engine/core/history.hpp"

#include <gtest/gtest.h>

#include "tests/core/driver.hpp"

namespace sluice::core::test {
namespace {

// A run's records out of the whole journal, by the chain that the columns make.
std::vector<Record> records_of(const Driver& driver, const RunId& run) {
  std::vector<Record> records;
  for (const auto& entry : driver.journal) {
    if (entry.applied.run == run) records.push_back(entry.record);
  }
  return records;
}

TEST(History, IsToldFromTheRunsRecordsAlone) {
  Pipeline pipeline;
  pipeline.steps.resize(2);
  pipeline.steps[1].policies.attempts = 2;
  pipeline.steps[1].policies.backoff_min_ms = 100;
  pipeline.steps[1].policies.backoff_max_ms = 100;
  Driver driver(pipeline);
  const Effects made = driver.publish("ada", "1", "hello");
  driver.publish("bob", "1");  // another run in between
  const RunId run = only<Accepted>(made).runs[0];
  driver.grant(only<Offer>(made));
  Offer offer = only<Offer>(driver.done(only<Offer>(made), "r1"));
  driver.publish("ada", "2");
  driver.failed(offer, "Busy");
  offer = only<Offer>(driver.advance(100 * kMs));
  driver.done(offer, "r2");

  const auto history =
      tell_history(PartitionId{0}, 1, run, records_of(driver, run), driver.programs);
  ASSERT_TRUE(history.has_value()) << history.error();
  const struct {
    const char* kind;
    const char* step;
    std::uint32_t attempt;
    std::string causation;
  } rows[] = {
      {"event", "", 0, ""},
      {"granted", "answer/s1", 1, to_text(only<Accepted>(made).event)},
      {"done", "answer/s1", 1, to_text(only<Accepted>(made).event)},
      {"failed", "answer/s2", 1, "0-4"},
      {"advance", "answer/s2", 1, "0-6"},
      {"done", "answer/s2", 2, "0-7"},
  };
  ASSERT_EQ(history->entries.size(), std::size(rows));
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    const HistoryEntry& entry = history->entries[i];
    EXPECT_EQ(entry.kind, rows[i].kind);
    EXPECT_EQ(entry.step, rows[i].step);
    EXPECT_EQ(entry.attempt, rows[i].attempt);
    EXPECT_EQ(entry.causation, rows[i].causation);
    EXPECT_EQ(entry.verdict, "ok");
  }
  EXPECT_EQ(history->entries[0].data_json,
            R"({"topic":"asks","id":"1","client":"ada","deployment":1,"data":{"text":"hello"},)"
            R"("then":[{"attempt_of":"answer/s1","task":"t1","attempt":1,"args":["hello"]}]})");
  EXPECT_EQ(history->entries[3].data_json, R"({"failure":"Busy","message":"no","retry":true})");
  EXPECT_EQ(history->entries[5].data_json,
            R"({"task":"t2","result":"r2","then":[{"delivered":"Answer","client":"ada",)"
            R"("outcome":true,"data":{"text":"r2"}},{"ended":"completed","outcome":"Answer"}]})");
  EXPECT_EQ(history->row.state, RunState::completed);
  EXPECT_EQ(history->row.last_seq, driver.journal.back().record.seq);
}

TEST(History, OfALiveRunEndsWhereItIs) {
  Driver driver;
  const Effects made = driver.publish("ada", "1");
  const RunId run = only<Accepted>(made).runs[0];
  driver.done(only<Offer>(made), "r");
  const auto history =
      tell_history(PartitionId{0}, 1, run, records_of(driver, run), driver.programs);
  ASSERT_TRUE(history.has_value());
  EXPECT_EQ(history->row.state, RunState::running);
  EXPECT_EQ(history->row.step, "answer/s2");
}

TEST(History, RecordsThatAreNotTheRunsAreRefused) {
  Driver driver;
  const Effects made = driver.publish("ada", "1");
  const RunId run = only<Accepted>(made).runs[0];
  driver.done(only<Offer>(made), "r");
  auto records = records_of(driver, run);
  EXPECT_FALSE(tell_history(PartitionId{0}, 1, run, {}, driver.programs));
  EXPECT_FALSE(tell_history(PartitionId{0}, 1, run, {records[1]}, driver.programs));
  EXPECT_FALSE(tell_history(PartitionId{0}, 1, run, {records[1], records[0]}, driver.programs));
  EXPECT_FALSE(tell_history(PartitionId{1}, 2, run, records, driver.programs));
}

}  // namespace
}  // namespace sluice::core::test
