// Scripted workers: what they are handed, and when they report.
#include <algorithm>

#include "engine/sim/rehearsal_stage.hpp"
#include "vm/evaluator.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::sim {

using core::Offer;
using core::TimeUs;

namespace {

constexpr core::TenantId kTenant{1};
constexpr core::WorkerId kWorker{1};

}  // namespace

// A worker offers a bounded number of tasks, so many tasks need several.
void Stage::workers_join(dispatch::Actions& actions) {
  const dispatch::Config config;
  const auto& tasks = program().tasks;
  workers_.clear();
  for (std::size_t i = 0; i < tasks.size(); i += config.tasks_per_worker) {
    const std::size_t end = std::min(i + config.tasks_per_worker, tasks.size());
    std::vector<std::string> names;
    for (std::size_t task = i; task < end; ++task) names.push_back(tasks[task].name);
    const core::WorkerId worker{core::number(kWorker) + i};
    workers_.push_back(worker);
    dispatcher_->worker_joined(worker, std::nullopt, names, config.credit_max, now_, actions);
  }
}

void Stage::hand_out(const dispatch::HandOut& out) {
  using Kind = ScriptedAttempt::Kind;
  Planned planned;
  planned.offer = *out.offer;
  planned.nonce = out.nonce;
  planned.attempt = attempt_of(*out.offer).attempt;
  planned.lease_ms = out.lease_ms;
  if (planned.attempt.kind == Kind::times_out) {
    const bool limited = out.deadline_ms > 0 || planned.offer.step_deadline > 0;
    planned.attempt.kind = limited ? Kind::hangs : Kind::fails;
    planned.attempt.failure = vm::failure_kind::kTimedOut;
  }
  if (planned.attempt.kind == Kind::dies) return;
  const bool hangs = planned.attempt.kind == Kind::hangs;
  planned.until = hangs ? 0 : now_ + to_us(planned.attempt.takes_ms);
  if (planned.attempt.speaks_ms && planned.offer.stream) {
    plan(Planned::Kind::speak, now_ + to_us(*planned.attempt.speaks_ms), planned);
  }
  // A task may take longer than its lease; an honest worker renews meanwhile.
  plan_renewal(planned);
  if (!hangs) plan(Planned::Kind::report, planned.until, std::move(planned));
}

void Stage::plan_renewal(Planned planned) {
  const TimeUs at = now_ + to_us(planned.lease_ms - planned.lease_ms / 10);
  if (planned.until == 0 || at < planned.until) plan(Planned::Kind::renew, at, std::move(planned));
}

Stage::KnownAttempt& Stage::attempt_of(const Offer& offer) {
  const auto known = std::find_if(attempts_.begin(), attempts_.end(),
                                  [&](const auto& each) { return each.key == offer.key; });
  if (known != attempts_.end()) return *known;
  attempts_.push_back({offer.key, next_attempt(offer), 0});
  return attempts_.back();
}

bool Stage::ever_waits(const std::string& task) const {
  const auto scripted = request_.script.tasks.find(task);
  return scripted != request_.script.tasks.end() &&
         std::any_of(scripted->second.begin(), scripted->second.end(),
                     [](const ScriptedAttempt& each) { return each.waits_ms > 0; });
}

// An attempt for which no worker is free yet stands in a queue that nobody serves.
void Stage::offer(const Offer& offer, dispatch::Actions& actions) {
  if (ever_waits(offer.task)) {
    KnownAttempt& known = attempt_of(offer);
    if (known.served_at == 0) known.served_at = now_ + to_us(known.attempt.waits_ms);
    if (known.served_at > now_) {
      Planned planned;
      planned.offer = offer;
      planned.until = known.served_at;
      plan(Planned::Kind::serve, known.served_at, std::move(planned));
      Offer waiting = offer;
      waiting.task.clear();
      dispatcher_->offer(std::move(waiting), now_, actions);
      return;
    }
  }
  dispatcher_->offer(offer, now_, actions);
}

void Stage::serve(const Planned& planned) {
  const Offer& offer = planned.offer;
  const core::Lapsed open{offer.key.run, offer.key.step, offer.key.attempt, offer.opened};
  if (!partition_.admit(open)) return;  // it was given up meanwhile
  dispatch::Actions actions;
  dispatcher_->revoke(offer.key, "", now_, actions);
  dispatcher_->offer(offer, now_, actions);
  perform(actions);
}

// As the edge does with what a worker reports.
ScriptedAttempt Stage::checked(const Offer& offer, ScriptedAttempt attempt, bool given) {
  if (attempt.kind != ScriptedAttempt::Kind::returns || attempt.result.empty()) return attempt;
  const vm::TypeId type = program().tasks[offer.task_index].result;
  const auto problems =
      vm::check_constraints(unit_, type, vm::decode_value(attempt.result).value());
  if (problems.empty()) return attempt;
  const std::string at = problems[0].path.empty() ? "" : " at " + problems[0].path;
  attempt.kind = ScriptedAttempt::Kind::fails;
  attempt.failure = vm::failure_kind::kInvalid;
  attempt.message = (given ? "the result of `" + offer.task + "` is refused"
                           : "no result is given for `" + offer.task +
                                 "`, and the smallest of its type is refused") +
                    at + ": " + problems[0].message;
  attempt.retry = false;
  return attempt;
}

ScriptedAttempt Stage::next_attempt(const Offer& offer) {
  const auto scripted = request_.script.tasks.find(offer.task);
  if (scripted != request_.script.tasks.end()) {
    const auto& attempts = scripted->second;
    auto& [index, used] = handed_out_[offer.task];
    for (; index < attempts.size(); ++index, used = 0) {
      const std::uint64_t once = index + 1 < attempts.size() ? 1 : ScriptedAttempt::kAlways;
      if (used++ < attempts[index].times.value_or(once)) {
        return checked(offer, attempts[index], true);
      }
    }
  }
  ScriptedAttempt attempt;
  const vm::TypeId result = program().tasks[offer.task_index].result;
  attempt.result = vm::encode_value(vm::smallest_value(program().types, result));
  return checked(offer, std::move(attempt), false);
}

void Stage::plan(Planned::Kind kind, TimeUs at, Planned planned) {
  planned.kind = kind;
  planned.at = at;
  planned.order = ++planned_count_;
  planned_.insert(std::move(planned));
}

void Stage::forget(std::uint64_t nonce) {
  std::erase_if(planned_,
                [&](const Planned& each) { return each.nonce != 0 && each.nonce == nonce; });
}

void Stage::renew(const Planned& planned) {
  dispatch::Actions actions;
  const Offer& offer = planned.offer;
  dispatcher_->renew(kWorker, {offer.key, offer.opened, planned.nonce, offer.args_digest}, now_,
                     actions);
  const bool stale = std::any_of(actions.begin(), actions.end(), [](const auto& action) {
    return std::holds_alternative<dispatch::StaleLease>(action);
  });
  perform(actions);
  if (!stale) plan_renewal(planned);
}

template <class Body>
void Stage::send(const Planned& planned, Body body) {
  const Offer& offer = planned.offer;
  body.run = offer.key.run;
  body.step = offer.key.step;
  body.attempt = offer.key.attempt;
  body.opened = offer.opened;
  body.args_digest = offer.args_digest;
  body.nonce = planned.nonce;
  if (partition_.admit(kTenant, body, {})) return;  // it came too late, or came before
  if (!acting_) {
    broken_ = "a report that counted before the crash counts again";
    return;
  }
  dispatch::Actions actions;
  dispatcher_->reported(offer.key, now_, actions);
  // Credit never ends here: what was used is given again.
  for (const core::WorkerId worker : workers_) {
    dispatcher_->credit(worker, dispatch::Config{}.credit_max, now_, actions);
  }
  take(core::make_record(kTenant, body));
  perform(actions);
}

// The first piece decides which attempt of a hedged stream speaks; the others change nothing.
void Stage::speak(const Planned& planned) {
  const Offer& offer = planned.offer;
  const core::Spoke spoke{offer.key.run, offer.key.step, offer.key.attempt, offer.opened};
  if (partition_.admit(spoke)) take(core::make_record(kTenant, spoke));
}

void Stage::report(const Planned& planned) {
  const ScriptedAttempt& attempt = planned.attempt;
  if (attempt.kind == ScriptedAttempt::Kind::returns) {
    core::Done done;
    done.result = attempt.result;
    return send(planned, done);
  }
  core::Failed failed;
  failed.kind = attempt.failure;
  failed.message = attempt.message;
  failed.retry = attempt.retry;
  failed.retry_after_ms = attempt.retry_after_ms;
  send(planned, failed);
}

}  // namespace sluice::sim
