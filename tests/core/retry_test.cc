#include "engine/core/retry.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine/core/step_table.hpp"
#include "tests/core/driver.hpp"

namespace sluice::core {
namespace {

vm::StepSite site_of(std::uint64_t min_ms, std::uint64_t max_ms, std::uint32_t factor_milli,
                     bool jitter) {
  vm::StepSite site;
  site.backoff_min_ms = min_ms;
  site.backoff_max_ms = max_ms;
  site.backoff_factor_milli = factor_milli;
  site.jitter = jitter;
  site.attempts = 10;
  return site;
}

TEST(Retry, GapsGrowUpToTheirBound) {
  const struct {
    std::uint64_t min_ms, max_ms;
    std::uint32_t factor_milli, attempt, retry_after_ms;
    TimeUs gap_ms;
  } rows[] = {
      {200, 2000, 2000, 1, 0, 200},
      {200, 2000, 2000, 2, 0, 400},
      {200, 2000, 2000, 3, 0, 800},
      {200, 2000, 2000, 4, 0, 1600},
      {200, 2000, 2000, 5, 0, 2000},
      {200, 2000, 2000, 50, 0, 2000},
      {200, 2000, 3000, 2, 0, 600},
      {200, 2000, 1500, 3, 0, 450},
      {200, 2000, 1000, 9, 0, 200},
      {200, 2000, 2000, 1, 5000, 5000},
      {200, 2000, 2000, 5, 1000, 2000},
      {0, 0, 2000, 1, 0, 0},
      {0, 0, 2000, 1, 70, 70},
      {500, 100, 2000, 1, 0, 100},
      {200, 2000, 0, 3, 0, 0},
      {1, ~0ull, ~0u, 100, 0, 24 * 3600 * 1000},
      {~0ull, ~0ull, 2000, 3, ~0u, 24 * 3600 * 1000},
  };
  for (const auto& row : rows) {
    const auto site = site_of(row.min_ms, row.max_ms, row.factor_milli, false);
    EXPECT_EQ(backoff_gap(site, row.attempt, row.retry_after_ms, 12345), row.gap_ms * kUsPerMs)
        << row.min_ms << ".." << row.max_ms << " attempt " << row.attempt;
  }
}

TEST(Retry, JitterStaysInTheUpperHalf) {
  EXPECT_TRUE(rc::check([](std::uint16_t min_ms, std::uint8_t attempt, std::uint64_t draw) {
    const std::uint64_t max_ms = min_ms * 8ull;
    const TimeUs plain = backoff_gap(site_of(min_ms, max_ms, 2000, false), attempt, 0, draw);
    const TimeUs drawn = backoff_gap(site_of(min_ms, max_ms, 2000, true), attempt, 0, draw);
    RC_ASSERT(drawn <= plain);
    RC_ASSERT(drawn >= plain / 2);
  }));
}

TEST(Retry, WhatMayBeRepeated) {
  const struct {
    const char* kind;
    std::vector<std::string> on;
    bool idempotent, keyed;
    std::uint32_t attempt;
    bool again;
  } rows[] = {
      {"Unavailable", {}, false, false, 1, true},
      {"Busy", {}, false, false, 1, true},
      {"Rejected", {}, true, false, 1, false},
      {"TimedOut", {}, false, false, 1, false},
      {"TimedOut", {}, true, false, 1, true},
      {"Lost", {}, false, true, 1, true},
      {"Lost", {}, false, false, 1, false},
      {"Unavailable", {}, true, false, 3, false},
      {"Unavailable", {"Rejected"}, true, false, 1, false},
      {"Rejected", {"Rejected"}, false, false, 1, true},
      {"Odd", {"Odd"}, false, false, 2, true},
      // A program that asks for it gets it only where it is safe.
      {"TimedOut", {"TimedOut"}, false, false, 1, false},
      {"TimedOut", {"TimedOut"}, false, true, 1, true},
      {"Lost", {"TimedOut"}, true, false, 1, false},
  };
  for (const auto& row : rows) {
    vm::StepSite site;
    site.attempts = 3;
    site.retry_on = row.on;
    site.idempotent = row.idempotent;
    site.keyed = row.keyed;
    EXPECT_EQ(may_repeat(site, row.kind, row.attempt), row.again) << row.kind;
  }
}

TEST(Retry, UnknownKindsAreRejected) {
  vm::TaskInfo task;
  task.kinds = {"OutOfStock"};
  EXPECT_EQ(known_kind(task, "OutOfStock"), "OutOfStock");
  EXPECT_EQ(known_kind(task, "TimedOut"), "TimedOut");
  EXPECT_EQ(known_kind(task, "Whatever"), "Rejected");
  EXPECT_EQ(known_kind(task, ""), "Rejected");
}

// The first attempt may have done it, whatever the second one says.
TEST(Retry, WhatMayHaveHappenedStaysInDoubt) {
  for (const bool lost : {true, false}) {
    test::Pipeline pipeline;
    pipeline.steps.resize(1);
    pipeline.steps[0].policies.idempotent = true;
    pipeline.steps[0].policies.attempts = 2;
    pipeline.steps[0].unsure = true;
    test::Driver driver(pipeline);
    const auto first = test::only<Offer>(driver.publish("ada", "1"));
    if (lost) {
      driver.lapse(first, LapseReason::lost);
    } else {
      driver.failed(first, "Unavailable");
    }
    const auto second = test::only<Offer>(driver.advance(10'000 * test::kMs));
    const Effects made = driver.failed(second, "Rejected", false);
    EXPECT_EQ(test::all_of<Offer>(made).size(), lost ? 1u : 0u);
    driver.fold();
  }
}

TEST(StepTable, EveryRowIsReachableAndNoInputHasTwoEnds) {
  for (std::size_t i = 0; i < kStepRowCount; ++i) {
    EXPECT_EQ(step_row(kStepRows[i].from, kStepRows[i].input), i);
    bool reached = kStepRows[i].from == StepStatus::none;
    for (const StepRow& row : kStepRows) reached = reached || row.to == kStepRows[i].from;
    EXPECT_TRUE(reached) << step_status_name(kStepRows[i].from);
  }
  for (const StepStatus end : {StepStatus::done, StepStatus::failed, StepStatus::cancelled}) {
    for (const StepRow& row : kStepRows) EXPECT_NE(row.from, end);
  }
}

}  // namespace
}  // namespace sluice::core
