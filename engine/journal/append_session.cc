#include "engine/journal/append_session.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "engine/core/check.hpp"

namespace sluice::journal {
namespace {

// How long a new connection waits for the old one's backend to be gone, ms. It is not needed for
// safety.
constexpr int kZombieWaitMs = 1000;

// The planner takes an array parameter for ten rows and would join each record with each partition.
constexpr const char* kAppendSetup = "set enable_nestloop = off; set enable_hashjoin = on;";

constexpr const char* kResolve =
    "select p.part, p.epoch, t.seq, t.day, t.chain from partition p left join lateral"
    " (select j.seq, j.day, j.chain from journal j where j.part = p.part order by j.seq desc limit "
    "1)"
    " t on true where p.part = any ($1::int2[])";

std::string first_line(const char* message) {
  std::string text = message != nullptr ? message : "";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

core::Hash128 hash_of(std::string_view bytes) {
  return bytes.size() == 16
             ? core::Hash128::from_bytes(reinterpret_cast<const std::uint8_t*>(bytes.data()))
             : core::Hash128{};
}

}  // namespace

std::vector<Verdict> judge(const std::vector<BatchPart>& parts,
                           const std::vector<Standing>& standings) {
  std::vector<Verdict> verdicts;
  bool any_in = false;
  for (const auto& part : parts) {
    const auto found = std::find_if(standings.begin(), standings.end(), [&](const Standing& s) {
      return s.partition == part.partition;
    });
    Verdict verdict = Verdict::lost;
    if (found != standings.end()) {
      if (found->tip.seq == part.after.seq && found->tip.chain == part.after.chain) {
        // Also under a later epoch: it was in before the partition was taken.
        verdict = found->epoch == part.epoch ? Verdict::committed : Verdict::lost;
        any_in = true;
      } else if (found->epoch == part.epoch && found->tip.seq == part.before.seq &&
                 found->tip.chain == part.before.chain) {
        verdict = Verdict::absent;
      }
    }
    verdicts.push_back(verdict);
  }
  if (any_in) std::replace(verdicts.begin(), verdicts.end(), Verdict::absent, Verdict::lost);
  return verdicts;
}

AppendSession::AppendSession(std::string target, std::string application)
    : target_(std::move(target)), application_(std::move(application)) {}

int AppendSession::fd() const {
  return connection_ == nullptr ? -1 : PQsocket(connection_.get());
}

short AppendSession::events() const {
  if (step_ == Step::opening) return opening_ == PGRES_POLLING_READING ? POLLIN : POLLOUT;
  return state_ == State::busy && PQflush(connection_.get()) == 1 ? POLLIN | POLLOUT : POLLIN;
}

void AppendSession::close() {
  connection_.reset();
  prepared_.clear();
  rows_.reset();
  error_.reset();
  batch_ = nullptr;
  state_ = State::closed;
  step_ = Step::none;
}

AppendSession::Event AppendSession::fail(DatabaseError::Kind kind, std::string message) {
  close();
  return Broken{{kind, "", std::move(message)}};
}

void AppendSession::connect() {
  SLUICE_CHECK(state_ == State::closed);
  auto options = connection_options(target_);
  options.emplace_back("application_name", application_);
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  connection_.reset(PQconnectStartParams(keys.data(), values.data(), 1));
  state_ = State::connecting;
  step_ = Step::opening;
  opening_ = PGRES_POLLING_WRITING;
}

AppendSession::Event AppendSession::open_on() {
  if (PQstatus(connection_.get()) == CONNECTION_BAD) opening_ = PGRES_POLLING_FAILED;
  if (opening_ != PGRES_POLLING_FAILED) {  // libpq must be called only when the socket is ready
    pollfd socket{fd(), events(), 0};
    if (poll(&socket, 1, 0) == 0) return {};
  }
  if (opening_ != PGRES_POLLING_FAILED) opening_ = PQconnectPoll(connection_.get());
  if (opening_ == PGRES_POLLING_FAILED) {
    return fail(DatabaseError::Kind::unreachable, first_line(PQerrorMessage(connection_.get())));
  }
  if (opening_ != PGRES_POLLING_OK) return {};
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
  PQsetnonblocking(connection_.get(), 1);
  send_check();
  return {};
}

void AppendSession::send_check() {
  // The old backend may still hold a copy of the batch that it will commit: end it first, so that
  // what resolve() sees stays true. (If it cannot be ended, the journal's primary key lets only one
  // copy in.)
  const std::string zombie =
      previous_pid_ == 0
          ? "select 1;"
          : fmt::format(
                "select pg_terminate_backend(pid, {}) from pg_stat_activity where pid = {}"
                " and backend_start = '{}';",
                kZombieWaitMs, previous_pid_, previous_start_);
  const std::string script =
      std::string(kSessionSetup) + kAppendSetup + zombie +
      "select pg_is_in_recovery()::int, (select system_identifier from pg_control_system()),"
      " case when pg_is_in_recovery() then 0 else"
      " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int4 end,"
      " pg_backend_pid(), (select backend_start from pg_stat_activity where pid ="
      " pg_backend_pid()), current_setting('synchronous_commit'),"
      " (extract(epoch from clock_timestamp()) * 1000000)::int8,"
      " (current_setting('fsync') = 'on')::int, (current_setting('full_page_writes') = 'on')::int,"
      " (current_setting('synchronous_standby_names') <> '')::int,"
      " 'part_row'::regtype::oid, 'record_row'::regtype::oid, 'delivery_row'::regtype::oid";
  step_ = Step::checking;
  if (PQsendQuery(connection_.get(), script.c_str()) == 0) {
    error_ =
        DatabaseError{DatabaseError::Kind::lost, "", first_line(PQerrorMessage(connection_.get()))};
  }
}

void AppendSession::append(Batch& batch) {
  SLUICE_CHECK(state_ == State::idle && batch.sealed());
  state_ = State::busy;
  batch_ = &batch;
  statement_ = append_name(batch.day(), batch.form());
  if (std::find(prepared_.begin(), prepared_.end(), statement_) != prepared_.end()) {
    step_ = Step::appending;
    send_append();
    return;
  }
  step_ = Step::preparing;
  const std::string text = append_statement(batch.day(), batch.form());
  if (PQsendPrepare(connection_.get(), statement_.c_str(), text.c_str(), 0, nullptr) == 0) {
    error_ =
        DatabaseError{DatabaseError::Kind::lost, "", first_line(PQerrorMessage(connection_.get()))};
  }
  PQflush(connection_.get());
}

bool AppendSession::send_append() {
  const Batch::Parameters p = batch_->parameters(types_);
  const bool sent =
      PQsendQueryPrepared(connection_.get(), statement_.c_str(), p.count, p.values.data(),
                          p.lengths.data(), p.formats.data(), 1) != 0;
  if (!sent) {
    error_ =
        DatabaseError{DatabaseError::Kind::lost, "", first_line(PQerrorMessage(connection_.get()))};
  }
  PQflush(connection_.get());
  return sent;
}

void AppendSession::resolve(const std::vector<core::PartitionId>& partitions) {
  SLUICE_CHECK(state_ == State::idle);
  state_ = State::busy;
  step_ = Step::resolving;
  Column parts(PgType::int2);
  for (const auto partition : partitions) parts.add_int2(static_cast<std::int16_t>(partition));
  const std::string_view bytes = parts.finish();
  const char* values[] = {bytes.data()};
  const int lengths[] = {static_cast<int>(bytes.size())};
  const int formats[] = {1};
  if (PQsendQueryParams(connection_.get(), kResolve, 1, nullptr, values, lengths, formats, 1) ==
      0) {
    error_ =
        DatabaseError{DatabaseError::Kind::lost, "", first_line(PQerrorMessage(connection_.get()))};
  }
  PQflush(connection_.get());
}

AppendSession::Event AppendSession::step() {
  if (state_ == State::closed) return {};
  if (step_ == Step::opening) return open_on();
  if (error_ && error_->kind == DatabaseError::Kind::lost) {
    return fail(DatabaseError::Kind::lost, error_->message);
  }
  if (PQconsumeInput(connection_.get()) == 0) {
    return fail(DatabaseError::Kind::lost, first_line(PQerrorMessage(connection_.get())));
  }
  if (step_ == Step::none) {  // idle: only the end of the connection could have been read
    if (PQstatus(connection_.get()) == CONNECTION_BAD) {
      return fail(DatabaseError::Kind::lost, first_line(PQerrorMessage(connection_.get())));
    }
    return {};
  }
  PQflush(connection_.get());
  return read_result();
}

AppendSession::Event AppendSession::read_result() {
  while (PQisBusy(connection_.get()) == 0) {
    PGresult* result = PQgetResult(connection_.get());
    if (result == nullptr) return finish_step();
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !error_) {
      const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      error_ = DatabaseError{DatabaseError::Kind::sql, state != nullptr ? state : "",
                             first_line(PQresultErrorMessage(result))};
    }
    rows_.emplace(result);
  }
  return {};
}

AppendSession::Event AppendSession::finish_step() {
  if (PQstatus(connection_.get()) == CONNECTION_BAD) {
    return fail(DatabaseError::Kind::lost, error_ ? error_->message : "the connection broke");
  }
  if (step_ == Step::checking) return finish_check();
  if (error_) {  // the statement's own failure: the connection goes on
    const Refused refused{*error_};
    error_.reset();
    rows_.reset();
    batch_ = nullptr;
    step_ = Step::none;
    state_ = State::idle;
    return refused;
  }
  if (step_ == Step::preparing) {
    prepared_.push_back(statement_);
    rows_.reset();
    step_ = Step::appending;
    send_append();
    return {};
  }
  return step_ == Step::appending ? finish_append() : finish_resolve();
}

AppendSession::Event AppendSession::finish_check() {
  if (error_) return fail(DatabaseError::Kind::unreachable, error_->message);
  // A script's result is text.
  const auto number = [&](int column) { return std::stoll(rows_->text(0, column)); };
  if (number(0) != 0) return fail(DatabaseError::Kind::refused, "it is a standby");
  const std::string commit = rows_->text(0, 5);
  if (commit != "on" && commit != "remote_apply") {
    return fail(DatabaseError::Kind::refused, "synchronous_commit cannot be switched on");
  }
  Connected connected;
  connected.facts.system_id = number(1);
  connected.facts.timeline = static_cast<std::int32_t>(number(2));
  connected.facts.backend_pid = static_cast<std::int32_t>(number(3));
  connected.facts.fsync = number(7) != 0;
  connected.facts.full_page_writes = number(8) != 0;
  connected.facts.synchronous_standby = number(9) != 0;
  connected.database_time = number(6);
  types_.part = static_cast<std::uint32_t>(number(10));
  types_.record = static_cast<std::uint32_t>(number(11));
  types_.delivery = static_cast<std::uint32_t>(number(12));
  previous_pid_ = connected.facts.backend_pid;
  previous_start_ = rows_->text(0, 4);
  rows_.reset();
  step_ = Step::none;
  state_ = State::idle;
  return connected;
}

AppendSession::Event AppendSession::finish_append() {
  Appended appended;
  for (int i = 0; i < rows_->count(); ++i) {
    appended.passed.push_back(static_cast<core::PartitionId>(rows_->integer(i, 0)));
    appended.database_time = rows_->time(i, 1);
  }
  rows_.reset();
  batch_ = nullptr;
  step_ = Step::none;
  state_ = State::idle;
  return appended;
}

AppendSession::Event AppendSession::finish_resolve() {
  Resolved resolved;
  for (int i = 0; i < rows_->count(); ++i) {
    Standing standing;
    standing.partition = static_cast<core::PartitionId>(rows_->integer(i, 0));
    standing.epoch = static_cast<std::uint64_t>(rows_->integer(i, 1));
    standing.tip.seq = static_cast<core::Seq>(rows_->integer(i, 2));
    standing.tip.day = static_cast<Day>(rows_->integer(i, 3));
    standing.tip.chain = hash_of(rows_->is_null(i, 4) ? std::string_view{} : rows_->bytes(i, 4));
    resolved.standings.push_back(standing);
  }
  rows_.reset();
  step_ = Step::none;
  state_ = State::idle;
  return resolved;
}

}  // namespace sluice::journal
