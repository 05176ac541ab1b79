#include "gateway/net/gateway.hpp"

#include <future>

#include "gateway/net/deployment_compiler.hpp"
#include "gateway/net/http_session.hpp"
#include "gateway/net/listener.hpp"

namespace sluice::gateway {
namespace {

// How long sockets may take to send their last bytes at the end.
constexpr std::chrono::milliseconds kGoodbye{1'000};
constexpr std::chrono::milliseconds kGoodbyePoll{5};

// Runs `work` on the shard's thread and waits for it.
void run_on(Shard& shard, const std::function<void()>& work) {
  std::promise<void> done;
  shard.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace

Gateway::Gateway(GatewayOptions options) : options_(std::move(options)) {
  for (unsigned i = 0; i < options_.threads; ++i)
    shards_.push_back(std::make_unique<Shard>(*this, i));
  listener_ = std::make_unique<Listener>(*this);
  compiler_ = std::make_unique<DeploymentCompiler>();
}

Gateway::~Gateway() = default;

tl::expected<void, std::string> Gateway::bind() {
  return listener_->bind(options_.host, options_.port);
}

std::uint16_t Gateway::port() const {
  return listener_->port();
}

void Gateway::serve(node::Node& node) {
  node_ = &node;
  for (const auto& shard : shards_) threads_.emplace_back([raw = shard.get()] { raw->run(); });
  shards_[0]->post([this] { listener_->start(); });
}

void Gateway::stop(const std::function<void()>& drain) {
  stopping_ = true;
  run_on(*shards_[0], [this] { listener_->stop(); });
  drain();
  for (const auto& shard : shards_)
    run_on(*shard, [raw = shard.get()] { raw->shutdown_connections(); });
  const auto until = std::chrono::steady_clock::now() + kGoodbye;
  while (connections() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(kGoodbyePoll);
  compiler_.reset();
  for (const auto& shard : shards_) run_on(*shard, [raw = shard.get()] { raw->close_all(); });
  for (const auto& shard : shards_) shard->stop_loop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Gateway::emit(unsigned shard, std::vector<node::Outgoing>&& messages) {
  shards_[shard]->emit(std::move(messages));
}

std::size_t Gateway::connections() const {
  std::uint64_t open = static_cast<std::uint64_t>(http_sessions());
  for (const auto& shard : shards_) {
    const Counters& counters = shard->counters();
    open += counters.clients.get() + counters.workers.get() + counters.streams.get();
  }
  return open;
}

std::optional<Gateway::SessionPlace> Gateway::take_session(const std::string& key,
                                                           SessionPlace place) {
  const std::lock_guard lock(sessions_mutex_);
  const auto [at, fresh] = sessions_.try_emplace(key, place);
  if (fresh) return std::nullopt;
  return std::exchange(at->second, place);
}

void Gateway::leave_session(const std::string& key, SessionPlace place) {
  const std::lock_guard lock(sessions_mutex_);
  const auto found = sessions_.find(key);
  if (found == sessions_.end()) return;
  if (found->second.shard == place.shard && found->second.connection == place.connection)
    sessions_.erase(found);
}

core::WorkerId Gateway::next_worker() {
  return core::WorkerId{worker_ids_.fetch_add(1, std::memory_order_relaxed)};
}

}  // namespace sluice::gateway
