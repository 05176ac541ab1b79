#include "tests/fuzz/drive.hpp"

#include <algorithm>
#include <variant>

#include "tests/fuzz/targets.hpp"
#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"

namespace sluice::fuzz {
namespace {

using vm::testing::Random;

// Who sends messages on: whether it takes some is an input like the others.
class FuzzHost : public vm::Host {
 public:
  bool takes_messages() override { return open; }
  bool takes_notify(const vm::Notify& notify) override {
    return open || notify.to == vm::NotifyTo::run_client;
  }
  std::string new_run(const vm::StartRun& start) override {
    return start.client.value_or("nobody") + "-" + std::to_string(++runs_);
  }
  bool open = true;

 private:
  std::uint32_t runs_ = 0;
};

struct Succeed {
  vm::StepId step;
  vm::Value value;
};
struct Fail {
  vm::StepId step;
  bool unsure = false;
};
struct EndChild {
  vm::StepId step;
  std::optional<std::uint32_t> event;
  vm::Value value;
};
struct CallOff {
  vm::StepId step;
};
struct ChildGone {
  vm::StepId step;
};
struct Fire {
  vm::TimerId timer;
};
struct Cancel {
  vm::CancelKind kind = vm::CancelKind::cancelled;
};
struct Expire {};
struct OpenMail {};
using Input = std::variant<Succeed, Fail, EndChild, CallOff, ChildGone, Fire, Cancel, Expire,
                           OpenMail, vm::Signal>;

vm::Value record_of(Random& random, const vm::TypeTable& types, std::uint32_t record) {
  const vm::Type wanted{vm::Kind::record, record};
  const auto at = std::find(types.types.begin(), types.types.end(), wanted);
  if (random.one_in(16) || at == types.types.end()) return vm::testing::random_value(random, 2);
  const vm::TypeId type{static_cast<std::uint32_t>(at - types.types.begin())};
  return random.one_in(2) ? vm::smallest_value(types, type)
                          : vm::testing::random_value_of(random, types, type, 2);
}

vm::Value result_of(Random& random, const vm::Program& program, const vm::StepSite& site) {
  const vm::TypeId type = program.tasks[site.task].result;
  if (random.one_in(16)) return vm::testing::random_value(random, 2);  // of another type, mostly
  if (random.one_in(2)) return vm::smallest_value(program.types, type);
  return vm::testing::random_value_of(random, program.types, type, 2);
}

Input end_of(Random& random, const vm::Program& program, const vm::Run::OpenStep& open) {
  const vm::StepSite& site = program.steps[open.site_index];
  if (random.one_in(4)) return Fail{open.id, random.one_in(2)};
  if (!site.flow) return Succeed{open.id, result_of(random, program, site)};
  if (random.one_in(4)) return CallOff{open.id};
  const std::vector<std::uint32_t>& outcomes = program.flows[*site.flow].outcomes;
  if (outcomes.empty() || random.one_in(16)) return EndChild{open.id, std::nullopt, {}};
  const std::uint32_t event = outcomes[random.below(outcomes.size())];
  return EndChild{open.id, event, record_of(random, program.types, program.events[event].record)};
}

Input signal_for(Random& random, const vm::Program& program) {
  const vm::ReceiveSite& site = program.receives[random.below(program.receives.size())];
  return vm::Signal{site.event, site.topic,
                    record_of(random, program.types, program.events[site.event].record),
                    random.one_in(4) ? "waiting" : ""};
}

Input next_input(Random& random, const vm::Program& program, const vm::Run& run) {
  constexpr vm::CancelKind kKinds[] = {vm::CancelKind::cancelled, vm::CancelKind::superseded,
                                       vm::CancelKind::timed_out, vm::CancelKind::busy};
  const auto steps = run.open_steps();
  const auto timers = run.open_timers();
  const std::uint64_t choice = random.below(32);
  if (choice == 0) return Cancel{kKinds[random.below(4)]};
  if (choice == 1) return Expire{};
  const auto gone = run.called_off();
  if (!gone.empty() && (choice < 8 || (steps.empty() && timers.empty()))) {
    return ChildGone{gone[random.below(gone.size())]};
  }
  if (choice < 4 || (run.waits_for_mail() && choice < 12)) return OpenMail{};
  const bool receives =
      !program.receives.empty() && (choice < 6 || (!run.open_receives().empty() && choice < 16));
  if (receives) return signal_for(random, program);
  if (!timers.empty() && (steps.empty() || choice < 20)) {
    return Fire{timers[random.below(timers.size())]};
  }
  if (steps.empty()) return OpenMail{};
  return end_of(random, program, steps[random.below(steps.size())]);
}

void give(vm::Run& run, const Input& input, vm::Commands& commands) {
  if (const auto* succeed = std::get_if<Succeed>(&input)) {
    run.step_succeeded(succeed->step, succeed->value, commands);
  } else if (const auto* fail = std::get_if<Fail>(&input)) {
    run.step_failed(fail->step, {"Lost", "fuzz", "", 1}, fail->unsure, commands);
  } else if (const auto* child = std::get_if<EndChild>(&input)) {
    run.child_ended(child->step, child->event, child->value, commands);
  } else if (const auto* called = std::get_if<CallOff>(&input)) {
    run.step_called_off(called->step, {"TimedOut", "fuzz", "", 1}, commands);
  } else if (const auto* gone = std::get_if<ChildGone>(&input)) {
    run.child_gone(gone->step, commands);
  } else if (const auto* fire = std::get_if<Fire>(&input)) {
    run.timer_fired(fire->timer, commands);
  } else if (const auto* cancel = std::get_if<Cancel>(&input)) {
    run.cancel(cancel->kind, "fuzz", commands);
  } else if (const auto* signal = std::get_if<vm::Signal>(&input)) {
    run.signal(*signal, commands);
  } else if (std::holds_alternative<Expire>(input)) {
    run.on_failure_expired(commands);
  } else {
    run.mail_open(commands);
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
  FuzzHost host, other;
  run.set_host(&host);
  vm::Commands ours, theirs;
  for (int i = 0; i < most && run.phase() != vm::Phase::ended; ++i) {
    const std::string bytes = run.snapshot();
    FUZZ_CHECK(bytes == restored.snapshot());
    FUZZ_CHECK(run.hash() == restored.hash());
    auto again = vm::Run::restore(unit, bytes);
    if (!again) std::fprintf(stderr, "%s\n", again.error().message.c_str());
    FUZZ_CHECK(again.has_value());
    restored = std::move(*again);
    restored.set_host(&other);
    const Input input = next_input(random, unit.program(), run);
    host.open = other.open = std::holds_alternative<OpenMail>(input) || !random.one_in(4);
    for (vm::Run* each : {&run, &restored}) each->set_now(i * std::int64_t{1'000'000});
    ours.clear();
    theirs.clear();
    give(run, input, ours);
    give(restored, input, theirs);
    same(unit.program(), ours, theirs);
  }
  run.set_host(nullptr);
  restored.set_host(nullptr);
}

void drive_flow(Random& random, const std::shared_ptr<const vm::VerifiedProgram>& program, int most,
                std::string* snapshot) {
  if (program->program().flows.empty()) return;
  vm::Unit unit(program), other(program);
  std::vector<vm::Value> arguments;
  for (const vm::Parameter& parameter : program->program().flows[0].parameters) {
    arguments.push_back(vm::smallest_value(program->program().types, parameter.type));
  }
  const vm::RunInfo info{"run", random.one_in(2) ? std::optional<std::string>("ann") : std::nullopt,
                         "acme"};
  vm::Run run(unit, 0, arguments, info), restored(other, 0, arguments, info);
  FuzzHost hosts[2];
  hosts[0].open = hosts[1].open = !random.one_in(4);
  run.set_host(&hosts[0]);
  restored.set_host(&hosts[1]);
  vm::Commands ours, theirs;
  run.begin(ours);
  restored.begin(theirs);
  same(program->program(), ours, theirs);
  drive(random, other, run, restored, most);
  if (snapshot != nullptr) *snapshot = run.snapshot();
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
