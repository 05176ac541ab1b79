// A crash at a boundary of the journal, and the recovery that production does.
#include <fmt/format.h>

#include <limits>

#include "engine/sim/rehearsal_stage.hpp"

namespace sluice::sim {

namespace {

// Hand-outs of the process after the crash are numbered from here.
constexpr std::uint64_t kNonceAfterCrash = std::uint64_t{1} << 32;

}  // namespace

bool Stage::crashes_now() const {
  return !crashed_ && request_.crash.after > 0 && log_.size() > seeds_ &&
         log_.size() - seeds_ == request_.crash.after;
}

// Half way to the crash, as if it had come due there.
void Stage::keep_checkpoint() {
  if (!request_.crash.from_checkpoint || stored_ || crashed_ || log_.size() <= seeds_) return;
  if ((log_.size() - seeds_) * 2 < request_.crash.after) return;
  Stored stored{partition_.begin_checkpoint(true), {}};
  while (true) {
    auto rows = partition_.checkpoint_rows(std::numeric_limits<std::size_t>::max() / 2);
    if (rows.empty()) break;
    for (core::StateRow& row : rows) stored.rows.push_back(std::move(row));
  }
  stored_ = std::move(stored);
}

// The state from what is stored; nothing, after a note in broken_, when it is not the one that was
// lost.
std::optional<core::Partition> Stage::recovered() {
  core::Partition fresh({}, programs_);
  std::size_t from = 0;
  if (stored_) {
    auto restored = core::Partition::restore({}, programs_, stored_->checkpoint, stored_->rows);
    if (!restored) {
      broken_ = fmt::format("the checkpoint cannot be restored: {}", restored.error());
      return std::nullopt;
    }
    fresh = std::move(*restored);
    from = stored_->checkpoint.seq;
  }
  for (std::size_t i = from; i < log_.size(); ++i) {
    core::Effects dropped;
    const auto applied = fresh.apply(log_[i].record, {}, dropped);
    if (!applied) {
      broken_ = fmt::format("record {} cannot be folded: {}", i + 1, applied.error().message);
      return std::nullopt;
    }
    if (fresh.take_digest() != log_[i].digest) {
      broken_ = fmt::format("record {} leads to something else when it is folded", i + 1);
      return std::nullopt;
    }
  }
  if (fresh.state_hash() != partition_.state_hash()) {
    broken_ = fmt::format("the fold of {} records is another state than the live one", log_.size());
    return std::nullopt;
  }
  return fresh;
}

void Stage::crash() {
  auto fresh = recovered();
  if (!fresh) return;
  partition_ = std::move(*fresh);
  crashed_ = true;
  died_ = false;
  to_take_.clear();  // it was in the inbox, which is gone
  look_at_schedules();
  reconnect();
  if (!acting_) return;
  const auto of = [&](Input::Kind kind) {
    return acting_->kind == Planned::Kind::input && request_.inputs[acting_->input].kind == kind;
  };
  // One record for each run: those that follow are new, and nobody has the answer to all of them.
  const bool several = of(Input::Kind::cancel) || of(Input::Kind::signal);
  if (request_.crash.effects_left && !several) return;
  // Whoever had no answer asks again; it must be known already.
  const Planned again = *acting_;
  if (!several) acting_.reset();
  act(again);
}

void Stage::reconnect() {
  dispatch::Config config;
  config.first_nonce = kNonceAfterCrash;
  config.requeue_grace_ms = 0;  // whoever holds something says so at once
  std::erase_if(planned_, [](const Planned& each) { return each.kind == Planned::Kind::serve; });
  dispatcher_ = std::make_unique<dispatch::Dispatcher>(config);
  core::Effects open;
  partition_.reissue(open);
  dispatch::Actions actions;
  for (const core::Effect& effect : open) {
    if (const auto* offer = std::get_if<core::Offer>(&effect)) {
      this->offer(*offer, actions);
    } else {
      carry(effect);
    }
  }
  // They go on with what they hold; only the rest is for whoever is free.
  std::map<std::uint64_t, dispatch::LeaseName> held;
  for (const Planned& each : planned_) {
    if (each.nonce == 0) continue;  // nobody has it
    held[each.nonce] = {each.offer.key, each.offer.opened, each.nonce, each.offer.args_digest};
  }
  const core::WorkerId first = workers_.empty() ? core::WorkerId{} : workers_.front();
  for (const auto& [nonce, lease] : held) dispatcher_->reclaim(first, lease, now_, actions);
  workers_join(actions);
  perform(actions);
}

}  // namespace sluice::sim
