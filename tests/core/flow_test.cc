// The way of one event through a partition, when nothing goes wrong.
#include <gtest/gtest.h>

#include "tests/core/driver.hpp"

namespace sluice::core::test {
namespace {

// Answers every open attempt with its argument and a mark, until nothing is open.
void finish_all(Driver& driver, const Effects& from) {
  std::vector<Offer> open = all_of<Offer>(from);
  while (!open.empty()) {
    const Offer offer = open.front();
    open.erase(open.begin());
    const Effects made = driver.done(offer, offer.task);
    for (const Offer& next : all_of<Offer>(made)) open.push_back(next);
  }
}

TEST(Flow, AnEventIsAcceptedRunAndAnswered) {
  Driver driver;
  const Effects made = driver.publish("ada", "1", "hello");
  const auto accepted = only<Accepted>(made);
  EXPECT_EQ(accepted.seq, 1u);
  EXPECT_FALSE(accepted.duplicate);
  ASSERT_EQ(accepted.runs.size(), 1u);
  EXPECT_EQ(accepted.correlation, to_text(accepted.event));
  EXPECT_TRUE(std::holds_alternative<Accepted>(made.front()));

  Offer offer = only<Offer>(made);
  for (unsigned i = 1; i <= 4; ++i) {
    EXPECT_EQ(offer.task, "t" + std::to_string(i));
    EXPECT_EQ(offer.path, "answer/s" + std::to_string(i));
    EXPECT_EQ(offer.step_key, to_text(accepted.runs[0]) + ":" + offer.path);
    EXPECT_EQ(offer.key.attempt, 1u);
    EXPECT_EQ(offer.args_json, i == 1 ? R"(["hello"])" : "[\"r" + std::to_string(i - 1) + "\"]");
    EXPECT_FALSE(offer.granted);
    const Effects next = driver.done(offer, "r" + std::to_string(i));
    EXPECT_EQ(all_of<Settled>(next).size(), 1u);
    if (i < 4) {
      offer = only<Offer>(next);
      continue;
    }
    const auto delivery = only<Delivery>(next);
    EXPECT_EQ(delivery.client, "ada");
    EXPECT_EQ(delivery.offset, 1u);
    EXPECT_EQ(delivery.client_number, 1u);
    EXPECT_EQ(delivery.name, "Answer");
    EXPECT_EQ(delivery.data_json, R"({"text":"r4"})");
    EXPECT_TRUE(delivery.outcome);
    EXPECT_EQ(delivery.causation, record_name(PartitionId{0}, 5));
    const auto ended = only<RunChanged>(next).row;
    EXPECT_EQ(ended.state, RunState::completed);
    EXPECT_EQ(ended.outcome_name, "Answer");
    EXPECT_EQ(ended.last_seq, 5u);
  }
  EXPECT_EQ(driver.partition.stats().runs, 0u);
  EXPECT_EQ(driver.partition.stats().open_attempts, 0u);
  EXPECT_EQ(driver.partition.stats().timers, 0u);
  driver.fold();
}

TEST(Flow, EachRecordOfARunNamesTheOneBefore) {
  Driver driver;
  finish_all(driver, driver.publish("ada", "1"));
  Seq before = 0;
  for (const auto& entry : driver.journal) {
    EXPECT_EQ(entry.applied.run_prev, before);
    EXPECT_EQ(entry.applied.cause_seq, before);  // each step follows from the one before
    EXPECT_FALSE(entry.applied.run.is_nil());
    before = entry.record.seq;
  }
}

TEST(Flow, ARepeatedIdGetsTheFirstAnswer) {
  Driver driver;
  const auto first = only<Accepted>(driver.publish("ada", "1", "hello"));
  driver.publish("ada", "2", "other");
  const Effects again = driver.publish("ada", "1", "different text");
  const auto repeat = only<Accepted>(again);
  EXPECT_TRUE(repeat.duplicate);
  EXPECT_EQ(repeat.seq, first.seq);
  EXPECT_EQ(repeat.event, first.event);
  EXPECT_EQ(repeat.runs, first.runs);
  EXPECT_EQ(repeat.correlation, first.correlation);
  EXPECT_EQ(driver.journal.size(), 2u);
  // Another client's id, or the same after the window, is another event.
  EXPECT_FALSE(only<Accepted>(driver.publish("bob", "1")).duplicate);
  driver.advance(24ll * 3600 * 1000 * kMs);
  EXPECT_FALSE(only<Accepted>(driver.publish("ada", "1")).duplicate);
  driver.fold();
}

TEST(Flow, ATopicWithoutAWindowForgetsAtOnce) {
  Pipeline pipeline;
  pipeline.dedupe_ms = 0;
  Driver driver(pipeline);
  driver.publish("ada", "1");
  EXPECT_FALSE(only<Accepted>(driver.publish("ada", "1")).duplicate);
}

TEST(Flow, OneEventStartsEveryFlowOfItsTopic) {
  Pipeline pipeline;
  pipeline.flows = 3;
  Driver driver(pipeline);
  const Effects made = driver.publish("ada", "1");
  const auto accepted = only<Accepted>(made);
  ASSERT_EQ(accepted.runs.size(), 3u);
  EXPECT_EQ(driver.journal[0].applied.run, accepted.runs[0]);
  EXPECT_EQ(all_of<Offer>(made).size(), 3u);
  finish_all(driver, made);
  std::vector<std::uint64_t> offsets;
  for (const auto& delivery : all_of<Delivery>(driver.effects)) offsets.push_back(delivery.offset);
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(only<Accepted>(driver.publish("ada", "1")).runs, accepted.runs);
  driver.fold();
}

TEST(Flow, BranchesRunAtOnce) {
  Pipeline pipeline;
  pipeline.parallel = true;
  Driver driver(pipeline);
  const Effects made = driver.publish("ada", "1");
  const auto offers = all_of<Offer>(made);
  ASSERT_EQ(offers.size(), 4u);
  EXPECT_EQ(offers[2].path, "answer/b3/s3");
  for (const unsigned i : {2u, 0u, 3u}) driver.done(offers[i], "r" + std::to_string(i));
  EXPECT_EQ(driver.partition.stats().runs, 1u);
  driver.fold();
  driver.done(offers[1], "last");
  EXPECT_EQ(only<Delivery>(driver.effects).data_json, R"({"text":"r0"})");
  driver.fold();
}

TEST(Flow, NotificationsComeBeforeTheAnswer) {
  Pipeline pipeline;
  pipeline.notify = true;
  Driver driver(pipeline);
  const Effects made = driver.publish("ada", "1", "hello");
  const auto progress = only<Delivery>(made);
  EXPECT_EQ(progress.name, "Progress");
  EXPECT_EQ(progress.offset, 1u);
  EXPECT_FALSE(progress.outcome);
  EXPECT_EQ(progress.causation, to_text(only<Accepted>(made).event));
  finish_all(driver, made);
  EXPECT_EQ(all_of<Delivery>(driver.effects).back().offset, 2u);
}

TEST(Flow, WithoutAClientNothingIsDeliveredButTheRunTells) {
  Pipeline pipeline;
  pipeline.notify = true;
  Driver driver(pipeline);
  finish_all(driver, driver.publish("", "1"));
  EXPECT_TRUE(all_of<Delivery>(driver.effects).empty());
  EXPECT_EQ(only<RunChanged>(driver.effects).row.outcome_json, R"({"text":"t4"})");
  EXPECT_EQ(driver.partition.stats().clients, 0u);
}

TEST(Flow, AClientOfAnotherHomeIsReachedByMessage) {
  Partition::Config config;
  config.partitions = 2;
  Driver here({}, config);
  std::string stranger = "x";
  while (number(partition_of_client(kTenant, stranger, 2)) != 1) stranger += "x";
  finish_all(here, here.publish(stranger, "1"));
  EXPECT_TRUE(all_of<Delivery>(here.effects).empty());
  const auto sent = only<Send>(here.effects);
  EXPECT_EQ(number(sent.destination), 1u);
  EXPECT_EQ(sent.n, 1u);
  EXPECT_EQ(here.partition.stats().outbox, 1u);
  Effects owed;
  here.partition.reissue(owed);
  EXPECT_EQ(only<Send>(owed).body, sent.body);

  config.id = PartitionId{1};
  Driver there({}, config);
  const Message message{PartitionId{0}, sent.n, sent.body};
  EXPECT_EQ(there.partition.admit(Message{PartitionId{0}, 2, ""}),
            Partition::MessageAdmission::gap);
  ASSERT_EQ(there.partition.admit(message), Partition::MessageAdmission::fresh);
  const Effects made = there.take(make_record(sent.tenant, message));
  EXPECT_EQ(only<Acknowledge>(made).n, 1u);
  const auto delivery = only<Delivery>(made);
  EXPECT_EQ(delivery.client, stranger);
  EXPECT_EQ(delivery.offset, 1u);
  EXPECT_TRUE(delivery.outcome);
  EXPECT_EQ(there.partition.admit(message), Partition::MessageAdmission::repeated);
  there.fold();

  const MessageAck ack{PartitionId{1}, 1};
  ASSERT_TRUE(here.partition.admit(ack));
  here.take(make_record(kTenant, ack));
  EXPECT_FALSE(here.partition.admit(ack));
  EXPECT_FALSE(here.partition.admit(MessageAck{PartitionId{1}, 2}));
  EXPECT_EQ(here.partition.stats().outbox, 0u);
  here.fold();
}

TEST(Flow, AStartThroughTheApiRunsTheFlow) {
  Driver driver;
  const vm::Value text = vm::Value::string("hello");
  const std::string args = vm::encode_value(vm::Value::list({vm::Value::record(1, {&text, 1})}));
  Start start;
  start.deployment = 1;
  start.id = "s1";
  start.client = "ada";
  start.args = args;
  start.correlation = "mine";
  ASSERT_FALSE(driver.partition.admit(kTenant, start, driver.now, {}));
  const Effects made = driver.take(make_record(kTenant, start));
  EXPECT_EQ(only<Accepted>(made).correlation, "mine");
  EXPECT_EQ(only<Offer>(made).correlation, "mine");
  finish_all(driver, made);
  EXPECT_EQ(only<Delivery>(driver.effects).correlation, "mine");
  const auto again = driver.partition.admit(kTenant, start, driver.now, {});
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(std::get<Accepted>(*again).duplicate);
  EXPECT_EQ(std::get<Accepted>(*again).correlation, "mine");
  driver.fold();
}

TEST(Flow, AnInstantOfAScheduleStartsOneRun) {
  Pipeline pipeline;
  pipeline.scheduled = true;
  Driver driver(pipeline);
  const std::string hash(32, 'h');
  driver.take(make_record(TenantId{}, DeploymentRecord{1, hash}));
  const auto schedules = driver.partition.schedules();
  ASSERT_EQ(schedules.size(), 1u);
  const auto cron = [&](TimeUs instant) { return Cron{1, schedules[0].flow, instant}; };
  const TimeUs instant = schedules[0].after + 60'000 * kMs;
  EXPECT_FALSE(driver.partition.admit(cron(schedules[0].after)));
  ASSERT_TRUE(driver.partition.admit(cron(instant)));
  driver.now = instant;
  EXPECT_EQ(only<Accepted>(driver.take(make_record(kTenant, cron(instant)))).runs.size(), 1u);
  EXPECT_FALSE(driver.partition.admit(cron(instant)));
  EXPECT_FALSE(driver.partition.admit(cron(instant - 1)));
  EXPECT_TRUE(driver.partition.admit(cron(instant + 1)));
  EXPECT_FALSE(driver.fold().admit(cron(instant)));
}

TEST(Flow, RunsAreToldWhileTheyLive) {
  Driver driver;
  const Effects made = driver.publish("ada", "1");
  auto rows = driver.partition.changed_runs(10);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].state, RunState::running);
  EXPECT_EQ(rows[0].flow, "answer");
  EXPECT_EQ(rows[0].step, "answer/s1");
  EXPECT_EQ(rows[0].attempt, 1u);
  EXPECT_TRUE(driver.partition.changed_runs(10).empty());
  driver.done(only<Offer>(made), "r");
  rows = driver.partition.changed_runs(10);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].step, "answer/s2");
  EXPECT_EQ(rows[0].as_of, 2u);
}

TEST(Flow, WhatCannotBeTakenIsRefusedBeforeItHasASeq) {
  Partition::Config config;
  config.limits.runs = 2;
  config.limits.dedupe_entries = 100;
  Driver driver({}, config);
  const std::string data = ask("x");
  const std::string long_id(kIdBytesMax + 1, 'x');
  const std::string huge(kPayloadBytesMax + 1, 'x');
  Event good;
  good.deployment = 1;
  good.id = "1";
  good.data = data;
  const auto refused = [&](auto change) {
    Event event = good;
    change(event);
    const auto answer = driver.partition.admit(kTenant, event, driver.now, {});
    return answer ? std::get<Rejected>(*answer).code : Refusal{255};
  };
  EXPECT_EQ(refused([](Event& e) { e.id = ""; }), Refusal::invalid);
  EXPECT_EQ(refused([&](Event& e) { e.id = long_id; }), Refusal::invalid);
  EXPECT_EQ(refused([&](Event& e) { e.correlation = long_id; }), Refusal::invalid);
  EXPECT_EQ(refused([&](Event& e) { e.data = huge; }), Refusal::too_large);
  EXPECT_EQ(refused([](Event& e) { e.topic = 1; }), Refusal::unknown_topic);
  EXPECT_EQ(refused([](Event& e) { e.deployment = 9; }), Refusal::unavailable);
  Event unknown = good;
  unknown.deployment = 9;
  EXPECT_EQ(driver.partition.needs(make_record(kTenant, unknown)).deployments,
            (std::vector<DeploymentNumber>{9}));
  EXPECT_TRUE(driver.partition.needs(make_record(kTenant, good)).empty());

  driver.publish("a", "1");
  driver.publish("b", "1");
  const auto busy = only<Rejected>(driver.publish("c", "1"));
  EXPECT_EQ(busy.code, Refusal::busy);
  EXPECT_GT(busy.retry_after_ms, 0u);
  EXPECT_TRUE(only<Accepted>(driver.publish("a", "1")).duplicate);  // a repeat costs nothing
}

TEST(Flow, RecordsThatDoNotFollowAreErrorsAndChangeNothing) {
  Driver driver;
  driver.publish("ada", "1");
  const Hash128 before = driver.partition.state_hash();
  Effects effects;
  const auto code = [&](Record record) {
    const auto applied = driver.partition.apply(record, {}, effects);
    SLUICE_CHECK(!applied.has_value());
    return applied.error().code;
  };
  Record next = make_record(kTenant, Takeover{3});
  next.seq = 2;
  next.time = driver.now;
  next.core = kCoreVersion;
  const auto with = [&](auto change) {
    Record record = next;
    change(record);
    return code(record);
  };
  using Code = ApplyError::Code;
  EXPECT_EQ(with([](Record& r) { r.seq = 3; }), Code::out_of_order);
  EXPECT_EQ(with([](Record& r) { r.seq = 1; }), Code::out_of_order);
  EXPECT_EQ(with([](Record& r) { r.time -= 1; }), Code::out_of_order);
  EXPECT_EQ(with([](Record& r) { r.core = 2; }), Code::unknown_core);
  EXPECT_EQ(with([](Record& r) { r.body = "zz"; }), Code::bad_body);
  EXPECT_EQ(with([](Record& r) { r.kind = Kind::erase; }), Code::unknown_kind);
  EXPECT_EQ(with([](Record& r) { r.kind = static_cast<Kind>(999); }), Code::unknown_kind);
  EXPECT_EQ(with([](Record& r) {
              r.kind = Kind::advance;
              r.body = encode(Advance{r.time, RunId{}, 0});
            }),
            Code::not_the_next_timer);
  EXPECT_EQ(with([](Record& r) {
              r.kind = Kind::core;
              r.body = encode(CoreSwitch{9});
            }),
            Code::unknown_core);
  Event event;
  event.deployment = 5;
  event.id = "x";
  EXPECT_EQ(with([&](Record& r) {
              r.kind = Kind::event;
              r.body = encode(event);
            }),
            Code::missing_deployment);
  EXPECT_TRUE(effects.empty());
  EXPECT_EQ(driver.partition.state_hash(), before);
  EXPECT_TRUE(driver.partition.apply(next, {}, effects).has_value());
}

}  // namespace
}  // namespace sluice::core::test
