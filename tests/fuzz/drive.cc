#include "tests/fuzz/drive.hpp"

#include "tests/fuzz/targets.hpp"
#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"

namespace sluice::fuzz {
namespace {

using vm::testing::Random;

enum class Kind : std::uint8_t { succeed, fail, fire, cancel, supersede, expire };

struct Input {
  Kind kind = Kind::succeed;
  vm::StepId step;
  vm::TimerId timer;
  vm::Value value;
  bool unsure = false;
};

vm::Value result_of(Random& random, const vm::Program& program, std::uint32_t site) {
  const vm::TypeId type = program.tasks[program.steps[site].task].result;
  if (random.one_in(16)) return vm::testing::random_value(random, 2);  // of another type, mostly
  if (random.one_in(2)) return vm::smallest_value(program.types, type);
  return vm::testing::random_value_of(random, program.types, type, 2);
}

Input next_input(Random& random, const vm::Program& program, const vm::Run& run) {
  Input input;
  input.unsure = random.one_in(2);
  const auto steps = run.open_steps();
  const auto timers = run.open_timers();
  const std::uint64_t choice = random.below(32);
  if (choice == 0) {
    input.kind = Kind::cancel;
  } else if (choice == 1) {
    input.kind = Kind::supersede;
  } else if (choice == 2) {
    input.kind = Kind::expire;
  } else if (!timers.empty() && (steps.empty() || choice < 12)) {
    input.kind = Kind::fire;
    input.timer = timers[random.below(timers.size())];
  } else if (!steps.empty()) {
    const vm::Run::OpenStep& open = steps[random.below(steps.size())];
    input.kind = choice < 18 ? Kind::fail : Kind::succeed;
    input.step = open.id;
    if (input.kind == Kind::succeed) input.value = result_of(random, program, open.site_index);
  }
  return input;
}

void give(vm::Run& run, const Input& input, vm::Commands& commands) {
  switch (input.kind) {
    case Kind::succeed:
      run.step_succeeded(input.step, input.value, commands);
      return;
    case Kind::fail:
      run.step_failed(input.step, {"Lost", "fuzz", "", 1}, input.unsure, commands);
      return;
    case Kind::fire:
      run.timer_fired(input.timer, commands);
      return;
    case Kind::cancel:
      run.cancel(vm::CancelKind::cancelled, "fuzz", commands);
      return;
    case Kind::supersede:
      run.cancel(vm::CancelKind::superseded, "fuzz", commands);
      return;
    case Kind::expire:
      run.on_failure_expired(commands);
      return;
  }
}

void same(const vm::Program& program, const vm::Commands& a, const vm::Commands& b) {
  FUZZ_CHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    FUZZ_CHECK(vm::testing::describe_command(program, a[i]) ==
               vm::testing::describe_command(program, b[i]));
  }
}

}  // namespace

void drive(Random& random, vm::Unit& unit, vm::Run& run, vm::Run& restored, int most) {
  vm::Commands ours, theirs;
  for (int i = 0; i < most && run.phase() != vm::Phase::ended; ++i) {
    const std::string bytes = run.snapshot();
    FUZZ_CHECK(bytes == restored.snapshot());
    FUZZ_CHECK(run.hash() == restored.hash());
    auto again = vm::Run::restore(unit, bytes);
    FUZZ_CHECK(again.has_value());
    restored = std::move(*again);
    const Input input = next_input(random, unit.program(), run);
    ours.clear();
    theirs.clear();
    give(run, input, ours);
    give(restored, input, theirs);
    same(unit.program(), ours, theirs);
  }
}

void drive_flow(Random& random, const std::shared_ptr<const vm::VerifiedProgram>& program,
                int most) {
  if (program->program().flows.empty()) return;
  vm::Unit unit(program), other(program);
  std::vector<vm::Value> arguments;
  for (const vm::Parameter& parameter : program->program().flows[0].parameters) {
    arguments.push_back(vm::smallest_value(program->program().types, parameter.type));
  }
  const vm::RunInfo info{"run", random.one_in(2) ? std::optional<std::string>("ann") : std::nullopt,
                         "acme"};
  vm::Run run(unit, 0, arguments, info), restored(other, 0, arguments, info);
  vm::Commands ours, theirs;
  run.begin(ours);
  restored.begin(theirs);
  same(program->program(), ours, theirs);
  drive(random, other, run, restored, most);
}

std::shared_ptr<const vm::VerifiedProgram> program_of(std::uint8_t number) {
  static const auto programs = [] {
    std::vector<std::shared_ptr<const vm::VerifiedProgram>> made;
    made.push_back(vm::testing::SupportProgram().verified());
    for (std::uint64_t seed = 1; made.size() < kPrograms; ++seed) {
      Random random(seed);
      if (auto verified = vm::verify(vm::testing::random_program(random))) {
        made.push_back(std::move(*verified));
      }
    }
    return made;
  }();
  return programs[number % programs.size()];
}

void evaluate_all(const std::shared_ptr<const vm::VerifiedProgram>& program) {
  constexpr std::int64_t kFuel = 20'000;
  vm::Unit unit(program);
  const std::vector<vm::Function>& functions = program->program().functions;
  for (std::uint32_t f = 0; f < functions.size() && f < 64; ++f) {
    if (functions[f].kind != vm::FunctionKind::pure || functions[f].parameters != 0) continue;
    auto value = vm::evaluate(unit, f, {}, kFuel);
    if (value) FUZZ_CHECK(value->within_limits());
  }
}

}  // namespace sluice::fuzz
