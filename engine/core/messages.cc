// Messages to and from other partitions: putting them on their way, and what each kind does where
// it arrives (message.hpp).
#include "engine/core/message.hpp"
#include "engine/core/partition_impl.hpp"
#include "engine/core/verdicts.hpp"
#include "vm/failure_kinds.hpp"
#include "vm/json.hpp"

namespace sluice::core {

// ---- out

void Partition::Impl::post(Context& context, const RunEntry& from, PartitionId destination,
                           MessageKind kind, std::string_view body) {
  const std::string cause = causation(context);
  Envelope envelope;
  envelope.kind = kind;
  envelope.hops = from.hops + 1;
  envelope.run = from.id;
  envelope.correlation = from.correlation;
  envelope.causation = cause;
  envelope.traceparent = from.traceparent;
  envelope.body = body;
  post(context, from.tenant, destination, envelope);
}

void Partition::Impl::post(Context& context, TenantId tenant, PartitionId destination,
                           Envelope envelope) {
  envelope.cause = context.record.seq;
  std::string bytes = encode(envelope);
  const std::uint64_t n = mail.send(destination, tenant, context.record.seq, bytes);
  context.effects.push_back(Send{context.record.seq, tenant, destination, n, std::move(bytes)});
}

// ---- in

tl::expected<void, ApplyError> Partition::Impl::on_message(Context& context) {
  const Record& record = context.record;
  const auto body = decode<Message>(record.body);
  if (!body) return bad_body(record);
  const std::uint64_t taken = mail.taken_from(body->source);
  const bool next = stretch != 0 ? body->n > taken : body->n == taken + 1;
  if (!next && !config.one_run) return {};
  Needs missing;
  need_programs(*body, missing);
  if (!missing.deployments.empty()) {
    return refuse(ApplyError::Code::missing_deployment,
                  "deployment " + std::to_string(missing.deployments[0]) + " is not loaded");
  }
  mail.take(body->source, body->n);
  context.effects.push_back(Acknowledge{record.seq, body->source, body->n});
  context.applied.cause_partition = body->source;
  const auto envelope = decode<Envelope>(body->body);
  if (!envelope) {
    lose_message(context, {}, "the message is damaged");
    return {};
  }
  context.applied.correlation = correlation_id(envelope->correlation);
  // What goes to a run is given to it whatever the verdict: it is the run that a fault ends.
  const bool to_a_run =
      envelope->kind == MessageKind::ended || envelope->kind == MessageKind::cancel;
  std::string why = to_a_run ? std::string() : given_fault(record);
  if (why.empty()) why = take_message(context, *envelope);
  if (!why.empty()) lose_message(context, *envelope, why);
  context.applied.cause_partition = body->source;
  context.applied.cause_seq = envelope->cause;
  return {};
}

std::string Partition::Impl::take_message(Context& context, const Envelope& envelope) {
  switch (envelope.kind) {
    case MessageKind::delivery:
      return take_delivery(context, envelope);
    case MessageKind::signal:
      return take_signal(context, envelope);
    case MessageKind::topic_event:
      return take_topic_event(context, envelope);
    case MessageKind::subscribe:
    case MessageKind::unsubscribe:
      return take_subscription(context, envelope);
    case MessageKind::publish:
      return take_publish(context, envelope);
    case MessageKind::start:
      return take_start(context, envelope);
    case MessageKind::ended:
      return take_ended(context, envelope);
    case MessageKind::cancel:
      return take_cancel(context, envelope);
    case MessageKind::turn:
      return take_turn(context, envelope);
  }
  return "this core takes no messages of kind " +
         std::to_string(static_cast<unsigned>(envelope.kind));
}

void Partition::Impl::lose_message(Context& context, const Envelope& envelope,
                                   const std::string& why) {
  const std::string reason = public_reason(context.record);
  const auto start =
      envelope.kind == MessageKind::start ? decode<StartMessage>(envelope.body) : std::nullopt;
  if (start && start->step != 0) {  // somebody waits for that run
    EndedMessage ended;
    ended.parent = envelope.run;
    ended.step = start->step;
    ended.kind = vm::failure_kind::kFault;
    ended.message = reason;
    const std::string body = encode(ended);
    Envelope back = envelope;
    back.kind = MessageKind::ended;
    back.run = start->run;
    back.body = body;
    post(context, context.record.tenant, partition_of(envelope.run), back);
  }
  if (envelope.kind == MessageKind::turn) lose_turn(context, envelope, reason);
  context.applied.verdict = verdict_of(context.record);
  context.applied.fault = why;
  context.effects.push_back(DeadLettered{context.record.seq, context.record.tenant, envelope.run,
                                         "", "", "Fault", reason});
}

// A run whose id somebody has: it never began, and is answered for.
void Partition::Impl::lose_turn(Context& context, const Envelope& envelope,
                                const std::string& reason) {
  const Record& record = context.record;
  const auto turn = decode<TurnMessage>(envelope.body);
  const LoadedProgram* program = turn ? load_program(turn->deployment) : nullptr;
  if (program == nullptr || turn->flow >= program->program().flows.size()) return;
  const vm::FlowInfo& flow = program->program().flows[turn->flow];
  const vm::Failure failure{std::string(vm::failure_kind::kFault), reason, "", 0};
  RunRow row;
  row.run = turn->run;
  row.as_of = row.last_seq = record.seq;
  row.tenant = record.tenant;
  row.deployment = turn->deployment;
  row.flow = flow.name;
  row.client = turn->client;
  row.started = turn->started;
  row.ended = record.time;
  row.correlation = envelope.correlation;
  row.state = RunState::failed;
  row.why = failure.kind + ": " + failure.message;
  if (!flow.outcomes.empty()) {
    row.outcome_name = kEngineFailed;
    row.outcome_json =
        vm::to_json(program->program().types, vm::kTypeFailure, vm::failure_value(failure));
    if (!turn->client.empty()) {
      const DeliveryMessage body{turn->client, row.outcome_name, row.outcome_json, true};
      const std::string bytes = encode(body);
      Envelope answer = envelope;
      answer.kind = MessageKind::delivery;
      answer.run = turn->run;
      answer.body = bytes;
      post(context, record.tenant,
           partition_of_client(record.tenant, turn->client, config.partitions), answer);
    }
  }
  context.effects.push_back(RunChanged{record.seq, std::move(row)});
}

std::string Partition::Impl::take_delivery(Context& context, const Envelope& envelope) {
  const auto body = decode<DeliveryMessage>(envelope.body);
  if (!body) return "the delivery is damaged";
  Delivery delivery;
  delivery.client = body->client;
  delivery.name = body->name;
  delivery.data_json = body->data_json;
  delivery.run = envelope.run;
  delivery.correlation = envelope.correlation;
  delivery.causation = envelope.causation;
  delivery.outcome = body->outcome;
  deliver_here(context, context.record.tenant, std::move(delivery));
  return {};
}

void Partition::Impl::need_programs(const Message& message, Needs& needs) const {
  const auto envelope = decode<Envelope>(message.body);
  if (!envelope) return;
  DeploymentNumber wanted = 0;
  if (envelope->kind == MessageKind::publish) {
    if (const auto body = decode<PublishMessage>(envelope->body)) {
      wanted = body->deployment;
      const DeploymentNumber newest = version_for(*body);
      if (newest != wanted && programs.unit(newest) == nullptr) {
        needs.deployments.push_back(newest);
      }
    }
  } else if (envelope->kind == MessageKind::start) {
    if (const auto body = decode<StartMessage>(envelope->body)) wanted = body->deployment;
  } else if (envelope->kind == MessageKind::turn) {
    if (const auto body = decode<TurnMessage>(envelope->body)) wanted = body->deployment;
  }
  if (wanted != 0 && programs.unit(wanted) == nullptr) {
    needs.deployments.push_back(wanted);
  }
}

tl::expected<void, ApplyError> Partition::Impl::on_message_ack(Context& context) {
  const auto body = decode<MessageAck>(context.record.body);
  if (!body) return bad_body(context.record);
  if (stretch != 0) {
    mail.acknowledged(body->destination, body->n, stretch);
  } else if (body->n <= mail.last_sent(body->destination)) {
    mail.acknowledged(body->destination, body->n);
  }
  return {};
}

}  // namespace sluice::core
