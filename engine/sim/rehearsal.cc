#include "engine/sim/rehearsal.hpp"

#include <algorithm>
#include <set>

#include "engine/core/partition.hpp"
#include "engine/dispatch/dispatcher.hpp"
#include "engine/sim/one_program.hpp"
#include "vm/unit.hpp"

namespace sluice::sim {
namespace {

using core::Effects;
using core::Offer;
using core::TimeUs;

constexpr core::TenantId kTenant{1};
constexpr core::WorkerId kWorker{1};
constexpr TimeUs kStart = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z
// Jitter follows from the seq, so a seed is so many records before the event.
constexpr std::uint64_t kSeeds = 4096;

// A report, renewal or cancel that is to come. Those of one instant come in the order of their
// making.
struct Planned {
  enum class Kind : std::uint8_t { report, renew, cancel };
  TimeUs at = 0;
  std::uint64_t order = 0;
  Kind kind = Kind::report;
  Offer offer;
  std::uint64_t nonce = 0;
  ScriptedAttempt attempt;
  std::uint32_t lease_ms = 0;  // of a renewal
  TimeUs until = 0;            // of a renewal: when its report comes; 0: never

  friend bool operator<(const Planned& a, const Planned& b) {
    return a.at != b.at ? a.at < b.at : a.order < b.order;
  }
};

class Stage {
 public:
  explicit Stage(const RehearsalRequest& request)
      : request_(request), programs_(request.program), partition_({}, programs_), dispatcher_({}) {}

  tl::expected<Rehearsal, std::string> play() {
    dispatch::Actions actions;
    std::vector<std::string> tasks;
    for (const vm::TaskInfo& task : program().tasks) tasks.push_back(task.name);
    worker_joins(tasks, actions);
    perform(actions);
    for (std::uint64_t i = 0; i < request_.seed % kSeeds; ++i) {
      take(core::make_record(kTenant, core::Takeover{1}));
    }
    journal_.clear();
    if (std::string why = publish(); !why.empty()) return tl::unexpected(why);
    if (request_.script.cancel_after_ms) {
      plan(Planned::Kind::cancel, now_ + to_us(*request_.script.cancel_after_ms), {});
    }
    while (partition_.stats().runs > 0) {
      if (++happenings_ > kRehearsalHappenings || !next()) return tl::unexpected(why_not());
    }
    return tell();
  }

 private:
  std::string why_not() const {
    if (!broken_.empty()) return broken_;
    if (happenings_ > kRehearsalHappenings || partition_.next_due() || !planned_.empty()) {
      return "the run did not end within " + std::to_string(kRehearsalUs / 86'400'000'000) +
             " days and " + std::to_string(kRehearsalHappenings) + " happenings";
    }
    return "the run waits for nothing that will ever happen";
  }

  const vm::Program& program() const { return request_.program->program(); }

  // A worker offers a bounded number of tasks, so many tasks need several.
  void worker_joins(const std::vector<std::string>& tasks, dispatch::Actions& actions) {
    const dispatch::Config config;
    for (std::size_t i = 0; i < tasks.size(); i += config.tasks_per_worker) {
      const std::size_t end = std::min(i + config.tasks_per_worker, tasks.size());
      const core::WorkerId worker{core::number(kWorker) + i};
      workers_.push_back(worker);
      dispatcher_.worker_joined(worker, std::nullopt,
                                {tasks.begin() + static_cast<std::ptrdiff_t>(i),
                                 tasks.begin() + static_cast<std::ptrdiff_t>(end)},
                                config.credit_max, now_, actions);
    }
  }

  std::string publish() {
    core::Event event;
    event.deployment = kDeployment;
    event.topic = request_.topic;
    event.client = request_.script.client;
    event.order_key = request_.script.client;
    event.id = "rehearsal";
    event.data = request_.data;
    if (const auto answer = partition_.admit(kTenant, event, now_, {})) {
      const auto* rejected = std::get_if<core::Rejected>(&*answer);
      return rejected == nullptr ? "the event is a repeat" : rejected->message;
    }
    const Effects effects = take(core::make_record(kTenant, event));
    for (const core::Effect& effect : effects) {
      if (const auto* accepted = std::get_if<core::Accepted>(&effect)) runs_ = accepted->runs;
      if (const auto* rejected = std::get_if<core::Rejected>(&effect)) return rejected->message;
    }
    return {};
  }

  // Journals a record, does what it leads to, and answers its effects.
  Effects take(core::Record record) {
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
    note(record, *applied);
    dispatch::Actions actions;
    for (const core::Effect& effect : effects) {
      if (const auto* offer = std::get_if<Offer>(&effect)) {
        dispatcher_.offer(*offer, now_, actions);
      } else if (const auto* revoke = std::get_if<core::Revoke>(&effect)) {
        dispatcher_.revoke(revoke->key, revoke->why, now_, actions);
      } else if (const auto* grant = std::get_if<core::GrantCommitted>(&effect)) {
        dispatcher_.granted(grant->key, now_, actions);
      } else if (const auto* delivery = std::get_if<core::Delivery>(&effect)) {
        deliveries_.push_back(*delivery);
      }
    }
    perform(actions);
    return effects;
  }

  // An event's record belongs to every run that it starts.
  void note(const core::Record& record, const core::Applied& applied) {
    journal_.push_back(record);
    if (record.kind != core::Kind::event) of_run_[applied.run].push_back(record);
  }

  void perform(const dispatch::Actions& actions) {
    for (const dispatch::Action& action : actions) {
      if (const auto* out = std::get_if<dispatch::HandOut>(&action)) {
        hand_out(*out);
      } else if (const auto* request = std::get_if<dispatch::RequestGrant>(&action)) {
        to_take_.push_back(
            core::make_record(kTenant, core::Granted{request->key.run, request->key.step,
                                                     request->key.attempt, request->opened}));
      } else if (const auto* lapse = std::get_if<dispatch::Lapse>(&action)) {
        to_take_.push_back(core::make_record(
            kTenant, core::Lapsed{lapse->key.run, lapse->key.step, lapse->key.attempt,
                                  lapse->opened, lapse->reason}));
      } else if (const auto* cancel = std::get_if<dispatch::CancelTask>(&action)) {
        std::erase_if(planned_, [&](const Planned& p) { return p.nonce == cancel->nonce; });
      }
    }
  }

  void hand_out(const dispatch::HandOut& out) {
    Planned planned;
    planned.offer = *out.offer;
    planned.nonce = out.nonce;
    planned.attempt = next_attempt(*out.offer);
    planned.lease_ms = out.lease_ms;
    if (planned.attempt.kind == ScriptedAttempt::Kind::dies) return;
    const bool hangs = planned.attempt.kind == ScriptedAttempt::Kind::hangs;
    planned.until = hangs ? 0 : now_ + to_us(planned.attempt.takes_ms);
    // A task may take longer than its lease; an honest worker renews meanwhile.
    plan_renewal(planned);
    if (!hangs) plan(Planned::Kind::report, planned.until, std::move(planned));
  }

  void plan_renewal(Planned planned) {
    const TimeUs at = now_ + to_us(planned.lease_ms - planned.lease_ms / 10);
    if (planned.until == 0 || at < planned.until) {
      plan(Planned::Kind::renew, at, std::move(planned));
    }
  }

  ScriptedAttempt next_attempt(const Offer& offer) {
    const auto scripted = request_.script.tasks.find(offer.task);
    if (scripted != request_.script.tasks.end()) {
      const auto& attempts = scripted->second;
      auto& [index, used] = handed_out_[offer.task];
      for (; index < attempts.size(); ++index, used = 0) {
        const std::uint64_t once = index + 1 < attempts.size() ? 1 : ScriptedAttempt::kAlways;
        if (used++ < attempts[index].times.value_or(once)) return attempts[index];
      }
    }
    ScriptedAttempt attempt;
    const vm::TypeId result = program().tasks[offer.task_index].result;
    attempt.result = vm::encode_value(vm::smallest_value(program().types, result));
    return attempt;
  }

  static TimeUs to_us(std::uint64_t ms) {
    return static_cast<TimeUs>(std::min<std::uint64_t>(ms, kRehearsalUs / core::kUsPerMs)) *
           core::kUsPerMs;
  }

  void plan(Planned::Kind kind, TimeUs at, Planned planned) {
    planned.kind = kind;
    planned.at = at;
    planned.order = ++planned_count_;
    planned_.insert(std::move(planned));
  }

  // The next thing that happens; false: nothing does, or too late.
  bool next() {
    if (!broken_.empty()) return false;
    if (!to_take_.empty()) {
      core::Record record = std::move(to_take_.front());
      to_take_.erase(to_take_.begin());
      if (still_counts(record)) take(std::move(record));
      return true;
    }
    const auto first = [](std::optional<TimeUs> a, std::optional<TimeUs> b) {
      return !a ? b : !b ? a : std::min(*a, *b);
    };
    std::optional<TimeUs> report;
    if (!planned_.empty()) report = planned_.begin()->at;
    const auto timer = partition_.next_due();
    const auto at = first(report, first(timer, dispatcher_.next_due()));
    if (!at || *at > kStart + kRehearsalUs) return false;
    now_ = std::max(now_, *at);
    if (report && *report <= now_) {
      Planned planned = std::move(planned_.extract(planned_.begin()).value());
      act(planned);
    } else if (timer && *timer <= now_) {
      take(partition_.make_advance(now_));
    } else {
      dispatch::Actions actions;
      dispatcher_.tick(now_, actions);
      perform(actions);
    }
    return true;
  }

  bool still_counts(const core::Record& record) const {
    if (record.kind == core::Kind::granted) {
      return partition_.admit(*core::decode<core::Granted>(record.body));
    }
    return partition_.admit(*core::decode<core::Lapsed>(record.body));
  }

  void act(const Planned& planned) {
    if (planned.kind == Planned::Kind::cancel) {
      for (const core::RunId& run : runs_) {
        const core::Cancel cancel{run, {}, "rehearsal", "cancelled"};
        if (!partition_.admit(kTenant, cancel, {})) take(core::make_record(kTenant, cancel));
      }
    } else if (planned.kind == Planned::Kind::renew) {
      dispatch::Actions actions;
      dispatcher_.renew(kWorker, {planned.offer.key, planned.offer.opened, planned.nonce}, now_,
                        actions);
      const bool stale = std::any_of(actions.begin(), actions.end(), [](const auto& action) {
        return std::holds_alternative<dispatch::StaleLease>(action);
      });
      perform(actions);
      if (!stale) plan_renewal(planned);
    } else {
      report(planned);
    }
  }

  void report(const Planned& planned) {
    const Offer& offer = planned.offer;
    const ScriptedAttempt& attempt = planned.attempt;
    const auto send = [&](auto body) {
      body.run = offer.key.run;
      body.step = offer.key.step;
      body.attempt = offer.key.attempt;
      body.opened = offer.opened;
      body.args_digest = offer.args_digest;
      body.nonce = planned.nonce;
      if (partition_.admit(kTenant, body, {})) return;  // it came too late
      dispatch::Actions actions;
      dispatcher_.reported(offer.key, now_, actions);
      // Credit never ends here: what was used is given again.
      for (const core::WorkerId worker : workers_) {
        dispatcher_.credit(worker, dispatch::Config{}.credit_max, now_, actions);
      }
      take(core::make_record(kTenant, body));
      perform(actions);
    };
    if (attempt.kind == ScriptedAttempt::Kind::returns) {
      core::Done done;
      done.result = attempt.result;
      send(done);
    } else {
      core::Failed failed;
      failed.kind = attempt.failure;
      failed.message = attempt.message;
      failed.retry = attempt.retry;
      failed.retry_after_ms = attempt.retry_after_ms;
      send(failed);
    }
  }

  tl::expected<Rehearsal, std::string> tell() {
    Rehearsal rehearsal;
    rehearsal.start = kStart;
    rehearsal.deliveries = std::move(deliveries_);
    for (const core::RunId& run : runs_) {
      std::vector<core::Record> records{journal_.front()};
      const auto& rest = of_run_[run];
      records.insert(records.end(), rest.begin(), rest.end());
      auto history = core::tell_history(partition_.id(), run, records, programs_);
      if (!history) return tl::unexpected(history.error());
      rehearsal.runs.push_back(std::move(*history));
    }
    return rehearsal;
  }

  const RehearsalRequest& request_;
  OneProgram programs_;
  core::Partition partition_;
  dispatch::Dispatcher dispatcher_;
  TimeUs now_ = kStart;
  std::vector<core::WorkerId> workers_;
  std::vector<core::RunId> runs_;
  std::vector<core::Record> journal_;
  std::map<core::RunId, std::vector<core::Record>> of_run_;
  std::vector<core::Record> to_take_;
  std::set<Planned> planned_;
  std::uint64_t planned_count_ = 0;
  // Per task: the entry of its list that is in use, and how often it was.
  std::map<std::string, std::pair<std::size_t, std::uint64_t>> handed_out_;
  std::vector<core::Delivery> deliveries_;
  std::string broken_;
  std::size_t happenings_ = 0;
};

}  // namespace

tl::expected<Rehearsal, std::string> rehearse(const RehearsalRequest& request) {
  return Stage(request).play();
}

}  // namespace sluice::sim
