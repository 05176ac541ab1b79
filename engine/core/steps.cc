// Steps from their start to their end: attempts, gaps between them, and what they offer.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/retry.hpp"
#include "engine/core/vm_call.hpp"

namespace sluice::core {
namespace {

std::uint32_t clamp32(std::uint64_t v) {
  return v > 0xffffffffu ? 0xffffffffu : static_cast<std::uint32_t>(v);
}

StreamEnd stream_end(StepInput input) {
  if (input == StepInput::done) return StreamEnd::complete;
  return input == StepInput::cancel ? StreamEnd::cancelled : StreamEnd::failed;
}

}  // namespace

std::uint64_t Partition::Impl::args_digest(const vm::StepSite& site, Seq opened,
                                           std::string_view json) const {
  if (!site.readonly) return siphash64(kDigestKey, json);
  return siphash64({kDigestKey.k0 ^ epoch, kDigestKey.k1 ^ opened}, json);
}

void Partition::Impl::start_step(Context& context, RunEntry& entry, vm::StartStep& command,
                                 std::string json, std::string hedge_json, std::string_view data) {
  StepEntry step;
  step.id = command.id.value;
  step.site = command.site_index;
  step.started = context.record.seq;
  step.compensating = command.compensating;
  step.args_digest = args_digest(*command.site, context.record.seq, json);
  step.path = std::move(command.path);
  step.key = std::move(command.key);
  step.args_json = std::move(json);
  step.hedge_digest = hedge_json.empty() ? 0 : siphash64(kDigestKey, hedge_json);
  step.hedge_json = std::move(hedge_json);
  if (command.site->within_ms > 0) {
    step.within_due = context.record.time + static_cast<TimeUs>(command.site->within_ms) * kUsPerMs;
    set_timer(step.within_due, entry.id, {TimerNumber::Kind::within, step.id});
  }
  for (const vm::TimerId deadline : command.deadlines) {
    const TimerEntry* around = entry.find_timer(deadline.value);
    SLUICE_CHECK(around != nullptr);
    step.block_due = step.block_due == 0 ? around->due : std::min(step.block_due, around->due);
  }
  if (command.site->flow) {
    transition(step, StepInput::start_run);
    StepEntry& added = entry.steps.emplace_back(std::move(step));
    start_child(context, entry, added, command.arguments, data);
    return;
  }
  transition(step, StepInput::start);
  entry.steps.push_back(std::move(step));
  open_first(context, entry, entry.steps.back());
}

void Partition::Impl::open_first(Context& context, RunEntry& entry, StepEntry& step) {
  const vm::StepSite& site = entry.loaded->program().steps[step.site];
  const TimeUs now = context.record.time;
  step.first = {step.last_attempt, context.record.seq, queue_due(site, now), false};
  if (site.hedge_after_ms > 0) {
    step.hedge_due = now + static_cast<TimeUs>(site.hedge_after_ms) * kUsPerMs;
    set_timer(step.hedge_due, entry.id, {TimerNumber::Kind::hedge, step.id});
  }
  context.effects.push_back(make_offer(entry, step, step.first, context.record.seq));
}

void Partition::Impl::revoke_attempts(Context& context, const RunEntry& entry,
                                      const StepEntry& step, std::string_view why,
                                      std::uint32_t kept) {
  for (const OpenAttempt* attempt : {&step.first, &step.second}) {
    if (step.find_attempt(attempt->attempt) == nullptr || attempt->attempt == kept) continue;
    context.effects.push_back(Revoke{
        context.record.seq, {config.id, entry.id, step.id, attempt->attempt}, std::string(why)});
  }
}

void Partition::Impl::cancel_step(Context& context, RunEntry& entry, StepNumber number,
                                  std::string_view why) {
  StepEntry* step = entry.find_step(number);
  SLUICE_CHECK(step != nullptr);
  if (step->status == StepStatus::run) {
    return call_child_off(context, entry, *step, why, StepInput::cancel);
  }
  revoke_attempts(context, entry, *step, why);
  end_step(context, entry, number, StepInput::cancel);
}

// With the run itself.
void Partition::Impl::drop_step(Context& context, RunEntry& entry, StepNumber number,
                                std::string_view why) {
  cancel_step(context, entry, number, why);
  if (entry.find_step(number) != nullptr) end_step(context, entry, number, StepInput::cancel);
}

void Partition::Impl::end_step(Context& context, RunEntry& entry, StepNumber number,
                               StepInput input) {
  StepEntry* step = entry.find_step(number);
  SLUICE_CHECK(step != nullptr);
  if (entry.loaded->program().steps[step->site].stream) {
    context.effects.push_back(
        StreamEnded{context.record.seq, config.id, entry.id, number, stream_end(input)});
  }
  clear_step_timers(entry, *step);
  if (step->second.attempt != 0) --open_attempts;
  transition(*step, input);
  entry.steps.erase(entry.steps.begin() + (step - entry.steps.data()));
}

void Partition::Impl::start_timer(Context& context, RunEntry& entry, vm::StartTimer& command) {
  const TimeUs now = context.record.time;
  TimerEntry timer;
  timer.id = command.id.value;
  timer.use = command.use;
  timer.since = context.record.seq;
  timer.path = std::move(command.path);
  if (command.until_us) {
    timer.due = std::clamp(*command.until_us, now, now + kTimerUsMax);
  } else {
    timer.due = now + std::min(command.after_ms.value_or(0), kTimerUsMax / kUsPerMs) * kUsPerMs;
  }
  set_timer(timer.due, entry.id, {TimerNumber::Kind::wait, timer.id});
  entry.timers.push_back(std::move(timer));
}

void Partition::Impl::end_timer(RunEntry& entry, StepNumber number) {
  const TimerEntry* timer = entry.find_timer(number);
  SLUICE_CHECK(timer != nullptr);
  clear_timer(timer->due, entry.id, {TimerNumber::Kind::wait, number});
  entry.timers.erase(entry.timers.begin() + (timer - entry.timers.data()));
}

void Partition::Impl::repeat_later(Context& context, RunEntry& entry, StepEntry& step,
                                   StepInput input, std::uint32_t retry_after_ms,
                                   std::string failure) {
  const vm::StepSite& site = entry.loaded->program().steps[step.site];
  const std::uint64_t draw = jitter_draw(config.id, context.record.seq, step.id);
  transition(step, input);
  clear_timer(step.hedge_due, entry.id, {TimerNumber::Kind::hedge, step.id});
  step.hedge_due = 0;
  step.backoff_due = context.record.time + backoff_gap(site, step.tries, retry_after_ms, draw);
  step.backoff_since = context.record.seq;
  step.last_failure = std::move(failure);
  set_timer(step.backoff_due, entry.id, {TimerNumber::Kind::backoff, step.id});
}

// The other one goes on, alone; it decides what becomes of the step.
void Partition::Impl::end_one_of_two(Context& context, RunEntry& entry, StepEntry& step,
                                     const OpenAttempt& attempt, const AttemptEnd& end) {
  touch(entry);
  note_record(context, entry, attempt.opened);
  if (end.remember) entry.remember(*end.remember);
  step.maybe_happened = step.maybe_happened || end.unanswered;
  step.last_failure = end.kind + ": " + end.message;
  transition(step, StepInput::failed_beside);
  if (step.first.attempt == attempt.attempt) step.first = step.second;
  step.second = {};
  --open_attempts;
}

void Partition::Impl::open_again(Context& context, RunEntry& entry, StepEntry& step) {
  clear_timer(step.backoff_due, entry.id, {TimerNumber::Kind::backoff, step.id});
  step.backoff_due = 0;
  step.backoff_since = 0;
  ++step.tries;
  ++step.last_attempt;
  transition(step, StepInput::backoff_over);
  open_first(context, entry, step);
}

const vm::StepSite& Partition::Impl::site_of(const RunEntry& entry, const StepEntry& step,
                                             const OpenAttempt& attempt) {
  const vm::Program& program = entry.loaded->program();
  const vm::StepSite& site = program.steps[step.site];
  return attempt.hedge && site.hedge_site ? program.steps[*site.hedge_site] : site;
}

Offer Partition::Impl::make_offer(const RunEntry& entry, const StepEntry& step,
                                  const OpenAttempt& attempt, Seq at) const {
  const vm::Program& program = entry.loaded->program();
  const vm::StepSite& site = site_of(entry, step, attempt);
  const auto earlier = [](TimeUs a, TimeUs b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); };
  Offer offer;
  offer.seq = at;
  offer.key = {config.id, entry.id, step.id, attempt.attempt};
  offer.opened = attempt.opened;
  offer.tenant = entry.tenant;
  offer.deployment = entry.deployment;
  offer.task_index = site.task;
  offer.task = program.tasks[site.task].name;
  offer.stream = program.steps[step.site].stream;
  offer.undecided = offer.stream && step.is_undecided();
  offer.safe = is_safe(program.steps[step.site]);
  // What it streams must have a history; of a hedge the digest does not tell its own beginning.
  offer.early = site.readonly && !offer.stream && !attempt.hedge;
  offer.timeout_ms = clamp32(site.timeout_ms);
  offer.heartbeat_ms = clamp32(site.heartbeat_ms);
  const TimeUs run_due = entry.on_failure_due != 0 ? entry.on_failure_due
                         : step.compensating       ? 0
                                                   : entry.flow_due;
  offer.queue_deadline = attempt.queue_due;
  offer.step_deadline = earlier(earlier(step.within_due, step.block_due), run_due);
  offer.args_digest = step.digest_of(attempt);
  offer.path = step.path;
  offer.step_key = step.key;
  offer.args_json = attempt.hedge && !step.hedge_json.empty() ? step.hedge_json : step.args_json;
  offer.client = entry.client;
  offer.correlation = entry.correlation;
  offer.traceparent = entry.traceparent;
  offer.flow = program.flows[entry.flow].name;
  return offer;
}

}  // namespace sluice::core
