#include "engine/journal/reads.hpp"

#include <algorithm>

namespace sluice::journal {

Database::Result<DeliveryRows> read_deliveries(Database& database, core::PartitionId partition,
                                               core::ClientNumber client, std::uint64_t after,
                                               PageLimit limit) {
  // Sizes are known without the bodies, so those that the page leaves out are not even read.
  auto rows = database.run_prepared(
      "read_deliveries",
      "with page as (select \"offset\", seq, body from delivery"
      "   where part = $1 and client = $2 and \"offset\" > $3 order by \"offset\" limit $4),"
      " sized as (select *, count(*) over () as n, sum(octet_length(body)::int8) over"
      "   (order by \"offset\" rows between unbounded preceding and 1 preceding) as bytes"
      "   from page)"
      " select \"offset\", seq, body, n from sized where coalesce(bytes, 0) < $5"
      " order by \"offset\"",
      Params()
          .int2(number(partition))
          .int8(static_cast<std::int64_t>(client))
          .int8(static_cast<std::int64_t>(after))
          .int4(limit.rows)
          .int8(static_cast<std::int64_t>(std::max<std::uint64_t>(limit.bytes, 1))));
  if (!rows) return tl::unexpected(rows.error());
  DeliveryRows page;
  std::vector<core::Delivery>& deliveries = page.rows;
  if (!rows->empty()) {
    const auto found = static_cast<std::uint64_t>(rows->integer(0, 3));
    page.more = found >= limit.rows || static_cast<std::uint64_t>(rows->count()) < found;
  }
  for (int i = 0; i < rows->count(); ++i) {
    core::Delivery delivery;
    if (!core::decode_delivery(rows->bytes(i, 2), delivery)) {
      return tl::unexpected(DatabaseError{
          DatabaseError::Kind::foreign, "",
          "delivery " + std::to_string(rows->integer(i, 0)) + " of a client is damaged"});
    }
    delivery.offset = static_cast<std::uint64_t>(rows->integer(i, 0));
    delivery.seq = static_cast<core::Seq>(rows->integer(i, 1));
    delivery.client_number = client;
    deliveries.push_back(std::move(delivery));
  }
  return page;
}

Database::Result<std::uint64_t> oldest_delivery(Database& database, core::PartitionId partition,
                                                core::ClientNumber client) {
  auto row = database.run_prepared(
      "oldest_delivery",
      "select \"offset\" from delivery where part = $1 and client = $2 order by \"offset\" limit 1",
      Params().int2(number(partition)).int8(static_cast<std::int64_t>(client)));
  if (!row) return tl::unexpected(row.error());
  return row->empty() ? std::uint64_t{0} : static_cast<std::uint64_t>(row->integer(0, 0));
}

Database::Result<RunRecords> read_run_records(Database& database, core::PartitionId partition,
                                              core::Seq last, std::uint32_t limit) {
  auto rows = database.run_prepared(
      "read_run_records",
      "with recursive h as ("
      "  select j.seq, j.at, j.kind, j.verdict, j.core, j.tenant, j.run_prev, j.body, 1 as n"
      "    from journal j where j.part = $1 and j.seq = $2"
      "  union all"
      "  select j.seq, j.at, j.kind, j.verdict, j.core, j.tenant, j.run_prev, j.body, h.n + 1"
      "    from h join journal j on j.part = $1 and j.seq = h.run_prev"
      "    where h.run_prev > 0 and h.n < $3)"
      " select seq, at, kind, case when exists (select from override o where o.part = $1"
      "   and o.seq = h.seq and o.mode = 'skip') then 3::int2 else verdict end, core, tenant,"
      "   run_prev, body from h",
      Params()
          .int2(number(partition))
          .int8(static_cast<std::int64_t>(last))
          .int4(static_cast<std::int32_t>(limit)));
  if (!rows) return tl::unexpected(rows.error());
  RunRecords out;
  for (int i = rows->count() - 1; i >= 0; --i) {
    core::Record record;
    record.seq = static_cast<core::Seq>(rows->integer(i, 0));
    record.time = rows->time(i, 1);
    record.kind = static_cast<core::Kind>(rows->integer(i, 2));
    record.verdict = static_cast<core::Verdict>(rows->integer(i, 3));
    record.core = static_cast<std::uint16_t>(rows->integer(i, 4));
    record.tenant = static_cast<core::TenantId>(rows->integer(i, 5));
    record.body = rows->text(i, 7);
    out.records.push_back(std::move(record));
  }
  std::sort(out.records.begin(), out.records.end(),
            [](const core::Record& a, const core::Record& b) { return a.seq < b.seq; });
  out.complete = rows->empty() || rows->integer(rows->count() - 1, 6) == 0;
  if (rows->empty()) out.complete = false;
  return out;
}

}  // namespace sluice::journal
