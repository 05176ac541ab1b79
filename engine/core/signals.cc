// Signals that come by message, subscriptions to pairs of topics, and events on their way to them
// (subscriptions.hpp).
#include <algorithm>

#include "engine/core/message.hpp"
#include "engine/core/partition_impl.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/json.hpp"

namespace sluice::core {
namespace {

const vm::FieldType& key_field(const vm::Program& program, std::uint32_t event,
                               std::uint32_t field) {
  return program.types.records[program.events[event].record].fields[field];
}

Pair pair_of(const SubscribeMessage& body) {
  return {std::string(body.topic), std::string(body.field), std::string(body.value)};
}

SubscribeMessage message_of(const RunEntry& entry, const Pair& pair) {
  return {entry.id, entry.started, pair.topic, pair.field, pair.value};
}

}  // namespace

// ---- to a run

void Partition::Impl::send_signal(Context& context, const RunEntry& entry,
                                  const std::string& target, std::string_view name,
                                  std::string_view json) {
  const auto run = parse_run_id(target);
  if (run && number(partition_of(*run)) < config.partitions) {
    const SignalMessage body{*run, name, {}, {}, json};
    return post(context, entry, partition_of(*run), MessageKind::signal, encode(body));
  }
  context.effects.push_back(DeadLettered{context.record.seq, entry.tenant, entry.id,
                                         entry.loaded->program().flows[entry.flow].name, "",
                                         "Invalid", "`" + target + "` is no run's id"});
}

// What a topic has for a run that is over, or being undone, is nobody's loss; what another run has
// told it is.
std::string Partition::Impl::take_signal(Context& context, const Envelope& envelope) {
  const auto body = decode<SignalMessage>(envelope.body);
  if (!body) return "the signal is damaged";
  const bool of_topic = !body->topic.empty();
  RunEntry* entry = find_run(body->run);
  if (entry == nullptr || entry->tenant != context.record.tenant) {
    return of_topic ? "" : "there is no such live run";
  }
  const vm::Program& program = entry->loaded->program();
  const auto event = vm::find_by_name(program.events, body->name);
  const auto topic = of_topic ? vm::find_by_name(program.topics, body->topic) : std::nullopt;
  if (of_topic &&
      std::find(entry->heard.begin(), entry->heard.end(), body->event) != entry->heard.end()) {
    return {};
  }
  const bool forged = event && !of_topic && is_engines(program, *event);
  const auto fit = !event || (of_topic && !topic) || forged
                       ? vm::SignalFit::unexpected
                       : entry->run->fits(*event, topic, body->data_json.size());
  if (fit == vm::SignalFit::full) return "too many signals wait for the run already";
  if (fit == vm::SignalFit::unexpected) {
    return of_topic ? "" : "no `receive` of the run names `" + std::string(body->name) + "`";
  }
  auto data = vm::decode_json(program.types, entry->loaded->event_types[*event], body->data_json,
                              {.ignore_unknown_fields = true});
  if (!data) return "the run knows `" + std::string(body->name) + "` in another shape";
  const PartitionId source = context.applied.cause_partition;
  work(context, *entry, envelope.cause, [&](vm::Run& run, vm::Commands& commands) {
    if (of_topic) {
      if (entry->heard.size() >= kHeardEventsMax) entry->heard.erase(entry->heard.begin());
      entry->heard.push_back(body->event);
    }
    if (!run.signal({*event, topic, std::move(*data)}, commands)) {
      throw BadInput("the run does not take this signal");
    }
  });
  context.applied.cause_partition = source;
  return {};
}

// ---- subscriptions

std::string Partition::Impl::pair_value(const LoadedProgram& known, std::uint32_t site,
                                        const vm::Value& key) {
  const vm::Program& program = known.program();
  const vm::ReceiveSite& receive = program.receives[site];
  const vm::FieldType& field = key_field(program, receive.event, receive.key_field);
  return vm::to_json(program.types, field.type, key);
}

void Partition::Impl::subscribe(Context& context, RunEntry& entry, const vm::Subscribe& command,
                                std::string value) {
  const vm::Program& program = entry.loaded->program();
  const vm::ReceiveSite& site = program.receives[command.site_index];
  Pair pair{program.topics[*site.topic].name, key_field(program, site.event, site.key_field).name,
            std::move(value)};
  auto& mine = entry.subscriptions;
  if (std::find(mine.begin(), mine.end(), pair) != mine.end()) return;
  mine.push_back(pair);
  if (config.one_run) return;
  const PartitionId home = key_of(entry.tenant, pair, config.partitions).home;
  const SubscribeMessage body = message_of(entry, pair);
  if (home == config.id) return change_subscription(context, entry.tenant, body, true);
  post(context, entry, home, MessageKind::subscribe, encode(body));
}

void Partition::Impl::unsubscribe(Context& context, const RunEntry& entry, const Pair& pair) {
  if (config.one_run) return;
  const PartitionId home = key_of(entry.tenant, pair, config.partitions).home;
  const SubscribeMessage body = message_of(entry, pair);
  if (home == config.id) return change_subscription(context, entry.tenant, body, false);
  post(context, entry, home, MessageKind::unsubscribe, encode(body));
}

std::string Partition::Impl::take_subscription(Context& context, const Envelope& envelope) {
  const auto body = decode<SubscribeMessage>(envelope.body);
  if (!body) return "the subscription is damaged";
  change_subscription(context, context.record.tenant, *body,
                      envelope.kind == MessageKind::subscribe);
  return {};
}

void Partition::Impl::change_subscription(Context& context, TenantId tenant,
                                          const SubscribeMessage& body, bool wanted) {
  const Hash128 pair = key_of(tenant, pair_of(body), config.partitions).hash;
  if (!wanted) return subscriptions.remove(pair, body.run);
  subscriptions.add(pair, body.run);
  subscriptions.each_kept(pair, body.since, [&](const Subscriptions::Kept& kept) {
    Envelope envelope = decode<Envelope>(kept.message).value();
    SignalMessage signal = decode<SignalMessage>(envelope.body).value();
    signal.run = body.run;
    const std::string bytes = encode(signal);
    envelope.body = bytes;
    post(context, tenant, partition_of(body.run), envelope);
  });
}

// ---- events of topics

void Partition::Impl::spread_event(Context& context, const LoadedProgram& known,
                                   std::uint32_t topic, const vm::Value& data,
                                   const Envelope& about) {
  if (config.one_run || known.fields_by_topic[topic].empty()) return;
  const vm::Program& program = known.program();
  const std::uint32_t event = program.topics[topic].event;
  const std::string json = vm::to_json(program.types, known.event_types[event], data);
  for (const std::uint32_t index : known.fields_by_topic[topic]) {
    const vm::FieldType& field = key_field(program, event, index);
    const Pair pair{program.topics[topic].name, field.name,
                    vm::to_json(program.types, field.type, data.elements()[index])};
    TopicEventMessage body;
    body.topic = pair.topic;
    body.field = pair.field;
    body.value = pair.value;
    body.time = context.record.time;
    body.name = program.events[event].name;
    body.event = make_event_id(config.id, context.record.seq, context.record.time);
    body.data_json = json;
    Envelope envelope = about;
    envelope.kind = MessageKind::topic_event;
    const PartitionId home = key_of(context.record.tenant, pair, config.partitions).home;
    if (home == config.id) {
      spread_here(context, context.record.tenant, body, envelope);
      continue;
    }
    const std::string bytes = encode(body);
    envelope.body = bytes;
    post(context, context.record.tenant, home, envelope);
  }
}

std::string Partition::Impl::take_topic_event(Context& context, const Envelope& envelope) {
  const auto body = decode<TopicEventMessage>(envelope.body);
  if (!body) return "the event of the topic is damaged";
  spread_here(context, context.record.tenant, *body, envelope);
  return {};
}

// Each run gets it by a message, also one of this partition: a record touches one run.
void Partition::Impl::spread_here(Context& context, TenantId tenant, const TopicEventMessage& body,
                                  Envelope about) {
  const Pair pair{std::string(body.topic), std::string(body.field), std::string(body.value)};
  const Hash128 key = key_of(tenant, pair, config.partitions).hash;
  about.kind = MessageKind::signal;
  SignalMessage signal{{}, body.name, body.topic, body.event, body.data_json};
  for (const RunId& run : subscriptions.runs_of(key)) {
    signal.run = run;
    const std::string bytes = encode(signal);
    about.body = bytes;
    post(context, tenant, partition_of(run), about);
  }
  signal.run = {};
  const std::string bytes = encode(signal);
  about.body = bytes;
  about.cause = context.record.seq;
  subscriptions.keep({body.time, key, encode(about)});
}

}  // namespace sluice::core
