// Events that runs publish, and runs that they start: as a step that waits for it, or for itself.
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

std::string Partition::Impl::new_run(const std::optional<std::string>& client) {
  return to_text(next_started(client));
}

// At the client's home, so that what it is told needs no hop; without a client anywhere, so that
// many of them share the work.
RunId Partition::Impl::next_started(const std::optional<std::string>& client) {
  const unsigned index = started++;
  const std::string key =
      to_text(at_work->id) + ":" + std::to_string(applying->seq) + ":" + std::to_string(index);
  const PartitionId home = client && !client->empty()
                               ? partition_of_client(at_work->tenant, *client, config.partitions)
                               : partition_of_key(at_work->tenant, key, config.partitions);
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
                                  std::string_view data) {
  at_work = &entry;
  step.child = next_started(entry.client.empty() ? std::nullopt : std::optional(entry.client));
  StartMessage body;
  body.run = step.child;
  body.step = step.id;
  body.deployment = entry.deployment;
  body.flow = *entry.loaded->program().steps[step.site].flow;
  body.client = entry.client;
  body.args = data;
  post(context, entry, partition_of(step.child), MessageKind::start, encode(body));
}

void Partition::Impl::call_off(Context& context, const RunEntry& entry, const StepEntry& step,
                               std::string_view why) {
  if (step.status == StepStatus::run) {
    const std::string reason = "its parent does not wait for it: " + std::string(why);
    const CancelMessage body{step.child, reason};
    post(context, entry, partition_of(step.child), MessageKind::cancel, encode(body));
  } else {
    revoke_attempts(context, entry, step, why);
  }
}

void Partition::Impl::tell_parent(Context& context, const RunEntry& entry, const Ending& ending) {
  EndedMessage body;
  body.parent = entry.parent;
  body.step = entry.parent_step;
  body.kind = ending.why.kind;
  body.message = ending.why.message;
  std::string value;
  if (ending.finish != nullptr) {
    body.completed = ending.finish->status == vm::RunStatus::completed;
    body.event = ending.finish->event;
    if (body.event) value = vm::encode_value(ending.finish->value);
  }
  body.value = value;
  post(context, entry, partition_of(entry.parent), MessageKind::ended, encode(body));
}

// ---- in

std::string Partition::Impl::take_publish(Context& context, const Envelope& envelope) {
  const auto body = decode<PublishMessage>(envelope.body);
  const LoadedProgram* program = body ? load_program(body->deployment) : nullptr;
  if (program == nullptr) return "the event is damaged";
  if (std::string why = too_far(envelope); !why.empty()) return why;
  if (body->topic >= program->flows_by_topic.size()) return "there is no such topic";
  const auto data = vm::decode_value(body->data);
  if (!data) return std::string("its data is damaged: ") + data.error().message;
  std::vector<NewRun> made;
  for (const std::uint32_t flow : program->flows_by_topic[body->topic]) {
    Origin origin;
    origin.deployment = body->deployment;
    origin.flow = flow;
    origin.client = body->client;
    origin.correlation = envelope.correlation;
    origin.traceparent = envelope.traceparent;
    origin.index = static_cast<unsigned>(made.size());
    origin.hops = envelope.hops;
    auto run = begin_run(context, *program, origin, {*data});
    if (!run) return run.error().why;
    made.push_back(std::move(*run));
  }
  take_in(context, {{}, 0, envelope.correlation}, made);
  Envelope about = envelope;
  about.run = {};
  spread_event(context, *program, body->topic, *data, about);
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

std::string Partition::Impl::take_ended(Context& context, const Envelope& envelope) {
  const auto body = decode<EndedMessage>(envelope.body);
  if (!body) return "the end of a run is damaged";
  RunEntry* entry = find_run(body->parent);
  const StepEntry* step = entry == nullptr ? nullptr : entry->find_step(body->step);
  // Late: the step was cancelled, or its time was up.
  if (step == nullptr || step->status != StepStatus::run) return {};
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
  // It may have ended on its own meanwhile.
  if (entry == nullptr || !(entry->parent == envelope.run)) return {};
  const std::string message(body->message);
  work(context, *entry, entry->first_seq, [&](vm::Run& run, vm::Commands& commands) {
    return run.cancel(vm::CancelKind::cancelled, message, commands);
  });
  return {};
}

}  // namespace sluice::core
