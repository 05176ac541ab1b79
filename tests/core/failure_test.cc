// What goes wrong in a run, and what follows from it.
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

vm::StepSite idempotent(std::uint32_t attempts = 1) {
  vm::StepSite site;
  site.idempotent = true;
  site.attempts = attempts;
  site.backoff_min_ms = 200;
  site.backoff_max_ms = 2000;
  return site;
}

TEST(Failure, ARetryWaitsItsGapAndOpensTheNextAttempt) {
  Driver driver(one(idempotent(3)));
  const Offer first = only<Offer>(driver.publish("ada", "1"));
  Effects made = driver.failed(first, "Unavailable");
  EXPECT_EQ(all_of<Settled>(made).size(), 1u);
  EXPECT_TRUE(all_of<Offer>(made).empty());
  EXPECT_EQ(driver.partition.run(first.key.run)->state, RunState::retrying);
  EXPECT_EQ(driver.partition.run(first.key.run)->why, "Unavailable: no");
  EXPECT_TRUE(driver.advance(199 * kMs).empty());
  const Offer second = only<Offer>(driver.advance(1 * kMs));
  EXPECT_EQ(second.key.attempt, 2u);
  EXPECT_GT(second.opened, first.opened);
  EXPECT_EQ(second.step_key, first.step_key);
  EXPECT_EQ(second.args_json, first.args_json);
  driver.failed(second, "Busy");
  EXPECT_TRUE(driver.advance(399 * kMs).empty());
  const Offer third = only<Offer>(driver.advance(1 * kMs));
  EXPECT_EQ(third.key.attempt, 3u);
  made = driver.failed(third, "Unavailable");  // attempts are used up
  EXPECT_EQ(only<Delivery>(made).data_json, R"({"reason":"no"})");
  EXPECT_EQ(only<RunChanged>(made).row.state, RunState::failed);
  EXPECT_EQ(only<RunChanged>(made).row.why, "Unavailable: no");
  driver.fold();
}

vm::StepSite readonly() {
  vm::StepSite site = idempotent(3);
  site.readonly = true;
  return site;
}

TEST(Failure, AReadonlyStepIsOfferedEarlyButNotWhatIsOwedAfterAFold) {
  Driver driver(one(readonly()));
  const Offer first = only<Offer>(driver.publish("ada", "1"));
  EXPECT_TRUE(first.early);
  EXPECT_TRUE(first.safe);
  driver.failed(first, "Unavailable");
  EXPECT_TRUE(only<Offer>(driver.advance(200 * kMs)).early);
  Effects owed;
  driver.fold().reissue(owed);
  EXPECT_FALSE(only<Offer>(owed).early);
  Driver waiting(one(idempotent(3)));
  EXPECT_FALSE(only<Offer>(waiting.publish("ada", "1")).early);
}

TEST(Failure, WhatStreamsIsNotOfferedEarly) {
  vm::StepSite site = readonly();
  site.stream = true;
  Driver driver(one(site));
  EXPECT_FALSE(only<Offer>(driver.publish("ada", "1")).early);
}

// A batch with an early offer is lost at a takeover. What happens then bears the same numbers: the
// same seq opens the same step of the same run, with the same arguments.
TEST(Failure, AReportOfALostHistoryIsStale) {
  Pipeline pipeline;
  pipeline.steps.resize(2);
  for (auto& step : pipeline.steps) step.policies = readonly();
  Driver lost(pipeline);
  Driver kept(pipeline);
  for (Driver* driver : {&lost, &kept}) {
    driver->take(make_record({}, Takeover{1}));
    driver->publish("ada", "1");
  }
  const auto open = [](const Driver& driver) { return all_of<Offer>(driver.effects).back(); };
  lost.take(make_record({}, Takeover{1}));  // as many records as in the other
  lost.done(open(lost), "x");
  kept.take(make_record({}, Takeover{2}));
  kept.done(open(kept), "x");
  const Offer never = open(lost);
  const Offer real = open(kept);
  ASSERT_EQ(never.key, real.key);
  ASSERT_EQ(never.opened, real.opened);
  ASSERT_EQ(never.args_json, real.args_json);
  EXPECT_EQ(all_of<Stale>(kept.done(never, "of the lost history")).size(), 1u);
  EXPECT_EQ(only<Delivery>(kept.done(real, "y")).data_json, R"({"text":"y"})");
  kept.fold();
}

TEST(Failure, AWorkerMayAskForALongerGap) {
  Driver driver(one(idempotent(2)));
  driver.failed(only<Offer>(driver.publish("ada", "1")), "Busy", true, 5000);
  EXPECT_TRUE(driver.advance(4999 * kMs).empty());
  EXPECT_EQ(all_of<Offer>(driver.advance(1 * kMs)).size(), 1u);
}

TEST(Failure, WhatEndsAStepAtOnce) {
  const struct {
    const char* kind;
    bool retry;
    const char* why;
  } rows[] = {
      {"Unavailable", false, "Unavailable: no"},  // the worker says: not again
      {"Rejected", true, "Rejected: no"},
      {"Strange", true, "Rejected: Strange: no"},  // a kind that nobody knows
      {"OutOfStock", true, "OutOfStock: no"},      // one that the task declares
  };
  for (const auto& row : rows) {
    Pipeline pipeline = one(idempotent(5));
    pipeline.kinds = {"OutOfStock"};
    Driver driver(pipeline);
    const Effects made =
        driver.failed(only<Offer>(driver.publish("ada", "1")), row.kind, row.retry);
    EXPECT_EQ(only<RunChanged>(made).row.why, row.why);
    driver.fold();
  }
}

TEST(Failure, ALostOrLateAttemptIsRepeatedOnlyWhereThatIsSafe) {
  const struct {
    bool safe;
    LapseReason reason;
    const char* why;
  } rows[] = {
      {true, LapseReason::lost, ""},
      {true, LapseReason::timed_out, ""},
      {false, LapseReason::lost, "Lost: the worker was lost"},
      {false, LapseReason::timed_out, "TimedOut: no result within 700 ms"},
  };
  for (const auto& row : rows) {
    vm::StepSite site = idempotent(3);
    site.idempotent = row.safe;
    site.timeout_ms = 700;
    Driver driver(one(site));
    const Offer offer = only<Offer>(driver.publish("ada", "1"));
    EXPECT_EQ(offer.safe, row.safe);
    EXPECT_EQ(offer.timeout_ms, 700u);
    EXPECT_EQ(driver.grant(offer).empty(), row.safe);  // only unsafe ones are granted
    const Effects made = driver.lapse(offer, row.reason);
    if (row.safe) {
      EXPECT_EQ(only<Offer>(driver.advance(200 * kMs)).key.attempt, 2u);
    } else {
      EXPECT_EQ(only<RunChanged>(made).row.why, row.why);
    }
    EXPECT_TRUE(driver.lapse(offer, row.reason).empty());  // it is not open any more
    driver.fold();
  }
}

TEST(Failure, AnAttemptThatNoWorkerTakesInTimeIsBusy) {
  for (const bool safe : {true, false}) {
    vm::StepSite site = idempotent(2);
    site.idempotent = safe;
    site.queue_ms = 300;
    Pipeline pipeline = one(site);
    pipeline.steps[0].unsure = true;
    Driver driver(pipeline);
    const Offer first = only<Offer>(driver.publish("ada", "1"));
    EXPECT_EQ(first.queue_deadline, driver.now + 300 * kMs);
    EXPECT_TRUE(all_of<Offer>(driver.lapse(first, LapseReason::queued)).empty());
    const Offer second = only<Offer>(driver.advance(200 * kMs));  // Busy is repeated by default
    EXPECT_EQ(second.queue_deadline, driver.now + 300 * kMs);     // each attempt has its own wait
    driver.fold();
    const Effects made = driver.lapse(second, LapseReason::queued);
    // Whether a safe attempt was handed out before a takeover, nobody knows: it is unsure.
    EXPECT_EQ(all_of<Offer>(made).size(), safe ? 1u : 0u);
    if (safe) driver.done(only<Offer>(made), "undone");
    const auto ended = all_of<RunChanged>(driver.effects);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].row.why, "Busy: no worker took it within 300 ms");
    driver.fold();
  }
}

// The worker that it was granted for left before it was sent anything.
TEST(Failure, AGrantedAttemptThatNobodyWasSentMayWaitTooLong) {
  vm::StepSite site;
  site.attempts = 2;
  site.queue_ms = 300;
  Driver driver(one(site));
  const Offer first = only<Offer>(driver.publish("ada", "1"));
  driver.grant(first);
  EXPECT_TRUE(all_of<RunChanged>(driver.lapse(first, LapseReason::queued)).empty());
  EXPECT_EQ(only<Offer>(driver.advance(kMs)).key.attempt, 2u);
  driver.fold();
}

TEST(Failure, AnUnsafeAttemptIsGrantedOnce) {
  Driver driver;
  const Offer offer = only<Offer>(driver.publish("ada", "1"));
  const Effects made = driver.grant(offer);
  EXPECT_EQ(only<GrantCommitted>(made).key, offer.key);
  EXPECT_TRUE(driver.grant(offer).empty());
  Effects owed;
  driver.fold().reissue(owed);
  const Offer again = only<Offer>(owed);
  EXPECT_TRUE(again.granted);
  EXPECT_TRUE(again.reissued);
  EXPECT_EQ(again.key, offer.key);
  EXPECT_EQ(again.opened, offer.opened);
  EXPECT_EQ(all_of<Settled>(driver.done(offer, "r")).size(), 1u);
}

// Tasks are handed out in the order in which their steps became ready, also after a takeover: the
// second step of the older run came after the first of the younger.
TEST(Failure, WhatIsOwedIsOfferedInTheOrderInWhichItBecameReady) {
  Driver driver;
  const Offer first = only<Offer>(driver.publish("ada", "1"));
  driver.advance(kMs);  // so that the older run has the lower id
  const Offer younger = only<Offer>(driver.publish("bob", "1"));
  const Offer older = only<Offer>(driver.done(first, "r"));
  ASSERT_LT(older.key.run, younger.key.run);
  Effects owed;
  driver.fold().reissue(owed);
  const auto offers = all_of<Offer>(owed);
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_EQ(offers[0].key, younger.key);
  EXPECT_EQ(offers[1].key, older.key);
}

TEST(Failure, TheSameReportAgainIsSettledAnotherIsStale) {
  Driver driver;
  const Offer offer = only<Offer>(driver.publish("ada", "1"));
  const Offer next = only<Offer>(driver.done(offer, "r"));
  const std::size_t records = driver.journal.size();
  EXPECT_EQ(all_of<Settled>(driver.done(offer, "r")).size(), 1u);
  EXPECT_EQ(all_of<Stale>(driver.done(offer, "other")).size(), 1u);
  EXPECT_EQ(all_of<Stale>(driver.failed(offer, "Busy")).size(), 1u);
  Offer wrong = next;
  wrong.opened += 1;
  EXPECT_EQ(all_of<Stale>(driver.done(wrong, "r")).size(), 1u);
  wrong = next;
  wrong.args_digest += 1;
  EXPECT_EQ(all_of<Stale>(driver.done(wrong, "r")).size(), 1u);
  wrong = next;
  wrong.key.attempt = 2;
  EXPECT_EQ(all_of<Stale>(driver.done(wrong, "r")).size(), 1u);
  wrong = next;
  wrong.key.step = 77;
  EXPECT_EQ(all_of<Stale>(driver.done(wrong, "r")).size(), 1u);
  wrong = next;
  wrong.key.run.bytes[15] ^= 1;
  EXPECT_EQ(all_of<Stale>(driver.done(wrong, "r")).size(), 1u);
  EXPECT_EQ(driver.journal.size(), records);  // none of them was journaled
  Offer last = next;
  for (const char* text : {"r2", "r3", "r4"}) {
    const auto offers = all_of<Offer>(driver.done(last, text));
    if (!offers.empty()) last = offers.front();
  }
  EXPECT_EQ(all_of<Stale>(driver.done(last, "r4")).size(), 1u);  // the run has ended
}

TEST(Failure, AReportedFailureAgainIsSettledWhileItsStepGoesOn) {
  Driver driver(one(idempotent(3)));
  const Offer offer = only<Offer>(driver.publish("ada", "1"));
  driver.failed(offer, "Busy");
  driver.advance(300 * kMs);
  EXPECT_EQ(all_of<Settled>(driver.failed(offer, "Busy")).size(), 1u);
  EXPECT_EQ(all_of<Stale>(driver.failed(offer, "Unavailable")).size(), 1u);
  EXPECT_EQ(all_of<Stale>(driver.done(offer, "late")).size(), 1u);
  driver.fold();
}

TEST(Failure, WithinEndsTheStepWhateverItDoes) {
  vm::StepSite site = idempotent(100);
  site.within_ms = 1000;
  {  // while an attempt is open
    Driver driver(one(site));
    const Offer offer = only<Offer>(driver.publish("ada", "1"));
    EXPECT_EQ(offer.step_deadline, kStart + 1000 * kMs);
    const Effects made = driver.advance(1000 * kMs);
    EXPECT_EQ(only<Revoke>(made).key, offer.key);
    EXPECT_EQ(only<RunChanged>(made).row.why, "TimedOut: the step took longer than 1000 ms");
    EXPECT_EQ(all_of<Stale>(driver.done(offer, "late")).size(), 1u);
    driver.fold();
  }
  {  // while it waits for the next
    Driver driver(one(site));
    driver.failed(only<Offer>(driver.publish("ada", "1")), "Busy", true, 60'000);
    const Effects made = driver.advance(1000 * kMs);
    EXPECT_TRUE(all_of<Revoke>(made).empty());
    EXPECT_EQ(only<RunChanged>(made).row.why,
              "TimedOut: the step took longer than 1000 ms (before: Busy: no)");
    EXPECT_EQ(driver.partition.stats().timers, 0u);
    driver.fold();
  }
}

TEST(Failure, AFallbackTakesTheStepsPlace) {
  Pipeline pipeline = one(idempotent(1));
  pipeline.steps[0].fallback = true;
  Driver driver(pipeline);
  const Effects made = driver.failed(only<Offer>(driver.publish("ada", "1")), "Rejected");
  EXPECT_EQ(only<Delivery>(made).data_json, R"({"text":"fallen"})");
  EXPECT_EQ(only<RunChanged>(made).row.state, RunState::completed);
}

TEST(Failure, CompensationsRunNewestFirstThenOnFailureAnswers) {
  Pipeline pipeline;
  pipeline.steps.resize(3);
  for (auto& step : pipeline.steps) {
    step.policies = idempotent(1);
    step.compensated = true;
  }
  Driver driver(pipeline);
  Offer offer = only<Offer>(driver.publish("ada", "1"));
  offer = only<Offer>(driver.done(offer, "r1"));
  offer = only<Offer>(driver.done(offer, "r2"));
  Effects made = driver.failed(offer, "Rejected", false, 0, "broken");
  EXPECT_EQ(driver.partition.run(offer.key.run)->state, RunState::compensating);
  Offer undo = only<Offer>(made);
  EXPECT_EQ(undo.task, "undo");
  EXPECT_EQ(undo.args_json, R"(["r2"])");
  made = driver.done(undo, "undone");
  undo = only<Offer>(made);
  EXPECT_EQ(undo.args_json, R"(["r1"])");
  // The last compensation fails for good: a dead letter, and `on failure` runs all the same.
  made = driver.failed(undo, "Rejected", false, 0, "cannot");
  const auto dead = only<DeadLettered>(made);
  EXPECT_EQ(dead.kind, "Rejected");
  EXPECT_EQ(dead.message, "cannot");
  EXPECT_EQ(only<Delivery>(made).data_json, R"({"reason":"broken"})");
  driver.fold();
}

TEST(Failure, AnUnsureStepIsUndoneOneThatCannotHaveBegunIsNot) {
  const struct {
    bool granted;
    bool undone;
  } rows[] = {{true, true}, {false, false}};
  for (const auto& row : rows) {
    vm::StepSite site;
    site.within_ms = 1000;
    Pipeline pipeline = one(site);
    pipeline.steps[0].unsure = true;
    Driver driver(pipeline);
    const Offer offer = only<Offer>(driver.publish("ada", "1"));
    if (row.granted) driver.grant(offer);
    const Effects made = driver.advance(1000 * kMs);
    EXPECT_EQ(all_of<Offer>(made).size(), row.undone ? 1u : 0u);
    for (const Offer& undo : all_of<Offer>(made)) EXPECT_EQ(undo.args_json, R"(["unsure"])");
    driver.fold();
  }
}

TEST(Failure, AnAnswerThatSaysNothingLeavesTheStepUnsure) {
  const struct {
    const char* kind;
    bool undone;
  } rows[] = {{"Invalid", true},
              {"TimedOut", true},
              {"Lost", true},
              {"Rejected", false},
              {"Unavailable", false}};
  for (const auto& row : rows) {
    Pipeline pipeline = one(idempotent(1));
    pipeline.steps[0].unsure = true;
    Driver driver(pipeline);
    const Effects made = driver.failed(only<Offer>(driver.publish("ada", "1")), row.kind);
    EXPECT_EQ(all_of<Offer>(made).size(), row.undone ? 1u : 0u) << row.kind;
    driver.fold();
  }
}

TEST(Failure, ACancelCompensatesAndAnswers) {
  Pipeline pipeline;
  pipeline.steps.resize(2);
  pipeline.steps[0].policies = idempotent(1);
  pipeline.steps[0].compensated = true;
  Driver driver(pipeline);
  Offer offer = only<Offer>(driver.publish("ada", "1"));
  const RunId run = offer.key.run;
  offer = only<Offer>(driver.done(offer, "r1"));
  Effects made = driver.cancel(run);
  EXPECT_EQ(only<Accepted>(made).runs, (std::vector<RunId>{run}));
  EXPECT_EQ(only<Revoke>(made).key, offer.key);
  const Offer undo = only<Offer>(made);
  const std::size_t records = driver.journal.size();
  EXPECT_EQ(all_of<Accepted>(driver.cancel(run)).size(), 1u);  // it is under way already
  EXPECT_EQ(driver.journal.size(), records);
  made = driver.done(undo, "undone");
  EXPECT_EQ(only<RunChanged>(made).row.state, RunState::cancelled);
  EXPECT_TRUE(only<Delivery>(made).outcome);
  EXPECT_EQ(only<Rejected>(driver.cancel(run)).code, Refusal::unknown_run);
  driver.fold();
}

TEST(Failure, OnlyTheRunsOwnTenantAndClientMayCancelIt) {
  Driver driver;
  const RunId run = only<Accepted>(driver.publish("ada", "1")).runs[0];
  Cancel cancel;
  cancel.run = run;
  const auto refused = [&](TenantId tenant) {
    const auto answer = driver.partition.admit(tenant, cancel, {});
    return answer && std::get<Rejected>(*answer).code == Refusal::unknown_run;
  };
  EXPECT_TRUE(refused(TenantId{8}));
  cancel.client = "bob";
  EXPECT_TRUE(refused(kTenant));
  cancel.client = "ada";
  EXPECT_FALSE(refused(kTenant));
}

TEST(Failure, AFlowsTimeoutEndsItLikeACancel) {
  Pipeline pipeline;
  pipeline.timeout_ms = 3000;
  pipeline.steps[0].policies = idempotent(1);
  pipeline.steps[0].compensated = true;
  Driver driver(pipeline);
  Offer offer = only<Offer>(driver.publish("ada", "1"));
  EXPECT_EQ(offer.step_deadline, kStart + 3000 * kMs);
  offer = only<Offer>(driver.done(offer, "r1"));
  const Effects made = driver.advance(3000 * kMs);
  EXPECT_EQ(only<Revoke>(made).key, offer.key);
  const Offer undo = only<Offer>(made);
  EXPECT_EQ(undo.step_deadline, 0);  // compensations are outside the flow's deadline
  const Effects end = driver.done(undo, "undone");
  EXPECT_EQ(only<RunChanged>(end).row.state, RunState::failed);
  EXPECT_EQ(only<RunChanged>(end).row.why, "TimedOut: the flow took longer than 3000 ms");
  driver.fold();
}

TEST(Failure, OnFailureHasTenSecondsThenTheEngineAnswers) {
  Pipeline pipeline = one(idempotent(1));
  pipeline.failing_step = true;
  Driver driver(pipeline);
  const Effects made = driver.failed(only<Offer>(driver.publish("ada", "1")), "Rejected");
  const Offer offer = only<Offer>(made);
  EXPECT_EQ(offer.step_deadline, kStart + kOnFailureUs);
  EXPECT_TRUE(all_of<RunChanged>(driver.advance(kOnFailureUs - 1)).empty());
  const Effects end = driver.advance(1);
  EXPECT_EQ(only<Revoke>(end).key, offer.key);
  const auto answer = only<Delivery>(end);
  EXPECT_EQ(answer.name, "sluice.failed");
  EXPECT_TRUE(answer.outcome);
  EXPECT_EQ(driver.partition.stats().timers, 0u);
  driver.fold();
}

TEST(Failure, OnFailureThatFailsIsAnsweredByTheEngine) {
  Pipeline pipeline = one(idempotent(1));
  pipeline.failing_step = true;
  Driver driver(pipeline);
  const Offer offer =
      only<Offer>(driver.failed(only<Offer>(driver.publish("ada", "1")), "Rejected"));
  const Effects end = driver.failed(offer, "Rejected", false, 0, "this too");
  EXPECT_EQ(only<Delivery>(end).name, "sluice.failed");
  EXPECT_EQ(
      only<Delivery>(end).data_json,
      R"({"kind":"Rejected","message":"this too","step":"answer/on-failure/s1","attempt":1})");
  EXPECT_EQ(all_of<Delivery>(driver.effects).size(), 1u);
}

TEST(Failure, ARunWithoutOutcomesEndsSilently) {
  Pipeline pipeline = one(idempotent(1));
  pipeline.outcomes = false;
  Driver driver(pipeline);
  driver.failed(only<Offer>(driver.publish("ada", "1")), "Rejected");
  EXPECT_TRUE(all_of<Delivery>(driver.effects).empty());
  EXPECT_EQ(only<RunChanged>(driver.effects).row.state, RunState::failed);
}

TEST(Failure, OneFailedBranchTakesTheOthersWithIt) {
  Pipeline pipeline;
  pipeline.parallel = true;
  for (auto& step : pipeline.steps) step.policies = idempotent(2);
  Driver driver(pipeline);
  const auto offers = all_of<Offer>(driver.publish("ada", "1"));
  driver.failed(offers[1], "Busy");  // waits for its second attempt
  const Effects made = driver.failed(offers[0], "Rejected");
  EXPECT_EQ(all_of<Revoke>(made).size(), 2u);  // the third and fourth; the second was asleep
  EXPECT_EQ(only<RunChanged>(made).row.state, RunState::failed);
  EXPECT_EQ(driver.partition.stats().timers, 0u);
  EXPECT_EQ(driver.partition.stats().open_attempts, 0u);
  driver.fold();
}

TEST(Poison, AnEventWhoseDataIsDamagedIsJournaledAsFaultedAndItsIdStaysFree) {
  Driver driver;
  Event event;
  event.deployment = 1;
  event.client = "ada";
  event.id = "1";
  event.data = "\xff\xff damaged";
  ASSERT_FALSE(driver.partition.admit(kTenant, event, driver.now, {}));
  const Effects made = driver.take(make_record(kTenant, event));
  EXPECT_EQ(driver.journal.back().record.verdict, Verdict::faulted);
  EXPECT_FALSE(driver.journal.back().applied.fault.empty());
  EXPECT_EQ(only<Rejected>(made).code, Refusal::invalid);
  EXPECT_EQ(driver.partition.stats().runs, 0u);
  EXPECT_FALSE(driver.partition.admit(kTenant, event, driver.now, {}));  // not a duplicate
  driver.fold();
}

TEST(Poison, ADamagedResultDeadLettersItsRun) {
  Driver driver;
  const Offer offer = only<Offer>(driver.publish("ada", "1"));
  Done done;
  done.run = offer.key.run;
  done.step = offer.key.step;
  done.attempt = offer.key.attempt;
  done.opened = offer.opened;
  done.args_digest = offer.args_digest;
  done.result = "\xff damaged";
  const Effects made = driver.take(make_record(kTenant, done));
  EXPECT_EQ(driver.journal.back().record.verdict, Verdict::faulted);
  EXPECT_EQ(only<Delivery>(made).name, "sluice.failed");
  EXPECT_EQ(only<DeadLettered>(made).run, offer.key.run);
  EXPECT_EQ(only<RunChanged>(made).row.state, RunState::failed);
  EXPECT_EQ(driver.partition.stats().runs, 0u);
  driver.fold();
}

TEST(Poison, TheFoldObeysAVerdictWithoutWorkingOnTheRecord) {
  // The record is good; a process died over it twice, so the shell calls it suspect.
  Driver driver;
  const Offer offer = only<Offer>(driver.publish("ada", "1"));
  Done done;
  done.run = offer.key.run;
  done.step = offer.key.step;
  done.attempt = offer.key.attempt;
  done.opened = offer.opened;
  const std::string result = text_value("fine");
  done.result = result;
  Record record = make_record(kTenant, done);
  record.verdict = Verdict::suspect;
  const Effects made = driver.take(record);
  EXPECT_EQ(driver.journal.back().record.verdict, Verdict::suspect);
  EXPECT_EQ(only<Delivery>(made).name, "sluice.failed");

  Event event;
  event.deployment = 1;
  event.id = "2";
  const std::string data = ask("hi");
  event.data = data;
  record = make_record(kTenant, event);
  record.verdict = Verdict::suspect;
  EXPECT_EQ(all_of<Rejected>(driver.take(record)).size(), 1u);
  EXPECT_EQ(driver.partition.stats().runs, 0u);
  driver.fold();
}

TEST(Poison, EveryKindOfRecordObeysAVerdict) {
  vm::StepSite site = idempotent(3);
  site.within_ms = 5000;
  const auto suspect = [](Record record) {
    record.verdict = Verdict::suspect;
    return record;
  };
  const auto check = [&](auto make) {
    Pipeline pipeline = one(site);
    pipeline.steps[0].policies.idempotent = false;
    Driver driver(pipeline);
    const Offer offer = only<Offer>(driver.publish("ada", "1"));
    const Effects made = driver.take(suspect(make(driver, offer)));
    EXPECT_EQ(only<DeadLettered>(made).run, offer.key.run);
    EXPECT_EQ(only<Delivery>(made).name, "sluice.failed");
    EXPECT_EQ(driver.partition.stats().timers, 0u);
    EXPECT_EQ(driver.partition.stats().open_attempts, 0u);
    driver.fold();
  };
  check([](Driver&, const Offer& o) {
    return make_record(kTenant, Granted{o.key.run, o.key.step, 1, o.opened});
  });
  check([](Driver&, const Offer& o) {
    return make_record(kTenant, Lapsed{o.key.run, o.key.step, 1, o.opened, LapseReason::lost});
  });
  check([](Driver&, const Offer& o) {
    return make_record(kTenant, Failed{o.key.run, o.key.step, 1, o.opened, o.args_digest, 0, "Busy",
                                       "no", true, 0});
  });
  check([](Driver&, const Offer& o) {
    return make_record(kTenant, Cancel{o.key.run, "", "", ""});
  });
  check([](Driver& driver, const Offer&) {
    driver.now += 5000 * kMs;
    return driver.partition.make_advance(driver.now);
  });
}

}  // namespace
}  // namespace sluice::core::test
