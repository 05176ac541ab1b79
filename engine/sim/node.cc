// Applying and batching.
#include "engine/sim/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "engine/schedule/instants.hpp"
#include "engine/sim/node_statement.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

// Nonces of a later life must be higher than those of all before it.
constexpr std::uint64_t kNoncesPerBoot = 1'000'000;
// Timers that fire in a row before inputs have their turn.
constexpr unsigned kTimersInARow = 16;

bool is_signal(const core::Record& record) {
  const auto envelope = message_in(record);
  return envelope && envelope->kind == core::MessageKind::signal;
}

}  // namespace

Node::Node(World& world, int index) : world_(world), index_(index) {}

// ---- its life

void Node::start() {
  up_ = true;
  boot_ = ++world_.boots;
  started_ = world_.scheduler.now();
  skew_ = world_.faults.up_to(2 * world_.options.skew_us) - world_.options.skew_us;
  clock_ = 0;
  valid_until_ = 0;
  wake_at_ = 0;
  paused_until_ = 0;
  paused_.clear();
  dispatcher_.emplace(dispatch::Config{.first_nonce = boot_ * kNoncesPerBoot});
  sessions_.emplace(moment());
  world_.note(fmt::format("node {} starts, boot {}", index_, boot_));
  beat();
}

void Node::crash() {
  if (!up_) return;
  world_.note(fmt::format("node {} crashes", index_));
  up_ = false;
  boot_ = 0;
  slots_.clear();
  claiming_.clear();
  inbox_.clear();
  building_ = {};
  in_flight_.reset();
  leaving_.clear();
  attached_.clear();
  wake_at_ = 0;
  world_.scheduler.after(50 * kMs + world_.faults.up_to(3 * kSecond), [this] {
    if (!up_) start();
  });
}

void Node::pause(TimeUs length) {
  if (!up_) return;
  world_.note(fmt::format("node {} is paused for {} ms", index_, length / kMs));
  paused_until_ = world_.scheduler.now() + length;
  world_.scheduler.at(paused_until_, [this, boot = boot_] {
    if (boot_ != boot) return;
    std::vector<Scheduler::Task> tasks;
    tasks.swap(paused_);
    for (Scheduler::Task& task : tasks) {
      if (boot_ == boot) task();
    }
  });
}

void Node::plan(TimeUs delay, Scheduler::Task task) {
  if (!up_) return;  // it died earlier in what it does now
  world_.scheduler.after(delay, [this, boot = boot_, task = std::move(task)]() mutable {
    if (boot_ != boot) return;
    if (world_.scheduler.now() < paused_until_) {
      paused_.push_back(std::move(task));
    } else {
      task();
    }
  });
}

bool Node::crash_here() {
  if (!world_.faults.crashes()) return false;
  crash();
  return true;
}

TimeUs Node::now() {
  clock_ = std::max(clock_, world_.database.clock(world_.scheduler.now()) + skew_);
  return clock_;
}

bool Node::may_act() const {
  return world_.scheduler.now() < valid_until_ - kOwnerMargin;
}

bool Node::serves(core::PartitionId partition) const {
  const auto slot = slots_.find(partition);
  return slot != slots_.end() && slot->second.serving;
}

bool Node::idle() const {
  if (in_flight_ || !building_.parts.empty() || !inbox_.empty() || !leaving_.empty()) return false;
  for (const auto& [partition, slot] : slots_) {
    const core::PartitionStats stats = slot.partition.stats();
    if (!slot.serving || stats.runs != 0 || stats.outbox != 0 || stats.timers != 0) return false;
  }
  return true;
}

bool Node::strike(Plant plant) {
  if (world_.options.plant != plant) return false;
  return world_.planted = true;
}

// ---- inputs

void Node::receive(Input input) {
  if (!serves(input.partition)) {
    if (input.reply.shard == kToClient) {
      world_.answer(input.reply, core::Rejected{0, input.reply, core::Refusal::unavailable,
                                                "the partition is not here", 0});
    }
    return;
  }
  inbox_.push_back(std::move(input));
  wake(0);
}

void Node::push(core::PartitionId partition, core::Record record) {
  inbox_.push_back({partition, std::move(record), {}});
  wake(0);
}

void Node::wake(TimeUs delay) {
  const TimeUs at = world_.scheduler.now() + delay;
  if (wake_at_ != 0 && wake_at_ <= at) return;
  wake_at_ = at;
  plan(delay, [this, at] {
    if (wake_at_ == at) wake_at_ = 0;
    pump();
  });
}

void Node::pump() {
  if (!may_act()) return wake(50 * kMs);
  if (!drain()) return;
  dispatch::Actions actions;
  dispatcher_->tick(now(), actions);
  act(actions);
  Sessions::Out news;
  sessions_->tick(world_.scheduler.now(), news);
  tell(news);
  for (auto& [partition, slot] : slots_) {
    if (!slot.serving) continue;
    fire_schedules(slot);
    fire_timers(slot);
  }
  while (!inbox_.empty() && building_.records < world_.options.batch_max) {
    Input input = std::move(inbox_.front());
    inbox_.pop_front();
    const auto slot = slots_.find(input.partition);
    if (slot != slots_.end() && slot->second.serving) take(slot->second, std::move(input));
  }
  if (!in_flight_ && !building_.parts.empty()) {
    if (crash_here()) return;
    flush();
    if (!up_) return;
  }
  TimeUs next = kSecond;
  const auto due = [&](std::optional<TimeUs> at) {
    if (at) next = std::min(next, std::max<TimeUs>(*at - now(), 0));
  };
  due(dispatcher_->next_due());
  if (const auto at = sessions_->next_due()) {
    next = std::min(next, std::max<TimeUs>(*at - world_.scheduler.now(), 0));
  }
  for (const auto& [partition, slot] : slots_) {
    due(slot.partition.next_due());
    due(slot.next_instant);
  }
  // While a batch is full or on its way, its end wakes the node; a timer that is lost would wake it
  // for ever.
  if (next > 0 || (!in_flight_ && world_.options.plant != Plant::timer_lost)) {
    wake(std::max<TimeUs>(next, 100));
  }
}

void Node::fire_timers(Slot& slot) {
  for (unsigned i = 0; i < kTimersInARow; ++i) {
    if (building_.records >= world_.options.batch_max) return;
    const auto timer = slot.partition.next_timer();
    const TimeUs time = std::max(now(), slot.partition.last_time());
    if (!timer || timer->due > time) return;
    const bool backoff = timer->number.kind == core::TimerNumber::Kind::backoff;
    if (backoff && strike(Plant::timer_lost)) return;
    apply(slot, {slot.partition.id(), slot.partition.make_advance(time), {}});
  }
}

// Of instants that were missed the last one counts.
void Node::fire_schedules(Slot& slot) {
  core::Partition& partition = slot.partition;
  const TimeUs time = std::max(now(), partition.last_time());
  if (slot.next_instant && *slot.next_instant > time) return;
  if (building_.records >= world_.options.batch_max) return;
  slot.next_instant = std::numeric_limits<TimeUs>::max();
  for (const core::ScheduledFlow& each : partition.schedules()) {
    TimeUs after = each.after;
    const auto instant = schedule::last_instant(each.schedule, after, time);
    if (instant) {
      const core::Cron cron{kDeployment, each.flow, *instant};
      const core::Record record = core::make_record(core::TenantId{1}, cron);
      after = *instant;
      if (partition.admit(cron)) apply(slot, {partition.id(), record, {}});
      if (slot.folded && strike(Plant::instant_doubled)) apply(slot, {partition.id(), record, {}});
    }
    const auto next = schedule::next_instant(each.schedule, after);
    if (next) slot.next_instant = std::min(*slot.next_instant, *next);
  }
}

void Node::take(Slot& slot, Input&& input) {
  if (!slot.partition.needs(input.record).empty()) {
    return world_.checkers.violation(0, "a record needs what is not there");
  }
  if (admit(slot, input) != Admission::fresh) return;
  change_key(slot, input);
  apply(slot, std::move(input));
}

// So the event passes another gate than its client means.
void Node::change_key(const Slot& slot, Input& input) {
  if (input.record.kind != core::Kind::event) return;
  auto event = core::decode<core::Event>(input.record.body);
  if (!event || event->topic != kTopicNotes || !strike(Plant::key_changed)) return;
  const auto data = vm::decode_value(event->data);
  const std::string text(data->elements()[0].as_text());
  const std::string changed = note_value(world_.programs.program(), text,
                                         fmt::format("other {}", slot.partition.next_seq()));
  event->data = changed;
  input.record.body = core::encode(core::Event(*event));
}

Node::Admission Node::admit(Slot& slot, const Input& input) {
  const core::Partition& partition = slot.partition;
  switch (input.record.kind) {
    case core::Kind::event:
      return admit_event(slot, input);
    case core::Kind::cancel: {
      const auto body = core::decode<core::Cancel>(input.record.body);
      auto answer = partition.admit(input.record.tenant, *body, input.reply);
      if (!answer) return Admission::fresh;
      hold(slot, std::move(*answer));
      return Admission::answered;
    }
    case core::Kind::signal: {
      const auto body = core::decode<core::Signal>(input.record.body);
      const TimeUs time = std::max(now(), partition.last_time());
      auto answer = partition.admit(input.record.tenant, *body, time, input.reply);
      if (!answer && strike(Plant::signal_dropped)) {
        answer = core::Accepted{partition.last_seq(), input.reply};
      }
      if (!answer) return Admission::fresh;
      hold(slot, std::move(*answer));
      return Admission::answered;
    }
    case core::Kind::verdict:
      return partition.admit(*core::decode<core::Spoke>(input.record.body)) ? Admission::fresh
                                                                            : Admission::dropped;
    case core::Kind::done:
      return admit_report<core::Done>(slot, input);
    case core::Kind::failed:
      return admit_report<core::Failed>(slot, input);
    case core::Kind::granted:
      return partition.admit(*core::decode<core::Granted>(input.record.body)) ? Admission::fresh
                                                                              : Admission::dropped;
    case core::Kind::lapsed:
      return partition.admit(*core::decode<core::Lapsed>(input.record.body)) ? Admission::fresh
                                                                             : Admission::dropped;
    case core::Kind::presence: {
      const bool doubled = world_.options.plant == Plant::presence_doubled;
      return doubled || partition.admit(*core::decode<core::Presence>(input.record.body))
                 ? Admission::fresh
                 : Admission::dropped;
    }
    case core::Kind::message:
      return admit_message(slot, input);
    case core::Kind::message_ack:
      return partition.admit(*core::decode<core::MessageAck>(input.record.body))
                 ? Admission::fresh
                 : Admission::dropped;
    default:
      return Admission::fresh;
  }
}

Node::Admission Node::admit_event(Slot& slot, const Input& input) {
  const auto body = core::decode<core::Event>(input.record.body);
  const TimeUs time = std::max(now(), slot.partition.last_time());
  auto answer = slot.partition.admit(input.record.tenant, *body, time, input.reply);
  if (!answer) {
    const bool confuse = !world_.planted && slot.partition.last_seq() > 20;
    if (confuse && strike(Plant::keys_confused)) {
      const JournalRow& row = world_.database.stored()[core::number(input.partition)].journal[0];
      core::Accepted wrong;
      wrong.seq = row.record.seq;
      wrong.reply = input.reply;
      for (const JournalRow& each :
           world_.database.stored()[core::number(input.partition)].journal) {
        if (each.record.kind != core::Kind::event) continue;
        wrong.seq = each.record.seq;
        wrong.event = core::make_event_id(input.partition, wrong.seq, each.record.time);
        wrong.runs = {core::make_run_id(input.partition, wrong.seq, each.record.time, 0)};
        break;
      }
      hold(slot, wrong);
      return Admission::answered;
    }
    return Admission::fresh;
  }
  const auto* accepted = std::get_if<core::Accepted>(&*answer);
  if (accepted && slot.folded && strike(Plant::dedupe_forgotten)) return Admission::fresh;
  if (accepted && accepted->seq > slot.durable && strike(Plant::duplicate_before_commit)) {
    perform(slot, *answer);
    return Admission::answered;
  }
  hold(slot, std::move(*answer));
  return Admission::answered;
}

template <class Report>
Node::Admission Node::admit_report(Slot& slot, const Input& input) {
  const auto body = core::decode<Report>(input.record.body);
  auto answer = slot.partition.admit(input.record.tenant, *body, input.reply);
  if (!answer) return Admission::fresh;
  if (std::is_same_v<Report, core::Done> && strike(Plant::report_used_twice)) {
    return Admission::fresh;
  }
  hold(slot, std::move(*answer));
  return Admission::answered;
}

Node::Admission Node::admit_message(Slot& slot, const Input& input) {
  const auto body = core::decode<core::Message>(input.record.body);
  switch (slot.partition.admit(*body)) {
    case core::Partition::MessageAdmission::fresh:
      return Admission::fresh;
    case core::Partition::MessageAdmission::repeated:
      if (strike(Plant::message_taken_twice)) return Admission::fresh;
      hold(slot, core::Acknowledge{slot.partition.last_seq(), body->source,
                                   slot.partition.taken_from(body->source)});
      return Admission::answered;
    case core::Partition::MessageAdmission::gap:
      if (strike(Plant::message_given_up)) {
        hold(slot, core::Acknowledge{slot.partition.last_seq(), body->source, body->n});
      }
      return Admission::dropped;
  }
  return Admission::dropped;
}

void Node::hold(Slot& slot, core::Effect effect) {
  const core::Seq seq = core::seq_of(effect);
  if (seq <= slot.durable) {
    leaving_.push_back({slot.partition.id(), slot.epoch, std::move(effect), false, {}});
    wake(0);
  } else {
    slot.held.emplace_back(seq, std::move(effect));
  }
}

void Node::apply(Slot& slot, Input&& input) {
  core::Partition& partition = slot.partition;
  core::Record& record = input.record;
  record.seq = partition.next_seq();
  record.time = std::max(now(), partition.last_time());
  record.core = partition.core();
  Part& part = building_.parts[partition.id()];
  const std::size_t before = part.effects.size();
  const auto applied = partition.apply(record, input.reply, part.effects);
  if (!applied) {
    slot.serving = false;
    return world_.checkers.violation(
        0, fmt::format("partition {} halts: {}", core::number(partition.id()),
                       applied.error().message));
  }
  record.verdict = applied->verdict;
  // A signal to a run that is over, or takes no more, is said to be lost.
  const bool told_in_vain = record.kind == core::Kind::message && is_signal(record);
  if (!core::is_sound(record.verdict) && !told_in_vain) {
    world_.checkers.violation(0, "a record faulted: " + applied->fault);
  }
  if (record.kind == core::Kind::done) {
    const auto body = core::decode<core::Done>(record.body);
    part.reported.push_back({partition.id(), body->run, body->step, body->attempt});
  } else if (record.kind == core::Kind::failed) {
    const auto body = core::decode<core::Failed>(record.body);
    part.reported.push_back({partition.id(), body->run, body->step, body->attempt});
  }
  for (const core::StuckRun& stuck : partition.stuck_runs()) {
    world_.checkers.violation(9, fmt::format("after seq {} run {} waits for nothing: {}",
                                             record.seq, to_text(stuck.run), stuck.why));
  }
  if (world_.tracing) {
    world_.note(fmt::format("node {} partition {} seq {} {} run {}", index_,
                            core::number(partition.id()), record.seq, kind_name(record.kind),
                            to_text(applied->run)));
  }
  offer_early(slot, part, before);
  slot.prints.push_back(fingerprint(record));
  JournalRow row;
  row.record = std::move(record);
  row.live_hash = partition.state_hash();
  part.append.rows.push_back(std::move(row));
  ++building_.records;
}

// Offers that need not wait for the commit.
void Node::offer_early(Slot& slot, Part& part, std::size_t from) {
  if (!slot.serving) return;
  const auto early = [](const core::Effect& effect) {
    const auto* offer = std::get_if<core::Offer>(&effect);
    return offer != nullptr && offer->early;
  };
  const auto begin = part.effects.begin() + static_cast<std::ptrdiff_t>(from);
  const auto rest = std::stable_partition(begin, part.effects.end(), std::not_fn(early));
  for (auto at = rest; at != part.effects.end(); ++at) {
    leaving_.push_back({slot.partition.id(), slot.epoch, std::move(*at), false, {}});
    wake(0);
  }
  part.effects.erase(rest, part.effects.end());
}

// ---- batches

void Node::flush() {
  in_flight_ = std::move(building_);
  building_ = {};
  for (auto& [partition, part] : in_flight_->parts) {
    Slot& slot = slots_.at(partition);
    close(slot, part);
    begin_checkpoint(slot);
    if (strike(Plant::effect_before_commit)) {
      for (const core::Effect& effect : part.effects) perform(slot, effect);
      part.effects.clear();
    }
  }
  send_batch();
}

void Node::close(Slot& slot, Part& part) {
  AppendPart& append = part.append;
  append.partition = slot.partition.id();
  append.epoch = slot.epoch;
  append.previous = append.rows.front().record.seq - 1;
  append.previous_chain = slot.chain;
  core::ChainLink link(slot.chain);
  for (const JournalRow& row : append.rows) link.add(row.record);
  JournalRow& last = append.rows.back();
  last.batch_end = true;
  last.chain = slot.chain = link.finish();
  last.digest = slot.partition.take_digest();
  last.state_hash = slot.partition.state_hash();
  for (const core::Effect& effect : part.effects) {
    if (const auto* delivery = std::get_if<core::Delivery>(&effect)) {
      append.deliveries.push_back(*delivery);
    }
  }
}

void Node::send_batch() {
  std::vector<AppendPart> parts;
  for (const auto& [partition, part] : in_flight_->parts) parts.push_back(part.append);
  statement<std::vector<core::PartitionId>>(
      [parts](Database& database) { return database.append(parts); },
      [this](std::optional<std::vector<core::PartitionId>> passed) {
        if (passed) {
          for (const core::PartitionId partition : *passed) settle(partition);
        }
        if (in_flight_->parts.empty()) return end_batch();
        plan(passed ? 0 : 20 * kMs, [this] { resolve(); });
      });
}

// The outcome is unknown, or a partition did not pass: perhaps because an earlier sending of these
// very bytes has passed already. The tip tells.
void Node::resolve() {
  std::vector<core::PartitionId> open;
  for (const auto& [partition, part] : in_flight_->parts) open.push_back(partition);
  if (open.empty()) return end_batch();
  statement<std::vector<Tip>>(
      [open](Database& database) {
        std::vector<Tip> tips;
        for (const core::PartitionId partition : open) tips.push_back(database.tip(partition));
        return tips;
      },
      [this, open](std::optional<std::vector<Tip>> tips) {
        if (!tips) return plan(50 * kMs, [this] { resolve(); });
        for (std::size_t i = 0; i < open.size(); ++i) {
          const auto found = in_flight_->parts.find(open[i]);
          if (found == in_flight_->parts.end()) continue;  // lost meanwhile
          const AppendPart& append = found->second.append;
          const JournalRow& last = append.rows.back();
          const Tip& tip = (*tips)[i];
          if (tip.seq == last.record.seq && tip.chain == last.chain) {
            settle(open[i]);
          } else if (tip.epoch != append.epoch || tip.seq != append.previous ||
                     tip.chain != append.previous_chain) {
            lose(open[i]);
          }
        }
        if (in_flight_->parts.empty()) return end_batch();
        send_batch();
      });
}

void Node::settle(core::PartitionId partition) {
  auto part = in_flight_->parts.extract(partition);
  if (part.empty()) return;
  Slot& slot = slots_.at(partition);
  slot.durable = part.mapped().append.rows.back().record.seq;
  release(slot, std::move(part.mapped()));
}

void Node::end_batch() {
  in_flight_.reset();
  wake(0);
  drain();
}

}  // namespace sluice::sim
