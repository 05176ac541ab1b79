#include "tests/vm/program_fixture.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "vm/json.hpp"

namespace sluice::vm::testing {

uint32_t ProgramBuilder::record(const std::string& name,
                                std::vector<std::pair<std::string, TypeId>> fields) {
  RecordType type{name, {}};
  for (auto& [field, id] : fields) type.fields.push_back({field, id, {}, {}, {}, 0});
  program.types.records.push_back(type);
  auto index = static_cast<uint32_t>(program.types.records.size() - 1);
  program.types.record_type(index);
  return index;
}

uint32_t ProgramBuilder::event(const std::string& name, uint32_t record) {
  program.events.push_back({name, 1, record});
  return static_cast<uint32_t>(program.events.size() - 1);
}

uint32_t ProgramBuilder::task(const std::string& name, std::vector<TypeId> parameters,
                              TypeId result) {
  if (program.pools.empty()) program.pools.push_back({"cpu", 0});
  TaskInfo task{name, {}, result, 0, {}};
  for (size_t i = 0; i < parameters.size(); ++i) {
    task.parameters.push_back({"p" + std::to_string(i), parameters[i]});
  }
  program.tasks.push_back(task);
  return static_cast<uint32_t>(program.tasks.size() - 1);
}

uint32_t ProgramBuilder::site(const std::string& name, uint32_t task) {
  StepSite site;
  site.name = name;
  site.task = task;
  site.timeout_ms = 2000;
  program.steps.push_back(site);
  return static_cast<uint32_t>(program.steps.size() - 1);
}

uint32_t ProgramBuilder::function(const std::string& name, FunctionKind kind, uint16_t parameters,
                                  const std::function<void(FunctionBuilder&)>& body,
                                  const std::string& segment) {
  FunctionBuilder builder(name, kind, parameters, segment);
  body(builder);
  auto made = builder.finish();
  if (!made) throw std::runtime_error(name + ": " + made.error());
  program.functions.push_back(std::move(*made));
  return static_cast<uint32_t>(program.functions.size() - 1);
}

uint32_t ProgramBuilder::flow(const std::string& name, std::vector<TypeId> parameters,
                              uint32_t function, std::optional<uint32_t> on_failure,
                              std::vector<uint32_t> outcomes) {
  FlowInfo flow;
  flow.name = name;
  for (size_t i = 0; i < parameters.size(); ++i) {
    flow.parameters.push_back({"a" + std::to_string(i), parameters[i]});
  }
  flow.function = function;
  flow.on_failure = on_failure;
  flow.outcomes = std::move(outcomes);
  program.flows.push_back(flow);
  return static_cast<uint32_t>(program.flows.size() - 1);
}

Register ProgramBuilder::constant(FunctionBuilder& f, const Value& value) {
  Register r = f.allocate();
  f.emit_wide(Op::load_const, r, constants.add(value));
  return r;
}

std::shared_ptr<const VerifiedProgram> ProgramBuilder::verified() const {
  auto result = verify(program);
  if (!result) throw std::runtime_error("refused: " + result.error().message);
  return *result;
}

SupportProgram::SupportProgram() {
  TypeTable& types = program.types;
  turn = record("Turn", {{"role", kTypeString}, {"text", kTypeString}});
  ask = record("Ask", {{"text", kTypeString}, {"history", types.list_of(types.record_type(turn))}});
  types.records[ask].fields[1].default_value = encode_value(Value::list(std::vector<Value>()));
  verdict = record("Verdict", {{"blocked", kTypeBool}, {"reason", kTypeString}});
  hold = record("Hold", {{"id", kTypeString}});
  TypeId strings = types.list_of(kTypeString);
  answer_record = record("Answer", {{"text", kTypeString}, {"sources", strings}});
  refused_record = record("Refused", {{"reason", kTypeString}});
  failed_record = record("Failed", {{"reason", kTypeString}});
  searching_record = record("Searching", {{"sources", kTypeInt}});
  event("Ask", ask);
  answer = event("Answer", answer_record);
  refused = event("Refused", refused_record);
  failed = event("Failed", failed_record);
  searching = event("Searching", searching_record);

  TypeId client = types.optional_of(kTypeString);
  uint32_t verdict_site =
      site("verdict", task("moderate", {kTypeString}, types.record_type(verdict)));
  uint32_t hold_site =
      site("hold", task("hold_credit", {client, kTypeInt}, types.record_type(hold)));
  uint32_t sources_site = site("sources", task("search", {kTypeString}, strings));
  uint32_t reply_site = site("reply", task("complete", {kTypeString}, kTypeString));
  uint32_t small_site = site("complete_small", task("complete_small", {kTypeString}, kTypeString));
  uint32_t release_site = site("release_credit", task("release_credit", {kTypeString}, kTypeNone));

  uint32_t prompt = function("prompt", FunctionKind::pure, 2, [&](FunctionBuilder& f) {
    Register parts = f.allocate(4);
    f.emit_wide(Op::load_const, parts, constants.add(Value::string("Answer from these only:\n")));
    Register pair = f.allocate(2);
    f.emit(Op::move, pair, f.parameter(1));
    f.emit_wide(Op::load_const, {pair.index + 1}, constants.add(Value::string("\n")));
    f.emit_indexed(Op::builtin, {parts.index + 1}, pair, static_cast<uint32_t>(Builtin::join));
    f.emit_wide(Op::load_const, {parts.index + 2}, constants.add(Value::string("\nQuestion: ")));
    f.emit_indexed(Op::get_field, {parts.index + 3}, f.parameter(0), 0);
    f.emit_indexed(Op::concat_all, parts, parts, 4);
    f.emit(Op::ret, parts);
  });
  auto release = [&](const std::string& name) {
    return function(name, FunctionKind::compensation, 1, [&](FunctionBuilder& f) {
      Register none = f.allocate();
      f.emit_indexed(Op::step, none, f.parameter(0), release_site);
      f.emit(Op::ret_none);
    });
  };
  uint32_t undo = release("answer/hold/undo");
  uint32_t unsure = release("answer/hold/unsure");

  uint32_t body = function(
      "answer", FunctionKind::flow, 1,
      [&](FunctionBuilder& f) {
        f.at(0, 30, 3);
        Register text = f.allocate(), checked = f.allocate(), flag = f.allocate();
        f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
        f.emit_indexed(Op::step, checked, text, verdict_site);
        f.at(0, 31, 3);
        f.emit_indexed(Op::get_field, flag, checked, 0);
        Label fine = f.make_label();
        f.emit_jump(Op::jump_if_not, flag, fine);
        Register reason = f.allocate();
        f.emit_indexed(Op::get_field, reason, checked, 1);
        f.emit_indexed(Op::make_record, reason, reason, refused_record);
        f.emit_finish(reason, refused);
        f.bind(fine);

        f.at(0, 33, 3);
        Register pair = f.allocate(2), key = f.allocate(), held = f.allocate();
        f.emit(Op::run_client, pair);
        f.emit_imm(Op::load_int, {pair.index + 1}, 1);
        f.emit_site(key, hold_site);
        f.emit_closure(Op::arm_unsure, unsure, key, 1, hold_site);
        f.emit_indexed(Op::step, held, pair, hold_site);
        f.emit_indexed(Op::get_field, held, held, 0);
        f.emit_closure(Op::on_undo, undo, held, 1, hold_site);

        f.at(0, 38, 3);
        Register asked = f.allocate(2), count = f.allocate();
        Register sources{asked.index + 1};
        Label search = f.make_label(), searched = f.make_label(), nothing = f.make_label(),
              found = f.make_label();
        f.bind(search);
        f.emit_indexed(Op::step, sources, text, sources_site);
        f.bind(searched);
        f.emit_jump(Op::jump, found);
        f.bind(nothing);
        f.emit_indexed(Op::make_list, sources, sources, 0);
        f.bind(found);
        f.add_handler(search, searched, nothing, std::nullopt);
        f.emit_indexed(Op::builtin, count, sources, static_cast<uint32_t>(Builtin::len_list));
        f.emit_indexed(Op::make_record, count, count, searching_record);
        f.emit_notify(count, searching);

        f.at(0, 41, 3);
        Register prompted = f.allocate(), reply = f.allocate(2);
        f.emit(Op::move, asked, f.parameter(0));
        f.emit_indexed(Op::call, prompted, asked, prompt);
        Label large = f.make_label(), done = f.make_label(), small = f.make_label(),
              replied = f.make_label();
        f.bind(large);
        f.emit_indexed(Op::step, reply, prompted, reply_site);
        f.bind(done);
        f.emit_jump(Op::jump, replied);
        f.bind(small);
        f.emit_indexed(Op::step, reply, prompted, small_site);
        f.bind(replied);
        f.add_handler(large, done, small, std::nullopt);
        f.emit(Op::move, {reply.index + 1}, sources);
        f.emit_indexed(Op::make_record, reply, reply, answer_record);
        f.emit_finish(reply, answer);
      },
      "answer");
  uint32_t on_failure =
      function("answer on failure", FunctionKind::handler, 2, [&](FunctionBuilder& f) {
        Register why = f.allocate();
        f.emit_indexed(Op::get_field, why, f.parameter(1),
                       static_cast<uint32_t>(FailureField::message));
        f.emit_indexed(Op::make_record, why, why, failed_record);
        f.emit_finish(why, failed);
      });
  program.sources = {"support/answer.flow"};
  flow("answer", {types.record_type(ask)}, body, on_failure, {answer, refused, failed});
  program.topics.push_back({"asks", 0, std::nullopt, 86'400'000, 604'800'000});
  program.flows[0].trigger = 0;
  program.flows[0].timeout_ms = 45'000;
}

Value SupportProgram::ask_value(const std::string& text) const {
  Value fields[] = {Value::string(text), Value::list(std::vector<Value>())};
  return Value::record(ask, fields);
}

Value SupportProgram::verdict_value(bool blocked, const std::string& reason) const {
  Value fields[] = {Value::boolean(blocked), Value::string(reason)};
  return Value::record(verdict, fields);
}

Driver::Driver(std::shared_ptr<const VerifiedProgram> program, uint32_t flow,
               std::vector<Value> arguments, RunInfo info)
    : unit(std::move(program)), run(unit, flow, std::move(arguments), std::move(info)) {}

bool Driver::begin() {
  commands.clear();
  return run.begin(commands);
}
bool Driver::succeed(const std::string& path, Value result) {
  StepId step = open(path);
  commands.clear();
  return run.step_succeeded(step, std::move(result), commands);
}
bool Driver::fail(const std::string& path, const std::string& kind, bool unsure,
                  const std::string& message) {
  StepId step = open(path);
  commands.clear();
  return run.step_failed(step, {kind, message, "", 1}, unsure, commands);
}
bool Driver::cancel(CancelKind kind) {
  commands.clear();
  return run.cancel(kind, "stop", commands);
}
bool Driver::fire(uint32_t timer) {
  commands.clear();
  return run.timer_fired({timer}, commands);
}
bool Driver::signal(Signal signal) {
  commands.clear();
  return run.signal(std::move(signal), commands);
}
bool Driver::expire() {
  commands.clear();
  return run.on_failure_expired(commands);
}

void Driver::restore() {
  std::string bytes = run.snapshot();
  uint64_t hash = run.hash();
  auto again = Run::restore(unit, bytes);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  run = std::move(*again);
  EXPECT_EQ(run.snapshot(), bytes);
  EXPECT_EQ(run.hash(), hash);
}

StepId Driver::open(const std::string& path) {
  std::string all;
  for (const Run::OpenStep& step : run.open_steps()) {
    if (step.path == path) return step.id;
    all += " " + step.path;
  }
  ADD_FAILURE() << path << " is not open; open are:" << all;
  return {0};
}

std::string describe_command(const Program& program, const Command& command) {
  auto event_text = [&](const std::optional<uint32_t>& event, const Value& value) {
    return event ? " " + describe(program.types, value) : std::string(" nothing");
  };
  if (auto start = std::get_if<StartStep>(&command)) {
    const auto call = [&](const StepSite& site, const std::vector<Value>& arguments) {
      std::string text =
          (site.flow ? program.flows[*site.flow].name : program.tasks[site.task].name) + "(";
      for (const Value& argument : arguments) {
        if (&argument != arguments.data()) text += ", ";
        text += describe(program.types, argument);
      }
      return text + ")";
    };
    std::string text = "start " + start->path + " " + call(*start->site, start->arguments);
    if (const auto& hedge = start->site->hedge_site) {
      text += " or " + call(program.steps[*hedge], start->hedge_arguments);
    }
    if (start->key != "run1:" + start->path) text += " key " + start->key;
    return text + (start->compensating ? " compensating" : "");
  }
  if (auto cancelled = std::get_if<CancelStep>(&command)) {
    return "cancel " + std::to_string(cancelled->id.value);
  }
  if (auto sent = std::get_if<Notify>(&command)) {
    return "notify " + describe(program.types, sent->value) +
           (sent->to == NotifyTo::run_client ? "" : " to " + sent->target);
  }
  if (auto dead = std::get_if<DeadLetter>(&command)) {
    return "dead " + dead->path + " " + dead->failure.kind;
  }
  if (std::holds_alternative<EnterOnFailure>(command)) return "on failure";
  if (auto timer = std::get_if<StartTimer>(&command)) {
    static constexpr const char* kUses[] = {"sleep", "deadline", "receive"};
    return "timer " + std::to_string(timer->id.value) + " " + kUses[static_cast<int>(timer->use)] +
           " " + timer->path + " " +
           (timer->after_ms ? std::to_string(*timer->after_ms) + "ms"
                            : "until " + std::to_string(timer->until_us.value_or(0)));
  }
  if (auto timer = std::get_if<CancelTimer>(&command)) {
    return "cancel timer " + std::to_string(timer->id.value);
  }
  if (auto subscribed = std::get_if<Subscribe>(&command)) {
    return "subscribe " + program.receives[subscribed->site_index].name + " " +
           describe(program.types, subscribed->key);
  }
  if (auto line = std::get_if<Log>(&command)) return "log " + line->path + ": " + line->text;
  if (auto published = std::get_if<Publish>(&command)) {
    return "publish " + program.topics[published->topic].name + " " +
           describe(program.types, published->value);
  }
  if (auto begun = std::get_if<StartRun>(&command)) {
    std::string text = "run " + begun->run + " of " + program.flows[begun->flow].name;
    for (const Value& argument : begun->arguments) text += " " + describe(program.types, argument);
    return text + (begun->client ? " for " + *begun->client : "");
  }
  if (auto join = std::get_if<Join>(&command)) return "join " + join->run;
  const Finish& finish = std::get<Finish>(command);
  static constexpr const char* kWords[] = {"completed", "failed", "cancelled", "superseded",
                                           "joined"};
  std::string text = std::string("finish ") + kWords[static_cast<int>(finish.status)] +
                     event_text(finish.event, finish.value);
  if (finish.why) text += " why " + finish.why->kind;
  return text;
}

std::string Driver::log() const {
  std::string text;
  for (const Command& command : commands) {
    text += describe_command(unit.program(), command) + "\n";
  }
  return text;
}

}  // namespace sluice::vm::testing
