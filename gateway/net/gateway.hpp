// The gateway: shards (io threads), the listener, and what they share. It is the node's Outbox.
//
// Life: make it, start the node with it as outbox, open() the port, serve(), then stop(). The node
// must be stopped before the gateway is destroyed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
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
  // It is over, and `told` is what its client may not know the end of. Whoever holds the session
  // since gets it; else it is kept for the next.
  void leave_session(const std::string& key, SessionPlace place,
                     std::vector<node::StreamUpdate> told);
  void keep_told_streams(const std::string& key, std::vector<node::StreamUpdate> told);
  std::vector<node::StreamUpdate> take_told_streams(const std::string& key);

  // A connection is gone: stop() may be waiting for the last.
  void left();

  // A worker id that was never used in this process.
  core::WorkerId next_worker();
  // Counters of all shards in Prometheus's text format, and the node's.
  std::string metrics() const;

 private:
  // REQUIRES: sessions_mutex_.
  void keep_told(const std::string& key, std::vector<node::StreamUpdate> told);

  GatewayOptions options_;
  // Outlive the shards, whose last connections call left().
  std::mutex goodbye_mutex_;
  std::condition_variable goodbye_;
  node::Node* node_ = nullptr;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<DeploymentCompiler> compiler_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> worker_ids_{1};
  std::mutex sessions_mutex_;
  std::unordered_map<std::string, SessionPlace> sessions_;
  // Of sessions without a socket: streams whose end their clients may not know.
  struct Told {
    std::string session;
    std::vector<node::StreamUpdate> streams;
  };
  std::list<Told> told_;  // oldest first
  std::unordered_map<std::string, std::list<Told>::iterator> told_places_;
};

}  // namespace sluice::gateway
