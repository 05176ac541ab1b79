// Partitions come, are checkpointed, and go.
#include <algorithm>

#include "engine/node/apply_thread.hpp"

namespace sluice::node {
namespace {

constexpr int kConnectMs = 5'000;
constexpr std::int64_t kAdoptRetryUs = 200'000;
// One slice of a checkpoint, and how many may wait for the database: what a checkpoint holds in
// memory.
constexpr std::size_t kSliceBytes = 128 << 10;
constexpr int kSlicesOutMax = 4;

}  // namespace

void ApplyThread::adopt_next() {
  const journal::Owned next = adopting_.front();
  Owned* present = owned_[number(next.partition)].get();
  if (present != nullptr && present->lost)
    return;  // an earlier state of it is still on its way out
  if (present != nullptr) {
    adopting_.pop_front();
    return;
  }
  if (!building_->batch.empty() && building_->batch.day() != journal::day_of(time_)) return;
  const auto retry = [this] { adopt_at_us_ = now_us_ + kAdoptRetryUs; };
  if (!database_.still_open() && !database_.connect(kConnectMs)) return retry();
  core::Partition::Config config;
  config.id = next.partition;
  config.partitions = shared_.cluster.partitions;
  journal::RecoveryHooks hooks;
  if (shared_.notebook != nullptr) {
    hooks.applying = [&](const core::Record& record) {
      const core::Hash128 name = Notebook::name(config.id, record);
      if (core::is_sound(record.verdict) && shared_.notebook->poisonous(name)) return false;
      shared_.notebook->begin(index_, name);
      return true;
    };
    hooks.applied = [this] { shared_.notebook->end(index_); };
  }
  hooks.run_changed = [this](core::RunRow&& row) { rows_.push_back(std::move(row)); };
  hooks.overridden = [&](const core::Record& record, journal::OverrideMode mode,
                         const core::Effects&) {
    log_line(shared_, "record " + core::record_name(config.id, record.seq) + " is overridden (" +
                          std::string(journal::override_word(mode)) + ")");
  };
  shared_.states.set(next.partition, {PartitionState::Phase::recovering, next.epoch, 0, 0, ""});
  auto recovered = recover(database_, config, programs_, hooks);
  if (recovered) {
    adopting_.pop_front();
    adopted(next, std::move(*recovered));
    return;
  }
  if (const auto* error = std::get_if<journal::DatabaseError>(&recovered.error())) {
    log_line(shared_, "partition " + std::to_string(number(next.partition)) +
                          " cannot be read at the moment: " + error->message);
    return retry();
  }
  const auto& damage = std::get<journal::Damage>(recovered.error());
  adopting_.pop_front();
  const std::string why = "record " + std::to_string(damage.seq) + ": " + damage.message;
  log_line(shared_, "partition " + std::to_string(number(next.partition)) + " halts at " + why +
                        "; `flowd repair` says what to do");
  shared_.states.set(next.partition,
                     {PartitionState::Phase::halted, next.epoch, damage.seq, 0, why});
}

void ApplyThread::adopted(const journal::Owned& taken, journal::Recovered&& recovered) {
  const std::size_t at = number(taken.partition);
  owned_[at] = std::make_unique<Owned>(std::move(recovered.partition));
  mine_.push_back(taken.partition);
  Owned& owned = *owned_[at];
  owned.epoch = taken.epoch;
  owned.tip = recovered.tip;
  owned.durable = recovered.tip.seq;
  owned.checkpoint_seq = recovered.checkpoint_seq;
  owned.checkpoint_at_us = now_us_;
  owned.state_hash_at_us = now_us_;
  Counters::add(shared_.counters.recovered_records, recovered.records);
  if (owned.durable < known_durable_[at]) {
    shared_.tail_lost = true;
    log_line(shared_, "partition " + std::to_string(at) + " goes on at record " +
                          std::to_string(owned.durable) + ", but " +
                          std::to_string(known_durable_[at]) +
                          " was acknowledged: the database lost its tail");
  }
  known_durable_[at] = owned.durable;
  // The first record of the new owner. What is still owed leaves with it: then it is sure that the
  // partition is ours.
  if (!apply_record(owned, core::make_record({}, core::Takeover{taken.epoch}), {})) return;
  record_deployments(owned);
  owned.partition.reissue(building_->effects);
  note_effects(*building_, owned);
  building_->waiters.push_back({&owned, [this, partition = taken.partition](bool ours) {
                                  if (ours) shared_.streams.taken_over(partition);
                                }});
}

// Those that were stored while nobody served the partition, or just before a crash.
void ApplyThread::record_deployments(Owned& owned) {
  const core::DeploymentNumber newest = shared_.deployments.newest();
  for (auto number = owned.partition.deployment() + 1; number <= newest; ++number) {
    const auto head = shared_.deployments.head(number);
    if (!head) continue;
    if (!apply_record(owned, core::make_record({}, core::DeploymentRecord{number, head->hash}),
                      {})) {
      return;
    }
  }
}

void ApplyThread::lose(Owned& owned, const std::string& why) {
  if (owned.lost) return;
  owned.lost = true;
  log_line(shared_,
           "partition " + std::to_string(number(owned.partition.id())) + " is given up: " + why);
  shared_.states.set(owned.partition.id(),
                     {PartitionState::Phase::elsewhere, owned.epoch, owned.durable, 0, why});
  desk_.drop_partition(owned.partition.id());
  shared_.presence.drop_partition(owned.partition.id());
}

// It cannot be applied to any more: a person has to look. It keeps its ownership, so that no other
// node runs into the same.
void ApplyThread::halt(Owned& owned, const std::string& why) {
  log_line(shared_, "partition " + std::to_string(number(owned.partition.id())) + " halts: " + why);
  owned.lost = true;
  owned.halted = true;
  shared_.states.set(owned.partition.id(),
                     {PartitionState::Phase::halted, owned.epoch, owned.durable, 0, why});
  desk_.drop_partition(owned.partition.id());
  shared_.presence.drop_partition(owned.partition.id());
}

void ApplyThread::drop_lost() {
  for (std::size_t i = 0; i < mine_.size();) {
    auto& slot = owned_[number(mine_[i])];
    if (!slot->lost || slot->batches > 0 || slot->slices_out > 0 || slot->completion_sent) {
      ++i;
      continue;
    }
    // Answers of later batches may still name it in their segments: none does once no batch holds
    // it.
    if (names(*flying_, *slot) || names(*building_, *slot)) {
      ++i;
      continue;
    }
    const bool halted = slot->halted;
    const core::PartitionId partition = mine_[i];
    slot.reset();
    mine_.erase(mine_.begin() + static_cast<std::ptrdiff_t>(i));
    if (!halted) on_lost_(partition);
  }
}

bool ApplyThread::names(const Pending& pending, const Owned& owned) const {
  const auto is = [&](const auto& item) { return item.owner == &owned; };
  return std::any_of(pending.segments.begin(), pending.segments.end(), is) ||
         std::any_of(pending.waiters.begin(), pending.waiters.end(), is) ||
         std::any_of(pending.reported.begin(), pending.reported.end(), is);
}

// ---- checkpoints -----------------------------------------------------------------------------

bool ApplyThread::checkpoint_due(const Owned& owned) const {
  const core::Seq tail = owned.tip.seq - owned.checkpoint_seq;
  if (owned.checkpoint || owned.lost || !owned.serving || tail == 0) return false;
  // What the node may have to fold is shared out over its partitions.
  const std::uint64_t partitions = shared_.cluster.partitions;
  return tail >= std::max<std::uint64_t>(1, shared_.config.checkpoint_records / partitions) ||
         owned.tail_bytes >= shared_.config.checkpoint_bytes / partitions ||
         now_us_ - owned.checkpoint_at_us >= std::int64_t{shared_.config.checkpoint_ms} * 1000;
}

void ApplyThread::step_checkpoints() {
  Owned* active = nullptr;
  for (const auto partition : mine_) {
    Owned& owned = *owned_[number(partition)];
    if (owned.checkpoint) active = &owned;
  }
  if (active != nullptr) {
    continue_checkpoint(*active);
    return;  // one at a time, so that they do not all come together
  }
  // Between two batches: then the checkpoint stands at a tip.
  if (!building_->batch.empty()) return;
  for (const auto partition : mine_) {
    Owned& owned = *owned_[number(partition)];
    if (!checkpoint_due(owned)) continue;
    begin_checkpoint(owned);
    return;
  }
}

void ApplyThread::begin_checkpoint(Owned& owned) {
  // A fold from here on brings back no row of what changed before: all of them are written first.
  project(owned);
  StoreThread::Completion completion;
  completion.partition = owned.partition.id();
  completion.epoch = owned.epoch;
  completion.checkpoint = owned.partition.begin_checkpoint();
  completion.chain = owned.tip.chain;
  owned.checkpoint = std::move(completion);
  owned.rows_done = owned.completion_sent = owned.slice_failed = false;
  owned.tail_bytes = 0;
}

void ApplyThread::continue_checkpoint(Owned& owned) {
  const std::int64_t until = monotonic_us() + kCheckpointSliceUs;
  while (!owned.rows_done && !owned.lost && owned.slices_out < kSlicesOutMax &&
         monotonic_us() < until) {
    auto rows = owned.partition.checkpoint_rows(kSliceBytes);
    if (rows.empty()) {
      owned.rows_done = true;
      break;
    }
    ++owned.slices_out;
    store_.post(StoreThread::Slice{owned.partition.id(), owned.epoch,
                                   owned.checkpoint->checkpoint.seq, std::move(rows)});
  }
  if (owned.slices_out > 0 || owned.completion_sent) return;
  if (owned.lost || owned.slice_failed) {
    owned.checkpoint.reset();
    if (!owned.lost) owned.partition.abandon_checkpoint();
    owned.checkpoint_at_us = now_us_;
    return;
  }
  if (!owned.rows_done || owned.durable < owned.checkpoint->checkpoint.seq) return;
  owned.completion_sent = true;
  store_.post(StoreThread::Completion(*owned.checkpoint));
}

void ApplyThread::checkpoint_written(const CheckpointWritten& written) {
  Owned* owned = owned_[number(written.partition)].get();
  if (owned == nullptr || !owned->checkpoint ||
      owned->checkpoint->checkpoint.seq != written.generation) {
    return;
  }
  if (!written.committed) {
    --owned->slices_out;
    owned->slice_failed = owned->slice_failed || !written.ok;
    return;
  }
  if (written.ok) {
    owned->checkpoint_seq = written.generation;
  } else if (!owned->lost) {
    owned->partition.abandon_checkpoint();
  }
  owned->checkpoint_at_us = now_us_;
  owned->completion_sent = false;
  owned->checkpoint.reset();
}

// ---- the end ---------------------------------------------------------------------------------

// Journals what was taken, then checkpoints every partition, so that the next owner has nothing to
// fold.
void ApplyThread::step_halt() {
  adopting_.clear();
  const bool late = now_us_ >= halt_until_us_;
  if (!late && (in_flight_ || !building_->batch.empty() || !internal_.empty() ||
                !clients_.empty() || must_resolve_)) {
    return;
  }
  if (!late) {
    for (const auto partition : mine_) {
      Owned& owned = *owned_[number(partition)];
      if (owned.checkpoint) return;
      if (owned.lost || owned.tip.seq == owned.checkpoint_seq || owned.halt_tried) continue;
      owned.halt_tried = true;
      begin_checkpoint(owned);
      return;
    }
  }
  finish_halt();
}

void ApplyThread::finish_halt() {
  for (const auto partition : mine_) owned_[number(partition)]->lost = true;
  // What has no known outcome is answered so.
  in_flight_ = false;
  release(*flying_);
  release(*building_);
  for (auto* queue : {&internal_, &clients_}) {
    for (auto& input : *queue) refuse(input, "unavailable", "the node is stopping");
    queue->clear();
  }
  take_inbox();
  for (auto* queue : {&internal_, &clients_}) {
    for (auto& input : *queue) refuse(input, "unavailable", "the node is stopping");
  }
  flush_ready();
  ended_ = true;
  halt_done_();
}

}  // namespace sluice::node
