#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "compiler/compile.hpp"
#include "engine/core/partition.hpp"
#include "tests/core/programs.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"

// Signals and events of topics over several partitions: the run, the event and the home of the pair
// each on its own, messages between them sent twice, and late.
namespace sluice::core {
namespace {

constexpr TenantId kTenant{3};
constexpr unsigned kPartitions = 8;
constexpr TimeUs kStart = 1'760'000'000'000'000;

constexpr const char* kProgram = R"(
event Ask { id: string, other: string = "" }
event Verdict { id: string, by: string = "", yes: bool = true }
event Go {}
event Answer { text: string }
event Failed { reason: string }
topic asks of Ask {}
topic chats of Ask {}
topic calls of Ask {}
topic verdicts of Verdict { order by by }
task look(text: string) -> string { timeout 40s  idempotent }

flow ask(ask: Ask) -> Answer or Failed on asks timeout 2h {
  step look(ask.id)
  receive v: Verdict from verdicts where v.id == ask.id and v.yes within 1h {
    return Answer { text: "${v.id} by ${v.by}" }
  }
  return Answer { text: "nobody" }
} on failure (why) { return Failed { reason: why.message } }

flow both(ask: Ask) -> Answer or Failed on chats timeout 2h {
  var all = ""
  each n in 1..2 {
    let got = race {
      branch a { receive v: Verdict from verdicts where v.id == ask.id  yield v.by }
      branch b { receive v: Verdict from verdicts where v.by == ask.other  yield v.by }
      branch late { sleep 1h  yield "late" }
    }
    set all = "${all} ${got}"
  }
  return Answer { text: all }
} on failure (why) { return Failed { reason: why.message } }

flow call(ask: Ask) -> Answer or Failed on calls timeout 2h {
  notify Go {} to run ask.other
  receive g: Go from client within 1h { return Answer { text: "called" } }
  return Answer { text: "alone" }
} on failure (why) { return Failed { reason: why.message } }
)";

class Cluster {
 public:
  Cluster() {
    compiler::SourceSet sources;
    sources.add("play.flow", "play", kProgram);
    compiler::Diagnostics diagnostics;
    const auto compiled = compiler::compile(sources, diagnostics);
    EXPECT_TRUE(compiled.artifact.has_value());
    for (const auto& each : diagnostics.items()) ADD_FAILURE() << each.message;
    programs_.add(1, vm::load_artifact(*compiled.artifact).value());
    for (unsigned i = 0; i < kPartitions; ++i) {
      partitions_.emplace_back(config_of(i), programs_);
      journals_.emplace_back();
    }
  }

  const vm::Program& program() { return programs_.unit(1)->program(); }

  // An event on a topic; the runs that it started.
  std::vector<RunId> publish(const std::string& topic, const std::string& json,
                             const std::string& client) {
    const auto index = *vm::find_by_name(program().topics, topic);
    const std::uint32_t record = program().events[program().topics[index].event].record;
    vm::TypeTable types = program().types;
    const auto value = vm::decode_json(types, types.record_type(record), json);
    EXPECT_TRUE(value.has_value()) << json;
    std::string key = client;
    if (program().topics[index].order_function)
      key = *vm::order_key(*programs_.unit(1), index, *value);
    const std::string data = vm::encode_value(*value);
    const std::string id = "e" + std::to_string(++ids_);
    Event event{1, index, client, id, key, data, {}, {}, 0};
    const PartitionId at = program().topics[index].order_function
                               ? partition_of_key(kTenant, key, kPartitions)
                               : partition_of_client(kTenant, client, kPartitions);
    for (const Effect& effect : take(at, make_record(kTenant, event))) {
      if (const auto* accepted = std::get_if<Accepted>(&effect)) return accepted->runs;
    }
    ADD_FAILURE() << "not accepted";
    return {};
  }

  // A client of that partition.
  std::string client_at(unsigned partition) {
    for (int i = 0;; ++i) {
      const std::string name = "c" + std::to_string(partition) + "-" + std::to_string(i);
      if (number(partition_of_client(kTenant, name, kPartitions)) == partition) return name;
    }
  }

  void finish_step(const RunId& run) {
    const Offer offer = offers_.at(run);
    const std::string result = test::text_value("seen");
    Done done;
    done.run = run;
    done.step = offer.key.step;
    done.attempt = offer.key.attempt;
    done.opened = offer.opened;
    done.args_digest = offer.args_digest;
    done.result = result;
    take(partition_of(run), make_record(kTenant, done));
  }

  // Messages go out, each twice, until nothing is under way.
  void settle() {
    while (!wire_.empty()) {
      const auto [source, sent] = wire_.front();
      wire_.pop_front();
      const PartitionId at = sent.destination;
      for (int i = 0; i < 2; ++i) {
        const Message message{source, sent.n, sent.body};
        if (partition(at).admit(message) != Partition::MessageAdmission::fresh) continue;
        take(at, make_record(kTenant, message));
        const MessageAck ack{at, sent.n};
        if (partition(source).admit(ack)) take(source, make_record({}, ack));
      }
    }
  }

  Effects take(PartitionId at, Record record) {
    Partition& p = partition(at);
    record.seq = p.next_seq();
    record.time = std::max(now, p.last_time());
    record.core = p.core();
    Effects effects;
    const auto applied = p.apply(record, {}, effects);
    EXPECT_TRUE(applied.has_value()) << (applied ? "" : applied.error().message);
    record.verdict = applied->verdict;
    journals_[number(at)].push_back(record);
    for (const Effect& effect : effects) {
      if (const auto* sent = std::get_if<Send>(&effect)) {
        wire_.emplace_back(at, *sent);
      } else if (const auto* offer = std::get_if<Offer>(&effect)) {
        offers_[offer->key.run] = *offer;
      } else if (const auto* ended = std::get_if<RunChanged>(&effect)) {
        answers[ended->row.run] = ended->row.outcome_json;
      } else if (const auto* dead = std::get_if<DeadLettered>(&effect)) {
        dead_letters.push_back(*dead);
      }
    }
    return effects;
  }

  void pass(TimeUs by) {
    now += by;
    for (Partition& p : partitions_) {
      while (p.next_due() && *p.next_due() <= now) take(p.id(), p.make_advance(now));
    }
  }

  // Every journal again, and through a checkpoint: the same states.
  void fold() {
    for (unsigned i = 0; i < kPartitions; ++i) {
      Partition fresh(config_of(i), programs_);
      for (const Record& record : journals_[i]) {
        Effects dropped;
        ASSERT_TRUE(fresh.apply(record, {}, dropped).has_value());
      }
      EXPECT_EQ(fresh.state_hash(), partitions_[i].state_hash());
      const auto checkpoint = fresh.begin_checkpoint(true);
      std::vector<StateRow> rows;
      for (auto some = fresh.checkpoint_rows(1 << 20); !some.empty();
           some = fresh.checkpoint_rows(1 << 20)) {
        rows.insert(rows.end(), some.begin(), some.end());
      }
      auto restored = Partition::restore(config_of(i), programs_, checkpoint, rows);
      ASSERT_TRUE(restored.has_value()) << restored.error();
      EXPECT_EQ(restored->state_hash(), partitions_[i].state_hash());
    }
  }

  std::uint64_t subscriptions() const {
    std::uint64_t all = 0;
    for (const Partition& p : partitions_) all += p.stats().subscriptions;
    return all;
  }

  TimeUs now = kStart;
  std::map<RunId, std::string> answers;
  std::vector<DeadLettered> dead_letters;

 private:
  static Partition::Config config_of(unsigned i) {
    Partition::Config config;
    config.id = PartitionId{static_cast<std::uint16_t>(i)};
    config.partitions = kPartitions;
    return config;
  }
  Partition& partition(PartitionId id) { return partitions_[number(id)]; }

  test::TestPrograms programs_;
  std::deque<Partition> partitions_;
  std::deque<std::vector<Record>> journals_;
  std::deque<std::pair<PartitionId, Send>> wire_;  // from where, and what
  std::map<RunId, Offer> offers_;
  int ids_ = 0;
};

std::string text(const std::string& answer) {
  return R"({"text":")" + answer + "\"}";
}

TEST(Partitions, AnEventReachesTheRunsOfItsPairWhereverTheyAre) {
  Cluster cluster;
  std::vector<RunId> runs;
  for (unsigned i = 0; i < kPartitions; ++i) {
    const std::string id = i % 2 == 0 ? "even" : "odd";
    runs.push_back(cluster.publish("asks", R"({"id":")" + id + "\"}", cluster.client_at(i)).at(0));
    cluster.finish_step(runs.back());
  }
  cluster.settle();
  EXPECT_EQ(cluster.subscriptions(), kPartitions);
  cluster.fold();
  cluster.publish("verdicts", R"({"id":"even","by":"x","yes":false})", "rita");
  cluster.publish("verdicts", R"({"id":"even","by":"y"})", "rita");
  cluster.publish("verdicts", R"({"id":"else","by":"z"})", "rita");
  cluster.settle();
  for (unsigned i = 0; i < kPartitions; ++i) {
    EXPECT_EQ(cluster.answers.contains(runs[i]), i % 2 == 0) << i;
    if (i % 2 == 0) {
      EXPECT_EQ(cluster.answers[runs[i]], text("even by y"));
    }
  }
  EXPECT_EQ(cluster.subscriptions(), kPartitions / 2);
  cluster.fold();
  cluster.pass(3601ll * 1'000'000);
  cluster.settle();
  EXPECT_EQ(cluster.answers[runs[1]], text("nobody"));
  EXPECT_EQ(cluster.subscriptions(), 0u);
  EXPECT_TRUE(cluster.dead_letters.empty());
  cluster.fold();
}

TEST(Partitions, WhatCameSinceTheRunsBeginningCountsAndNothingBefore) {
  Cluster cluster;
  cluster.publish("verdicts", R"({"id":"a","by":"before"})", "rita");
  cluster.settle();
  cluster.now += 1000;
  const RunId run = cluster.publish("asks", R"({"id":"a"})", cluster.client_at(1)).at(0);
  cluster.publish("verdicts", R"({"id":"a","by":"early"})", "rita");
  cluster.settle();
  cluster.fold();
  EXPECT_TRUE(cluster.answers.empty());
  cluster.finish_step(run);
  cluster.settle();
  EXPECT_EQ(cluster.answers[run], text("a by early"));
  // After ten minutes it is forgotten.
  const RunId late = cluster.publish("asks", R"({"id":"b"})", cluster.client_at(1)).at(0);
  cluster.publish("verdicts", R"({"id":"b","by":"early"})", "rita");
  cluster.settle();
  cluster.pass(601ll * 1'000'000);
  for (unsigned i = 0; i < kPartitions; ++i) {
    cluster.take(PartitionId{static_cast<std::uint16_t>(i)}, make_record({}, Takeover{1}));
  }
  cluster.finish_step(late);
  cluster.settle();
  EXPECT_FALSE(cluster.answers.contains(late));
  cluster.fold();
}

TEST(Partitions, AnEventThatTwoPairsMeanCountsOnce) {
  Cluster cluster;
  const RunId run =
      cluster.publish("chats", R"({"id":"a","other":"rita"})", cluster.client_at(2)).at(0);
  cluster.settle();
  EXPECT_EQ(cluster.subscriptions(), 2u);
  cluster.publish("verdicts", R"({"id":"a","by":"rita"})", "rita");
  cluster.settle();
  EXPECT_FALSE(cluster.answers.contains(run));
  cluster.publish("verdicts", R"({"id":"a","by":"max"})", "max");
  cluster.settle();
  EXPECT_EQ(cluster.answers[run], text(" rita max"));
  EXPECT_EQ(cluster.subscriptions(), 0u);
  cluster.fold();
}

TEST(Partitions, ARunSignalsAnotherOnAnyPartition) {
  Cluster cluster;
  for (unsigned i = 0; i < kPartitions; ++i) {
    const RunId first =
        cluster.publish("calls", R"({"id":"a","other":"nobody"})", cluster.client_at(0)).at(0);
    ASSERT_EQ(cluster.dead_letters.size(), 1u);
    EXPECT_EQ(cluster.dead_letters[0].kind, "Invalid");
    cluster.dead_letters.clear();
    const std::string other = R"({"id":"b","other":")" + to_text(first) + "\"}";
    const RunId second = cluster.publish("calls", other, cluster.client_at(i)).at(0);
    cluster.settle();
    EXPECT_EQ(cluster.answers[first], text("called"));
    EXPECT_FALSE(cluster.answers.contains(second));
    // It is over: who calls it now is told so in the dead letters.
    cluster.publish("calls", other, cluster.client_at(i));
    cluster.settle();
    ASSERT_EQ(cluster.dead_letters.size(), 1u);
    cluster.dead_letters.clear();
  }
  cluster.fold();
}

}  // namespace
}  // namespace sluice::core
