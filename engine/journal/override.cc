#include "engine/journal/override.hpp"

#include <map>

#include "engine/core/effect.hpp"
#include "engine/core/record.hpp"

namespace sluice::journal {
namespace {

// Looks through days of records.
constexpr int kLookTimeoutMs = 600'000;

DatabaseError foreign(std::string message) {
  return {DatabaseError::Kind::foreign, "", std::move(message)};
}

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

// Where the partition's newest checkpoint stands, and the day of that record: what departed before
// is in its state.
struct Begin {
  core::Seq seq = 0;
  Day day = 0;
};
Database::Result<Begin> begin_of_fold(Database& database, core::PartitionId partition) {
  auto row = database.run(
      "select c.gen, coalesce(j.day, 0) from checkpoint c left join journal j on j.part = c.part"
      " and j.seq = c.gen where c.part = $1 order by c.gen desc limit 1",
      Params().int2(number(partition)));
  if (!row) return tl::unexpected(row.error());
  if (row->empty()) return Begin{};
  return Begin{static_cast<core::Seq>(row->integer(0, 0)), static_cast<Day>(row->integer(0, 1))};
}

// Each client's newest delivery since that day.
Database::Result<void> read_clients(Database& database, core::PartitionId partition, Day from,
                                    core::Departed& departed) {
  auto opened = database.stream(
      "select distinct on (client) client, \"offset\", seq, body from delivery"
      " where part = $1 and day >= $2 order by client, \"offset\" desc",
      Params().int2(number(partition)).int4(from));
  if (!opened) return opened;
  std::string damaged;
  for (;;) {
    auto row = database.next_row(kLookTimeoutMs);
    if (!row) return tl::unexpected(row.error());
    if (!*row) break;
    core::Delivery delivery;
    if (!core::decode_delivery((*row)->bytes(0, 3), delivery)) {
      damaged = "delivery " + std::to_string((*row)->integer(0, 1)) + " of client number " +
                std::to_string((*row)->integer(0, 0)) + " is damaged: whose it is cannot be read";
      continue;
    }
    departed.clients.push_back({static_cast<core::ClientNumber>((*row)->integer(0, 0)),
                                delivery.tenant, std::move(delivery.client),
                                static_cast<std::uint64_t>((*row)->integer(0, 1)),
                                static_cast<core::Seq>((*row)->integer(0, 2))});
  }
  if (!damaged.empty()) return tl::unexpected(foreign(std::move(damaged)));
  return {};
}

// The messages of this partition that others have taken since that day; `first` is the stretch's.
Database::Result<void> read_ways(Database& database, core::PartitionId partition, Day from,
                                 core::Seq first, core::Departed& departed) {
  auto opened = database.stream(
      "select part, cause_seq, body from journal where kind = $1 and cause_part = $2"
      " and day >= $3 order by part, seq",
      Params().int2(static_cast<int>(core::Kind::message)).int2(number(partition)).int4(from));
  if (!opened) return opened;
  std::map<core::PartitionId, core::TakenMessages> taken;
  for (;;) {
    auto row = database.next_row(kLookTimeoutMs);
    if (!row) return tl::unexpected(row.error());
    if (!*row) break;
    core::TakenMessages& way = taken[static_cast<core::PartitionId>((*row)->integer(0, 0))];
    // One that cannot be read was the next all the same: each is taken once and in order.
    const auto message = core::decode<core::Message>((*row)->bytes(0, 2));
    way.last = message ? message->n : way.last + 1;
    const auto cause = static_cast<core::Seq>((*row)->integer(0, 1));
    if (cause >= first) way.causes.push_back(cause);
  }
  for (auto& [destination, way] : taken) departed.ways.push_back({destination, std::move(way)});
  return {};
}

Database::Result<OverrideWritten> write_locked(Database& database, const NewOverride& wanted) {
  auto begin = begin_of_fold(database, wanted.partition);
  if (!begin) return tl::unexpected(begin.error());
  core::Departed departed;
  if (auto read = read_clients(database, wanted.partition, begin->day, departed); !read) {
    return tl::unexpected(read.error());
  }
  if (auto read = read_ways(database, wanted.partition, begin->day, wanted.first, departed);
      !read) {
    return tl::unexpected(read.error());
  }
  auto moved = database.run(
      "select exists (select from journal where part = $1 and seq > $2),"
      " exists (select from override where part = $1 and seq = $3 and mode = $4)",
      Params()
          .int2(number(wanted.partition))
          .int8(signed_of(wanted.tip))
          .int8(signed_of(wanted.seq))
          .text(override_word(wanted.mode)));
  if (!moved) return tl::unexpected(moved.error());
  if (moved->boolean(0, 0)) return OverrideWritten::moved_on;
  if (moved->boolean(0, 1)) return OverrideWritten::known;
  auto done = database.run(
      "insert into override (part, seq, first, tip, mode, found, why, operator, departed)"
      " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
      Params()
          .int2(number(wanted.partition))
          .int8(signed_of(wanted.seq))
          .int8(signed_of(wanted.first))
          .int8(signed_of(wanted.tip))
          .text(override_word(wanted.mode))
          .text(wanted.found)
          .text(wanted.why)
          .text(wanted.by)
          .bytea(core::encode(departed)));
  if (!done) return tl::unexpected(done.error());
  done = database.run("delete from run where part = $1 and as_of > $2",
                      Params().int2(number(wanted.partition)).int8(signed_of(begin->seq)));
  if (!done) return tl::unexpected(done.error());
  done = database.run("update partition set owner = null, boot = null, pid = null where part = $1",
                      Params().int2(number(wanted.partition)));
  if (!done) return tl::unexpected(done.error());
  return OverrideWritten::written;
}

}  // namespace

std::string_view override_word(OverrideMode mode) {
  return mode == OverrideMode::skip ? "skip" : "accept";
}

Database::Result<std::vector<Override>> read_overrides(Database& database,
                                                       core::PartitionId partition,
                                                       core::Seq after) {
  auto rows = database.run_prepared(
      "read_overrides",
      "select seq, first, tip, mode, departed from override where part = $1 and tip > $2"
      " order by first, seq, mode",
      Params().int2(number(partition)).int8(signed_of(after)));
  if (!rows) return tl::unexpected(rows.error());
  std::vector<Override> overrides;
  for (int i = 0; i < rows->count(); ++i) {
    Override one;
    one.seq = static_cast<core::Seq>(rows->integer(i, 0));
    one.first = static_cast<core::Seq>(rows->integer(i, 1));
    one.tip = static_cast<core::Seq>(rows->integer(i, 2));
    one.mode = rows->bytes(i, 3) == "accept" ? OverrideMode::accept : OverrideMode::skip;
    auto departed = core::decode_departed(rows->bytes(i, 4));
    if (!departed) {
      return tl::unexpected(
          foreign("the override of record " + std::to_string(one.seq) + " is damaged"));
    }
    one.departed = std::move(*departed);
    overrides.push_back(std::move(one));
  }
  return overrides;
}

Database::Result<OverrideWritten> write_override(Database& database, const NewOverride& wanted) {
  if (auto begun = database.script("begin"); !begun) return tl::unexpected(begun.error());
  // Waits for an append in flight, and no other begins before the end of this.
  auto locked = database.run("select from partition where part = $1 for update",
                             Params().int2(number(wanted.partition)));
  auto written = locked ? write_locked(database, wanted) : tl::unexpected(locked.error());
  const bool keep = written && *written == OverrideWritten::written;
  if (!database.connected()) return written;
  if (auto ended = database.script(keep ? "commit" : "rollback"); !ended && keep) {
    return tl::unexpected(ended.error());
  }
  return written;
}

}  // namespace sluice::journal
