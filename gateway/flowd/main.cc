// flowd: the server.
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "gateway/flowd/commands.hpp"

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

  ConfigOptions config;
  CLI::App* config_command =
      app.add_subcommand("config", "print the configuration's JSON Schema and the values in force");
  config_command->add_option("--config", config.config_file, "TOML or JSON");
  config_command->add_option("--format", config.format, "`table` for the reference in Markdown")
      ->check(CLI::IsMember({"table"}));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  if (*dev_command) return run_dev(dev, environment);
  if (*serve_command) return run_serve(serve, environment);
  if (*token_command) return run_token(token, environment);
  return run_config(config, environment);
}
