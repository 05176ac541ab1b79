// A connection to PostgreSQL for everything but the append (append.hpp): one statement at a time,
// each with a bound on the server's silence, so that one that hangs cannot hold a thread for ever.
//
// Not thread-safe. After an error of kind `lost` or `late` the connection is closed; connect()
// opens it again.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/journal/wire.hpp"

namespace sluice::journal {

struct DatabaseError {
  enum class Kind : std::uint8_t {
    unreachable,  // no connection could be made
    refused,      // the server answers, but not to us, or it is no place to write to
    lost,         // the connection broke: the outcome of a statement under way is unknown
    late,         // silent for too long; likewise
    sql,          // the statement failed; `sqlstate` says how
    foreign,      // the database's content is not ours, or of a newer version
  };
  Kind kind = Kind::sql;
  std::string sqlstate;  // five characters, of kind sql
  std::string message;
};

// A statement's rows in binary. Values are views into it.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result) {}

  int count() const { return PQntuples(result_.get()); }
  bool empty() const { return count() == 0; }
  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view bytes(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  std::string text(int row, int column) const { return std::string(bytes(row, column)); }
  // int2, int4 or int8; 0 for null.
  std::int64_t integer(int row, int column) const;
  bool boolean(int row, int column) const;
  // timestamptz; 0 for null.
  core::TimeUs time(int row, int column) const;
  // Sixteen bytes; nil for null.
  template <class Id>
  Id id(int row, int column) const {
    Id id;
    const std::string_view v = bytes(row, column);
    if (v.size() == 16) std::memcpy(id.bytes.data(), v.data(), 16);
    return id;
  }
  // Rows that the statement changed.
  std::int64_t affected() const;

 private:
  struct Clear {
    void operator()(PGresult* r) const { PQclear(r); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

// Binary parameters of one statement.
class Params {
 public:
  Params& int2(std::int64_t v);
  Params& int4(std::int64_t v);
  Params& int8(std::int64_t v);
  Params& text(std::string_view v) { return raw(PgType::text, v); }
  Params& bytea(std::string_view v) { return raw(PgType::bytea, v); }
  Params& id(const core::Id128& v) { return raw(PgType::uuid, v.view()); }
  Params& time(core::TimeUs unix_us);
  Params& null(PgType type);
  Params& array(Column& column);

  int count() const { return static_cast<int>(items_.size()); }

 private:
  friend class Database;
  struct Item {
    std::uint32_t type;
    std::string bytes;
    bool is_null;
  };
  Params& raw(PgType type, std::string_view bytes);
  std::vector<Item> items_;
};

// What a connection found out about its server.
struct ServerFacts {
  std::int64_t system_id = 0;
  std::int32_t timeline = 0;
  std::int32_t backend_pid = 0;
  bool fsync = true;
  bool full_page_writes = true;
  bool synchronous_standby = false;  // synchronous_standby_names is not empty
  std::string version;
};

class Database {
 public:
  template <typename T>
  using Result = tl::expected<T, DatabaseError>;

  explicit Database(std::string target) : target_(std::move(target)) {}
  Database(Database&&) noexcept = default;
  Database& operator=(Database&&) noexcept = default;

  // Opens the connection, sets it up (time zone, planner, synchronous commit) and checks that it is
  // one that we can work with: a primary, reached directly or through a pooler in session mode.
  // Closes an open one first. `timeout_ms` bounds all of it.
  Result<ServerFacts> connect(int timeout_ms);
  bool connected() const { return connection_ != nullptr; }
  // As connected(), after a look at the socket (no round trip): an idle connection that the server
  // has closed is noticed here and not by the next statement. REQUIRES: no statement in flight.
  bool still_open();
  void close() { connection_.reset(); }

  // One statement in the extended protocol, result in binary. Waits at most timeout_ms.
  Result<Rows> run(const std::string& sql, const Params& params = {}, int timeout_ms = kTimeoutMs);
  // The same, prepared at the first use on this connection.
  Result<Rows> run_prepared(const std::string& name, const std::string& sql, const Params& params,
                            int timeout_ms = kTimeoutMs);
  // Several statements in one string, no parameters, no result; one transaction unless it says
  // otherwise.
  Result<void> script(const std::string& sql, int timeout_ms = kTimeoutMs);

  // Streams a large result: stream, then next_row until it yields none; one row each. Rows are read
  // as they come.
  Result<void> stream(const std::string& sql, const Params& params);
  Result<std::optional<Rows>> next_row(int timeout_ms = kTimeoutMs);

  PGconn* handle() { return connection_.get(); }
  const std::string& target() const { return target_; }

  static constexpr int kTimeoutMs = 30'000;

 private:
  Result<void> send(const std::string& sql, const Params& params);
  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };
  Result<void> open(int timeout_ms);
  Result<ServerFacts> check(int timeout_ms);
  Result<bool> pooled_by_transaction(std::int32_t pid, int timeout_ms);
  Result<Rows> finish(int timeout_ms);
  Result<bool> wait_readable(int timeout_ms);
  DatabaseError broken(DatabaseError::Kind kind, std::string what);

  std::string target_;
  std::unique_ptr<PGconn, Finish> connection_;
  std::vector<std::string> prepared_;
};

// Connection options that ours add to the operator's: keepalives and user timeout, so that a
// vanished peer is noticed within seconds; application_name. Those that the target itself gives
// win.
std::vector<std::pair<std::string, std::string>> connection_options(const std::string& target);

// What every connection of ours is set up with.
extern const char* const kSessionSetup;

}  // namespace sluice::journal
