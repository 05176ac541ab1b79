#include "compiler/flowc/command.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>

#include "compiler/render.hpp"

namespace sluice::flowc {
namespace {

bool wants_colour(int descriptor) {
  const char* off = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (off != nullptr && *off != '\0') return false;
  if (terminal != nullptr && std::string_view(terminal) == "dumb") return false;
  return isatty(descriptor) == 1;
}

constexpr std::string_view kRequired = " is required";
constexpr std::string_view kExtra = " not expected: ";

std::string unknown_argument(const CLI::App& command, const std::string& argument) {
  if (!argument.starts_with("--")) return "`" + argument + "` is one argument too many";
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::string asked = argument.substr(0, argument.find('='));
  const auto near =
      compiler::nearest(asked, std::vector<std::string_view>(names.begin(), names.end()));
  return "there is no option `" + asked + "`" +
         (near ? "; did you mean `" + std::string(*near) + "`?" : "");
}

// CLI11's sentence, in our words where it has none that help.
std::string usage_problem(const CLI::App& command, const CLI::ParseError& error) {
  std::string text = error.what();
  if (const std::size_t at = text.find(kExtra); at != std::string::npos) {
    const std::string arguments = text.substr(at + kExtra.size());
    // They come last first.
    return unknown_argument(command, arguments.substr(arguments.rfind(' ') + 1));
  }
  if (text.size() > kRequired.size() && text.ends_with(kRequired)) {
    text.resize(text.size() - kRequired.size());
    return text == "A subcommand" ? "name a command" : text + " is missing";
  }
  return text;
}

// Names of a choice to the numbers that CLI11 converts to the enum.
std::string format_number(std::string& value) {
  const std::map<std::string, Format> names = {
      {"text", Format::kText}, {"json", Format::kJson}, {"sarif", Format::kSarif}};
  const auto found = names.find(CLI::detail::to_lower(value));
  if (found == names.end()) return "text, json or sarif, not `" + value + "`";
  value = std::to_string(static_cast<int>(found->second));
  return {};
}

}  // namespace

int fail(int code, const std::string& message) {
  std::cerr << "flowc: " << message << '\n';
  return code;
}

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  const auto parsed = app.get_subcommands();
  const CLI::App* command = parsed.empty() ? nullptr : parsed.front();
  const std::string name = command == nullptr ? "flowc" : "flowc " + command->get_name();
  return fail(kUsage, usage_problem(command == nullptr ? app : *command, error) + "; `" + name +
                          " --help` shows how it is used");
}

bool colour_on_output() {
  return wants_colour(STDOUT_FILENO);
}
bool colour_on_error() {
  return wants_colour(STDERR_FILENO);
}

void add_format_option(CLI::App& command, Format& format) {
  command.add_option("--format", format, "How findings are told: text, json or sarif")
      ->transform(CLI::Validator(format_number, "", "FORMAT"))
      ->type_name("FORMAT");
}

void print_diagnostics(const compiler::Diagnostics& diagnostics, const compiler::SourceSet& sources,
                       Format format) {
  switch (format) {
    case Format::kText:
      std::cerr << compiler::render_text(diagnostics, sources, {.colour = colour_on_error()});
      return;
    case Format::kJson:
      std::cout << compiler::render_json(diagnostics, sources);
      return;
    case Format::kSarif:
      std::cout << compiler::render_sarif(diagnostics, sources);
      return;
  }
}

}  // namespace sluice::flowc
