// Who owns a partition, and what a new owner does first.
#include <fmt/format.h>

#include <algorithm>

#include "engine/sim/node_statement.hpp"

namespace sluice::sim {

namespace {

constexpr TimeUs kBeat = 500 * kMs;
// A node waits this long for others to take their share.
constexpr TimeUs kShareWait = 2 * kSecond;

}  // namespace

void Node::beat() {
  const TimeUs sent = world_.scheduler.now();
  struct Owners {
    std::vector<Ownership> all;
  };
  statement<Owners>(
      [this, boot = boot_](Database& database) {
        // A statement of an earlier life renews nothing.
        if (boot_ == boot) database.renew(index_, world_.scheduler.now());
        return Owners{database.ownership()};
      },
      [this, sent](std::optional<Owners> seen) {
        if (!seen) return;
        valid_until_ = sent + kNodeLease;
        compare(seen->all);
        wake(0);
      });
  if (!up_) return;
  for (auto& [partition, slot] : slots_) {
    if (!slot.serving) continue;
    resend(slot);
    check_aware(slot);
  }
  plan(kBeat, [this] { beat(); });
}

void Node::compare(const std::vector<Ownership>& all) {
  const TimeUs clock = world_.database.clock(world_.scheduler.now());
  for (std::size_t i = 0; i < all.size() && up_; ++i) {
    const core::PartitionId partition{static_cast<std::uint16_t>(i)};
    const Ownership& row = all[i];
    const auto slot = slots_.find(partition);
    const bool ours = row.owner == index_ && row.boot == boot_;
    if (slot != slots_.end()) {
      if (slot->second.epoch < row.epoch) lose(partition);
      continue;
    }
    if (claiming_.contains(partition)) continue;
    const bool share = i % world_.options.nodes == static_cast<std::size_t>(index_) ||
                       world_.scheduler.now() > started_ + kShareWait;
    const bool expired = row.owner_seen + kNodeLease < clock;
    if (ours || row.owner == index_ || (share && (row.owner < 0 || expired))) {
      claim(partition, row.epoch);
    }
  }
}

void Node::claim(core::PartitionId partition, Epoch from) {
  claiming_.insert(partition);
  statement<std::optional<Epoch>>(
      [this, partition, from, boot = boot_](Database& database) {
        return database.take_over(partition, from, index_, boot);
      },
      [this, partition](std::optional<std::optional<Epoch>> taken) {
        if (!taken || !*taken) {
          claiming_.erase(partition);
          return;
        }
        recover(partition, **taken);
      });
}

void Node::recover(core::PartitionId partition, Epoch epoch) {
  statement<Recovery>([partition](Database& database) { return database.recover(partition); },
                      [this, partition, epoch](std::optional<Recovery> recovery) {
                        if (!recovery) {
                          return plan(50 * kMs,
                                      [this, partition, epoch] { recover(partition, epoch); });
                        }
                        claiming_.erase(partition);
                        serve(partition, epoch, *recovery);
                      });
}

void Node::serve(core::PartitionId partition, Epoch epoch, const Recovery& recovery) {
  core::Partition::Config config;
  config.id = partition;
  config.partitions = world_.options.partitions;
  config.outbox_messages = world_.outbox_messages();
  core::Partition fresh(config, world_.programs);
  if (recovery.checkpoint) {
    auto restored = core::Partition::restore(config, world_.programs,
                                             recovery.checkpoint->checkpoint, recovery.rows);
    if (!restored) {
      return world_.checkers.violation(
          3,
          fmt::format("checkpoint {} of partition {} cannot be restored: {}",
                      recovery.checkpoint->generation, core::number(partition), restored.error()));
    }
    fresh = std::move(*restored);
  }
  Slot& slot = slots_.try_emplace(partition, std::move(fresh)).first->second;
  slot.epoch = epoch;
  if (!fold(slot, recovery)) {
    slots_.erase(partition);
    return;
  }
  world_.note(fmt::format("node {} owns partition {} from seq {}, epoch {}", index_,
                          core::number(partition), slot.durable, epoch));
  slot.serving = true;
  reissue(slot);
  apply(slot, {partition, core::make_record(core::TenantId{}, core::Takeover{epoch}), {}});
  if (slot.partition.deployment() == 0) {
    const std::string hash(32, 'h');
    apply(slot, {partition,
                 core::make_record(core::TenantId{}, core::DeploymentRecord{kDeployment, hash}),
                 {}});
  }
  wake(0);
}

bool Node::fold(Slot& slot, const Recovery& recovery) {
  core::Partition& partition = slot.partition;
  core::Effects effects;
  for (const JournalRow& row : recovery.tail) {
    core::Record record = row.record;
    const bool skip = record.kind == core::Kind::done && recovery.tail.size() > 8;
    if (skip && !world_.planted && strike(Plant::fold_skips_record)) {
      record.kind = core::Kind::takeover;
      record.body = core::encode(core::Takeover{row.epoch});
    }
    const auto applied = partition.apply(record, {}, effects);
    std::string wrong;
    if (!applied) {
      wrong = applied.error().message;
    } else if (row.batch_end && partition.take_digest() != row.digest) {
      wrong = "other effects than its owner's";
    } else if (row.batch_end && partition.state_hash() != row.state_hash) {
      wrong = "another state than its owner's";
    }
    if (!wrong.empty()) {
      world_.checkers.violation(3, fmt::format("fold of partition {} at seq {}: {}",
                                               core::number(partition.id()), record.seq, wrong));
      return false;
    }
    effects.clear();
  }
  slot.durable = slot.checkpointed = partition.last_seq();
  slot.prints_from = slot.durable + 1;
  slot.next_generation = recovery.next_generation;
  slot.folded = slot.durable > 0;
  if (!recovery.tail.empty()) {
    slot.chain = recovery.tail.back().chain;
  } else {
    slot.chain = world_.database.tip(partition.id()).chain;
  }
  return true;
}

void Node::reissue(Slot& slot) {
  core::Effects effects;
  slot.partition.reissue(effects);
  for (core::Effect& effect : effects) {
    if (auto* offer = std::get_if<core::Offer>(&effect)) {
      const bool unsafe = offer->granted && !offer->safe;
      if (unsafe && strike(Plant::unsafe_handed_out_twice)) {
        offer->safe = true;
        offer->granted = false;
      }
    }
    leaving_.push_back({slot.partition.id(), slot.epoch, std::move(effect), false, {}});
  }
}

void Node::lose(core::PartitionId partition) {
  world_.note(fmt::format("node {} loses partition {}", index_, core::number(partition)));
  slots_.erase(partition);
  const auto building = building_.parts.find(partition);
  if (building != building_.parts.end()) {
    building_.records -= building->second.append.rows.size();
    building_.parts.erase(building);
  }
  if (in_flight_) in_flight_->parts.erase(partition);
  std::erase_if(leaving_, [&](const Leaving& item) { return item.partition == partition; });
  dispatcher_->drop_partition(partition);
  sessions_->drop(partition);
}

void Node::resend(Slot& slot) {
  core::Effects effects;
  slot.partition.resend_messages(slot.durable, effects);
  for (const core::Effect& effect : effects) perform(slot, effect);
}

}  // namespace sluice::sim
