// Checkpoints: begun between two batches, written in slices, committed last.
#include <fmt/format.h>

#include "engine/sim/node_statement.hpp"

namespace sluice::sim {

namespace {

constexpr std::size_t kRowBytes = 2000;

}  // namespace

void Node::begin_checkpoint(Slot& slot) {
  const unsigned every = world_.options.checkpoint_every;
  if (every == 0 || slot.checkpoint || slot.partition.last_seq() < slot.checkpointed + every) {
    return;
  }
  slot.checkpointed = slot.partition.last_seq();
  if (world_.tracing) {
    world_.note(fmt::format("node {} begins checkpoint {} of partition {} at seq {}", index_,
                            slot.next_generation, core::number(slot.partition.id()),
                            slot.checkpointed));
  }
  slot.checkpoint = StoredCheckpoint{slot.next_generation++, slot.partition.begin_checkpoint()};
  const core::PartitionId partition = slot.partition.id();
  plan(world_.faults.up_to(5 * kMs),
       [this, partition, epoch = slot.epoch] { write_rows(partition, epoch); });
}

void Node::write_rows(core::PartitionId partition, Epoch epoch) {
  const auto slot = slots_.find(partition);
  if (slot == slots_.end() || slot->second.epoch != epoch || !slot->second.checkpoint) return;
  const auto rows = slot->second.partition.checkpoint_rows(kRowBytes);
  if (rows.empty()) return finish_checkpoint(partition, epoch);
  const Generation generation = slot->second.checkpoint->generation;
  statement<bool>(
      [=](Database& database) { return database.store_rows(partition, epoch, generation, rows); },
      [=, this](std::optional<bool> stored) {
        const auto now_slot = slots_.find(partition);
        if (now_slot == slots_.end() || now_slot->second.epoch != epoch) return;
        if (stored && *stored) return write_rows(partition, epoch);
        world_.note("a checkpoint is abandoned");
        now_slot->second.partition.abandon_checkpoint();
        now_slot->second.checkpoint.reset();
      });
}

void Node::finish_checkpoint(core::PartitionId partition, Epoch epoch) {
  const auto slot = slots_.find(partition);
  if (slot == slots_.end() || slot->second.epoch != epoch || !slot->second.checkpoint) return;
  const StoredCheckpoint checkpoint = *slot->second.checkpoint;
  if (slot->second.durable < checkpoint.checkpoint.seq) {
    return plan(kMs, [this, partition, epoch] { finish_checkpoint(partition, epoch); });
  }
  statement<bool>(
      [=](Database& database) { return database.commit_checkpoint(partition, epoch, checkpoint); },
      [=, this](std::optional<bool> stored) {
        const auto now_slot = slots_.find(partition);
        if (now_slot == slots_.end() || now_slot->second.epoch != epoch) return;
        if (!stored || !*stored) {
          world_.note("a checkpoint is abandoned");
          now_slot->second.partition.abandon_checkpoint();
        }
        now_slot->second.checkpoint.reset();
      });
}

}  // namespace sluice::sim
