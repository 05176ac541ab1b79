#include "bench/pipeline/worker.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <cstdio>
#include <iterator>

#include "bench/pipeline/frames.hpp"

namespace sluice::bench {

tl::expected<TaskWorker, std::string> TaskWorker::open(const WorkerOptions& options,
                                                       OnTask on_task) {
  const auto endpoint = parse_endpoint(options.url);
  if (!endpoint) return tl::unexpected(endpoint.error());
  auto socket = WebSocket::open(
      *endpoint,
      {.path = "/v1/worker", .protocol = "sluice.worker.v1.json", .token = options.token});
  if (!socket) return tl::unexpected(socket.error());
  TaskWorker worker;
  worker.socket_ = std::move(*socket);
  worker.on_task_ = std::move(on_task);
  worker.credit_ = options.credit;
  worker.socket_.send(fmt::format(
      R"({{"t":"hello","worker":"bench","tasks":["extract","classify","enrich","compose"],)"
      R"("credit":{}}})",
      options.credit));
  worker.socket_.flush();
  return worker;
}

bool TaskWorker::work() {
  const bool alive = socket_.receive([this](std::string_view text) { handle(text); });
  return alive && socket_.flush();
}

void TaskWorker::handle(std::string_view text) {
  OfferedTask task{};
  std::string_view kind;
  for (MemberScan scan(text); scan.next();) {
    if (scan.key() == "t") kind = inside(scan.value());
    if (scan.key() == "lease") task.lease = scan.value();
    if (scan.key() == "task") task.name = inside(scan.value());
    if (scan.key() == "args") task.argument = inside(first_element(scan.value()));
    if (scan.key() == "run") task.run = inside(scan.value());
    if (scan.key() == "step") task.step = inside(scan.value());
    if (scan.key() == "attempt") task.attempt = number(scan.value());
    if (kind == "settled") break;
  }
  if (kind == "task") take(task);
  if (kind == "settled") ++settled_;
  if (kind == "stale") ++stale_;
}

void TaskWorker::take(const OfferedTask& task) {
  ++tasks_;
  if (on_task_(task)) done(task.lease, step_result(task.argument));
  // Credit is renewed long before it is used up, so the engine never waits for it.
  if (++taken_since_credit_ >= credit_ / 2) {
    socket_.send(fmt::format(R"({{"t":"credit","n":{}}})", credit_));
    taken_since_credit_ = 0;
  }
}

void TaskWorker::done(std::string_view lease, std::string_view result) {
  frame_.clear();
  fmt::format_to(std::back_inserter(frame_), R"({{"t":"done","lease":{},"result":"{}"}})", lease,
                 result);
  socket_.send(frame_);
}

int run_worker(const WorkerOptions& options) {
  auto worker = TaskWorker::open(options, [](const OfferedTask&) { return true; });
  if (!worker) {
    fmt::print(stderr, "worker: {}\n", worker.error());
    return 3;
  }
  fmt::print("ready\n");
  std::fflush(stdout);
  for (;;) {
    const short events = worker->wants_to_write() ? POLLIN | POLLOUT : POLLIN;
    pollfd wait{worker->file(), events, 0};
    if (poll(&wait, 1, -1) < 0) return 0;
    if (!worker->work()) {
      fmt::print(stderr, "worker: {}\n", worker->why());
      return 1;
    }
  }
}

}  // namespace sluice::bench
