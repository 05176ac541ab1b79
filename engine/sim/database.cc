#include "engine/sim/database.hpp"

#include <algorithm>

namespace sluice::sim {

namespace {

// Planted bugs strike late enough for there to be something to lose.
constexpr std::size_t kPlantAfterRecords = 12;

}  // namespace

Database::Database(const Options& options) : plant_(options.plant), stored_(options.partitions) {}

Tip Database::tip(PartitionId partition) const {
  const Stored& stored = stored_[core::number(partition)];
  if (stored.journal.empty()) return {stored.epoch, 0, {}};
  const JournalRow& last = stored.journal.back();
  return {stored.epoch, last.record.seq, last.chain};
}

bool Database::passes(const Stored& stored, const AppendPart& part) {
  const Tip at = tip(part.partition);
  const bool epoch = stored.epoch == part.epoch;
  const bool fits = at.seq == part.previous && at.chain == part.previous_chain;
  if (epoch && fits) return true;
  if (plant_ == Plant::journal_ignores_epoch && !epoch && !part.rows.empty()) {
    return planted_ = true;
  }
  const bool again = !stored.journal.empty() && !part.rows.empty() &&
                     part.rows.back().chain == stored.journal.back().chain;
  if (plant_ == Plant::journal_doubles_batch && epoch && again) return planted_ = true;
  return false;
}

std::vector<PartitionId> Database::append(const std::vector<AppendPart>& parts) {
  std::vector<PartitionId> passed;
  for (const AppendPart& part : parts) {
    Stored& stored = stored_[core::number(part.partition)];
    if (!passes(stored, part)) continue;
    passed.push_back(part.partition);
    if (plant_ == Plant::journal_drops_batch && !planted_ &&
        stored.journal.size() > kPlantAfterRecords) {
      planted_ = true;
      continue;
    }
    insert(stored, part);
  }
  return passed;
}

void Database::insert(Stored& stored, const AppendPart& part) {
  stored.tips_appended_to.push_back(part.previous);
  std::vector<JournalRow> rows = part.rows;
  std::vector<core::Delivery> deliveries = part.deliveries;
  if (stored.journal.size() + rows.size() > kPlantAfterRecords) {
    plant_in_rows(rows);
    plant_in_deliveries(deliveries);
  }
  for (JournalRow& row : rows) {
    row.epoch = part.epoch;
    stored.journal.push_back(std::move(row));
  }
  for (core::Delivery& delivery : deliveries) {
    auto& list = stored.deliveries[{core::number(delivery.tenant), delivery.client}];
    list.push_back(std::move(delivery));
  }
}

void Database::plant_in_rows(std::vector<JournalRow>& rows) {
  if (planted_) return;
  if (plant_ == Plant::journal_drops_record && rows.size() > 1) {
    rows.erase(rows.begin());
    planted_ = true;
  } else if (plant_ == Plant::journal_swaps_records && rows.size() > 2) {
    std::swap(rows[0], rows[1]);
    planted_ = true;
  } else if (plant_ == Plant::time_falls && rows.size() > 1) {
    rows[1].record.time -= kSecond;
    planted_ = true;
  }
}

void Database::plant_in_deliveries(std::vector<core::Delivery>& deliveries) {
  if (planted_ || deliveries.empty()) return;
  core::Delivery& first = deliveries.front();
  if (plant_ == Plant::offset_skipped) {
    deliveries.erase(deliveries.begin());
    planted_ = true;
  } else if (plant_ == Plant::offset_given_twice && first.offset > 1) {
    --first.offset;
    planted_ = true;
  } else if (plant_ == Plant::end_doubled && !first.outcome) {
    first.outcome = true;
    planted_ = true;
  }
}

std::optional<Epoch> Database::take_over(PartitionId partition, Epoch from, int node,
                                         std::uint64_t boot) {
  Stored& stored = stored_[core::number(partition)];
  if (stored.epoch != from) return std::nullopt;
  stored.owner = node;
  stored.boot = boot;
  drop_unfinished(stored);
  return ++stored.epoch;
}

// Rows of a checkpoint that was begun and never committed: the new owner does not know of them, so
// it would not erase a run among them that began after the last checkpoint and ends before the
// next.
void Database::drop_unfinished(Stored& stored) {
  Generation newest = 0;
  for (const StoredCheckpoint& checkpoint : stored.checkpoints) {
    newest = std::max(newest, checkpoint.generation);
  }
  for (auto& [id, generations] : stored.rows) {
    const auto first = generations.upper_bound(newest);
    if (first == generations.end()) continue;
    if (plant_ == Plant::checkpoint_never_ended) {
      planted_ = true;
      return;
    }
    generations.erase(first, generations.end());
  }
  std::erase_if(stored.rows, [](const auto& row) { return row.second.empty(); });
}

std::vector<Ownership> Database::ownership() const {
  std::vector<Ownership> all;
  for (const Stored& stored : stored_) {
    const auto seen = seen_.find(stored.owner);
    all.push_back(
        {stored.epoch, stored.owner, stored.boot, seen == seen_.end() ? 0 : seen->second});
  }
  return all;
}

bool Database::store_rows(PartitionId partition, Epoch epoch, Generation generation,
                          const std::vector<core::StateRow>& rows) {
  Stored& stored = stored_[core::number(partition)];
  if (stored.epoch != epoch) return false;
  for (const core::StateRow& row : rows) {
    core::StateRow kept = row;
    if (plant_ == Plant::checkpoint_corrupted && !kept.body.empty()) {
      kept.body[kept.body.size() / 2] ^= 1;
      planted_ = true;
    }
    stored.rows[row.id][generation] = std::move(kept);
  }
  return true;
}

bool Database::commit_checkpoint(PartitionId partition, Epoch epoch,
                                 const StoredCheckpoint& checkpoint) {
  Stored& stored = stored_[core::number(partition)];
  if (stored.epoch != epoch) return false;
  stored.checkpoints.push_back(checkpoint);
  return true;
}

Recovery Database::recover(PartitionId partition) const {
  const Stored& stored = stored_[core::number(partition)];
  Recovery recovery;
  Seq from = 0;
  if (!stored.checkpoints.empty()) {
    // The newest by its number: a commit that was given up may have come late.
    recovery.checkpoint =
        *std::max_element(stored.checkpoints.begin(), stored.checkpoints.end(),
                          [](const auto& a, const auto& b) { return a.generation < b.generation; });
    recovery.next_generation = recovery.checkpoint->generation + 1;
    from = recovery.checkpoint->checkpoint.seq;
  }
  for (const auto& [id, generations] : stored.rows) {
    recovery.next_generation = std::max(recovery.next_generation, generations.rbegin()->first + 1);
    if (!recovery.checkpoint) continue;
    auto next = generations.upper_bound(recovery.checkpoint->generation);
    if (next == generations.begin()) continue;
    if (plant_ == Plant::checkpoint_of_past && std::prev(next) != generations.begin()) {
      --next;
      planted_ = true;
    }
    const core::StateRow& row = std::prev(next)->second;
    if (!row.erased) recovery.rows.push_back(row);
  }
  for (const JournalRow& row : stored.journal) {
    if (row.record.seq > from) recovery.tail.push_back(row);
  }
  return recovery;
}

std::vector<core::Delivery> Database::deliveries(PartitionId home, const ClientName& client,
                                                 std::uint64_t after) const {
  const Stored& stored = stored_[core::number(home)];
  std::vector<core::Delivery> found;
  const auto list = stored.deliveries.find(client);
  if (list == stored.deliveries.end()) return found;
  for (const core::Delivery& delivery : list->second) {
    if (delivery.offset > after) found.push_back(delivery);
  }
  if (plant_ == Plant::delivery_changed && !found.empty()) {
    found.front().data_json += " ";
    planted_ = true;
  }
  return found;
}

}  // namespace sluice::sim
