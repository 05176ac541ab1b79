// A node's life: start, stop, status.
#include "engine/node/node.hpp"

#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "engine/core/check.hpp"
#include "engine/node/node_impl.hpp"

namespace sluice::node {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr int kConnectMs = 5'000;
// A start returns when its partitions are folded; one that takes longer goes on in the background.
constexpr Milliseconds kSettleMax{600'000};

// A UUID of version 4: names one boot.
core::Id128 random_id() {
  core::Id128 id;
  SLUICE_CHECK(getrandom(id.bytes.data(), id.bytes.size(), 0) ==
               static_cast<ssize_t>(id.bytes.size()));
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

StartError error_of(const journal::DatabaseError& error) {
  using Kind = journal::DatabaseError::Kind;
  switch (error.kind) {
    case Kind::refused:
      return {StartError::Kind::refused, "PostgreSQL refuses: " + error.message};
    case Kind::foreign:
      return {error.message.find("has format") != std::string::npos ? StartError::Kind::newer_format
                                                                    : StartError::Kind::corrupt,
              error.message};
    case Kind::sql:
      return {StartError::Kind::refused, "PostgreSQL refuses a statement of the start (" +
                                             error.sqlstate + "): " + error.message};
    case Kind::unreachable:
    case Kind::lost:
    case Kind::late:
      break;
  }
  return {StartError::Kind::unreachable, "PostgreSQL cannot be reached: " + error.message};
}

std::optional<StartError> fault_of(const NodeConfig& config) {
  const auto fault = [](std::string why) {
    return StartError{StartError::Kind::config, std::move(why)};
  };
  if (config.database.empty()) return fault("`database` is empty: it must say where PostgreSQL is");
  if (config.name.empty()) return fault("`name` is empty");
  if (config.partitions < 1 || config.partitions > core::kPartitionsMax) {
    return fault("`partitions` must be between 1 and " + std::to_string(core::kPartitionsMax));
  }
  if (config.apply_threads > kApplyThreadsMax) {
    return fault("`apply_threads` must be at most " + std::to_string(kApplyThreadsMax));
  }
  if (config.shards < 1) return fault("`shards` must be at least 1");
  if (config.batch_records_max < 1 || config.batch_bytes_max < 1) {
    return fault("a batch must be allowed at least one record and one byte");
  }
  if (config.ownership_ms < 2 * kOwnershipMarginMs) {
    return fault("`ownership_ms` must be at least " + std::to_string(2 * kOwnershipMarginMs));
  }
  return std::nullopt;
}

// Waits for a PostgreSQL that is not there yet, for as long as the configuration says.
tl::expected<journal::ServerFacts, StartError> connect(journal::Database& database,
                                                       const NodeConfig& config) {
  const std::int64_t until = monotonic_us() + std::int64_t{config.database_wait_ms} * 1000;
  std::uint32_t backoff = kReconnectMsMin;
  for (;;) {
    auto facts = database.connect(kConnectMs);
    if (facts) return *facts;
    const bool hopeless = facts.error().kind == journal::DatabaseError::Kind::refused;
    const std::int64_t left = until - monotonic_us();
    if (hopeless || left <= 0) return tl::unexpected(error_of(facts.error()));
    std::this_thread::sleep_for(std::min(Milliseconds(backoff), Milliseconds(left / 1000 + 1)));
    backoff = std::min(backoff * 2, kReconnectMsMax);
  }
}

}  // namespace

tl::expected<std::unique_ptr<Node>, StartError> Node::start(NodeConfig config, Outbox& outbox) {
  if (auto fault = fault_of(config)) return tl::unexpected(*fault);
  if (config.apply_threads == 0) {
    config.apply_threads = std::max(1u, std::thread::hardware_concurrency() / 2);
  }
  journal::Database database(config.database);
  auto facts = connect(database, config);
  if (!facts) return tl::unexpected(facts.error());
  auto cluster = journal::migrate(database, config.partitions);
  if (!cluster) return tl::unexpected(error_of(cluster.error()));
  config.apply_threads = std::min(config.apply_threads, cluster->partitions);
  auto impl = std::make_unique<Impl>(std::move(config), outbox, *cluster);
  if (auto begun = impl->begin(std::move(database), *facts); !begun) {
    return tl::unexpected(begun.error());
  }
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() {
  stop();
}
void Node::stop() {
  impl_->stop();
}

Node::Impl::Impl(NodeConfig config, Outbox& outbox, const journal::Cluster& cluster)
    : shared(std::make_unique<Shared>(std::move(config), outbox, cluster)) {
  shared->identity.name = shared->config.name;
  shared->identity.boot = random_id();
  shared->identity.address = shared->config.address;
  shared->identity.version = shared->config.version;
  shared->delivery_epoch = cluster.delivery_epoch;
  for (unsigned i = 0; i < shared->config.apply_threads; ++i) {
    shared->inboxes.push_back(std::make_unique<Inbox>());
  }
  store = std::make_unique<StoreThread>(*shared);
  desk = std::make_unique<DispatchDesk>(*shared);
  reads = std::make_unique<ReadPool>(*shared);
  lists = std::make_unique<ReadPool>(*shared, shared->config.list_ms);
  housekeeper = std::make_unique<Housekeeper>(*shared);
}

Node::Impl::~Impl() {
  stop();
}

tl::expected<void, StartError> Node::Impl::begin(journal::Database database,
                                                 const journal::ServerFacts& facts) {
  const std::int64_t began = monotonic_us();
  if (!shared->config.state_dir.empty()) {
    auto notebook = Notebook::open(shared->config.state_dir);
    if (!notebook) return tl::unexpected(StartError{StartError::Kind::state_dir, notebook.error()});
    shared->notebook = std::move(*notebook);
  }
  if (!facts.fsync) {
    shared->warn(
        "PostgreSQL runs with fsync=off: a crash of its machine loses acknowledged events");
  }
  if (facts.system_id != shared->cluster.system_id || facts.timeline != shared->cluster.timeline) {
    (void)journal::record_server(database, facts);
    shared->cluster.system_id = facts.system_id;
    shared->cluster.timeline = facts.timeline;
  }
  control = std::make_unique<Control>(*shared, std::move(database));
  for (unsigned i = 0; i < shared->config.apply_threads; ++i) {
    threads.push_back(std::make_unique<ApplyThread>(
        *shared, i, *desk, *store, [this](core::PartitionId p) { control->lost(p); }));
  }
  begun = true;  // from here on stop() has something to stop
  shared->presence.start();
  // Everything connects at the same time.
  for (auto& thread : threads) thread->start();
  store->start();
  reads->start();
  lists->start();
  if (auto announced = control->announce(); !announced) {
    return tl::unexpected(error_of(announced.error()));
  }
  desk->start();
  auto taken = control->begin();
  if (!taken) return tl::unexpected(error_of(taken.error()));
  control->start();
  housekeeper->start();
  (void)shared->states.wait_settled(*taken, kSettleMax);
  // A node that got no partitions has waited for nobody: let its threads find the database, too.
  (void)shared->connections.wait_all(Milliseconds(kConnectMs));
  shared->presence.open();
  shared->counters.recovery_us = static_cast<std::uint64_t>(monotonic_us() - began);
  return {};
}

void Node::Impl::stop() {
  const std::lock_guard lock(stop_mutex);
  if (stopped) return;
  stopped = true;
  shared->stopping = true;
  if (!begun) return;
  shared->presence.stop();
  reads->stop();
  lists->stop();
  housekeeper->stop();
  std::vector<std::promise<void>> halted(threads.size());
  for (std::size_t i = 0; i < threads.size(); ++i) {
    shared->inboxes[i]->post(Command(Halt{[&, i] { halted[i].set_value(); }}));
  }
  for (auto& one : halted) one.get_future().wait();
  for (auto& thread : threads) thread->join();
  store->stop();
  control->stop();
  desk->stop();
}

namespace {

Health health_of(const Shared& shared, const std::vector<PartitionState>& states,
                 std::string& why) {
  if (shared.stopping) return Health::stopping;
  if (shared.fenced_off) {
    why = "another process runs under this node's name";
    return Health::degraded;
  }
  if (!shared.connections.all()) {
    why = shared.trouble();
    if (why.empty()) why = "PostgreSQL cannot be reached";
    return Health::database_gone;
  }
  why = shared.trouble();
  if (!why.empty()) return Health::database_gone;
  if (!shared.clock.trusted()) {
    why = "the database's clock jumped by " + std::to_string(shared.clock.off_us() / 1000) +
          " ms: nothing is appended until it is back, or the node is started anew";
    return Health::degraded;
  }
  unsigned missing = 0;
  for (const auto& state : states) {
    if (state.phase == PartitionState::Phase::recovering) {
      why = "partitions are being folded";
      return Health::starting;
    }
    if (state.phase == PartitionState::Phase::serving) continue;
    if (missing++ == 0) why = state.why;
  }
  if (missing == 0) return Health::serving;
  why = std::to_string(missing) + " partitions are not served here" +
        (why.empty() ? std::string() : ": " + why);
  return Health::degraded;
}

}  // namespace

NodeStatus Node::status() const {
  Shared& shared = *impl_->shared;
  const auto states = shared.states.all();
  NodeStatus status;
  status.health = health_of(shared, states, status.why);
  if (impl_->stopped) status.health = Health::stopped;
  status.warnings = shared.warnings();
  const Counters& c = shared.counters;
  NodeCounters& out = status.counters;
  out.records = c.records;
  out.batches = c.batches;
  out.deliveries = c.deliveries;
  out.accepted = c.accepted;
  out.rejected = c.rejected;
  out.duplicates = c.duplicates;
  out.tasks_handed_out = c.tasks_handed_out;
  out.reports_settled = c.reports_settled;
  out.reports_stale = c.reports_stale;
  out.attempts_lapsed = c.attempts_lapsed;
  out.checkpoints = c.checkpoints;
  out.append_bytes = c.append_bytes;
  out.append_retries = c.append_retries;
  out.reconnects = c.reconnects;
  out.commit_us_total = c.commit_us_total;
  out.recovered_records = c.recovered_records;
  out.recovery_us = c.recovery_us;
  for (const auto& inbox : shared.inboxes) out.inbox_depth += inbox->waiting_requests;
  for (const auto& state : states) {
    out.runs_live += state.runs;
    out.partitions_serving += state.phase == PartitionState::Phase::serving;
    out.partitions_halted += state.phase == PartitionState::Phase::halted;
  }
  return status;
}

std::string Node::delivery_epoch() const {
  return core::to_text(impl_->shared->cluster.id).substr(0, 8) + "-" +
         std::to_string(impl_->shared->delivery_epoch.load());
}

}  // namespace sluice::node
