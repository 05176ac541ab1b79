// From what came in to records in the building batch.
#include <algorithm>

#include "engine/core/check.hpp"
#include "engine/node/apply_thread.hpp"
#include "engine/schedule/instants.hpp"

namespace sluice::node {
namespace {

// An Advance per turn and partition at most, so that a thousand timers of one instant leave room
// for others.
constexpr int kTimersPerTurn = 256;
// How long acknowledgements of messages are gathered: each is a record at their source.
constexpr std::int64_t kAckGatherUs = 50'000;
// Messages that were not acknowledged for that long are sent again.
constexpr std::int64_t kResendUs = 2'000'000;

std::size_t size_of(const RecordInput& input) {
  return input.record.body.size() + sizeof input;
}

}  // namespace

ApplyThread::Owned* ApplyThread::serving(core::PartitionId partition) {
  if (number(partition) >= owned_.size()) return nullptr;
  Owned* owned = owned_[number(partition)].get();
  return owned == nullptr || owned->lost ? nullptr : owned;
}

void ApplyThread::take_inbox() {
  incoming_.clear();
  inbox_.drain(incoming_);
  for (auto& command : incoming_.commands) take_command(command);
  for (auto& input : incoming_.records) {
    (input.from_client ? clients_ : internal_).push_back(std::move(input));
  }
  for (auto& input : incoming_.looks) look(input);
}

void ApplyThread::take_command(Command& command) {
  if (auto* adopt = std::get_if<Adopt>(&command)) {
    for (const auto& owned : adopt->partitions) adopting_.push_back(owned);
  } else if (const auto* written = std::get_if<CheckpointWritten>(&command)) {
    checkpoint_written(*written);
  } else if (const auto* live = std::get_if<SetLive>(&command)) {
    int& count = live_[live->client_hash][live->shard];
    count += live->change;
    if (count <= 0) {
      live_[live->client_hash].erase(live->shard);
      if (live_[live->client_hash].empty()) live_.erase(live->client_hash);
    }
  } else if (const auto* touch = std::get_if<Touch>(&command)) {
    touch_before(touch->before);
  } else if (auto* halt = std::get_if<Halt>(&command)) {
    halt_done_ = std::move(halt->done);
    halt_until_us_ = now_us_ + kHaltMs * 1000;
  }
}

void ApplyThread::touch_before(journal::Day day) {
  for (const auto partition : mine_) {
    Owned* owned = serving(partition);
    if (owned == nullptr || owned->tip.seq == 0 || owned->tip.day >= day) continue;
    if (batch_full() || !batch_takes(*owned)) return;  // the next time, then
    apply_record(*owned, core::make_record({}, core::Takeover{owned->epoch}), {});
  }
}

void ApplyThread::look(LookInput& input) {
  Owned* owned = serving(input.partition);
  if (owned == nullptr) {
    input.then(false);
    return;
  }
  const core::Seq seq = input.look(owned->partition);
  when_durable(*owned, seq, std::move(input.then));
}

void ApplyThread::when_durable(Owned& owned, core::Seq seq, std::function<void(bool)>&& then) {
  if (!then) return;
  if (seq <= owned.durable) {
    then(true);
    return;
  }
  // In flight, or in the batch that is being built.
  Pending& pending = in_flight_ && seq <= flying_end(owned) ? *flying_ : *building_;
  pending.waiters.push_back({&owned, std::move(then)});
}

core::Seq ApplyThread::flying_end(const Owned& owned) const {
  for (std::size_t i = 0; i < flying_->owners.size(); ++i) {
    if (flying_->owners[i] == &owned) return flying_->batch.parts()[i].after.seq;
  }
  return 0;
}

bool ApplyThread::batch_full() const {
  return building_->batch.records() >= shared_.config.batch_records_max ||
         building_->batch.bytes() >= shared_.config.batch_bytes_max;
}

// A batch is of one day, because it is written to one day's leaf.
bool ApplyThread::batch_takes(const Owned& owned) const {
  const core::TimeUs time = std::max(owned.partition.last_time(), time_);
  return building_->batch.empty() || building_->batch.day() == journal::day_of(time);
}

void ApplyThread::apply_waiting() {
  while (!internal_.empty() && !batch_full()) {
    Owned* owned = serving(internal_.front().partition);
    if (owned != nullptr && !batch_takes(*owned)) return;
    RecordInput input = std::move(internal_.front());
    internal_.pop_front();
    apply_input(std::move(input));
  }
  while (!clients_.empty() && !batch_full()) {
    Owned* owned = serving(clients_.front().partition);
    if (owned != nullptr && !batch_takes(*owned)) return;
    RecordInput input = std::move(clients_.front());
    clients_.pop_front();
    inbox_.waiting_requests.fetch_sub(1, std::memory_order_relaxed);
    inbox_.waiting_bytes.fetch_sub(size_of(input), std::memory_order_relaxed);
    apply_input(std::move(input));
  }
}

void ApplyThread::refuse(RecordInput& input, const char* code, const std::string& why) {
  if (input.then) input.then(false);
  if (!input.reply.wanted()) return;
  Counters::add(shared_.counters.rejected);
  out_.add(input.reply.shard, Rejected{input.reply, {code, why, kUnavailableRetryMs}});
}

void ApplyThread::apply_input(RecordInput&& input) {
  Owned* owned = serving(input.partition);
  if (owned == nullptr) {
    refuse(input, "unavailable", "the partition of this key is not served here at the moment");
    return;
  }
  if (halt_done_ && input.from_client) {
    refuse(input, "unavailable", "the node is stopping");
    return;
  }
  bool drop = false;
  if (auto given = admit(*owned, input, drop)) {
    answer(*owned, std::move(*given));
    if (input.then) input.then(false);
    return;
  }
  if (drop) {
    // What was journaled before counts once that is durable.
    when_durable(*owned, owned->partition.last_seq(), std::move(input.then));
    return;
  }
  if (input.record.kind == core::Kind::event) count_ttl(input);
  for (const auto deployment : owned->partition.needs(input.record).deployments) {
    if (programs_.unit(deployment) != nullptr) continue;
    refuse(input, "unavailable", "its deployment cannot be loaded at the moment");
    return;
  }
  const bool report =
      input.record.kind == core::Kind::done || input.record.kind == core::Kind::failed;
  if (!apply_record(*owned, std::move(input.record), input.reply)) {
    refuse(input, "unavailable", "the partition of this key has halted");
    return;
  }
  if (report) building_->reported.push_back({owned, input.attempt});
  if (input.then) building_->waiters.push_back({owned, std::move(input.then)});
}

// What is left of an event's ttl is journaled: its time on the way here is over.
void ApplyThread::count_ttl(RecordInput& input) {
  const auto waited_ms =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_us_ - input.received_us) / 1000);
  if (waited_ms == 0) return;
  auto body = core::decode<core::Event>(input.record.body);
  if (!body) return;
  const vm::Unit* unit = programs_.unit(body->deployment);  // this thread's own: no lock
  if (unit == nullptr || body->topic >= unit->program().topics.size()) return;
  const std::uint64_t ttl = core::ttl_of(unit->program().topics[body->topic], *body);
  if (ttl == 0) return;
  body->ttl_ms = std::max<std::uint64_t>(1, ttl - std::min(ttl, waited_ms));
  input.record.body = core::encode(core::Event(*body));
}

std::optional<core::Effect> ApplyThread::admit(Owned& owned, const RecordInput& input, bool& drop) {
  const core::Partition& partition = owned.partition;
  const core::Record& record = input.record;
  const core::TimeUs time = std::max(partition.last_time(), time_);
  // What the encoding does not take (a number out of its range) is the asker's mistake.
  const auto damaged = [&]() -> std::optional<core::Effect> {
    return core::Rejected{partition.last_seq(), input.reply, core::Refusal::invalid,
                          "the request cannot be journaled", 0};
  };
  switch (record.kind) {
    case core::Kind::event: {
      const auto body = core::decode<core::Event>(record.body);
      if (!body) return damaged();
      return partition.admit(record.tenant, *body, time, input.reply, now_us_ - input.received_us);
    }
    case core::Kind::start: {
      const auto body = core::decode<core::Start>(record.body);
      return body ? partition.admit(record.tenant, *body, time, input.reply) : damaged();
    }
    case core::Kind::cancel: {
      const auto body = core::decode<core::Cancel>(record.body);
      return body ? partition.admit(record.tenant, *body, input.reply) : damaged();
    }
    case core::Kind::signal: {
      const auto body = core::decode<core::Signal>(record.body);
      return body ? partition.admit(record.tenant, *body, time, input.reply) : damaged();
    }
    case core::Kind::done: {
      const auto body = core::decode<core::Done>(record.body);
      return body ? partition.admit(record.tenant, *body, input.reply) : damaged();
    }
    case core::Kind::failed: {
      const auto body = core::decode<core::Failed>(record.body);
      return body ? partition.admit(record.tenant, *body, input.reply) : damaged();
    }
    case core::Kind::granted: {
      const auto body = core::decode<core::Granted>(record.body);
      drop = !body || !partition.admit(*body);
      return std::nullopt;
    }
    case core::Kind::lapsed: {
      const auto body = core::decode<core::Lapsed>(record.body);
      drop = !body || !partition.admit(*body);
      return std::nullopt;
    }
    case core::Kind::verdict: {
      const auto body = core::decode<core::Spoke>(record.body);
      drop = !body || !partition.admit(*body);
      return std::nullopt;
    }
    case core::Kind::presence: {
      const auto body = core::decode<core::Presence>(record.body);
      drop = !body || !partition.admit(*body);
      return std::nullopt;
    }
    case core::Kind::deployment: {
      const auto body = core::decode<core::DeploymentRecord>(record.body);
      drop = !body || body->deployment <= partition.deployment();
      return std::nullopt;
    }
    case core::Kind::message:
    case core::Kind::message_ack:
      return admit_message(owned, record, drop);
    default:
      return std::nullopt;  // takeover and the like: the thread's own
  }
}

std::optional<core::Effect> ApplyThread::admit_message(Owned& owned, const core::Record& record,
                                                       bool& drop) {
  if (record.kind == core::Kind::message_ack) {
    const auto body = core::decode<core::MessageAck>(record.body);
    drop = !body || !owned.partition.admit(*body);
    return std::nullopt;
  }
  const auto body = core::decode<core::Message>(record.body);
  if (!body) {
    drop = true;
    return std::nullopt;
  }
  const auto admission = owned.partition.admit(*body);
  if (admission == core::Partition::MessageAdmission::fresh) return std::nullopt;
  drop = true;
  if (admission == core::Partition::MessageAdmission::repeated) {
    return core::Acknowledge{owned.partition.last_seq(), body->source,
                             owned.partition.taken_from(body->source)};
  }
  return std::nullopt;
}

bool ApplyThread::apply_record(Owned& owned, core::Record&& record, Reply reply) {
  Pending& pending = *building_;
  record.seq = owned.partition.next_seq();
  record.time = std::max(owned.partition.last_time(), time_);
  record.core = owned.partition.core();
  core::Hash128 name;
  if (shared_.notebook != nullptr) {
    name = Notebook::name(owned.partition.id(), record);
    if (shared_.notebook->poisonous(name)) record.verdict = core::Verdict::suspect;
    shared_.notebook->begin(index_, name);
  }
  const std::size_t before = pending.effects.size();
  auto applied = owned.partition.apply(record, reply, pending.effects);
  if (shared_.notebook != nullptr) shared_.notebook->end(index_);
  if (!applied) {
    pending.effects.resize(before);
    halt(owned, applied.error().message);
    return false;
  }
  if (applied->verdict == core::Verdict::faulted) {
    log_line(shared_, "record " + core::record_name(owned.partition.id(), record.seq) +
                          " faulted: " + applied->fault);
  }
  record.verdict = applied->verdict;
  const std::size_t part = pending.batch.open(owned.partition.id(), owned.epoch, owned.tip);
  if (part == pending.owners.size()) {
    pending.owners.push_back(&owned);
    ++owned.batches;
  }
  SLUICE_CHECK(pending.owners[part] == &owned);
  pending.batch.add(part, record, *applied);
  owned.tail_bytes += record.body.size();
  for (std::size_t i = before; i < pending.effects.size(); ++i) {
    if (const auto* delivery = std::get_if<core::Delivery>(&pending.effects[i])) {
      pending.batch.deliver(part, *delivery, core::encode_delivery(*delivery));
    }
  }
  offer_early(pending, owned, before);
  note_effects(pending, owned);
  return true;
}

// Offers that need not wait for the commit leave at the end of this turn, after the batch was sent.
// Not before the partition's takeover is durable, nor while this node may not append: then the
// record may never come to be.
void ApplyThread::offer_early(Pending& pending, const Owned& owned, std::size_t from) {
  if (!owned.serving || !may_append()) return;
  std::size_t kept = from;
  for (std::size_t i = from; i < pending.effects.size(); ++i) {
    core::Effect& effect = pending.effects[i];
    const auto* offer = std::get_if<core::Offer>(&effect);
    if (offer != nullptr && offer->early) {
      work_.effects.push_back(std::move(effect));
    } else {
      if (kept != i) pending.effects[kept] = std::move(effect);
      ++kept;
    }
  }
  pending.effects.resize(kept);
}

void ApplyThread::fire_timers() {
  for (const auto partition : mine_) {
    Owned* owned = serving(partition);
    if (owned == nullptr || !owned->serving) continue;
    for (int i = 0; i < kTimersPerTurn && !batch_full() && batch_takes(*owned); ++i) {
      const auto due = owned->partition.next_due();
      if (!due || *due > std::max(owned->partition.last_time(), time_)) break;
      const core::TimeUs time = std::max(owned->partition.last_time(), time_);
      if (!apply_record(*owned, owned->partition.make_advance(time), {})) break;
    }
  }
}

// Of instants that were missed the last one counts.
void ApplyThread::fire_schedules() {
  const core::TenantId tenant{shared_.schedule_tenant.load(std::memory_order_relaxed)};
  if (number(tenant) == 0) return;
  for (const auto partition : mine_) {
    Owned* owned = serving(partition);
    if (owned == nullptr || !owned->serving) continue;
    if (owned->schedules_of != owned->partition.deployment()) look_at_schedules(*owned);
    while (owned->scheduled && owned->scheduled_at <= time_ && !batch_full() &&
           batch_takes(*owned)) {
      const core::ScheduledFlow& due = *owned->scheduled;
      const auto instant = schedule::last_instant(due.schedule, due.after, time_);
      const core::Cron cron{owned->schedules_of, due.flow, instant.value_or(owned->scheduled_at)};
      if (owned->partition.admit(cron) &&
          !apply_record(*owned, core::make_record(tenant, cron), {})) {
        break;
      }
      look_at_schedules(*owned);
    }
  }
}

void ApplyThread::look_at_schedules(Owned& owned) {
  owned.scheduled.reset();
  const core::DeploymentNumber newest = owned.partition.deployment();
  if (newest != 0 && programs_.unit(newest) == nullptr) return;  // looked at again
  owned.schedules_of = newest;
  for (core::ScheduledFlow& each : owned.partition.schedules()) {
    const auto instant = schedule::next_instant(each.schedule, each.after);
    if (!instant) {
      shared_.warn("the schedule `" + each.schedule.cron + "` in `" + each.schedule.zone +
                   "` has no next instant here: is the zone in the system's database?");
      continue;
    }
    if (owned.scheduled && *instant >= owned.scheduled_at) continue;
    owned.scheduled = std::move(each);
    owned.scheduled_at = *instant;
  }
}

void ApplyThread::flush_acks() {
  for (const auto partition : mine_) {
    Owned* owned = serving(partition);
    if (owned == nullptr || owned->acks.empty()) continue;
    if (now_us_ - owned->acks_since_us < kAckGatherUs) continue;
    for (const auto& [source, n] : owned->acks) {
      RecordInput input;
      input.partition = static_cast<core::PartitionId>(source);
      input.record = core::make_record({}, core::MessageAck{partition, n});
      posts_.push_back(std::move(input));
    }
    owned->acks.clear();
  }
}

void ApplyThread::resend_messages() {
  for (const auto partition : mine_) {
    Owned* owned = serving(partition);
    if (owned == nullptr || !owned->serving || now_us_ < owned->resend_at_us) continue;
    owned->resend_at_us = now_us_ + kResendUs;
    core::Effects effects;
    owned->partition.resend_messages(owned->durable, effects);
    for (auto& effect : effects) release_effect(*owned, effect);
  }
}

}  // namespace sluice::node
