#include "engine/sim/worker.hpp"

#include <algorithm>

#include "vm/failure_kinds.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

constexpr TimeUs kWatch = 250 * kMs;
constexpr TimeUs kReportWait = 800 * kMs;

// The one argument of all tasks, out of ["…"]: its text needs no escapes.
std::string argument(const std::string& args_json) {
  if (args_json.size() < 4) return "";
  return args_json.substr(2, args_json.size() - 4);
}

}  // namespace

Worker::Worker(World& world, unsigned index, Random random)
    : world_(world), index_(index), random_(random), sockets_(world.options.nodes) {}

void Worker::start() {
  watch();
}

Worker* Worker::of(World& world, core::WorkerId id, std::size_t& node) {
  for (const auto& worker : world.workers) {
    for (node = 0; node < worker->sockets_.size(); ++node) {
      if (worker->sockets_[node].id == id && worker->sockets_[node].boot != 0) {
        return worker.get();
      }
    }
  }
  return nullptr;
}

// ---- sockets

void Worker::watch() {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    const Node& node = *world_.nodes[i];
    if (sockets_[i].boot != 0 && sockets_[i].boot != node.boot()) sockets_[i].boot = 0;
    if (sockets_[i].boot == 0 && node.up()) {
      connect(i);
    } else if (random_.chance(200)) {
      give_credit(i);
    }
  }
  world_.scheduler.after(kWatch, [this] { watch(); });
}

void Worker::connect(std::size_t index) {
  Node* node = world_.nodes[index].get();
  Socket& socket = sockets_[index];
  socket = {core::WorkerId{++world_.connections}, node->boot()};
  std::vector<dispatch::LeaseName> reclaim;
  for (const auto& [number, job] : jobs_) reclaim.push_back(job.frame.lease);
  std::optional<core::TenantId> tenant;
  if (index_ % 3 == 2) tenant = core::TenantId{1 + index_ % world_.options.tenants};
  // The first of each tenant serves all, so that nobody waits for a worker that never comes.
  const unsigned busy = jobs_of(index);
  const unsigned credit = world_.options.credit > busy ? world_.options.credit - busy : 0;
  // A handshake: it arrives, or there is no socket.
  world_.scheduler.after(world_.faults.up_to(world_.options.network_us),
                         [=, boot = socket.boot, id = socket.id, offered = tasks()] {
                           if (node->boot() != boot) return;
                           node->worker_joined(id, tenant, offered, credit, reclaim);
                         });
}

// All but the rare one, which only some do.
std::vector<std::string> Worker::tasks() const {
  std::vector<std::string> names;
  for (const vm::TaskInfo& task : world_.programs.program().tasks) {
    if (task.name != "rare" || index_ % 3 == 1) names.push_back(task.name);
  }
  return names;
}

void Worker::lose_socket(std::size_t index) {
  Socket& socket = sockets_[index];
  Node* node = world_.nodes[index].get();
  world_.scheduler.after(random_.between(0, kSecond), [node, socket] {
    if (node->up() && node->boot() == socket.boot) node->worker_left(socket.id);
  });
  socket.boot = 0;
}

unsigned Worker::jobs_of(std::size_t node) const {
  return static_cast<unsigned>(std::count_if(
      jobs_.begin(), jobs_.end(), [node](const auto& job) { return job.second.node == node; }));
}

void Worker::give_credit(std::size_t index) {
  const Socket socket = sockets_[index];
  if (socket.boot == 0) return;
  const unsigned busy = jobs_of(index);
  const unsigned credit = world_.options.credit > busy ? world_.options.credit - busy : 0;
  Node* node = world_.nodes[index].get();
  world_.transmit([node, socket, credit] {
    if (node->up() && node->boot() == socket.boot) node->worker_credit(socket.id, credit);
  });
}

void Worker::die() {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (sockets_[i].boot != 0) lose_socket(i);
  }
  jobs_.clear();
}

// ---- work

void Worker::handed(World& world, const TaskFrame& frame) {
  std::size_t node = 0;
  if (Worker* worker = of(world, frame.worker, node)) worker->begin(node, frame);
}

void Worker::cancelled(World& world, core::WorkerId id, const core::AttemptKey& key,
                       std::uint64_t nonce) {
  std::size_t node = 0;
  Worker* worker = of(world, id, node);
  if (!worker) return;
  std::erase_if(worker->jobs_, [&](const auto& job) {
    return job.second.frame.lease.key == key && job.second.frame.lease.nonce == nonce;
  });
}

void Worker::begin(std::size_t node, const TaskFrame& frame) {
  for (const auto& [number, job] : jobs_) {
    // A frame that came twice.
    if (job.frame.lease.key == frame.lease.key && job.frame.lease.nonce == frame.lease.nonce) {
      return;
    }
  }
  if (world_.faults.strikes(world_.options.worker_crash)) return die();
  const std::uint64_t number = next_job_++;
  Job& job = jobs_[number];
  job.frame = frame;
  job.node = node;
  job.hangs = world_.faults.strikes(world_.options.worker_hangs);
  job.renews = !job.hangs || random_.chance(500);
  work(number);
  renew(number);
  if (world_.faults.strikes(world_.options.worker_leaves)) lose_socket(node);
}

void Worker::work(std::uint64_t number) {
  TimeUs takes = random_.between(0, world_.options.work_us);
  if (jobs_.at(number).hangs) takes = 12 * kSecond;
  if (world_.faults.strikes(world_.options.worker_lies)) takes += random_.between(0, 5 * kSecond);
  world_.scheduler.after(takes, [this, number] { finish(number); });
  if (!jobs_.at(number).frame.stream || random_.chance(200)) return;
  world_.scheduler.after(random_.between(0, takes), [this, number] { speak(number); });
}

void Worker::speak(std::uint64_t number) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  const dispatch::LeaseName& lease = found->second.frame.lease;
  Node* node = world_.owner(lease.key.partition);
  if (node == nullptr) return;
  world_.transmit([node, boot = node->boot(), lease] {
    if (node->up() && node->boot() == boot) node->worker_speaks(lease);
  });
}

void Worker::renew(std::uint64_t number) {
  const Job& job = jobs_.at(number);
  const TimeUs third = job.frame.lease_ms * kMs / 3;
  world_.scheduler.after(third, [this, number] {
    const auto found = jobs_.find(number);
    if (found == jobs_.end() || !found->second.renews) return;
    // At whichever node owns the attempt now.
    Node* node = world_.owner(found->second.frame.lease.key.partition);
    for (std::size_t i = 0; node && i < sockets_.size(); ++i) {
      if (world_.nodes[i].get() != node || sockets_[i].boot != node->boot()) continue;
      world_.transmit([node, socket = sockets_[i], lease = found->second.frame.lease] {
        if (node->up() && node->boot() == socket.boot) node->worker_renew(socket.id, lease);
      });
    }
    renew(number);
  });
}

void Worker::finish(std::uint64_t number) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  Job& job = found->second;
  job.report = make_report(job.frame);
  report(number);
}

core::Record Worker::make_report(const TaskFrame& frame) {
  const core::AttemptKey& key = frame.lease.key;
  core::Failed failed{key.run,           key.step,         key.attempt, frame.lease.opened,
                      frame.args_digest, frame.lease.nonce};
  // Undoing has to work in the end, or the run ends with a dead letter.
  if (frame.task != "refund" && world_.faults.strikes(world_.options.worker_fails)) {
    const bool begun = random_.chance(300);
    failed.kind = begun ? vm::failure_kind::kRejected : vm::failure_kind::kUnavailable;
    failed.message = "as planned";
    failed.retry = !begun;
    failed.retry_after_ms = random_.chance(300) ? 200 : 0;
    return core::make_record(frame.tenant, failed);
  }
  if (world_.faults.strikes(world_.options.worker_lies) && random_.chance(300)) {
    failed.kind = vm::failure_kind::kInvalid;
    failed.message = "a result of the wrong type";
    return core::make_record(frame.tenant, failed);
  }
  core::Done done{key.run,           key.step,         key.attempt, frame.lease.opened,
                  frame.args_digest, frame.lease.nonce};
  const std::string result =
      vm::encode_value(vm::Value::string(task_result(frame.task, argument(frame.args_json))));
  done.result = result;
  return core::make_record(frame.tenant, done);
}

void Worker::report(std::uint64_t number) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  const Job& job = found->second;
  const core::PartitionId partition = job.frame.lease.key.partition;
  world_.send({partition, *job.report, {kToWorker, index_, number}});
  if (world_.faults.strikes(world_.options.worker_lies)) {
    // Once more, much later, when another attempt may be open.
    world_.scheduler.after(random_.between(0, 8 * kSecond), [this, partition, copy = *job.report] {
      world_.send({partition, copy, {kToWorker, index_, 0}});
    });
  }
  world_.scheduler.after(kReportWait, [this, number] { report(number); });
}

void Worker::answered(std::uint64_t token, const core::Effect& effect) {
  const auto found = jobs_.find(token);
  if (found == jobs_.end()) return;
  if (!std::holds_alternative<core::Settled>(effect) &&
      !std::holds_alternative<core::Stale>(effect)) {
    return;
  }
  const std::size_t node = found->second.node;
  jobs_.erase(found);
  give_credit(node);
}

}  // namespace sluice::sim
