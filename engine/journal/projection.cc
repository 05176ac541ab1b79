#include "engine/journal/projection.hpp"

namespace sluice::journal {
namespace {

constexpr const char* kColumns =
    "run, as_of, last_seq, tenant, deployment, flow, client, state, step, attempt, wake_at, "
    "started,"
    " ended, why, correlation, outcome_name, outcome_json, joined";

// No run that begins at `time` or later has a smaller id: their first 48 bits are milliseconds.
core::RunId first_id_at(core::TimeUs time) {
  core::RunId id{};
  auto ms = static_cast<std::uint64_t>(std::max<core::TimeUs>(time, 0) / 1000);
  for (int i = 5; i >= 0; --i, ms >>= 8) id.bytes[static_cast<std::size_t>(i)] = ms & 0xff;
  return id;
}

core::RunRow row_of(const Rows& r, int i) {
  core::RunRow row;
  row.run = r.id<core::RunId>(i, 0);
  row.as_of = static_cast<core::Seq>(r.integer(i, 1));
  row.last_seq = static_cast<core::Seq>(r.integer(i, 2));
  row.tenant = static_cast<core::TenantId>(r.integer(i, 3));
  row.deployment = static_cast<core::DeploymentNumber>(r.integer(i, 4));
  row.flow = r.text(i, 5);
  row.client = r.text(i, 6);
  row.state = static_cast<core::RunState>(r.integer(i, 7));
  row.step = r.text(i, 8);
  row.attempt = static_cast<std::uint32_t>(r.integer(i, 9));
  row.wake = r.time(i, 10);
  row.started = r.time(i, 11);
  row.ended = r.time(i, 12);
  row.why = r.text(i, 13);
  row.correlation = r.text(i, 14);
  row.outcome_name = r.text(i, 15);
  row.outcome_json = r.text(i, 16);
  if (!r.is_null(i, 17)) row.joined = r.id<core::RunId>(i, 17);
  return row;
}

void add_time_or_null(Column& column, core::TimeUs time) {
  time == 0 ? column.add_null() : column.add_time(time);
}

// Rows as arrays, in the order of the statement below.
struct RunColumns {
  Column run{PgType::uuid}, part{PgType::int2}, as_of{PgType::int8}, last{PgType::int8},
      tenant{PgType::int4}, deployment{PgType::int4}, flow{PgType::text}, client{PgType::text},
      state{PgType::int2}, step{PgType::text}, attempt{PgType::int4}, wake{PgType::timestamptz},
      started{PgType::timestamptz}, ended{PgType::timestamptz}, why{PgType::text},
      correlation{PgType::text}, outcome{PgType::text}, json{PgType::text}, joined{PgType::uuid};

  void add(const core::RunRow& row) {
    run.add_id(row.run);
    part.add_int2(static_cast<std::int16_t>(core::partition_of(row.run)));
    as_of.add_int8(static_cast<std::int64_t>(row.as_of));
    last.add_int8(static_cast<std::int64_t>(row.last_seq));
    tenant.add_int4(static_cast<std::int32_t>(number(row.tenant)));
    deployment.add_int4(static_cast<std::int32_t>(row.deployment));
    flow.add_bytes(row.flow);
    client.add_bytes(row.client);
    state.add_int2(static_cast<std::int16_t>(row.state));
    step.add_bytes(row.step);
    attempt.add_int4(static_cast<std::int32_t>(row.attempt));
    add_time_or_null(wake, row.wake);
    started.add_time(row.started);
    add_time_or_null(ended, row.ended);
    why.add_bytes(row.why);
    correlation.add_bytes(row.correlation);
    outcome.add_bytes(row.outcome_name);
    json.add_bytes(row.outcome_json);
    row.joined.is_nil() ? joined.add_null() : joined.add_id(row.joined);
  }
};

}  // namespace

Database::Result<void> write_runs(Database& database, const std::vector<core::RunRow>& rows) {
  if (rows.empty()) return {};
  RunColumns c;
  for (const auto& row : rows) c.add(row);
  auto done = database.run_prepared(
      "write_runs",
      "insert into run (run, part, as_of, last_seq, tenant, deployment, flow, client, state, step,"
      " attempt, wake_at, started, ended, why, correlation, outcome_name, outcome_json, joined)"
      " select * from unnest($1::uuid[], $2::int2[], $3::int8[], $4::int8[], $5::int4[],"
      " $6::int4[], $7::text[], $8::text[], $9::int2[], $10::text[], $11::int4[],"
      " $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::text[], $16::text[],"
      " $17::text[], $18::text[], $19::uuid[])"
      " on conflict (run) do update set as_of = excluded.as_of, last_seq = excluded.last_seq,"
      " state = excluded.state, step = excluded.step, attempt = excluded.attempt,"
      " wake_at = excluded.wake_at, ended = excluded.ended, why = excluded.why,"
      " outcome_name = excluded.outcome_name, outcome_json = excluded.outcome_json,"
      " joined = excluded.joined"
      " where run.as_of < excluded.as_of",
      Params()
          .array(c.run)
          .array(c.part)
          .array(c.as_of)
          .array(c.last)
          .array(c.tenant)
          .array(c.deployment)
          .array(c.flow)
          .array(c.client)
          .array(c.state)
          .array(c.step)
          .array(c.attempt)
          .array(c.wake)
          .array(c.started)
          .array(c.ended)
          .array(c.why)
          .array(c.correlation)
          .array(c.outcome)
          .array(c.json)
          .array(c.joined));
  if (!done) return tl::unexpected(done.error());
  return {};
}

Database::Result<std::optional<core::RunRow>> read_run(Database& database, const core::RunId& run) {
  auto rows = database.run_prepared(
      "read_run", std::string("select ") + kColumns + " from run where run = $1", Params().id(run));
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::optional<core::RunRow>{};
  return std::optional<core::RunRow>(row_of(*rows, 0));
}

Database::Result<std::vector<core::RunRow>> list_runs(Database& database, const RunFilter& filter) {
  Params params;
  std::string where;
  const auto add = [&](const char* condition) {
    where += where.empty() ? " where " : " and ";
    where += condition;
    where += "$" + std::to_string(params.count());
  };
  if (filter.tenant) {
    params.int4(number(*filter.tenant));
    add("tenant = ");
  }
  if (filter.state) {
    params.int2(static_cast<std::int16_t>(*filter.state));
    add("state = ");
  }
  if (!filter.flow.empty()) {
    params.text(filter.flow);
    add("flow = ");
  }
  if (!filter.client.empty()) {
    params.text(filter.client);
    add("client = ");
  }
  if (!filter.correlation.empty()) {
    params.text(filter.correlation);
    add("correlation = ");
  }
  if (filter.since != 0) {
    params.time(filter.since);
    add("started >= ");
    params.id(first_id_at(filter.since));  // a run's id is not older than its beginning
    add("run >= ");
  }
  if (filter.before) {
    params.id(*filter.before);
    add("run < ");
  }
  params.int4(filter.limit);
  const std::string limit = " order by run desc limit $" + std::to_string(params.count());
  auto rows = database.run(std::string("select ") + kColumns + " from run" + where + limit, params);
  if (!rows) return tl::unexpected(rows.error());
  std::vector<core::RunRow> runs;
  for (int i = 0; i < rows->count(); ++i) runs.push_back(row_of(*rows, i));
  return runs;
}

Database::Result<std::int64_t> drop_ended_runs(Database& database, core::TimeUs before,
                                               std::uint32_t limit) {
  // Ids sort by time: what ended before began before, so no more than that is looked at. One that
  // still lives is passed over.
  auto done = database.run(
      "delete from run where run in (select run from run where run < $3 and ended < $1"
      " order by run limit $2)",
      Params().time(before).int4(limit).id(first_id_at(before)));
  if (!done) return tl::unexpected(done.error());
  return done->affected();
}

Database::Result<void> write_acks(Database& database, const std::vector<SessionAck>& acks) {
  if (acks.empty()) return {};
  Column tenants(PgType::int4);
  Column clients(PgType::text);
  Column sessions(PgType::text);
  Column offsets(PgType::int8);
  for (const auto& ack : acks) {
    tenants.add_int4(static_cast<std::int32_t>(number(ack.tenant)));
    clients.add_bytes(ack.client);
    sessions.add_bytes(ack.session);
    offsets.add_int8(static_cast<std::int64_t>(ack.acked));
  }
  auto done =
      database.run_prepared("write_acks",
                            "insert into session_ack as s (tenant, client, session, acked, seen)"
                            " select a.tenant, a.client, a.session, a.acked, clock_timestamp()"
                            " from unnest($1::int4[], $2::text[], $3::text[], $4::int8[])"
                            "   as a(tenant, client, session, acked)"
                            " on conflict (tenant, client, session) do update set"
                            " acked = greatest(s.acked, excluded.acked), seen = excluded.seen",
                            Params().array(tenants).array(clients).array(sessions).array(offsets));
  if (!done) return tl::unexpected(done.error());
  return {};
}

Database::Result<std::optional<std::uint64_t>> read_ack(Database& database, core::TenantId tenant,
                                                        const std::string& client,
                                                        const std::string& session) {
  auto row = database.run_prepared(
      "read_ack",
      "select acked from session_ack where tenant = $1 and client = $2 and session = $3",
      Params().int4(number(tenant)).text(client).text(session));
  if (!row) return tl::unexpected(row.error());
  if (row->empty()) return std::optional<std::uint64_t>{};
  return std::optional<std::uint64_t>(static_cast<std::uint64_t>(row->integer(0, 0)));
}

Database::Result<std::int64_t> forget_sessions(Database& database, std::int64_t unseen_hours) {
  auto done = database.run(
      "delete from session_ack where seen < clock_timestamp() - $1::int8 * interval '1 hour'",
      Params().int8(unseen_hours));
  if (!done) return tl::unexpected(done.error());
  return done->affected();
}

}  // namespace sluice::journal
