// What a timer does whose time has come: the record `advance`, one handler per kind of timer.
#include "engine/core/partition_impl.hpp"
#include "engine/core/retry.hpp"
#include "engine/core/verdicts.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::core {
namespace {

using Result = tl::expected<void, ApplyError>;

}  // namespace

bool Partition::Impl::fires(const Advance& advance, const Record& record) const {
  const bool overridden = record.verdict == Verdict::overridden;
  if (advance.to > record.time && !overridden) return false;
  if (config.one_run || overridden || stretch != 0) {
    const RunEntry* named = find_run(advance.run);
    return named != nullptr && has_timer(*named, TimerNumber::from_n(advance.timer));
  }
  const auto next = first_timer();
  return next && next->run == advance.run && next->n == advance.timer && next->due <= advance.to;
}

Result Partition::Impl::on_advance(Context& context) {
  const auto body = decode<Advance>(context.record.body);
  if (!body) return bad_body(context.record);
  if (!fires(*body, context.record)) {
    if (stretch != 0) return {};
    return refuse(ApplyError::Code::not_the_next_timer,
                  "record " + std::to_string(context.record.seq) + " fires timer " +
                      std::to_string(body->timer) + " of run " + to_text(body->run) +
                      ", which is not the first, or not due");
  }
  RunEntry& entry = *find_run(body->run);
  const TimerNumber timer = TimerNumber::from_n(body->timer);
  switch (timer.kind) {
    case TimerNumber::Kind::flow_timeout:
      fire_flow_timeout(context, entry);
      break;
    case TimerNumber::Kind::on_failure:
      fire_on_failure(context, entry);
      break;
    case TimerNumber::Kind::within:
      fire_within(context, entry, timer.step);
      break;
    case TimerNumber::Kind::backoff:
      fire_backoff(context, entry, timer.step);
      break;
    case TimerNumber::Kind::hedge:
      fire_hedge(context, entry, timer.step);
      break;
    case TimerNumber::Kind::admission:
      fire_admission(context, entry, static_cast<Move>(timer.step));
      break;
    case TimerNumber::Kind::wait:
      fire_wait(context, entry, timer.step);
      break;
    case TimerNumber::Kind::mail:
      fire_mail(context, entry);
      break;
  }
  return {};
}

void Partition::Impl::fire_flow_timeout(Context& context, RunEntry& entry) {
  const vm::FlowInfo& flow = entry.loaded->program().flows[entry.flow];
  const std::string message =
      "the flow took longer than " + std::to_string(flow.timeout_ms) + " ms";
  cut_short(context, entry, entry.first_seq, vm::CancelKind::timed_out, message, [&] {
    clear_timer(entry.flow_due, entry.id, {TimerNumber::Kind::flow_timeout, 0});
    entry.flow_due = 0;
  });
}

void Partition::Impl::fire_on_failure(Context& context, RunEntry& entry) {
  work(
      context, entry, entry.on_failure_since,
      [](vm::Run& run, vm::Commands& commands) { return run.on_failure_expired(commands); },
      [&] {
        clear_timer(entry.on_failure_due, entry.id, {TimerNumber::Kind::on_failure, 0});
        entry.on_failure_due = 0;
      });
}

void Partition::Impl::fire_within(Context& context, RunEntry& entry, StepNumber number) {
  StepEntry* step = entry.find_step(number);
  SLUICE_CHECK(step != nullptr);
  const vm::StepSite& site = entry.loaded->program().steps[step->site];
  // An attempt that nobody can have begun leaves no doubt.
  const bool begun =
      step->status == StepStatus::granted || (step->status == StepStatus::open && is_safe(site));
  const bool unsure = begun || step->maybe_happened;
  const bool child = step->status == StepStatus::run;
  vm::Failure failure{std::string(vm::failure_kind::kTimedOut),
                      "the step took longer than " + std::to_string(site.within_ms) + " ms", "",
                      step->first.attempt};
  if (!step->last_failure.empty()) failure.message += " (before: " + step->last_failure + ")";
  work(
      context, entry, step->started,
      [&](vm::Run& run, vm::Commands& commands) {
        must_wait(child ? run.step_called_off({number}, failure, commands)
                        : run.step_failed({number}, failure, unsure, commands));
      },
      [&] {
        StepEntry& over = *entry.find_step(number);
        if (child) {
          return call_child_off(context, entry, over, "timed_out", StepInput::within_over);
        }
        revoke_attempts(context, entry, over, "timed_out");
        end_step(context, entry, number, StepInput::within_over);
      });
}

void Partition::Impl::fire_backoff(Context& context, RunEntry& entry, StepNumber number) {
  StepEntry* step = entry.find_step(number);
  SLUICE_CHECK(step != nullptr && step->status == StepStatus::backoff);
  touch(entry);
  note_record(context, entry, step->backoff_since);
  if (const std::string why = given_fault(context.record); !why.empty()) {
    settle_faulted(context, entry, why);
    return;
  }
  open_again(context, entry, *step);
}

void Partition::Impl::fire_hedge(Context& context, RunEntry& entry, StepNumber number) {
  StepEntry* step = entry.find_step(number);
  SLUICE_CHECK(step != nullptr && step->second.attempt == 0);
  touch(entry);
  note_record(context, entry, step->first.opened);
  if (const std::string why = given_fault(context.record); !why.empty()) {
    settle_faulted(context, entry, why);
    return;
  }
  clear_timer(step->hedge_due, entry.id, {TimerNumber::Kind::hedge, number});
  step->hedge_due = 0;
  transition(*step, StepInput::hedge_over);
  ++open_attempts;
  step->second.attempt = ++step->last_attempt;
  step->second.opened = context.record.seq;
  step->second.hedge = true;
  step->second.queue_due = queue_due(site_of(entry, *step, step->second), context.record.time);
  context.effects.push_back(make_offer(entry, *step, step->second, context.record.seq));
}

void Partition::Impl::fire_wait(Context& context, RunEntry& entry, StepNumber number) {
  const TimerEntry* timer = entry.find_timer(number);
  SLUICE_CHECK(timer != nullptr);
  work(
      context, entry, timer->since,
      [&](vm::Run& run, vm::Commands& commands) {
        if (!run.timer_fired({number}, commands)) {
          throw BadInput("the run does not wait for this timer");
        }
      },
      [&] { end_timer(entry, number); });
}

void Partition::Impl::fire_mail(Context& context, RunEntry& entry) {
  work(context, entry, entry.last_seq, [&](vm::Run& run, vm::Commands& commands) {
    if (!run.mail_open(commands)) throw BadInput("the run does not wait for the outbox");
  });
}

}  // namespace sluice::core
