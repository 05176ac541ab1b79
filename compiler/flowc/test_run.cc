#include "compiler/flowc/test_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "compiler/engine_events.hpp"
#include "compiler/flowc/conditions.hpp"
#include "compiler/flowc/test_observed.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"

namespace sluice::flowc {

using compiler::Span;
namespace ir = compiler::ir;

// One test on its way: what it is made of, what came of it, and what was wrong.
struct TestRunner::Scene {
  TestResult result;
  sim::RehearsalRequest request;
  std::vector<std::size_t> when_of;  // of each input: the `when` line that it comes from
  // By `when` line: the word by which it was refused, and why.
  struct Refusal {
    std::string kind;
    std::string message;
  };
  std::map<std::size_t, Refusal> refused;
  sim::Rehearsal rehearsal;
  std::vector<Seen> seen;

  void fail(Span span, std::string message) {
    TestFailure failure;
    failure.span = span;
    failure.message = std::move(message);
    result.failures.push_back(std::move(failure));
  }

  // With the timeline, in which `marked` stand out.
  void fail(Span span, std::string message, std::string expected, std::string actual,
            const std::vector<const Seen*>& marked) {
    const auto mark = [&](const core::HistoryEntry& entry, const core::Effect* effect) {
      return std::any_of(marked.begin(), marked.end(), [&](const Seen* each) {
        return each->entry == &entry && each->effect == effect;
      });
    };
    fail(span, std::move(message), std::move(expected), std::move(actual), mark);
  }

  void fail(Span span, std::string message, std::string expected, std::string actual,
            const sim::Mark& mark) {
    const bool happened = !rehearsal.runs.empty() || !rehearsal.refused.empty();
    result.failures.push_back({span, std::move(message), std::move(expected), std::move(actual),
                               happened ? sim::rehearsal_text(rehearsal, mark) : std::string()});
  }

  void fail(std::optional<Broken> broken) {
    if (!broken) return;
    if (rehearsal.runs.empty()) return fail(broken->span, std::move(broken->message));
    fail(broken->span, std::move(broken->message), "", std::move(broken->actual), broken->marked);
  }
};

namespace {

// What runs began with is told by the place of the test.
constexpr const char* kClient = "client";

std::string times(std::int64_t n) {
  return n == 0 ? "never" : n == 1 ? "once" : fmt::format("{} times", n);
}

std::string duration(core::TimeUs us) {
  const double seconds = static_cast<double>(us / 1000) / 1000.0;
  return us < 1'000'000 ? fmt::format("{}ms", us / 1000) : fmt::format("{:.6g}s", seconds);
}

std::optional<vm::TypeId> record_type(const vm::TypeTable& types, std::uint32_t record) {
  for (std::uint32_t i = 0; i < types.types.size(); ++i) {
    const vm::Type& type = types.types[i];
    if (type.kind == vm::Kind::record && type.argument == record) return vm::TypeId{i};
  }
  return std::nullopt;
}

const char* verb(ir::ExpectEvent::Kind kind) {
  switch (kind) {
    case ir::ExpectEvent::Kind::kReturn:
      return "return";
    case ir::ExpectEvent::Kind::kNotify:
      return "notify";
    case ir::ExpectEvent::Kind::kPublish:
      return "publish";
  }
  return "";
}

Seen::What seen_as(ir::ExpectEvent::Kind kind) {
  switch (kind) {
    case ir::ExpectEvent::Kind::kReturn:
      return Seen::What::kReturned;
    case ir::ExpectEvent::Kind::kNotify:
      return Seen::What::kNotified;
    case ir::ExpectEvent::Kind::kPublish:
      return Seen::What::kPublished;
  }
  return Seen::What::kReturned;
}

// A client that goes or comes: the engine says what its runs are told of it, but for a time that
// the test names.
void bring_presence(const ir::RecordDef& event, const vm::Value& value, sim::Input& input) {
  std::uint32_t since = 0;
  event.find("since", &since);
  input.kind = event.name == "Away" ? sim::Input::Kind::away : sim::Input::Kind::back;
  input.since = value.elements()[since].as_int();
}

}  // namespace

TestRunner::TestRunner(const compiler::CompileResult& compiled,
                       std::shared_ptr<const vm::VerifiedProgram> program)
    : compiled_(compiled), program_(std::move(program)), unit_(program_) {}

TestResult TestRunner::run(const ir::TestDef& test, bool crash_points) {
  Scene scene;
  scene.result.test = &test;
  scene.request.program = program_;
  if (!prepare(test, scene)) return std::move(scene.result);
  if (!scene.request.inputs.empty()) scene.rehearsal = sim::rehearse(scene.request);
  scene.result.records = scene.rehearsal.journal.size();
  scene.seen = observe(scene.rehearsal);
  judge(test, scene);
  if (crash_points && scene.result.passed()) crash(scene);
  return std::move(scene.result);
}

// ---- the scenario

bool TestRunner::prepare(const ir::TestDef& test, Scene& scene) {
  bool good = true;
  for (const ir::Given& given : test.givens) good = this->give(given, scene) && good;
  for (std::size_t i = 0; i < test.whens.size(); ++i) good = bring(test.whens[i], i, scene) && good;
  return good;
}

bool TestRunner::value_of(const ir::Expr* expr, Scene& scene, vm::Value* value) {
  auto found = vm::evaluate(unit_, compiled_.test_functions.at(expr), {});
  if (!found) {
    scene.fail(expr->span,
               fmt::format("this has no value: {}: {}", found.error().kind, found.error().message));
    return false;
  }
  *value = std::move(*found);
  return true;
}

bool TestRunner::give(const ir::Given& given, Scene& scene) {
  using Kind = sim::ScriptedAttempt::Kind;
  const vm::Program& program = program_->program();
  const auto task = vm::find_by_name(program.tasks, given.task->name);
  if (!task) return true;
  const vm::TypeId result = program.tasks[*task].result;
  auto& attempts = scene.request.script.tasks[given.task->name];
  for (std::size_t i = 0; i < given.answers.size(); ++i) {
    const ir::GivenAnswer& answer = given.answers[i];
    sim::ScriptedAttempt attempt;
    if (answer.takes_ms) attempt.takes_ms = static_cast<std::uint64_t>(*answer.takes_ms);
    if (answer.stream_ms) attempt.speaks_ms = static_cast<std::uint64_t>(*answer.stream_ms);
    if (answer.queue_ms) attempt.waits_ms = static_cast<std::uint64_t>(*answer.queue_ms);
    if (!answer.fails.empty()) {
      attempt.kind = answer.fails == "TimedOut" ? Kind::times_out
                     : answer.fails == "Lost"   ? Kind::dies
                                                : Kind::fails;
      attempt.failure = answer.fails;
      attempt.message = answer.message;
      attempt.times = answer.always ? sim::ScriptedAttempt::kAlways : 1;
    } else {
      vm::Value value = vm::smallest_value(program.types, result);
      if (answer.returns != nullptr) {
        if (!value_of(answer.returns, scene, &value)) return false;
        const auto problems = vm::check_constraints(unit_, result, value);
        if (!problems.empty()) {
          scene.fail(answer.returns->span, fmt::format("the engine refuses this result: {}",
                                                       vm::list_problems(problems)));
          return false;
        }
      }
      attempt.result = vm::encode_value(value);
      if (i + 1 < given.answers.size()) attempt.times = 1;
    }
    attempts.push_back(std::move(attempt));
  }
  return true;
}

// What becomes of an event at the edge, which checks it: an older version is upgraded.
TestRunner::Problems TestRunner::arrives(const ir::When& when, vm::Value& value) {
  const vm::Program& program = program_->program();
  const auto sent = record_type(program.types, when.sent->index);
  if (!sent) return {};
  if (when.sent == when.event) return vm::check_constraints(unit_, *sent, value);
  const auto newest = record_type(program.types, when.event->index);
  const auto event = vm::find_by_name(program.events, when.event->name);
  if (!newest || !event) return {};
  const std::string json = vm::to_json(program.types, *sent, value);
  auto upgraded = vm::decode_event(unit_, *event, *newest, json, when.sent->version);
  if (!upgraded) return std::move(upgraded.error());
  value = std::move(*upgraded);
  return {};
}

bool TestRunner::bring(const ir::When& when, std::size_t line, Scene& scene) {
  const vm::Program& program = program_->program();
  sim::Input input;
  input.after_ms = static_cast<std::uint64_t>(when.after_ms);
  input.client = when.client.value_or(kClient);
  Problems problems;
  if (when.event != nullptr) {
    vm::Value value;
    if (!value_of(when.value, scene, &value)) return false;
    problems = arrives(when, value);
    if (compiler::is_engines(*when.event)) {
      bring_presence(*when.event, value, input);
    } else if (when.topic != nullptr) {
      input.index = *vm::find_by_name(program.topics, when.topic->name);
    } else {
      input.kind = sim::Input::Kind::signal;
      input.index = *vm::find_by_name(program.events, when.event->name);
    }
    input.data = vm::encode_value(value);
  } else if (when.flow != nullptr) {
    input.kind = sim::Input::Kind::start;
    input.index = *vm::find_by_name(program.flows, when.flow->name);
    const auto& parameters = program.flows[input.index].parameters;
    std::vector<vm::Value> arguments(when.arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (!value_of(when.arguments[i], scene, &arguments[i])) return false;
      for (auto& problem : vm::check_constraints(unit_, parameters[i].type, arguments[i])) {
        problem.path.insert(0, "/" + parameters[i].name);
        problems.push_back(std::move(problem));
      }
    }
    input.data = vm::encode_value(vm::Value::list(std::move(arguments)));
  } else {
    input.kind = sim::Input::Kind::cancel;
    input.client = when.client.value_or("");
  }
  if (!problems.empty()) {
    const auto invalid = core::refusal_word(core::Refusal::invalid);
    scene.refused[line] = {std::string(invalid), vm::list_problems(problems)};
    return true;
  }
  scene.when_of.push_back(line);
  scene.request.inputs.push_back(std::move(input));
  return true;
}

// ---- what came of it

void TestRunner::judge(const ir::TestDef& test, Scene& scene) {
  for (const sim::Refused& each : scene.rehearsal.refused) {
    scene.refused[scene.when_of[each.input]] = {std::string(core::refusal_word(each.code)),
                                                each.message};
  }
  for (std::size_t i = 0; i < test.whens.size(); ++i) judge_when(test.whens[i], i, scene);
  if (!scene.rehearsal.stopped.empty()) {
    scene.fail(test.tree->name.span, scene.rehearsal.stopped, "every run ends",
               scene.rehearsal.stopped, sim::Mark());
  }
  const Conditions conditions(compiled_, unit_, scene.rehearsal, scene.seen);
  for (const auto& expectation : test.expectations) {
    if (const auto* event = std::get_if<ir::ExpectEvent>(&expectation)) {
      judge_event(*event, scene);
    } else if (const auto* step = std::get_if<ir::ExpectStep>(&expectation)) {
      judge_step(*step, scene);
    } else {
      scene.fail(conditions.at_end(std::get<ir::Condition>(expectation)));
    }
  }
  for (const ir::Condition& always : test.always) scene.fail(conditions.always(always));
  for (Broken& broken : conditions.invariants()) scene.fail(std::move(broken));
}

// Taken, or refused as the line behind it says.
void TestRunner::judge_when(const ir::When& when, std::size_t line, Scene& scene) {
  const auto found = scene.refused.find(line);
  const std::string kind = found == scene.refused.end() ? std::string() : found->second.kind;
  if (kind == when.refused) return;
  const auto told = [](const std::string& word) {
    return word.empty() ? std::string("taken") : "refused " + word;
  };
  std::string actual = told(kind);
  if (!kind.empty()) actual += ": " + found->second.message;
  if (when.refused.empty()) {
    return scene.fail(when.span, "the engine refuses this: " + found->second.message,
                      told(when.refused), std::move(actual), sim::Mark());
  }
  const auto mark = [&](const core::HistoryEntry& entry, const core::Effect* effect) {
    const auto& taken = scene.rehearsal.taken;
    return effect == nullptr && std::any_of(taken.begin(), taken.end(), [&](const auto& each) {
             return scene.when_of[each.first] == line && each.second == entry.seq;
           });
  };
  scene.fail(when.refused_span,
             kind.empty() ? "the engine took this" : "the engine refuses this for another reason",
             told(when.refused), std::move(actual), mark);
}

void TestRunner::judge_event(const ir::ExpectEvent& expect, Scene& scene) {
  using Kind = ir::ExpectEvent::Kind;
  const vm::TypeTable& types = program_->program().types;
  const auto type = record_type(types, expect.event->index);
  std::vector<std::pair<std::uint32_t, vm::Value>> wanted;
  for (const auto& [index, expr] : expect.fields) {
    vm::Value value;
    if (!value_of(expr, scene, &value)) return;
    wanted.emplace_back(index, std::move(value));
  }
  std::string expected = fmt::format("{} {}", verb(expect.kind), expect.event->name);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const vm::FieldType& field = types.records[expect.event->index].fields[wanted[i].first];
    expected += fmt::format("{}{}: {}", i == 0 ? " { " : ", ", field.name,
                            vm::to_json(types, field.type, wanted[i].second));
  }
  if (!wanted.empty()) expected += " }";
  if (expect.within_ms) expected += " within " + duration(*expect.within_ms * 1000);
  if (expect.times) expected += " " + times(*expect.times);

  std::vector<const Seen*> same_kind, met;
  for (const Seen& seen : scene.seen) {
    const bool returned = seen.what == Seen::What::kReturned;
    if (seen.what != seen_as(expect.kind)) continue;
    same_kind.push_back(&seen);
    if (seen.event != expect.event->name || !type) continue;
    const auto value = vm::decode_json(types, *type, seen.data_json);
    const bool equal = value && std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) {
                         return value->elements()[each.first] == each.second;
                       });
    const auto took = returned ? seen.since_run : seen.since_start;
    if (equal && (!expect.within_ms || took <= *expect.within_ms * 1000)) met.push_back(&seen);
  }
  const auto count = static_cast<std::int64_t>(met.size());
  if (expect.times ? count == *expect.times : count > 0) return;
  std::string actual;
  for (const Seen* seen : same_kind) {
    actual +=
        fmt::format("{}{} {} {} after {}", actual.empty() ? "" : "\n", verb(expect.kind),
                    seen->event, seen->data_json,
                    duration(expect.kind == Kind::kReturn ? seen->since_run : seen->since_start));
  }
  if (actual.empty()) actual = fmt::format("nothing to {}", verb(expect.kind));
  scene.fail(expect.span,
             expect.times
                 ? fmt::format("expected {}, it happened {}", times(*expect.times), times(count))
                 : fmt::format("no such {}", verb(expect.kind)),
             std::move(expected), std::move(actual), expect.times ? met : same_kind);
}

void TestRunner::judge_step(const ir::ExpectStep& expect, Scene& scene) {
  using Kind = ir::ExpectStep::Kind;
  const auto all = [&](const ir::StepName& step, Seen::What what) {
    std::vector<const Seen*> found;
    for (const Seen& seen : scene.seen) {
      if (seen.what == what && is_of(seen, step)) found.push_back(&seen);
    }
    return found;
  };
  const std::string& name = expect.step.text;
  const auto begun = all(expect.step, Seen::What::kBegun);
  const auto count = static_cast<std::int64_t>(begun.size());
  if (expect.kind == Kind::kBefore) {
    const auto other = all(expect.other, Seen::What::kBegun);
    if (!begun.empty() && !other.empty() && begun[0] < other[0]) return;
    const std::string missing = begun.empty() ? name : expect.other.text;
    std::vector<const Seen*> marked = begun;
    marked.insert(marked.end(), other.begin(), other.end());
    const bool both = !begun.empty() && !other.empty();
    scene.fail(expect.span, "the order is another one",
               fmt::format("`{}` before `{}`", name, expect.other.text),
               both ? fmt::format("`{}` began first", expect.other.text)
                    : fmt::format("`{}` never began", missing),
               marked);
    return;
  }
  if (expect.kind == Kind::kWithin) {
    const auto done = all(expect.step, Seen::What::kCompleted);
    const auto limit = expect.within_ms * 1000;
    if (!done.empty() && done[0]->since_start <= limit) return;
    scene.fail(expect.span, "the step was not done in time",
               fmt::format("`{}` done within {}", name, duration(limit)),
               done.empty()
                   ? fmt::format("`{}` was never done", name)
                   : fmt::format("`{}` done after {}", name, duration(done[0]->since_start)),
               done.empty() ? begun : done);
    return;
  }
  const std::int64_t wanted = expect.kind == Kind::kNever  ? 0
                              : expect.kind == Kind::kOnce ? 1
                                                           : expect.times;
  if (count == wanted) return;
  scene.fail(expect.span, fmt::format("`{}` began {}", name, times(count)),
             fmt::format("`{}` {}", name, times(wanted)),
             fmt::format("`{}` {}", name, times(count)), begun);
}

void TestRunner::crash(Scene& scene) {
  const std::string outcome = sim::outcome_text(scene.rehearsal);
  const Span title = scene.result.test->tree->name.span;
  for (std::size_t after = 1; after <= scene.rehearsal.journal.size(); ++after) {
    for (const bool left : {false, true}) {
      // A grant whose attempt never reached a worker is the one thing that a crash may turn into
      // `Lost`: nobody knows whether an attempt that must not be repeated has begun.
      if (!left && scene.rehearsal.journal[after - 1] == core::Kind::granted) continue;
      sim::RehearsalRequest again = scene.request;
      again.crash = {after, left, left};
      const sim::Rehearsal crashed = sim::rehearse(again);
      ++scene.result.crashes;
      const std::string other = sim::outcome_text(crashed);
      if (other == outcome) continue;
      scene.result.failures.push_back(
          {title,
           fmt::format("a crash after record {} of {}{} changes the outcome", after,
                       scene.rehearsal.journal.size(), left ? "" : ", before its effects left,"),
           outcome, other, sim::rehearsal_text(crashed)});
      return;
    }
  }
}

}  // namespace sluice::flowc
