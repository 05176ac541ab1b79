// `flowd serve`, `flowd token`, `flowd config`.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <fstream>
#include <sstream>

#include "gateway/config/duration.hpp"
#include "gateway/flowd/commands.hpp"
#include "gateway/flowd/data_directory.hpp"
#include "gateway/flowd/service.hpp"

namespace sluice::gateway {
namespace {

int fail(const std::string& message, int code = kExitUsage) {
  fmt::print(stderr, "flowd: {}\n", message);
  return code;
}

bool is_scope(std::string_view scope) {
  while (!scope.empty()) {
    const std::size_t end = scope.find(' ');
    const std::string_view word = scope.substr(0, end);
    scope.remove_prefix(end == std::string_view::npos ? scope.size() : end + 1);
    const bool known = word == "client" || word == "worker" || word == "admin" ||
                       (word.starts_with("publish:") && word.size() > 8) ||
                       (word.starts_with("subscribe:") && word.size() > 10);
    if (!known) return false;
  }
  return true;
}

bool has_scope(std::string_view scope, std::string_view word) {
  return (" " + std::string(scope) + " ").find(" " + std::string(word) + " ") != std::string::npos;
}

}  // namespace

std::optional<Config> load_config(const std::string& file, const Environment& environment) {
  Config config;
  std::vector<std::string> problems;
  if (file.empty()) {
    problems = read_environment(config, environment);
  } else {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    if (!stream) {
      problems.push_back("cannot read " + file);
    } else {
      problems = read_config(config, text.str(), file, environment);
    }
  }
  for (const std::string& problem : problems) fmt::print(stderr, "flowd: {}\n", problem);
  if (!problems.empty()) return std::nullopt;
  return config;
}

int run_serve(const ServeOptions& options, const Environment& environment) {
  block_signals();
  const auto config = load_config(options.config_file, environment);
  if (!config) return kExitUsage;
  set_up_log(config->text("log.level"));
  const auto address = parse_address(config->text("listen"));
  if (!address) return fail(fmt::format("`listen` is HOST:PORT, not `{}`", config->text("listen")));
  if (config->text("database.url").empty()) {
    return fail(
        "`database.url` is missing: say where PostgreSQL is (or use `flowd dev`, which brings its "
        "own)");
  }
  const auto keys = load_keys(*config);
  if (!keys) return fail(keys.error());
  if (keys->empty()) {
    return fail(
        "there are no keys to check tokens with: set `auth.hs256_secret`, `auth.public_keys`, "
        "`auth.private_key` or `auth.jwks`");
  }
  GatewayOptions gateway_values = gateway_options(*config, *address);
  gateway_values.keys = *keys;
  Gateway gateway(std::move(gateway_values));
  if (const auto bound = gateway.bind(); !bound) return fail(bound.error(), kExitFailed);
  node::NodeConfig node = node_config(*config);
  node.address = fmt::format("{}:{}", address->host, gateway.port());
  return serve_until_signal(gateway, std::move(node), [] {});
}

int run_token(const TokenOptions& options, const Environment& environment) {
  const auto ttl = parse_duration(options.ttl);
  if (!ttl || ttl->count() < 1000)
    return fail(fmt::format("--ttl is a duration such as 1h or 30d, not `{}`", options.ttl));
  if (options.tenant.empty()) return fail("--tenant is missing");
  if (!is_scope(options.scope)) {
    return fail(
        fmt::format("--scope is client, worker, admin, publish:TOPIC or subscribe:GROUP, not `{}`",
                    options.scope));
  }
  if (has_scope(options.scope, "client")) {
    // What `sub` and `tenant` a client's token needs: without, every engine would refuse it.
    if (options.client.empty()) {
      return fail(
          "--client is missing: the scope `client` is one client's (for another scope, --scope "
          "worker, admin, publish:TOPIC or subscribe:GROUP)");
    }
    if (options.tenant == "*")
      return fail("a client is of one tenant: --tenant is its name, not *");
  }
  if (!options.data.empty() && !options.config_file.empty())
    return fail("give either --data or --config");
  KeySet keys;
  if (options.config_file.empty()) {
    const auto secret = signing_secret(options.data.empty() ? ".sluice" : options.data);
    if (!secret) return fail(secret.error(), kExitFailed);
    auto key = Key::from_secret("dev", *secret);
    if (!key) return fail(key.error(), kExitFailed);
    keys.add(std::move(*key));
  } else {
    const auto config = load_config(options.config_file, environment);
    if (!config) return kExitUsage;
    auto loaded = load_keys(*config);
    if (!loaded) return fail(loaded.error());
    keys = std::move(*loaded);
  }
  const Key* signer = keys.signer();
  if (signer == nullptr) {
    return fail(
        "the configuration has no key that can sign: set `auth.private_key` or `auth.hs256_secret`",
        kExitFailed);
  }
  fmt::print("{}\n", make_token(*signer, {.tenant = options.tenant,
                                          .client = options.client,
                                          .scope = options.scope,
                                          .now_s = Shard::now_s(),
                                          .ttl_s = ttl->count() / 1000}));
  return kExitDone;
}

int run_config(const ConfigOptions& options, const Environment& environment) {
  if (options.format == "table") {
    fmt::print("{}", config_table());
    return kExitDone;
  }
  const auto config = load_config(options.config_file, environment);
  if (!config) return kExitUsage;
  fmt::print("{{\"schema\":{},\"values\":{}}}\n", config_schema(), config_values(*config));
  return kExitDone;
}

}  // namespace sluice::gateway
