#include "engine/journal/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "engine/core/limits.hpp"
#include "engine/journal/migrations.hpp"

namespace sluice::journal {
namespace {

// Any two numbers that no other program in the database uses.
constexpr const char* kMigrationLock = "pg_advisory_xact_lock(5441, 8101)";

DatabaseError foreign(std::string message) {
  return {DatabaseError::Kind::foreign, "", std::move(message)};
}

Database::Result<int> format_of(Database& database) {
  // From the catalogue's rows, under one snapshot: names looked up in a backend's cache may be
  // stale when another node has just made them.
  auto present = database.run(
      "select coalesce(bool_or(c.relname = 'cluster'), false),"
      " coalesce(bool_or(c.relname in ('journal', 'partition')), false) from pg_class c"
      " join pg_namespace n on n.oid = c.relnamespace"
      " where n.nspname = any (current_schemas(false))"
      " and c.relname in ('cluster', 'journal', 'partition')");
  if (!present) return tl::unexpected(present.error());
  if (!present->boolean(0, 0)) {
    if (present->boolean(0, 1)) {
      return tl::unexpected(
          foreign("the database has tables of the same names that are not Sluice's: give it a "
                  "database, or a"
                  " schema in front of its search_path, of its own"));
    }
    return 0;
  }
  auto row = database.run("select format from cluster");
  if (!row)
    return tl::unexpected(foreign("table `cluster` is not Sluice's: " + row.error().message));
  if (row->empty())
    return tl::unexpected(foreign("table `cluster` is empty: the database is damaged"));
  return static_cast<int>(row->integer(0, 0));
}

Database::Result<Cluster> read_cluster(Database& database) {
  auto row = database.run(
      "select id, format, partitions, lease_key, delivery_epoch, system_id, timeline from cluster");
  if (!row) return tl::unexpected(row.error());
  if (row->empty() || row->bytes(0, 3).size() != 16) {
    return tl::unexpected(foreign("the row of table `cluster` is damaged"));
  }
  Cluster cluster;
  cluster.id = row->id<core::Id128>(0, 0);
  cluster.format = static_cast<int>(row->integer(0, 1));
  cluster.partitions = static_cast<unsigned>(row->integer(0, 2));
  std::memcpy(cluster.lease_key.data(), row->bytes(0, 3).data(), 16);
  cluster.delivery_epoch = row->integer(0, 4);
  cluster.system_id = row->integer(0, 5);
  cluster.timeline = static_cast<std::int32_t>(row->integer(0, 6));
  return cluster;
}

// gen_random_uuid is PostgreSQL's strong random source; a UUID has 122 random bits, so two make the
// key's 128 and more.
std::string initialise(unsigned partitions) {
  return fmt::format(
      "insert into cluster (id, format, core, partitions, lease_key) values (gen_random_uuid(), {},"
      " {}, {}, substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, "
      "16));"
      "insert into partition (part) select generate_series(0, {} - 1);",
      kFormat, core::kCoreVersion, partitions, partitions);
}

}  // namespace

Database::Result<Cluster> migrate(Database& database, unsigned partitions) {
  // Looked at without the lock first, so that a start of a database that is up to date waits for
  // nobody.
  auto format = format_of(database);
  if (!format && format.error().kind != DatabaseError::Kind::foreign) {
    return tl::unexpected(format.error());
  }
  // What looks foreign may be half of what another node is making: the lock tells.
  if (!format || *format < kFormat) {
    if (auto begun = database.script(fmt::format("begin; select {};", kMigrationLock)); !begun) {
      return tl::unexpected(begun.error());
    }
    format = format_of(database);
    std::string script;
    if (format && *format < kFormat) {
      for (const auto& migration : migrations()) {
        if (migration.format > *format) script += migration.sql;
      }
      script += *format == 0 ? initialise(partitions)
                             : fmt::format("update cluster set format = {};", kFormat);
    }
    auto done = format ? database.script(script + "commit") : tl::unexpected(format.error());
    if (!done) {
      if (database.connected()) (void)database.script("rollback");
      return tl::unexpected(done.error());
    }
    if (*format < kFormat) *format = kFormat;
  }
  if (*format > kFormat) {
    return tl::unexpected(foreign(fmt::format(
        "the database has format {}, this program knows formats up to {}: run the version of Sluice"
        " that wrote it, or a later one",
        *format, kFormat)));
  }
  return read_cluster(database);
}

Database::Result<void> record_server(Database& database, const ServerFacts& facts) {
  auto done = database.run("update cluster set system_id = $1, timeline = $2",
                           Params().int8(facts.system_id).int4(facts.timeline));
  if (!done) return tl::unexpected(done.error());
  return {};
}

Database::Result<std::int64_t> raise_delivery_epoch(Database& database) {
  auto row = database.run(
      "update cluster set delivery_epoch = delivery_epoch + 1 returning delivery_epoch");
  if (!row) return tl::unexpected(row.error());
  return row->integer(0, 0);
}

Database::Result<std::vector<Day>> leaves(Database& database) {
  auto rows = database.run(
      "select substr(c.relname, 9)::int4 from pg_inherits i join pg_class c on c.oid = i.inhrelid"
      " where i.inhparent = 'journal'::regclass and c.relname ~ '^journal_[0-9]+$' order by 1");
  if (!rows) return tl::unexpected(rows.error());
  std::vector<Day> days;
  for (int i = 0; i < rows->count(); ++i) days.push_back(static_cast<Day>(rows->integer(i, 0)));
  return days;
}

Database::Result<void> ensure_leaves(Database& database, Day first, Day last) {
  auto have = leaves(database);
  if (!have) return tl::unexpected(have.error());
  std::string script;
  for (Day day = first; day <= last; ++day) {
    if (std::find(have->begin(), have->end(), day) != have->end()) continue;
    for (const char* table : {"journal", "delivery"}) {
      // External: bodies are compact already, and compressing them costs more than it saves.
      script += fmt::format(
          "create table if not exists {0}_{1} partition of {0} for values from ({1}) to ({2});"
          "alter table {0}_{1} alter body set storage external;",
          table, day, day + 1);
    }
  }
  if (script.empty()) return {};
  // Nodes that make the same leaf at the same time: one waits for the other and finds it made.
  return database.script(fmt::format("begin; select {}; {} commit", kMigrationLock, script));
}

Database::Result<int> drop_leaves(Database& database, Day journal_before, Day delivery_before) {
  auto rows = database.run(
      "select c.relname::text, i.inhparent = 'journal'::regclass, i.inhdetachpending"
      " from pg_inherits i join pg_class c on c.oid = i.inhrelid"
      " where i.inhparent in ('journal'::regclass, 'delivery'::regclass)"
      " and c.relname ~ '^(journal|delivery)_[0-9]+$'");
  if (!rows) return tl::unexpected(rows.error());
  int dropped = 0;
  for (int i = 0; i < rows->count(); ++i) {
    const std::string leaf = rows->text(i, 0);
    const Day day = std::atoi(leaf.c_str() + leaf.find('_') + 1);
    if (day >= (rows->boolean(i, 1) ? journal_before : delivery_before)) continue;
    const char* parent = rows->boolean(i, 1) ? "journal" : "delivery";
    auto set = database.script("set lock_timeout = '1s'");
    if (!set) return tl::unexpected(set.error());
    const char* how = rows->boolean(i, 2) ? "finalize" : "concurrently";
    auto detached =
        database.script(fmt::format("alter table {} detach partition {} {}", parent, leaf, how));
    auto gone = detached ? database.script("drop table " + leaf) : detached;
    if (!database.connected()) return tl::unexpected(gone.error());
    if (auto reset = database.script("set lock_timeout = 0"); !reset) {
      return tl::unexpected(reset.error());
    }
    if (gone) ++dropped;
  }
  return dropped;
}

Database::Result<Day> oldest_day_needed(Database& database) {
  // A partition without a checkpoint needs its whole journal; any other what follows its
  // checkpoint, and its tip, which the next append checks.
  auto rows = database.run(
      "select min(case when c.day is null then oldest.day else least(c.day, tip.day) end)"
      " from partition p"
      " left join lateral (select floor(extract(epoch from at) / 86400)::int4 as day"
      "   from checkpoint where part = p.part order by gen desc limit 1) c on true"
      " left join lateral (select day from journal j where j.part = p.part"
      "   order by seq limit 1) oldest on true"
      " left join lateral (select day from journal j where j.part = p.part"
      "   order by seq desc limit 1) tip on true");
  if (!rows) return tl::unexpected(rows.error());
  return rows->is_null(0, 0) ? Day{0} : static_cast<Day>(rows->integer(0, 0));
}

}  // namespace sluice::journal
