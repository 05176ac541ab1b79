#include "engine/core/run_entry.hpp"

#include <algorithm>

#include "engine/core/limits.hpp"

namespace sluice::core {
namespace {

// Version history: 3: ends with RunEntry::away_since, only where that is not 0, and has what
// `concurrency … joins` keeps, marked in the byte of the run's place: all other runs are as in 2,
// and have the hash they had.
constexpr std::uint8_t kRowVersion = 3;
constexpr std::uint8_t kRowVersionOldest = 2;

bool is_known_version(std::uint8_t version) {
  return version >= kRowVersionOldest && version <= kRowVersion;
}

void write_attempt(Writer& writer, const OpenAttempt& attempt) {
  writer.varint(attempt.attempt);
  writer.varint(attempt.opened);
  writer.svarint(attempt.queue_due);
  writer.flag(attempt.hedge);
}

OpenAttempt read_attempt(Reader& reader) {
  OpenAttempt attempt;
  attempt.attempt = reader.varint32();
  attempt.opened = reader.varint();
  attempt.queue_due = reader.svarint();
  attempt.hedge = reader.flag();
  return attempt;
}

// Whether the step is a run.
bool has_child(StepStatus status) {
  return status == StepStatus::run || status == StepStatus::called_off;
}

void write_step(Writer& writer, const StepEntry& step, bool texts) {
  writer.varint(step.id);
  writer.varint(step.site);
  writer.u8(static_cast<std::uint8_t>(step.status));
  write_attempt(writer, step.first);
  writer.varint(step.started);
  writer.flag(step.compensating);
  writer.flag(step.maybe_happened);
  writer.svarint(step.within_due);
  writer.svarint(step.backoff_due);
  writer.varint(step.backoff_since);
  writer.svarint(step.block_due);
  writer.fixed64(step.args_digest);
  writer.bytes(step.last_failure);
  if (has_child(step.status)) writer.id(step.child);
  // Most steps are never hedged.
  const bool hedged =
      step.hedge_due != 0 || step.hedge_digest != 0 || step.last_attempt != step.tries;
  writer.flag(hedged);
  if (hedged) {
    write_attempt(writer, step.second);
    writer.varint(step.last_attempt);
    writer.varint(step.tries);
    writer.svarint(step.hedge_due);
    writer.fixed64(step.hedge_digest);
  }
  if (!texts) return;
  writer.bytes(step.path);
  writer.bytes(step.key);
  writer.bytes(step.args_json);
  writer.bytes(step.hedge_json);
}

StepEntry read_step(Reader& reader) {
  StepEntry step;
  step.id = reader.varint32();
  step.site = reader.varint32();
  const std::uint8_t status = reader.u8();
  step.status = static_cast<StepStatus>(status);
  const bool kept = (status >= 1 && status <= 3) || has_child(step.status);
  if (!kept) reader.fail();  // only open steps are
  step.first = read_attempt(reader);
  step.last_attempt = step.tries = step.first.attempt;
  step.started = reader.varint();
  step.compensating = reader.flag();
  step.maybe_happened = reader.flag();
  step.within_due = reader.svarint();
  step.backoff_due = reader.svarint();
  step.backoff_since = reader.varint();
  step.block_due = reader.svarint();
  step.args_digest = reader.fixed64();
  step.last_failure = reader.bytes();
  if (has_child(step.status)) step.child = reader.id<RunId>();
  if (reader.flag()) {
    step.second = read_attempt(reader);
    step.last_attempt = reader.varint32();
    step.tries = reader.varint32();
    step.hedge_due = reader.svarint();
    step.hedge_digest = reader.fixed64();
  }
  step.path = reader.bytes();
  step.key = reader.bytes();
  step.args_json = reader.bytes();
  step.hedge_json = reader.bytes();
  return step;
}

void write_timer(Writer& writer, const TimerEntry& timer, bool texts) {
  writer.varint(timer.id);
  writer.u8(static_cast<std::uint8_t>(timer.use));
  writer.svarint(timer.due);
  writer.varint(timer.since);
  if (texts) writer.bytes(timer.path);
}

TimerEntry read_timer(Reader& reader) {
  TimerEntry timer;
  timer.id = reader.varint32();
  const std::uint8_t use = reader.u8();
  if (use > static_cast<std::uint8_t>(vm::TimerUse::receive)) reader.fail();
  timer.use = static_cast<vm::TimerUse>(use);
  timer.due = reader.svarint();
  timer.since = reader.varint();
  timer.path = reader.bytes();
  return timer;
}

// Bits beside a run's place, of what follows its admission.
constexpr std::uint8_t kIsHeard = 0x80, kHasFollowers = 0x40;

std::uint8_t joins_of(const Admission& admission) {
  if (admission.place == Place::none) return 0;
  const bool heard = !admission.heard_by.is_nil() || admission.place == Place::leaving;
  return static_cast<std::uint8_t>((heard ? kIsHeard : 0) |
                                   (admission.followers.empty() ? 0 : kHasFollowers));
}

void write_joins(Writer& writer, const Admission& admission) {
  const std::uint8_t has = joins_of(admission);
  if ((has & kIsHeard) != 0) {
    writer.id(admission.heard_by);
    writer.u8(static_cast<std::uint8_t>(admission.leave_kind));
    writer.bytes(admission.leave_why);
  }
  if ((has & kHasFollowers) == 0) return;
  writer.varint(admission.followers.size());
  for (const Follower& each : admission.followers) {
    writer.id(each.parent);
    writer.varint(each.step);
    writer.id(each.child);
    writer.varint(each.deployment);
  }
}

void read_joins(Reader& reader, std::uint8_t has, Admission& admission) {
  if ((has & kIsHeard) != 0) {
    admission.heard_by = reader.id<RunId>();
    const std::uint8_t kind = reader.u8();
    if (kind > static_cast<std::uint8_t>(vm::CancelKind::joined)) reader.fail();
    admission.leave_kind = static_cast<vm::CancelKind>(kind);
    admission.leave_why = reader.bytes();
  }
  if ((has & kHasFollowers) == 0) return;
  const std::uint64_t followers = reader.count(34);
  for (std::uint64_t i = 0; i < followers && reader.ok(); ++i) {
    Follower& each = admission.followers.emplace_back();
    each.parent = reader.id<RunId>();
    each.step = reader.varint32();
    each.child = reader.id<RunId>();
    each.deployment = reader.varint32();
  }
}

void write_admission(Writer& writer, const Admission& admission) {
  writer.u8(
      static_cast<std::uint8_t>(static_cast<std::uint8_t>(admission.place) | joins_of(admission)));
  write_joins(writer, admission);
  if (admission.place == Place::none) return;
  writer.hash(admission.gate);
  writer.varint(admission.ticket);
  writer.svarint(admission.expires);
  writer.u8(static_cast<std::uint8_t>(admission.move));
  if (admission.move == Move::none) return;
  writer.svarint(admission.move_due);
  writer.varint(admission.move_since);
}

Admission read_admission(Reader& reader) {
  Admission admission;
  const std::uint8_t has = reader.u8();
  const std::uint8_t place = has & static_cast<std::uint8_t>(~(kIsHeard | kHasFollowers));
  if (place > static_cast<std::uint8_t>(Place::joining)) reader.fail();
  read_joins(reader, has, admission);
  admission.place = static_cast<Place>(place);
  if (admission.place == Place::none) return admission;
  admission.gate = reader.hash();
  admission.ticket = reader.varint();
  admission.expires = reader.svarint();
  const std::uint8_t move = reader.u8();
  if (move > static_cast<std::uint8_t>(Move::join)) reader.fail();
  admission.move = static_cast<Move>(move);
  if (admission.move == Move::none) return admission;
  admission.move_due = reader.svarint();
  admission.move_since = reader.varint();
  return admission;
}

// Everything but the VM's run. The texts that follow from the VM's state are left out of the hash:
// their digest is in it, and the row's checksum covers them.
void write_run(Writer& writer, const RunEntry& entry, bool texts) {
  writer.id(entry.id);
  writer.varint(number(entry.tenant));
  writer.varint(entry.flow);
  writer.varint(number(entry.home));
  writer.bytes(entry.client);
  writer.bytes(entry.correlation);
  writer.bytes(entry.traceparent);
  writer.varint(entry.hops);
  writer.varint(entry.parent_step);
  if (entry.parent_step != 0) writer.id(entry.parent);
  writer.varint(entry.first_seq);
  writer.varint(entry.last_seq);
  writer.svarint(entry.started);
  writer.svarint(entry.flow_due);
  writer.svarint(entry.on_failure_due);
  writer.varint(entry.on_failure_since);
  writer.varint(entry.steps.size());
  for (const StepEntry& step : entry.steps) write_step(writer, step, texts);
  writer.varint(entry.timers.size());
  for (const TimerEntry& timer : entry.timers) write_timer(writer, timer, texts);
  writer.varint(entry.ended.size());
  for (const EndedAttempt& ended : entry.ended) {
    writer.varint(ended.step);
    writer.varint(ended.attempt);
    writer.fixed64(ended.outcome);
  }
  writer.varint(entry.subscriptions.size());
  for (const Pair& pair : entry.subscriptions) {
    writer.bytes(pair.topic);
    writer.bytes(pair.field);
    writer.bytes(pair.value);
  }
  writer.varint(entry.heard.size());
  for (const Id128& event : entry.heard) writer.id(event);
  write_admission(writer, entry.admission);
}

void read_run(Reader& reader, RunEntry& entry) {
  entry.id = reader.id<RunId>();
  entry.tenant = static_cast<TenantId>(reader.varint32());
  entry.flow = reader.varint32();
  entry.home = static_cast<PartitionId>(reader.varint32());
  entry.client = reader.bytes();
  entry.correlation = reader.bytes();
  entry.traceparent = reader.bytes();
  entry.hops = reader.varint32();
  entry.parent_step = reader.varint32();
  if (entry.parent_step != 0) entry.parent = reader.id<RunId>();
  entry.first_seq = reader.varint();
  entry.last_seq = reader.varint();
  entry.started = reader.svarint();
  entry.flow_due = reader.svarint();
  entry.on_failure_due = reader.svarint();
  entry.on_failure_since = reader.varint();
  const std::uint64_t steps = reader.count(24);
  for (std::uint64_t i = 0; i < steps && reader.ok(); ++i) entry.steps.push_back(read_step(reader));
  const std::uint64_t timers = reader.count(5);
  for (std::uint64_t i = 0; i < timers && reader.ok(); ++i) {
    entry.timers.push_back(read_timer(reader));
  }
  const std::uint64_t ended = reader.count(10);
  for (std::uint64_t i = 0; i < ended && reader.ok(); ++i) {
    EndedAttempt attempt;
    attempt.step = reader.varint32();
    attempt.attempt = reader.varint32();
    attempt.outcome = reader.fixed64();
    entry.ended.push_back(attempt);
  }
  const std::uint64_t pairs = reader.count(3);
  for (std::uint64_t i = 0; i < pairs && reader.ok(); ++i) {
    Pair& pair = entry.subscriptions.emplace_back();
    pair.topic = reader.bytes();
    pair.field = reader.bytes();
    pair.value = reader.bytes();
  }
  const std::uint64_t heard = reader.count(16);
  for (std::uint64_t i = 0; i < heard && reader.ok(); ++i) {
    entry.heard.push_back(reader.id<Id128>());
  }
  entry.admission = read_admission(reader);
}

// The row without its checksum; nothing if that is wrong.
std::optional<std::string_view> checked(std::string_view row) {
  if (row.size() < 8) return std::nullopt;
  const std::string_view content = row.substr(0, row.size() - 8);
  Reader tail(row.substr(content.size()));
  if (tail.fixed64() != siphash64(kStateKey, content)) return std::nullopt;
  return content;
}

}  // namespace

const OpenAttempt* StepEntry::find_attempt(std::uint32_t attempt) const {
  const bool open = status == StepStatus::open || status == StepStatus::granted;
  if (attempt == 0 || !open) return nullptr;
  if (first.attempt == attempt) return &first;
  return second.attempt == attempt ? &second : nullptr;
}

StepEntry* RunEntry::find_step(StepNumber step) {
  for (StepEntry& entry : steps) {
    if (entry.id == step) return &entry;
  }
  return nullptr;
}

const StepEntry* RunEntry::find_step(StepNumber step) const {
  return const_cast<RunEntry*>(this)->find_step(step);
}

TimerEntry* RunEntry::find_timer(StepNumber timer) {
  for (TimerEntry& entry : timers) {
    if (entry.id == timer) return &entry;
  }
  return nullptr;
}

const TimerEntry* RunEntry::find_timer(StepNumber timer) const {
  return const_cast<RunEntry*>(this)->find_timer(timer);
}

void RunEntry::remember(const EndedAttempt& attempt) {
  if (ended.size() >= kRememberedStepsMax) ended.erase(ended.begin());
  ended.push_back(attempt);
}

bool RunEntry::remembers(StepNumber step, std::uint32_t attempt, std::uint64_t outcome) const {
  return std::any_of(ended.begin(), ended.end(), [&](const EndedAttempt& e) {
    return e.step == step && e.attempt == attempt && e.outcome == outcome;
  });
}

Id128 correlation_id(std::string_view correlation) {
  if (const auto uuid = parse_id(correlation)) return *uuid;
  return {siphash128(kIdKey, correlation).bytes()};
}

std::uint64_t report_digest(const Done& done) {
  SipHasher128 hasher(kDigestKey);
  hasher.add("d");
  hasher.add(done.result);
  return hasher.finish().low;
}

std::uint64_t report_digest(const Failed& failed) {
  SipHasher128 hasher(kDigestKey);
  hasher.add(failed.retry ? "r" : "f");
  const std::uint32_t head[2] = {static_cast<std::uint32_t>(failed.kind.size()),
                                 failed.retry_after_ms};
  hasher.add({reinterpret_cast<const char*>(head), sizeof head});
  hasher.add(failed.kind);
  hasher.add(failed.message);
  return hasher.finish().low;
}

Hash128 hash_run(const RunEntry& entry, std::string& scratch) {
  scratch.clear();
  Writer writer(scratch);
  writer.varint(entry.deployment);
  write_run(writer, entry, false);
  writer.fixed64(entry.run->hash());
  if (entry.away_since != 0) writer.svarint(entry.away_since);
  return siphash128(kStateKey, scratch);
}

std::string encode_run(const RunEntry& entry) {
  std::string out;
  out.reserve(1024);
  Writer writer(out);
  writer.u8(kRowVersion);
  writer.varint(entry.deployment);
  write_run(writer, entry, true);
  writer.bytes(entry.run->snapshot());
  if (entry.away_since != 0) writer.svarint(entry.away_since);
  writer.fixed64(siphash64(kStateKey, out));
  return out;
}

std::optional<RunRowHead> peek_run(std::string_view row) {
  const auto content = checked(row);
  if (!content) return std::nullopt;
  Reader reader(*content);
  if (!is_known_version(reader.u8())) return std::nullopt;
  RunRowHead head;
  head.deployment = reader.varint32();
  if (!reader.ok()) return std::nullopt;
  return head;
}

std::unique_ptr<RunEntry> decode_run(std::string_view row, const LoadedProgram& loaded,
                                     std::string& why) {
  const auto content = checked(row);
  if (!content) {
    why = "its checksum is wrong";
    return nullptr;
  }
  Reader reader(*content);
  auto entry = std::make_unique<RunEntry>();
  if (!is_known_version(reader.u8())) reader.fail();
  entry->deployment = reader.varint32();
  read_run(reader, *entry);
  const std::string_view snapshot = reader.bytes();
  if (reader.ok() && !reader.done()) entry->away_since = reader.svarint();
  if (!reader.done()) {
    why = "its layout is not known";
    return nullptr;
  }
  auto run = vm::Run::restore(*loaded.unit, snapshot);
  if (!run) {
    why = run.error().message;
    return nullptr;
  }
  entry->run.emplace(std::move(*run));
  const vm::Program& program = loaded.program();
  entry->loaded = &loaded;
  const bool fits = entry->flow < program.flows.size() &&
                    std::all_of(entry->steps.begin(), entry->steps.end(), [&](const StepEntry& s) {
                      return s.site < program.steps.size() &&
                             program.steps[s.site].flow.has_value() == has_child(s.status);
                    });
  if (!fits) {
    why = "it names parts that its program does not have";
    return nullptr;
  }
  entry->correlation_id = correlation_id(entry->correlation);
  entry->persisted = true;
  return entry;
}

}  // namespace sluice::core
