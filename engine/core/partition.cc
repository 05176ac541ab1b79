#include "engine/core/partition.hpp"

#include <algorithm>

#include "engine/core/partition_impl.hpp"

namespace sluice::core {

RowKind row_kind(const RowId& id) {
  if (ClientTable::is_row(id)) return RowKind::clients;
  if (DedupeTable::is_row(id)) return RowKind::dedupe;
  return RowKind::run;
}

Partition::Impl::Impl(const Config& c, ProgramSource& p) : config(c), programs(p) {}

Partition::Partition(const Config& config, ProgramSource& programs)
    : impl_(std::make_unique<Impl>(config, programs)) {
  SLUICE_CHECK(config.partitions >= 1 && config.partitions <= kPartitionsMax);
  SLUICE_CHECK(number(config.id) < config.partitions);
}
Partition::Partition(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Partition::~Partition() = default;
Partition::Partition(Partition&&) noexcept = default;
Partition& Partition::operator=(Partition&&) noexcept = default;

PartitionId Partition::id() const {
  return impl_->config.id;
}
Seq Partition::last_seq() const {
  return impl_->seq;
}
TimeUs Partition::last_time() const {
  return impl_->time;
}
std::uint16_t Partition::core() const {
  return impl_->core;
}

tl::expected<Applied, ApplyError> Partition::apply(const Record& record, Reply reply,
                                                   Effects& effects) {
  return impl_->apply(record, reply, effects);
}

void Partition::diverge(Seq first) {
  impl_->stretch = first;
}
bool Partition::diverged() const {
  return impl_->stretch != 0;
}

tl::expected<void, std::string> Partition::rejoin(Seq first, const Departed& departed) {
  for (const auto& client : departed.clients) {
    const ClientEntry least{client.tenant, client.name, client.offset, client.seq};
    if (impl_->clients.raise(client.number, least)) continue;
    return tl::unexpected("deliveries of client `" + client.name + "` are stored under number " +
                          std::to_string(client.number) + ", which is not its number here");
  }
  std::map<PartitionId, TakenMessages> taken;
  for (const auto destination : impl_->mail.destinations()) taken[destination];
  for (const auto& way : departed.ways) taken[way.destination] = way.taken;
  for (auto& [destination, messages] : taken) {
    impl_->mail.renumber(destination, first, std::move(messages));
  }
  impl_->stretch = 0;
  return {};
}

void Partition::pass_over_message(PartitionId source) {
  impl_->mail.take(source, impl_->mail.taken_from(source) + 1);
}

std::optional<Timer> Partition::next_timer() const {
  const auto first = impl_->first_timer();
  if (!first) return std::nullopt;
  return Timer{first->due, first->run, TimerNumber::from_n(first->n)};
}

std::optional<TimeUs> Partition::next_due() const {
  const auto first = impl_->first_timer();
  if (!first) return std::nullopt;
  return first->due;
}

Record Partition::make_advance(TimeUs now) const {
  const auto first = impl_->first_timer();
  SLUICE_CHECK(first && first->due <= now);
  const RunEntry* entry = impl_->find_run(first->run);
  SLUICE_CHECK(entry != nullptr);
  const TimerNumber number = TimerNumber::from_n(first->n);
  const Move move = static_cast<Move>(number.step);
  if (number.kind == TimerNumber::Kind::admission && (move == Move::hear || move == Move::join)) {
    if (auto join = impl_->make_join(*entry, move)) return std::move(*join);
  }
  return make_record(entry->tenant, Advance{now, first->run, first->n});
}

// A run that waits for room in the outbox is woken like any other, one record for each, as soon as
// there is some.
std::optional<TimerKey> Partition::Impl::first_timer() const {
  if (!parked.empty() && mail.pending() < config.outbox_messages) {
    return TimerKey{time, *parked.begin(), TimerNumber{TimerNumber::Kind::mail, 0}.n()};
  }
  if (timers.empty()) return std::nullopt;
  return *timers.begin();
}

Hash128 Partition::state_hash() {
  return impl_->state_hash();
}

Hash128 Partition::take_digest() {
  const Hash128 hash = impl_->digest.finish();
  impl_->digest = SipHasher128(kDigestKey);
  return hash;
}

void Partition::reissue(Effects& effects) const {
  impl_->reissue(effects);
}

void Partition::resend_messages(Seq durable, Effects& effects) {
  const auto again = [&](PartitionId destination, const Mailbox::Sent& sent) {
    effects.push_back(Send{durable, sent.tenant, destination, sent.n, sent.body});
  };
  impl_->mail.each_stalled(durable, kResentMessages, again);
}

Partition::Checkpoint Partition::begin_checkpoint(bool full) {
  return impl_->begin_checkpoint(full);
}
std::vector<StateRow> Partition::checkpoint_rows(std::size_t bytes) {
  return impl_->checkpoint_rows(bytes);
}
void Partition::abandon_checkpoint() {
  impl_->abandon_checkpoint();
}

tl::expected<Partition, std::string> Partition::restore(const Config& config,
                                                        ProgramSource& programs,
                                                        const Checkpoint& checkpoint,
                                                        const std::vector<StateRow>& rows) {
  auto impl = std::make_unique<Impl>(config, programs);
  std::string why = impl->load(checkpoint, rows);
  if (!why.empty()) return tl::unexpected(std::move(why));
  return Partition(std::move(impl));
}

std::optional<RunRow> Partition::run(const RunId& run) const {
  const RunEntry* entry = impl_->find_run(run);
  if (entry == nullptr) return std::nullopt;
  return impl_->run_row(*entry);
}

std::vector<RunRow> Partition::changed_runs(std::size_t limit) {
  std::vector<RunRow> rows;
  while (rows.size() < limit && !impl_->unprojected.empty()) {
    RunEntry* entry = impl_->find_run(impl_->unprojected.front());
    impl_->unprojected.pop_front();
    if (entry == nullptr || entry->projected) continue;
    entry->projected = true;
    rows.push_back(impl_->run_row(*entry));
  }
  return rows;
}

std::optional<ClientView> Partition::client(TenantId tenant, std::string_view name) const {
  const ClientNumber number = impl_->clients.find(tenant, name);
  if (number == 0) return std::nullopt;
  const ClientEntry& entry = impl_->clients[number];
  return ClientView{number, entry.last_offset, entry.as_of};
}

std::vector<ScheduledFlow> Partition::schedules() const {
  return impl_->schedules();
}

DeploymentNumber Partition::deployment() const {
  return impl_->deployment;
}

std::vector<DeploymentNumber> Partition::deployments_in_use() const {
  std::vector<DeploymentNumber> numbers;
  for (const auto& [number, count] : impl_->deployment_runs) numbers.push_back(number);
  return numbers;
}

PartitionStats Partition::stats() const {
  PartitionStats stats;
  stats.runs = impl_->runs.size();
  stats.open_attempts = impl_->open_attempts;
  stats.timers = impl_->timers.size();
  stats.clients = impl_->clients.size();
  stats.dedupe_entries = impl_->dedupe.size();
  stats.outbox = impl_->mail.pending();
  stats.subscriptions = impl_->subscriptions.size();
  stats.parked = impl_->parked.size();
  stats.dirty_rows = impl_->dirty.size() + impl_->erased.size() + impl_->clients.changed_rows() +
                     impl_->dedupe.changed_rows();
  stats.step_transitions = impl_->transitions;
  return stats;
}

std::vector<StuckRun> Partition::stuck_runs() const {
  std::vector<StuckRun> stuck;
  for (const auto& [id, entry] : impl_->runs) {
    if (std::string why = impl_->why_stuck(*entry); !why.empty()) {
      stuck.push_back({id, std::move(why)});
    }
  }
  std::sort(stuck.begin(), stuck.end(),
            [](const StuckRun& a, const StuckRun& b) { return a.run < b.run; });
  return stuck;
}

std::string Partition::Impl::why_stuck(const RunEntry& entry) const {
  if (entry.run->phase() == vm::Phase::created) return why_never_begun(entry);
  const bool in_line = parked.contains(entry.id);
  if (in_line != entry.run->waits_for_mail()) return "it waits for room in the outbox, or seems to";
  const bool nothing = entry.steps.empty() && entry.timers.empty() && !in_line;
  if (nothing && entry.run->open_receives().empty()) {
    return "no step is open, no timer, and it waits for no signal";
  }
  const auto called_off = entry.run->called_off();
  const std::size_t waiting = entry.run->open_steps().size() + called_off.size();
  if (waiting != entry.steps.size()) {
    return "its program waits for " + std::to_string(waiting) + " steps, " +
           std::to_string(entry.steps.size()) + " are open";
  }
  for (const StepEntry& step : entry.steps) {
    const bool off =
        std::find(called_off.begin(), called_off.end(), vm::StepId{step.id}) != called_off.end();
    if (off != (step.status == StepStatus::called_off)) return step.path + " is called off, or not";
    if (!off && !entry.run->is_open({step.id})) return "its program does not wait for " + step.path;
    const bool asleep = step.status == StepStatus::backoff;
    const bool will_wake = timers.count({step.backoff_due, entry.id,
                                         TimerNumber{TimerNumber::Kind::backoff, step.id}.n()}) > 0;
    if (asleep && !will_wake) return "nothing ends the wait of " + step.path;
  }
  const auto set = entry.run->open_timers();
  if (set.size() != entry.timers.size()) {
    return "its program waits for " + std::to_string(set.size()) + " timers, " +
           std::to_string(entry.timers.size()) + " are set";
  }
  for (const TimerEntry& timer : entry.timers) {
    if (!std::binary_search(set.begin(), set.end(), vm::TimerId{timer.id})) {
      return "its program does not wait for timer " + std::to_string(timer.id);
    }
    const TimerNumber number{TimerNumber::Kind::wait, timer.id};
    if (!timers.contains({timer.due, entry.id, number.n()})) {
      return "nothing ends the wait in " + timer.path;
    }
  }
  return {};
}

// ---- reads

RunRow Partition::Impl::run_row(const RunEntry& entry) const {
  RunRow row;
  row.run = entry.id;
  row.as_of = seq;
  row.last_seq = entry.last_seq;
  row.tenant = entry.tenant;
  row.deployment = entry.deployment;
  row.flow = entry.loaded->program().flows[entry.flow].name;
  row.client = entry.client;
  row.started = entry.started;
  row.correlation = entry.correlation;
  const vm::Phase phase = entry.run->phase();
  const bool retrying = !entry.steps.empty() &&
                        std::all_of(entry.steps.begin(), entry.steps.end(), [](const StepEntry& s) {
                          return s.status == StepStatus::backoff;
                        });
  const bool works = std::any_of(entry.steps.begin(), entry.steps.end(), [](const StepEntry& s) {
    return s.status != StepStatus::run && s.status != StepStatus::called_off;
  });
  row.state = phase == vm::Phase::compensating || phase == vm::Phase::failing
                  ? RunState::compensating
              : retrying ? RunState::retrying
              : works    ? RunState::running
                         : RunState::waiting;
  const auto wake = [&](TimeUs due) {
    if (due != 0 && (row.wake == 0 || due < row.wake)) row.wake = due;
  };
  wake(entry.flow_due);
  wake(entry.on_failure_due);
  wake(entry.admission.expires);
  if (entry.admission.move != Move::none) wake(entry.admission.move_due);
  for (const StepEntry& step : entry.steps) {
    wake(step.within_due);
    wake(step.backoff_due);
    wake(step.hedge_due);
  }
  for (const TimerEntry& timer : entry.timers) wake(timer.due);
  if (!entry.steps.empty()) {
    row.step = entry.steps.front().path;
    row.attempt = entry.steps.front().last_attempt;
    row.why = entry.steps.front().last_failure;
  } else if (const auto receives = entry.run->open_receives(); !receives.empty()) {
    row.step = receives.front();
  } else if (!entry.timers.empty()) {
    row.step = entry.timers.front().path;
  }
  return row;
}

RunEntry* Partition::Impl::find_run(const RunId& run) const {
  const auto it = runs.find(run);
  return it == runs.end() ? nullptr : it->second.get();
}

const LoadedProgram* Partition::Impl::load_program(DeploymentNumber number) {
  const auto known = loaded.find(number);
  if (known != loaded.end()) return &known->second;
  vm::Unit* unit = programs.unit(number);
  if (unit == nullptr) return nullptr;
  const vm::Program& program = unit->program();
  LoadedProgram& added = loaded[number];
  added.unit = unit;
  added.flows_by_topic.resize(program.topics.size());
  for (std::uint32_t flow = 0; flow < program.flows.size(); ++flow) {
    const auto& trigger = program.flows[flow].trigger;
    if (trigger) added.flows_by_topic[*trigger].push_back(flow);
  }
  added.fields_by_topic.resize(program.topics.size());
  for (const vm::ReceiveSite& site : program.receives) {
    if (!site.topic) continue;
    auto& fields = added.fields_by_topic[*site.topic];
    const auto at = std::lower_bound(fields.begin(), fields.end(), site.key_field);
    if (at == fields.end() || *at != site.key_field) fields.insert(at, site.key_field);
  }
  added.presence = presence_of(program);
  added.event_types.resize(program.events.size());
  for (std::uint32_t type = 0; type < program.types.types.size(); ++type) {
    if (program.types.types[type].kind != vm::Kind::record) continue;
    for (std::size_t event = 0; event < program.events.size(); ++event) {
      if (program.types.types[type].argument == program.events[event].record) {
        added.event_types[event].index = type;
      }
    }
  }
  return &added;
}

}  // namespace sluice::core
