// Hashes, stored state, and what is owed after a fold.
#include <algorithm>

#include "engine/core/partition_impl.hpp"

namespace sluice::core {
namespace {

constexpr std::uint8_t kRestVersion = 2;  // 2: schedules

std::string to_hex(const Hash128& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : hash.bytes()) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string seal(std::string body) {
  Writer(body).fixed64(siphash64(kStateKey, body));
  return body;
}

// The body without its checksum; nothing if that is wrong.
std::optional<std::string_view> unseal(std::string_view row) {
  if (row.size() < 8) return std::nullopt;
  const std::string_view body = row.substr(0, row.size() - 8);
  if (Reader(row.substr(body.size())).fixed64() != siphash64(kStateKey, body)) return std::nullopt;
  return body;
}

// Writes what matters of each effect. Replies stay out: who listens is no part of the journal.
struct DigestWriter {
  Writer& out;

  void key(const AttemptKey& key) const {
    out.id(key.run);
    out.varint(key.step);
    out.varint(key.attempt);
  }
  void operator()(const Accepted& e) const {
    out.id(e.event);
    for (const RunId& run : e.runs) out.id(run);
    out.bytes(e.correlation);
  }
  void operator()(const Rejected& e) const {
    out.u8(static_cast<std::uint8_t>(e.code));
    out.bytes(e.message);
  }
  void operator()(const Offer& e) const {
    key(e.key);
    out.varint(e.opened);
    out.varint(e.task_index);
    out.svarint(e.step_deadline);
    out.fixed64(e.args_digest);
    out.bytes(e.path);
    out.bytes(e.step_key);
  }
  void operator()(const Revoke& e) const { key(e.key); }
  void operator()(const GrantCommitted& e) const { key(e.key); }
  void operator()(const Settled&) const {}
  void operator()(const Stale&) const {}
  void operator()(const Delivery& e) const {
    out.varint(e.client_number);
    out.varint(e.offset);
    out.varint(number(e.tenant));
    out.bytes(e.client);
    out.bytes(e.name);
    out.bytes(e.data_json);
    out.id(e.run);
    out.flag(e.outcome);
  }
  void operator()(const Send& e) const {
    out.varint(number(e.destination));
    out.varint(e.n);
    out.bytes(e.body);
  }
  void operator()(const Acknowledge& e) const {
    out.varint(number(e.source));
    out.varint(e.n);
  }
  void operator()(const RunChanged&) const {}
  void operator()(const StreamEnded& e) const {
    out.id(e.run);
    out.varint(e.step);
    out.u8(static_cast<std::uint8_t>(e.how));
  }
  void operator()(const DeadLettered& e) const {
    out.id(e.run);
    out.bytes(e.path);
    out.bytes(e.kind);
    out.bytes(e.message);
  }
  void operator()(const LogLine& e) const {
    out.id(e.run);
    out.bytes(e.path);
    out.bytes(e.text);
  }
  void operator()(const PresenceWanted& e) const {
    out.id(e.run);
    out.flag(e.told_away);
  }
};

}  // namespace

// ---- hashes

Hash128 Partition::Impl::state_hash() {
  for (const RunId& id : stale) {
    RunEntry* entry = find_run(id);
    if (entry == nullptr || !entry->hash_stale) continue;
    runs_hash -= entry->hash;
    entry->hash = hash_run(*entry, scratch);
    runs_hash += entry->hash;
    entry->hash_stale = false;
  }
  stale.clear();
  scratch.clear();
  Writer writer(scratch);
  writer.varint(seq);
  writer.svarint(time);
  writer.varint(core);
  writer.varint(epoch);
  writer.varint(deployment);
  writer.bytes(deployment_hash);
  write_schedules(writer);
  writer.varint(dedupe.next_slice());
  writer.hash(runs_hash);
  writer.hash(clients.hash());
  writer.hash(dedupe.hash());
  writer.hash(mail.hash());
  writer.hash(subscriptions.hash());
  return siphash128(kStateKey, scratch);
}

void Partition::Impl::add_digest(const Effect& effect) {
  if (std::holds_alternative<RunChanged>(effect)) return;
  scratch.clear();
  Writer writer(scratch);
  writer.u8(static_cast<std::uint8_t>(effect.index()));
  writer.varint(seq_of(effect));
  std::visit(DigestWriter{writer}, effect);
  digest.add(scratch);
}

// ---- writing

std::string Partition::Impl::encode_rest() const {
  std::string out;
  Writer writer(out);
  writer.u8(kRestVersion);
  writer.varint(number(config.id));
  writer.varint(config.partitions);
  writer.varint(epoch);
  writer.varint(deployment);
  writer.bytes(deployment_hash);
  writer.varint(dedupe.next_slice());
  mail.write(writer);
  subscriptions.write(writer);
  write_schedules(writer);
  return seal(std::move(out));
}

StateRow Partition::Impl::run_state_row(const RunEntry& entry) const {
  StateRow row;
  row.id = RowId{static_cast<const Id128&>(entry.id)};
  row.wake = run_row(entry).wake;
  row.body = encode_run(entry);
  return row;
}

Partition::Checkpoint Partition::Impl::begin_checkpoint(bool full) {
  if (!pending.empty() || !captured.empty()) abandon_checkpoint();
  Checkpoint checkpoint;
  checkpoint.seq = seq;
  checkpoint.time = time;
  checkpoint.core = core;
  checkpoint.hash = state_hash();
  checkpoint.rest = encode_rest();
  in_checkpoint.clear();
  if (full) {
    dirty.clear();
    for (const auto& [id, entry] : runs) dirty.push_back(id);
    std::sort(dirty.begin(), dirty.end());
  }
  for (const RunId& id : dirty) {
    RunEntry* entry = find_run(id);
    if (entry == nullptr || (!entry->dirty && !full)) continue;
    entry->dirty = false;
    entry->checkpoint_pending = true;
    pending.push_back(id);
    in_checkpoint.push_back(id);
  }
  dirty.clear();
  for (auto& row : clients.take_changed(full)) {
    captured.push_back({row.id, 0, false, seal(std::move(row.body))});
  }
  for (auto& row : dedupe.take_changed(full)) {
    if (row.body.empty())
      erased.push_back(row.id);
    else
      captured.push_back({row.id, 0, false, seal(std::move(row.body))});
  }
  erased_in_checkpoint = std::move(erased);
  erased.clear();
  for (const RowId& id : erased_in_checkpoint) captured.push_back({id, 0, true, {}});
  return checkpoint;
}

std::vector<StateRow> Partition::Impl::checkpoint_rows(std::size_t bytes) {
  std::vector<StateRow> rows;
  std::size_t size = 0;
  const auto add = [&](StateRow row) {
    size += row.body.size() + sizeof row;
    rows.push_back(std::move(row));
  };
  while (size < bytes && !captured.empty()) {
    add(std::move(captured.front()));
    captured.pop_front();
  }
  while (size < bytes && !pending.empty()) {
    RunEntry* entry = find_run(pending.front());
    pending.pop_front();
    if (entry == nullptr || !entry->checkpoint_pending) continue;  // it was copied when touched
    entry->checkpoint_pending = false;
    entry->persisted = true;
    add(run_state_row(*entry));
  }
  return rows;
}

void Partition::Impl::abandon_checkpoint() {
  for (const RunId& id : in_checkpoint) {
    RunEntry* entry = find_run(id);
    if (entry == nullptr) continue;
    entry->checkpoint_pending = false;
    if (entry->dirty) continue;
    entry->dirty = true;
    dirty.push_back(id);
  }
  in_checkpoint.clear();
  pending.clear();
  captured.clear();
  erased.insert(erased.end(), erased_in_checkpoint.begin(), erased_in_checkpoint.end());
  erased_in_checkpoint.clear();
  clients.mark_all_changed();
  dedupe.mark_all_changed();
}

// ---- reading

bool Partition::Impl::decode_rest(std::string_view bytes) {
  const auto body = unseal(bytes);
  if (!body) return false;
  Reader reader(*body);
  if (reader.u8() != kRestVersion) return false;
  if (reader.varint() != number(config.id) || reader.varint() != config.partitions) return false;
  epoch = reader.varint();
  deployment = reader.varint32();
  deployment_hash = reader.bytes();
  dedupe.set_next_slice(reader.varint());
  if (!mail.read(reader) || !subscriptions.read(reader)) return false;
  read_schedules(reader);
  return reader.done();
}

bool Partition::Impl::load_row(const StateRow& row, std::string& why) {
  if (row_kind(row.id) != RowKind::run) {
    const auto body = unseal(row.body);
    const bool loaded_it =
        body && (row_kind(row.id) == RowKind::clients ? clients.load(row.id, *body)
                                                      : dedupe.load(row.id, *body));
    if (!loaded_it) why = "it is damaged, or one before it is missing";
    return loaded_it;
  }
  const auto head = peek_run(row.body);
  const LoadedProgram* program = head ? load_program(head->deployment) : nullptr;
  if (program == nullptr) {
    why = head ? "its deployment " + std::to_string(head->deployment) + " is not loaded"
               : "it is damaged";
    return false;
  }
  auto entry = decode_run(row.body, *program, why);
  if (!entry) return false;
  if (!(static_cast<const Id128&>(entry->id) == static_cast<const Id128&>(row.id))) {
    why = "it is another run's";
    return false;
  }
  entry->hash_stale = true;
  entry->run->set_host(this);
  stale.push_back(entry->id);
  const RunId id = entry->id;
  runs.emplace(id, std::move(entry));
  return true;
}

std::string Partition::Impl::load(const Checkpoint& checkpoint, const std::vector<StateRow>& rows) {
  if (checkpoint.core == 0 || checkpoint.core > kCoreVersion) {
    return "the checkpoint is of core " + std::to_string(checkpoint.core);
  }
  seq = checkpoint.seq;
  time = checkpoint.time;
  core = checkpoint.core;
  if (!decode_rest(checkpoint.rest)) return "the checkpoint's rest is damaged";
  std::vector<const StateRow*> sorted;
  for (const StateRow& row : rows) {
    if (!row.erased) sorted.push_back(&row);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const StateRow* a, const StateRow* b) { return a->id < b->id; });
  std::string why;
  for (const StateRow* row : sorted) {
    if (!load_row(*row, why)) return "row " + to_text(row->id) + ": " + why;
  }
  index_loaded_runs();
  const Hash128 hash = state_hash();
  if (hash == checkpoint.hash) return {};
  return "the loaded state's hash is " + to_hex(hash) + ", the checkpoint's is " +
         to_hex(checkpoint.hash);
}

void Partition::Impl::index_loaded_runs() {
  for (const auto& [id, entry] : runs) {
    ++deployment_runs[entry->deployment];
    if (entry->flow_due != 0) {
      set_timer(entry->flow_due, id, {TimerNumber::Kind::flow_timeout, 0});
    }
    if (entry->on_failure_due != 0) {
      set_timer(entry->on_failure_due, id, {TimerNumber::Kind::on_failure, 0});
    }
    if (entry->run->waits_for_mail()) parked.insert(id);
    for (const TimerEntry& timer : entry->timers) {
      set_timer(timer.due, id, {TimerNumber::Kind::wait, timer.id});
    }
    index_admission(*entry);
    for (const StepEntry& step : entry->steps) {
      if (step.within_due != 0) {
        set_timer(step.within_due, id, {TimerNumber::Kind::within, step.id});
      }
      if (step.backoff_due != 0) {
        set_timer(step.backoff_due, id, {TimerNumber::Kind::backoff, step.id});
      }
      if (step.hedge_due != 0) {
        set_timer(step.hedge_due, id, {TimerNumber::Kind::hedge, step.id});
      }
      const bool open = step.status == StepStatus::open || step.status == StepStatus::granted;
      if (open) ++open_attempts;
      if (step.second.attempt != 0) ++open_attempts;
    }
  }
}

// ---- what is owed

void Partition::Impl::reissue(Effects& effects) const {
  mail.each_pending([&](PartitionId destination, const Mailbox::Sent& sent) {
    effects.push_back(Send{seq, sent.tenant, destination, sent.n, sent.body});
  });
  struct Owed {
    const RunEntry* entry;
    const StepEntry* step;
    const OpenAttempt* attempt;
  };
  std::vector<Owed> open;
  for (const auto& [id, entry] : runs) {
    for (const StepEntry& step : entry->steps) {
      const bool offered = step.status == StepStatus::open || step.status == StepStatus::granted;
      if (!offered) continue;
      open.push_back({entry.get(), &step, &step.first});
      if (step.second.attempt != 0) open.push_back({entry.get(), &step, &step.second});
    }
  }
  // In the order in which they became ready, as the queues had them.
  std::sort(open.begin(), open.end(), [](const Owed& a, const Owed& b) {
    return std::tie(a.attempt->opened, a.entry->id, a.step->id) <
           std::tie(b.attempt->opened, b.entry->id, b.step->id);
  });
  for (const Owed& owed : open) {
    Offer offer = make_offer(*owed.entry, *owed.step, *owed.attempt, seq);
    offer.granted = owed.step->status == StepStatus::granted;
    offer.reissued = true;
    offer.early = false;
    effects.push_back(std::move(offer));
  }
  want_presence_again(effects);
}

}  // namespace sluice::core
