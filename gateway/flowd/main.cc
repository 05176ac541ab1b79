// flowd: the server.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <string_view>

#include "gateway/flowd/commands.hpp"

namespace {

// What is wrong with the arguments, and where to read on.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  constexpr std::string_view kRequired = " is required";
  constexpr std::string_view kExtra = " not expected: ";
  const auto parsed = app.get_subcommands();
  const std::string name = parsed.empty() ? "flowd" : "flowd " + parsed.front()->get_name();
  std::string text = error.what();
  if (text.size() > kRequired.size() && text.ends_with(kRequired)) {
    text.resize(text.size() - kRequired.size());
    text = text == "A subcommand" ? "name a command" : text + " is missing";
  } else if (const std::size_t at = text.find(kExtra); at != std::string::npos) {
    // They come last first.
    const std::string arguments = text.substr(at + kExtra.size());
    text = "there is no argument `" + arguments.substr(arguments.rfind(' ') + 1) + "`";
  }
  std::cerr << "flowd: " << text << "; `" << name << " --help` shows how it is used\n";
  return sluice::gateway::kExitUsage;
}

bool has_command(const CLI::App& app, std::string_view name) {
  const auto named = [&](const CLI::App* each) { return each->get_name() == name; };
  return !app.get_subcommands(named).empty();
}

CLI::App* add_repair(CLI::App& app, sluice::gateway::RepairOptions& options) {
  CLI::App* command = app.add_subcommand(
      "repair", "list partitions that have halted, and override the record that one halts at");
  command->add_option("--data", options.data, "data directory of `flowd dev`");
  command->add_option("--config", options.config_file, "configuration of `flowd serve`");
  command->add_flag("--json", options.json, "one JSON object instead of lines");
  command->add_option("--partition", options.partition, "the partition, from 0");
  command->add_option("--record", options.record, "the record that it halts at");
  command
      ->add_option("--mode", options.mode,
                   "skip: it is not worked on, its run becomes a dead letter; accept: what comes "
                   "out now is right. Default: what cures it")
      ->check(CLI::IsMember({"skip", "accept"}));
  command->add_option("--why", options.why, "the reason, for the audit");
  command->add_option("--by", options.by, "who decides; default: the user who runs this");
  command->footer(
      "Examples:\n"
      "  flowd repair                                  look at every partition of .sluice\n"
      "  flowd repair --config /etc/sluice.toml --json\n"
      "  flowd repair --data DIR --partition 3 --record 1207 --why 'ticket 4711: bad disk'\n"
      "A flowd may be running: it takes the partition up again within two seconds.");
  return command;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice::gateway;
  CLI::App app{"flowd, the server of Sluice"};
  app.require_subcommand(1);
  const Environment environment = environment_of(environ);

  DevOptions dev;
  CLI::App* dev_command =
      app.add_subcommand("dev", "everything in one process, with a private PostgreSQL");
  dev_command->add_option("--data", dev.data, "directory for all data")->capture_default_str();
  dev_command->add_option("--listen", dev.listen, "HOST:PORT; port 0 picks a free one")
      ->capture_default_str();

  ServeOptions serve;
  CLI::App* serve_command = app.add_subcommand("serve", "serve with a given PostgreSQL");
  serve_command->add_option("--config", serve.config_file,
                            "TOML or JSON; every key is also an environment variable");

  TokenOptions token;
  CLI::App* token_command = app.add_subcommand("token", "print a token");
  token_command->add_option("--tenant", token.tenant, "tenant, or * for all")->required();
  token_command->add_option("--client", token.client, "the client (`sub`)");
  token_command->add_option("--scope", token.scope, "client, worker, admin, publish:TOPIC")
      ->capture_default_str();
  token_command->add_option("--ttl", token.ttl, "such as 1h or 30d")->capture_default_str();
  token_command->add_option("--data", token.data, "data directory of `flowd dev`");
  token_command->add_option("--config", token.config_file, "configuration of `flowd serve`");

  RepairOptions repair;
  CLI::App* repair_command = add_repair(app, repair);

  ConfigOptions config;
  CLI::App* config_command =
      app.add_subcommand("config", "print the configuration's JSON Schema and the values in force");
  config_command->add_option("--config", config.config_file, "TOML or JSON");
  config_command->add_option("--format", config.format, "`table` for the reference in Markdown")
      ->check(CLI::IsMember({"table"}));

  // CLI11 says of an unknown command only that one is required.
  if (argc > 1 && *argv[1] != '-' && !has_command(app, argv[1])) {
    std::cerr << "flowd: there is no command `" << argv[1] << "`; `flowd --help` lists them\n";
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return report_usage(app, error);
    app.exit(error);  // help
    return kExitDone;
  }
  if (*dev_command) return run_dev(dev, environment);
  if (*serve_command) return run_serve(serve, environment);
  if (*token_command) return run_token(token, environment);
  if (*repair_command) return run_repair(repair, environment);
  return run_config(config, environment);
}
