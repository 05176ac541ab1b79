#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <memory>

#include "compiler/compile.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/flowc/inputs.hpp"
#include "compiler/flowc/test_report.hpp"
#include "engine/schedule/instants.hpp"

namespace sluice::flowc {
namespace {

struct TestOptions {
  std::vector<std::string> paths;
  std::string filter;
  std::string junit;
  bool crash_points = false;
  bool json = false;
};

// Which test runs now, on a terminal and once it has lasted a moment.
class Progress {
 public:
  explicit Progress(bool quiet) : on_(!quiet && isatty(STDERR_FILENO) != 0) {}
  ~Progress() { clear(); }
  void show(std::size_t at, std::size_t of, const std::string& title) {
    if (!on_ || std::chrono::steady_clock::now() - begun_ < std::chrono::milliseconds(300)) return;
    clear();
    std::cerr << fmt::format("{}/{} {}", at, of, title.substr(0, 60)) << std::flush;
    shown_ = true;
  }
  void clear() {
    if (shown_) std::cerr << "\r\x1b[K" << std::flush;
    shown_ = false;
  }

 private:
  bool on_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

std::vector<const compiler::ir::TestDef*> chosen(const compiler::ir::Program& program,
                                                 const std::string& filter) {
  std::vector<const compiler::ir::TestDef*> tests;
  for (const compiler::ir::TestDef& test : program.tests) {
    const std::string name = test.module->name + ": " + test.title;
    if (name.find(filter) != std::string::npos) tests.push_back(&test);
  }
  return tests;
}

int run_tests(const TestOptions& options, const compiler::CompileResult& compiled,
              std::shared_ptr<const vm::VerifiedProgram> program,
              const compiler::SourceSet& sources) {
  const auto tests = chosen(*compiled.program, options.filter);
  if (tests.empty() && !options.filter.empty()) {
    return fail(kUsage, fmt::format("no test's name holds `{}`: there are {} tests", options.filter,
                                    compiled.program->tests.size()));
  }
  if (tests.empty()) {
    std::cerr << "flowc: the program has no tests; a module may hold some:\n"
                 "  test \"it answers\" {\n"
                 "    given TASK returns VALUE\n"
                 "    when EVENT { FIELD: VALUE }\n"
                 "    expect return EVENT\n"
                 "  }\n";
  }
  TestRunner runner(compiled, std::move(program));
  Progress progress(options.json);
  std::vector<TimedResult> results;
  for (const compiler::ir::TestDef* test : tests) {
    progress.show(results.size() + 1, tests.size(), test->title);
    const auto begun = std::chrono::steady_clock::now();
    TimedResult timed{runner.run(*test, options.crash_points)};
    timed.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    progress.clear();
    if (!options.json) std::cout << test_text(timed.result, sources, colour_on_output());
    results.push_back(std::move(timed));
  }
  std::cout << (options.json ? tests_json(results, sources)
                             : summary_text(results, colour_on_output()));
  if (!options.junit.empty()) {
    if (auto written = write_file(options.junit, tests_junit(results, sources)); !written) {
      return fail(kUsage, written.error());
    }
  }
  const bool passed = std::all_of(results.begin(), results.end(),
                                  [](const TimedResult& each) { return each.result.passed(); });
  return passed ? kDone : kFindings;
}

int test(const TestOptions& options) {
  compiler::Diagnostics diagnostics;
  auto sources = read_sources(options.paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  compiler::CompileOptions compile_options;
  compile_options.tests = true;
  compile_options.zones = schedule::zone_names;
  const auto compiled = compiler::compile(*sources, diagnostics, compile_options);
  print_diagnostics(diagnostics, *sources, Format::kText);
  if (diagnostics.has_errors() || !compiled.artifact) return kFindings;
  auto program = vm::decode_artifact(*compiled.artifact);
  if (!program) return fail(kFindings, program.error().message);
  auto verified = vm::verify(std::move(*program));
  if (!verified) return fail(kFindings, verified.error().message);
  return run_tests(options, compiled, std::move(*verified), *sources);
}

}  // namespace

void add_test_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* command =
      app.add_subcommand("test", "Runs the tests of a program on the engine in virtual time");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  command
      ->add_option("--filter", options->filter,
                   "Only tests whose name, `module: title`, holds this text")
      ->type_name("TEXT");
  command->add_flag("--crash-points", options->crash_points,
                    "Each test again with a crash at every boundary of its journal");
  command->add_option("--junit", options->junit, "Write the results as JUnit XML too")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "The results as JSON");
  command->footer(
      "\nExit code 1 means that a test failed or the program has errors.\n"
      "\nExamples:\n"
      "  flowc test examples/support\n"
      "  flowc test --crash-points --filter credit examples/support\n"
      "  flowc test --junit results.xml .");
  command->callback([options, &exit_code] { exit_code = test(*options); });
}

}  // namespace sluice::flowc
