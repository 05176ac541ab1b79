#include "gateway/flowd/service.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "gateway/flowd/commands.hpp"

namespace sluice::gateway {
namespace {

tl::expected<std::string, std::string> read_key_file(const std::string& path,
                                                     std::string_view key) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return tl::unexpected(fmt::format("`{}`: cannot read {}", key, path));
  return text.str();
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

// Each connection is a descriptor; the soft limit is often 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string host_for_url(const std::string& host) {
  if (host == "0.0.0.0" || host.empty()) return "127.0.0.1";
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

int exit_code_of(node::StartError::Kind kind) {
  switch (kind) {
    case node::StartError::Kind::unreachable:
      return kExitUnreachable;
    case node::StartError::Kind::refused:
    case node::StartError::Kind::newer_format:
    case node::StartError::Kind::corrupt:
      return kExitFailed;
    case node::StartError::Kind::config:
    case node::StartError::Kind::state_dir:
      return kExitUsage;
  }
  return kExitFailed;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  Address address;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  address.host = host.empty() ? "0.0.0.0" : std::string(host);
  return address;
}

GatewayOptions gateway_options(const Config& config, const Address& address) {
  const auto count = [&](std::string_view key) {
    return static_cast<std::size_t>(config.count(key));
  };
  GatewayOptions options;
  options.host = address.host;
  options.port = address.port;
  options.threads = static_cast<unsigned>(config.count("gateway.threads"));
  options.frame_bytes = count("limits.frame_bytes");
  options.worker_frame_bytes = count("limits.worker_frame_bytes");
  options.body_bytes = count("limits.body_bytes");
  options.pending = count("limits.pending");
  options.unsent_bytes = count("limits.unsent_bytes");
  options.connections = count("limits.connections");
  options.admissions_per_second = count("limits.admissions_per_second");
  options.worker_lease_ms = static_cast<std::uint32_t>(config.count("workers.lease"));
  return options;
}

node::NodeConfig node_config(const Config& config) {
  node::NodeConfig node;
  node.database = config.text("database.url");
  node.database_wait_ms = static_cast<std::uint32_t>(config.count("database.wait"));
  node.name = config.text("node.name");
  node.state_dir = config.text("node.state_dir");
  node.partitions = static_cast<unsigned>(config.count("engine.partitions"));
  node.apply_threads = static_cast<unsigned>(config.count("engine.apply_threads"));
  node.checkpoint_records = static_cast<std::uint64_t>(config.count("engine.checkpoint_records"));
  node.checkpoint_ms = static_cast<std::uint32_t>(config.count("engine.checkpoint_every"));
  node.retention_days = static_cast<std::uint32_t>(config.count("engine.retention_days"));
  node.read_threads = static_cast<unsigned>(config.count("engine.read_connections"));
  node.list_ms = static_cast<std::uint32_t>(config.count("engine.list_timeout"));
  node.schedule_tenant = config.text("engine.schedule_tenant");
  node.inbox_requests_max = static_cast<std::size_t>(config.count("engine.inbox_requests"));
  node.presence_grace_ms = static_cast<std::uint32_t>(config.count("gateway.presence_grace"));
  node.worker_lease_ms = static_cast<std::uint32_t>(config.count("workers.lease"));
  node.shards = static_cast<unsigned>(config.count("gateway.threads"));
  return node;
}

tl::expected<KeySet, std::string> load_keys(const Config& config) {
  KeySet keys;
  // First the private key: `flowd token` signs with the first that can.
  std::vector<std::pair<std::string_view, std::string>> files;
  if (const std::string& file = config.text("auth.private_key"); !file.empty())
    files.emplace_back("auth.private_key", file);
  for (const std::string& file : config.list("auth.public_keys"))
    files.emplace_back("auth.public_keys", file);
  for (const auto& [name, file] : files) {
    const auto pem = read_key_file(file, name);
    if (!pem) return tl::unexpected(pem.error());
    auto key = Key::from_pem("", *pem);
    if (!key) return tl::unexpected(fmt::format("`{}`: {}: {}", name, file, key.error()));
    if (name == "auth.private_key" && !key->can_sign()) {
      return tl::unexpected(fmt::format("`{}`: {} holds a public key", name, file));
    }
    keys.add(std::move(*key));
  }
  if (const std::string& secret = config.text("auth.hs256_secret"); !secret.empty()) {
    auto key = Key::from_secret("", secret);
    if (!key) return tl::unexpected(fmt::format("`auth.hs256_secret`: {}", key.error()));
    keys.add(std::move(*key));
  }
  if (const std::string& file = config.text("auth.jwks"); !file.empty()) {
    const auto json = read_key_file(file, "auth.jwks");
    if (!json) return tl::unexpected(json.error());
    if (auto added = keys.add_jwks(*json); !added) {
      return tl::unexpected(fmt::format("`auth.jwks`: {}: {}", file, added.error()));
    }
  }
  return keys;
}

void block_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int wait_for_signal() {
  const sigset_t set = stop_signals();
  int number = 0;
  while (sigwait(&set, &number) != 0) {
  }
  return number;
}

void set_up_log(const std::string& level) {
  auto logger =
      std::make_shared<spdlog::logger>("flowd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int serve_until_signal(Gateway& gateway, node::NodeConfig config,
                       const std::function<void()>& abandon) {
  raise_descriptor_limit();
  // Waiting for PostgreSQL and folding may take long; the signal is taken by a thread of its own.
  struct Watch {
    std::atomic<bool> starting{true};
    std::promise<void> signalled;
  };
  const auto watch = std::make_shared<Watch>();
  std::thread([watch, abandon] {
    wait_for_signal();
    if (watch->starting.exchange(false)) {
      spdlog::info("stopping before it was ready");
      abandon();
      _exit(kExitDone);
    }
    watch->signalled.set_value();
  }).detach();
  const auto began = std::chrono::steady_clock::now();
  auto node = node::Node::start(std::move(config), gateway);
  // The watcher stops the process by itself if it was faster.
  if (!watch->starting.exchange(false)) pause();
  if (!node) {
    spdlog::error("{}", node.error().message);
    return exit_code_of(node.error().kind);
  }
  gateway.serve(**node);
  const auto took =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  const node::NodeStatus status = (*node)->status();
  spdlog::info("engine ready in {:.0f} ms, {} records folded", took,
               status.counters.recovered_records);
  for (const std::string& warning : status.warnings) spdlog::warn("{}", warning);
  fmt::print("ready http://{}:{}\n", host_for_url(gateway.options().host), gateway.port());
  std::fflush(stdout);
  watch->signalled.get_future().wait();
  spdlog::info("stopping");
  gateway.stop([&] { (*node)->stop(); });
  node->reset();
  return kExitDone;
}

}  // namespace sluice::gateway
