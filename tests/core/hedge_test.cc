// One more attempt beside a slow one.
#include <gtest/gtest.h>

#include "tests/core/driver.hpp"

namespace sluice::core::test {
namespace {

// A pipeline of one step with these policies.
Pipeline one(vm::StepSite policies) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  pipeline.steps[0].policies = std::move(policies);
  return pipeline;
}

vm::StepSite hedged(std::uint32_t attempts = 1) {
  vm::StepSite site;
  site.idempotent = true;
  site.attempts = attempts;
  site.backoff_min_ms = 200;
  site.backoff_max_ms = 2000;
  site.hedge_after_ms = 300;
  return site;
}

TEST(Hedge, ASlowAttemptGetsOneMoreAndTheFirstAnswerWins) {
  for (const bool second_wins : {false, true}) {
    Driver driver(one(hedged()));
    const Offer first = only<Offer>(driver.publish("ada", "1"));
    EXPECT_TRUE(driver.advance(299 * kMs).empty());
    const Offer second = only<Offer>(driver.advance(1 * kMs));
    EXPECT_EQ(second.key.attempt, 2u);
    EXPECT_EQ(second.step_key, first.step_key);
    EXPECT_EQ(second.args_json, first.args_json);
    EXPECT_EQ(driver.partition.stats().open_attempts, 2u);
    EXPECT_TRUE(driver.advance(10'000 * kMs).empty());  // no third
    Effects owed;
    driver.fold().reissue(owed);
    EXPECT_EQ(all_of<Offer>(owed).size(), 2u);
    const Effects made = driver.done(second_wins ? second : first, "r");
    EXPECT_EQ(only<Revoke>(made).key, (second_wins ? first : second).key);
    EXPECT_EQ(only<Delivery>(made).data_json, R"({"text":"r"})");
    EXPECT_EQ(all_of<Stale>(driver.done(second_wins ? first : second, "late")).size(), 1u);
    EXPECT_EQ(driver.partition.stats().open_attempts, 0u);
    EXPECT_EQ(driver.partition.stats().timers, 0u);
    driver.fold();
  }
}

TEST(Hedge, AnAnswerInTimeNeedsNone) {
  Driver driver(one(hedged()));
  driver.done(only<Offer>(driver.publish("ada", "1")), "r");
  EXPECT_TRUE(driver.advance(10'000 * kMs).empty());
  EXPECT_EQ(driver.partition.stats().timers, 0u);
}

TEST(Hedge, WhicheverFailsFirstTheOtherGoesOn) {
  for (const bool first_fails : {false, true}) {
    Driver driver(one(hedged()));
    const Offer first = only<Offer>(driver.publish("ada", "1"));
    const Offer second = only<Offer>(driver.advance(300 * kMs));
    const Offer& failing = first_fails ? first : second;
    const Offer& other = first_fails ? second : first;
    const Effects made = driver.failed(failing, "Rejected");
    EXPECT_EQ(all_of<Settled>(made).size(), 1u);
    EXPECT_EQ(made.size(), 1u);
    driver.fold();
    EXPECT_EQ(all_of<Settled>(driver.failed(failing, "Rejected")).size(), 1u);  // it came again
    EXPECT_EQ(only<Delivery>(driver.done(other, "r")).data_json, R"({"text":"r"})");
    driver.fold();
  }
}

TEST(Hedge, EachAttemptIsHedgedAndBothMustFail) {
  Driver driver(one(hedged(2)));
  const Offer first = only<Offer>(driver.publish("ada", "1"));
  const Offer second = only<Offer>(driver.advance(300 * kMs));
  driver.failed(first, "Unavailable");
  EXPECT_TRUE(driver.advance(5000 * kMs).empty());  // the other is still under way
  driver.lapse(second, LapseReason::lost);
  const Offer third = only<Offer>(driver.advance(200 * kMs));
  EXPECT_EQ(third.key.attempt, 3u);
  const Offer fourth = only<Offer>(driver.advance(300 * kMs));
  EXPECT_EQ(fourth.key.attempt, 4u);
  driver.failed(fourth, "Unavailable");
  const Effects made = driver.failed(third, "Unavailable");  // two attempts in all are used up
  EXPECT_EQ(only<RunChanged>(made).row.why, "Unavailable: no");
  driver.fold();
}

TEST(Hedge, AnAttemptThatFailsBeforeItIsRepeatedAsUsual) {
  Driver driver(one(hedged(2)));
  driver.failed(only<Offer>(driver.publish("ada", "1")), "Unavailable");
  const Offer second = only<Offer>(driver.advance(200 * kMs));
  EXPECT_EQ(second.key.attempt, 2u);
  EXPECT_TRUE(driver.advance(299 * kMs).empty());  // counted from its own beginning
  EXPECT_EQ(only<Offer>(driver.advance(1 * kMs)).key.attempt, 3u);
}

TEST(Hedge, WhateverEndsTheStepTakesBothBack) {
  for (const bool within : {false, true}) {
    vm::StepSite site = hedged();
    site.within_ms = 1000;
    Driver driver(one(site));
    const Offer first = only<Offer>(driver.publish("ada", "1"));
    driver.advance(300 * kMs);
    const Effects made = within ? driver.advance(700 * kMs) : driver.cancel(first.key.run);
    EXPECT_EQ(all_of<Revoke>(made).size(), 2u);
    EXPECT_EQ(driver.partition.stats().open_attempts, 0u);
    driver.fold();
  }
}

TEST(Hedge, WhoeverSaysSomethingFirstSpeaksAlone) {
  for (const bool second_speaks : {false, true}) {
    vm::StepSite site = hedged(2);
    site.stream = true;
    Driver driver(one(site));
    const Offer first = only<Offer>(driver.publish("ada", "1"));
    EXPECT_TRUE(first.stream && first.undecided);
    const Offer second = only<Offer>(driver.advance(300 * kMs));
    const Offer& speaker = second_speaks ? second : first;
    const Offer& other = second_speaks ? first : second;
    EXPECT_EQ(only<Revoke>(driver.speak(speaker)).key, other.key);
    EXPECT_TRUE(driver.speak(other).empty());
    EXPECT_TRUE(driver.speak(speaker).empty());  // nothing is left to decide
    Effects owed;
    driver.fold().reissue(owed);
    EXPECT_EQ(only<Offer>(owed).key, speaker.key);
    EXPECT_FALSE(only<Offer>(owed).undecided);
    EXPECT_EQ(all_of<Stale>(driver.done(other, "x")).size(), 1u);
    // It fails: the next attempt may be hedged as the first was.
    driver.failed(speaker, "Unavailable");
    const Offer third = only<Offer>(driver.advance(200 * kMs));
    EXPECT_TRUE(third.undecided);
    EXPECT_EQ(only<StreamEnded>(driver.done(third, "r")).how, StreamEnd::complete);
    EXPECT_EQ(driver.partition.stats().timers, 0u);
    driver.fold();
  }
}

TEST(Hedge, AFirstPieceInTimeKeepsItAway) {
  vm::StepSite site = hedged();
  site.stream = true;
  Driver driver(one(site));
  const Offer first = only<Offer>(driver.publish("ada", "1"));
  driver.speak(first);
  EXPECT_TRUE(driver.advance(10'000 * kMs).empty());
  const Effects made = driver.cancel(first.key.run);
  EXPECT_EQ(only<StreamEnded>(made).how, StreamEnd::cancelled);
  driver.fold();
}

}  // namespace
}  // namespace sluice::core::test
