// Runs that begin in the partition of their key: what started them they do not hear, and one that
// is lost on the way is answered.
#include <gtest/gtest.h>

#include "tests/core/cluster.hpp"
#include "vm/builder.hpp"

namespace sluice::core::test {
namespace {

using vm::FunctionKind;
using vm::Op;
using vm::Register;

enum Record_ : std::uint32_t { kAsk = 1, kAnswer };

// event Ask { text: string }  topic asks of Ask {}
// flow waits(ask: Ask) -> Answer on asks concurrency 1 per key ask.text {
//   receive m: Ask from asks where m.text == ask.text within 1h { return Answer { text: "heard" } }
//   return Answer { text: "alone" }
// }
std::shared_ptr<const vm::VerifiedProgram> waiting_program(bool outcomes = true) {
  vm::Program program;
  program.features = {"core"};
  for (const char* name : {"Ask", "Answer"}) {
    program.types.records.push_back({name, {{"text", vm::kTypeString}}});
    const auto record = static_cast<std::uint32_t>(program.types.records.size() - 1);
    program.types.record_type(record);
    program.events.push_back({name, 1, record});
  }
  program.topics = {{"asks", kAsk - 1, std::nullopt, 60'000, 60'000}};
  vm::ConstantPool constants(program);
  const auto text = [&](const char* value) { return constants.add(vm::Value::string(value)); };

  vm::FunctionBuilder f("waits", FunctionKind::flow, 1, "waits");
  const Register got = f.allocate(), within = f.allocate(2);
  f.emit_wide(Op::load_const, within, constants.add(vm::Value::duration(3'600'000)));
  f.emit_indexed(Op::get_field, {within.index + 1}, f.parameter(0), 0);
  f.emit_indexed(Op::receive, got, within, 0);
  const vm::Label late = f.make_label(), end = f.make_label();
  f.emit_jump(Op::jump_if_none, got, late);
  f.emit_wide(Op::load_const, got, text("heard"));
  f.emit_jump(Op::jump, end);
  f.bind(late);
  f.emit_wide(Op::load_const, got, text("alone"));
  f.bind(end);
  f.emit_indexed(Op::make_record, got, got, kAnswer);
  if (outcomes) {
    f.emit_finish(got, kAnswer - 1);
  } else {
    f.emit(Op::finish_bare);
  }
  program.functions.push_back(f.finish().value());
  vm::FunctionBuilder key("waits/key", FunctionKind::pure, 1);
  const Register made = key.allocate();
  key.emit_indexed(Op::get_field, made, key.parameter(0), 0);
  key.emit(Op::ret, made);
  program.functions.push_back(key.finish().value());

  program.flows = {
      {"waits", {{"ask", program.types.record_type(kAsk)}}, 0, std::nullopt, {}, 0u, 7'200'000}};
  if (outcomes) program.flows[0].outcomes = {kAnswer - 1};
  program.flows[0].concurrency =
      vm::Concurrency{1, vm::Overload::wait, vm::kWaitingMax, vm::Per::key, 1};
  program.receives = {{"m", 0, kAsk - 1, 0, 0, std::nullopt}};
  auto verified = vm::verify(std::move(program));
  if (!verified) std::fprintf(stderr, "%s\n", verified.error().message.c_str());
  SLUICE_CHECK(verified.has_value());
  return *verified;
}

constexpr unsigned kPartitions = 8;

// A client and a key whose partitions are not the same.
struct Names {
  std::string client, text;
};
Names far_apart() {
  const PartitionId home = partition_of_client(kTenant, "ada", kPartitions);
  for (char letter = 'a';; ++letter) {
    const std::string text(1, letter);
    if (partition_of_key(kTenant, text, kPartitions) != home) return {"ada", text};
  }
}

MessageKind kind_of(const Cluster::Flying& flying) {
  return decode<Envelope>(decode<Message>(flying.record.body)->body)->kind;
}

// Delivers all messages of that kind that are under way; how many there were.
std::size_t deliver_all(Cluster& cluster, MessageKind kind) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < cluster.network.size();) {
    const Cluster::Flying& flying = cluster.network[i];
    if (flying.record.kind != Kind::message || kind_of(flying) != kind) {
      ++i;
      continue;
    }
    cluster.deliver(i, false);
    ++count;
    i = 0;
  }
  return count;
}

class OwnEvent : public testing::Test {
 protected:
  Cluster cluster{kPartitions, kOutboxMessagesMax, waiting_program()};
  Names names = far_apart();

  void begin() {
    cluster.ask(names.client, names.text);
    EXPECT_EQ(partition_of(cluster.asked.back()),
              partition_of_key(kTenant, names.text, kPartitions));
    EXPECT_NE(partition_of(cluster.asked.back()),
              partition_of_client(kTenant, names.client, kPartitions));
  }
  std::string answer() {
    for (const Delivery& each : cluster.deliveries) {
      if (each.run == cluster.asked.front()) return each.data_json;
    }
    return "none";
  }
  void ends_alone() {
    cluster.advance(3'600'001 * kMs);
    while (!cluster.network.empty()) cluster.deliver(0, false);
    EXPECT_EQ(answer(), R"({"text":"alone"})");
    cluster.drain();
    cluster.check_folds();
  }
};

// The event reaches the run by its subscription: later than the turn that it started.
TEST_F(OwnEvent, IsNotHeardWhereItComesAfterTheSubscription) {
  begin();
  EXPECT_EQ(deliver_all(cluster, MessageKind::turn), 1u);
  cluster.advance(0);
  deliver_all(cluster, MessageKind::subscribe);
  deliver_all(cluster, MessageKind::topic_event);
  EXPECT_EQ(deliver_all(cluster, MessageKind::signal), 1u) << "it is told, and knows it already";
  EXPECT_TRUE(cluster.at(partition_of(cluster.asked[0])).partition.run(cluster.asked[0]));
  ends_alone();
}

// Or it was kept where the subscription arrives.
TEST_F(OwnEvent, IsNotHeardWhereItComesBeforeTheSubscription) {
  begin();
  deliver_all(cluster, MessageKind::topic_event);
  EXPECT_EQ(deliver_all(cluster, MessageKind::turn), 1u);
  cluster.advance(0);
  deliver_all(cluster, MessageKind::subscribe);
  deliver_all(cluster, MessageKind::signal);
  ends_alone();
}

TEST_F(OwnEvent, AnotherOfTheSameTextIsHeard) {
  begin();
  deliver_all(cluster, MessageKind::turn);
  cluster.advance(0);
  while (!cluster.network.empty()) cluster.deliver(0, false);
  cluster.advance(1 * kMs);
  begin();
  while (!cluster.network.empty()) cluster.deliver(0, false);
  EXPECT_EQ(answer(), R"({"text":"heard"})");
  cluster.advance(3'600'001 * kMs);
  cluster.drain();
  cluster.check_folds();
}

// ---- a turn that is lost

// The event is taken in one partition; in that of its key the record of the turn is suspect (the
// process died twice over it).
class LostTurn : public testing::Test {
 protected:
  Names names = far_apart();
  TestPrograms programs;
  TimeUs now = kStart;

  struct Side {
    Side(PartitionId id, TestPrograms& programs) : partition({id, kPartitions, {}}, programs) {}
    Partition partition;
    std::optional<Applied> applied;  // of the last record
  };
  Effects take(Side& side, Record record) {
    record.seq = side.partition.next_seq();
    record.time = now;
    record.core = side.partition.core();
    Effects effects;
    const auto applied = side.partition.apply(record, {}, effects);
    EXPECT_TRUE(applied.has_value());
    if (applied) side.applied = *applied;
    return effects;
  }
  Effects settle(Side& side) {
    Effects all;
    while (side.partition.next_due() && *side.partition.next_due() <= now) {
      for (Effect& effect : take(side, side.partition.make_advance(now))) {
        all.push_back(std::move(effect));
      }
    }
    return all;
  }
  // The message that carries the turn; the run's id in `run`.
  std::string send_turn(Side& here, const std::string& client, const std::string& id) {
    const std::string data = ask(names.text);
    Event event;
    event.deployment = 1;
    event.client = client;
    event.order_key = names.client;
    event.id = id;
    event.data = data;
    const Effects effects = take(here, make_record(kTenant, event));
    run = only<Accepted>(effects).runs.at(0);
    correlation = only<Accepted>(effects).correlation;
    for (const Send& send : all_of<Send>(effects)) {
      if (decode<Envelope>(send.body)->kind != MessageKind::turn) continue;
      n = send.n;
      return send.body;
    }
    ADD_FAILURE() << "no turn was sent";
    return {};
  }
  Effects lose(Side& here, Side& there, const std::string& body) {
    Record record = make_record(kTenant, Message{here.partition.id(), n, body});
    record.verdict = Verdict::suspect;
    return take(there, std::move(record));
  }

  Side make(PartitionId id) { return Side(id, programs); }
  PartitionId at_client() { return partition_of_client(kTenant, names.client, kPartitions); }
  PartitionId at_key() { return partition_of_key(kTenant, names.text, kPartitions); }

  RunId run;
  std::string correlation;
  std::uint64_t n = 0;
};

TEST_F(LostTurn, IsAnsweredAndStandsInListsAndBlocksNobody) {
  programs.add(1, waiting_program());
  Side here = make(at_client()), there = make(at_key());
  const std::string body = send_turn(here, names.client, "1");
  now += 5 * kMs;
  const Effects lost = lose(here, there, body);
  EXPECT_EQ(there.applied->verdict, Verdict::suspect);
  EXPECT_EQ(only<Acknowledge>(lost).n, n) << "it counts as taken";
  EXPECT_EQ(only<DeadLettered>(lost).run, run);

  const RunRow row = only<RunChanged>(lost).row;
  EXPECT_EQ(row.run, run);
  EXPECT_EQ(row.flow, "waits");
  EXPECT_EQ(row.client, names.client);
  EXPECT_EQ(row.tenant, kTenant);
  EXPECT_EQ(row.state, RunState::failed);
  EXPECT_EQ(row.why, "Fault: record 1 is suspect");
  EXPECT_EQ(row.started, kStart);
  EXPECT_EQ(row.ended, now);
  EXPECT_EQ(row.correlation, correlation);
  EXPECT_EQ(row.outcome_name, "sluice.failed");

  const Send answer = only<Send>(lost);
  EXPECT_EQ(answer.destination, at_client());
  const Effects told =
      take(here, make_record(kTenant, Message{there.partition.id(), answer.n, answer.body}));
  const Delivery delivery = only<Delivery>(told);
  EXPECT_EQ(delivery.run, run);
  EXPECT_EQ(delivery.client, names.client);
  EXPECT_EQ(delivery.name, "sluice.failed");
  EXPECT_EQ(delivery.data_json,
            R"({"kind":"Fault","message":"record 1 is suspect","step":"","attempt":0})");
  EXPECT_EQ(delivery.data_json, row.outcome_json);
  EXPECT_EQ(delivery.correlation, correlation);
  EXPECT_TRUE(delivery.outcome);

  // Its place is nobody's: the next of its key begins.
  const std::string next = send_turn(here, names.client, "2");
  take(there, make_record(kTenant, Message{here.partition.id(), n, next}));
  settle(there);
  ASSERT_TRUE(there.partition.run(run));
  EXPECT_EQ(there.partition.run(run)->step, "waits/m");
}

TEST_F(LostTurn, OfNobodysClientIsAFailedRunAlone) {
  programs.add(1, waiting_program());
  Side here = make(at_client()), there = make(at_key());
  const Effects lost = lose(here, there, send_turn(here, "", "1"));
  EXPECT_TRUE(all_of<Send>(lost).empty());
  EXPECT_EQ(only<RunChanged>(lost).row.outcome_name, "sluice.failed");
}

TEST_F(LostTurn, OfAFlowWithoutOutcomesAnswersNobody) {
  programs.add(1, waiting_program(false));
  Side here = make(at_client()), there = make(at_key());
  const Effects lost = lose(here, there, send_turn(here, names.client, "1"));
  EXPECT_TRUE(all_of<Send>(lost).empty());
  const RunRow row = only<RunChanged>(lost).row;
  EXPECT_EQ(row.state, RunState::failed);
  EXPECT_EQ(row.outcome_name, "");
}

}  // namespace
}  // namespace sluice::core::test
