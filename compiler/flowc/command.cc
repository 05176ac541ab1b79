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

}  // namespace

int fail(int code, const std::string& message) {
  std::cerr << "flowc: " << message << '\n';
  return code;
}

bool colour_on_output() {
  return wants_colour(STDOUT_FILENO);
}
bool colour_on_error() {
  return wants_colour(STDERR_FILENO);
}

void add_format_option(CLI::App& command, Format& format) {
  static const std::map<std::string, Format> kNames = {
      {"text", Format::kText}, {"json", Format::kJson}, {"sarif", Format::kSarif}};
  command.add_option("--format", format, "How findings are told: text, json or sarif")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case).description(""))
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
