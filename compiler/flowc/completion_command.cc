#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "compiler/flowc/command.hpp"

namespace sluice::flowc {
namespace {

struct Words {
  std::string name;
  std::string about;
  std::string options;  // "--format --fix"
  std::string values;   // of its argument; empty: there is none, or it is a file
  bool takes_files = false;
};

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// Commands, and what a value is where it is one of a few words.
std::vector<Words> words_of(const CLI::App& app) {
  std::vector<Words> all;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    Words& words = all.emplace_back();
    words.name = command->get_name();
    words.about = command->get_description();
    names.push_back(words.name);
    std::vector<std::string> options;
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
      if (!option->get_positional()) continue;
      const std::string argument = option->get_name(true);
      if (argument == "PATH" || argument == "FILE") words.takes_files = true;
      if (argument == "SHELL") words.values = "bash zsh fish";
    }
    words.options = joined(options);
  }
  for (Words& words : all) {
    if (words.name != "help") continue;
    for (const compiler::CodeInfo& row : compiler::all_codes()) names.emplace_back(row.name);
    words.values = joined(names) + " codes";
  }
  return all;
}

constexpr std::string_view kFormats = "text json sarif";

std::string for_bash(const std::vector<Words>& all) {
  std::string commands;
  std::string cases;
  for (const Words& words : all) {
    commands += (commands.empty() ? "" : " ") + words.name;
    cases += fmt::format("    {}) options=\"{}\" values=\"{}\" files=\"{}\" ;;\n", words.name,
                         words.options, words.values, words.takes_files ? "-f" : "");
  }
  return fmt::format(
      "_flowc() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n"
      "  local options=\"\" values=\"\" files=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"{} --help --version\" -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n"
      "{}"
      "  esac\n"
      "  case \"$before\" in\n"
      "    --format) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n"
      "    -o|--output|--script|--junit) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
      "  esac\n"
      "  case \"$word\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen $files -W \"$values\" -- \"$word\")) ;;\n"
      "  esac\n"
      "}}\n"
      "complete -o filenames -F _flowc flowc\n",
      commands, cases, kFormats);
}

std::string for_zsh(const std::vector<Words>& all) {
  std::string commands;
  std::string options;
  std::string values;
  for (const Words& words : all) {
    commands += fmt::format("    '{}:{}'\n", words.name, words.about);
    options += fmt::format("    {}) compadd -- {} ;;\n", words.name, words.options);
    if (words.takes_files) {
      values += fmt::format("    {}) _files ;;\n", words.name);
    } else if (!words.values.empty()) {
      values += fmt::format("    {}) compadd -- {} ;;\n", words.name, words.values);
    }
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
      "  case $words[CURRENT-1] in\n"
      "    --format) compadd -- {}; return ;;\n"
      "    -o|--output|--script|--junit) _files; return ;;\n"
      "  esac\n"
      "  if [[ $PREFIX == -* ]]; then\n"
      "    case $words[2] in\n"
      "{}"
      "    esac\n"
      "  else\n"
      "    case $words[2] in\n"
      "{}"
      "    esac\n"
      "  fi\n"
      "}}\n"
      "compdef _flowc flowc\n",
      commands, kFormats, options, values);
}

std::string for_fish(const std::vector<Words>& all) {
  std::string out = "complete -c flowc -n __fish_use_subcommand -f\n";
  for (const Words& words : all) {
    const std::string here = fmt::format("'__fish_seen_subcommand_from {}'", words.name);
    out += fmt::format("complete -c flowc -n __fish_use_subcommand -f -a {} -d '{}'\n", words.name,
                       words.about);
    if (!words.takes_files) out += fmt::format("complete -c flowc -n {} -f\n", here);
    if (!words.values.empty())
      out += fmt::format("complete -c flowc -n {} -f -a '{}'\n", here, words.values);
    std::istringstream options(words.options);
    for (std::string option; options >> option;) {
      const bool format = option == "--format";
      out += fmt::format("complete -c flowc -n {} -l {}{}\n", here, option.substr(2),
                         format ? fmt::format(" -x -a '{}'", kFormats) : "");
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
    const std::vector<Words> words = words_of(app);
    std::cout << (*shell == "bash"  ? for_bash(words)
                  : *shell == "zsh" ? for_zsh(words)
                                    : for_fish(words));
    exit_code = kDone;
  });
}

}  // namespace sluice::flowc
