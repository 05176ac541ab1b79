// New runs, and under `concurrency`: who begins, who waits, who is superseded.
//
// What a run's arrival or end means for others is decided at once and told by timers that are due
// at once, so that each record touches one run and stands in its history. A run under
// `concurrency` therefore always begins with a record of its own, mostly in the same batch.
#include <algorithm>

#include "engine/core/message.hpp"
#include "engine/core/partition_impl.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/evaluator.hpp"
#include "vm/tenant_key.hpp"

namespace sluice::core {
namespace {

std::uint64_t earlier(std::uint64_t a, std::uint64_t b) {
  return a == 0 ? b : b == 0 ? a : std::min(a, b);
}

bool has_begun(const RunEntry& entry) {
  return entry.run->phase() != vm::Phase::created;
}

bool has_place(Place place) {
  return place == Place::called || place == Place::inside;
}

// Whether one more finds neither a place nor room to wait.
bool is_full(const Gate& gate, const vm::Concurrency& rule) {
  if (gate.taken < rule.runs) return false;
  switch (rule.overload) {
    case vm::Overload::wait:
    case vm::Overload::queue:
      return gate.waiting >= rule.waiting;
    case vm::Overload::reject:
      return true;
    case vm::Overload::newest_wins:
      return false;
    case vm::Overload::joins:
      return gate.waiting >= vm::kSignalsMax;
  }
  return false;
}

std::string full_text(const vm::FlowInfo& flow) {
  const vm::Concurrency& rule = *flow.concurrency;
  std::string text = std::to_string(rule.runs) + " of `" + flow.name + "` go on already";
  if (rule.overload == vm::Overload::reject) return text;
  const bool joins = rule.overload == vm::Overload::joins;
  return text + ", and " + std::to_string(joins ? vm::kSignalsMax : rule.waiting) + " wait";
}

}  // namespace

std::uint64_t ttl_of(const vm::TopicInfo& topic, const Event& event) {
  return earlier(event.ttl_ms, topic.ttl_ms);
}

tl::expected<std::optional<Partition::Impl::GateName>, Fault> Partition::Impl::gate_of(
    TenantId tenant, vm::Unit& unit, std::uint32_t flow, std::string_view client,
    std::span<const vm::Value> arguments) const {
  const vm::FlowInfo& info = unit.program().flows[flow];
  if (!info.concurrency) return std::nullopt;
  std::string name;
  Writer writer(name);
  writer.varint(number(tenant));
  writer.bytes(info.name);
  writer.u8(static_cast<std::uint8_t>(info.concurrency->per));
  PartitionId home{};
  switch (info.concurrency->per) {
    case vm::Per::client:
      if (client.empty()) return std::nullopt;  // nobody's run counts with no other
      writer.bytes(client);
      home = partition_of_client(tenant, client, config.partitions);
      break;
    case vm::Per::tenant:
      home = partition_of_key(tenant, vm::kTenantKey, config.partitions);
      break;
    case vm::Per::key: {
      if (arguments.size() != info.parameters.size()) {
        return tl::unexpected(Fault{"the key of `" + info.name + "` has not its arguments"});
      }
      const auto key = vm::key_text(unit, *info.concurrency->key_function, arguments);
      if (!key) {
        return tl::unexpected(Fault{"the key of `" + info.name + "`: " + key.error().message});
      }
      writer.bytes(*key);
      home = partition_of_key(tenant, *key, config.partitions);
      break;
    }
  }
  return GateName{siphash128(kStateKey, name), home};
}

std::optional<Effect> Partition::Impl::admit_turn(TenantId tenant, vm::Unit& unit,
                                                  std::uint32_t flow, std::string_view client,
                                                  std::span<const vm::Value> arguments,
                                                  Reply reply) const {
  const auto gate = gate_of(tenant, unit, flow, client, arguments);
  if (!gate) return Rejected{seq, reply, Refusal::invalid, gate.error().why, 0};
  // Another partition's gate is not seen from here: there a run that has no room fails with Busy.
  if (!*gate || (*gate)->home != config.id) return std::nullopt;
  const auto found = gates.find((*gate)->name);
  const vm::FlowInfo& info = unit.program().flows[flow];
  if (found == gates.end()) return std::nullopt;
  if (is_deaf(found->second, unit.program(), flow, arguments)) {
    return Rejected{seq, reply, Refusal::busy, "too many signals wait for the run under way",
                    config.limits.busy_retry_ms};
  }
  if (!is_full(found->second, *info.concurrency)) return std::nullopt;
  return Rejected{seq, reply, Refusal::busy, full_text(info), config.limits.busy_retry_ms};
}

std::optional<Effect> Partition::Impl::admit_turns(TenantId tenant, vm::Unit& unit,
                                                   const Event& event, Reply reply) const {
  std::optional<vm::Value> data;
  const auto& flows = unit.program().flows;
  for (std::uint32_t flow = 0; flow < flows.size(); ++flow) {
    if (flows[flow].trigger != event.topic || !flows[flow].concurrency) continue;
    if (!data) {
      auto value = vm::decode_value(event.data);
      if (!value) return std::nullopt;  // applying it says so
      data = std::move(*value);
    }
    auto refused = admit_turn(tenant, unit, flow, event.client, {&*data, 1}, reply);
    if (refused) return refused;
  }
  return std::nullopt;
}

tl::expected<Partition::Impl::NewRun, Fault> Partition::Impl::begin_run(
    const Context& context, const LoadedProgram& program, const Origin& origin,
    std::vector<vm::Value> arguments) {
  NewRun made;
  auto gate = gate_of(context.record.tenant, *program.unit, origin.flow, origin.client, arguments);
  if (!gate) return tl::unexpected(gate.error());
  const bool here = !*gate || (*gate)->home == config.id || !origin.run.is_nil() || config.one_run;
  if (!here) return send_run(context, origin, (*gate)->home, std::move(arguments));
  made.entry = make_run(context, program, origin, std::move(arguments));
  if (*gate) {
    made.gate = (*gate)->name;
    made.ttl_ms = origin.ttl_ms;
    return made;
  }
  auto activation = activate(context, *made.entry, [](vm::Run& run, vm::Commands& commands) {
    return run.begin(commands);
  });
  if (!activation) return tl::unexpected(activation.error());
  made.activation = std::move(*activation);
  return made;
}

// The run will begin in the partition that keeps its gate.
Partition::Impl::NewRun Partition::Impl::send_run(const Context& context, const Origin& origin,
                                                  PartitionId home,
                                                  std::vector<vm::Value> arguments) const {
  const Record& record = context.record;
  NewRun made;
  made.home = home;
  made.id = make_run_id_at(home, config.id, record.seq, record.time, origin.index);
  const std::string args = vm::encode_value(vm::Value::list(std::move(arguments)));
  const TurnMessage turn{origin.deployment, origin.flow,   made.id,     origin.client, args,
                         record.time,       origin.ttl_ms, origin.event};
  const std::string correlation = origin.correlation.empty()
                                      ? to_text(make_event_id(config.id, record.seq, record.time))
                                      : std::string(origin.correlation);
  const std::string cause = causation(context);
  const std::string body = encode(turn);
  Envelope envelope;
  envelope.kind = MessageKind::turn;
  envelope.hops = origin.hops;
  envelope.run = made.id;
  envelope.cause = record.seq;
  envelope.correlation = correlation;
  envelope.causation = cause;
  envelope.traceparent = origin.traceparent;
  envelope.body = body;
  made.sent = encode(envelope);
  return made;
}

std::string Partition::Impl::take_turn(Context& context, const Envelope& envelope) {
  const auto body = decode<TurnMessage>(envelope.body);
  if (!body) return "the start of a run is damaged";
  const LoadedProgram* program = load_program(body->deployment);
  if (program == nullptr) return "its deployment is not loaded";
  if (body->flow >= program->program().flows.size()) return "there is no such flow";
  const auto args = vm::decode_value(body->args);
  if (!args || !args->is(vm::Kind::list)) return "its parameters are damaged";
  const auto values = args->elements();
  Origin origin;
  origin.deployment = body->deployment;
  origin.flow = body->flow;
  origin.client = body->client;
  origin.correlation = envelope.correlation;
  origin.traceparent = envelope.traceparent;
  origin.ttl_ms = body->ttl_ms;
  origin.event = body->event;
  origin.run = body->run;
  origin.started = body->started;
  origin.hops = envelope.hops;
  auto made = begin_run(context, *program, origin, {values.begin(), values.end()});
  if (!made) return made.error().why;
  const Seq cause = context.applied.cause_seq;
  const PartitionId source = context.applied.cause_partition;
  note_record(context, *made->entry, cause);
  context.applied.cause_partition = source;
  RunEntry& entry = adopt(std::move(made->entry));
  if (made->gate) {
    enter(context, entry, *made->gate, made->ttl_ms);
  } else {
    want_presence(context, entry);
    perform(context, made->activation);
  }
  return {};
}

// ---- phase two

void Partition::Impl::take_in(Context& context, const Intake& intake, std::vector<NewRun>& made) {
  const Record& record = context.record;
  if (intake.window_ms > 0) {
    DedupeEntry entry;
    entry.key = intake.key;
    entry.seq = record.seq;
    entry.time = record.time;
    entry.runs = static_cast<std::uint32_t>(made.size());
    entry.correlation = intake.correlation;
    const bool away = std::any_of(made.begin(), made.end(),
                                  [](const NewRun& run) { return run.entry == nullptr; });
    for (const NewRun& run : made) {
      if (away) entry.homes.push_back(run.entry == nullptr ? run.home : config.id);
    }
    dedupe.insert(std::move(entry), intake.window_ms);
  }
  Accepted accepted;
  accepted.seq = record.seq;
  accepted.reply = context.reply;
  accepted.event = make_event_id(config.id, record.seq, record.time);
  for (const NewRun& run : made) {
    accepted.runs.push_back(run.entry == nullptr ? run.id : run.entry->id);
  }
  accepted.correlation =
      intake.correlation.empty() ? to_text(accepted.event) : std::string(intake.correlation);
  context.effects.push_back(std::move(accepted));
  for (std::size_t i = made.size(); i-- > 0;) {
    // Backwards, so that the record's columns name the first.
    if (made[i].entry != nullptr) note_record(context, *made[i].entry, 0);
  }
  for (NewRun& run : made) {
    if (run.entry == nullptr) {
      const std::uint64_t n = mail.send(run.home, record.tenant, record.seq, run.sent);
      context.effects.push_back(Send{record.seq, record.tenant, run.home, n, std::move(run.sent)});
      continue;
    }
    RunEntry& entry = adopt(std::move(run.entry));
    if (run.gate) {
      enter(context, entry, *run.gate, run.ttl_ms);
    } else {
      want_presence(context, entry);
      perform(context, run.activation);
    }
  }
}

void Partition::Impl::enter(Context& context, RunEntry& entry, const Hash128& name,
                            std::uint64_t ttl_ms) {
  Gate& gate = gates[name];
  const vm::FlowInfo& flow = entry.loaded->program().flows[entry.flow];
  const bool full = is_full(gate, *flow.concurrency);
  Admission& admission = entry.admission;
  admission.gate = name;
  admission.ticket = gate.members.empty() ? 1 : gate.members.rbegin()->first + 1;
  admission.place = Place::waiting;
  gate.members.emplace(admission.ticket, &entry);
  ++gate.waiting;
  const std::uint64_t ttl = earlier(ttl_ms, flow.ttl_ms);
  if (ttl > 0) {
    const auto most = static_cast<std::uint64_t>(kTimerUsMax / kUsPerMs);
    admission.expires = context.record.time + static_cast<TimeUs>(std::min(ttl, most)) * kUsPerMs;
    set_timer(admission.expires, entry.id, admission_timer(Move::expire));
  }
  if (full) plan_move(context, entry, Move::refuse);
  settle_gate(context, gate);
}

TimerNumber Partition::Impl::admission_timer(Move move) {
  return {TimerNumber::Kind::admission, static_cast<StepNumber>(move)};
}

void Partition::Impl::plan_move(Context& context, RunEntry& entry, Move move) {
  touch(entry);
  forget_move(entry);
  entry.admission.move = move;
  entry.admission.move_due = context.record.time;
  entry.admission.move_since = context.record.seq;
  set_timer(entry.admission.move_due, entry.id, admission_timer(move));
}

void Partition::Impl::forget_move(RunEntry& entry) {
  Admission& admission = entry.admission;
  if (admission.move == Move::none) return;
  clear_timer(admission.move_due, entry.id, admission_timer(admission.move));
  admission.move = Move::none;
}

// Nothing more waits for the run to begin.
void Partition::Impl::forget_expiry(RunEntry& entry) {
  clear_timer(entry.admission.expires, entry.id, admission_timer(Move::expire));
  entry.admission.expires = 0;
}

// The newest of a gate says how many go on, and what becomes of the others.
void Partition::Impl::settle_gate(Context& context, Gate& gate) {
  const RunEntry& newest = *gate.members.rbegin()->second;
  const vm::Concurrency& rule = *newest.loaded->program().flows[newest.flow].concurrency;
  if (rule.overload == vm::Overload::newest_wins) supersede_older(context, gate, rule.runs);
  for (const auto& [ticket, entry] : gate.members) {
    if (gate.taken >= rule.runs) break;
    if (entry->admission.place != Place::waiting || entry->admission.move != Move::none) continue;
    touch(*entry);
    entry->admission.place = Place::called;
    if (entry->admission.heard_by.is_nil()) plan_move(context, *entry, Move::begin);
    --gate.waiting;
    ++gate.taken;
  }
  settle_hearing(context, gate);
}

// Only the newest stay, `most` of them. One that is on its way out already goes on with that and
// answers for itself.
void Partition::Impl::supersede_older(Context& context, Gate& gate, std::uint32_t most) {
  std::uint32_t staying = 0;
  for (auto at = gate.members.rbegin(); at != gate.members.rend(); ++at) {
    RunEntry& entry = *at->second;
    const Move move = entry.admission.move;
    if (move == Move::supersede || move == Move::refuse) continue;
    if (has_begun(entry) && entry.run->phase() != vm::Phase::running) continue;
    if (++staying > most) plan_move(context, entry, Move::supersede);
  }
}

void Partition::Impl::leave_gate(Context& context, RunEntry& entry) {
  Admission& admission = entry.admission;
  if (admission.place == Place::none) return;
  forget_move(entry);
  forget_expiry(entry);
  const auto found = gates.find(admission.gate);
  SLUICE_CHECK(found != gates.end());
  Gate& gate = found->second;
  gate.members.erase(admission.ticket);
  --(has_place(admission.place) ? gate.taken : gate.waiting);
  admission.place = Place::none;
  forget_heard(context, gate, entry);
  if (gate.members.empty()) {
    gates.erase(found);
  } else {
    settle_gate(context, gate);
  }
}

void Partition::Impl::fire_admission(Context& context, RunEntry& entry, Move move) {
  const Seq cause = entry.admission.move_since;
  switch (move) {
    case Move::expire:
      return cut_short(context, entry, entry.first_seq, vm::CancelKind::timed_out,
                       "its event was older than its ttl before the run could begin", [&] {
                         forget_move(entry);
                         forget_expiry(entry);
                       });
    case Move::refuse:
      return turn_away(context, entry, cause, vm::CancelKind::busy,
                       full_text(entry.loaded->program().flows[entry.flow]));
    case Move::supersede:
      return turn_away(context, entry, cause, vm::CancelKind::superseded,
                       "a newer run takes its place");
    case Move::leave:
      return turn_away(context, entry, cause, entry.admission.leave_kind,
                       entry.admission.leave_why);
    case Move::hear:
    case Move::join:
      return stay(context, entry);
    case Move::begin:
    case Move::none:
      break;
  }
  work(
      context, entry, cause, [](vm::Run& run, vm::Commands& commands) { run.begin(commands); },
      [&] {
        forget_move(entry);
        forget_expiry(entry);
        entry.admission.place = Place::inside;
        want_presence(context, entry);
      });
}

void Partition::Impl::turn_away(Context& context, RunEntry& entry, Seq cause, vm::CancelKind kind,
                                std::string why) {
  work(
      context, entry, cause,
      [&](vm::Run& run, vm::Commands& commands) { run.cancel(kind, std::move(why), commands); },
      [&] {
        forget_move(entry);
        forget_expiry(entry);
      });
}

// After a checkpoint was loaded.
void Partition::Impl::index_admission(RunEntry& entry) {
  const Admission& admission = entry.admission;
  if (admission.place == Place::none) return;
  Gate& gate = gates[admission.gate];
  gate.members.emplace(admission.ticket, &entry);
  ++(has_place(admission.place) ? gate.taken : gate.waiting);
  if (admission.expires != 0) {
    set_timer(admission.expires, entry.id, admission_timer(Move::expire));
  }
  if (admission.move != Move::none) {
    set_timer(admission.move_due, entry.id, admission_timer(admission.move));
  }
}

std::string Partition::Impl::why_never_begun(const RunEntry& entry) const {
  const Admission& admission = entry.admission;
  if (admission.move != Move::none) {
    const TimerKey timer{admission.move_due, entry.id, admission_timer(admission.move).n()};
    return timers.contains(timer) ? "" : "nothing lets it begin";
  }
  if (!admission.heard_by.is_nil()) {
    return find_run(admission.heard_by) != nullptr ? "" : "the run that has its event is gone";
  }
  const auto gate = gates.find(admission.gate);
  if (admission.place != Place::waiting || gate == gates.end()) return "it was never let in";
  return gate->second.taken > 0 ? "" : "it waits for a place that is free";
}

}  // namespace sluice::core
