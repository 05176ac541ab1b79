// Several partitions of one program, each with its journal, and messages between them sent twice,
// and late.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "compiler/compile.hpp"
#include "engine/core/history.hpp"
#include "engine/core/partition.hpp"
#include "tests/core/programs.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"

namespace sluice::core {
namespace test_partitions {

inline constexpr TenantId kTenant{3};
inline constexpr unsigned kPartitions = 8;
inline constexpr TimeUs kStart = 1'760'000'000'000'000;

inline constexpr const char* kProgram = R"(
event Ask { id: string, other: string = "" }
event Verdict { id: string, by: string = "", yes: bool = true }
event Go {}
event Answer { text: string }
event Failed { reason: string }
topic asks of Ask {}
topic chats of Ask {}
topic calls of Ask {}
topic verdicts of Verdict { order by by }
topic turns of Ask {}
topic threads of Ask {}
topic loud of Ask {}
topic writers of Ask {}
topic echoes of Ask { order by id }
topic ranks of Ask { order by tenant }
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

flow turn(ask: Ask) -> Answer or Failed on turns timeout 2h {
  step said = counted(ask.id)
  match said {
    case Answer(a) { return a }
    case Failed(f) { return f }
  }
} on failure (why) { return Failed { reason: why.kind } }

flow counted(id: string) -> Answer or Failed timeout 1h concurrency 1 per key id {
  step look(id)
  notify Go {}
  return Answer { text: "${id} of ${run.client ?? "nobody"}" }
} on failure (why) { return Failed { reason: why.kind } }

flow talk(ask: Ask) -> Answer or Failed on threads timeout 2h concurrency 1 per key ask.id joins {
  var all = ask.other
  step look(ask.id)
  each n in 1..20 {
    receive more: Ask from client within 0s { set all = "${all} ${more.other}" } else {
      return Answer { text: all }
    }
  }
  return Answer { text: all }
} on failure (why) { return Failed { reason: why.kind } }

flow tells(ask: Ask) -> Answer or Failed on loud timeout 2h {
  notify Go {} to client ask.other
  notify Go {} to client ask.other
  notify Go {} to client ask.other
  notify Go {}
  return Answer { text: "told" }
} on failure (why) { return Failed { reason: why.kind } }

flow writes(ask: Ask) -> Answer or Failed on writers timeout 2h {
  step look(ask.id)
  publish Ask { id: ask.id } to echoes
  return Answer { text: "written" }
} on failure (why) { return Failed { reason: why.kind } }

flow echo(ask: Ask) -> Answer or Failed on echoes timeout 2h {
  step look(ask.id)
  return Answer { text: "first version" }
} on failure (why) { return Failed { reason: why.kind } }
)";

inline std::shared_ptr<const vm::VerifiedProgram> compiled(const std::string& text) {
  compiler::SourceSet sources;
  sources.add("play.flow", "play", text);
  compiler::Diagnostics diagnostics;
  const auto made = compiler::compile(sources, diagnostics);
  for (const auto& each : diagnostics.items()) ADD_FAILURE() << each.message;
  return made.artifact ? vm::load_artifact(*made.artifact).value() : nullptr;
}

// The program with another `echo`, behind more topics, for events with one more field.
inline std::string second_version() {
  std::string text = kProgram;
  const auto swap = [&](const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  };
  swap("event Ask {", "event Ask { weight: int = 7, ");
  swap("topic asks", "topic aside of Go { order by client }\ntopic asks");
  swap("\"first version\"", "\"second version ${ask.weight}\"");
  return text;
}

class Cluster {
 public:
  explicit Cluster(std::uint64_t outbox_messages = kOutboxMessagesMax)
      : outbox_messages_(outbox_messages) {
    programs_.add(1, compiled(kProgram));
    for (unsigned i = 0; i < kPartitions; ++i) {
      partitions_.emplace_back(config_of(i), programs_);
      journals_.emplace_back();
    }
  }

  const vm::Program& program() { return programs_.unit(1)->program(); }

  vm::Value value_of(std::uint32_t topic, const std::string& json) {
    const std::uint32_t record = program().events[program().topics[topic].event].record;
    vm::TypeTable types = program().types;
    const auto value = vm::decode_json(types, types.record_type(record), json);
    EXPECT_TRUE(value.has_value()) << json;
    return value ? *value : vm::Value();
  }
  std::string key_of(const std::string& topic, const std::string& json) {
    const auto index = *vm::find_by_name(program().topics, topic);
    return vm::order_key(*programs_.unit(1), index, value_of(index, json)).value();
  }
  // The run's history, which ends with that answer.
  void tell(const RunId& run, const std::string& answer) {
    std::vector<Record> records;
    const auto& journal = journals_[number(partition_of(run))];
    const auto& touched = touched_[number(partition_of(run))];
    for (std::size_t i = 0; i < journal.size(); ++i) {
      if (touched[i] == run) records.push_back(journal[i]);
    }
    const auto told =
        tell_history(partition_of(run), kPartitions, run, records, programs_, rows[run].deployment);
    ASSERT_TRUE(told.has_value()) << told.error();
    EXPECT_NE(told->row.outcome_json.find(answer), std::string::npos) << told->row.outcome_json;
  }

  // An event on a topic; the runs that it started.
  std::vector<RunId> publish(const std::string& topic, const std::string& json,
                             const std::string& client) {
    const auto index = *vm::find_by_name(program().topics, topic);
    const vm::Value value = value_of(index, json);
    std::string key = client;
    if (program().topics[index].order_function)
      key = *vm::order_key(*programs_.unit(1), index, value);
    const std::string data = vm::encode_value(value);
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

  bool has_offer(const RunId& run) const { return offers_.contains(run); }
  // The runs that wait for a worker.
  std::vector<RunId> offered() const {
    std::vector<RunId> runs;
    for (const auto& [run, offer] : offers_) runs.push_back(run);
    return runs;
  }

  void cancel(const RunId& run) {
    const Cancel cancel{run, {}, "c", "cancelled"};
    ASSERT_FALSE(partition(partition_of(run)).admit(kTenant, cancel, {}).has_value());
    take(partition_of(run), make_record(kTenant, cancel));
  }

  // Another program is deployed, everywhere.
  void deploy(DeploymentNumber deployment, const std::string& text) {
    programs_.add(deployment, compiled(text));
    const std::string hash(32, 'x');
    for (const Partition& p : partitions_) {
      take(p.id(), make_record({}, DeploymentRecord{deployment, hash}));
    }
  }

  void finish_step(const RunId& run) {
    const Offer offer = offers_.at(run);
    offers_.erase(run);
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
    touched_[number(at)].push_back(applied->run);
    for (const Effect& effect : effects) {
      if (const auto* sent = std::get_if<Send>(&effect)) {
        wire_.emplace_back(at, *sent);
      } else if (const auto* offer = std::get_if<Offer>(&effect)) {
        offers_[offer->key.run] = *offer;
      } else if (const auto* told = std::get_if<Delivery>(&effect)) {
        deliveries.push_back(*told);
      } else if (const auto* ended = std::get_if<RunChanged>(&effect)) {
        offers_.erase(ended->row.run);
        rows[ended->row.run] = ended->row;
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
      EXPECT_TRUE(partitions_[i].stuck_runs().empty());
      Partition fresh(config_of(i), programs_);
      for (const Record& record : journals_[i]) {
        Effects dropped;
        ASSERT_TRUE(fresh.apply(record, {}, dropped).has_value());
      }
      EXPECT_EQ(fresh.state_hash(), partitions_[i].state_hash());
      const auto checkpoint = fresh.begin_checkpoint(true);
      std::vector<StateRow> stored;
      for (auto some = fresh.checkpoint_rows(1 << 20); !some.empty();
           some = fresh.checkpoint_rows(1 << 20)) {
        stored.insert(stored.end(), some.begin(), some.end());
      }
      auto restored = Partition::restore(config_of(i), programs_, checkpoint, stored);
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
  std::map<RunId, RunRow> rows;
  std::vector<Delivery> deliveries;
  std::vector<DeadLettered> dead_letters;

 public:
  Partition& partition(PartitionId id) { return partitions_[number(id)]; }

 private:
  Partition::Config config_of(unsigned i) const {
    Partition::Config config;
    config.outbox_messages = outbox_messages_;
    config.id = PartitionId{static_cast<std::uint16_t>(i)};
    config.partitions = kPartitions;
    return config;
  }

  std::uint64_t outbox_messages_;
  test::TestPrograms programs_;
  std::deque<Partition> partitions_;
  std::deque<std::vector<Record>> journals_;
  std::map<unsigned, std::vector<RunId>> touched_;  // per partition, with each record
  std::deque<std::pair<PartitionId, Send>> wire_;   // from where, and what
  std::map<RunId, Offer> offers_;
  int ids_ = 0;
};

inline std::string text(const std::string& answer) {
  return R"({"text":")" + answer + "\"}";
}

}  // namespace test_partitions
}  // namespace sluice::core
