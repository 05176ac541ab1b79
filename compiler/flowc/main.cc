// flowc, the author's tool.
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/flowc/command.hpp"

namespace {

constexpr const char* kDescription =
    "flowc checks, formats and builds programs in the flow language.\n"
    "Wherever a file goes, so does a directory, a glob, or `-` for standard input.\n";
constexpr const char* kFooter =
    "\nExit codes: 0 done, 1 findings, 2 wrong usage, 3 the engine cannot be reached.\n"
    "`flowc COMMAND --help` shows examples, `flowc help CODE` explains a finding, and\n"
    "`flowc help codes` lists them all.";

// CLI11 says of an unknown command only that one is required.
int check_command_name(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || *argv[1] == '-') return sluice::flowc::kDone;
  const std::string name = argv[1];
  std::vector<std::string_view> known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return sluice::flowc::kDone;
    known.push_back(command->get_name());
  }
  const auto near = sluice::compiler::nearest(name, known);
  return sluice::flowc::fail(
      sluice::flowc::kUsage,
      "there is no command `" + name + "`; " +
          (near ? "did you mean `" + std::string(*near) + "`?" : "`flowc --help` lists them"));
}

int run(int argc, char** argv) {
  CLI::App app(kDescription, "flowc");
  app.footer(kFooter);
  app.set_version_flag("--version", "flowc " SLUICE_VERSION);
  app.require_subcommand(1);
  int exit_code = sluice::flowc::kDone;
#define SLUICE_COMMAND(name) sluice::flowc::add_##name##_command(app, exit_code);
#include "compiler/flowc/commands.def"
#undef SLUICE_COMMAND
  if (const int code = check_command_name(app, argc, argv); code != sluice::flowc::kDone) {
    return code;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return sluice::flowc::report_usage(app, error);
    app.exit(error, std::cout, std::cerr);  // help or version
    return sluice::flowc::kDone;
  }
  std::cout.flush();
  if (!std::cout) return sluice::flowc::fail(sluice::flowc::kFindings, "cannot write the result");
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return sluice::flowc::fail(sluice::flowc::kFindings, error.what());
  }
}
