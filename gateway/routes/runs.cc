// POST /v1/flows/{flow}/runs, GET /v1/runs, /v1/runs/{id}, /v1/runs/{id}/history, POST
// /v1/runs/{id}/cancel, POST /v1/runs/{id}/signal.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "gateway/codec/frame_fields.hpp"
#include "gateway/config/duration.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/publish.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kFinal[] = {"completed", "failed", "cancelled", "superseded", "joined"};
constexpr std::string_view kStates[] = {"running",      "waiting",    "retrying",
                                        "compensating", "completed",  "failed",
                                        "cancelled",    "superseded", "joined"};

bool is_final(std::string_view state) {
  return std::find(std::begin(kFinal), std::end(kFinal), state) != std::end(kFinal);
}

void append_outcome(std::string& out, const std::string& name, const std::string& json) {
  if (name.empty()) return;
  out += R"(,"outcome":{"name":)";
  vm::append_json_string(name, out);
  out += ",\"data\":";
  out += json.empty() ? "null" : json;
  out += '}';
}

void append_run(std::string& out, const node::RunRow& row) {
  out += R"({"id":")" + core::to_text(row.run) + '"';
  append_member(out, "flow", row.flow);
  append_member(out, "tenant", row.tenant);
  if (row.client.empty()) {
    out += R"(,"client":null)";
  } else {
    append_member(out, "client", row.client);
  }
  append_member(out, "state", row.state);
  append_outcome(out, row.outcome_name, row.outcome_json);
  if (!row.step.empty()) append_member(out, "step", row.step);
  if (row.attempt > 0) out += fmt::format(",\"attempt\":{}", row.attempt);
  if (!row.why.empty()) append_member(out, "why", row.why);
  if (!row.joined.is_nil()) append_member(out, "joined", core::to_text(row.joined));
  append_member(out, "correlation", row.correlation);
  out += ",\"started\":" + time_json(row.started_us);
  if (row.ended_us != 0) out += ",\"ended\":" + time_json(row.ended_us);
  if (row.wake_us != 0) out += ",\"wakes\":" + time_json(row.wake_us);
  if (!row.unserved_task.empty()) {
    out += R"(,"no_worker":{"task":)";
    vm::append_json_string(row.unserved_task, out);
    append_member(out, "pool", row.unserved_pool);
    out += '}';
  }
  append_member(out, "hash", row.hash);
  out += '}';
}

// ---- starting

struct Waiting {
  core::RunId run;
  std::string correlation;
  std::string client;
  core::RunId joined;  // the run that it joined, for whose end it waits now; else nil

  const core::RunId& awaited() const { return joined.is_nil() ? run : joined; }
};

void answer_started(Exchange& exchange, const Waiting& waiting, bool duplicate) {
  std::string body = fmt::format(R"({{"run":"{}")", core::to_text(waiting.run));
  append_member(body, "correlation", waiting.correlation);
  body += duplicate ? R"(,"duplicate":true})" : "}";
  exchange.respond_json(duplicate ? 200 : 202, std::move(body));
}

void answer_outcome(Exchange& exchange, const Waiting& waiting, std::string_view state,
                    const std::string& name, const std::string& json, const std::string& why) {
  std::string body = fmt::format(R"({{"run":"{}")", core::to_text(waiting.run));
  append_outcome(body, name, json);
  append_member(body, "state", state);
  if (!why.empty()) append_member(body, "why", why);
  if (!waiting.joined.is_nil()) append_member(body, "joined", core::to_text(waiting.joined));
  append_member(body, "correlation", waiting.correlation);
  body += '}';
  exchange.respond_json(200, std::move(body));
}

void await_end(const ExchangePtr& exchange, const Waiting& waiting);

// The run has joined another, which answers for both; to the same client, it may.
void follow(const ExchangePtr& exchange, Waiting waiting, const core::RunId& joined) {
  Shard& shard = exchange->shard();
  shard.unwatch_run(waiting.run, exchange->id());
  waiting.joined = joined;
  shard.node().read_run("", joined,
                        [shard = &shard, id = exchange->id(), waiting = std::move(waiting)](
                            tl::expected<node::RunRow, node::Refusal> row) {
                          const bool mine = row && row->client == waiting.client;
                          shard->post([shard, id, waiting, mine] {
                            const ExchangePtr open = shard->find_exchange(id);
                            if (!open || open->answered()) return;
                            if (mine) return await_end(open, waiting);
                            answer_outcome(*open, waiting, "joined", "", "", "");
                          });
                        });
}

void end_wait(const ExchangePtr& exchange, const Waiting& waiting, std::string_view state,
              const std::string& name, const std::string& json, const std::string& why,
              const core::RunId& joined) {
  const bool goes_on = !joined.is_nil() && waiting.joined.is_nil();
  if (goes_on) return follow(exchange, waiting, joined);
  answer_outcome(*exchange, waiting, state, name, json, why);
}

void await_end(const ExchangePtr& exchange, const Waiting& waiting) {
  Shard& shard = exchange->shard();
  exchange->when_gone = [&shard, run = waiting.awaited(), id = exchange->id()] {
    shard.unwatch_run(run, id);
  };
  shard.watch_run(waiting.awaited(), exchange->id(),
                  [weak = std::weak_ptr(exchange), waiting](const node::RunState& state) {
                    const auto open = weak.lock();
                    if (!open || open->answered() || !state.ended) return;
                    end_wait(open, waiting, state.state, state.outcome_name, state.outcome_json,
                             state.why, state.joined);
                  });
  // It may have ended before the watch began.
  shard.node().read_run("", waiting.awaited(),
                        [shard = &shard, id = exchange->id(),
                         waiting](tl::expected<node::RunRow, node::Refusal> row) {
                          if (!row || !is_final(row->state)) return;
                          shard->post([shard, id, waiting, row = std::move(*row)] {
                            const ExchangePtr open = shard->find_exchange(id);
                            if (!open || open->answered()) return;
                            end_wait(open, waiting, row.state, row.outcome_name, row.outcome_json,
                                     row.why, row.joined);
                          });
                        });
}

// From `accepted` on: until the run ends or the time is up.
void wait_for_outcome(const ExchangePtr& exchange, const Waiting& waiting, milliseconds at_most) {
  exchange->when_time_is_up = [raw = exchange.get(), waiting] {
    answer_started(*raw, waiting, false);
  };
  exchange->wait(at_most);
  await_end(exchange, waiting);
}

// ?wait=10s; 0 where it is not given. Nothing: a problem was answered.
std::optional<milliseconds> wait_for(const ExchangePtr& exchange) {
  const auto text = exchange->request().parameter("wait");
  if (!text) return milliseconds(0);
  const auto wait = parse_duration(*text);
  if (wait && *wait <= limits::kWaitMax) return *wait;
  exchange->problem(ErrorCode::bad_request,
                    {.message = "`wait` is a duration of at most 60s, such as 10s or 250ms"});
  return std::nullopt;
}

bool may_start(const ExchangePtr& exchange) {
  const Principal& who = *exchange->principal;
  if (who.is_admin || (who.is_client && who.publish.empty())) return true;
  exchange->problem(ErrorCode::forbidden, {.message = "the token does not allow starting flows"});
  return false;
}

std::optional<core::RunId> run_of(const ExchangePtr& exchange) {
  const auto run = core::parse_run_id(exchange->request().path[2]);
  if (!run) exchange->problem(ErrorCode::unknown_run, {.message = "there is no such run"});
  return run;
}

std::string content_type_problem(const HttpRequest& request) {
  const std::string type = request.content_type.substr(0, request.content_type.find(';'));
  return type.empty() || type == "application/json" ? "" : "send application/json";
}

}  // namespace

void post_run(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  if (!may_start(exchange)) return;
  const auto tenant = tenant_for(exchange, false);
  if (!tenant) return;
  const auto client = client_for(exchange);
  if (!client) return;
  const auto wait = wait_for(exchange);
  if (!wait) return;
  if (std::string problem = content_type_problem(request); !problem.empty()) {
    return exchange->problem(ErrorCode::unsupported_media_type, {.message = std::move(problem)});
  }
  if (request.idempotency_key.size() > limits::kIdBytes) {
    return exchange->problem(ErrorCode::invalid,
                             {.message = "the idempotency key has 1 to 200 bytes"});
  }
  auto made =
      make_start(exchange->shard(), {.tenant = *tenant,
                                     .client = *client,
                                     .flow = request.path[2],
                                     .id = request.idempotency_key,
                                     .parameters = request.body.empty() ? "{}" : request.body,
                                     .correlation = exchange->correlation(),
                                     .traceparent = request.traceparent});
  if (!made) {
    return exchange->problem(made.error().code, details_of(made.error()));
  }
  made->reply = exchange->reply(0);
  exchange->when_accepted = [raw = exchange.get(), wait = *wait, client = *client](
                                std::uint64_t, node::Accepted& answer) {
    if (answer.runs.empty())
      return raw->problem(ErrorCode::fault, {.message = "the engine named no run"});
    Waiting waiting{answer.runs.front(), answer.correlation, client, {}};
    raw->set_correlation(answer.correlation);
    if (wait.count() == 0) return answer_started(*raw, waiting, answer.duplicate);
    wait_for_outcome(raw->shared_from_this(), waiting, wait);
  };
  exchange->wait();
  if (const auto refusal = exchange->node().start_run(std::move(*made)))
    exchange->problem(*refusal);
}

namespace {

// An admin acts on any client's runs.
node::Behalf behalf_of(const Principal& who) {
  return who.is_admin ? std::nullopt : node::Behalf(who.client);
}

bool may_act(const ExchangePtr& exchange) {
  const Principal& who = *exchange->principal;
  if (who.is_admin || who.is_client) return true;
  exchange->problem(ErrorCode::forbidden, {.message = "this needs the scope `client` or `admin`"});
  return false;
}

// What a cancel or signal is answered with.
void answer_accepted(Exchange& exchange, const node::Accepted& answer) {
  std::string body = R"({"id":)";
  vm::append_json_string(answer.event, body);
  body += fmt::format(R"(,"run":"{}","seq":{})", exchange.request().path[2], answer.seq);
  append_member(body, "correlation", answer.correlation);
  body += answer.duplicate ? R"(,"duplicate":true})" : R"(,"duplicate":false})";
  exchange.respond_json(answer.duplicate ? 200 : 202, std::move(body));
}

// The body of a signal, {"event","data"}; nothing: a problem was answered.
std::optional<FrameFields> signal_of(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  if (std::string problem = content_type_problem(request); !problem.empty()) {
    exchange->problem(ErrorCode::unsupported_media_type, {.message = std::move(problem)});
    return std::nullopt;
  }
  if (request.idempotency_key.size() > limits::kIdBytes) {
    exchange->problem(ErrorCode::invalid, {.message = "the idempotency key has 1 to 200 bytes"});
    return std::nullopt;
  }
  FrameFields fields;
  const FieldsError error = read_fields(request.body, fields);
  if (error.message == nullptr && fields.has(kFieldEvent) && fields.has(kFieldData)) return fields;
  exchange->problem(ErrorCode::bad_request,
                    {.message = error.message == nullptr
                                    ? R"(a signal is {"event":"NAME","data":{…}})"
                                    : fmt::format("{} at byte {}", error.message, error.offset)});
  return std::nullopt;
}

}  // namespace

void post_signal(const ExchangePtr& exchange) {
  const auto tenant = tenant_for(exchange, true);
  if (!tenant) return;
  const auto run = run_of(exchange);
  if (!run) return;
  if (!may_act(exchange)) return;
  auto fields = signal_of(exchange);
  if (!fields) return;
  const node::Behalf client = behalf_of(*exchange->principal);
  exchange->when_accepted = [raw = exchange.get()](std::uint64_t, node::Accepted& answer) {
    answer_accepted(*raw, answer);
  };
  exchange->wait();
  exchange->node().find_program(
      *tenant, client, *run,
      exchange->callback<node::RunProgram>(
          [run = *run, client, event = fields->event, data = std::string(fields->data),
           version = fields->version](Exchange& open, node::RunProgram&& of) {
            auto request = make_signal(open.shard(),
                                       {.client = client,
                                        .run = run,
                                        .event = event,
                                        .id = open.request().idempotency_key,
                                        .data = data,
                                        .version = version},
                                       of);
            if (!request) return open.problem(request.error().code, details_of(request.error()));
            request->reply = open.reply(0);
            if (const auto refusal = open.node().signal_run(std::move(*request))) {
              open.problem(*refusal);
            }
          }));
}

void post_cancel(const ExchangePtr& exchange) {
  const auto tenant = tenant_for(exchange, true);
  if (!tenant) return;
  const auto run = run_of(exchange);
  if (!run) return;
  if (!may_act(exchange)) return;
  const auto send = [raw = exchange.get(), run = *run](std::string owner) {
    raw->when_accepted = [raw](std::uint64_t, node::Accepted& answer) {
      answer_accepted(*raw, answer);
    };
    const auto refusal = raw->node().cancel_run({.tenant = std::move(owner),
                                                 .client = behalf_of(*raw->principal),
                                                 .run = run,
                                                 .id = raw->request().idempotency_key,
                                                 .message = "cancelled over HTTP",
                                                 .reply = raw->reply(0)});
    if (refusal) raw->problem(*refusal);
  };
  exchange->wait();
  if (!tenant->empty()) return send(*tenant);
  // An operator names no tenant: it is the run's.
  exchange->node().read_run("", *run,
                            exchange->callback<node::RunRow>([send](Exchange&, node::RunRow&& row) {
                              send(std::move(row.tenant));
                            }));
}

void get_run(const ExchangePtr& exchange) {
  const auto tenant = tenant_for(exchange, true);
  if (!tenant) return;
  const auto run = run_of(exchange);
  if (!run) return;
  exchange->wait();
  exchange->node().read_run(
      *tenant, *run, exchange->callback<node::RunRow>([](Exchange& open, node::RunRow&& row) {
        if (!may_see(*open.principal, row.client)) {
          return open.problem(ErrorCode::unknown_run, {.message = "there is no such run"});
        }
        std::string body;
        append_run(body, row);
        open.respond_json(200, std::move(body));
      }));
}

void get_runs(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  const auto tenant = tenant_for(exchange, true);
  if (!tenant) return;
  const auto limit = limit_for(exchange);
  if (!limit) return;
  const Principal& who = *exchange->principal;
  node::RunQuery query;
  query.tenant = *tenant;
  query.state = request.parameter("status").value_or("");
  query.flow = request.parameter("flow").value_or("");
  query.client = request.parameter("client");
  if (query.client && query.client->empty()) query.client.reset();
  query.correlation = request.parameter("correlation").value_or("");
  query.cursor = request.parameter("cursor").value_or("");
  query.limit = *limit;
  if (!query.state.empty() &&
      std::find(std::begin(kStates), std::end(kStates), query.state) == std::end(kStates)) {
    return exchange->problem(ErrorCode::bad_request,
                             {.message = "`status` is a state of runs, such as running or failed"});
  }
  if (const auto since = request.parameter("since")) {
    static const vm::TypeTable types;
    std::string quoted;
    vm::append_json_string(*since, quoted);
    const auto time = vm::decode_json(types, vm::kTypeTimestamp, quoted);
    if (!time)
      return exchange->problem(ErrorCode::bad_request,
                               {.message = "`since` is an RFC 3339 time in UTC"});
    query.since_us = time->as_int();
  }
  if (!who.is_admin) {
    if (!who.is_client || (query.client && *query.client != who.client)) {
      return exchange->respond_json(200, R"({"items":[],"next":null})");
    }
    query.client = who.client;
  }
  exchange->wait();
  exchange->node().read_runs(
      std::move(query), exchange->callback<node::RunPage>([](Exchange& open, node::RunPage&& page) {
        std::string body = R"({"items":[)";
        for (std::size_t i = 0; i < page.items.size(); ++i) {
          if (i > 0) body += ',';
          append_run(body, page.items[i]);
        }
        body += "],\"next\":";
        if (page.next.empty()) {
          body += "null";
        } else {
          vm::append_json_string(page.next, body);
        }
        body += '}';
        open.respond_json(200, std::move(body));
      }));
}

void get_history(const ExchangePtr& exchange) {
  const auto tenant = tenant_for(exchange, true);
  if (!tenant) return;
  const auto run = run_of(exchange);
  if (!run) return;
  exchange->wait();
  exchange->node().read_history(
      *tenant, *run, exchange->callback<node::History>([](Exchange& open, node::History&& history) {
        if (!may_see(*open.principal, history.run.client)) {
          return open.problem(ErrorCode::unknown_run, {.message = "there is no such run"});
        }
        std::string body = R"({"items":[)";
        for (std::size_t i = 0; i < history.items.size(); ++i) {
          const node::HistoryRow& row = history.items[i];
          body += fmt::format(R"({}{{"seq":{},"time":{})", i > 0 ? "," : "", row.seq,
                              time_json(row.time_us));
          append_member(body, "kind", row.kind);
          if (row.verdict != "ok") append_member(body, "verdict", row.verdict);
          if (!row.step.empty()) append_member(body, "step", row.step);
          if (row.attempt > 0) body += fmt::format(",\"attempt\":{}", row.attempt);
          append_member(body, "causation", row.causation);
          body += ",\"data\":" + (row.data_json.empty() ? std::string("{}") : row.data_json) + "}";
        }
        body += history.complete ? R"(],"next":null,"complete":true})"
                                 : R"(],"next":null,"complete":false})";
        open.respond_json(200, std::move(body));
      }));
}

}  // namespace sluice::gateway
