#include "bench/pipeline/recovery.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "bench/pipeline/client.hpp"
#include "bench/pipeline/frames.hpp"
#include "bench/pipeline/process.hpp"
#include "bench/pipeline/worker.hpp"

namespace sluice::bench {
namespace {

constexpr double kPhaseSeconds = 60;
constexpr std::string_view kHeldTask = "classify";

using Outcome = tl::expected<void, std::string>;

/// Gone, or dead and waiting for its parent to notice.
bool has_ended(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return true;
  const std::size_t name_end = text.rfind(')');
  return name_end == std::string::npos || text[name_end + 2] == 'Z';
}

class Recovery {
 public:
  explicit Recovery(const RecoveryOptions& options) : options_(options) {}
  tl::expected<RecoveryResult, std::string> run();

 private:
  struct Kept {
    std::string lease, argument;
  };

  Outcome connect_worker();
  Outcome connect_clients();
  Outcome submit();
  Outcome kill_flowd();
  Outcome answer_kept();
  Outcome turn_until(const std::function<bool()>& done, const char* what);
  Outcome turn();
  void finish(JobId job, std::string_view name, std::string_view data);

  const RecoveryOptions& options_;
  std::vector<std::unique_ptr<JobClient>> clients_;
  std::unique_ptr<TaskWorker> worker_;
  std::unordered_map<std::string, Kept> kept_;  // by run
  std::vector<bool> answered_;
  std::uint64_t answers_ = 0;
  bool keeping_ = true;
  Faults faults_;
};

Outcome Recovery::connect_worker() {
  const WorkerOptions options{
      .url = options_.url, .token = options_.worker_token, .credit = 2 * options_.runs};
  auto worker = TaskWorker::open(options, [this](const OfferedTask& task) {
    if (!keeping_ || task.name != kHeldTask) return true;
    kept_[std::string(task.run)] = {std::string(task.lease), std::string(task.argument)};
    return false;
  });
  if (!worker) return tl::unexpected("worker: " + worker.error());
  worker_ = std::make_unique<TaskWorker>(std::move(*worker));
  return {};
}

Outcome Recovery::connect_clients() {
  const auto endpoint = parse_endpoint(options_.url);
  if (!endpoint) return tl::unexpected(endpoint.error());
  while (clients_.size() < options_.client_tokens.size()) {
    clients_.push_back(std::make_unique<JobClient>(
        *endpoint, options_.client_tokens[clients_.size()],
        [this](JobId job, std::string_view name, std::string_view data) {
          finish(job, name, data);
        },
        faults_));
  }
  for (const auto& client : clients_) {
    if (auto opened = client->open(); !opened) return opened;
  }
  return {};
}

void Recovery::finish(JobId job, std::string_view name, std::string_view data) {
  if (job.slot >= answered_.size() || answered_[job.slot]) {
    ++faults_.doubled;
    return;
  }
  answered_[job.slot] = true;
  ++answers_;
  std::string_view answer;
  for (MemberScan scan(data); scan.next();) {
    if (scan.key() == "result") answer = inside(scan.value());
  }
  if (name != "Done" || answer != expected_result(job.n)) ++faults_.wrong;
}

Outcome Recovery::submit() {
  answered_.assign(options_.runs, false);
  for (std::uint32_t slot = 0; slot < options_.runs; ++slot) {
    clients_[slot % clients_.size()]->submit({slot, slot + 1});
  }
  return turn_until([this] { return kept_.size() == options_.runs; },
                    "all runs at their second step");
}

Outcome Recovery::turn() {
  std::vector<pollfd> waits;
  for (const auto& client : clients_) {
    const short events = client->wants_to_write() ? POLLIN | POLLOUT : POLLIN;
    waits.push_back({client->file(), events, 0});
  }
  const short events = worker_->wants_to_write() ? POLLIN | POLLOUT : POLLIN;
  waits.push_back({worker_->file(), events, 0});
  poll(waits.data(), waits.size(), 10);
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (waits[i].revents & ~POLLOUT && !clients_[i]->receive()) {
      return tl::unexpected("client: " + clients_[i]->why());
    }
    clients_[i]->retry_due(now_seconds());
    if (!clients_[i]->flush()) return tl::unexpected("client: " + clients_[i]->why());
  }
  if (!worker_->work()) return tl::unexpected("worker: " + worker_->why());
  return {};
}

Outcome Recovery::turn_until(const std::function<bool()>& done, const char* what) {
  const double deadline = now_seconds() + kPhaseSeconds;
  while (!done()) {
    if (now_seconds() > deadline) {
      return tl::unexpected(fmt::format("gave up waiting for {}: {} tasks kept, {} answers; {}",
                                        what, kept_.size(), answers_, faults_.first));
    }
    if (auto turned = turn(); !turned) return turned;
  }
  return {};
}

Outcome Recovery::kill_flowd() {
  if (kill(options_.flowd, SIGKILL) != 0) return tl::unexpected(std::string("cannot kill flowd"));
  const double deadline = now_seconds() + 5;
  while (!has_ended(options_.flowd)) {
    if (now_seconds() > deadline) return tl::unexpected(std::string("flowd does not die"));
    poll(nullptr, 0, 1);
  }
  return {};
}

Outcome Recovery::answer_kept() {
  keeping_ = false;
  for (const auto& [run, task] : kept_) worker_->done(task.lease, step_result(task.argument));
  if (!worker_->flush()) return tl::unexpected("worker: " + worker_->why());
  return turn_until([this] { return answers_ == options_.runs; }, "all answers");
}

tl::expected<RecoveryResult, std::string> Recovery::run() {
  if (auto done = connect_worker(); !done) return tl::unexpected(done.error());
  if (auto done = connect_clients(); !done) return tl::unexpected(done.error());
  if (auto done = submit(); !done) return tl::unexpected(done.error());
  if (auto done = kill_flowd(); !done) return tl::unexpected(done.error());
  // The worker has forgotten everything too, so that each task must be offered again.
  kept_.clear();

  RecoveryResult result;
  const double started = now_seconds();
  const Started flowd = start_program(options_.flowd_command);
  const std::unique_ptr<const pid_t, void (*)(const pid_t*)> stop(
      &flowd.pid, [](const pid_t* pid) { end_program(*pid, 15); });
  if (!read_line(flowd.output, kPhaseSeconds).starts_with("ready ")) {
    return tl::unexpected(std::string("flowd did not come back"));
  }
  result.ready = now_seconds() - started;
  if (auto done = connect_worker(); !done) return tl::unexpected(done.error());
  if (auto done = connect_clients(); !done) return tl::unexpected(done.error());
  const auto all_kept = [this] { return kept_.size() == options_.runs; };
  if (auto done = turn_until(all_kept, "all tasks offered again"); !done) {
    return tl::unexpected(done.error());
  }
  result.offered = now_seconds() - started;
  if (auto done = answer_kept(); !done) return tl::unexpected(done.error());
  result.answered = now_seconds() - started;
  result.doubled = faults_.doubled;
  result.wrong = faults_.wrong;
  return result;
}

}  // namespace

tl::expected<RecoveryResult, std::string> run_recovery(const RecoveryOptions& options) {
  return Recovery(options).run();
}

}  // namespace sluice::bench
