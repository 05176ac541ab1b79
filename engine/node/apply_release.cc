// What leaves: effects of a committed batch, and answers that depend on nothing that is not
// durable.
#include <algorithm>

#include "engine/node/apply_thread.hpp"
#include "vm/json_reader.hpp"

namespace sluice::node {
namespace {

// Rows of changed live runs that one call gives.
constexpr std::size_t kChangedRunsMax = 2'000;

RunState state_of(const core::RunRow& row) {
  RunState state;
  state.run = row.run;
  state.state = core::run_state_word(row.state);
  state.step = row.step;
  state.attempt = row.attempt;
  state.why = row.why;
  state.ended = core::is_final(row.state);
  state.outcome_name = row.outcome_name;
  state.outcome_json = row.outcome_json;
  state.joined = row.joined;
  return state;
}

}  // namespace

// An effect that no record of its own carries (a duplicate's answer, a refusal): it waits for the
// seq it names.
void ApplyThread::answer(Owned& owned, core::Effect&& effect) {
  const core::Seq seq = core::seq_of(effect);
  if (seq <= owned.durable) {
    release_effect(owned, effect);
    return;
  }
  Pending& pending = in_flight_ && seq <= flying_end(owned) ? *flying_ : *building_;
  pending.effects.push_back(std::move(effect));
  note_effects(pending, owned);
}

void ApplyThread::note_effects(Pending& pending, Owned& owned) {
  const std::size_t end = pending.effects.size();
  if (!pending.segments.empty() && pending.segments.back().owner == &owned) {
    pending.segments.back().end = end;
  } else {
    pending.segments.push_back({&owned, end});
  }
}

void ApplyThread::release(Pending& pending) {
  std::size_t at = 0;
  for (const auto& segment : pending.segments) {
    for (; at < segment.end; ++at) {
      if (segment.owner->lost) {
        abandon(pending.effects[at]);
      } else {
        release_effect(*segment.owner, pending.effects[at]);
      }
    }
  }
  for (auto& reported : pending.reported) {
    if (!reported.owner->lost) work_.reported.push_back(reported.key);
  }
  for (auto& waiter : pending.waiters) {
    if (waiter.then) waiter.then(!waiter.owner->lost);
  }
  flush_ready();
  // A partition serves once the dispatcher knows what it owes.
  for (Owned* owned : pending.owners) {
    --owned->batches;
    if (!owned->lost) {
      owned->serving = true;
      known_durable_[number(owned->partition.id())] = owned->durable;
      shared_.states.progress(owned->partition.id(), owned->epoch, owned->durable,
                              owned->partition.stats().runs);
    }
  }
  pending.clear();
}

void ApplyThread::release_effect(Owned& owned, core::Effect& effect) {
  if (auto* accepted = std::get_if<core::Accepted>(&effect)) {
    if (!accepted->reply.wanted()) return;
    Counters::add(accepted->duplicate ? shared_.counters.duplicates : shared_.counters.accepted);
    out_.add(
        accepted->reply.shard,
        Accepted{accepted->reply, core::to_text(accepted->event), accepted->seq,
                 std::move(accepted->runs), std::move(accepted->correlation), accepted->duplicate});
  } else if (auto* rejected = std::get_if<core::Rejected>(&effect)) {
    if (!rejected->reply.wanted()) return;
    Counters::add(shared_.counters.rejected);
    out_.add(rejected->reply.shard,
             Rejected{rejected->reply,
                      {std::string(core::refusal_word(rejected->code)),
                       std::move(rejected->message), rejected->retry_after_ms}});
  } else if (const auto* settled = std::get_if<core::Settled>(&effect)) {
    if (!settled->reply.wanted()) return;
    Counters::add(shared_.counters.reports_settled);
    out_.add(settled->reply.shard, Settled{settled->reply});
  } else if (const auto* stale = std::get_if<core::Stale>(&effect)) {
    if (!stale->reply.wanted()) return;
    Counters::add(shared_.counters.reports_stale);
    out_.add(stale->reply.shard, Stale{stale->reply});
  } else if (auto* delivery = std::get_if<core::Delivery>(&effect)) {
    deliver(*delivery);
  } else if (auto* send = std::get_if<core::Send>(&effect)) {
    RecordInput input;
    input.partition = send->destination;
    input.record =
        core::make_record(send->tenant, core::Message{owned.partition.id(), send->n, send->body});
    posts_.push_back(std::move(input));
  } else if (const auto* acknowledge = std::get_if<core::Acknowledge>(&effect)) {
    if (owned.acks.empty()) owned.acks_since_us = now_us_;
    auto& n = owned.acks[static_cast<std::uint16_t>(acknowledge->source)];
    n = std::max(n, acknowledge->n);
  } else if (auto* changed = std::get_if<core::RunChanged>(&effect)) {
    run_changed(changed->row);
  } else if (const auto* dead = std::get_if<core::DeadLettered>(&effect)) {
    Counters::add(shared_.counters.dead_letters);
    log_line(shared_, "dead letter: run " + core::to_text(dead->run) + " " + dead->path + ": " +
                          dead->kind + ": " + dead->message);
  } else if (const auto* wanted = std::get_if<core::PresenceWanted>(&effect)) {
    shared_.presence.wanted(*wanted);
  } else if (const auto* end = std::get_if<core::StreamEnded>(&effect)) {
    shared_.streams.ended(*end);
  } else if (const auto* line = std::get_if<core::LogLine>(&effect)) {
    std::string text;
    vm::append_json_string(line->text, text);  // on one line, whatever the program wrote
    log_line(shared_, "run " + core::to_text(line->run) + " " + line->path + ": " + text);
  } else {
    // Whoever speaks is known before a worker has the task.
    if (const auto* offer = std::get_if<core::Offer>(&effect)) shared_.streams.offered(*offer);
    if (const auto* revoke = std::get_if<core::Revoke>(&effect)) {
      shared_.streams.revoked(revoke->key);
    }
    work_.effects.push_back(std::move(effect));  // the dispatcher's
  }
}

void ApplyThread::deliver(core::Delivery& delivery) {
  const auto found = live_.find(client_hash(delivery.tenant, delivery.client));
  if (found == live_.end()) return;  // it is stored; sessions that come read it
  Delivery message;
  message.tenant = shared_.tenants.name(delivery.tenant);
  message.client = std::move(delivery.client);
  message.offset = delivery.offset;
  message.name = std::move(delivery.name);
  message.data_json = std::move(delivery.data_json);
  message.run = delivery.run;
  message.correlation = std::move(delivery.correlation);
  message.causation = std::move(delivery.causation);
  message.outcome = delivery.outcome;
  std::size_t left = found->second.size();
  for (const auto& [shard, count] : found->second) {
    if (--left == 0) {
      out_.add(shard, std::move(message));
      return;
    }
    out_.add(shard, Delivery(message));
  }
}

void ApplyThread::run_changed(core::RunRow& row) {
  for (const unsigned shard : shared_.watches.shards(row.run)) out_.add(shard, state_of(row));
  if (core::is_final(row.state)) shared_.presence.over(row);
  rows_.push_back(std::move(row));
}

// The record may be in or not: whoever waits is told to ask again.
void ApplyThread::abandon(core::Effect& effect) {
  const auto tell = [this](const Reply& reply) {
    if (!reply.wanted()) return;
    Counters::add(shared_.counters.rejected);
    out_.add(reply.shard, Rejected{reply,
                                   {"unavailable", "the partition of this key changes its owner",
                                    kUnavailableRetryMs}});
  };
  if (const auto* accepted = std::get_if<core::Accepted>(&effect)) tell(accepted->reply);
  if (const auto* rejected = std::get_if<core::Rejected>(&effect)) tell(rejected->reply);
  if (const auto* settled = std::get_if<core::Settled>(&effect)) tell(settled->reply);
  if (const auto* stale = std::get_if<core::Stale>(&effect)) tell(stale->reply);
}

void ApplyThread::flush_ready() {
  store_.push_runs(std::move(rows_));
  rows_.clear();
  desk_.commit(work_, out_);
  for (auto& input : posts_) {
    Inbox& inbox = shared_.inbox(input.partition);
    inbox.post(std::move(input));
  }
  posts_.clear();
}

void ApplyThread::poll_changed_runs() {
  for (const auto partition : mine_) {
    Owned* owned = serving(partition);
    if (owned == nullptr || !owned->serving) continue;
    if (now_us_ - owned->projected_at_us >= kProjectionMs * 1000) project(*owned);
  }
}

void ApplyThread::project(Owned& owned) {
  owned.projected_at_us = now_us_;
  const core::Seq seq = owned.partition.last_seq();
  for (auto rows = owned.partition.changed_runs(kChangedRunsMax); !rows.empty();
       rows = owned.partition.changed_runs(kChangedRunsMax)) {
    for (auto& row : rows) answer(owned, core::RunChanged{seq, std::move(row)});
  }
}

}  // namespace sluice::node
