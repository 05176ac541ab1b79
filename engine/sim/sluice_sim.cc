// sluice_sim: runs the simulation for seeds, and says for each that failed how to see it again.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "engine/sim/simulation.hpp"
#include "engine/sim/workload_program.hpp"

namespace {

using namespace sluice::sim;

constexpr int kUsage = 2;
constexpr int kCrash = 127;
constexpr int kLiveness = 128;
constexpr int kCorrectness = 129;

constexpr std::string_view kHelp =
    R"(usage: sluice_sim [--seed N] [--runs K] [--plant BUG] [--crash-at AWAIT] [--trace] [--json]

Runs the production partition and dispatcher in virtual time, with a model of the journal, clients,
workers and faults that are drawn from the seed, and checks the engine's invariants. A run is a
function of its seed: each seed that fails is printed with the command that shows it again.

  --seed N       the first seed (default 1)
  --runs K       so many seeds from there on (default 1)
  --plant BUG    puts a known bug in, to see that it is found; `--plant list` names them
  --crash-at N   a node dies at the N-th await of the run, and nothing else changes
  --trace        prints what happened
  --json         one JSON object per run

exit code: 0 all held, 2 wrong usage, 127 crash, 128 liveness, 129 correctness
)";

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;
  std::uint64_t crash_at = 0;
  std::optional<Plant> plant;
  bool trace = false;
  bool json = false;
};

[[noreturn]] void usage(const std::string& problem) {
  fmt::print(stderr, "sluice_sim: {}\n{}", problem, kHelp);
  std::exit(kUsage);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    usage(fmt::format("`{}` is no number", text));
  }
  return value;
}

Plant plant(std::string_view name) {
  if (name == "list") {
    for (unsigned i = 1; i < kPlants; ++i) {
      fmt::print("{}\n", plant_name(static_cast<Plant>(i)));
    }
    std::exit(0);
  }
  const auto found = parse_plant(name);
  if (!found) usage(fmt::format("there is no bug `{}` to plant", name));
  return *found;
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto value = [&]() -> std::string_view {
      if (++i == argc) usage(fmt::format("`{}` needs a value", flag));
      return argv[i];
    };
    if (flag == "--help" || flag == "-h") {
      fmt::print("{}", kHelp);
      std::exit(0);
    } else if (flag == "--seed") {
      arguments.seed = number(value());
    } else if (flag == "--runs") {
      arguments.runs = number(value());
    } else if (flag == "--crash-at") {
      arguments.crash_at = number(value());
    } else if (flag == "--plant") {
      arguments.plant = plant(value());
    } else if (flag == "--trace") {
      arguments.trace = true;
    } else if (flag == "--json") {
      arguments.json = true;
    } else {
      usage(fmt::format("there is no flag `{}`", flag));
    }
  }
  return arguments;
}

std::string command(const Arguments& arguments, std::uint64_t seed) {
  std::string text = fmt::format("sluice_sim --seed {} --runs 1 --trace", seed);
  if (arguments.plant) text += fmt::format(" --plant {}", plant_name(*arguments.plant));
  if (arguments.crash_at) text += fmt::format(" --crash-at {}", arguments.crash_at);
  return text;
}

// What to say if the process dies in the middle of a run: no memory may be touched by then.
char last_words[512];

void on_signal(int) {
  const auto written = write(STDERR_FILENO, last_words, std::strlen(last_words));
  _exit(written < 0 ? kCrash : kCrash);
}

void watch_for_crash(const std::string& how) {
  const std::string words = fmt::format("crash; again with: {}\n", how);
  std::memcpy(last_words, words.data(), std::min(words.size(), sizeof(last_words) - 1));
  last_words[std::min(words.size(), sizeof(last_words) - 1)] = 0;
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) {
    std::signal(signal, on_signal);
  }
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

void print_json(std::uint64_t seed, const Outcome& outcome) {
  std::string violations;
  for (const Violation& violation : outcome.violations) {
    violations += fmt::format("{}{{\"invariant\":{},\"liveness\":{},\"text\":{}}}",
                              violations.empty() ? "" : ",", violation.invariant,
                              violation.liveness, quoted(violation.text));
  }
  fmt::print(
      "{{\"seed\":{},\"virtual_us\":{},\"steps\":{},\"awaits\":{},\"records\":{},"
      "\"takeovers\":{},\"checkpoints\":{},\"digest\":\"{}\",\"planted\":{},"
      "\"violations\":[{}]}}\n",
      seed, outcome.virtual_us, outcome.steps, outcome.awaits, outcome.records, outcome.takeovers,
      outcome.checkpoints, outcome.digest, outcome.planted, violations);
}

int run(const Arguments& arguments) {
  const auto program = workload_program();
  int code = 0;
  std::uint64_t records = 0;
  for (std::uint64_t seed = arguments.seed; seed - arguments.seed < arguments.runs; ++seed) {
    const std::string how = command(arguments, seed);
    watch_for_crash(how);
    Options options = draw_options(seed);
    if (arguments.plant) options.plant = *arguments.plant;
    options.crash_at = arguments.crash_at;
    if (!arguments.json && (arguments.runs == 1 || arguments.trace)) {
      fmt::print("seed {}: {}\n", seed, describe(options));
      std::fflush(stdout);
    }
    const Outcome outcome = simulate(options, program, arguments.trace);
    records += outcome.records;
    if (arguments.trace) fmt::print("{}", outcome.trace);
    if (arguments.json) print_json(seed, outcome);
    for (const Violation& violation : outcome.violations) {
      fmt::print(stderr, "seed {}: {}\n", seed, describe(violation));
      code = std::max(code, violation.liveness ? kLiveness : kCorrectness);
    }
    if (!outcome.violations.empty()) fmt::print(stderr, "again with: {}\n", how);
    if (!arguments.json && arguments.runs == 1) {
      fmt::print(
          "{:.1f} s of virtual time, {} steps, {} records, {} takeovers, {} checkpoints, "
          "digest {}\n",
          static_cast<double>(outcome.virtual_us) / 1e6, outcome.steps, outcome.records,
          outcome.takeovers, outcome.checkpoints, outcome.digest);
    }
  }
  if (!arguments.json && arguments.runs > 1) {
    fmt::print("{} runs from seed {}, {} records: {}\n", arguments.runs, arguments.seed, records,
               code == 0 ? "all held" : "NOT all held");
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}crash: {}\n", last_words, error.what());
    return kCrash;
  }
}
