#include <benchmark/benchmark.h>

#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"

// What one run costs the VM: verify, activation, snapshot, JSON.
namespace sluice::vm::testing {
namespace {

// A document of about 250 bytes: five fields, one of them a list of records.
constexpr std::string_view kDocument =
    R"({"text":"How do I change the address on my invoice? I moved last month.","history":[)"
    R"({"role":"user","text":"Hello, I have a question."},{"role":"assistant","text":"Of course, )"
    R"(go ahead."},{"role":"user","text":"It is about an invoice of last week."}]})";

void decode_json_document(benchmark::State& state) {
  SupportProgram p;
  TypeId ask = p.program.types.record_type(p.ask);
  for (auto _ : state) {
    auto value = decode_json(p.program.types, ask, kDocument);
    if (!value) state.SkipWithError("refused");
    benchmark::DoNotOptimize(value);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kDocument.size()));
}
BENCHMARK(decode_json_document);

void encode_json_document(benchmark::State& state) {
  SupportProgram p;
  TypeId ask = p.program.types.record_type(p.ask);
  Value value = decode_json(p.program.types, ask, kDocument).value();
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_json(p.program.types, ask, value, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * out.size()));
}
BENCHMARK(encode_json_document);

void encode_value_document(benchmark::State& state) {
  SupportProgram p;
  Value value = decode_json(p.program.types, p.program.types.record_type(p.ask), kDocument).value();
  std::string out;
  for (auto _ : state) {
    out.clear();
    encode_value(value, out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(encode_value_document);

void decode_value_document(benchmark::State& state) {
  SupportProgram p;
  Value value = decode_json(p.program.types, p.program.types.record_type(p.ask), kDocument).value();
  std::string bytes = encode_value(value);
  for (auto _ : state) {
    auto back = decode_value(bytes);
    benchmark::DoNotOptimize(back);
  }
}
BENCHMARK(decode_value_document);

void decode_artifact_support(benchmark::State& state) {
  std::string bytes = encode_artifact(SupportProgram().program);
  for (auto _ : state) {
    auto program = decode_artifact(bytes);
    benchmark::DoNotOptimize(program);
  }
  state.counters["bytes"] = static_cast<double>(bytes.size());
}
BENCHMARK(decode_artifact_support);

void verify_support(benchmark::State& state) {
  SupportProgram p;
  for (auto _ : state) {
    auto verified = verify(p.program);
    benchmark::DoNotOptimize(verified);
  }
}
BENCHMARK(verify_support);

// A run from its event to its answer: four steps, a snapshot after each.
void run_to_answer(benchmark::State& state) {
  SupportProgram p;
  auto verified = p.verified();
  Unit unit(verified);
  Value ask = decode_json(p.program.types, p.program.types.record_type(p.ask), kDocument).value();
  Value verdict = p.verdict_value(false, "");
  Value hold = Value::record(p.hold, std::vector<Value>{Value::string("hold-0815")});
  Value sources = Value::list(std::vector<Value>{
      Value::string("Addresses are changed in the account settings."),
      Value::string("Invoices that were sent cannot be changed, but sent again.")});
  Value reply = Value::string("Open the account settings, change it there, and ask for a copy.");
  Commands commands;
  std::string snapshot;
  size_t largest = 0;
  auto keep = [&](const Run& run) {
    commands.clear();
    snapshot.clear();
    run.snapshot_to(snapshot);
    largest = std::max(largest, snapshot.size());
  };
  for (auto _ : state) {
    Run run(unit, 0, {ask}, {"01890a5d-ac96-774b-bcce-b302099a8057", "ann", "acme"});
    run.begin(commands);
    keep(run);
    run.step_succeeded({1}, verdict, commands);
    keep(run);
    run.step_succeeded({2}, hold, commands);
    keep(run);
    run.step_succeeded({3}, sources, commands);
    keep(run);
    run.step_succeeded({4}, reply, commands);
    if (run.phase() != Phase::ended) state.SkipWithError("did not end");
    commands.clear();
  }
  state.counters["largest_snapshot"] = static_cast<double>(largest);
  state.counters["per_activation"] = benchmark::Counter(
      5, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(run_to_answer);

// One activation in the middle of a run: a result comes in, a few dozen instructions, the next
// step, a snapshot.
void activation(benchmark::State& state) {
  SupportProgram p;
  Unit unit(p.verified());
  Value ask = decode_json(p.program.types, p.program.types.record_type(p.ask), kDocument).value();
  Commands commands;
  Run run(unit, 0, {ask}, {"01890a5d-ac96-774b-bcce-b302099a8057", "ann", "acme"});
  run.begin(commands);
  run.step_succeeded({1}, p.verdict_value(false, ""), commands);
  run.step_succeeded({2}, Value::record(p.hold, std::vector<Value>{Value::string("h")}), commands);
  std::string before = run.snapshot();
  Value sources = Value::list(std::vector<Value>{
      Value::string("Addresses are changed in the account settings."),
      Value::string("Invoices that were sent cannot be changed, but sent again.")});
  std::string after;
  // Many runs at a time: stopping the clock costs more than one of them.
  constexpr size_t kRuns = 256;
  std::vector<Run> runs;
  while (state.KeepRunningBatch(kRuns)) {
    state.PauseTiming();
    runs.clear();
    for (size_t i = 0; i < kRuns; ++i) runs.push_back(std::move(*Run::restore(unit, before)));
    state.ResumeTiming();
    for (Run& again : runs) {
      commands.clear();
      after.clear();
      again.step_succeeded({3}, sources, commands);
      again.snapshot_to(after);
      benchmark::DoNotOptimize(after.data());
    }
  }
  state.counters["snapshot"] = static_cast<double>(after.size());
}
BENCHMARK(activation);

void snapshot_of_run(benchmark::State& state) {
  SupportProgram p;
  Unit unit(p.verified());
  Value ask = decode_json(p.program.types, p.program.types.record_type(p.ask), kDocument).value();
  Commands commands;
  Run run(unit, 0, {ask}, {"01890a5d-ac96-774b-bcce-b302099a8057", "ann", "acme"});
  run.begin(commands);
  std::string out;
  for (auto _ : state) {
    out.clear();
    run.snapshot_to(out);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(snapshot_of_run);

void restore_run(benchmark::State& state) {
  SupportProgram p;
  Unit unit(p.verified());
  Value ask = decode_json(p.program.types, p.program.types.record_type(p.ask), kDocument).value();
  Commands commands;
  Run run(unit, 0, {ask}, {"01890a5d-ac96-774b-bcce-b302099a8057", "ann", "acme"});
  run.begin(commands);
  std::string bytes = run.snapshot();
  for (auto _ : state) {
    auto again = Run::restore(unit, bytes);
    benchmark::DoNotOptimize(again);
  }
}
BENCHMARK(restore_run);

// A loop of six pure instructions: the interpreter's pace.
void interpret_loop(benchmark::State& state) {
  ProgramBuilder b;
  uint32_t loop = b.function("loop", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    Register i = f.allocate(), sum = f.allocate(), one = f.allocate(), more = f.allocate();
    f.emit_imm(Op::load_int, i, 0);
    f.emit_imm(Op::load_int, sum, 0);
    f.emit_imm(Op::load_int, one, 1);
    Label again = f.make_label(), end = f.make_label();
    f.bind(again);
    f.emit(Op::less, more, i, f.parameter(0));
    f.emit_jump(Op::jump_if_not, more, end);
    f.emit(Op::add_int, sum, sum, i);
    f.emit(Op::add_int, i, i, one);
    f.emit_jump(Op::jump, again);
    f.bind(end);
    f.emit(Op::ret, sum);
  });
  Unit unit(b.verified());
  Value n = Value::integer(1000);
  for (auto _ : state) {
    auto result = evaluate(unit, loop, std::span<const Value>(&n, 1));
    if (!result) state.SkipWithError("failed");
    benchmark::DoNotOptimize(result);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 5000);
}
BENCHMARK(interpret_loop);

void sha256_of_1k(benchmark::State& state) {
  std::string bytes(1024, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(sha256(bytes));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * 1024);
}
BENCHMARK(sha256_of_1k);

void hash64_of_1k(benchmark::State& state) {
  std::string bytes(1024, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(hash64(bytes));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * 1024);
}
BENCHMARK(hash64_of_1k);

}  // namespace
}  // namespace sluice::vm::testing
