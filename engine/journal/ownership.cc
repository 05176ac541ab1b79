#include "engine/journal/ownership.hpp"

#include <fmt/format.h>

#include "engine/core/limits.hpp"

namespace sluice::journal {
namespace {

constexpr const char* kLockNotAvailable = "55P03";

// How often a taking node runs into a backend that it had ended already.
constexpr int kTakeTries = 8;

Column parts_of(const std::vector<core::PartitionId>& partitions) {
  Column column(PgType::int2);
  for (const auto partition : partitions) column.add_int2(static_cast<std::int16_t>(partition));
  return column;
}

std::vector<Owned> owned_of(const Rows& rows) {
  std::vector<Owned> owned;
  for (int i = 0; i < rows.count(); ++i) {
    owned.push_back({static_cast<core::PartitionId>(rows.integer(i, 0)),
                     static_cast<std::uint64_t>(rows.integer(i, 1))});
  }
  return owned;
}

// Not a join: a row that was locked by another taker is looked at again when that has committed,
// and of a join only its own columns would be.
constexpr const char* kFree =
    " from partition p where (p.owner is null or (p.owner = $1 and p.boot <> $2)"
    " or not exists (select from node n where n.node = p.owner and n.boot = p.boot"
    " and n.seen >= clock_timestamp() - $3::int4 * interval '1 ms'))";

}  // namespace

std::string append_application(const core::Id128& boot) {
  return "sluice append " + core::to_text(boot);
}

Database::Result<core::TimeUs> register_node(Database& database, const NodeIdentity& node) {
  auto row = database.run(
      "insert into node (node, boot, addr, version, core_lo, core_hi, seen)"
      " values ($1, $2, $3, $4, $5, $6, clock_timestamp()) on conflict (node) do update set"
      " boot = excluded.boot, addr = excluded.addr, version = excluded.version,"
      " core_lo = excluded.core_lo, core_hi = excluded.core_hi, seen = excluded.seen"
      " returning clock_timestamp()",
      Params()
          .text(node.name)
          .id(node.boot)
          .text(node.address)
          .text(node.version)
          .int4(core::kCoreVersion)
          .int4(core::kCoreVersion));
  if (!row) return tl::unexpected(row.error());
  return row->time(0, 0);
}

Database::Result<Renewal> renew(Database& database, const NodeIdentity& node) {
  auto row =
      database.run_prepared("renew",
                            "update node set seen = clock_timestamp() where node = $1 and boot = $2"
                            " returning clock_timestamp()",
                            Params().text(node.name).id(node.boot));
  if (!row) return tl::unexpected(row.error());
  if (row->empty()) return Renewal{};
  return Renewal{row->time(0, 0), true};
}

Database::Result<std::vector<Owned>> take_partitions(Database& database, const NodeIdentity& node,
                                                     std::uint32_t ownership_ms, int patience_ms) {
  const auto params = [&] { return Params().text(node.name).id(node.boot).int4(ownership_ms); };
  // Usually there is nothing to take, and looking locks nothing.
  auto any = database.run(std::string("select exists (select 1") + kFree + ")", params());
  if (!any) return tl::unexpected(any.error());
  if (!any->boolean(0, 0)) return std::vector<Owned>{};
  for (int i = 0;; ++i) {
    if (auto set = database.script(fmt::format("set lock_timeout = {}", patience_ms)); !set) {
      return tl::unexpected(set.error());
    }
    auto taken = database.run(
        std::string("with free as materialized (select p.part") + kFree +
            " order by p.part for update of p)"
            " update partition p set epoch = p.epoch + 1, owner = $1, boot = $2,"
            " pid = pg_backend_pid() from free where free.part = p.part returning p.part, p.epoch",
        params());
    if (!database.connected()) return tl::unexpected(taken.error());
    if (auto set = database.script("set lock_timeout = 0"); !set)
      return tl::unexpected(set.error());
    if (taken) return owned_of(*taken);
    if (taken.error().sqlstate != kLockNotAvailable || i == kTakeTries) {
      return tl::unexpected(taken.error());
    }
    auto ended = database.run(
        std::string("select pg_terminate_backend(a.pid) from (select distinct p.boot") + kFree +
            " and p.boot is not null) b join pg_stat_activity a"
            " on a.application_name = 'sluice append ' || b.boot::text",
        params());
    if (!ended) return tl::unexpected(ended.error());
  }
}

Database::Result<std::vector<Owned>> retake_partitions(
    Database& database, const NodeIdentity& node,
    const std::vector<core::PartitionId>& partitions) {
  Column parts = parts_of(partitions);
  auto rows = database.run(
      "with mine as materialized (select part from partition where owner = $1 and boot = $2"
      " and part = any ($3::int2[]) order by part for update)"
      " update partition p set epoch = p.epoch + 1 from mine where mine.part = p.part"
      " returning p.part, p.epoch",
      Params().text(node.name).id(node.boot).array(parts));
  if (!rows) return tl::unexpected(rows.error());
  return owned_of(*rows);
}

Database::Result<std::vector<Owned>> owned_partitions(Database& database,
                                                      const NodeIdentity& node) {
  auto rows = database.run("select part, epoch from partition where owner = $1 and boot = $2",
                           Params().text(node.name).id(node.boot));
  if (!rows) return tl::unexpected(rows.error());
  return owned_of(*rows);
}

Database::Result<void> release_partitions(Database& database, const NodeIdentity& node,
                                          const std::vector<core::PartitionId>& partitions) {
  Column parts = parts_of(partitions);
  auto done = database.run(
      "update partition set owner = null, boot = null, pid = null"
      " where owner = $1 and boot = $2 and part = any ($3::int2[])",
      Params().text(node.name).id(node.boot).array(parts));
  if (!done) return tl::unexpected(done.error());
  return {};
}

Database::Result<void> unregister_node(Database& database, const NodeIdentity& node) {
  auto done = database.run("delete from node where node = $1 and boot = $2",
                           Params().text(node.name).id(node.boot));
  if (!done) return tl::unexpected(done.error());
  return {};
}

Database::Result<std::vector<OwnerRow>> read_owners(Database& database) {
  auto rows = database.run("select part, epoch, owner from partition order by part");
  if (!rows) return tl::unexpected(rows.error());
  std::vector<OwnerRow> owners;
  for (int i = 0; i < rows->count(); ++i) {
    owners.push_back({static_cast<core::PartitionId>(rows->integer(i, 0)),
                      static_cast<std::uint64_t>(rows->integer(i, 1)), rows->text(i, 2)});
  }
  return owners;
}

}  // namespace sluice::journal
