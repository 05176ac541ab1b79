#include "gateway/net/worker_session.hpp"

#include "gateway/codec/client_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/gateway.hpp"
#include "gateway/net/publish.hpp"

namespace sluice::gateway {

using std::chrono::steady_clock;

WorkerSession::WorkerSession(Connection& connection, std::string header_token)
    : WebsocketSession(connection,
                       {.frame_bytes = connection.shard().gateway().options().worker_frame_bytes,
                        .unsent_bytes = limits::kWorkerUnsentBytes},
                       std::move(header_token)) {
  shard().counters().workers.add();
}

void WorkerSession::on_closed() {
  shard().counters().workers.sub();
  shard().gateway().left();
  shard().remove_answers(WebsocketSession::id());
  if (said_hello()) shard().remove_worker(worker_);
  leave(false);
}

// After `bye` the socket lives on: what was begun is still renewed, cancelled and reported on it.
void WorkerSession::leave(bool bye) {
  if (joined_) shard().node().worker_left(worker_, bye);
  joined_ = false;
}

void WorkerSession::on_text(std::string_view text) {
  FrameFields& frame = fields();
  const WorkerParse parsed = parse_worker_frame(text, frame);
  if (!said_hello() && (!parsed.good || parsed.verb != WorkerVerb::kHello)) {
    return close_bad_frame(parsed.good ? "the first frame is `hello`" : parsed.message);
  }
  if (!parsed.good) return close_bad_frame(parsed.message);
  switch (parsed.verb) {
    case WorkerVerb::kHello:
      return said_hello() ? close_bad_frame("a second `hello`") : hello(frame);
    case WorkerVerb::kCredit:
      if (joined_) shard().node().worker_credit(worker_, static_cast<std::uint32_t>(frame.n));
      return;
    case WorkerVerb::kRenew:
      return renew(frame);
    case WorkerVerb::kStream:
      return stream(frame);
    case WorkerVerb::kDone:
    case WorkerVerb::kFailed:
      return report(parsed.verb, frame, text);
    case WorkerVerb::kBye:
      return leave(true);
    case WorkerVerb::kRefresh:
      return refresh(frame);
    case WorkerVerb::kPing:
      return send_text(kPongFrame);
    case WorkerVerb::kPoll:
      return;
  }
}

void WorkerSession::hello(const FrameFields& frame) {
  if (!take_token(frame.token)) return;
  if (!principal()->is_worker)
    return close(CloseCode::forbidden, "the token lacks the scope `worker`");
  hello_done();
  shard().add_answers(WebsocketSession::id(), this);
  send([&](std::string& out) {
    append_worker_welcome(out, frame.worker, shard().gateway().options().worker_lease_ms);
  });
  worker_ = shard().gateway().next_worker();
  node::WorkerHello hello{.worker = worker_,
                          .shard = shard().number(),
                          .name = frame.worker,
                          .tenant = principal()->tenant,
                          .tasks = frame.tasks,
                          .credit = static_cast<std::uint32_t>(frame.credit)};
  for (const std::string& text : frame.reclaim) {
    const auto lease = shard().node().lease(text);
    if (lease && shard().node().lease_covers(*lease, principal()->tenant)) {
      hello.reclaim.push_back(*lease);
    } else {
      say_stale(text);
    }
  }
  joined_ = true;
  shard().add_worker(worker_, this);
  shard().node().worker_joined(std::move(hello));
}

void WorkerSession::refresh(const FrameFields& frame) {
  const auto before = principal();
  if (!take_token(frame.token)) return;
  if (principal()->tenant != before->tenant || !principal()->is_worker) {
    return close(CloseCode::unauthorized, "the new token is not this worker's");
  }
  send([&](std::string& out) {
    append_worker_welcome(out, frame.worker, shard().gateway().options().worker_lease_ms);
  });
}

void WorkerSession::renew(const FrameFields& frame) {
  const auto lease = shard().node().lease(frame.lease);
  if (!lease || !shard().node().lease_covers(*lease, principal()->tenant))
    return say_stale(frame.lease);
  // Of a partition that is changing its owner nothing is said: the worker renews again in time.
  if (shard().node().worker_renew(worker_, *lease) == node::Node::LeaseStanding::stale) {
    say_stale(frame.lease);
  }
}

void WorkerSession::stream(const FrameFields& frame) {
  vm::JsonReader reader(frame.data);
  std::string text;
  if (reader.kind() != vm::JsonKind::string || !reader.read_string(&text)) {
    return close_bad_frame("`data` of `stream` is a string");
  }
  const auto lease = shard().node().lease(frame.lease);
  if (!lease || !shard().node().lease_covers(*lease, principal()->tenant)) {
    return say_stale(frame.lease);
  }
  shard().node().stream_piece(*lease, frame.n, text);
}

std::optional<node::ReportRequest> make_report(Shard& shard, const Principal& who,
                                               std::string_view lease_text, WorkerVerb verb,
                                               const FrameFields& frame) {
  shard.counters().reports.add();
  const auto lease = shard.node().lease(lease_text);
  if (!lease || !shard.node().lease_covers(*lease, who.tenant)) return std::nullopt;
  node::ReportRequest request;
  request.lease = *lease;
  if (verb == WorkerVerb::kFailed) {
    request.outcome =
        node::ReportFailed{.kind = frame.kind,
                           .message = frame.message,
                           .retry = frame.retry,
                           .retry_after_ms = static_cast<std::uint32_t>(frame.retry_after_ms)};
    return request;
  }
  bool known = false;
  auto result = encode_result(shard, *lease, frame.result, &known);
  if (!known) return std::nullopt;
  if (result) {
    request.outcome = node::ReportDone{std::move(*result)};
  } else {
    request.outcome =
        node::ReportFailed{.kind = "Invalid", .message = cut_message(result.error().message)};
  }
  return request;
}

std::optional<std::uint32_t> missing_program(Shard& shard, const Principal& who,
                                             std::string_view lease_text) {
  const auto lease = shard.node().lease(lease_text);
  if (!lease || !shard.node().lease_covers(*lease, who.tenant)) return std::nullopt;
  if (shard.program(lease->deployment) != nullptr) return std::nullopt;
  return lease->deployment;
}

// The frame is handled again once its program is there.
void WorkerSession::load_first(std::uint32_t deployment, std::string lease, std::string frame) {
  late_bytes_ += frame.size();
  if (late_bytes_ > limits::kKeptReportBytes) {  // left to the end of its lease
    late_bytes_ -= frame.size();
    return;
  }
  shard().node().load_deployment(
      deployment, [shard = &shard(), id = WebsocketSession::id(), lease = std::move(lease),
                   frame = std::move(frame)](
                      tl::expected<std::shared_ptr<const node::Deployment>, node::Refusal> loaded) {
        shard->post([shard, id, lease, frame, loaded = std::move(loaded)] {
          const auto connection = shard->find(id);
          if (!connection || connection->closed()) return;
          auto* session = static_cast<WorkerSession*>(connection->owner());
          if (!loaded) {
            session->late_.push_back({steady_clock::now() + limits::kReportRetryMax, frame});
            return;
          }
          session->late_bytes_ -= frame.size();
          if (!session->open()) return;
          *loaded ? session->on_text(frame) : session->say_stale(lease);
        });
      });
}

void WorkerSession::say_late(Time now) {
  std::vector<Late> due;
  std::erase_if(late_, [&](Late& late) {
    if (late.at > now) return false;
    due.push_back(std::move(late));
    return true;
  });
  for (const Late& late : due) {
    late_bytes_ -= late.frame.size();
    if (open()) on_text(late.frame);
  }
}

void WorkerSession::report(WorkerVerb verb, const FrameFields& frame, std::string_view text) {
  if (verb == WorkerVerb::kDone) {
    if (const auto missing = missing_program(shard(), *principal(), frame.lease))
      return load_first(*missing, frame.lease, std::string(text));
  }
  auto request = make_report(shard(), *principal(), frame.lease, verb, frame);
  if (!request) return say_stale(frame.lease);
  request->reply = {shard().number(), WebsocketSession::id(), 0};
  const auto token = reports_.add(frame.lease, *request);
  if (!token) return close(CloseCode::flood, "too many reports are not settled yet");
  request->reply.token = *token;
  if (auto refusal = shard().node().report(std::move(*request))) on_rejected(*token, *refusal);
}

void WorkerSession::on_rejected(std::uint64_t token, node::Refusal& refusal) {
  using Then = PendingReports::Then;
  switch (reports_.refused(token, refusal, steady_clock::now())) {
    case Then::kAgain:
      if (auto again = shard().node().report(reports_.next(token))) on_rejected(token, *again);
      return;
    case Then::kWait:
      return;
    case Then::kStale:
      return say_stale(reports_.release(token));
    case Then::kForget:
      reports_.release(token);
      return;
  }
}

void WorkerSession::on_settled(std::uint64_t token) {
  const std::string lease = reports_.release(token);
  send([&](std::string& out) { append_settled(out, lease); });
}

void WorkerSession::on_stale(std::uint64_t token) {
  say_stale(reports_.release(token));
}

void WorkerSession::say_stale(std::string_view lease) {
  send([&](std::string& out) { append_stale(out, lease); });
}

void WorkerSession::on_task(node::TaskFrame& task) {
  shard().counters().tasks.add();
  run_text_ = core::to_text(task.run);
  send([&](std::string& out) {
    append_task(out, {.lease = task.lease,
                      .task = task.task,
                      .args_json = task.args_json,
                      .key = task.key,
                      .tenant = task.tenant,
                      .client = task.client,
                      .run = run_text_,
                      .step = task.step,
                      .correlation = task.correlation,
                      .traceparent = task.traceparent,
                      .priority = "normal",
                      .attempt = task.attempt,
                      .lease_ms = task.lease_ms,
                      .deadline_ms = task.deadline_ms});
  });
}

void WorkerSession::on_cancel(const node::CancelTask& cancel) {
  send([&](std::string& out) { append_cancel(out, cancel.lease, cancel.why); });
}

void WorkerSession::on_stale_lease(const node::StaleLease& stale) {
  say_stale(stale.lease);
}

void WorkerSession::on_session_tick(Time now) {
  if (connection().passes(limits().unsent_bytes)) {
    return close(CloseCode::too_slow, "the socket does not take its bytes");
  }
  say_late(now);
  for (const std::uint64_t token : reports_.due(now)) {
    if (auto refusal = shard().node().report(reports_.next(token))) on_rejected(token, *refusal);
  }
}

}  // namespace sluice::gateway
