#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "compiler/flowc/command.hpp"

namespace sluice::flowc {
namespace {

struct Words {
  std::string commands;                                      // "check build …"
  std::vector<std::pair<std::string, std::string>> options;  // per command: "--format --fix"
  std::vector<std::pair<std::string, std::string>> about;    // per command: its description
};

Words words_of(const CLI::App& app) {
  Words words;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    words.commands += (words.commands.empty() ? "" : " ") + command->get_name();
    std::string options;
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        options += (options.empty() ? "--" : " --") + name;
      }
    }
    words.options.emplace_back(command->get_name(), options);
    words.about.emplace_back(command->get_name(), command->get_description());
  }
  return words;
}

std::string for_bash(const Words& words) {
  std::string cases;
  for (const auto& [command, options] : words.options) {
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command, options);
  }
  return fmt::format(
      "_flowc() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" words=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n"
      "{}"
      "  esac\n"
      "  case \"$word\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
      "  esac\n"
      "}}\n"
      "complete -o filenames -F _flowc flowc\n",
      words.commands, cases);
}

std::string for_zsh(const Words& words) {
  std::string commands;
  for (const auto& [command, about] : words.about) {
    commands += fmt::format("    '{}:{}'\n", command, about);
  }
  std::string cases;
  for (const auto& [command, options] : words.options) {
    cases += fmt::format("    {}) compadd -- {} ;;\n", command, options);
  }
  return fmt::format(
      "#compdef flowc\n"
      "_flowc() {{\n"
      "  local -a commands=(\n"
      "{}"
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  if [[ $PREFIX == -* ]]; then\n"
      "    case $words[2] in\n"
      "{}"
      "    esac\n"
      "  else\n"
      "    _files\n"
      "  fi\n"
      "}}\n"
      "compdef _flowc flowc\n",
      commands, cases);
}

std::string for_fish(const Words& words) {
  std::string out = "complete -c flowc -n __fish_use_subcommand -f\n";
  for (const auto& [command, about] : words.about) {
    out += fmt::format("complete -c flowc -n __fish_use_subcommand -f -a {} -d '{}'\n", command,
                       about);
  }
  for (const auto& [command, options] : words.options) {
    std::string rest = options;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      out += fmt::format("complete -c flowc -n '__fish_seen_subcommand_from {}' -l {}\n", command,
                         rest.substr(2, end - 2));
      rest.erase(0, std::min(end + 1, rest.size()));
    }
  }
  return out;
}

}  // namespace

void add_completion_command(CLI::App& app, int& exit_code) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Prints completions for a shell");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
  command->footer(
      "\nExamples:\n"
      "  eval \"$(flowc completion bash)\"\n"
      "  flowc completion fish > ~/.config/fish/completions/flowc.fish");
  command->callback([shell, &app, &exit_code] {
    const Words words = words_of(app);
    std::cout << (*shell == "bash"  ? for_bash(words)
                  : *shell == "zsh" ? for_zsh(words)
                                    : for_fish(words));
    exit_code = kDone;
  });
}

}  // namespace sluice::flowc
