// What people and lists read: runs as rows, and how far each session of a client has acknowledged.
// Written behind the journal, at most a second late; the run rows can be made again from the
// journal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/journal/database.hpp"

namespace sluice::journal {

// Inserts or replaces rows; one with a lower as_of than the stored changes nothing. REQUIRES: each
// run at most once.
Database::Result<void> write_runs(Database& database, const std::vector<core::RunRow>& rows);

Database::Result<std::optional<core::RunRow>> read_run(Database& database, const core::RunId& run);

struct RunFilter {
  std::optional<core::TenantId> tenant;
  std::optional<core::RunState> state;
  std::string flow;  // empty: all; likewise the next two
  std::string client;
  std::string correlation;
  core::TimeUs since = 0;             // started at or after
  std::optional<core::RunId> before;  // the page goes on after this one
  std::uint32_t limit = 100;
};
// Newest first (ids sort by time).
Database::Result<std::vector<core::RunRow>> list_runs(Database& database, const RunFilter& filter);

// Drops rows of runs that ended before that time; at most `limit` of them, so that nobody waits for
// long. Returns how many.
Database::Result<std::int64_t> drop_ended_runs(Database& database, core::TimeUs before,
                                               std::uint32_t limit);

struct SessionAck {
  core::TenantId tenant{};
  std::string client;
  std::string session;
  std::uint64_t acked = 0;
};
// An ack never falls. REQUIRES: each session at most once.
Database::Result<void> write_acks(Database& database, const std::vector<SessionAck>& acks);
// Nothing: the session is not known (or was forgotten).
Database::Result<std::optional<std::uint64_t>> read_ack(Database& database, core::TenantId tenant,
                                                        const std::string& client,
                                                        const std::string& session);
// Sessions not seen for that long are forgotten.
Database::Result<std::int64_t> forget_sessions(Database& database, std::int64_t unseen_hours);

}  // namespace sluice::journal
