#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <memory>

#include "compiler/compile.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/flowc/inputs.hpp"
#include "engine/schedule/instants.hpp"

namespace sluice::flowc {
namespace {

struct BuildOptions {
  std::vector<std::string> paths;
  std::string output = "-";
  Format format = Format::kText;
  bool no_debug_lines = false;
};

int build(const BuildOptions& options) {
  const bool to_output = options.output == "-";
  if (to_output && isatty(STDOUT_FILENO) == 1) {
    return fail(kUsage,
                "an artifact is no text; name a file with -o, or send the output to a pipe");
  }
  if (to_output && options.format != Format::kText) {
    return fail(kUsage, "--format json and sarif need -o: both results cannot go to one output");
  }
  compiler::Diagnostics diagnostics;
  auto sources = read_sources(options.paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  const compiler::CompileOptions how{.debug_lines = !options.no_debug_lines,
                                     .zones = schedule::zone_names};
  const auto result = compiler::compile(*sources, diagnostics, how);
  print_diagnostics(diagnostics, *sources, options.format);
  if (diagnostics.has_errors() || !result.artifact.has_value()) return kFindings;
  if (to_output) {
    std::cout << *result.artifact;
    return kDone;
  }
  if (auto written = write_file(options.output, *result.artifact); !written) {
    return fail(kFindings, written.error());
  }
  return kDone;
}

}  // namespace

void add_build_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BuildOptions>();
  CLI::App* command = app.add_subcommand("build", "Compiles a program to one artifact");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  command->add_option("-o,--output", options->output, "The artifact; standard output by default")
      ->type_name("FILE");
  add_format_option(*command, options->format);
  command->add_flag("--no-debug-lines", options->no_debug_lines,
                    "Leave out the way from instructions to source lines");
  command->footer(
      "\nExamples:\n"
      "  flowc build examples/support -o support.sluice\n"
      "  flowc build examples/support | flowc disasm -");
  command->callback([options, &exit_code] { exit_code = build(*options); });
}

}  // namespace sluice::flowc
