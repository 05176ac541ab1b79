// What a partition costs per record: four-step workflows through apply, with and without the
// state's hash per batch, and the fold of the journal that they made.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "engine/core/partition.hpp"
#include "tests/core/driver.hpp"

namespace sluice::core::test {
namespace {

constexpr unsigned kInFlight = 256;  // workflows alive at once, as in bench/pipeline
const std::string kText(200, 'x');
const std::string kResult(100, 'y');

// One partition whose workflows go through their steps in waves, a batch per wave.
class Waves {
 public:
  explicit Waves(bool hash) : programs_(make()), partition_({}, *programs_), hash_(hash) {}

  // Runs kInFlight workflows from event to answer: five records each.
  void run(std::vector<Record>* journal = nullptr) {
    journal_ = journal;
    const std::string data = ask(kText);
    for (unsigned i = 0; i < kInFlight; ++i) {
      const std::string client = "client-" + std::to_string(i);
      const std::string id = std::to_string(++published_);
      Event event;
      event.deployment = 1;
      event.client = client;
      event.order_key = client;
      event.id = id;
      event.data = data;
      benchmark::DoNotOptimize(partition_.admit(kTenant, event, now_, {}));
      take(make_record(kTenant, event));
    }
    const std::string result = text_value(kResult);
    for (int step = 0; step < 4; ++step) {
      end_batch();
      Effects batch = std::move(effects_);
      effects_.clear();
      for (const Effect& effect : batch) {
        if (const auto* offer = std::get_if<Offer>(&effect)) report(*offer, result);
      }
    }
    end_batch();
    effects_.clear();
    now_ += 10 * kMs;
  }

  TestPrograms& programs() { return *programs_; }

 private:
  static std::unique_ptr<TestPrograms> make() {
    auto programs = std::make_unique<TestPrograms>();
    Pipeline pipeline;
    pipeline.timeout_ms = 60'000;
    pipeline.dedupe_ms = 10'000;
    for (auto& step : pipeline.steps) {
      step.policies.idempotent = true;
      step.policies.timeout_ms = 5'000;
    }
    programs->add(1, pipeline);
    return programs;
  }

  void report(const Offer& offer, const std::string& result) {
    Done done;
    done.run = offer.key.run;
    done.step = offer.key.step;
    done.attempt = offer.key.attempt;
    done.opened = offer.opened;
    done.args_digest = offer.args_digest;
    done.result = result;
    benchmark::DoNotOptimize(partition_.admit(kTenant, done, {}));
    take(make_record(kTenant, done));
  }

  void take(Record record) {
    record.seq = partition_.next_seq();
    record.time = now_;
    record.core = partition_.core();
    const auto applied = partition_.apply(record, {}, effects_);
    SLUICE_CHECK(applied.has_value() && applied->verdict == Verdict::ok);
    if (journal_ != nullptr) journal_->push_back(std::move(record));
  }

  void end_batch() {
    benchmark::DoNotOptimize(partition_.take_digest());
    if (hash_) benchmark::DoNotOptimize(partition_.state_hash());
  }

  std::unique_ptr<TestPrograms> programs_;
  Partition partition_;
  bool hash_;
  TimeUs now_ = kStart;
  std::uint64_t published_ = 0;
  Effects effects_;
  std::vector<Record>* journal_ = nullptr;
};

void report_records(benchmark::State& state, std::int64_t records) {
  state.SetItemsProcessed(records);
  state.counters["us/record"] =
      benchmark::Counter(static_cast<double>(records) / 1e6,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Everything that the apply thread does per record but the append: admission, apply, digest, hash.
void BM_FourSteps(benchmark::State& state) {
  Waves waves(state.range(0) != 0);
  for (auto _ : state) waves.run();
  report_records(state, state.iterations() * kInFlight * 5);
}
BENCHMARK(BM_FourSteps)->ArgName("hash")->Arg(0)->Arg(1);

void BM_Fold(benchmark::State& state) {
  Waves waves(false);
  std::vector<Record> journal;
  for (int i = 0; i < 20; ++i) waves.run(&journal);
  for (auto _ : state) {
    Partition partition({}, waves.programs());
    Effects effects;
    for (const Record& record : journal) {
      benchmark::DoNotOptimize(partition.apply(record, {}, effects).has_value());
      effects.clear();
    }
  }
  report_records(state, state.iterations() * static_cast<std::int64_t>(journal.size()));
}
BENCHMARK(BM_Fold);

void BM_Checkpoint(benchmark::State& state) {
  Driver driver;
  for (int i = 0; i < 2000; ++i) driver.publish("c" + std::to_string(i), "1", kText);
  std::int64_t rows = 0;
  for (auto _ : state) {
    driver.partition.begin_checkpoint(true);
    for (auto some = driver.partition.checkpoint_rows(1 << 16); !some.empty();
         some = driver.partition.checkpoint_rows(1 << 16)) {
      rows += static_cast<std::int64_t>(some.size());
    }
  }
  state.SetItemsProcessed(rows);
}
BENCHMARK(BM_Checkpoint)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice::core::test
