// One handler per kind of record.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/retry.hpp"
#include "engine/core/verdicts.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::core {
namespace {

using Result = tl::expected<void, ApplyError>;

// What a worker hears of its report.
void answer_report(Context& context, bool counts) {
  const Seq seq = context.record.seq;
  context.effects.push_back(counts ? Effect(Settled{seq, context.reply})
                                   : Effect(Stale{seq, context.reply}));
}

void reject_input(Context& context, const std::string& why) {
  context.effects.push_back(Rejected{context.record.seq, context.reply, Refusal::invalid,
                                     "it could not be processed: " + public_reason(context.record),
                                     0});
  context.applied.verdict = verdict_of(context.record);
  context.applied.fault = why;
}

}  // namespace

tl::expected<Applied, ApplyError> Partition::Impl::apply(const Record& record, Reply reply,
                                                         Effects& effects) {
  const bool next = config.one_run ? record.seq > seq : record.seq == seq + 1;
  if (next && record.verdict == Verdict::overridden && record.time != time) {
    Record now = record;  // its time may be what was damaged
    now.time = time;
    return apply(now, reply, effects);
  }
  const bool overridden = record.verdict == Verdict::overridden;
  if (!next || record.time < time) {
    return refuse(ApplyError::Code::out_of_order,
                  "record " + std::to_string(record.seq) + " does not follow record " +
                      std::to_string(seq) + (next ? ": its time falls" : ""));
  }
  if (record.core != core && !overridden) {
    return refuse(ApplyError::Code::unknown_core,
                  "record " + std::to_string(record.seq) + " was applied by core " +
                      std::to_string(record.core) + ", this is core " + std::to_string(core));
  }
  const std::size_t before = effects.size();
  Context context{record, reply, effects, {}};
  context.applied.verdict = record.verdict;
  applying = &record;
  started = 0;
  was_parked = false;
  mail_full =
      config.one_run ? record.verdict == Verdict::parked : mail.pending() >= config.outbox_messages;
  if (overridden) {
    skip(context);
  } else if (auto done = dispatch(context); !done) {
    return tl::unexpected(done.error());
  }
  if (was_parked && context.applied.verdict == Verdict::ok) {
    context.applied.verdict = Verdict::parked;
  }
  seq = record.seq;
  time = record.time;
  dedupe.expire(time);
  subscriptions.expire(time);
  for (std::size_t i = before; i < effects.size(); ++i) add_digest(effects[i]);
  return std::move(context.applied);
}

// Records that hold no work of a run are passed over; but not a switch to another core, without
// which nothing behind it can be read.
void Partition::Impl::skip(Context& context) {
  const Kind kind = context.record.kind;
  const bool passed_over =
      kind == Kind::message_ack || kind == Kind::deployment || kind == Kind::takeover;
  const std::size_t before = context.effects.size();
  if (!passed_over && !dispatch(context)) context.effects.resize(before);
}

Result Partition::Impl::dispatch(Context& context) {
  switch (context.record.kind) {
    case Kind::event:
      return on_event(context);
    case Kind::start:
      return on_start(context);
    case Kind::signal:
      return on_signal(context);
    case Kind::cancel:
      return on_cancel(context);
    case Kind::presence:
      return on_presence(context);
    case Kind::granted:
      return on_granted(context);
    case Kind::done:
      return on_done(context);
    case Kind::failed:
      return on_failed(context);
    case Kind::lapsed:
      return on_lapsed(context);
    case Kind::verdict:
      return on_verdict(context);
    case Kind::advance:
      return on_advance(context);
    case Kind::cron:
      return on_cron(context);
    case Kind::deployment:
      return on_deployment(context);
    case Kind::message:
      return on_message(context);
    case Kind::message_ack:
      return on_message_ack(context);
    case Kind::core:
      return on_core(context);
    case Kind::takeover:
      return on_takeover(context);
    case Kind::join:
      return on_join(context);
    case Kind::go_on:
    case Kind::subscribe:
    case Kind::unsubscribe:
    case Kind::migrate:
    case Kind::admin:
    case Kind::erase:
      break;
  }
  return refuse(ApplyError::Code::unknown_kind,
                "record " + std::to_string(context.record.seq) + " is of kind " +
                    std::to_string(static_cast<unsigned>(context.record.kind)) +
                    ", which this core does not execute");
}

Result Partition::Impl::on_event(Context& context) {
  const Record& record = context.record;
  const auto body = decode<Event>(record.body);
  if (!body) return bad_body(record);
  const LoadedProgram* program = load_program(body->deployment);
  if (program == nullptr && record.verdict != Verdict::overridden) {
    return refuse(ApplyError::Code::missing_deployment,
                  "deployment " + std::to_string(body->deployment) + " is not loaded");
  }
  std::string why = given_fault(record);
  std::vector<NewRun> made;
  vm::Value value;
  if (why.empty() && body->topic >= program->flows_by_topic.size()) why = "there is no such topic";
  if (why.empty()) {
    const std::uint64_t ttl = ttl_of(program->program().topics[body->topic], *body);
    const auto data = vm::decode_value(body->data);
    if (!data) why = std::string("its data is damaged: ") + data.error().message;
    if (data) value = *data;
    for (std::size_t i = 0; why.empty() && i < program->flows_by_topic[body->topic].size(); ++i) {
      Origin origin{body->deployment,
                    program->flows_by_topic[body->topic][i],
                    body->client,
                    body->correlation,
                    body->traceparent,
                    static_cast<unsigned>(i),
                    ttl};
      origin.event = make_event_id(config.id, record.seq, record.time);
      auto run = begin_run(context, *program, origin, {*data});
      if (run)
        made.push_back(std::move(*run));
      else
        why = run.error().why;
    }
  }
  if (!why.empty()) {
    reject_input(context, why);
    return {};
  }
  const vm::TopicInfo& topic = program->program().topics[body->topic];
  take_in(context,
          {dedupe_key(record.tenant, topic.name, body->client, body->order_key, body->id),
           static_cast<std::int64_t>(topic.dedupe_ms), body->correlation},
          made);
  const std::string event = to_text(make_event_id(config.id, record.seq, record.time));
  Envelope about;
  about.hops = 1;
  about.correlation = body->correlation.empty() ? std::string_view(event) : body->correlation;
  about.causation = event;
  about.traceparent = body->traceparent;
  spread_event(context, *program, body->topic, value, about);
  return {};
}

Result Partition::Impl::on_start(Context& context) {
  const Record& record = context.record;
  const auto body = decode<Start>(record.body);
  if (!body) return bad_body(record);
  const LoadedProgram* program = load_program(body->deployment);
  if (program == nullptr && record.verdict != Verdict::overridden) {
    return refuse(ApplyError::Code::missing_deployment,
                  "deployment " + std::to_string(body->deployment) + " is not loaded");
  }
  std::string why = given_fault(record);
  std::vector<NewRun> made;
  if (why.empty() && body->flow >= program->program().flows.size()) why = "there is no such flow";
  if (why.empty()) {
    const auto args = vm::decode_value(body->args);
    if (!args || !args->is(vm::Kind::list)) {
      why = "its parameters are damaged";
    } else {
      const auto elements = args->elements();
      const Origin origin{
          body->deployment, body->flow, body->client, body->correlation, body->traceparent, 0, 0};
      auto run = begin_run(context, *program, origin, {elements.begin(), elements.end()});
      if (run)
        made.push_back(std::move(*run));
      else
        why = run.error().why;
    }
  }
  if (!why.empty()) {
    reject_input(context, why);
    return {};
  }
  const std::string scope = "flow " + program->program().flows[body->flow].name;
  take_in(context,
          {dedupe_key(record.tenant, scope, body->client, {}, body->id), kStartDedupeMs,
           body->correlation},
          made);
  return {};
}

Result Partition::Impl::on_cancel(Context& context) {
  const auto body = decode<Cancel>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* entry = find_run(body->run);
  Accepted accepted;
  accepted.seq = context.record.seq;
  accepted.reply = context.reply;
  accepted.event = make_event_id(config.id, context.record.seq, context.record.time);
  accepted.runs = {body->run};
  if (entry != nullptr) accepted.correlation = entry->correlation;
  context.effects.push_back(std::move(accepted));
  if (entry == nullptr) return {};
  const std::string message = body->message.empty() ? "cancelled" : std::string(body->message);
  cut_short(context, *entry, 0, vm::CancelKind::cancelled, message);
  return {};
}

Result Partition::Impl::on_signal(Context& context) {
  const Record& record = context.record;
  const auto body = decode<Signal>(record.body);
  if (!body) return bad_body(record);
  RunEntry* entry = find_run(body->run);
  if (entry == nullptr) {  // it would not have been admitted
    context.effects.push_back(
        Rejected{record.seq, context.reply, Refusal::unknown_run, "no such live run", 0});
    return {};
  }
  DedupeEntry first;
  first.key = signal_key(record.tenant, *body);
  first.seq = record.seq;
  first.time = record.time;
  first.correlation = entry->correlation;
  dedupe.insert(std::move(first), kStartDedupeMs);
  Accepted accepted;
  accepted.seq = record.seq;
  accepted.reply = context.reply;
  accepted.event = make_event_id(config.id, record.seq, record.time);
  accepted.runs = {body->run};
  accepted.correlation = entry->correlation;
  context.effects.push_back(std::move(accepted));
  work(context, *entry, 0, [&](vm::Run& run, vm::Commands& commands) {
    auto data = vm::decode_value(body->data);
    if (!data) throw BadInput(std::string("the signal is damaged: ") + data.error().message);
    if (!run.signal({body->event, std::nullopt, std::move(*data)}, commands)) {
      throw BadInput("the run does not take this signal");
    }
  });
  return {};
}

Result Partition::Impl::on_granted(Context& context) {
  const auto body = decode<Granted>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* found = find_run(body->run);
  StepEntry* attempt = open_attempt(found, *body);
  if (attempt == nullptr) return {};
  RunEntry& entry = *found;
  StepEntry& step = *attempt;
  if (step.status != StepStatus::open) return {};
  touch(entry);
  note_record(context, entry, body->opened);
  if (const std::string why = given_fault(context.record); !why.empty()) {
    settle_faulted(context, entry, why);
    return {};
  }
  transition(step, StepInput::granted);
  context.effects.push_back(
      GrantCommitted{context.record.seq, {config.id, entry.id, step.id, body->attempt}});
  return {};
}

Result Partition::Impl::on_done(Context& context) {
  const auto body = decode<Done>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* found = find_run(body->run);
  StepEntry* attempt = open_attempt(found, *body);
  answer_report(context, attempt != nullptr);
  if (attempt == nullptr) return {};
  RunEntry& entry = *found;
  auto result = body->result.empty() ? vm::Value() : vm::decode_value(body->result);
  work(
      context, entry, body->opened,
      [&](vm::Run& run, vm::Commands& commands) {
        if (!result)
          throw BadInput(std::string("the result is damaged: ") + result.error().message);
        must_wait(run.step_succeeded({body->step}, std::move(*result), commands));
      },
      [&] {
        entry.remember({body->step, body->attempt, report_digest(*body)});
        revoke_attempts(context, entry, *entry.find_step(body->step), "hedged", body->attempt);
        end_step(context, entry, body->step, StepInput::done);
      });
  return {};
}

Result Partition::Impl::on_failed(Context& context) {
  const auto body = decode<Failed>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* found = find_run(body->run);
  StepEntry* attempt = open_attempt(found, *body);
  answer_report(context, attempt != nullptr);
  if (attempt == nullptr) return {};
  RunEntry& entry = *found;
  StepEntry& step = *attempt;
  const OpenAttempt ended = *step.find_attempt(body->attempt);
  const vm::Program& program = entry.loaded->program();
  AttemptEnd end;
  end.kind = known_kind(program.tasks[site_of(entry, step, ended).task], body->kind);
  end.message = body->message;
  if (end.kind != body->kind) end.message = std::string(body->kind) + ": " + end.message;
  // Invalid is a result of the wrong type: the work was done, and its result is lost.
  end.unanswered = end.kind == vm::failure_kind::kLost || end.kind == vm::failure_kind::kTimedOut ||
                   end.kind == vm::failure_kind::kInvalid;
  end.again = body->retry && may_repeat(program.steps[step.site], end.kind, step.tries);
  end.again_input = StepInput::failed_again;
  end.last_input = StepInput::failed_last;
  end.retry_after_ms = body->retry_after_ms;
  end.remember = EndedAttempt{body->step, body->attempt, report_digest(*body)};
  end_attempt(context, entry, step, ended, end);
  return {};
}

Result Partition::Impl::on_lapsed(Context& context) {
  const auto body = decode<Lapsed>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* found = find_run(body->run);
  StepEntry* attempt = open_attempt(found, *body);
  if (attempt == nullptr) return {};
  RunEntry& entry = *found;
  StepEntry& step = *attempt;
  const OpenAttempt ended = *step.find_attempt(body->attempt);
  const vm::StepSite& site = entry.loaded->program().steps[step.site];
  AttemptEnd end;
  describe_lapse(site_of(entry, step, ended), body->reason, end.kind, end.message);
  // After a takeover nobody knows whether a safe attempt that waits was handed out before.
  end.unanswered = body->reason != LapseReason::queued || is_safe(site);
  end.again = may_repeat(site, end.kind, step.tries);
  end.again_input = StepInput::lapsed_again;
  end.last_input = StepInput::lapsed_last;
  end_attempt(context, entry, step, ended, end);
  return {};
}

void Partition::Impl::end_attempt(Context& context, RunEntry& entry, StepEntry& step,
                                  const OpenAttempt& attempt, const AttemptEnd& end) {
  const StepNumber number = step.id;
  if (step.second.attempt != 0 && is_sound(context.record.verdict)) {
    end_one_of_two(context, entry, step, attempt, end);
    return;
  }
  if (end.again && is_sound(context.record.verdict)) {
    touch(entry);
    note_record(context, entry, attempt.opened);
    if (end.remember) entry.remember(*end.remember);
    step.maybe_happened = step.maybe_happened || end.unanswered;
    repeat_later(context, entry, step, end.again_input, end.retry_after_ms,
                 end.kind + ": " + end.message);
    return;
  }
  const bool unsure = end.unanswered || step.maybe_happened;
  const vm::Failure failure{end.kind, end.message, "", attempt.attempt};
  work(
      context, entry, attempt.opened,
      [&](vm::Run& run, vm::Commands& commands) {
        must_wait(run.step_failed({number}, failure, unsure, commands));
      },
      [&] {
        if (end.remember) entry.remember(*end.remember);
        end_step(context, entry, number, end.last_input);
      });
}

Result Partition::Impl::on_verdict(Context& context) {
  const auto body = decode<Spoke>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* found = find_run(body->run);
  StepEntry* step = open_attempt(found, *body);
  if (step == nullptr || !step->is_undecided()) return {};
  RunEntry& entry = *found;
  touch(entry);
  note_record(context, entry, body->opened);
  if (const std::string why = given_fault(context.record); !why.empty()) {
    settle_faulted(context, entry, why);
    return {};
  }
  clear_timer(step->hedge_due, entry.id, {TimerNumber::Kind::hedge, step->id});
  step->hedge_due = 0;
  revoke_attempts(context, entry, *step, "hedged", body->attempt);
  transition(*step, StepInput::spoke);
  if (step->second.attempt != 0) --open_attempts;
  if (step->second.attempt == body->attempt) step->first = step->second;
  step->second = {};
  return {};
}

Result Partition::Impl::on_deployment(Context& context) {
  const auto body = decode<DeploymentRecord>(context.record.body);
  if (!body) return bad_body(context.record);
  if (body->deployment > deployment) {
    deployment = body->deployment;
    deployment_hash = body->hash;
    deployed = context.record.time;
  }
  return {};
}

Result Partition::Impl::on_core(Context& context) {
  const auto body = decode<CoreSwitch>(context.record.body);
  if (!body) return bad_body(context.record);
  if (body->to == 0 || body->to > kCoreVersion) {
    return refuse(ApplyError::Code::unknown_core,
                  "this binary does not have core " + std::to_string(body->to));
  }
  core = body->to;
  return {};
}

Result Partition::Impl::on_takeover(Context& context) {
  const auto body = decode<Takeover>(context.record.body);
  if (!body) return bad_body(context.record);
  epoch = body->epoch;
  return {};
}

void Partition::Impl::settle_faulted(Context& context, RunEntry& entry, const std::string& why) {
  context.applied.verdict = verdict_of(context.record);
  context.applied.fault = why;
  abandon(context, entry, public_reason(context.record));
}

}  // namespace sluice::core
