#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "compiler/compile.hpp"
#include "compiler/fixes.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/flowc/inputs.hpp"
#include "engine/schedule/instants.hpp"

namespace sluice::flowc {
namespace {

struct CheckOptions {
  std::vector<std::string> paths;
  Format format = Format::kText;
  bool fix = false;
};

// Writes what the fixes make of the files. True: something was written.
tl::expected<bool, std::string> fix_files(const compiler::Diagnostics& diagnostics,
                                          const compiler::SourceSet& sources) {
  const compiler::FixedFiles fixed = compiler::apply_fixes(diagnostics, sources);
  for (const auto& [file, text] : fixed.texts) {
    if (auto written = write_file(sources.file(file).path(), text); !written) {
      return tl::unexpected(written.error());
    }
  }
  return !fixed.texts.empty();
}

int check(const CheckOptions& options) {
  // A fix may uncover a mistake that has one, too; a few rounds are enough for what people write.
  constexpr int kRoundsMax = 5;
  const bool standard_input =
      std::find(options.paths.begin(), options.paths.end(), "-") != options.paths.end();
  if (options.fix && standard_input) return fail(kUsage, "--fix needs files, not standard input");
  for (int round = 0;; ++round) {
    compiler::Diagnostics diagnostics;
    auto sources = read_sources(options.paths, diagnostics);
    if (!sources) return fail(kUsage, sources.error());
    compiler::compile(*sources, diagnostics, {.zones = schedule::zone_names});
    if (options.fix && round < kRoundsMax) {
      const auto fixed = fix_files(diagnostics, *sources);
      if (!fixed) return fail(kUsage, fixed.error());
      if (*fixed) continue;
    }
    print_diagnostics(diagnostics, *sources, options.format);
    return diagnostics.has_errors() ? kFindings : kDone;
  }
}

}  // namespace

void add_check_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = app.add_subcommand("check", "Says what is wrong with a program");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  add_format_option(*command, options->format);
  command->add_flag("--fix", options->fix,
                    "Apply the fixes that leave no choice, then check again");
  command->footer(
      "\nExamples:\n"
      "  flowc check examples/support            one program: all files below\n"
      "  flowc check --fix answer.flow           mend what can be mended\n"
      "  flowc check --format json . | jq .      for editors and scripts");
  command->callback([options, &exit_code] { exit_code = check(*options); });
}

}  // namespace sluice::flowc
