// What is decided before a record gets its seq.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/retry.hpp"
#include "engine/core/vm_call.hpp"

namespace sluice::core {
namespace {

Effect rejected(Seq seq, Reply reply, Refusal code, std::string message,
                std::uint32_t retry_after_ms = 0) {
  return Rejected{seq, reply, code, std::move(message), retry_after_ms};
}

struct Sizes {
  std::string_view id, client, order_key, correlation, traceparent, payload;
};

// The first size that is out of bounds.
std::optional<std::pair<Refusal, std::string>> bad_size(const Sizes& sizes) {
  const auto over = [](const char* what, std::size_t most) {
    return std::pair{Refusal::invalid,
                     std::string(what) + " is longer than " + std::to_string(most) + " bytes"};
  };
  if (sizes.payload.size() > kPayloadBytesMax) {
    return std::pair{Refusal::too_large,
                     "the data is larger than " + std::to_string(kPayloadBytesMax) + " bytes"};
  }
  if (sizes.id.empty()) return std::pair{Refusal::invalid, std::string("the id is empty")};
  if (sizes.id.size() > kIdBytesMax) return over("the id", kIdBytesMax);
  if (sizes.client.size() > kClientBytesMax) return over("the client's name", kClientBytesMax);
  if (sizes.order_key.size() > kClientBytesMax) return over("the ordering key", kClientBytesMax);
  if (sizes.correlation.size() > kCorrelationBytesMax) {
    return over("the correlation", kCorrelationBytesMax);
  }
  if (sizes.traceparent.size() > kTraceparentBytesMax) {
    return over("the traceparent", kTraceparentBytesMax);
  }
  return std::nullopt;
}

// The first answer again, made from what the table remembers.
Effect duplicate_of(PartitionId partition, const DedupeEntry& entry, Reply reply) {
  Accepted answer;
  answer.seq = entry.seq;
  answer.reply = reply;
  answer.event = make_event_id(partition, entry.seq, entry.time);
  for (unsigned i = 0; i < entry.runs; ++i) {
    const PartitionId home = entry.homes.empty() ? partition : entry.homes[i];
    answer.runs.push_back(home == partition
                              ? make_run_id(partition, entry.seq, entry.time, i)
                              : make_run_id_at(home, partition, entry.seq, entry.time, i));
  }
  answer.correlation = entry.correlation.empty() ? to_text(answer.event) : entry.correlation;
  answer.duplicate = true;
  return answer;
}

// Why no client's input is taken now; null: it is.
const char* full(const Partition::Config& config, std::size_t runs, std::uint64_t entries,
                 std::uint64_t messages) {
  if (runs >= config.limits.runs) return "too many runs are alive";
  if (entries >= config.limits.dedupe_entries) return "too many ids are remembered";
  if (messages >= std::min(config.limits.outbox_messages, config.outbox_messages)) {
    return "too many messages are under way";
  }
  return nullptr;
}

}  // namespace

Hash128 signal_key(TenantId tenant, const Signal& signal) {
  return dedupe_key(tenant, "signal", signal.client, to_text(signal.run), signal.id);
}

std::optional<Effect> Partition::Impl::admit_event(TenantId tenant, const Event& event, TimeUs now,
                                                   Reply reply, TimeUs waited) const {
  if (const auto bad = bad_size({event.id, event.client, event.order_key, event.correlation,
                                 event.traceparent, event.data})) {
    return rejected(seq, reply, bad->first, bad->second);
  }
  vm::Unit* unit = programs.unit(event.deployment);
  if (unit == nullptr) {
    return rejected(seq, reply, Refusal::unavailable, "the deployment is not loaded here");
  }
  if (event.topic >= unit->program().topics.size()) {
    return rejected(seq, reply, Refusal::unknown_topic, "no such topic");
  }
  const vm::TopicInfo& topic = unit->program().topics[event.topic];
  const Hash128 key = dedupe_key(tenant, topic.name, event.client, event.order_key, event.id);
  if (const DedupeEntry* first = dedupe.find(key, now)) {
    return duplicate_of(config.id, *first, reply);
  }
  const std::uint64_t ttl = ttl_of(topic, event);
  if (ttl > 0 && static_cast<std::uint64_t>(std::max<TimeUs>(waited, 0) / kUsPerMs) >= ttl) {
    return rejected(seq, reply, Refusal::expired, "the event is older than its ttl");
  }
  if (const char* why = full(config, runs.size(), dedupe.size(), mail.pending())) {
    return rejected(seq, reply, Refusal::busy, why, config.limits.busy_retry_ms);
  }
  return admit_turns(tenant, *unit, event, reply);
}

std::optional<Effect> Partition::Impl::admit_start(TenantId tenant, const Start& start, TimeUs now,
                                                   Reply reply) const {
  if (const auto bad = bad_size(
          {start.id, start.client, {}, start.correlation, start.traceparent, start.args})) {
    return rejected(seq, reply, bad->first, bad->second);
  }
  vm::Unit* unit = programs.unit(start.deployment);
  if (unit == nullptr) {
    return rejected(seq, reply, Refusal::unavailable, "the deployment is not loaded here");
  }
  if (start.flow >= unit->program().flows.size()) {
    return rejected(seq, reply, Refusal::unknown_flow, "no such flow");
  }
  const std::string scope = "flow " + unit->program().flows[start.flow].name;
  const Hash128 key = dedupe_key(tenant, scope, start.client, {}, start.id);
  if (const DedupeEntry* first = dedupe.find(key, now)) {
    return duplicate_of(config.id, *first, reply);
  }
  if (const char* why = full(config, runs.size(), dedupe.size(), mail.pending())) {
    return rejected(seq, reply, Refusal::busy, why, config.limits.busy_retry_ms);
  }
  if (!unit->program().flows[start.flow].concurrency) return std::nullopt;
  const auto args = vm::decode_value(start.args);
  if (!args || !args->is(vm::Kind::list)) return std::nullopt;  // applying it says so
  return admit_turn(tenant, *unit, start.flow, start.client, args->elements(), reply);
}

std::optional<Effect> Partition::Impl::admit_cancel(TenantId tenant, const Cancel& cancel,
                                                    Reply reply) const {
  const RunEntry* entry = find_run(cancel.run);
  const bool visible = entry != nullptr && entry->tenant == tenant &&
                       (cancel.client.empty() || entry->client == cancel.client);
  if (!visible) return rejected(seq, reply, Refusal::unknown_run, "no such live run");
  if (cancel.id.size() > kIdBytesMax || cancel.message.size() > kFailureMessageBytesMax) {
    return rejected(seq, reply, Refusal::invalid, "the id or message is too long");
  }
  const vm::Phase phase = entry->run->phase();
  if (phase == vm::Phase::running || phase == vm::Phase::created) return std::nullopt;
  Accepted answer;
  answer.seq = seq;
  answer.reply = reply;
  answer.event = make_event_id(config.id, seq, time);
  answer.runs = {entry->id};
  answer.correlation = entry->correlation;
  return answer;
}

std::optional<Effect> Partition::Impl::admit_signal(TenantId tenant, const Signal& signal,
                                                    TimeUs now, Reply reply) const {
  if (const auto bad = bad_size({signal.id, signal.client, {}, {}, {}, signal.data})) {
    return rejected(seq, reply, bad->first, bad->second);
  }
  if (signal.data.size() > vm::kSignalBytesMax) {
    return rejected(seq, reply, Refusal::too_large,
                    "a signal has at most " + std::to_string(vm::kSignalBytesMax) + " bytes");
  }
  if (const DedupeEntry* first = dedupe.find(signal_key(tenant, signal), now)) {
    Effect answer = duplicate_of(config.id, *first, reply);
    std::get<Accepted>(answer).runs = {signal.run};
    return answer;
  }
  const RunEntry* entry = find_run(signal.run);
  const bool visible = entry != nullptr && entry->tenant == tenant &&
                       (signal.client.empty() || entry->client == signal.client);
  if (!visible) return rejected(seq, reply, Refusal::unknown_run, "no such live run");
  if (signal.deployment != entry->deployment) {
    return rejected(seq, reply, Refusal::unavailable, "the run goes on in another version",
                    config.limits.busy_retry_ms);
  }
  const bool forged = is_engines(entry->loaded->program(), signal.event);
  switch (forged ? vm::SignalFit::unexpected
                 : entry->run->fits(signal.event, std::nullopt, signal.data.size())) {
    case vm::SignalFit::unexpected:
      return rejected(seq, reply, Refusal::unexpected, "no `receive` of the run names this event");
    case vm::SignalFit::full:
      return rejected(seq, reply, Refusal::busy, "too many signals wait for this run already",
                      config.limits.busy_retry_ms);
    case vm::SignalFit::taken:
      break;
  }
  if (dedupe.size() >= config.limits.dedupe_entries) {
    return rejected(seq, reply, Refusal::busy, "too many ids are remembered",
                    config.limits.busy_retry_ms);
  }
  return std::nullopt;
}

template <class Report>
std::optional<Effect> Partition::Impl::admit_report(TenantId tenant, const Report& report,
                                                    Reply reply) const {
  RunEntry* entry = find_run(report.run);
  if (entry == nullptr || entry->tenant != tenant) return Stale{seq, reply};
  const StepEntry* step = open_attempt(entry, report);
  if (step != nullptr &&
      step->digest_of(*step->find_attempt(report.attempt)) == report.args_digest) {
    return std::nullopt;
  }
  if (entry->remembers(report.step, report.attempt, report_digest(report))) {
    return Settled{seq, reply};
  }
  return Stale{seq, reply};
}

Partition::Needs Partition::Impl::needs(const Record& record) const {
  Needs needs;
  const auto want = [&](DeploymentNumber number) {
    if (number != 0 && programs.unit(number) == nullptr) needs.deployments.push_back(number);
  };
  if (record.kind == Kind::event) {
    if (const auto body = decode<Event>(record.body)) want(body->deployment);
  } else if (record.kind == Kind::start) {
    if (const auto body = decode<Start>(record.body)) want(body->deployment);
  } else if (record.kind == Kind::cron) {
    if (const auto body = decode<Cron>(record.body)) want(body->deployment);
  } else if (record.kind == Kind::message) {
    if (const auto body = decode<Message>(record.body)) need_programs(*body, needs);
  }
  return needs;
}

// ---- the facade's part

std::optional<Effect> Partition::admit(TenantId tenant, const Event& event, TimeUs now, Reply reply,
                                       TimeUs waited) const {
  return impl_->admit_event(tenant, event, now, reply, waited);
}
std::optional<Effect> Partition::admit(TenantId tenant, const Start& start, TimeUs now,
                                       Reply reply) const {
  return impl_->admit_start(tenant, start, now, reply);
}
std::optional<Effect> Partition::admit(TenantId tenant, const Cancel& cancel, Reply reply) const {
  return impl_->admit_cancel(tenant, cancel, reply);
}
std::optional<Effect> Partition::admit(TenantId tenant, const Signal& signal, TimeUs now,
                                       Reply reply) const {
  return impl_->admit_signal(tenant, signal, now, reply);
}
DeploymentNumber Partition::deployment_of(const RunId& run) const {
  const RunEntry* entry = impl_->find_run(run);
  return entry == nullptr ? 0 : entry->deployment;
}
std::optional<Effect> Partition::admit(TenantId tenant, const Done& done, Reply reply) const {
  if (done.result.size() > kPayloadBytesMax) {
    return rejected(last_seq(), reply, Refusal::too_large, "the result is too large");
  }
  return impl_->admit_report(tenant, done, reply);
}
std::optional<Effect> Partition::admit(TenantId tenant, const Failed& failed, Reply reply) const {
  if (failed.kind.size() > kFailureKindBytesMax || failed.kind.empty() ||
      failed.message.size() > kFailureMessageBytesMax) {
    return rejected(last_seq(), reply, Refusal::invalid,
                    "the failure's kind or message is too long");
  }
  return impl_->admit_report(tenant, failed, reply);
}
bool Partition::admit(const Granted& granted) const {
  RunEntry* entry = impl_->find_run(granted.run);
  const StepEntry* step = Impl::open_attempt(entry, granted);
  if (step == nullptr || step->status != StepStatus::open) return false;
  return !is_safe(entry->loaded->program().steps[step->site]);
}
bool Partition::admit(const Lapsed& lapsed) const {
  return Impl::open_attempt(impl_->find_run(lapsed.run), lapsed) != nullptr;
}
bool Partition::admit(const Spoke& spoke) const {
  const StepEntry* step = Impl::open_attempt(impl_->find_run(spoke.run), spoke);
  return step != nullptr && step->is_undecided();
}
bool Partition::admit(const MessageAck& ack) const {
  return ack.n <= impl_->mail.last_sent(ack.destination) &&
         ack.n > impl_->mail.acknowledged_by(ack.destination);
}
bool Partition::admit(const Cron& cron) const {
  return impl_->admit_cron(cron);
}
bool Partition::admit(const Presence& presence) const {
  return impl_->admit_presence(presence);
}
Partition::MessageAdmission Partition::admit(const Message& message) const {
  const std::uint64_t last = impl_->mail.taken_from(message.source);
  if (message.n <= last) return MessageAdmission::repeated;
  return message.n == last + 1 ? MessageAdmission::fresh : MessageAdmission::gap;
}
std::uint64_t Partition::taken_from(PartitionId source) const {
  return impl_->mail.taken_from(source);
}
Partition::Needs Partition::needs(const Record& record) const {
  return impl_->needs(record);
}

}  // namespace sluice::core
