// How fast a node is without sockets: events in, tasks out, reports in, deliveries out, in one
// process, against a given PostgreSQL.
//
// With NODE_BENCH_CRASH set it ends without a stop, so that the next start tells what a recovery
// costs.
//
// usage: node_bench CONNECTION [in_flight=256] [seconds=5] [partitions=8] [threads=1]
//                   [checkpoint_records]
//
// Prints workflows/s, latency from publish to delivery, CPU of this process and, where it can be
// seen, of PostgreSQL. Each workflow is one event and four idempotent steps: five records and a
// delivery.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <thread>

#include "engine/journal/database.hpp"
#include "engine/node/node.hpp"
#include "tests/core/programs.hpp"

namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;

struct Mailbox : node::Outbox {
  void emit(unsigned, std::vector<node::Outgoing>&& messages) override {
    const std::lock_guard lock(mutex);
    if (queue.empty()) {
      queue = std::move(messages);
    } else {
      std::move(messages.begin(), messages.end(), std::back_inserter(queue));
    }
    wakes.notify_one();
  }
  bool take(std::vector<node::Outgoing>& out, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex);
    wakes.wait_for(lock, patience, [&] { return !queue.empty(); });
    std::swap(out, queue);
    queue.clear();
    return !out.empty();
  }
  std::mutex mutex;
  std::condition_variable wakes;
  std::vector<node::Outgoing> queue;
};

double process_cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// All processes of the server that `backend` belongs to, from the kernel's counters.
double server_cpu(int backend) {
  const auto parent_of = [](const std::string& pid) {
    std::ifstream in("/proc/" + pid + "/stat");
    std::string line;
    std::getline(in, line);
    const auto at = line.rfind(')');
    if (at == std::string::npos) return 0;
    return std::atoi(line.c_str() + line.find(' ', at + 2));
  };
  const auto cpu_of = [](const std::string& pid) {
    std::ifstream in("/proc/" + pid + "/schedstat");
    double ns = 0;
    in >> ns;
    return ns / 1e9;
  };
  const int postmaster = parent_of(std::to_string(backend));
  double total = cpu_of(std::to_string(postmaster));
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (parent_of(name) == postmaster) total += cpu_of(name);
  }
  return total;
}

class Load {
 public:
  Load(node::Node& node, Mailbox& mailbox, int in_flight)
      : node_(node), mailbox_(mailbox), began_(static_cast<std::size_t>(in_flight)) {}

  void run(double seconds) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < began_.size(); ++i) publish(i);
    std::vector<node::Outgoing> messages;
    while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
      if (!mailbox_.take(messages, std::chrono::milliseconds(100))) continue;
      for (auto& message : messages) take(message);
      messages.clear();
    }
  }

  std::uint64_t done = 0;
  std::uint64_t refused = 0;
  std::vector<double> latencies_ms;

 private:
  void publish(std::size_t client) {
    node::PublishRequest request;
    request.tenant = "bench";
    request.client = "c" + std::to_string(client);
    request.deployment = 1;
    request.id = fmt::format("{}-{}-{}", session_, client, ++sent_);
    request.order_key = request.client;
    request.data = data_;
    request.reply = {0, 1, client};
    began_[client] = Clock::now();
    if (node_.publish(std::move(request))) ++refused;
  }
  void take(node::Outgoing& message) {
    if (auto* task = std::get_if<node::TaskFrame>(&message)) {
      const auto lease = node_.lease(task->lease);
      (void)node_.report({*lease, node::ReportDone{result_}, {0, 2, ++reports_}});
    } else if (auto* delivery = std::get_if<node::Delivery>(&message)) {
      const auto client = static_cast<std::size_t>(std::atoi(delivery->client.c_str() + 1));
      ++done;
      latencies_ms.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - began_[client]).count());
      publish(client);
    } else if (std::holds_alternative<node::Rejected>(message)) {
      ++refused;
    }
  }

  node::Node& node_;
  Mailbox& mailbox_;
  std::vector<Clock::time_point> began_;
  const long long session_ = Clock::now().time_since_epoch().count();  // ids are never reused
  std::uint64_t sent_ = 0;
  std::uint64_t reports_ = 0;
  const std::string data_ = core::test::ask(std::string(200, 'x'));
  const std::string result_ = core::test::text_value(std::string(100, 'y'));
};

template <typename T, typename Call>
T await(Call call) {
  std::mutex mutex;
  std::condition_variable done;
  std::optional<T> answer;
  call([&](tl::expected<T, node::Refusal> value) {
    const std::lock_guard lock(mutex);
    if (!value) {
      fmt::print(stderr, "{}\n", value.error().message);
      std::exit(1);
    }
    answer = std::move(*value);
    done.notify_all();
  });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return answer.has_value(); });
  return std::move(*answer);
}

// Deploys the pipeline, attaches the clients, and lets one worker in.
void set_up(node::Node& node, int in_flight) {
  core::test::Pipeline pipeline;
  for (auto& step : pipeline.steps) step.policies.idempotent = true;
  (void)await<node::Deployed>([&](auto done) {
    node.deploy(vm::encode_artifact(core::test::make_program(pipeline)), false, done);
  });
  for (int i = 0; i < in_flight; ++i) {
    node::AttachRequest request;
    request.tenant = "bench";
    request.client = "c" + std::to_string(i);
    request.session = "s";
    (void)await<node::Attached>([&](auto done) { node.attach(request, done); });
  }
  node::WorkerHello hello;
  hello.worker = node::WorkerId{1};
  hello.tenant = "*";
  hello.tasks = {"t1", "t2", "t3", "t4"};
  hello.credit = 10'000;
  node.worker_joined(hello);
}

double percentile(std::vector<double>& values, double p) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(p * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr,
               "usage: node_bench CONNECTION [in_flight] [seconds] [partitions] [threads]\n");
    return 2;
  }
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const int in_flight = number(2, 256);
  const double seconds = number(3, 5);
  node::NodeConfig config;
  config.database = argv[1];
  config.partitions = static_cast<unsigned>(number(4, 8));
  config.apply_threads = static_cast<unsigned>(number(5, 1));
  if (argc > 6) config.checkpoint_records = static_cast<std::uint64_t>(number(6, 0));
  Mailbox mailbox;
  const auto starting = Clock::now();
  auto node = node::Node::start(config, mailbox);
  if (!node) {
    fmt::print(stderr, "{}\n", node.error().message);
    return 3;
  }
  fmt::print("started in {:.1f} ms, {} records folded\n",
             std::chrono::duration<double, std::milli>(Clock::now() - starting).count(),
             (*node)->status().counters.recovered_records);
  set_up(**node, in_flight);
  journal::Database observer(argv[1]);
  auto facts = observer.connect(5000);
  const int backend = facts ? facts->backend_pid : 0;
  Load load(**node, mailbox, in_flight);
  std::jthread credit([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      (*node)->worker_credit(node::WorkerId{1}, 10'000);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const double own = process_cpu();
  const double server = server_cpu(backend);
  const auto before = (*node)->status().counters;
  load.run(seconds);
  const auto after = (*node)->status().counters;
  const double own_used = process_cpu() - own;
  const double server_used = server_cpu(backend) - server;
  const double done = static_cast<double>(load.done);
  const double batches = static_cast<double>(after.batches - before.batches);
  fmt::print(
      "in flight {}: {:.0f} workflows/s, p50 {:.2f} ms, p99 {:.2f} ms, refused {}\n"
      "  CPU per 1000 workflows: node and load {:.3f} s, PostgreSQL {:.3f} s\n"
      "  {:.0f} records per batch, {:.0f} batches/s, {:.0f} us per commit, {} checkpoints\n",
      in_flight, done / seconds, percentile(load.latencies_ms, 0.5),
      percentile(load.latencies_ms, 0.99), load.refused, own_used / done * 1000,
      server_used / done * 1000, static_cast<double>(after.records - before.records) / batches,
      batches / seconds,
      static_cast<double>(after.commit_us_total - before.commit_us_total) / batches,
      after.checkpoints - before.checkpoints);
  credit.request_stop();
  credit.join();
  std::fflush(stdout);
  if (std::getenv("NODE_BENCH_CRASH") != nullptr) std::_Exit(0);  // as kill -9 would
  (*node)->stop();
}
