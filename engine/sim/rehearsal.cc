#include "engine/sim/rehearsal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/message.hpp"
#include "engine/schedule/instants.hpp"
#include "engine/sim/rehearsal_stage.hpp"
#include "vm/evaluator.hpp"

namespace sluice::sim {

using core::Effects;
using core::Offer;
using core::TimeUs;

namespace {

constexpr core::TenantId kTenant{1};
constexpr TimeUs kStart = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z
// Jitter follows from the seq, so a seed is so many records before the first input.
constexpr std::uint64_t kSeeds = 4096;

// The id by which an input that is sent twice is known.
std::string id_of(std::size_t input) {
  return input == 0 ? "rehearsal" : fmt::format("rehearsal-{}", input + 1);
}

}  // namespace

Stage::Stage(const RehearsalRequest& request)
    : request_(request),
      unit_(request.program),
      programs_(request.program),
      partition_({}, programs_),
      dispatcher_(std::make_unique<dispatch::Dispatcher>(dispatch::Config{})),
      now_(kStart) {}

TimeUs Stage::to_us(std::uint64_t ms) {
  return static_cast<TimeUs>(std::min<std::uint64_t>(ms, kRehearsalUs / core::kUsPerMs)) *
         core::kUsPerMs;
}

Rehearsal Stage::play() {
  told_.start = kStart;
  dispatch::Actions actions;
  workers_join(actions);
  perform(actions);
  for (std::uint64_t i = 0; i < request_.seed % kSeeds; ++i) {
    take(core::make_record(kTenant, core::Takeover{1}));
  }
  deploy();
  seeds_ = log_.size();
  told_.journal.clear();  // it is told from the first input on
  for (std::size_t i = 0; i < request_.inputs.size(); ++i) {
    Planned planned;
    planned.input = i;
    ++inputs_left_;
    schedules_until_ = std::max(schedules_until_, kStart + to_us(request_.inputs[i].after_ms));
    plan(Planned::Kind::input, kStart + to_us(request_.inputs[i].after_ms), std::move(planned));
  }
  while (going_on()) {
    if (++happenings_ > kRehearsalHappenings || !next()) {
      told_.stopped = why_not();
      break;
    }
  }
  told_.broken = !broken_.empty();
  if (told_.broken) told_.stopped = broken_;
  return tell();
}

// Flows that the clock starts begin to count.
void Stage::deploy() {
  const auto& flows = program().flows;
  const bool any = std::any_of(flows.begin(), flows.end(),
                               [](const vm::FlowInfo& flow) { return flow.schedule.has_value(); });
  if (!any) return;
  const std::string hash(32, '\0');
  take(core::make_record(core::TenantId{}, core::DeploymentRecord{kDeployment, hash}));
  look_at_schedules();
}

// The next instant of a schedule, up to that of the last input: what comes after it, nobody waits
// for.
void Stage::look_at_schedules() {
  cron_.reset();
  for (const core::ScheduledFlow& each : partition_.schedules()) {
    const auto instant = schedule::next_instant(each.schedule, each.after);
    if (instant && (!cron_ || *instant < cron_->instant)) {
      cron_ = core::Cron{kDeployment, each.flow, *instant};
    }
  }
}

std::optional<TimeUs> Stage::next_schedule() const {
  if (!cron_ || cron_->instant > schedules_until_) return std::nullopt;
  return cron_->instant;
}

bool Stage::going_on() const {
  const core::PartitionStats stats = partition_.stats();
  return inputs_left_ > 0 || stats.runs > 0 || stats.outbox > 0 || !to_take_.empty() || died_;
}

std::string Stage::why_not() const {
  if (!broken_.empty()) return broken_;
  if (happenings_ > kRehearsalHappenings || partition_.next_due() || !planned_.empty()) {
    return fmt::format("the run did not end within {} days and {} happenings",
                       kRehearsalUs / 86'400'000'000, kRehearsalHappenings);
  }
  return "the run waits for nothing that will ever happen";
}

// ---- what comes in

void Stage::give(std::size_t index) {
  const Input& input = request_.inputs[index];
  switch (input.kind) {
    case Input::Kind::event:
      return give_event(index, id_of(index));
    case Input::Kind::start:
      return give_start(index, id_of(index));
    case Input::Kind::cancel:
      return give_cancel(input);
    case Input::Kind::signal:
      return give_signal(index, id_of(index));
    case Input::Kind::away:
    case Input::Kind::back:
      return give_presence(input);
  }
}

bool Stage::admitted(std::size_t index, const std::optional<core::Effect>& answer) {
  if (!answer) {
    if (!acting_) broken_ = "an input that was taken before the crash is taken again";
    return acting_.has_value();
  }
  if (const auto* rejected = std::get_if<core::Rejected>(&*answer)) {
    refuse(index, rejected->code, rejected->message);
  }
  return false;
}

void Stage::take_input(std::size_t index, core::Record record) {
  told_.taken.emplace_back(index, partition_.next_seq());
  for (const core::Effect& effect : take(std::move(record))) {
    const auto* rejected = std::get_if<core::Rejected>(&effect);
    if (rejected == nullptr) continue;
    told_.taken.pop_back();
    refuse(index, rejected->code, rejected->message);
  }
}

// Sent again after a crash, it may be refused again.
void Stage::refuse(std::size_t index, core::Refusal code, std::string message) {
  std::erase_if(told_.refused, [&](const Refused& each) { return each.input == index; });
  told_.refused.push_back({index, code, std::move(message), now_, text_of(request_.inputs[index])});
}

std::string Stage::text_of(const Input& input) const {
  const std::string& name = input.kind == Input::Kind::event   ? program().topics[input.index].name
                            : input.kind == Input::Kind::start ? program().flows[input.index].name
                                                               : program().events[input.index].name;
  const auto value = vm::decode_value(input.data);
  std::string text = name + " " + (value ? vm::to_json(program().types, {}, *value) : "");
  return input.client.empty() ? text : text + " from " + input.client;
}

void Stage::give_event(std::size_t index, const std::string& id) {
  const Input& input = request_.inputs[index];
  core::Event event;
  event.deployment = kDeployment;
  event.topic = input.index;
  event.client = input.client;
  std::string key = input.client;
  if (program().topics[input.index].order_function) {
    const auto value = vm::decode_value(input.data);
    const auto found = vm::order_key(programs_.unit(), input.index, value ? *value : vm::Value());
    if (!found) {
      return refuse(index, core::Refusal::invalid,
                    "the ordering key cannot be computed: " + found.error().message);
    }
    key = *found;
  }
  event.order_key = key;
  event.id = id;
  event.data = input.data;
  if (!admitted(index, partition_.admit(kTenant, event, now_, {}))) return;
  take_input(index, core::make_record(kTenant, event));
}

void Stage::give_start(std::size_t index, const std::string& id) {
  const Input& input = request_.inputs[index];
  core::Start start;
  start.deployment = kDeployment;
  start.flow = input.index;
  start.client = input.client;
  start.id = id;
  start.args = input.data;
  if (!admitted(index, partition_.admit(kTenant, start, now_, {}))) return;
  take_input(index, core::make_record(kTenant, start));
}

void Stage::give_cancel(const Input& input) {
  const std::vector<core::RunId> runs = runs_;
  for (const core::RunId& run : runs) {
    const auto live = partition_.run(run);
    if (is_step(run)) continue;  // it is cancelled with the run that waits for it
    if (!live || (!input.client.empty() && live->client != input.client)) continue;
    const core::Cancel cancel{run, {}, "rehearsal", "cancelled"};
    if (!partition_.admit(kTenant, cancel, {})) take(core::make_record(kTenant, cancel));
    if (died_) return;  // the others are cancelled when it is sent again
  }
}

// To each run that takes it. Sent again after a crash, each run that had it knows it by its id.
void Stage::give_signal(std::size_t index, const std::string& id) {
  const Input& input = request_.inputs[index];
  core::Refusal code = core::Refusal::unknown_run;
  std::string why = "no live run receives " + program().events[input.index].name;
  bool reached = false;
  const std::vector<core::RunId> runs = runs_;
  for (const core::RunId& run : runs) {
    const core::Signal signal{run, kDeployment, input.index, input.client, id, input.data};
    const auto answer = partition_.admit(kTenant, signal, now_, {});
    if (!answer) take_input(index, core::make_record(kTenant, signal));
    if (died_) return;  // the others get it when it is sent again
    const auto* refused = answer ? std::get_if<core::Rejected>(&*answer) : nullptr;
    if (refused == nullptr) {
      reached = true;
    } else if (refused->code == core::Refusal::unexpected) {
      if (code == core::Refusal::unknown_run) code = refused->code;
    } else if (refused->code != core::Refusal::unknown_run) {
      code = refused->code;
      why = refused->message;
    }
  }
  if (!reached) refuse(index, code, why);
}

// Runs that begin later are told when they do.
void Stage::give_presence(const Input& input) {
  const bool away = input.kind == Input::Kind::away;
  const Presence now{away, input.since == 0 ? now_ : input.since};
  const auto [known, fresh] = presence_.try_emplace(input.client, now);
  if (!fresh && known->second.away != away) known->second = now;
  const std::vector<core::RunId> runs = runs_;
  for (const core::RunId& run : runs) {
    const auto live = partition_.run(run);
    const core::Presence presence{run, away, known->second.since};
    if (!live || live->client != input.client || !partition_.admit(presence)) continue;
    take(core::make_record(kTenant, presence));
    if (died_) return;  // the others are told when their wish is known again
  }
}

void Stage::tell_presence(const core::PresenceWanted& wanted) {
  const auto known = presence_.find(wanted.client);
  const Presence now = known == presence_.end() ? Presence{} : known->second;
  if (now.away == wanted.told_away) return;
  to_take_.push_back(
      core::make_record(wanted.tenant, core::Presence{wanted.run, now.away, now.since}));
}

// Whether another run began it as its step.
bool Stage::is_step(const core::RunId& run) const {
  const core::Record& first = of_run_.at(run).front();
  if (first.kind != core::Kind::message) return false;
  const auto message = core::decode<core::Message>(first.body);
  const auto envelope = core::decode<core::Envelope>(message->body);
  const auto start = core::decode<core::StartMessage>(envelope->body);
  return envelope->kind == core::MessageKind::start && start && start->step != 0;
}

// ---- the journal

// Journals a record, does what it leads to, and answers its effects.
Effects Stage::take(core::Record record) {
  record.seq = partition_.next_seq();
  record.time = now_;
  record.core = partition_.core();
  Effects effects;
  const auto applied = partition_.apply(record, {}, effects);
  if (!applied) {
    broken_ = applied.error().message;
    return {};
  }
  record.verdict = applied->verdict;
  log_.push_back({record, partition_.take_digest()});
  note(record, *applied, effects);
  keep_checkpoint();
  if (crashes_now()) died_ = true;
  if (!died_ || request_.crash.effects_left) leave(effects);
  return effects;
}

// Which runs the record belongs to. A delivery is a row that was committed with it.
void Stage::note(const core::Record& record, const core::Applied& applied, const Effects& effects) {
  if (log_.size() > seeds_) told_.journal.push_back(record.kind);
  std::vector<core::RunId> begun;
  for (const core::Effect& effect : effects) {
    if (const auto* accepted = std::get_if<core::Accepted>(&effect)) {
      if (record.kind == core::Kind::event || record.kind == core::Kind::start ||
          record.kind == core::Kind::cron || record.kind == core::Kind::message) {
        begun.insert(begun.end(), accepted->runs.begin(), accepted->runs.end());
      }
    } else if (const auto* delivery = std::get_if<core::Delivery>(&effect)) {
      told_.deliveries.push_back(*delivery);
    }
  }
  for (const core::RunId& run : begun) begin_run(run, record);
  if (!begun.empty() || applied.run.is_nil()) return;
  if (of_run_.contains(applied.run)) {
    of_run_[applied.run].push_back(record);
  } else {
    begin_run(applied.run, record);
  }
}

void Stage::begin_run(const core::RunId& run, const core::Record& record) {
  if (of_run_.contains(run)) return;
  runs_.push_back(run);
  of_run_[run].push_back(record);
}

// What the record asked for, once it is committed.
void Stage::leave(const Effects& effects) {
  dispatch::Actions actions;
  for (const core::Effect& effect : effects) {
    if (const auto* offer = std::get_if<Offer>(&effect)) {
      this->offer(*offer, actions);
    } else if (const auto* revoke = std::get_if<core::Revoke>(&effect)) {
      dispatcher_->revoke(revoke->key, revoke->why, now_, actions);
    } else if (const auto* grant = std::get_if<core::GrantCommitted>(&effect)) {
      dispatcher_->granted(grant->key, now_, actions);
    } else {
      carry(effect);
    }
  }
  perform(actions);
}

// Messages of the partition to itself, what it says of them, and whose presence it asks for.
void Stage::carry(const core::Effect& effect) {
  if (const auto* sent = std::get_if<core::Send>(&effect)) {
    to_take_.push_back(
        core::make_record(sent->tenant, core::Message{partition_.id(), sent->n, sent->body}));
  } else if (const auto* taken = std::get_if<core::Acknowledge>(&effect)) {
    to_take_.push_back(core::make_record(kTenant, core::MessageAck{taken->source, taken->n}));
  } else if (const auto* wanted = std::get_if<core::PresenceWanted>(&effect)) {
    tell_presence(*wanted);
  }
}

void Stage::perform(const dispatch::Actions& actions) {
  if (died_ && !request_.crash.effects_left) return;
  for (const dispatch::Action& action : actions) {
    if (const auto* out = std::get_if<dispatch::HandOut>(&action)) {
      hand_out(*out);
    } else if (const auto* request = std::get_if<dispatch::RequestGrant>(&action)) {
      to_take_.push_back(
          core::make_record(kTenant, core::Granted{request->key.run, request->key.step,
                                                   request->key.attempt, request->opened}));
    } else if (const auto* lapse = std::get_if<dispatch::Lapse>(&action)) {
      to_take_.push_back(core::make_record(
          kTenant, core::Lapsed{lapse->key.run, lapse->key.step, lapse->key.attempt, lapse->opened,
                                lapse->reason}));
    } else if (const auto* cancel = std::get_if<dispatch::CancelTask>(&action)) {
      forget(cancel->nonce);
    } else if (const auto* stale = std::get_if<dispatch::StaleLease>(&action)) {
      forget(stale->nonce);
    }
  }
}

bool Stage::still_counts(const core::Record& record) {
  using Admission = core::Partition::MessageAdmission;
  if (record.kind == core::Kind::message) {
    const auto message = core::decode<core::Message>(record.body);
    const Admission admission = partition_.admit(*message);
    if (admission == Admission::repeated) {
      carry(core::Acknowledge{partition_.last_seq(), message->source,
                              partition_.taken_from(message->source)});
    }
    return admission == Admission::fresh;
  }
  if (record.kind == core::Kind::message_ack) {
    return partition_.admit(*core::decode<core::MessageAck>(record.body));
  }
  if (record.kind == core::Kind::presence) {
    return partition_.admit(*core::decode<core::Presence>(record.body));
  }
  if (record.kind == core::Kind::granted) {
    return partition_.admit(*core::decode<core::Granted>(record.body));
  }
  return partition_.admit(*core::decode<core::Lapsed>(record.body));
}

// The next thing that happens; false: nothing does, or too late.
bool Stage::next() {
  if (!broken_.empty()) return false;
  if (died_) {
    crash();
    return broken_.empty();
  }
  acting_.reset();
  if (!to_take_.empty()) {
    core::Record record = std::move(to_take_.front());
    to_take_.pop_front();
    if (still_counts(record)) take(std::move(record));
    return true;
  }
  const auto first = [](std::optional<TimeUs> a, std::optional<TimeUs> b) {
    return !a ? b : !b ? a : std::min(*a, *b);
  };
  std::optional<TimeUs> planned;
  if (!planned_.empty()) planned = planned_.begin()->at;
  const auto timer = partition_.next_due();
  const auto scheduled = next_schedule();
  const auto at = first(first(planned, scheduled), first(timer, dispatcher_->next_due()));
  if (!at || *at > kStart + kRehearsalUs) return false;
  now_ = std::max(now_, *at);
  if (scheduled && *scheduled <= now_) {
    const core::Cron due = *cron_;
    if (partition_.admit(due)) take(core::make_record(kTenant, due));
    look_at_schedules();
  } else if (planned && *planned <= now_) {
    acting_ = std::move(planned_.extract(planned_.begin()).value());
    if (acting_->kind == Planned::Kind::input) --inputs_left_;
    act(Planned(*acting_));
  } else if (timer && *timer <= now_) {
    take(partition_.make_advance(now_));
  } else {
    dispatch::Actions actions;
    dispatcher_->tick(now_, actions);
    perform(actions);
  }
  return true;
}

void Stage::act(const Planned& planned) {
  switch (planned.kind) {
    case Planned::Kind::input:
      return give(planned.input);
    case Planned::Kind::renew:
      return renew(planned);
    case Planned::Kind::report:
      return report(planned);
    case Planned::Kind::serve:
      return serve(planned);
    case Planned::Kind::speak:
      return speak(planned);
  }
}

Rehearsal Stage::tell() {
  for (const core::RunId& run : runs_) {
    auto history = core::tell_history(partition_.id(), 1, run, of_run_[run], programs_);
    if (!history) {
      told_.stopped = history.error();
      told_.broken = true;
      break;
    }
    told_.runs.push_back(std::move(*history));
  }
  return std::move(told_);
}

Rehearsal rehearse(const RehearsalRequest& request) {
  return Stage(request).play();
}

std::string outcome_text(const Rehearsal& rehearsal) {
  std::string out;
  std::map<std::string, std::string> told;
  for (const core::Delivery& each : rehearsal.deliveries) {
    told[each.client] += fmt::format("  {} {}\n", each.name, each.data_json);
  }
  for (const core::RunHistory& run : rehearsal.runs) {
    out += fmt::format("{} of {}: {} {} {} {}\n", run.row.flow,
                       run.row.client.empty() ? "nobody" : run.row.client,
                       core::run_state_word(run.row.state), run.row.outcome_name,
                       run.row.outcome_json, run.row.why);
  }
  for (const auto& [client, lines] : told) {
    const auto group = core::group_of(client);
    out += fmt::format("told to {}{}:\n{}", group ? "group " : "", group.value_or(client), lines);
  }
  for (const Refused& each : rehearsal.refused) {
    out += fmt::format("refused as {}: {}\n", core::refusal_word(each.code), each.what);
  }
  if (!rehearsal.stopped.empty()) out += rehearsal.stopped + "\n";
  return out;
}

}  // namespace sluice::sim
