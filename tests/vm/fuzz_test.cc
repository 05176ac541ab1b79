#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"
#include "tests/vm/random_program.hpp"
#include "vm/disasm.hpp"
#include "vm/hash.hpp"
#include "vm/wire.hpp"

// Random programs that the verifier accepts, driven with random results: never a crash, always an
// end within the bounds, and a run that is restored from its snapshot before every input goes the
// same way as one that never was.
namespace sluice::vm::testing {
namespace {

constexpr uint64_t kPrograms = 1000;
constexpr int kInputsMax = 60;

// One input, the same for both runs.
struct Input {
  int kind;
  StepId step;
  Value value;
  bool unsure;
  TimerId timer;
  bool signal = false;
};

Input random_input(Random& random, const Run& run) {
  std::vector<Run::OpenStep> open = run.open_steps();
  Input input{static_cast<int>(random.below(60)), {0}, Value(), random.one_in(2), {0}};
  const std::vector<TimerId> timers = run.open_timers();
  if (!timers.empty() && random.one_in(open.empty() ? 2 : 4)) {
    input.timer = timers[random.below(timers.size())];
  }
  if (!open.empty()) input.step = open[random.below(open.size())].id;
  input.value = random.one_in(40) ? Value::string("no int")
                                  : Value::integer(static_cast<int64_t>(random.below(100)));
  input.signal = random.one_in(run.open_receives().empty() ? 12 : 2);
  return input;
}

void give(Run& run, const Input& input, Commands& commands) {
  const std::vector<StepId> gone = run.called_off();
  if (!gone.empty() && input.unsure) {
    run.child_gone(gone.front(), commands);
    return;
  }
  if (input.kind == 0) {
    run.cancel(CancelKind::cancelled, "fuzz", commands);
  } else if (input.kind == 1) {
    run.cancel(CancelKind::superseded, "fuzz", commands);
  } else if (input.kind == 2) {
    run.on_failure_expired(commands);
  } else if (input.signal) {
    Value fields[] = {input.value.is(Kind::integer) ? input.value : Value::integer(7)};
    run.signal({0, std::nullopt, Value::record(1, fields)}, commands);
  } else if (input.timer.value != 0) {
    run.timer_fired(input.timer, commands);
  } else if (input.kind < 10) {
    run.step_failed(input.step, {"Lost", "fuzz", "", 1}, input.unsure, commands);
  } else if (!run.step_succeeded(input.step, input.value, commands)) {
    // A step that runs a flow is told otherwise.
    const Value fields[] = {Value::integer(7)};
    run.child_ended(input.step, 0, Value::record(1, fields), commands);
  }
}

// Takes every message.
class OpenHost : public Host {
 public:
  bool takes_messages() override { return true; }
  bool takes_notify(const Notify&) override { return true; }
  std::string new_run(const StartRun& start) override {
    return "run of " + start.client.value_or("nobody");
  }
};

struct Totals {
  uint64_t refused = 0, ended = 0, inputs = 0, compensated = 0, restored = 0, timers = 0,
           received = 0;
};

void check_open_steps(const Run& run) {
  bool live = run.phase() != Phase::ended && run.phase() != Phase::created;
  // Every live run waits for something; an ended one for nothing.
  ASSERT_EQ(live, !run.open_steps().empty() || !run.open_timers().empty() ||
                      !run.open_receives().empty() || !run.called_off().empty());
}

void drive(Random& random, const std::shared_ptr<const VerifiedProgram>& verified, Totals& totals) {
  Unit unit(verified), other_unit(verified);
  RunInfo info{"run", std::nullopt, "t"};
  Run steady(unit, 0, {Value::integer(3)}, info);
  Run restored(other_unit, 0, {Value::integer(3)}, info);
  OpenHost host;
  steady.set_host(&host);
  restored.set_host(&host);
  Commands a, b;
  steady.begin(a);
  restored.begin(b);
  const Program& program = verified->program();
  for (int i = 0; i < kInputsMax; ++i) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t c = 0; c < a.size(); ++c) {
      ASSERT_EQ(describe_command(program, a[c]), describe_command(program, b[c]));
      if (auto start = std::get_if<StartStep>(&a[c])) totals.compensated += start->compensating;
    }
    std::string bytes = steady.snapshot();
    ASSERT_EQ(bytes, restored.snapshot());
    ASSERT_EQ(steady.hash(), restored.hash());
    check_open_steps(steady);
    if (steady.phase() == Phase::ended) {
      ++totals.ended;
      ASSERT_TRUE(std::holds_alternative<Finish>(a.back()));
      return;
    }
    auto again = Run::restore(other_unit, bytes);
    ASSERT_TRUE(again) << again.error().message;
    restored = std::move(*again);
    restored.set_host(&host);
    ++totals.restored;
    Input input = random_input(random, steady);
    totals.received += input.signal && !steady.open_receives().empty() ? 1 : 0;
    a.clear();
    b.clear();
    give(steady, input, a);
    give(restored, input, b);
    ++totals.inputs;
    if (input.timer.value != 0) ++totals.timers;
  }
}

TEST(Fuzz, random_programs_run_within_their_bounds) {
  Totals totals;
  for (uint64_t seed = 1; seed <= kPrograms; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    auto verified = verify(random_program(random));
    if (!verified) {
      ++totals.refused;
      continue;
    }
    drive(random, *verified, totals);
    if (HasFatalFailure()) {
      Random same(seed);
      std::printf("%s\n", disassemble(random_program(same)).c_str());
      return;
    }
  }
  std::printf("%lu refused, %lu ended, %lu inputs, %lu compensating steps, %lu restores\n",
              totals.refused, totals.ended, totals.inputs, totals.compensated, totals.restored);
  // A fuzzer that generates nothing of interest would pass all too easily.
  EXPECT_LT(totals.refused, kPrograms / 10);
  EXPECT_GT(totals.ended, kPrograms / 2);
  EXPECT_GT(totals.inputs, 2 * kPrograms);
  EXPECT_GT(totals.compensated, kPrograms / 4);
  EXPECT_GT(totals.timers, kPrograms / 4);
  EXPECT_GT(totals.received, kPrograms / 20);
}

// Bytes changed below a right checksum: refused, or a run that can be driven on without harm.
TEST(Fuzz, mutated_snapshots_are_refused_or_run) {
  uint64_t accepted = 0;
  for (uint64_t seed = 1; seed <= kPrograms; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    auto verified = verify(random_program(random));
    if (!verified) continue;
    Unit unit(*verified);
    vm::Run run(unit, 0, {Value::integer(3)}, {"run", std::nullopt, "t"});
    Commands commands;
    run.begin(commands);
    for (uint64_t n = random.below(3); n > 0; --n) give(run, random_input(random, run), commands);
    std::string bytes = run.snapshot();
    std::string body = bytes.substr(0, 2) + mutated(random, bytes.substr(2, bytes.size() - 10));
    wire::put_fixed64(body, hash64(body));
    auto hostile = vm::Run::restore(unit, body);
    if (!hostile) continue;
    ++accepted;
    for (int i = 0; i < 10; ++i) give(*hostile, random_input(random, *hostile), commands);
    commands.clear();
  }
  EXPECT_GT(accepted, kPrograms / 100);
}

// Wild operands: most are refused, what is accepted must run.
TEST(Fuzz, programs_with_spoiled_instructions_are_refused_or_run) {
  Totals totals;
  uint64_t accepted = 0;
  for (uint64_t seed = 1; seed <= kPrograms; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Program program = random_program(random);
    Function& function = program.functions[random.below(program.functions.size())];
    Instruction& i = function.code[random.below(function.code.size())];
    switch (random.below(5)) {
      case 0:
        i.op = kOps[random.below(kOpCount)].op;
        break;
      case 1:
        i.a = static_cast<uint16_t>(random.below(24));
        break;
      case 2:
        i.b = static_cast<uint16_t>(random.below(24));
        break;
      case 3:
        i.c = static_cast<uint16_t>(random.below(24));
        break;
      default:
        i.x = static_cast<uint8_t>(random.below(24));
        break;
    }
    auto verified = verify(std::move(program));
    if (!verified) continue;
    ++accepted;
    drive(random, *verified, totals);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(accepted, kPrograms / 4);
  EXPECT_LT(accepted, kPrograms);
}

}  // namespace
}  // namespace sluice::vm::testing
