// `flowd dev`: everything in one process, with a private PostgreSQL.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "gateway/flowd/commands.hpp"
#include "gateway/flowd/data_directory.hpp"
#include "gateway/flowd/private_postgres.hpp"
#include "gateway/flowd/service.hpp"

namespace sluice::gateway {
namespace {

// A database of one machine: fewer partitions than a production one, which may grow to several
// nodes.
constexpr unsigned kDevPartitions = 8;
constexpr std::int64_t kDevTokenS = std::int64_t{30} * 86'400;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

int fail(const std::string& message, int code = kExitFailed) {
  spdlog::error("{}", message);
  return code;
}

// Tokens ready to paste, to standard error.
void print_tokens(const Key& key, const std::string& url) {
  const std::int64_t now_s = Shard::now_s();
  const auto token = [&](std::string tenant, std::string client, std::string scope) {
    return make_token(key, {.tenant = std::move(tenant),
                            .client = std::move(client),
                            .scope = std::move(scope),
                            .now_s = now_s,
                            .ttl_s = kDevTokenS});
  };
  fmt::print(
      stderr,
      "\nTokens of this data directory, valid for 30 days (more: flowd token --data DIR …):\n\n"
      "  export SLUICE_URL={}\n"
      "  # deploy and administer\n"
      "  export SLUICE_TOKEN={}\n"
      "  # a worker\n"
      "  export SLUICE_WORKER_TOKEN={}\n"
      "  # client `alice` of tenant `dev`\n"
      "  export SLUICE_CLIENT_TOKEN={}\n\n",
      url, token("*", "", "admin"), token("*", "", "worker"), token("dev", "alice", "client"));
}

}  // namespace

int run_dev(const DevOptions& options, const Environment& environment) {
  block_signals();
  const auto began = std::chrono::steady_clock::now();
  Config config;
  set_up_log("info");
  for (const std::string& problem : read_environment(config, environment))
    return fail(problem, kExitUsage);
  set_up_log(config.text("log.level"));
  const auto address = parse_address(options.listen);
  if (!address)
    return fail(fmt::format("--listen is HOST:PORT, not `{}`", options.listen), kExitUsage);
  const auto user = choose_postgres_user();
  if (!user) return fail(user.error());
  const auto directory = DataDirectory::open(options.data, *user);
  if (!directory) return fail(directory.error());
  const auto secret = signing_secret(directory->path());
  if (!secret) return fail(secret.error());
  GatewayOptions gateway_values = gateway_options(config, *address);
  const auto key = Key::from_secret("dev", *secret);
  if (!key) return fail(key.error());
  gateway_values.keys.add(*key);
  Gateway gateway(std::move(gateway_values));
  if (const auto bound = gateway.bind(); !bound) return fail(bound.error());
  auto postgres = PrivatePostgres::start({.directory = directory->path(),
                                          .user = *user,
                                          .binaries = variable("SLUICE_PG_BIN"),
                                          .preload = variable("SLUICE_PG_PRELOAD")},
                                         [](const std::string& line) { spdlog::info("{}", line); });
  if (!postgres) return fail(postgres.error());
  const auto took =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  spdlog::info("PostgreSQL ready after {:.0f} ms{}", took,
               (*postgres)->taken_over() ? ", taken over" : "");
  node::NodeConfig node = node_config(config);
  node.database = (*postgres)->connection();
  node.state_dir = directory->path();
  if (config.origin("engine.partitions") == "default") node.partitions = kDevPartitions;
  if (config.origin("engine.schedule_tenant") == "default") node.schedule_tenant = "dev";
  node.address = fmt::format("{}:{}", address->host, gateway.port());
  node.database_wait_ms = 10'000;
  print_tokens(*key, fmt::format("http://127.0.0.1:{}", gateway.port()));
  return serve_until_signal(gateway, std::move(node), [&] { postgres->reset(); });
}

}  // namespace sluice::gateway
