// Reads of committed rows: deliveries after an offset, and the records of one run.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/record.hpp"
#include "engine/journal/database.hpp"
#include "engine/journal/recovery.hpp"

namespace sluice::journal {

// What a page of deliveries holds at most. `bytes` are of the bodies: one that reaches it is the
// page's last, so the first is always there, however large.
struct PageLimit {
  std::uint32_t rows = 0;
  std::uint64_t bytes = 0;
};
struct DeliveryRows {
  std::vector<core::Delivery> rows;
  bool more = false;  // a limit was reached: there may be further ones
};
// In order of offset. Tenant and client are left to the caller, who asked for one.
Database::Result<DeliveryRows> read_deliveries(Database& database, core::PartitionId partition,
                                               core::ClientNumber client, std::uint64_t after,
                                               PageLimit limit);
// The oldest that retention left; 0: there is none.
Database::Result<std::uint64_t> oldest_delivery(Database& database, core::PartitionId partition,
                                                core::ClientNumber client);

struct RunRecords {
  std::vector<core::Record> records;  // by seq
  bool complete = true;               // false: the oldest are gone, or there are more than `limit`
};
// Walks the run's chain of records from its newest (`last`) to its first.
Database::Result<RunRecords> read_run_records(Database& database, core::PartitionId partition,
                                              core::Seq last, std::uint32_t limit);

}  // namespace sluice::journal
