#include <iostream>
#include <memory>

#include "compiler/compile.hpp"
#include "compiler/explain.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/flowc/inputs.hpp"

namespace sluice::flowc {
namespace {

struct ExplainOptions {
  std::vector<std::string> paths;
  bool json = false;
};

int explain(const ExplainOptions& options) {
  compiler::Diagnostics diagnostics;
  auto sources = read_sources(options.paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  const compiler::CompileResult result = compiler::compile(*sources, diagnostics);
  print_diagnostics(diagnostics, *sources, Format::kText);
  if (diagnostics.has_errors()) return kFindings;
  std::cout << (options.json ? compiler::explain_json(*result.program, *sources)
                             : compiler::explain_text(*result.program, *sources));
  return kDone;
}

}  // namespace

void add_explain_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand(
      "explain", "Tells each flow's worst case, what is undone by what, what clients may receive");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  command->add_flag("--json", options->json, "For scripts: docs/schemas/explain.schema.json");
  command->footer(
      "\nTimes count a wait for a worker where `queue` or `within` bounds it, and name the steps\n"
      "where nothing does. What has no bound is called unbounded, with the place and a way to\n"
      "bound it.\n"
      "\nExamples:\n"
      "  flowc explain examples/support\n"
      "  flowc explain --json . | jq '.flows[].tasks'");
  command->callback([options, &exit_code] { exit_code = explain(*options); });
}

}  // namespace sluice::flowc
