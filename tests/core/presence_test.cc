// Clients that go away and come back: what their runs are told, once, also behind a checkpoint.
#include <gtest/gtest.h>

#include "engine/core/history.hpp"
#include "tests/core/driver.hpp"
#include "vm/builder.hpp"
#include "vm/json.hpp"
#include "vm/limits.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

using vm::FunctionKind;
using vm::Op;
using vm::Register;

constexpr DeploymentNumber kWaits = 2;
enum EventIndex : std::uint32_t { kAsk, kStop, kMore, kAway, kBack };
enum FlowIndex : std::uint32_t { kBoth, kLate, kDeaf };

void add_events(vm::Program& program) {
  const auto event = [&](const char* record, const char* name, std::vector<vm::FieldType> fields) {
    program.types.records.push_back({record, std::move(fields)});
    const auto index = static_cast<std::uint32_t>(program.types.records.size() - 1);
    program.types.record_type(index);
    program.events.push_back({name, 1, index});
  };
  event("Ask", "Ask", {{"text", vm::kTypeString}});
  event("Stop", "Stop", {{"text", vm::kTypeString}});
  event("More", "More", {{"text", vm::kTypeString}});
  event("Away", "sluice.away", {{"client", vm::kTypeString}, {"since", vm::kTypeTimestamp}});
  event("Back", "sluice.back",
        {{"client", vm::kTypeString}, {"since", vm::kTypeTimestamp}, {"away", vm::kTypeDuration}});
}

// Waits at these receives, one after the other and again; tells its client what came, as it came.
vm::Function loop(vm::Program& program, const char* name, std::vector<std::uint32_t> sites) {
  vm::ConstantPool constants(program);
  vm::FunctionBuilder f(name, FunctionKind::flow, 1, name);
  const Register got = f.allocate(), within = f.allocate();
  f.emit_wide(Op::load_const, within, constants.add(vm::Value::duration(3'600'000)));
  const vm::Label again = f.make_label(), late = f.make_label();
  f.bind(again);
  for (const std::uint32_t site : sites) {
    f.emit_indexed(Op::receive, got, within, site);
    f.emit_jump(Op::jump_if_none, got, late);
    f.emit_notify(got, program.receives[site].event);
  }
  f.emit_jump(Op::jump, again);
  f.bind(late);
  f.emit_finish(f.parameter(0), kAsk);
  return f.finish().value();
}

std::shared_ptr<const vm::VerifiedProgram> listening_program() {
  vm::Program program;
  program.features = {"core"};
  add_events(program);
  program.topics = {{"asks", kAsk, std::nullopt, 60'000, 60'000}};
  const auto site = [&](const char* name, std::uint32_t flow, std::uint32_t event) {
    program.receives.push_back({name, flow, event, std::nullopt, 0, std::nullopt});
  };
  site("a", kBoth, kAway), site("b", kBoth, kBack);
  site("s", kLate, kStop), site("a", kLate, kAway), site("b", kLate, kBack);
  site("m", kLate, kMore);  // never reached
  site("s", kDeaf, kStop);
  program.functions.push_back(loop(program, "both", {0, 1}));
  program.functions.push_back(loop(program, "late", {2, 3, 4}));
  program.functions.push_back(loop(program, "deaf", {6}));
  const vm::TypeId ask = program.types.record_type(1);
  for (const char* name : {"both", "late", "deaf"}) {
    const auto flow = static_cast<std::uint32_t>(program.flows.size());
    program.flows.push_back({name, {{"ask", ask}}, flow, std::nullopt, {kAsk}, {}, 0});
  }
  return vm::verify(std::move(program)).value();
}

std::string text_of(std::uint32_t event) {
  return vm::encode_value(
      vm::Value::record(event + 1, std::vector<vm::Value>{vm::Value::string("text")}));
}

struct ClientPresence : ::testing::Test {
  Driver driver;
  Effects begun;

  ClientPresence() { driver.programs.add(kWaits, listening_program()); }

  RunId start(FlowIndex flow, const std::string& client) {
    Start start;
    start.deployment = kWaits;
    start.flow = flow;
    start.client = client;
    const std::string id = "start " + std::to_string(driver.journal.size());
    start.id = id;
    const auto ask = vm::decode_value(text_of(kAsk));
    const std::string args = vm::encode_value(vm::Value::list({*ask}));
    start.args = args;
    begun = driver.take(make_record(kTenant, start));
    return only<Accepted>(begun).runs.at(0);
  }

  // What the shell does: whatever is not admitted is dropped.
  Effects tell(const RunId& run, bool away, TimeUs since) {
    const Presence presence{run, away, since};
    if (!driver.partition.admit(presence)) return {};
    return driver.take(make_record(kTenant, presence));
  }
  Effects tell(const RunId& run, bool away) { return tell(run, away, driver.now); }

  std::optional<Refusal> refused(const RunId& run, std::uint32_t event, const std::string& data) {
    Signal signal;
    signal.run = run;
    signal.deployment = kWaits;
    signal.event = event;
    signal.client = "ada";
    signal.id = "forged";
    signal.data = data;
    const auto answer = driver.partition.admit(kTenant, signal, driver.now, {});
    if (!answer) return std::nullopt;
    return std::get<Rejected>(*answer).code;
  }

  Effects send(const RunId& run, std::uint32_t event, const std::string& id) {
    Signal signal;
    signal.run = run;
    signal.deployment = kWaits;
    signal.event = event;
    signal.id = id;
    const std::string data = text_of(event);
    signal.data = data;
    SLUICE_CHECK(!driver.partition.admit(kTenant, signal, driver.now, {}));
    return driver.take(make_record(kTenant, signal));
  }

  Partition reload() {
    Partition::Checkpoint checkpoint = driver.partition.begin_checkpoint(true);
    std::vector<StateRow> rows;
    for (auto some = driver.partition.checkpoint_rows(1 << 20); !some.empty();
         some = driver.partition.checkpoint_rows(1 << 20)) {
      rows.insert(rows.end(), some.begin(), some.end());
    }
    auto restored = Partition::restore(driver.config, driver.programs, checkpoint, rows);
    SLUICE_CHECK(restored.has_value());
    return std::move(*restored);
  }
};

std::string json_time(TimeUs time) {
  return vm::to_json(vm::TypeTable(), vm::kTypeTimestamp, vm::Value::timestamp(time));
}

TEST_F(ClientPresence, ARunIsToldWhoWentSinceWhenAndForHowLong) {
  const RunId run = start(kBoth, "ada");
  const auto wanted = only<PresenceWanted>(begun);
  EXPECT_EQ(wanted.run, run);
  EXPECT_EQ(wanted.client, "ada");
  EXPECT_EQ(wanted.tenant, kTenant);
  EXPECT_FALSE(wanted.told_away);
  driver.now += 20'000 * kMs;
  const TimeUs went = driver.now - 10'000 * kMs;
  const auto away = only<Delivery>(tell(run, true, went));
  EXPECT_EQ(away.data_json, R"({"client":"ada","since":)" + json_time(went) + "}");
  driver.now += 5'000 * kMs;
  const auto back = only<Delivery>(tell(run, false));
  EXPECT_EQ(back.data_json,
            R"({"client":"ada","since":)" + json_time(driver.now) + R"(,"away":"15s"})");
  driver.fold();
}

TEST_F(ClientPresence, NoStateIsToldTwice) {
  const RunId run = start(kBoth, "ada");
  EXPECT_TRUE(tell(run, false).empty());  // as it was when the run began
  EXPECT_FALSE(tell(run, true).empty());
  EXPECT_TRUE(tell(run, true).empty());
  Partition folded = driver.fold();
  EXPECT_FALSE(folded.admit(Presence{run, true, driver.now}));
  EXPECT_TRUE(folded.admit(Presence{run, false, driver.now}));
  Partition loaded = reload();
  EXPECT_FALSE(loaded.admit(Presence{run, true, driver.now}));
  EXPECT_TRUE(loaded.admit(Presence{run, false, driver.now}));
  Effects owed;
  loaded.reissue(owed);
  EXPECT_TRUE(only<PresenceWanted>(owed).told_away);
  EXPECT_FALSE(tell(run, false).empty());
  EXPECT_TRUE(tell(run, false).empty());
  driver.fold();
}

TEST_F(ClientPresence, OnlyRunsThatReceiveItAndHaveAClientAreTold) {
  const RunId deaf = start(kDeaf, "ada");
  EXPECT_TRUE(all_of<PresenceWanted>(begun).empty());
  const RunId nobodys = start(kBoth, "");
  EXPECT_TRUE(all_of<PresenceWanted>(begun).empty());
  EXPECT_TRUE(tell(deaf, true).empty());
  EXPECT_TRUE(tell(nobodys, true).empty());
  EXPECT_TRUE(tell(RunId{}, true).empty());
  const RunId ended = start(kBoth, "ada");
  driver.cancel(ended);
  EXPECT_TRUE(tell(ended, true).empty());
  Effects owed;
  driver.partition.reissue(owed);
  EXPECT_TRUE(all_of<PresenceWanted>(owed).empty());
}

TEST_F(ClientPresence, WhatHappenedBeforeTheRunBeganIsToldFromItsBeginning) {
  const RunId run = start(kBoth, "ada");
  const TimeUs began = driver.now;
  driver.now += 50 * kMs;
  const auto away = only<Delivery>(tell(run, true, began - 60'000 * kMs));
  EXPECT_EQ(away.data_json, R"({"client":"ada","since":)" + json_time(began) + "}");
}

TEST_F(ClientPresence, OfWhatIsNotTakenYetOnlyTheNewestCounts) {
  const RunId run = start(kLate, "ada");
  for (int i = 0; i < 5; ++i) {
    tell(run, true);
    driver.now += 1000 * kMs;
    tell(run, false);
  }
  EXPECT_EQ(driver.journal.size(), 11u);
  EXPECT_EQ(only<Delivery>(send(run, kStop, "1")).name, "Stop");  // nobody is away
  driver.now += 1000 * kMs;
  EXPECT_EQ(only<Delivery>(tell(run, true)).name, "sluice.away");
  EXPECT_EQ(only<Delivery>(tell(run, false)).name, "sluice.back");
  EXPECT_TRUE(all_of<Delivery>(tell(run, true)).empty());  // it waits for a Stop again
  driver.fold();
  const auto told = all_of<Delivery>(send(run, kStop, "2"));
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told.back().name, "sluice.away");
  driver.fold();
}

TEST_F(ClientPresence, AFullQueueHasRoomForIt) {
  const RunId run = start(kLate, "ada");
  for (unsigned i = 0; i < vm::kSignalsMax; ++i) send(run, kMore, std::to_string(i));
  EXPECT_EQ(refused(run, kMore, text_of(kMore)), Refusal::busy);
  tell(run, true);
  EXPECT_EQ(driver.journal.back().record.kind, Kind::presence);
  EXPECT_EQ(driver.journal.back().applied.verdict, Verdict::ok);
  driver.fold();
  driver.partition = reload();
  EXPECT_EQ(all_of<Delivery>(send(run, kStop, "stop")).back().name, "sluice.away");
  driver.fold();
}

TEST_F(ClientPresence, NobodyElseSaysSo) {
  const RunId run = start(kBoth, "ada");
  const std::string data = vm::encode_value(vm::Value::record(
      kAway + 1, std::vector<vm::Value>{vm::Value::string("ada"), vm::Value::timestamp(1)}));
  EXPECT_EQ(refused(run, kAway, data), Refusal::unexpected);
  EXPECT_EQ(refused(run, kBack, data), Refusal::unexpected);
}

TEST_F(ClientPresence, ARunsHistoryTellsIt) {
  const RunId run = start(kBoth, "ada");
  const TimeUs began = driver.now;
  tell(run, true, began - 1);
  std::vector<Record> records;
  for (const auto& each : driver.journal) records.push_back(each.record);
  const auto history = tell_history(PartitionId{0}, 1, run, records, driver.programs);
  ASSERT_TRUE(history.has_value()) << history.error();
  ASSERT_EQ(history->entries.size(), 2u);
  EXPECT_EQ(history->entries[1].kind, "presence");
  const std::string said = R"({"event":"sluice.away","since":)" + json_time(began);
  EXPECT_EQ(history->entries[1].data_json.substr(0, said.size()), said);
}

}  // namespace
}  // namespace sluice::core::test
