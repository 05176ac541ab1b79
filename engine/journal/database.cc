#include "engine/journal/database.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace sluice::journal {
namespace {

std::string trimmed(const char* message) {
  std::string text = message != nullptr ? message : "";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

struct ParameterArrays {
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
};

}  // namespace

// A generic plan, because planning costs more than running; index paths only, because the plan is
// made while the tables are still empty.
const char* const kSessionSetup =
    "set plan_cache_mode = force_generic_plan; set jit = off; set enable_seqscan = off;"
    "set enable_bitmapscan = off; set enable_mergejoin = off; set timezone = 'UTC';"
    "set idle_in_transaction_session_timeout = 0; set client_min_messages = warning;"
    "set standard_conforming_strings = on; set max_parallel_workers_per_gather = 0;"
    // Whatever the server's default: an acknowledged batch is on disk here, and on the standby
    // where there is one.
    "select case when current_setting('synchronous_commit') in ('on', 'remote_apply') then null"
    " else set_config('synchronous_commit', 'on', false) end;";

std::vector<std::pair<std::string, std::string>> connection_options(const std::string& target) {
  return {{"fallback_application_name", "sluice"},
          {"keepalives_idle", "5"},
          {"keepalives_interval", "2"},
          {"keepalives_count", "3"},
          {"tcp_user_timeout", "10000"},
          {"dbname", target}};
}

// ---- rows and parameters ---------------------------------------------------------------------

std::int64_t Rows::integer(int row, int column) const {
  const std::string_view v = bytes(row, column);
  switch (v.size()) {
    case 2:
      return static_cast<std::int16_t>(load_u16(v.data()));
    case 4:
      return static_cast<std::int32_t>(load_u32(v.data()));
    case 8:
      return static_cast<std::int64_t>(load_u64(v.data()));
    default:
      return 0;
  }
}

bool Rows::boolean(int row, int column) const {
  const std::string_view v = bytes(row, column);
  return v.size() == 1 && v[0] != 0;
}

core::TimeUs Rows::time(int row, int column) const {
  return is_null(row, column) ? 0 : integer(row, column) + kPgEpochUs;
}

std::int64_t Rows::affected() const {
  return std::atoll(PQcmdTuples(result_.get()));
}

Params& Params::raw(PgType type, std::string_view bytes) {
  items_.push_back({static_cast<std::uint32_t>(type), std::string(bytes), false});
  return *this;
}
Params& Params::int2(std::int64_t v) {
  std::string out;
  append_u16(out, static_cast<std::uint16_t>(v));
  return raw(PgType::int2, out);
}
Params& Params::int4(std::int64_t v) {
  std::string out;
  append_u32(out, static_cast<std::uint32_t>(v));
  return raw(PgType::int4, out);
}
Params& Params::int8(std::int64_t v) {
  std::string out;
  append_u64(out, static_cast<std::uint64_t>(v));
  return raw(PgType::int8, out);
}
Params& Params::time(core::TimeUs unix_us) {
  std::string out;
  append_u64(out, static_cast<std::uint64_t>(unix_us - kPgEpochUs));
  return raw(PgType::timestamptz, out);
}
Params& Params::null(PgType type) {
  items_.push_back({static_cast<std::uint32_t>(type), {}, true});
  return *this;
}
Params& Params::array(Column& column) {
  items_.push_back(
      {0, std::string(column.finish()), false});  // the statement's cast gives the type
  return *this;
}

// ---- the connection --------------------------------------------------------------------------

DatabaseError Database::broken(DatabaseError::Kind kind, std::string what) {
  close();
  prepared_.clear();
  return {kind, "", std::move(what)};
}

Database::Result<bool> Database::wait_readable(int timeout_ms) {
  pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
  const int ready = poll(&socket, 1, timeout_ms);
  if (ready == 0) return false;
  if (ready < 0 && errno != EINTR) {
    return tl::unexpected(broken(DatabaseError::Kind::lost, "the connection's socket failed"));
  }
  return true;
}

bool Database::still_open() {
  if (!connected()) return false;
  // An idle connection has nothing to say but notices, and that the server ended it.
  pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
  while (poll(&socket, 1, 0) != 0) {
    if (PQconsumeInput(connection_.get()) == 0) {
      (void)broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get())));
      return false;
    }
  }
  return true;
}

Database::Result<void> Database::open(int timeout_ms) {
  close();
  prepared_.clear();
  const auto options = connection_options(target_);
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  connection_.reset(PQconnectStartParams(keys.data(), values.data(), 1));
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED || PQstatus(connection_.get()) == CONNECTION_BAD) {
      const std::string what = trimmed(PQerrorMessage(connection_.get()));
      const bool answered = what.find("FATAL") != std::string::npos &&
                            what.find("starting up") == std::string::npos &&
                            what.find("shutting down") == std::string::npos &&
                            what.find("recovery mode") == std::string::npos;
      return tl::unexpected(
          broken(answered ? DatabaseError::Kind::refused : DatabaseError::Kind::unreachable, what));
    }
    const short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    pollfd socket{PQsocket(connection_.get()), events, 0};
    if (poll(&socket, 1, timeout_ms) == 0) {
      return tl::unexpected(
          broken(DatabaseError::Kind::unreachable, "PostgreSQL did not answer in time"));
    }
    status = PQconnectPoll(connection_.get());
  }
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
  return {};
}

Database::Result<ServerFacts> Database::connect(int timeout_ms) {
  if (auto opened = open(timeout_ms); !opened) return tl::unexpected(opened.error());
  if (auto set = script(kSessionSetup, timeout_ms); !set) return tl::unexpected(set.error());
  return check(timeout_ms);
}

Database::Result<ServerFacts> Database::check(int timeout_ms) {
  auto rows =
      run("select pg_is_in_recovery(), (select system_identifier from pg_control_system()),"
          " pg_backend_pid(), current_setting('fsync') = 'on',"
          " current_setting('full_page_writes') = 'on',"
          " current_setting('synchronous_standby_names') <> '', current_setting('server_version'),"
          " current_setting('server_version_num')::int4, current_setting('synchronous_commit'),"
          " current_setting('transaction_read_only') = 'on'",
          {}, timeout_ms);
  if (!rows) return tl::unexpected(rows.error());
  const auto refuse = [&](std::string why) {
    return tl::unexpected(broken(DatabaseError::Kind::refused, std::move(why)));
  };
  if (rows->boolean(0, 0)) return refuse("it is a standby: Sluice writes, so it needs the primary");
  if (rows->boolean(0, 9)) return refuse("its transactions are read-only");
  if (rows->integer(0, 7) < 140000) {
    return refuse("PostgreSQL " + rows->text(0, 6) + " is too old: 14 or later is needed");
  }
  const std::string commit = rows->text(0, 8);
  if (commit != "on" && commit != "remote_apply") {
    return refuse("synchronous_commit cannot be switched on for this connection");
  }
  ServerFacts facts;
  facts.system_id = rows->integer(0, 1);
  facts.backend_pid = static_cast<std::int32_t>(rows->integer(0, 2));
  facts.fsync = rows->boolean(0, 3);
  facts.full_page_writes = rows->boolean(0, 4);
  facts.synchronous_standby = rows->boolean(0, 5);
  facts.version = rows->text(0, 6);
  auto timeline =
      run("select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))"
          "::bit(32)::int4",
          {}, timeout_ms);
  if (!timeline) return tl::unexpected(timeline.error());
  facts.timeline = static_cast<std::int32_t>(timeline->integer(0, 0));
  auto pooled = pooled_by_transaction(facts.backend_pid, timeout_ms);
  if (!pooled) return tl::unexpected(pooled.error());
  if (*pooled) {
    return refuse(
        "a pooler in transaction mode is in between: connect directly, or in session mode");
  }
  return facts;
}

// A direct connection knows its backend's pid. A pooler makes one up; then a second session that is
// served by the same backend while ours is open tells that sessions do not keep their backends.
Database::Result<bool> Database::pooled_by_transaction(std::int32_t pid, int timeout_ms) {
  if (PQbackendPID(connection_.get()) == pid) return false;
  Database other(target_);
  if (auto opened = other.open(timeout_ms); !opened) return tl::unexpected(opened.error());
  auto begun = other.script("begin", timeout_ms);
  if (!begun) return tl::unexpected(begun.error());
  auto theirs = other.run("select pg_backend_pid()", {}, timeout_ms);
  if (!theirs) return tl::unexpected(theirs.error());
  if (theirs->integer(0, 0) == pid) return true;
  auto ours = run("select pg_backend_pid()", {}, timeout_ms);
  if (!ours) return tl::unexpected(ours.error());
  return ours->integer(0, 0) != pid;
}

Database::Result<Rows> Database::finish(int timeout_ms) {
  std::optional<Rows> last;
  std::optional<DatabaseError> failure;
  for (;;) {
    while (PQisBusy(connection_.get()) != 0) {
      auto ready = wait_readable(timeout_ms);
      if (!ready) return tl::unexpected(ready.error());
      if (!*ready) {
        return tl::unexpected(
            broken(DatabaseError::Kind::late, "PostgreSQL did not answer in time"));
      }
      if (PQconsumeInput(connection_.get()) == 0) {
        return tl::unexpected(
            broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get()))));
      }
    }
    PGresult* result = PQgetResult(connection_.get());
    if (result == nullptr) break;
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      failure = DatabaseError{DatabaseError::Kind::sql, state != nullptr ? state : "",
                              trimmed(PQresultErrorMessage(result))};
    }
    last.emplace(result);
  }
  if (PQstatus(connection_.get()) == CONNECTION_BAD) {
    return tl::unexpected(
        broken(DatabaseError::Kind::lost, failure ? failure->message : "the connection broke"));
  }
  if (failure) return tl::unexpected(*failure);
  if (!last) return tl::unexpected(DatabaseError{DatabaseError::Kind::sql, "", "no result"});
  return std::move(*last);
}

namespace {
const DatabaseError kNotConnected{DatabaseError::Kind::lost, "", "not connected to PostgreSQL"};
}

Database::Result<void> Database::send(const std::string& sql, const Params& params) {
  if (!connected()) return tl::unexpected(kNotConnected);
  ParameterArrays a;
  for (const auto& item : params.items_) {
    a.types.push_back(item.type);
    a.values.push_back(item.is_null ? nullptr : item.bytes.data());
    a.lengths.push_back(static_cast<int>(item.bytes.size()));
    a.formats.push_back(1);
  }
  if (PQsendQueryParams(connection_.get(), sql.c_str(), params.count(), a.types.data(),
                        a.values.data(), a.lengths.data(), a.formats.data(), 1) == 0) {
    return tl::unexpected(
        broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get()))));
  }
  return {};
}

Database::Result<void> Database::stream(const std::string& sql, const Params& params) {
  if (auto sent = send(sql, params); !sent) return sent;
  PQsetSingleRowMode(connection_.get());
  return {};
}

Database::Result<Rows> Database::run(const std::string& sql, const Params& params, int timeout_ms) {
  if (auto sent = send(sql, params); !sent) return tl::unexpected(sent.error());
  return finish(timeout_ms);
}

Database::Result<Rows> Database::run_prepared(const std::string& name, const std::string& sql,
                                              const Params& params, int timeout_ms) {
  if (!connected()) return tl::unexpected(kNotConnected);
  if (std::find(prepared_.begin(), prepared_.end(), name) == prepared_.end()) {
    std::vector<Oid> types;
    for (const auto& item : params.items_) types.push_back(item.type);
    if (PQsendPrepare(connection_.get(), name.c_str(), sql.c_str(), params.count(), types.data()) ==
        0) {
      return tl::unexpected(
          broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get()))));
    }
    if (auto made = finish(timeout_ms); !made) return tl::unexpected(made.error());
    prepared_.push_back(name);
  }
  ParameterArrays a;
  for (const auto& item : params.items_) {
    a.values.push_back(item.is_null ? nullptr : item.bytes.data());
    a.lengths.push_back(static_cast<int>(item.bytes.size()));
    a.formats.push_back(1);
  }
  if (PQsendQueryPrepared(connection_.get(), name.c_str(), params.count(), a.values.data(),
                          a.lengths.data(), a.formats.data(), 1) == 0) {
    return tl::unexpected(
        broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get()))));
  }
  return finish(timeout_ms);
}

Database::Result<void> Database::script(const std::string& sql, int timeout_ms) {
  if (!connected()) return tl::unexpected(kNotConnected);
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) {
    return tl::unexpected(
        broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get()))));
  }
  auto rows = finish(timeout_ms);
  if (!rows) return tl::unexpected(rows.error());
  return {};
}

Database::Result<std::optional<Rows>> Database::next_row(int timeout_ms) {
  if (!connected()) return tl::unexpected(kNotConnected);
  while (PQisBusy(connection_.get()) != 0) {
    auto ready = wait_readable(timeout_ms);
    if (!ready) return tl::unexpected(ready.error());
    if (!*ready) {
      return tl::unexpected(broken(DatabaseError::Kind::late, "PostgreSQL did not answer in time"));
    }
    if (PQconsumeInput(connection_.get()) == 0) {
      return tl::unexpected(
          broken(DatabaseError::Kind::lost, trimmed(PQerrorMessage(connection_.get()))));
    }
  }
  PGresult* result = PQgetResult(connection_.get());
  if (result == nullptr) return std::optional<Rows>{};
  Rows rows(result);
  switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
      return std::optional<Rows>(std::move(rows));
    case PGRES_TUPLES_OK:  // the end
      while (PGresult* rest = PQgetResult(connection_.get())) PQclear(rest);
      return std::optional<Rows>{};
    default: {
      const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      DatabaseError error{DatabaseError::Kind::sql, state != nullptr ? state : "",
                          trimmed(PQresultErrorMessage(result))};
      while (PGresult* rest = PQgetResult(connection_.get())) PQclear(rest);
      if (PQstatus(connection_.get()) == CONNECTION_BAD) {
        return tl::unexpected(broken(DatabaseError::Kind::lost, error.message));
      }
      return tl::unexpected(error);
    }
  }
}

}  // namespace sluice::journal
