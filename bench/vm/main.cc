// bench_vm: the same programs in Lua 5.4 and as flows, side by side.
//
//   bench_vm                 a table: CPU time of both, how many times Lua's speed ours is
//   bench_vm --json          the same as JSON
//   bench_vm --check         runs each once with little work and compares the answers
//   bench_vm --assert        fails if the bars are missed
#include <fmt/format.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "bench/vm/sides.hpp"

namespace sluice::bench {
namespace {

// How often Lua's speed ours is to be, at least.
constexpr double kMeanBar = 1.3;
constexpr double kEachBar = 0.9;

struct Program {
  const char* name;
  std::int64_t n;  // work of one run: within one activation's fuel
};
constexpr Program kPrograms[] = {
    {"loops", 2000},  {"arithmetic", 50000},  {"floats", 50000},  {"text", 5000},
    {"lists", 10000}, {"maps", 40},           {"records", 20000}, {"updates", 50000},
    {"sort", 5000},   {"comprehension", 400}, {"match", 30000},   {"prompt", 2000},
    {"encode", 2000}, {"decode", 500},
};

struct Options {
  std::string programs = SLUICE_SOURCE_DIR "/bench/vm/programs";
  std::string only;
  int samples = 21;
  double sample_ms = 10;
  bool json = false, check = false, assert_bars = false;
};

struct Row {
  std::string name;
  double flow_us = 0, lua_us = 0;  // medians of one run
  double ratio = 0;                // median over samples of Lua's time by ours
};

// Words as they occur in texts: few often, many seldom.
std::string words() {
  std::string text;
  std::uint32_t state = 1;
  for (int i = 0; i < 500; ++i) {
    state = state * 1664525 + 1013904223;
    const std::uint32_t r = state >> 16;
    if (i > 0) text += ' ';
    text += fmt::format("word{}", r % 3 == 0 ? r / 3 % 8 : r % 200);
  }
  return text;
}

/// CPU time of this thread: what else the machine does is not counted.
double now_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

/// Time of one run, over `runs` of them.
double sample_us(Side& side, const Input& input, int runs) {
  const double begin = now_us();
  for (int i = 0; i < runs; ++i) side.run(input);
  return (now_us() - begin) / runs;
}

int runs_for(Side& side, const Input& input, double sample_ms) {
  side.run(input);
  const double us = std::max(1.0, sample_us(side, input, 1));
  return std::max(1, static_cast<int>(sample_ms * 1000 / us));
}

void compare(const Program& program, Side& flow, Side& lua, const Input& input) {
  const std::string ours = flow.run(input), theirs = lua.run(input);
  if (ours == theirs) return;
  throw std::runtime_error(
      fmt::format("{}: the answers differ\n  flow: {}\n  lua:  {}", program.name, ours, theirs));
}

Row measure(const Program& program, Side& flow, Side& lua, const Input& input,
            const Options& options) {
  const int flow_runs = runs_for(flow, input, options.sample_ms);
  const int lua_runs = runs_for(lua, input, options.sample_ms);
  std::vector<double> ours, theirs, ratios;
  for (int i = 0; i < options.samples; ++i) {
    // In turn, so that what the machine does meets both.
    ours.push_back(sample_us(flow, input, flow_runs));
    theirs.push_back(sample_us(lua, input, lua_runs));
    ratios.push_back(theirs.back() / ours.back());
  }
  return {program.name, median(ours), median(theirs), median(ratios)};
}

double geometric_mean(const std::vector<Row>& rows) {
  double sum = 0;
  for (const Row& row : rows) sum += std::log(row.ratio);
  return std::exp(sum / static_cast<double>(rows.size()));
}

void print_table(const std::vector<Row>& rows) {
  fmt::print("| program | flow us | Lua 5.4 us | times Lua's speed |\n| --- | --- | --- | --- |\n");
  for (const Row& row : rows) {
    fmt::print("| {} | {:.1f} | {:.1f} | {:.2f} |\n", row.name, row.flow_us, row.lua_us, row.ratio);
  }
  fmt::print("| geometric mean | | | {:.2f} |\n", geometric_mean(rows));
}

void print_json(const std::vector<Row>& rows) {
  fmt::print("{{\"programs\":[");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    fmt::print("{}{{\"name\":\"{}\",\"flow_us\":{:.3f},\"lua_us\":{:.3f},\"ratio\":{:.4f}}}",
               i > 0 ? "," : "", rows[i].name, rows[i].flow_us, rows[i].lua_us, rows[i].ratio);
  }
  fmt::print("],\"geometric_mean\":{:.4f}}}\n", geometric_mean(rows));
}

bool meets_bars(const std::vector<Row>& rows) {
  bool met = geometric_mean(rows) >= kMeanBar;
  for (const Row& row : rows) met = met && row.ratio >= kEachBar;
  if (!met)
    fmt::print(stderr, "the bars ({} in the mean, {} each) are missed\n", kMeanBar, kEachBar);
  return met;
}

int run(const Options& options) {
  const std::string text = words();
  std::vector<Row> rows;
  for (const Program& program : kPrograms) {
    if (!options.only.empty() && options.only != program.name) continue;
    const std::string file = options.programs + "/" + program.name;
    auto flow = flow_side(file + ".flow");
    auto lua = lua_side(file + ".lua");
    compare(program, *flow, *lua, {std::min<std::int64_t>(program.n, 60), text});
    if (options.check) continue;
    const Input input{program.n, text};
    compare(program, *flow, *lua, input);
    rows.push_back(measure(program, *flow, *lua, input, options));
  }
  if (options.check) {
    fmt::print("{} programs agree\n", std::size(kPrograms));
    return 0;
  }
  if (rows.empty()) throw std::runtime_error("there is no program `" + options.only + "`");
  options.json ? print_json(rows) : print_table(rows);
  return options.assert_bars && !meets_bars(rows) ? 1 : 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Options options;
  CLI::App app("The same programs in Lua 5.4 and as flows");
  app.add_option("--only", options.only, "one program by its name");
  app.add_option("--samples", options.samples, "samples of each side")->check(CLI::Range(1, 10000));
  app.add_option("--sample-ms", options.sample_ms, "least CPU time of a sample")
      ->check(CLI::Range(0.1, 10000.0));
  app.add_option("--programs", options.programs, "folder of the programs");
  app.add_flag("--json", options.json, "print JSON");
  app.add_flag("--check", options.check, "only compare the answers");
  app.add_flag("--assert", options.assert_bars, "fail if the bars are missed");
  CLI11_PARSE(app, argc, argv);
  try {
    return sluice::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_vm: {}\n", error.what());
    return 1;
  }
}
