// What compiling costs: the examples, and programs of a thousand and of fifty thousand lines.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "compiler/compile.hpp"

namespace {

using sluice::compiler::CompileResult;
using sluice::compiler::Diagnostics;
using sluice::compiler::SourceSet;

using Files = std::vector<std::pair<std::string, std::string>>;

// 34 lines.
constexpr const char* kPiece = R"(
record Part{0} {{
  text: string
  score: float = 0.5
}}
event Ask{0} {{
  text: string where len(text) in 1..4000
  parts: [Part{0}] = []
}}
event Answer{0} {{ text: string, best: Part{0}? }}
event Failed{0} {{ reason: string }}
topic asks{0} of Ask{0} {{ order by client }}
task look{0}(text: string) -> [Part{0}] {{ timeout 2s  idempotent }}
fn best{0}(parts: [Part{0}]) -> [string] =
  [p.text for p in parts if p.score > 0.5 and p.text != ""]
flow answer{0}(ask: Ask{0}) -> Answer{0} or Failed{0}
  on asks{0}
  timeout 30s
{{
  step found = look{0}("${{ask.text}} ${{len(ask.parts)}}") {{
    fallback ask.parts
  }}
  let words = best{0}(found)
  if len(words) == 0 {{
    return Answer{0} {{ text: "nothing" }}
  }}
  return Answer{0} {{
    text: join(words, ", "),
    best: first(found)
  }}
}}
on failure (why) {{
  return Failed{0} {{ reason: why.message }}
}}
)";

Files generated(int modules, int pieces) {
  Files files;
  for (int m = 0; m < modules; ++m) {
    std::string text = fmt::format("module m{}\n", m);
    for (int p = 0; p < pieces; ++p) {
      text += fmt::format(fmt::runtime(kPiece), fmt::format("{}_{}", m, p));
    }
    files.emplace_back(fmt::format("m{}.flow", m), std::move(text));
  }
  return files;
}

void compile_files(benchmark::State& state, const Files& files) {
  std::size_t lines = 0;
  for (auto _ : state) {
    SourceSet sources;
    for (const auto& [path, text] : files) sources.add(path, text);
    Diagnostics diagnostics;
    const CompileResult result = sluice::compiler::compile(sources, diagnostics);
    if (!result.artifact) state.SkipWithError("the program does not compile");
    benchmark::DoNotOptimize(result.artifact);
  }
  for (const auto& [path, text] : files) {
    lines += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  state.counters["lines"] = static_cast<double>(lines);
  state.counters["lines/s"] = benchmark::Counter(static_cast<double>(lines * state.iterations()),
                                                 benchmark::Counter::kIsRate);
}

void BM_compile_support_example(benchmark::State& state) {
  Files files;
  const auto folder = std::filesystem::path(SLUICE_SOURCE_DIR) / "examples/support";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".flow") continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    files.emplace_back(entry.path().filename().string(), text.str());
  }
  compile_files(state, files);
}
BENCHMARK(BM_compile_support_example)->Unit(benchmark::kMillisecond);

void BM_compile_1000_lines(benchmark::State& state) {
  compile_files(state, generated(1, 29));
}
BENCHMARK(BM_compile_1000_lines)->Unit(benchmark::kMillisecond);

void BM_compile_50000_lines(benchmark::State& state) {
  compile_files(state, generated(50, 29));
}
BENCHMARK(BM_compile_50000_lines)->Unit(benchmark::kMillisecond);

}  // namespace
