#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "compiler/flowc/command.hpp"
#include "compiler/flowc/inputs.hpp"
#include "compiler/format.hpp"

namespace sluice::flowc {
namespace {

struct FmtOptions {
  std::vector<std::string> paths;
  bool check = false;
};

// What became of one file.
enum class Outcome { kSame, kChanged, kBroken };

tl::expected<Outcome, std::string> format_one(const compiler::SourceFile& file, bool check,
                                              compiler::Diagnostics& diagnostics) {
  const auto formatted = compiler::format(file, diagnostics);
  if (!formatted.has_value()) return Outcome::kBroken;
  const bool standard_input = file.path() == "<stdin>";
  if (standard_input && !check) std::cout << *formatted;
  if (*formatted == file.text()) return Outcome::kSame;
  if (standard_input || check) return Outcome::kChanged;
  if (auto written = write_file(file.path(), *formatted); !written) {
    return tl::unexpected(written.error());
  }
  return Outcome::kChanged;
}

int run_fmt(const FmtOptions& options) {
  compiler::Diagnostics diagnostics;
  auto sources = read_sources(options.paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  bool all_formatted = !diagnostics.has_errors();
  for (const compiler::SourceFile& file : *sources) {
    const auto outcome = format_one(file, options.check, diagnostics);
    if (!outcome) return fail(kFindings, outcome.error());
    if (*outcome == Outcome::kBroken) all_formatted = false;
    if (*outcome == Outcome::kChanged && options.check) {
      all_formatted = false;
      std::cout << file.path() << '\n';
    }
  }
  diagnostics.sort();
  print_diagnostics(diagnostics, *sources, Format::kText);
  return all_formatted ? kDone : kFindings;
}

}  // namespace

void add_fmt_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<FmtOptions>();
  CLI::App* command = app.add_subcommand("fmt", "Writes programs in the one style");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  command->add_flag("--check", options->check,
                    "Change nothing; list the files that are not formatted, exit code 1 if any");
  command->footer(
      "\nFiles are changed in place; `-` reads standard input and writes standard output.\n"
      "A file with syntax errors is left as it is.\n"
      "\nExamples:\n"
      "  flowc fmt .\n"
      "  flowc fmt --check examples\n"
      "  flowc fmt - < answer.flow");
  command->callback([options, &exit_code] { exit_code = run_fmt(*options); });
}

}  // namespace sluice::flowc
