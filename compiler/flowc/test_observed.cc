#include "compiler/flowc/test_observed.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace sluice::flowc {

using compiler::ir::CountOf;
using compiler::ir::StepName;

namespace {

// The seen things of one run, which know a step's task from its offers.
class RunObserver {
 public:
  RunObserver(const sim::Rehearsal& rehearsal, std::size_t run, std::vector<Seen>& out)
      : rehearsal_(rehearsal), history_(rehearsal.runs[run]), run_(run), out_(out) {}

  void observe() {
    for (const core::HistoryEntry& entry : history_.entries) {
      entry_ = &entry;
      if (entry.kind == "done" && is_sound(entry.verdict)) {
        Seen& seen = add(Seen::What::kCompleted, nullptr);
        seen.path = plain_path(entry.step);
        seen.task = task_of_[{entry.step, entry.attempt}];
      }
      // A step that ran a flow is done when that says so.
      const bool ended = entry.kind == "message" && !entry.step.empty();
      if (ended && is_sound(entry.verdict) &&
          entry.data_json.find("\"outcome\":") != entry.data_json.npos) {
        add(Seen::What::kCompleted, nullptr).path = plain_path(entry.step);
      }
      auto told = entry.messages.begin();
      for (std::size_t i = 0; i < entry.effects.size(); ++i) {
        if (told != entry.messages.end() && told->effect == i) observe(*told++);
        observe(entry.effects[i]);
      }
    }
  }

 private:
  void observe(const core::Effect& effect) {
    const core::RunId& id = history_.row.run;
    if (const auto* offer = std::get_if<core::Offer>(&effect); offer && offer->key.run == id) {
      task_of_[{offer->path, offer->key.attempt}] = offer->task;
      if (offer->key.attempt == 1) step(Seen::What::kBegun, *offer, effect);
      // Another task that hedges begins too, though its step has begun already.
      const bool other = offer->task != task_of_[{offer->path, 1}];
      if (other && others_.emplace(offer->path, offer->task).second) {
        add(Seen::What::kBegun, &effect).task = offer->task;
      }
      step(Seen::What::kAttempt, *offer, effect);
    } else if (const auto* told = std::get_if<core::Delivery>(&effect); told && told->run == id) {
      if (told->outcome) return;  // the run's row says it, also where no client is told
      Seen& seen = add(Seen::What::kNotified, &effect);
      seen.event = told->name;
      seen.data_json = told->data_json;
    } else if (const auto* ended = std::get_if<core::RunChanged>(&effect);
               ended && ended->row.run == id && !ended->row.outcome_name.empty()) {
      Seen& seen = add(Seen::What::kReturned, answer_of(effect));
      seen.event = ended->row.outcome_name;
      seen.data_json = ended->row.outcome_json;
    } else if (const auto* dead = std::get_if<core::DeadLettered>(&effect);
               dead && dead->run == id) {
      add(Seen::What::kDead, &effect).path = plain_path(dead->path);
    }
  }

  void observe(const core::HistoryMessage& told) {
    const core::Effect& effect = entry_->effects[told.effect];
    if (told.kind == core::MessageKind::publish) {
      Seen& seen = add(Seen::What::kPublished, &effect);
      seen.event = told.event;
      seen.data_json = told.data_json;
    } else if (told.kind == core::MessageKind::start && !told.step.empty()) {
      add(Seen::What::kBegun, &effect).path = plain_path(told.step);
    }
  }

  // The words of core::is_sound.
  static bool is_sound(const std::string& verdict) {
    return verdict == "ok" || verdict == "parked";
  }

  void step(Seen::What what, const core::Offer& offer, const core::Effect& effect) {
    Seen& seen = add(what, &effect);
    seen.path = plain_path(offer.path);
    seen.task = offer.task;
  }

  // The line that shows the answer.
  const core::Effect* answer_of(const core::Effect& ended) const {
    for (const core::Effect& effect : entry_->effects) {
      const auto* told = std::get_if<core::Delivery>(&effect);
      if (told != nullptr && told->outcome && told->run == history_.row.run) return &effect;
    }
    return &ended;
  }

  Seen& add(Seen::What what, const core::Effect* effect) {
    Seen& seen = out_.emplace_back();
    seen.what = what;
    seen.run = run_;
    seen.seq = entry_->seq;
    seen.since_start = entry_->time - rehearsal_.start;
    seen.since_run = entry_->time - history_.row.started;
    seen.entry = entry_;
    seen.effect = effect;
    return seen;
  }

  const sim::Rehearsal& rehearsal_;
  const core::RunHistory& history_;
  std::size_t run_;
  std::vector<Seen>& out_;
  const core::HistoryEntry* entry_ = nullptr;
  std::map<std::pair<std::string, std::uint32_t>, std::string> task_of_;  // by path and attempt
  std::set<std::pair<std::string, std::string>> others_;
};

}  // namespace

std::string plain_path(std::string_view path) {
  std::string out;
  const std::size_t flow = path.find('/');
  path.remove_prefix(flow == std::string_view::npos ? 0 : flow + 1);
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    out += out.empty() ? "" : "/";
    out += part.substr(0, part.find('#'));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

std::vector<Seen> observe(const sim::Rehearsal& rehearsal) {
  std::vector<Seen> out;
  for (std::size_t run = 0; run < rehearsal.runs.size(); ++run) {
    RunObserver(rehearsal, run, out).observe();
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Seen& a, const Seen& b) { return a.seq < b.seq; });
  return out;
}

bool is_of(const Seen& seen, const StepName& step) {
  if (step.task != nullptr) return seen.task == step.task->name;
  return !seen.path.empty() && ("/" + seen.path).ends_with("/" + step.path);
}

bool counts(const Seen& seen, const CountOf& count) {
  switch (count.what) {
    case CountOf::What::kBegun:
      return seen.what == Seen::What::kBegun && is_of(seen, count.step);
    case CountOf::What::kAttempts:
      return seen.what == Seen::What::kAttempt && is_of(seen, count.step);
    case CountOf::What::kCompleted:
      return seen.what == Seen::What::kCompleted && is_of(seen, count.step);
    case CountOf::What::kEvents:
      return !seen.event.empty() && seen.event == count.event->name;
    case CountOf::What::kDeadLetters:
      return seen.what == Seen::What::kDead;
  }
  return false;
}

}  // namespace sluice::flowc
