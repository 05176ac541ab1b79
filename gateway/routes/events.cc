// POST /v1/topics/{topic}/events: one event, an array, NDJSON, or CloudEvents.
#include <fmt/format.h>

#include <algorithm>

#include "gateway/codec/client_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/publish.hpp"
#include "gateway/routes/event_bodies.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

struct Answer {
  unsigned status = 0;  // 0: not there yet
  std::string body;
  std::string correlation;
};

// All events of one request and the answers that have come.
struct Publication {
  std::vector<Answer> answers;
  std::size_t missing = 0;
  bool batch = false;
};

std::string accepted_body(const node::Accepted& answer) {
  std::string body = R"({"id":)";
  vm::append_json_string(answer.event, body);
  body += fmt::format(R"(,"seq":{},"runs":[)", answer.seq);
  for (std::size_t i = 0; i < answer.runs.size(); ++i) {
    body += fmt::format("{}\"{}\"", i > 0 ? "," : "", core::to_text(answer.runs[i]));
  }
  body += ']';
  append_member(body, "correlation", answer.correlation);
  body += answer.duplicate ? R"(,"duplicate":true})" : R"(,"duplicate":false})";
  return body;
}

void finish_batch(const ExchangePtr& exchange, const Publication& publication) {
  std::string body = "[";
  bool accepted = false;
  bool fresh = false;
  for (std::size_t i = 0; i < publication.answers.size(); ++i) {
    const Answer& answer = publication.answers[i];
    if (i > 0) body += ',';
    body += answer.body;
    accepted |= answer.status < 300;
    fresh |= answer.status == 202;
  }
  body += ']';
  unsigned status = fresh ? 202 : 200;
  if (!accepted && !publication.answers.empty()) status = publication.answers.front().status;
  exchange->respond_json(status, std::move(body));
}

void settle(const ExchangePtr& exchange, Publication& publication, std::size_t index,
            Answer answer) {
  Answer& place = publication.answers[index];
  if (place.status != 0) return;
  place = std::move(answer);
  if (--publication.missing > 0) return;
  if (publication.batch) return finish_batch(exchange, publication);
  if (!place.correlation.empty()) exchange->set_correlation(place.correlation);
  exchange->respond_json(place.status, std::move(place.body));
}

// A single event's problem is the response; one of a batch is an element of its array.
void settle_problem(const ExchangePtr& exchange, Publication& publication, std::size_t index,
                    ErrorCode code, const ProblemDetails& details) {
  if (!publication.batch) return exchange->problem(code, details);
  const ErrorRow& row = row_of(code);
  settle(exchange, publication, index,
         {details.status != 0 ? details.status : row.status,
          problem_body(row, details, exchange->correlation()),
          {}});
}

struct Target {
  std::string tenant;
  std::string client;
  std::uint64_t version = 0;  // of the events that name none
};

void publish_one(const ExchangePtr& exchange, Publication& publication, std::size_t index,
                 const EventInput& event, const Target& target) {
  const HttpRequest& request = exchange->request();
  if (event.problem) {
    return settle_problem(exchange, publication, index, event.problem->code,
                          details_of(*event.problem));
  }
  const PublishInput input{
      .tenant = target.tenant,
      .client = target.client,
      .topic = request.path[2],
      .id = event.id,
      .data = event.data,
      .correlation = event.correlation.empty() ? exchange->correlation() : event.correlation,
      .traceparent = event.traceparent.empty() ? request.traceparent : event.traceparent,
      .version = event.version != 0 ? event.version : target.version};
  auto made = make_publish(exchange->shard(), input);
  if (!made) {
    return settle_problem(exchange, publication, index, made.error().code,
                          details_of(made.error()));
  }
  made->reply = exchange->reply(index);
  exchange->shard().counters().sends.add();
  if (const auto refusal = exchange->node().publish(std::move(*made))) {
    settle_problem(exchange, publication, index, row_of_word(refusal->code).code,
                   {.message = refusal->message, .retry_after_ms = refusal->retry_after_ms});
  }
}

}  // namespace

void post_events(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  const auto tenant = tenant_for(exchange, false);
  if (!tenant) return;
  const auto client = client_for(exchange);
  if (!client) return;
  if (!exchange->principal->may_publish(request.path[2])) {
    return exchange->problem(ErrorCode::forbidden,
                             {.message = "the token does not allow this topic"});
  }
  if (!request.traceparent.empty() &&
      !is_visible_ascii(request.traceparent, limits::kCorrelationBytes)) {
    return exchange->problem(ErrorCode::bad_request, {.message = "`traceparent` is not one"});
  }
  std::uint64_t version = 0;
  const auto asked = request.parameter("version");
  if (asked && (!read_count(*asked, &version) || version == 0)) {
    return exchange->problem(ErrorCode::bad_request,
                             {.message = "`version` is a number from 1 on: that of the event"});
  }
  auto body = read_events(request.content_type, request.idempotency_key, request.body);
  if (!body) {
    return exchange->problem(body.error().code, details_of(body.error()));
  }
  auto publication = std::make_shared<Publication>();
  publication->batch = body->batch;
  publication->answers.resize(body->events.size());
  publication->missing = body->events.size();
  if (body->events.empty()) return finish_batch(exchange, *publication);
  exchange->when_accepted = [raw = exchange.get(), publication](std::uint64_t index,
                                                                node::Accepted& answer) {
    raw->shard().counters().accepted.add();
    settle(raw->shared_from_this(), *publication, index,
           {answer.duplicate ? 200u : 202u, accepted_body(answer), answer.correlation});
  };
  exchange->when_rejected = [raw = exchange.get(), publication](std::uint64_t index,
                                                                node::Refusal& refusal) {
    raw->shard().counters().rejected.add();
    settle_problem(raw->shared_from_this(), *publication, index, row_of_word(refusal.code).code,
                   {.message = refusal.message, .retry_after_ms = refusal.retry_after_ms});
  };
  exchange->wait();
  for (std::size_t i = 0; i < body->events.size() && !exchange->answered(); ++i) {
    publish_one(exchange, *publication, i, body->events[i], {*tenant, *client, version});
  }
}

}  // namespace sluice::gateway
