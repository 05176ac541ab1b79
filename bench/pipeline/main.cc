// bench_pipeline: load on an engine through its public protocols. bench/pipeline/run starts
// everything around it.
//
//   bench_pipeline load     …  closed loop at several depths, then an open loop; prints a table
//   bench_pipeline worker   …  the worker, as a process of its own (`load` starts one by itself)
//   bench_pipeline recover  …  kills flowd with runs in flight, and measures its return
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "bench/pipeline/load.hpp"
#include "bench/pipeline/process.hpp"
#include "bench/pipeline/recovery.hpp"
#include "bench/pipeline/worker.hpp"

namespace sluice::bench {
namespace {

constexpr int kUnreachable = 3;
constexpr int kFailed = 1;

struct LoadCommand {
  std::string url, tokens_file, worker_token, json_file, wal_command, label = "sluice";
  std::vector<std::uint32_t> in_flight = {1, 64, 256, 1024};
  double rate = 0, seconds = 15, warmup = 3;
  std::uint32_t clients_max = 64;
  std::uint64_t credit = 2048;
  pid_t flowd = 0, postgres = 0;
};

/// What the processes have used at one moment.
struct Sample {
  TreeUsage flowd, postgres, generator, worker;
  MachineUsage machine;
  std::uint64_t wal_bytes = 0;
};

Sample sample(const LoadCommand& command, pid_t worker) {
  Sample taken;
  taken.worker = usage_of_tree(worker);
  taken.generator = usage_of_tree(getpid(), worker);
  if (command.flowd > 0) taken.flowd = usage_of_tree(command.flowd, command.postgres);
  if (command.postgres > 0) taken.postgres = usage_of_tree(command.postgres);
  taken.machine = machine_usage();
  if (!command.wal_command.empty()) {
    taken.wal_bytes = std::strtoull(output_of(command.wal_command).c_str(), nullptr, 10);
  }
  return taken;
}

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

void print_head() {
  fmt::print("{:>14} {:>8} {:>8} {:>8} {:>8} {:>8} | {:^31} | {:>8} {:>8} {:>6} {:>5}\n", "", "",
             "", "send to", "delivery", "ms", "CPU-s per 1000 workflows", "WAL B", "disk B",
             "flowd", "");
  fmt::print(
      "{:>14} {:>8} {:>8} {:>8} {:>8} {:>8} | {:>7} {:>7} {:>7} {:>7} | {:>8} {:>8} {:>6} {:>5}\n",
      "in flight", "wf/s", "steps/s", "p50", "p99", "p99.9", "flowd", "PG", "gen", "worker",
      "per wf", "per wf", "MB", "steal");
}

/// One row of the table, and the same as one line of JSON.
std::string report(const LoadCommand& command, const std::string& name, const LoadResult& result,
                   const Sample& before, const Sample& after) {
  const double jobs = std::max<double>(1, static_cast<double>(result.jobs));
  const auto cpu = [&](const TreeUsage& from, const TreeUsage& to) {
    return (to.cpu_seconds - from.cpu_seconds) / jobs * 1000;
  };
  const double per_second = static_cast<double>(result.jobs) / result.seconds;
  const double wal = static_cast<double>(after.wal_bytes - before.wal_bytes) / jobs;
  const double disk =
      static_cast<double>(after.postgres.written_bytes - before.postgres.written_bytes) / jobs;
  const double memory = static_cast<double>(peak_memory(command.flowd)) / 1e6;
  const double stolen = after.machine.stolen_seconds - before.machine.stolen_seconds;
  fmt::print(
      "{:>14} {:>8.0f} {:>8.0f} {:>8.3f} {:>8.3f} {:>8.3f} | {:>7.3f} {:>7.3f} {:>7.3f} {:>7.3f} |"
      " {:>8.0f} {:>8.0f} {:>6.0f} {:>4.0f}%\n",
      name, per_second, per_second * 4, result.p50_ms, result.p99_ms, result.p999_ms,
      cpu(before.flowd, after.flowd), cpu(before.postgres, after.postgres),
      cpu(before.generator, after.generator), cpu(before.worker, after.worker), wal, disk, memory,
      stolen / result.seconds * 100);
  std::fflush(stdout);
  return fmt::format(
      R"({{"label":"{}","load":"{}","workflows":{},"seconds":{},"workflows_per_s":{:.1f},)"
      R"("steps_per_s":{:.1f},"p50_ms":{:.3f},"p99_ms":{:.3f},"p999_ms":{:.3f},"max_ms":{:.3f},)"
      R"("cpu_s_per_1000":{{"flowd":{:.4f},"postgres":{:.4f},"generator":{:.4f},"worker":{:.4f}}},)"
      R"("wal_bytes_per_workflow":{:.0f},"disk_bytes_per_workflow":{:.0f},"flowd_peak_mb":{:.1f},)"
      R"("idle_cores":{:.2f},"stolen_cores":{:.2f},"refused":{},"wrong":{},"doubled":{},)"
      R"("missing":{}}})",
      command.label, name, result.jobs, result.seconds, per_second, per_second * 4, result.p50_ms,
      result.p99_ms, result.p999_ms, result.max_ms, cpu(before.flowd, after.flowd),
      cpu(before.postgres, after.postgres), cpu(before.generator, after.generator),
      cpu(before.worker, after.worker), wal, disk, memory,
      (after.machine.idle_seconds - before.machine.idle_seconds) / result.seconds,
      stolen / result.seconds, result.faults.refused, result.faults.wrong, result.faults.doubled,
      result.missing);
}

/// Runs one load and reports it; the exit code.
int measure(const LoadCommand& command, const LoadOptions& options, const std::string& name,
            pid_t worker) {
  // Taken beside the load, which must not wait for /proc or for psql.
  std::future<Sample> before, after;
  const auto take = [&] { return std::async(std::launch::async, sample, command, worker); };
  const Window window{[&] { before = take(); }, [&] { after = take(); }};
  const auto result = run_load(options, window);
  if (!result) {
    fmt::print(stderr, "{}: {}\n", name, result.error());
    return kUnreachable;
  }
  const std::string json = report(command, name, *result, before.get(), after.get());
  if (!command.json_file.empty()) std::ofstream(command.json_file, std::ios::app) << json << '\n';
  const Faults& faults = result->faults;
  if (faults.refused > 0) fmt::print("  {} sends were refused for a while\n", faults.refused);
  if (faults.wrong + faults.doubled + result->missing == 0) return 0;
  fmt::print(stderr, "{}: {} wrong, {} doubled, {} missing; first: {}\n", name, faults.wrong,
             faults.doubled, result->missing, faults.first);
  return kFailed;
}

int run_loads(const LoadCommand& command, const char* self) {
  const std::vector<std::string> tokens = read_lines(command.tokens_file);
  if (tokens.empty()) {
    fmt::print(stderr, "{} holds no token\n", command.tokens_file);
    return 2;
  }
  const Started worker =
      start_program({self, "worker", "--url", command.url, "--token", command.worker_token,
                     "--credit", std::to_string(command.credit)});
  if (read_line(worker.output, 15) != "ready") {
    end_program(worker.pid, 1);
    return kUnreachable;
  }
  print_head();
  int code = 0;
  const auto run = [&](std::uint32_t in_flight, double rate, const std::string& name) {
    LoadOptions options;
    options.url = command.url;
    const std::size_t clients =
        std::min<std::size_t>({in_flight, command.clients_max, tokens.size()});
    options.tokens.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(clients));
    options.in_flight = in_flight;
    options.rate = rate;
    options.warmup_seconds = command.warmup;
    options.seconds = command.seconds;
    code = std::max(code, measure(command, options, name, worker.pid));
  };
  for (const std::uint32_t in_flight : command.in_flight) {
    run(in_flight, 0, std::to_string(in_flight));
  }
  constexpr std::uint32_t kOpenLoopSlots = 16384;
  if (command.rate > 0)
    run(kOpenLoopSlots, command.rate, fmt::format("open {:.0f}/s", command.rate));
  end_program(worker.pid, 5);
  return code;
}

int recover(const RecoveryOptions& options, const std::string& json_file) {
  const auto result = run_recovery(options);
  if (!result) {
    fmt::print(stderr, "recover: {}\n", result.error());
    return kFailed;
  }
  fmt::print(
      "kill -9 of flowd with {} runs in flight; seconds from the start of the new process:\n"
      "  serves {:.3f}   every task offered again {:.3f}   every run answered {:.3f}\n",
      options.runs, result->ready, result->offered, result->answered);
  if (!json_file.empty()) {
    std::ofstream(json_file, std::ios::app) << fmt::format(
        R"({{"load":"recovery","runs":{},"ready_s":{:.3f},"offered_s":{:.3f},"answered_s":{:.3f},)"
        R"("wrong":{},"doubled":{}}})"
        "\n",
        options.runs, result->ready, result->offered, result->answered, result->wrong,
        result->doubled);
  }
  if (result->wrong + result->doubled == 0) return 0;
  fmt::print(stderr, "{} wrong, {} doubled\n", result->wrong, result->doubled);
  return kFailed;
}

void add_load(CLI::App& app, LoadCommand& load) {
  auto* command = app.add_subcommand("load", "closed loop at each depth, then an open loop");
  command->add_option("--url", load.url)->required();
  command->add_option("--tokens", load.tokens_file, "file with one client's token a line")
      ->required();
  command->add_option("--worker-token", load.worker_token)->required();
  command->add_option("--in-flight", load.in_flight, "depths of the closed loop");
  command->add_option("--rate", load.rate, "workflows a second of the open loop; 0: none");
  command->add_option("--seconds", load.seconds, "length of each measured window");
  command->add_option("--warmup", load.warmup, "seconds before each window");
  command->add_option("--clients", load.clients_max, "most client sockets");
  command->add_option("--credit", load.credit, "the worker's credit");
  command->add_option("--flowd-pid", load.flowd);
  command->add_option("--postgres-pid", load.postgres);
  command->add_option("--wal-command", load.wal_command, "prints the bytes of WAL written so far");
  command->add_option("--json", load.json_file, "one line of JSON per load is appended here");
  command->add_option("--label", load.label);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  signal(SIGPIPE, SIG_IGN);
  CLI::App app("load on a Sluice engine");
  app.require_subcommand(1);
  LoadCommand load;
  add_load(app, load);

  WorkerOptions worker;
  auto* worker_command = app.add_subcommand("worker", "answers every task at once");
  worker_command->add_option("--url", worker.url)->required();
  worker_command->add_option("--token", worker.token)->required();
  worker_command->add_option("--credit", worker.credit);

  RecoveryOptions recovery;
  std::string recovery_tokens, recovery_json;
  auto* recover_command = app.add_subcommand("recover", "kills flowd and measures its return");
  recover_command->add_option("--url", recovery.url)->required();
  recover_command->add_option("--tokens", recovery_tokens)->required();
  recover_command->add_option("--worker-token", recovery.worker_token)->required();
  recover_command->add_option("--runs", recovery.runs);
  recover_command->add_option("--flowd-pid", recovery.flowd)->required();
  recover_command->add_option("--json", recovery_json);
  recover_command->add_option("command", recovery.flowd_command, "how to start flowd again")
      ->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (worker_command->parsed()) return run_worker(worker);
  if (recover_command->parsed()) {
    recovery.client_tokens = read_lines(recovery_tokens);
    return recover(recovery, recovery_json);
  }
  return run_loads(load, argv[0]);
}
