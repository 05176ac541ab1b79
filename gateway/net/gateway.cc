#include "gateway/net/gateway.hpp"

#include <future>

#include "gateway/net/client_session.hpp"
#include "gateway/net/deployment_compiler.hpp"
#include "gateway/net/http_session.hpp"
#include "gateway/net/listener.hpp"

namespace sluice::gateway {
namespace {

// How long sockets may take to send their last bytes at the end.
constexpr std::chrono::milliseconds kGoodbye{1'000};

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
  {
    std::unique_lock lock(goodbye_mutex_);
    goodbye_.wait_for(lock, kGoodbye, [this] { return connections() == 0; });
  }
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

void Gateway::leave_session(const std::string& key, SessionPlace place,
                            std::vector<node::StreamUpdate> told) {
  const std::lock_guard lock(sessions_mutex_);
  const auto found = sessions_.find(key);
  const bool mine = found != sessions_.end() && found->second.shard == place.shard &&
                    found->second.connection == place.connection;
  if (mine) sessions_.erase(found);
  if (told.empty()) return;
  if (mine || found == sessions_.end()) return keep_told(key, std::move(told));
  Shard& shard = *shards_[found->second.shard];
  shard.post([this, &shard, id = found->second.connection, key, told = std::move(told)] {
    const auto connection = shard.find(id);
    if (!connection || connection->closed()) return keep_told_streams(key, told);
    static_cast<ClientSession*>(connection->owner())->inherit_streams(told);
  });
}

void Gateway::keep_told(const std::string& key, std::vector<node::StreamUpdate> told) {
  if (const auto known = told_places_.find(key); known != told_places_.end()) {
    auto& streams = known->second->streams;
    streams.insert(streams.end(), told.begin(), told.end());
    if (streams.size() > kToldStreamsMax)
      streams.erase(streams.begin(), streams.end() - kToldStreamsMax);
    return;
  }
  told_places_[key] = told_.insert(told_.end(), {key, std::move(told)});
  if (told_.size() <= limits::kToldSessions) return;
  told_places_.erase(told_.front().session);
  told_.pop_front();
}

void Gateway::keep_told_streams(const std::string& key, std::vector<node::StreamUpdate> told) {
  const std::lock_guard lock(sessions_mutex_);
  keep_told(key, std::move(told));
}

std::vector<node::StreamUpdate> Gateway::take_told_streams(const std::string& key) {
  const std::lock_guard lock(sessions_mutex_);
  const auto found = told_places_.find(key);
  if (found == told_places_.end()) return {};
  std::vector<node::StreamUpdate> streams = std::move(found->second->streams);
  told_.erase(found->second);
  told_places_.erase(found);
  return streams;
}

void Gateway::left() {
  if (!stopping_) return;
  const std::lock_guard lock(goodbye_mutex_);  // the waiter looks, or sleeps: never between
  goodbye_.notify_all();
}

core::WorkerId Gateway::next_worker() {
  return core::WorkerId{worker_ids_.fetch_add(1, std::memory_order_relaxed)};
}

}  // namespace sluice::gateway
