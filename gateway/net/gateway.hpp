// The gateway: shards (io threads), the listener, and what they share. It is the node's Outbox.
//
// Life: make it, start the node with it as outbox, open() the port, serve(), then stop(). The node
// must be stopped before the gateway is destroyed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tl/expected.hpp>
#include <unordered_map>
#include <vector>

#include "engine/node/node.hpp"
#include "gateway/auth/keys.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/shard.hpp"

namespace sluice::gateway {

struct GatewayOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one
  unsigned threads = 1;       // io threads, also the number of shards
  std::size_t frame_bytes = limits::kClientFrameBytes;
  std::size_t worker_frame_bytes = limits::kWorkerFrameBytes;
  std::size_t body_bytes = limits::kBodyBytes;
  std::size_t pending = limits::kPendingSends;
  std::size_t unsent_bytes = limits::kUnsentBytes;
  std::size_t connections = limits::kConnections;
  std::size_t admissions_per_second = limits::kAdmissionsPerSecond;
  std::uint32_t worker_lease_ms = 30'000;
  std::string version = "0.1.0";
  KeySet keys;
};

class Listener;
class DeploymentCompiler;

class Gateway : public node::Outbox {
 public:
  explicit Gateway(GatewayOptions options);
  ~Gateway() override;

  // Binds the port, without accepting yet: a taken port is known before anything else is started.
  // Error: a sentence with the address.
  [[nodiscard]] tl::expected<void, std::string> bind();
  std::uint16_t port() const;
  // Starts the io threads and accepts. REQUIRES: bind(); `node` outlives stop().
  void serve(node::Node& node);
  // No new connections; `drain` is run (the node stops and its last answers leave); then all
  // sockets are closed with 1012.
  void stop(const std::function<void()>& drain);

  void emit(unsigned shard, std::vector<node::Outgoing>&& messages) override;

  const GatewayOptions& options() const { return options_; }
  node::Node& node() { return *node_; }
  Shard& shard(unsigned number) { return *shards_[number]; }
  unsigned shards() const { return static_cast<unsigned>(shards_.size()); }
  DeploymentCompiler& compiler() { return *compiler_; }
  bool stopping() const { return stopping_; }
  std::size_t connections() const;

  // Sessions by (tenant, client, session). Registers the connection and returns the one it takes
  // the place of (shard, connection), if any.
  struct SessionPlace {
    unsigned shard = 0;
    std::uint64_t connection = 0;
  };
  std::optional<SessionPlace> take_session(const std::string& key, SessionPlace place);
  // Only if it is still held by that connection.
  void leave_session(const std::string& key, SessionPlace place);

  // A worker id that was never used in this process.
  core::WorkerId next_worker();
  // Counters of all shards in Prometheus's text format, and the node's.
  std::string metrics() const;

 private:
  GatewayOptions options_;
  node::Node* node_ = nullptr;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<DeploymentCompiler> compiler_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> worker_ids_{1};
  std::mutex sessions_mutex_;
  std::unordered_map<std::string, SessionPlace> sessions_;
};

}  // namespace sluice::gateway
