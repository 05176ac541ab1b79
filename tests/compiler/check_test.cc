#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "compiler/compile.hpp"
#include "tests/compiler/play.hpp"
#include "vm/disasm.hpp"

// What compiling promises beside its findings, which tests/golden has: the same bytes for the same
// sources, the bytecode of small programs, the programs of the language page, and time.
namespace sluice::compiler::testing {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

std::string artifact_of(const Files& files) {
  SourceSet sources;
  for (const auto& [path, text] : files) sources.add(path, text);
  Diagnostics diagnostics;
  const CompileResult result = compile(sources, diagnostics);
  EXPECT_TRUE(result.artifact.has_value()) << findings(files);
  return result.artifact.value_or("");
}

std::string codes_of(const Files& files) {
  std::istringstream lines(findings(files));
  std::string codes;
  std::string line;
  while (std::getline(lines, line)) {
    const std::size_t space = line.find(' ');
    codes += (codes.empty() ? "" : " ") + line.substr(space + 1, 5);
  }
  return codes;
}

const Files kTwoModules = {
    {"orders.flow",
     "module orders\nimport prices\nevent Order { item: string }\n"
     "topic orders of Order {}\ntask ship(item: string, sum: int) { timeout 1s }\n"
     "flow order(o: Order) on orders timeout 1m { step ship(o.item, "
     "prices.price(o.item)) }\n"},
    {"prices.flow",
     "module prices\nimport std.text\nconst least = 5\n"
     "fn price(item: string) -> int = max(least, len(text.words(item)))\n"},
};

TEST(Artifact, does_not_depend_on_the_order_of_files) {
  EXPECT_EQ(artifact_of(kTwoModules), artifact_of({kTwoModules[1], kTwoModules[0]}));
}

TEST(Artifact, is_the_same_each_time) {
  EXPECT_EQ(artifact_of(kTwoModules), artifact_of(kTwoModules));
}

TEST(Artifact, can_leave_lines_out) {
  SourceSet sources;
  for (const auto& [path, text] : kTwoModules) sources.add(path, text);
  Diagnostics diagnostics;
  const auto result = compile(sources, diagnostics, {.debug_lines = false});
  ASSERT_TRUE(result.artifact.has_value());
  EXPECT_LT(result.artifact->size(), artifact_of(kTwoModules).size());
  EXPECT_TRUE(vm::load_artifact(*result.artifact).has_value());
}

// What an engine would refuse is told here, where the author can read it.
TEST(Limits, of_engines_are_kept) {
  std::string chain = "fn f0(n: int) -> int = n\n";
  for (int i = 1; i < 70; ++i) {
    chain += fmt::format("fn f{}(n: int) -> int = f{}(n) + 1\n", i, i - 1);
  }
  EXPECT_EQ(codes_of({{"a.flow", chain}}), "E0321");
  std::string wide = "task t(n: int) -> int { timeout 1s  idempotent }\nflow f() timeout 9m {\n";
  for (int i = 0; i < 300; ++i) wide += fmt::format("  step s{} = t({})\n", i, i);
  std::string sum = "s0";
  for (int i = 1; i < 300; ++i) sum += fmt::format(" + s{}", i);
  EXPECT_EQ(codes_of({{"a.flow", wide + "  step last = t(0) { compensate { step t(" + sum +
                                     ") } unsure { } }\n}\n"}}),
            "E0321");
  const std::string name(100, 'n');
  std::string text = "task t(n: int) -> int { timeout 1s  idempotent }\nflow " + name +
                     "() timeout 1m {\n  parallel { branch " + name + " { step " + name +
                     " = t(1) { compensate { step t(2) } unsure { } } } }\n}\n";
  EXPECT_TRUE(vm::load_artifact(artifact_of({{"a.flow", text}})).has_value());
}

TEST(Artifact, does_not_depend_on_where_files_are) {
  const auto at = [](const std::string& folder) {
    SourceSet sources;
    for (const auto& [path, text] : kTwoModules) {
      sources.add(folder + path, path.substr(0, path.find('.')), text);
    }
    Diagnostics diagnostics;
    return compile(sources, diagnostics).artifact.value_or("");
  };
  EXPECT_EQ(at("/home/ann/"), at(""));
}

TEST(Modules, names_of_another_module) {
  EXPECT_EQ(codes_of({{"a.flow",
                       "module a\nimport b\nrecord R { x: b.T, y: c.T }\n"
                       "fn f() -> int = b.g() + b.h()\nfn g() -> int = b.k\n"},
                      {"b.flow", "module b\nrecord T { x: int }\nfn g() -> int = 1\n"}}),
            "E0201 E0201 E0201");
}

TEST(Modules, a_missing_one_is_told_once) {
  EXPECT_EQ(codes_of({{"a.flow",
                       "module a\nimport nowhere\nrecord R { x: nowhere.T }\n"
                       "fn f() -> int = nowhere.g(1)\nfn g() -> int = nowhere.k\n"}}),
            "E0208");
}

// One mistake is one finding, however much hangs on it.
TEST(Findings, do_not_cascade) {
  EXPECT_EQ(codes_of({{"a.flow",
                       "record R { x: Nothing, y: int }\n"
                       "fn f(r: R) -> int = r.x + r.y * r.x.z\n"
                       "fn g(r: R) -> [int] = [x + 1 for x in r.x if x > 0] + h(r)\n"
                       "fn h(r: R) -> [int] = [f(r with { x: 1 })]\n"}}),
            "E0202");
  EXPECT_EQ(codes_of({{"a.flow",
                       "event A { x: int }\n"
                       "flow f(a: A) timeout 1s {\n"
                       "  step b = missing(a.x) { fallback a.x  compensate { step missing(b) } }\n"
                       "  let c = b.y + 1\n  if c > b { notify A { x: c } }\n"
                       "  match b { case 1 { } else { } }\n}\n"}}),
            "E0201");
}

std::string disassembled(const std::string& text) {
  const auto program = compile_text(text);
  return program == nullptr ? "" : vm::disassemble(program->program());
}

// The whole dump of a program that has one of each: tests/compiler/*.golden, rewritten with
// UPDATE_GOLDEN=1.
TEST(Bytecode, is_as_reviewed) {
  for (const char* name : {"expressions", "steps"}) {
    const std::string base = std::string(SLUICE_SOURCE_DIR) + "/tests/compiler/bytecode_" + name;
    std::stringstream text;
    text << std::ifstream(base + ".flow").rdbuf();
    const std::string found = disassembled(text.str());
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(base + ".golden") << found;
    std::stringstream expected;
    expected << std::ifstream(base + ".golden").rdbuf();
    EXPECT_EQ(found, expected.str()) << name;
  }
}

// --------------------------------------------------------------------------------- the language
// page

std::vector<std::string> blocks_of_page() {
  std::ifstream in(std::string(SLUICE_SOURCE_DIR) + "/tests/compiler/pipelines.flow");
  std::vector<std::string> blocks;
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("// ---- ")) {
      blocks.emplace_back();
    } else if (!blocks.empty()) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

// The example of the page, as far as the language is executed, has nothing to be told about it.
TEST(Examples, compile_without_a_finding) {
  Files files;
  const std::filesystem::path folder =
      std::filesystem::path(SLUICE_SOURCE_DIR) / "examples/support";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".flow") continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    files.emplace_back(entry.path().filename().string(), text.str());
  }
  ASSERT_FALSE(files.empty());
  EXPECT_EQ(findings(files), "");
  EXPECT_TRUE(vm::load_artifact(artifact_of(files)).has_value());
}

// The six pipelines need what comes later; they are refused for that, and for nothing else.
TEST(Pipelines, are_refused_by_name_only) {
  const std::vector<std::string> blocks = blocks_of_page();
  const char* expected[] = {
      "",       // agent
      "",       // digest
      "",       // refund
      "",       // turn
      "",       // extract
      "",       // helpdesk
  };
  ASSERT_EQ(blocks.size(), std::size(expected));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(codes_of({{"page.flow", blocks[i]}}), expected[i])
        << findings({{"page.flow", blocks[i]}});
  }
}

// -----------------------------------------------------------------------------------------------
// time

std::string module_of(int number, int flows) {
  std::string text = fmt::format("module m{}\n", number);
  for (int i = 0; i < flows; ++i) {
    const std::string id = fmt::format("{}_{}", number, i);
    text += fmt::format(R"(
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
fn best{0}(parts: [Part{0}]) -> [string] = [p.text for p in parts if p.score > 0.5 and p.text != ""]
flow answer{0}(ask: Ask{0}) -> Answer{0} or Failed{0} on asks{0} timeout 30s {{
  step found = look{0}("${{ask.text}} ${{len(ask.parts)}}") {{ fallback ask.parts }}
  let words = best{0}(found)
  if len(words) == 0 {{
    return Answer{0} {{ text: "nothing" }}
  }}
  return Answer{0} {{ text: join(words, ", "), best: first(found) }}
}}
on failure (why) {{ return Failed{0} {{ reason: why.message }} }}
)",
                        id);
  }
  return text;
}

// Of this process's own work, the least of a few: what else the machine does is not counted.
double milliseconds_of(const Files& files) {
  SourceSet sources;
  for (const auto& [path, text] : files) sources.add(path, text);
  double least = 0;
  for (int i = 0; i < 3; ++i) {
    Diagnostics diagnostics;
    const std::clock_t begin = std::clock();
    const CompileResult result = compile(sources, diagnostics);
    const double took = 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_TRUE(result.artifact.has_value()) << findings(files).substr(0, 2000);
    least = i == 0 ? took : std::min(least, took);
  }
  return least;
}

// Ten times the text takes no more than some twenty times as long, on a machine that does other
// things too: no pass is quadratic. bench/micro has the times themselves.
TEST(Time, grows_with_the_text) {
  Files files;
  for (int i = 0; i < 20; ++i) files.emplace_back(fmt::format("m{}.flow", i), module_of(i, 10));
  const double small = milliseconds_of({files.begin(), files.begin() + 2});
  const double large = milliseconds_of(files);
  EXPECT_LT(large, 20 * small + 50) << small << " ms, then " << large << " ms";
}

TEST(Time, of_one_long_flow) {
  const auto flow_of = [](int steps) {
    std::string text =
        "task t(n: int) -> int { timeout 1s  idempotent }\nflow f(n: int) timeout 1m {\n";
    for (int i = 0; i < steps; ++i) {
      text += fmt::format("  step s{} = t({})\n  let v{} = s{} + 1\n  if v{} < 0 {{ return }}\n", i,
                          i == 0 ? "n" : fmt::format("v{}", i - 1), i, i, i);
    }
    return Files{{"f.flow", text + "}\n"}};
  };
  const double small = milliseconds_of(flow_of(200));
  const double large = milliseconds_of(flow_of(2000));
  EXPECT_LT(large, 25 * small + 50) << small << " ms, then " << large << " ms";
}

}  // namespace
}  // namespace sluice::compiler::testing
