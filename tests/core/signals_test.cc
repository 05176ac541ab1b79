// Signals to live runs: what is taken, what is refused and how, and that a fold knows the same.
#include <gtest/gtest.h>

#include "tests/core/driver.hpp"
#include "vm/builder.hpp"
#include "vm/limits.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

using vm::FunctionKind;
using vm::Op;
using vm::Register;

constexpr DeploymentNumber kWaits = 2;
enum EventIndex : std::uint32_t { kAsk, kMore, kStop, kAnswer };

// flow waits(ask: Ask) -> Answer on asks {
//   receive m: More from client within 1h { return Answer { text: m.text } }
// }, and a receive of Stop that is never reached.
std::shared_ptr<const vm::VerifiedProgram> waiting_program() {
  vm::Program program;
  program.features = {"core"};
  for (const char* name : {"Ask", "More", "Stop", "Answer"}) {
    program.types.records.push_back({name, {{"text", vm::kTypeString}}});
    const auto record = static_cast<std::uint32_t>(program.types.records.size() - 1);
    program.types.record_type(record);
    program.events.push_back({name, 1, record});
  }
  program.topics = {{"asks", kAsk, std::nullopt, 60'000, 60'000}};
  vm::ConstantPool constants(program);
  vm::FunctionBuilder f("waits", FunctionKind::flow, 1, "waits");
  const Register got = f.allocate(), within = f.allocate();
  f.emit_wide(Op::load_const, within, constants.add(vm::Value::duration(3'600'000)));
  f.emit_indexed(Op::receive, got, within, 0);
  const vm::Label late = f.make_label();
  f.emit_jump(Op::jump_if_none, got, late);
  f.emit_indexed(Op::get_field, got, got, 0);
  f.emit_indexed(Op::make_record, got, got, 4);
  f.emit_finish(got, kAnswer);
  f.bind(late);
  f.emit_indexed(Op::get_field, got, f.parameter(0), 0);
  f.emit_indexed(Op::make_record, got, got, 4);
  f.emit_finish(got, kAnswer);
  program.functions.push_back(f.finish().value());
  program.flows = {{"waits",
                    {{"ask", program.types.record_type(1)}},
                    0,
                    std::nullopt,
                    {kAnswer},
                    0u,
                    7'200'000}};
  program.receives = {{"m", 0, kMore, std::nullopt, 0, std::nullopt},
                      {"s", 0, kStop, std::nullopt, 0, std::nullopt}};
  return vm::verify(std::move(program)).value();
}

std::string data_of(std::uint32_t event, const std::string& text) {
  return vm::encode_value(
      vm::Value::record(event + 1, std::vector<vm::Value>{vm::Value::string(text)}));
}

struct Signals : ::testing::Test {
  Driver driver;
  RunId run;

  Signals() {
    driver.programs.add(kWaits, waiting_program());
    run = start("ada");
  }

  RunId start(const std::string& client) {
    Event event;
    event.deployment = kWaits;
    event.client = client;
    event.order_key = client;
    event.id = "start of " + client;
    const std::string data = data_of(kAsk, "ask");
    event.data = data;
    return only<Accepted>(driver.take(make_record(kTenant, event))).runs.at(0);
  }

  Signal signal(const std::string& id, std::uint32_t event = kMore) {
    data_ = data_of(event, "more");
    Signal made;
    made.run = run;
    made.deployment = kWaits;
    made.event = event;
    made.client = "ada";
    made.id = id_ = id;
    made.data = data_;
    made.id = id_;
    return made;
  }

  std::optional<Effect> admit(const Signal& signal) {
    return driver.partition.admit(kTenant, signal, driver.now, {});
  }
  Effects give(const Signal& signal) {
    if (auto answer = admit(signal)) return {*answer};
    return driver.take(make_record(kTenant, signal));
  }
  Refusal refused(const Signal& signal) {
    const auto answer = admit(signal);
    EXPECT_TRUE(answer && std::holds_alternative<Rejected>(*answer));
    return answer ? std::get<Rejected>(*answer).code : Refusal::invalid;
  }

 private:
  std::string data_, id_;
};

TEST_F(Signals, ARunThatWaitsGoesOn) {
  EXPECT_EQ(driver.partition.run(run)->state, RunState::waiting);
  EXPECT_EQ(driver.partition.run(run)->step, "waits/m");
  EXPECT_TRUE(driver.partition.stuck_runs().empty());
  const Effects made = give(signal("1"));
  const auto accepted = only<Accepted>(made);
  EXPECT_EQ(accepted.runs, std::vector<RunId>{run});
  EXPECT_FALSE(accepted.duplicate);
  const auto delivery = only<Delivery>(made);
  EXPECT_EQ(delivery.data_json, R"({"text":"more"})");
  EXPECT_EQ(delivery.causation, to_text(accepted.event));
  EXPECT_EQ(driver.partition.stats().timers, 0u);
  driver.fold();
}

TEST_F(Signals, ARepeatGetsTheFirstAnswerAlsoOnceTheRunHasEnded) {
  const auto first = only<Accepted>(give(signal("1")));
  const auto again = only<Accepted>(give(signal("1")));
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.event, first.event);
  EXPECT_EQ(again.seq, first.seq);
  EXPECT_EQ(again.runs, first.runs);
  EXPECT_EQ(again.correlation, first.correlation);
  EXPECT_EQ(refused(signal("2")), Refusal::unknown_run);
  driver.fold();
}

TEST_F(Signals, OthersAreRefusedByName) {
  EXPECT_EQ(refused(signal("1", kAnswer)), Refusal::unexpected);
  EXPECT_EQ(refused(signal("1", 99)), Refusal::unexpected);
  Signal other = signal("1");
  other.client = "bob";
  EXPECT_EQ(refused(other), Refusal::unknown_run);
  other = signal("1");
  other.run = make_run_id({}, 77, kStart, 0);
  EXPECT_EQ(refused(other), Refusal::unknown_run);
  other = signal("1");
  other.deployment = 1;
  EXPECT_EQ(refused(other), Refusal::unavailable);
  other = signal("");
  EXPECT_EQ(refused(other), Refusal::invalid);
  const std::string large(vm::kSignalBytesMax + 1, 'x');
  other = signal("1");
  other.data = large;
  EXPECT_EQ(refused(other), Refusal::too_large);
  EXPECT_EQ(driver.journal.size(), 1u);
  EXPECT_FALSE(admit(signal("1")));  // a refused id stays free
}

TEST_F(Signals, TheQueueIsPartOfTheStateAndBounded) {
  for (unsigned i = 0; i < vm::kSignalsMax; ++i) {
    EXPECT_FALSE(only<Accepted>(give(signal("s" + std::to_string(i), kStop))).duplicate);
  }
  EXPECT_EQ(refused(signal("one more", kStop)), Refusal::busy);
  driver.fold();
  Partition::Checkpoint checkpoint = driver.partition.begin_checkpoint(true);
  std::vector<StateRow> rows;
  for (auto some = driver.partition.checkpoint_rows(1 << 20); !some.empty();
       some = driver.partition.checkpoint_rows(1 << 20)) {
    rows.insert(rows.end(), some.begin(), some.end());
  }
  auto restored = Partition::restore(driver.config, driver.programs, checkpoint, rows);
  ASSERT_TRUE(restored.has_value()) << restored.error();
  EXPECT_TRUE(restored->admit(kTenant, signal("one more", kStop), driver.now, {}).has_value());
  // What it waits for passes the queue.
  EXPECT_EQ(all_of<Delivery>(give(signal("m"))).size(), 1u);
}

TEST_F(Signals, ADamagedOneEndsItsRunAndNoOther) {
  const RunId other = start("bob");
  Signal damaged = signal("1");
  damaged.data = "\xff";
  const Effects made = give(damaged);
  EXPECT_EQ(only<DeadLettered>(made).run, run);
  EXPECT_EQ(driver.journal.back().applied.verdict, Verdict::faulted);
  EXPECT_TRUE(driver.partition.run(other).has_value());
  driver.fold();
}

TEST_F(Signals, ACancelledRunTakesNone) {
  driver.cancel(run);
  EXPECT_EQ(refused(signal("1")), Refusal::unknown_run);
  driver.fold();
}

}  // namespace
}  // namespace sluice::core::test
