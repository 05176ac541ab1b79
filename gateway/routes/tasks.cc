// Workers without a socket: POST /v1/tasks/poll and /v1/tasks/{lease}/done, failed, renew.
#include <algorithm>
#include <chrono>

#include "gateway/codec/worker_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/poll_workers.hpp"
#include "gateway/net/worker_session.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

constexpr std::string_view kSettled = R"({"t":"settled"})";

FrameFields& scratch_fields() {
  static thread_local FrameFields fields;
  return fields;
}

// The body as a frame; answers 400 and returns null if it is none.
FrameFields* read_body(const ExchangePtr& exchange, WorkerVerb verb) {
  FrameFields& fields = scratch_fields();
  const WorkerParse parsed = parse_worker_body(verb, exchange->request().body, fields);
  if (parsed.good) return &fields;
  exchange->problem(ErrorCode::bad_request, {.message = parsed.message});
  return nullptr;
}

void report(const ExchangePtr& exchange, WorkerVerb verb) {
  const FrameFields* frame = read_body(exchange, verb);
  if (frame == nullptr) return;
  const std::string& lease = exchange->request().path[2];
  const auto missing = verb == WorkerVerb::kDone
                           ? missing_program(exchange->shard(), *exchange->principal, lease)
                           : std::nullopt;
  if (missing) {
    exchange->wait();
    return exchange->node().load_deployment(
        *missing, exchange->callback<std::shared_ptr<const node::Deployment>>(
                      [verb](Exchange& open, std::shared_ptr<const node::Deployment>&& loaded) {
                        if (!loaded) return open.problem(ErrorCode::stale);
                        report(open.shared_from_this(), verb);
                      }));
  }
  auto request = make_report(exchange->shard(), *exchange->principal, lease, verb, *frame);
  if (!request) return exchange->problem(ErrorCode::stale);
  request->reply = exchange->reply(0);
  exchange->when_reported = [raw = exchange.get()](bool settled) {
    if (settled) return raw->respond_json(200, std::string(kSettled));
    raw->problem(ErrorCode::stale);
  };
  // What the engine cannot take is the attempt's failure, as on the socket.
  node::ReportRequest invalid{.lease = request->lease, .outcome = {}, .reply = request->reply};
  exchange->wait();
  auto refusal = exchange->node().report(std::move(*request));
  if (refusal && refusal->code != row_of(ErrorCode::unavailable).name) {
    invalid.outcome =
        node::ReportFailed{.kind = "Invalid", .message = cut_message(refusal->message)};
    refusal = exchange->node().report(std::move(invalid));
  }
  if (refusal) exchange->problem(*refusal);
}

}  // namespace

void post_poll(const ExchangePtr& exchange) {
  const FrameFields* frame = read_body(exchange, WorkerVerb::kPoll);
  if (frame == nullptr) return;
  const auto wait = frame->has(kFieldWait)
                        ? std::chrono::milliseconds(std::min<std::uint64_t>(
                              frame->wait_ms, static_cast<std::uint64_t>(limits::kPollMax.count())))
                        : limits::kPollMax;
  const std::uint64_t n = frame->has(kFieldN) ? frame->n : 1;
  if (n < 1 || n > limits::kPollTasks) {
    return exchange->problem(ErrorCode::bad_request, {.message = "`n` is a number from 1 to 1000"});
  }
  exchange->shard().poll_workers().poll(exchange, {.tenant = exchange->principal->tenant,
                                                   .worker = frame->worker,
                                                   .tasks = frame->tasks,
                                                   .n = static_cast<std::uint32_t>(n),
                                                   .wait = wait});
}

void post_done(const ExchangePtr& exchange) {
  report(exchange, WorkerVerb::kDone);
}

void post_failed(const ExchangePtr& exchange) {
  report(exchange, WorkerVerb::kFailed);
}

void post_renew(const ExchangePtr& exchange) {
  if (read_body(exchange, WorkerVerb::kRenew) == nullptr) return;
  using Standing = node::Node::LeaseStanding;
  node::Node& node = exchange->node();
  const auto lease = node.lease(exchange->request().path[2]);
  const bool covered = lease && node.lease_covers(*lease, exchange->principal->tenant);
  switch (covered ? node.worker_renew(core::WorkerId{}, *lease) : Standing::stale) {
    case Standing::holds:
      return exchange->respond_json(200, std::string(kSettled));
    case Standing::stale:
      return exchange->problem(ErrorCode::stale);
    case Standing::unknown:
      return exchange->problem(ErrorCode::unavailable);
  }
}

}  // namespace sluice::gateway
