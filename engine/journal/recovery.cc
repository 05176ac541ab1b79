#include "engine/journal/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sluice::journal {
namespace {

core::Hash128 hash_at(std::string_view bytes, std::size_t at) {
  return core::Hash128::from_bytes(reinterpret_cast<const std::uint8_t*>(bytes.data()) + at);
}

std::string hex(const core::Hash128& hash) {
  return fmt::format("{:016x}{:016x}", hash.high, hash.low);
}

}  // namespace

Database::Result<void> JournalReader::open(core::PartitionId partition, core::Seq after,
                                           Day from_day) {
  return database_.stream(
      "select seq, day, at, kind, verdict, core, tenant, epoch, run, run_prev, chain, digest, body,"
      " cause_part"
      " from journal where part = $1 and seq > $2 and day >= $3 order by seq",
      Params().int2(number(partition)).int8(static_cast<std::int64_t>(after)).int4(from_day));
}

Database::Result<bool> JournalReader::next(StoredRecord& out) {
  auto row = database_.next_row();
  if (!row) return tl::unexpected(row.error());
  if (!*row) return false;
  const Rows& r = **row;
  out.record.seq = static_cast<core::Seq>(r.integer(0, 0));
  out.day = static_cast<Day>(r.integer(0, 1));
  out.record.time = r.time(0, 2);
  out.record.kind = static_cast<core::Kind>(r.integer(0, 3));
  out.record.verdict = static_cast<core::Verdict>(r.integer(0, 4));
  out.record.core = static_cast<std::uint16_t>(r.integer(0, 5));
  out.record.tenant = static_cast<core::TenantId>(r.integer(0, 6));
  out.epoch = static_cast<std::uint64_t>(r.integer(0, 7));
  out.run = r.id<core::RunId>(0, 8);
  out.run_prev = static_cast<core::Seq>(r.integer(0, 9));
  out.record.body.assign(r.bytes(0, 12));
  out.cause_partition = static_cast<core::PartitionId>(r.integer(0, 13));
  const std::string_view chain = r.bytes(0, 10);
  const std::string_view digest = r.bytes(0, 11);
  out.last_of_batch = chain.size() == 16 && digest.size() >= 16;
  out.digest.has_state = false;
  if (out.last_of_batch) {
    out.chain = hash_at(chain, 0);
    out.digest.effects = hash_at(digest, 0);
    out.digest.has_state = digest.size() == 32;
    if (out.digest.has_state) out.digest.state = hash_at(digest, 16);
  }
  return true;
}

namespace {

// The fold of one partition's tail.
class Fold {
 public:
  Fold(core::Partition& partition, Tip tip, const RecoveryHooks& hooks,
       std::vector<Override> overrides)
      : partition_(partition),
        tip_(tip),
        hooks_(hooks),
        overrides_(std::move(overrides)),
        link_(tip.chain) {}

  // Changes the record's verdict where it is overridden.
  std::optional<Damage> take(StoredRecord& stored) {
    core::Record& record = stored.record;
    if (record.seq != partition_.next_seq()) {
      return damage(record.seq, fmt::format("record {} follows {}: the journal has a hole",
                                            record.seq, partition_.last_seq()));
    }
    link_.add(record);  // as it is stored
    if (other_link_) other_link_->add(record);
    const Override* here = find_override(record.seq);
    if (here != nullptr) batch_overridden_ = true;
    if (here != nullptr && here->mode == OverrideMode::skip) {
      record.verdict = core::Verdict::overridden;
    }
    if (auto found = apply(stored, here)) return found;
    ++records_;
    if (stored.last_of_batch) {
      if (auto found = close_batch(stored)) return found;
    }
    return rejoin(record.seq);
  }

  const Tip& tip() const { return tip_; }
  std::uint64_t records() const { return records_; }

 private:
  static Damage damage(core::Seq seq, std::string message,
                       std::optional<OverrideMode> cure = std::nullopt) {
    return {seq, std::move(message), seq, 0, cure};
  }

  // A record may be overridden both ways; then it is skipped.
  const Override* find_override(core::Seq seq) {
    const Override* found = nullptr;
    for (const Override& one : overrides_) {
      if (one.first <= seq && seq <= one.tip && !partition_.diverged()) partition_.diverge(seq);
      if (one.seq == seq && (found == nullptr || one.mode == OverrideMode::skip)) found = &one;
    }
    return found;
  }

  std::optional<Damage> apply(const StoredRecord& stored, const Override* here) {
    const core::Record& record = stored.record;
    if (hooks_.applying && !hooks_.applying(record)) {
      return damage(record.seq, "the process died while this record was folded, twice",
                    OverrideMode::skip);
    }
    effects_.clear();
    const std::uint64_t taken = partition_.taken_from(stored.cause_partition);
    auto applied = partition_.apply(record, {}, effects_);
    if (hooks_.applied) hooks_.applied();
    if (!applied) return damage(record.seq, applied.error().message, OverrideMode::skip);
    if (applied->verdict != record.verdict && !partition_.diverged()) {
      return damage(
          record.seq,
          fmt::format("its verdict was {}, and is {} now: {}", core::verdict_name(record.verdict),
                      core::verdict_name(applied->verdict), applied->fault),
          OverrideMode::accept);
    }
    // A message that cannot be read any more was the next of its way.
    if (record.verdict == core::Verdict::overridden && record.kind == core::Kind::message &&
        partition_.taken_from(stored.cause_partition) == taken) {
      partition_.pass_over_message(stored.cause_partition);
    }
    if (here != nullptr && hooks_.overridden) hooks_.overridden(record, here->mode, effects_);
    pass_on_runs();
    return std::nullopt;
  }

  void pass_on_runs() {
    if (!hooks_.run_changed) return;
    for (auto& effect : effects_) {
      if (auto* run = std::get_if<core::RunChanged>(&effect))
        hooks_.run_changed(std::move(run->row));
    }
  }

  std::optional<Damage> close_batch(const StoredRecord& stored) {
    std::string why = compare_batch(stored);
    if (!why.empty()) {
      Damage found = damage(stored.record.seq, std::move(why), OverrideMode::accept);
      found.first = tip_.seq + 1;
      return found;
    }
    tip_ = {stored.record.seq, stored.day, stored.chain};
    link_ = core::ChainLink(stored.chain);
    other_link_.reset();
    if (chain_ != stored.chain) other_link_.emplace(chain_);
    batch_overridden_ = false;
    return std::nullopt;
  }

  // What of the batch is not as it was; empty: all is. Of a batch in which a person has overridden
  // a record the stored chain is taken; in the stretch behind it the state is another.
  std::string compare_batch(const StoredRecord& stored) {
    chain_ = link_.finish();
    if (chain_ != stored.chain && other_link_) chain_ = other_link_->finish();
    if (chain_ != stored.chain && !batch_overridden_) {
      return fmt::format(
          "the chain is {} and should be {}: a record was altered, or is of another"
          " history",
          hex(chain_), hex(stored.chain));
    }
    const core::Hash128 digest = partition_.take_digest();
    if (partition_.diverged()) return {};
    if (digest != stored.digest.effects) {
      return fmt::format("its effects' digest was {}, and is {} now", hex(stored.digest.effects),
                         hex(digest));
    }
    if (stored.digest.has_state && partition_.state_hash() != stored.digest.state) {
      return fmt::format("the state's hash was {}, and is {} now", hex(stored.digest.state),
                         hex(partition_.state_hash()));
    }
    return {};
  }

  // At the end of a stretch the fold is brought in line with what had left by then.
  std::optional<Damage> rejoin(core::Seq seq) {
    const auto ends = std::find_if(overrides_.begin(), overrides_.end(),
                                   [&](const Override& one) { return one.tip == seq; });
    if (ends == overrides_.end()) return std::nullopt;
    auto done = partition_.rejoin(ends->first, ends->departed);  // those behind it say the same
    if (!done) return damage(seq, done.error());
    return std::nullopt;
  }

  core::Partition& partition_;
  Tip tip_;
  const RecoveryHooks& hooks_;
  const std::vector<Override> overrides_;
  core::ChainLink link_;
  core::Hash128 chain_;  // of the batch that was closed last, as its records give it
  // Behind an overridden batch whose chain differs it is not known whether a record of it was
  // altered or the chain itself: the next one may follow from either.
  std::optional<core::ChainLink> other_link_;
  core::Effects effects_;
  bool batch_overridden_ = false;
  std::uint64_t records_ = 0;
};

// The tip's day, when nothing follows the checkpoint.
Database::Result<Day> day_of_record(Database& database, core::PartitionId partition,
                                    core::Seq seq) {
  auto row =
      database.run_prepared("day_of_record", "select day from journal where part = $1 and seq = $2",
                            Params().int2(number(partition)).int8(static_cast<std::int64_t>(seq)));
  if (!row) return tl::unexpected(row.error());
  return row->empty() ? Day{0} : static_cast<Day>(row->integer(0, 0));
}

}  // namespace

tl::expected<Recovered, RecoveryError> recover(Database& database,
                                               const core::Partition::Config& config,
                                               core::ProgramSource& programs,
                                               const RecoveryHooks& hooks, FoldFrom begin) {
  Database::Result<std::optional<StoredCheckpoint>> stored;
  if (begin == FoldFrom::checkpoint) stored = read_checkpoint(database, config.id);
  if (!stored) return tl::unexpected(RecoveryError(stored.error()));
  std::optional<core::Partition> partition;
  Tip tip;
  Day from_day = 0;
  if (*stored) {
    const StoredCheckpoint& from = **stored;
    auto restored = core::Partition::restore(config, programs, from.checkpoint, from.rows);
    if (!restored) {
      return tl::unexpected(RecoveryError(Damage{from.checkpoint.seq, restored.error(), 0, 0, {}}));
    }
    partition.emplace(std::move(*restored));
    auto day = day_of_record(database, config.id, from.checkpoint.seq);
    if (!day) return tl::unexpected(RecoveryError(day.error()));
    if (*day == 0 && from.checkpoint.seq > 0) {
      return tl::unexpected(
          RecoveryError(Damage{from.checkpoint.seq,
                               "the journal's record that the checkpoint stands at is gone",
                               0,
                               0,
                               {}}));
    }
    tip = {from.checkpoint.seq, *day, from.chain};
    from_day = *day;
  } else {
    partition.emplace(config, programs);
  }
  auto overrides = read_overrides(database, config.id, tip.seq);
  if (!overrides) return tl::unexpected(RecoveryError(overrides.error()));
  Fold fold(*partition, tip, hooks, std::move(*overrides));
  JournalReader reader(database);
  if (auto opened = reader.open(config.id, tip.seq, from_day); !opened) {
    return tl::unexpected(RecoveryError(opened.error()));
  }
  StoredRecord record;
  std::optional<Damage> damage;
  core::Seq last = tip.seq;
  for (;;) {
    auto more = reader.next(record);
    if (!more) return tl::unexpected(RecoveryError(more.error()));
    if (!*more) break;
    last = record.record.seq;
    if (!damage) damage = fold.take(record);
  }
  if (damage) {
    damage->last = last;
    return tl::unexpected(RecoveryError(*damage));
  }
  if (fold.tip().seq != partition->last_seq()) {
    return tl::unexpected(RecoveryError(
        Damage{partition->last_seq(), "the journal ends in the middle of a batch", 0, last, {}}));
  }
  return Recovered{std::move(*partition), fold.tip(), fold.records(), tip.seq};
}

}  // namespace sluice::journal
