// Events that runs publish, and runs that they start: as a step that waits for it, or for itself.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/verdicts.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/evaluator.hpp"
#include "vm/failure_kinds.hpp"
#include "vm/json.hpp"

namespace sluice::core {
namespace {

// Why a message that is to begin runs may not; empty: it may.
std::string too_far(const Envelope& envelope) {
  if (envelope.hops <= kHopsMax) return {};
  return "it is the last of " + std::to_string(envelope.hops) +
         " messages, each from a run that the one before began";
}

}  // namespace

// ---- what the VM asks

bool Partition::Impl::takes_messages() {
  was_parked = was_parked || mail_full;
  return !mail_full;
}

bool Partition::Impl::takes_notify(const vm::Notify& command) {
  if (!mail_full) return true;
  const auto home = notified_home(*at_work, command);
  const bool leaves = command.to == vm::NotifyTo::run || (home && *home != config.id);
  was_parked = was_parked || leaves;
  return !leaves;
}

std::string Partition::Impl::new_run(const vm::StartRun& start) {
  const std::string_view client = start.client ? std::string_view(*start.client) : "";
  return to_text(next_started(start.flow, client, start.arguments));
}

// Under `concurrency` where its key counts. Else at the client's home, so that what it is told
// needs no hop; without a client anywhere, so that many of them share the work.
RunId Partition::Impl::next_started(std::uint32_t flow, std::string_view client,
                                    std::span<const vm::Value> arguments) {
  const unsigned index = started++;
  const std::string key =
      to_text(at_work->id) + ":" + std::to_string(applying->seq) + ":" + std::to_string(index);
  PartitionId home = client.empty()
                         ? partition_of_key(at_work->tenant, key, config.partitions)
                         : partition_of_client(at_work->tenant, client, config.partitions);
  // A key that cannot be computed is told where the run would begin.
  const auto gate = gate_of(at_work->tenant, *at_work->loaded->unit, flow, client, arguments);
  if (gate && *gate) home = (*gate)->home;
  return make_started_id(config.id, home, applying->seq, applying->time, index);
}

// ---- phase one

// What the message of a command will carry.
tl::expected<void, Fault> Partition::Impl::render_message(Activation& activation,
                                                          std::size_t index) const {
  const vm::Command& command = activation.commands[index];
  const auto* step = std::get_if<vm::StartStep>(&command);
  const bool child = step != nullptr && step->site->flow.has_value();
  const bool sends = child || std::holds_alternative<vm::StartRun>(command) ||
                     std::holds_alternative<vm::Publish>(command);
  if (!sends) return {};
  activation.data.resize(activation.commands.size());
  activation.keys.resize(activation.commands.size());
  std::string& data = activation.data[index];
  const auto arguments = [&](const std::vector<vm::Value>& values) {
    data = vm::encode_value(vm::Value::list(std::span<const vm::Value>(values)));
  };
  if (child) {
    arguments(step->arguments);
  } else if (const auto* start = std::get_if<vm::StartRun>(&command)) {
    arguments(start->arguments);
  } else if (const auto* event = std::get_if<vm::Publish>(&command)) {
    const LoadedProgram& own = *activation.entry->loaded;
    data = vm::encode_value(event->value);
    // Ordered by client, but of a run without one: then only what this run publishes has an order.
    const RunEntry& entry = *activation.entry;
    activation.keys[index] = entry.client.empty() ? to_text(entry.id) : entry.client;
    if (own.program().topics[event->topic].order_function) {
      const auto key = vm::order_key(*own.unit, event->topic, event->value);
      if (!key)
        return tl::unexpected(Fault{"an event has no ordering key: " + key.error().message});
      activation.keys[index] = *key;
    }
    if (activation.keys[index].size() > kClientBytesMax) {
      return tl::unexpected(Fault{"the ordering key of an event is too long"});
    }
  }
  if (data.size() > kPayloadBytesMax) {
    return tl::unexpected(
        Fault{"an event or arguments exceed " + std::to_string(kPayloadBytesMax) + " bytes"});
  }
  return {};
}

// ---- phase two: out

void Partition::Impl::publish(Context& context, const RunEntry& entry, const vm::Publish& command,
                              std::string_view key, std::string_view data) {
  const vm::TopicInfo& topic = entry.loaded->program().topics[command.topic];
  const PartitionId home = topic.order_function || entry.client.empty()
                               ? partition_of_key(entry.tenant, key, config.partitions)
                               : partition_of_client(entry.tenant, key, config.partitions);
  const PublishMessage body{entry.deployment, command.topic, entry.client, data};
  post(context, entry, home, MessageKind::publish, encode(body));
}

void Partition::Impl::start_detached(Context& context, const RunEntry& entry,
                                     const vm::StartRun& command, std::string_view data) {
  const auto run = parse_run_id(command.run);
  SLUICE_CHECK(run.has_value());
  StartMessage body;
  body.run = *run;
  body.deployment = entry.deployment;
  body.flow = command.flow;
  if (command.client) body.client = *command.client;
  body.args = data;
  post(context, entry, partition_of(*run), MessageKind::start, encode(body));
}

void Partition::Impl::start_child(Context& context, RunEntry& entry, StepEntry& step,
                                  std::span<const vm::Value> arguments, std::string_view data) {
  at_work = &entry;
  StartMessage body;
  body.flow = *entry.loaded->program().steps[step.site].flow;
  step.child = next_started(body.flow, entry.client, arguments);
  body.run = step.child;
  body.step = step.id;
  body.deployment = entry.deployment;
  body.client = entry.client;
  body.args = data;
  post(context, entry, partition_of(step.child), MessageKind::start, encode(body));
}

void Partition::Impl::call_child_off(Context& context, const RunEntry& entry, StepEntry& step,
                                     std::string_view why, StepInput input) {
  const std::string reason = "its parent does not wait for it: " + std::string(why);
  const CancelMessage body{step.child, reason};
  post(context, entry, partition_of(step.child), MessageKind::cancel, encode(body));
  clear_step_timers(entry, step);
  step.within_due = 0;
  transition(step, input);
}

void Partition::Impl::tell_parent(Context& context, const RunEntry& entry, const Follower& who,
                                  const Ending& ending) {
  EndedMessage body;
  body.parent = who.parent;
  body.step = who.step;
  body.kind = ending.why.kind;
  body.message = ending.why.message;
  std::string value;
  if (who.deployment != entry.deployment) {
    body.kind = vm::failure_kind::kSuperseded;
    body.message = "it joined a run of another version";
  } else if (ending.finish != nullptr) {
    body.completed = ending.finish->status == vm::RunStatus::completed;
    body.event = ending.finish->event;
    if (body.event) value = vm::encode_value(ending.finish->value);
  }
  body.value = value;
  post(context, entry, partition_of(who.parent), MessageKind::ended, encode(body));
}

// ---- in

// The newest version that is known here or was there.
DeploymentNumber Partition::Impl::version_for(const PublishMessage& body) const {
  return std::max(deployment, body.deployment);
}

// The event as the newest version knows it, like one from a client: its topic there and its data,
// brought up to that version.
tl::expected<Partition::Impl::Published, std::string> Partition::Impl::published(
    const LoadedProgram& from, const LoadedProgram& to, const PublishMessage& body) const {
  const vm::Program& theirs = from.program();
  if (body.topic >= theirs.topics.size())
    return tl::unexpected(std::string("there is no such topic"));
  auto data = vm::decode_value(body.data);
  if (!data) {
    return tl::unexpected(std::string("its data is damaged: ") + data.error().message);
  }
  if (&from == &to) return Published{body.topic, std::move(*data)};
  const vm::Program& own = to.program();
  const vm::TopicInfo& theirs_of = theirs.topics[body.topic];
  const auto topic = vm::find_by_name(own.topics, theirs_of.name);
  if (!topic) return tl::unexpected("the newest version has no topic `" + theirs_of.name + "`");
  const std::uint32_t event = own.topics[*topic].event;
  const vm::TypeId type = from.event_types[theirs_of.event];
  if (!vm::conforms(theirs.types, type, *data))
    return tl::unexpected(std::string("its data is damaged"));
  const std::string json = vm::to_json(theirs.types, type, *data);
  auto newer = vm::decode_event(*to.unit, event, to.event_types[event], json,
                                theirs.events[theirs_of.event].version);
  if (!newer) {
    return tl::unexpected("the newest version does not take it: " +
                          vm::invalid_message(own.types, to.event_types[event], newer.error()));
  }
  return Published{*topic, std::move(*newer)};
}

std::string Partition::Impl::take_publish(Context& context, const Envelope& envelope) {
  const auto body = decode<PublishMessage>(envelope.body);
  const LoadedProgram* from = body ? load_program(body->deployment) : nullptr;
  const LoadedProgram* program = from ? load_program(version_for(*body)) : nullptr;
  if (program == nullptr) return "the event is damaged";
  if (std::string why = too_far(envelope); !why.empty()) return why;
  const auto event = published(*from, *program, *body);
  if (!event) return event.error();
  std::vector<NewRun> made;
  for (const std::uint32_t flow : program->flows_by_topic[event->topic]) {
    Origin origin;
    origin.deployment = version_for(*body);
    origin.flow = flow;
    origin.client = body->client;
    origin.correlation = envelope.correlation;
    origin.traceparent = envelope.traceparent;
    origin.index = static_cast<unsigned>(made.size());
    origin.hops = envelope.hops;
    origin.event = make_event_id(config.id, context.record.seq, context.record.time);
    auto run = begin_run(context, *program, origin, {event->data});
    if (!run) return run.error().why;
    made.push_back(std::move(*run));
  }
  take_in(context, {{}, 0, envelope.correlation}, made);
  Envelope about = envelope;
  about.run = {};
  spread_event(context, *program, event->topic, event->data, about);
  return {};
}

std::string Partition::Impl::take_start(Context& context, const Envelope& envelope) {
  const auto body = decode<StartMessage>(envelope.body);
  const LoadedProgram* program = body ? load_program(body->deployment) : nullptr;
  if (program == nullptr) return "the start is damaged";
  if (std::string why = too_far(envelope); !why.empty()) return why;
  const auto args = vm::decode_value(body->args);
  const bool fits = args && args->is(vm::Kind::list) &&
                    body->flow < program->program().flows.size() && find_run(body->run) == nullptr;
  if (!fits) return "the start is damaged";
  Origin origin;
  origin.deployment = body->deployment;
  origin.flow = body->flow;
  origin.client = body->client;
  origin.correlation = envelope.correlation;
  origin.traceparent = envelope.traceparent;
  origin.run = body->run;
  origin.hops = envelope.hops;
  origin.parent = body->step == 0 ? RunId{} : envelope.run;
  origin.parent_step = body->step;
  const auto elements = args->elements();
  auto run = begin_run(context, *program, origin, {elements.begin(), elements.end()});
  if (!run) return run.error().why;
  std::vector<NewRun> made;
  made.push_back(std::move(*run));
  take_in(context, {{}, 0, envelope.correlation}, made);
  return {};
}

// The step whose run is over. Where that was called off and not found, it is known by that run.
const StepEntry* Partition::Impl::told_step(const RunEntry& entry, const EndedMessage& body,
                                            const RunId& child) {
  if (body.step != 0) return entry.find_step(body.step);
  for (const StepEntry& step : entry.steps) {
    if (step.child == child) return &step;
  }
  return nullptr;
}

std::string Partition::Impl::take_ended(Context& context, const Envelope& envelope) {
  const auto body = decode<EndedMessage>(envelope.body);
  if (!body) return "the end of a run is damaged";
  RunEntry* entry = find_run(body->parent);
  const StepEntry* step = entry == nullptr ? nullptr : told_step(*entry, *body, envelope.run);
  if (step == nullptr) return {};
  const StepNumber number = step->id;
  if (step->status == StepStatus::called_off) {
    work(
        context, *entry, step->started,
        [&](vm::Run& run, vm::Commands& commands) {
          must_wait(run.child_gone({number}, commands));
        },
        [&] { end_step(context, *entry, number, StepInput::gone); });
    return {};
  }
  // That there is no such run (any more) was told before, as its end.
  if (step->status != StepStatus::run || body->step == 0) return {};
  auto value = body->value.empty() ? vm::Value() : vm::decode_value(body->value);
  const bool answered = body->event.has_value() || body->completed;
  work(
      context, *entry, step->started,
      [&](vm::Run& run, vm::Commands& commands) {
        if (!value) throw BadInput(std::string("the outcome is damaged: ") + value.error().message);
        const vm::StepId id{body->step};
        const bool waited =
            answered
                ? run.child_ended(id, body->event, std::move(*value), commands)
                : run.step_failed(id, {std::string(body->kind), std::string(body->message), "", 1},
                                  false, commands);
        if (!waited) throw BadInput("the run does not wait for this step");
      },
      [&] {
        end_step(context, *entry, body->step, answered ? StepInput::done : StepInput::failed_last);
      });
  return {};
}

std::string Partition::Impl::take_cancel(Context& context, const Envelope& envelope) {
  const auto body = decode<CancelMessage>(envelope.body);
  if (!body) return "the cancel is damaged";
  RunEntry* entry = find_run(body->run);
  if (entry == nullptr || entry->admission.place == Place::joining) {
    // It has ended on its own meanwhile, or has joined another, whose end nobody waits for now.
    EndedMessage gone;
    gone.parent = envelope.run;
    gone.kind = vm::failure_kind::kCancelled;
    gone.message = body->message;
    const std::string bytes = encode(gone);
    Envelope back = envelope;
    back.kind = MessageKind::ended;
    back.run = body->run;
    back.body = bytes;
    post(context, context.record.tenant, partition_of(envelope.run), back);
    return {};
  }
  if (!(entry->parent == envelope.run)) return {};
  cut_short(context, *entry, entry->first_seq, vm::CancelKind::cancelled,
            std::string(body->message));
  return {};
}

}  // namespace sluice::core
