#include "tests/core/random_work.hpp"

#include <set>

namespace sluice::core::test {

Pipeline random_pipeline(std::uint8_t shape) {
  Pipeline pipeline;
  pipeline.steps.resize(1 + shape % 3);
  pipeline.parallel = (shape & 4) != 0;
  pipeline.notify = (shape & 8) != 0;
  pipeline.failing_step = (shape & 16) != 0;
  pipeline.flows = (shape & 32) != 0 ? 2 : 1;
  pipeline.timeout_ms = (shape & 64) != 0 ? 20'000 : 0;
  pipeline.dedupe_ms = 5'000;
  for (std::size_t i = 0; i < pipeline.steps.size(); ++i) {
    Pipeline::Step& step = pipeline.steps[i];
    const unsigned bits = shape * 7u + static_cast<unsigned>(i) * 5u;
    step.policies.idempotent = bits % 2 == 0;
    step.policies.attempts = 1 + bits % 4;
    step.policies.backoff_min_ms = bits % 5 == 0 ? 900 : 100;
    step.policies.backoff_max_ms = 2000;
    step.policies.jitter = bits % 3 == 0;
    step.policies.within_ms = bits % 5 == 0 ? 1000 : 0;
    step.policies.timeout_ms = 500;
    step.compensated = bits % 3 == 1;
    step.unsure = bits % 4 == 1;
    step.fallback = bits % 7 == 0;
  }
  return pipeline;
}

Pipeline hedged_pipeline(std::uint8_t shape) {
  Pipeline pipeline = random_pipeline(shape);
  for (std::size_t i = 0; i < pipeline.steps.size(); ++i) {
    vm::StepSite& policies = pipeline.steps[i].policies;
    if (policies.idempotent && (shape + i) % 4 != 0) policies.hedge_after_ms = 300;
    policies.stream = (shape + i) % 2 == 0;
  }
  return pipeline;
}

void RandomWork::note(const Effects& effects) {
  for (const Offer& offer : all_of<Offer>(effects)) offers_.push_back(offer);
  for (const Accepted& accepted : all_of<Accepted>(effects)) {
    runs_.insert(runs_.end(), accepted.runs.begin(), accepted.runs.end());
  }
}

void RandomWork::report(const Offer& offer, std::uint32_t choice) {
  static constexpr const char* kKinds[] = {"Unavailable", "Busy", "Rejected", "TimedOut", "Odd"};
  switch (choice % 8) {
    case 0:
    case 1:
      return note(driver_.done(offer, "r" + std::to_string(choice % 3)));
    case 2:
      return note(driver_.failed(offer, kKinds[choice / 7 % 5], choice % 5 != 0));
    case 3:
      return note(driver_.grant(offer));
    case 4:
      return note(driver_.lapse(offer, LapseReason::lost));
    case 5:
      return note(driver_.lapse(offer, LapseReason::queued));
    case 6:
      return note(driver_.speak(offer));
    default:
      return note(driver_.lapse(offer, LapseReason::timed_out));
  }
}

void RandomWork::step(std::uint32_t choice) {
  const std::uint32_t what = choice % 16;
  const std::uint32_t rest = choice / 16;
  if (what < 4 || offers_.empty()) {
    const std::string client = rest % 9 == 0 ? "" : "client" + std::to_string(rest % 5);
    const std::uint32_t id = rest % 4 == 0 ? published_ : ++published_;  // now and then again
    note(driver_.publish(client, std::to_string(id)));
  } else if (what < 12) {
    // Mostly the newer ones, which are open; now and then any.
    const std::size_t last = offers_.size() - 1;
    const std::size_t back =
        rest % 5 == 0 ? rest / 5 % offers_.size() : std::min<std::size_t>(last, rest / 5 % 4);
    report(offers_[last - back], rest / 20);
  } else if (what == 12) {
    note(driver_.cancel(runs_[rest % runs_.size()]));
  } else {
    note(driver_.advance(TimeUs{rest % 3000} * kMs));
  }
}

void RandomWork::drain() {
  for (int round = 0; round < 1000 && driver_.partition.stats().runs > 0; ++round) {
    Effects owed;
    driver_.partition.reissue(owed);
    for (const Offer& offer : all_of<Offer>(owed)) note(driver_.done(offer, "r"));
    note(driver_.advance(1'000 * kMs));
  }
}

void RandomWork::check_answers() const {
  std::map<RunId, unsigned> answers;
  std::map<std::string, std::uint64_t> offsets;
  for (const Delivery& delivery : all_of<Delivery>(driver_.effects)) {
    SLUICE_CHECK(delivery.offset == ++offsets[delivery.client]);
    if (delivery.outcome) ++answers[delivery.run];
  }
  std::set<RunId> ended;
  for (const RunChanged& change : all_of<RunChanged>(driver_.effects)) {
    SLUICE_CHECK(ended.insert(change.row.run).second);
    SLUICE_CHECK(!change.row.outcome_name.empty());
    SLUICE_CHECK(answers[change.row.run] == (change.row.client.empty() ? 0 : 1));
  }
  for (const RunId& run : runs_) SLUICE_CHECK(ended.count(run) == 1);
}

void StoredCheckpoints::maybe_write(std::uint32_t choice) {
  const std::uint32_t what = choice % 11;
  if (what == 3 && !open_) {
    open_ = driver_.partition.begin_checkpoint(choice % 5 == 0);
    ++generation_;
  } else if (open_ && what == 5 && choice % 3 == 0) {
    driver_.partition.abandon_checkpoint();
    open_.reset();
  } else if (open_ && what > 5) {
    const auto rows = driver_.partition.checkpoint_rows(4000);
    for (const StateRow& row : rows) rows_[row.id][generation_] = row;
    if (!rows.empty()) return;
    committed_.emplace(generation_, *open_);
    open_.reset();
  }
}

std::optional<Partition> StoredCheckpoints::restore_newest() {
  if (committed_.empty()) return std::nullopt;
  const auto& [generation, checkpoint] = *committed_.rbegin();
  std::vector<StateRow> rows;
  for (const auto& [id, versions] : rows_) {
    auto newest = versions.upper_bound(generation);
    if (newest == versions.begin()) continue;
    --newest;
    // An abandoned generation's rows count: each is some true state of its row, but only if a later
    // committed one did not replace it, and abandoning makes sure that it does.
    rows.push_back(newest->second);
  }
  auto restored = Partition::restore(driver_.config, driver_.programs, checkpoint, rows);
  if (!restored) std::fprintf(stderr, "%s\n", restored.error().c_str());
  SLUICE_CHECK(restored.has_value());
  return std::move(*restored);
}

}  // namespace sluice::core::test
