#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "compiler/diagnostics.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/render.hpp"

namespace sluice::flowc {
namespace {

int list_codes() {
  for (const compiler::CodeInfo& row : compiler::all_codes()) {
    std::cout << fmt::format("{}  {}\n", row.name, row.title);
  }
  return kDone;
}

// The topic is a code, or the name of a command.
int explain(CLI::App& app, const std::string& topic) {
  if (topic.empty()) {
    std::cout << app.help();
    return kDone;
  }
  if (topic == "codes") return list_codes();
  if (const auto code = compiler::find_code(topic); code.has_value()) {
    std::cout << compiler::render_explanation(*code, {.colour = colour_on_output()});
    return kDone;
  }
  std::vector<std::string_view> known = {"codes"};
  for (const CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    if (command->get_name() == topic) {
      std::cout << command->help("flowc");
      return kDone;
    }
  }
  for (const compiler::CodeInfo& row : compiler::all_codes()) known.push_back(row.name);
  std::string upper = topic;
  for (char& letter : upper)
    letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  const auto near = compiler::nearest(upper, known);
  return fail(kUsage, fmt::format("there is no code or command `{}`{}", topic,
                                  near ? fmt::format("; did you mean `{}`?", *near)
                                       : "; `flowc help codes` lists all codes"));
}

}  // namespace

void add_help_command(CLI::App& app, int& exit_code) {
  auto topic = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("help", "Explains a code such as E0105, or a command");
  command->add_option("TOPIC", *topic, "A code, a command, or `codes` for the list of all codes");
  command->footer(
      "\nExamples:\n"
      "  flowc help E0105\n"
      "  flowc help codes");
  command->callback([topic, &app, &exit_code] { exit_code = explain(app, *topic); });
}

}  // namespace sluice::flowc
