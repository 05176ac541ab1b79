#include "engine/journal/checkpoint.hpp"

namespace sluice::journal {
namespace {

core::Hash128 hash_of(std::string_view bytes) {
  return bytes.size() == 16
             ? core::Hash128::from_bytes(reinterpret_cast<const std::uint8_t*>(bytes.data()))
             : core::Hash128{};
}

std::string_view view_of(const std::array<std::uint8_t, 16>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Database::Result<void> write_state_rows(Database& database, core::PartitionId partition,
                                        std::uint64_t epoch, core::Seq generation,
                                        const std::vector<core::StateRow>& rows) {
  if (rows.empty()) return {};
  Column ids(PgType::uuid);
  Column wakes(PgType::timestamptz);
  Column bodies(PgType::bytea);
  for (const auto& row : rows) {
    ids.add_id(row.id);
    row.wake == 0 ? wakes.add_null() : wakes.add_time(row.wake);
    row.erased ? bodies.add_null() : bodies.add_bytes(row.body);
  }
  auto done = database.run_prepared(
      "write_state_rows",
      "with own as materialized (select part from partition where part = $1 and epoch = $6 for"
      "   share)"
      " insert into run_state (part, row, gen, wake_at, body)"
      " select own.part, r.row, $2, r.wake, r.body"
      " from own, unnest($3::uuid[], $4::timestamptz[], $5::bytea[]) as r(row, wake, body)"
      " on conflict (part, row, gen) do update set wake_at = excluded.wake_at, body = "
      "excluded.body",
      Params()
          .int2(number(partition))
          .int8(static_cast<std::int64_t>(generation))
          .array(ids)
          .array(wakes)
          .array(bodies)
          .int8(static_cast<std::int64_t>(epoch)));
  if (!done) return tl::unexpected(done.error());
  return {};
}

Database::Result<bool> commit_checkpoint(Database& database, core::PartitionId partition,
                                         std::uint64_t epoch,
                                         const core::Partition::Checkpoint& checkpoint,
                                         const core::Hash128& chain) {
  // Data-modifying WITHs all see the rows as they were before; what they touch does not overlap.
  // Erased rows of this generation have done their work once what they erase is gone. Rows between
  // the last committed generation and this one are of checkpoints that were never completed: a run
  // that ended since then has no row here that would hide them.
  auto done = database.run_prepared(
      "commit_checkpoint",
      "with own as materialized (select part from partition where part = $1 and epoch = $2 for"
      "   share),"
      " ins as (insert into checkpoint (part, gen, at, core, hash, chain, rest)"
      "   select part, $3, $4, $5, $6, $7, $8 from own"
      "   on conflict (part, gen) do update set rest = excluded.rest, hash = excluded.hash,"
      "     chain = excluded.chain, at = excluded.at, core = excluded.core),"
      " olds as (delete from checkpoint c using own where c.part = own.part and c.gen < $3),"
      " last as materialized (select coalesce(max(gen), 0) as gen from checkpoint where part = $1),"
      " old as (delete from run_state s using own, last where s.part = own.part and s.gen < $3"
      "   and (s.gen > last.gen or exists (select from run_state n"
      "     where n.part = s.part and n.row = s.row and n.gen = $3))),"
      " erased as (delete from run_state s using own where s.part = own.part and s.gen = $3"
      "   and s.body is null)"
      " select count(*) from own",
      Params()
          .int2(number(partition))
          .int8(static_cast<std::int64_t>(epoch))
          .int8(static_cast<std::int64_t>(checkpoint.seq))
          .time(checkpoint.time)
          .int2(checkpoint.core)
          .bytea(view_of(checkpoint.hash.bytes()))
          .bytea(view_of(chain.bytes()))
          .bytea(checkpoint.rest));
  if (!done) return tl::unexpected(done.error());
  return done->integer(0, 0) == 1;
}

Database::Result<std::optional<StoredCheckpoint>> read_checkpoint(Database& database,
                                                                  core::PartitionId partition) {
  auto head = database.run_prepared(
      "read_checkpoint",
      "select gen, at, core, hash, chain, rest from checkpoint where part = $1"
      " order by gen desc limit 1",
      Params().int2(number(partition)));
  if (!head) return tl::unexpected(head.error());
  if (head->empty()) return std::optional<StoredCheckpoint>{};
  StoredCheckpoint stored;
  stored.checkpoint.seq = static_cast<core::Seq>(head->integer(0, 0));
  stored.checkpoint.time = head->time(0, 1);
  stored.checkpoint.core = static_cast<std::uint16_t>(head->integer(0, 2));
  stored.checkpoint.hash = hash_of(head->bytes(0, 3));
  stored.chain = hash_of(head->bytes(0, 4));
  stored.checkpoint.rest = head->text(0, 5);
  auto rows = database.run_prepared(
      "read_state_rows",
      "select distinct on (row) row, wake_at, body from run_state where part = $1 and gen <= $2"
      " order by row, gen desc",
      Params().int2(number(partition)).int8(static_cast<std::int64_t>(stored.checkpoint.seq)));
  if (!rows) return tl::unexpected(rows.error());
  for (int i = 0; i < rows->count(); ++i) {
    if (rows->is_null(i, 2)) continue;  // erased
    core::StateRow row;
    row.id = rows->id<core::RowId>(i, 0);
    row.wake = rows->time(i, 1);
    row.body = rows->text(i, 2);
    stored.rows.push_back(std::move(row));
  }
  return std::optional<StoredCheckpoint>(std::move(stored));
}

}  // namespace sluice::journal
