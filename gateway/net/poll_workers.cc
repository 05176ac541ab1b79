#include "gateway/net/poll_workers.hpp"

#include <algorithm>
#include <deque>

#include "gateway/codec/worker_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/exchange.hpp"
#include "gateway/net/gateway.hpp"

namespace sluice::gateway {

using std::chrono::steady_clock;

class PollWorkers::Worker final : public WorkerSink {
 public:
  Worker(Shard& shard, const Poll& poll)
      : shard_(shard), tasks_(poll.tasks), worker_(shard.gateway().next_worker()) {
    shard_.add_worker(worker_, this);
    shard_.node().worker_joined({.worker = worker_,
                                 .shard = shard_.number(),
                                 .name = poll.worker,
                                 .tenant = poll.tenant,
                                 .tasks = poll.tasks,
                                 .credit = 0});
  }
  ~Worker() override {
    if (open_) {
      wanted_ = 0;
      answer();
    }
    shard_.remove_worker(worker_);
    shard_.node().worker_left(worker_, false);
  }

  const std::vector<std::string>& tasks() const { return tasks_; }
  bool idle(Time now) const { return !open_ && now - last_poll_ > limits::kPollIdle; }

  void poll(const std::shared_ptr<Exchange>& exchange, const Poll& poll) {
    if (open_) answer();  // an older poll of the same worker: its connection is most likely gone
    last_poll_ = steady_clock::now();
    drop_expired(last_poll_);
    open_ = exchange;
    wanted_ = poll.n;
    exchange->when_time_is_up = [this] { answer(); };
    exchange->when_gone = [this, raw = exchange.get()] {
      if (open_.get() == raw) close_poll();
    };
    exchange->wait(std::max(poll.wait, limits::kPollMin));
    if (!waiting_.empty()) return answer();
    shard_.node().worker_credit(worker_, wanted_);
  }

  void on_task(node::TaskFrame& task) override {
    shard_.counters().tasks.add();
    waiting_.push_back({std::move(task), steady_clock::now()});
    if (!open_ || answering_) return;
    // The rest of the batch that brought this one may follow in the same turn.
    answering_ = true;
    shard_.post([exchange = std::weak_ptr(open_)] {
      const auto open = exchange.lock();
      if (open && !open->answered()) open->when_time_is_up();
    });
  }
  void on_cancel(const node::CancelTask& cancel) override {
    std::erase_if(waiting_, [&](const Waiting& one) { return one.task.lease == cancel.lease; });
  }
  void on_stale_lease(const node::StaleLease&) override {}

 private:
  struct Waiting {
    node::TaskFrame task;
    Time since;
  };

  void drop_expired(Time now) {
    std::erase_if(waiting_, [&](const Waiting& one) {
      return now - one.since > std::chrono::milliseconds(one.task.lease_ms);
    });
  }

  void close_poll() {
    open_.reset();
    answering_ = false;
    shard_.node().worker_credit(worker_, 0);
  }

  void answer() {
    const std::shared_ptr<Exchange> exchange = open_;
    std::string body = R"({"items":[)";
    for (std::uint32_t i = 0; i < wanted_ && !waiting_.empty(); ++i) {
      const node::TaskFrame& task = waiting_.front().task;
      if (i > 0) body += ',';
      append_task(body, {.lease = task.lease,
                         .task = task.task,
                         .args_json = task.args_json,
                         .key = task.key,
                         .tenant = task.tenant,
                         .client = task.client,
                         .run = core::to_text(task.run),
                         .step = task.step,
                         .correlation = task.correlation,
                         .traceparent = task.traceparent,
                         .priority = "normal",
                         .attempt = task.attempt,
                         .lease_ms = task.lease_ms,
                         .deadline_ms = task.deadline_ms});
      waiting_.pop_front();
    }
    body += "]}";
    close_poll();
    exchange->respond_json(200, std::move(body));
  }

  Shard& shard_;
  std::vector<std::string> tasks_;
  core::WorkerId worker_;
  std::shared_ptr<Exchange> open_;
  bool answering_ = false;
  std::uint32_t wanted_ = 0;
  std::deque<Waiting> waiting_;
  Time last_poll_;
};

PollWorkers::PollWorkers(Shard& shard) : shard_(shard) {}
PollWorkers::~PollWorkers() = default;

void PollWorkers::poll(const std::shared_ptr<Exchange>& exchange, Poll poll) {
  auto& worker = workers_[poll.tenant + '\0' + poll.worker];
  // Other tasks than before: to the node it is another worker.
  if (worker && worker->tasks() != poll.tasks) worker.reset();
  if (!worker) worker = std::make_unique<Worker>(shard_, poll);
  worker->poll(exchange, poll);
}

void PollWorkers::tick(Time now) {
  std::erase_if(workers_, [&](const auto& one) { return one.second->idle(now); });
}

}  // namespace sluice::gateway
