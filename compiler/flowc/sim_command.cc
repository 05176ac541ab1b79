#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "compiler/compile.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/flowc/conditions.hpp"
#include "compiler/flowc/inputs.hpp"
#include "compiler/flowc/test_report.hpp"
#include "engine/schedule/instants.hpp"
#include "engine/sim/rehearsal.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"
#include "vm/unit.hpp"

namespace sluice::flowc {
namespace {

// A script is written by hand; more than this is a mistake.
constexpr std::size_t kScriptBytesMax = 16u * 1'048'576;

struct SimOptions {
  std::vector<std::string> paths;
  std::string event;
  std::string topic;
  std::string script;
  std::string client;
  std::uint64_t seed = 0;
  bool json = false;
};

// The topic asked for, or the only one that starts a flow. Fails with a sentence.
tl::expected<std::uint32_t, std::string> find_topic(const vm::Program& program,
                                                    const std::string& name) {
  std::vector<std::string> triggers;
  std::uint32_t only = 0;
  for (std::uint32_t i = 0; i < program.topics.size(); ++i) {
    const bool starts = std::any_of(program.flows.begin(), program.flows.end(),
                                    [&](const vm::FlowInfo& flow) { return flow.trigger == i; });
    if (!starts) continue;
    if (program.topics[i].name == name) return i;
    triggers.push_back(program.topics[i].name);
    only = i;
  }
  if (!name.empty() && vm::find_by_name(program.topics, name)) {
    return tl::unexpected(fmt::format("no flow runs on topic `{}`", name));
  }
  if (triggers.empty())
    return tl::unexpected(std::string("no flow of the program runs on a topic"));
  const std::string list = fmt::format("`{}`", fmt::join(triggers, "`, `"));
  if (!name.empty()) {
    return tl::unexpected(fmt::format("the program has no topic `{}`: there is {}", name, list));
  }
  if (triggers.size() > 1) {
    return tl::unexpected(fmt::format("name one of several topics with --topic: {}", list));
  }
  return only;
}

std::optional<vm::TypeId> record_type(const vm::TypeTable& types, std::uint32_t record) {
  for (std::uint32_t i = 0; i < types.types.size(); ++i) {
    const vm::Type& type = types.types[i];
    if (type.kind == vm::Kind::record && type.argument == record) return vm::TypeId{i};
  }
  return std::nullopt;
}

int report_problems(const std::string& event, const std::vector<vm::JsonProblem>& problems) {
  for (const vm::JsonProblem& problem : problems) {
    fail(kFindings, fmt::format("event {}{}{}: {}", event, problem.path.empty() ? "" : " at ",
                                problem.path, problem.message));
  }
  return kFindings;
}

// Without a text the smallest value, which a constraint may well refuse: then the author has to say
// more.
tl::expected<vm::Value, std::vector<vm::JsonProblem>> event_value(vm::Unit& unit, vm::TypeId type,
                                                                  const std::string& text) {
  if (!text.empty()) return vm::decode_checked(unit, type, text);
  vm::Value value = vm::smallest_value(unit.types(), type);
  auto problems = vm::check_constraints(unit, type, value);
  if (problems.empty()) return value;
  const std::string json = vm::to_json(unit.types(), type, value);
  problems.back().message +=
      fmt::format("; say it with --event, beginning with --event '{}'", json);
  return tl::unexpected(std::move(problems));
}

// Fills in the script of the file, if one is named; otherwise nothing is scripted.
int load_script(const SimOptions& options, sim::RehearsalRequest& request) {
  std::string text = "{}";
  if (!options.script.empty()) {
    const auto file = read_file(options.script, kScriptBytesMax);
    if (!file) return fail(kUsage, file.error());
    if (file->size > kScriptBytesMax) {
      return fail(kUsage, fmt::format("`{}` is too large for a script", options.script));
    }
    text = file->text;
  }
  auto script = sim::read_script(request.program, text);
  if (!script) return fail(kUsage, fmt::format("`{}`: {}", options.script, script.error()));
  request.script = std::move(*script);
  if (!options.client.empty()) request.script.client = options.client;
  return kDone;
}

// What happened, and which invariants of the program it broke.
int report(const SimOptions& options, const sim::Rehearsal& rehearsal,
           const compiler::CompileResult& compiled, vm::Unit& unit,
           const compiler::SourceSet& sources) {
  const std::vector<Seen> seen = observe(rehearsal);
  const auto broken = Conditions(compiled, unit, rehearsal, seen).invariants();
  if (options.json) {
    std::cout << fmt::format("{{\"runs\":{},\"broken\":{}}}\n", sim::runs_json(rehearsal),
                             broken_json(broken, sources));
  } else {
    const auto mark = [&](const core::HistoryEntry& entry, const core::Effect* effect) {
      return std::any_of(broken.begin(), broken.end(), [&](const Broken& each) {
        return std::any_of(each.marked.begin(), each.marked.end(), [&](const Seen* counted) {
          return counted->entry == &entry && counted->effect == effect;
        });
      });
    };
    std::cout << sim::rehearsal_text(rehearsal, mark);
    std::cerr << broken_text(broken, sources, colour_on_error());
  }
  const bool completed =
      std::all_of(rehearsal.runs.begin(), rehearsal.runs.end(),
                  [](const auto& run) { return run.row.state == core::RunState::completed; });
  return completed && broken.empty() ? kDone : kFindings;
}

int rehearse(const SimOptions& options, const compiler::CompileResult& compiled,
             std::shared_ptr<const vm::VerifiedProgram> verified,
             const compiler::SourceSet& sources) {
  sim::RehearsalRequest request;
  request.program = std::move(verified);
  const vm::Program& program = request.program->program();
  const auto topic = find_topic(program, options.topic);
  if (!topic) return fail(kUsage, topic.error());
  const vm::EventInfo& event = program.events[program.topics[*topic].event];
  const auto type = record_type(program.types, event.record);
  if (!type) return fail(kFindings, "the program does not name the type of its event");
  vm::Unit unit(request.program);
  const auto data = event_value(unit, *type, options.event);
  if (!data) return report_problems(event.name, data.error());
  request.seed = options.seed;
  if (const int code = load_script(options, request); code != kDone) return code;
  sim::Input input;
  input.index = *topic;
  input.client = request.script.client;
  input.data = vm::encode_value(*data);
  request.inputs.push_back(std::move(input));
  if (request.script.cancel_after_ms) {
    request.inputs.push_back(
        {sim::Input::Kind::cancel, *request.script.cancel_after_ms, 0, "", ""});
  }
  for (const sim::Script::Signal& signal : request.script.signals) {
    request.inputs.push_back({sim::Input::Kind::signal, signal.after_ms, signal.event,
                              request.script.client, signal.data});
  }
  for (const sim::Script::Absence& absence : request.script.absences) {
    const std::string& client = request.script.client;
    request.inputs.push_back({sim::Input::Kind::away, absence.after_ms, 0, client, ""});
    if (!absence.back_after_ms) continue;
    request.inputs.push_back({sim::Input::Kind::back, *absence.back_after_ms, 0, client, ""});
  }
  const sim::Rehearsal rehearsal = sim::rehearse(request);
  if (!rehearsal.refused.empty()) return fail(kFindings, rehearsal.refused.front().message);
  if (!rehearsal.stopped.empty()) return fail(kFindings, rehearsal.stopped);
  return report(options, rehearsal, compiled, unit, sources);
}

int simulate(const SimOptions& options) {
  compiler::Diagnostics diagnostics;
  auto sources = read_sources(options.paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  const auto result =
      compiler::compile(*sources, diagnostics, {.tests = true, .zones = schedule::zone_names});
  print_diagnostics(diagnostics, *sources, Format::kText);
  if (diagnostics.has_errors() || !result.artifact) return kFindings;
  auto program = vm::decode_artifact(*result.artifact);
  if (!program) return fail(kFindings, program.error().message);
  auto verified = vm::verify(std::move(*program));
  if (!verified) return fail(kFindings, verified.error().message);
  return rehearse(options, result, std::move(*verified), *sources);
}

}  // namespace

void add_sim_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SimOptions>();
  CLI::App* command = app.add_subcommand(
      "sim", "Runs one event through the engine in virtual time and shows what happens");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  command
      ->add_option("--event", options->event,
                   "The event's data; without it the smallest value of its type")
      ->type_name("JSON");
  command->add_option("--topic", options->topic, "Where it arrives; needed if there are several")
      ->type_name("NAME");
  command->add_option("--client", options->client, "Who sends it")->type_name("NAME");
  command
      ->add_option("--script", options->script,
                   "What the workers do; without it each task answers its type's smallest value")
      ->type_name("FILE");
  command->add_option("--seed", options->seed, "Draws the jitter of retries (default 0)")
      ->type_name("N");
  command->add_flag("--json", options->json, "The history as JSON");
  command->footer(
      "\nA script says per task what its attempts do; an entry counts once or `times`, the last "
      "one\n"
      "for ever if it does not say:\n"
      "  {\"client\": \"ada\", \"cancel_after\": \"5s\",\n"
      "   \"signals\": [{\"after\": \"2s\", \"event\": \"More\", \"data\": {\"text\": \"…\"}}],\n"
      "   \"away\": [{\"after\": \"3s\", \"back\": \"20s\"}],\n"
      "   \"tasks\": {\n"
      "     \"search\":   {\"returns\": [\"a\"], \"takes\": \"50ms\"},\n"
      "     \"complete\": [{\"fails\": \"Unavailable\", \"message\": \"down\"}, {\"hangs\": "
      "true},\n"
      "                  {\"dies\": true}, {\"returns\": \"an answer\"}],\n"
      "     \"store\":    {\"fails\": \"Busy\", \"times\": 2}}}\n"
      "\nThe program's invariants are held against every run. Exit code 1 means that a run did "
      "not\n"
      "complete, or that an invariant was broken.\n"
      "\nExamples:\n"
      "  flowc sim examples/support --event '{\"text\": \"hello\"}'\n"
      "  flowc sim examples/support --event '{\"text\": \"hello\"}' --script down.json");
  command->callback([options, &exit_code] { exit_code = simulate(*options); });
}

}  // namespace sluice::flowc
