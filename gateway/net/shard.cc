#include "gateway/net/shard.hpp"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "gateway/limits.hpp"
#include "gateway/net/exchange.hpp"
#include "gateway/net/gateway.hpp"
#include "gateway/net/poll_workers.hpp"

namespace sluice::gateway {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::milliseconds kTick{250};
// Evaluators of this many deployments are kept; the oldest goes first.
constexpr std::size_t kPrograms = 16;

std::unordered_map<std::string_view, std::uint32_t> names_of(const auto& items) {
  std::unordered_map<std::string_view, std::uint32_t> names;
  for (std::uint32_t i = 0; i < items.size(); ++i) names.emplace(items[i].name, i);
  return names;
}

}  // namespace

std::optional<vm::TypeId> type_of_record(const vm::TypeTable& types, std::uint32_t record) {
  const vm::Type wanted{vm::Kind::record, record};
  for (std::uint32_t i = 0; i < types.types.size(); ++i) {
    if (types.types[i] == wanted) return vm::TypeId{i};
  }
  return std::nullopt;
}

ProgramView::ProgramView(std::shared_ptr<const node::Deployment> of)
    : deployment(of),
      unit(of->program),
      topics(names_of(of->program->program().topics)),
      flows(names_of(of->program->program().flows)) {
  for (const vm::TopicInfo& topic : program().topics) {
    topic_types.push_back(type_of_record(program().types, program().events[topic.event].record));
  }
}

struct Shard::Timers {
  explicit Timers(asio::io_context& io) : guard(io.get_executor()), tick(io), wake(io) {}
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  asio::steady_timer tick;
  asio::steady_timer wake;
};

Shard::Shard(Gateway& gateway, unsigned number)
    : gateway_(gateway),
      number_(number),
      io_(std::make_unique<asio::io_context>(1)),
      timers_(std::make_unique<Timers>(*io_)),
      tokens_(gateway.options().keys, limits::kTokenCache),
      read_buffer_(std::make_unique<char[]>(limits::kReadBytes)),
      poll_workers_(std::make_unique<PollWorkers>(*this)) {}

Shard::~Shard() {
  // Handlers that are still queued hold connections; those must die before the tables that they
  // refer to.
  exchanges_.clear();
  connections_.clear();
  timers_.reset();
  io_.reset();
}

node::Node& Shard::node() {
  return gateway_.node();
}

void Shard::run() {
  schedule_tick();
  io_->run();
}

void Shard::stop_loop() {
  io_->stop();
}

void Shard::post(std::function<void()> work) {
  asio::post(*io_, [this, work = std::move(work)] {
    work();
    end_turn();
  });
}

void Shard::emit(std::vector<node::Outgoing>&& messages) {
  bool wake = false;
  {
    const std::lock_guard lock(mailbox_mutex_);
    if (mailbox_.empty()) {
      mailbox_.swap(messages);
    } else {
      std::move(messages.begin(), messages.end(), std::back_inserter(mailbox_));
    }
    wake = !std::exchange(mailbox_posted_, true);
  }
  if (wake) asio::post(*io_, [this] { drain_mailbox(); });
}

void Shard::drain_mailbox() {
  {
    const std::lock_guard lock(mailbox_mutex_);
    draining_.swap(mailbox_);
    mailbox_posted_ = false;
  }
  for (node::Outgoing& message : draining_) dispatch(message);
  draining_.clear();
  end_turn();
}

std::uint64_t Shard::next_id() {
  return next_id_++;
}

void Shard::add(std::shared_ptr<Connection> connection) {
  const std::uint64_t id = connection->id();
  connections_.insert_or_assign(id, std::move(connection));
}

void Shard::remove(std::uint64_t id) {
  connections_.erase(id);
}

std::shared_ptr<Connection> Shard::find(std::uint64_t id) const {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second;
}

void Shard::end_turn() {
  // Flushing may close a connection, and closing may touch others.
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    if (const auto connection = touched_[i].lock()) connection->flush();
  }
  touched_.clear();
}

void Shard::shutdown_connections() {
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) {
    if (!connection->closed()) connection->owner()->on_shutdown();
  }
  end_turn();
}

void Shard::close_all() {
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) connection->abort();
  poll_workers_.reset();
  std::vector<std::shared_ptr<Exchange>> waiting;
  for (const auto& [id, exchange] : exchanges_) waiting.push_back(exchange);
  for (const auto& exchange : waiting) exchange->abandon();
  touched_.clear();
}

namespace {

void client_key(std::string& key, std::string_view tenant, std::string_view client) {
  key.assign(tenant);
  key.push_back('\0');
  key.append(client);
}

}  // namespace

void Shard::add_deliveries(std::string_view tenant, std::string_view client, DeliverySink* sink) {
  client_key(delivery_key_, tenant, client);
  deliveries_[delivery_key_].push_back(sink);
}

void Shard::remove_deliveries(std::string_view tenant, std::string_view client,
                              DeliverySink* sink) {
  client_key(delivery_key_, tenant, client);
  const auto found = deliveries_.find(delivery_key_);
  if (found == deliveries_.end()) return;
  std::erase(found->second, sink);
  if (found->second.empty()) deliveries_.erase(found);
}

void Shard::watch_run(const core::RunId& run, std::uint64_t key, RunWatcher watcher) {
  auto& all = watchers_[run];
  if (all.empty()) node().watch_run(run, number_);
  all.emplace_back(key, std::move(watcher));
}

void Shard::unwatch_run(const core::RunId& run, std::uint64_t key) {
  const auto found = watchers_.find(run);
  if (found == watchers_.end()) return;
  std::erase_if(found->second, [&](const auto& watcher) { return watcher.first == key; });
  if (!found->second.empty()) return;
  watchers_.erase(found);
  node().unwatch_run(run, number_);
}

void Shard::hold(std::shared_ptr<Exchange> exchange) {
  exchanges_.insert_or_assign(exchange->id(), std::move(exchange));
}

void Shard::release(std::uint64_t id) {
  exchanges_.erase(id);
}

std::shared_ptr<Exchange> Shard::find_exchange(std::uint64_t id) const {
  const auto found = exchanges_.find(id);
  return found == exchanges_.end() ? nullptr : found->second;
}

ProgramView* Shard::view_of(std::shared_ptr<const node::Deployment> deployment) {
  if (!deployment) return nullptr;
  const std::uint32_t number = deployment->number;
  auto& view = programs_[number];
  if (!view) {
    view = std::make_unique<ProgramView>(std::move(deployment));
    if (programs_.size() > kPrograms) {
      const auto oldest =
          std::min_element(programs_.begin(), programs_.end(),
                           [](const auto& a, const auto& b) { return a.first < b.first; });
      if (oldest->first != number) programs_.erase(oldest);
    }
  }
  return programs_[number].get();
}

ProgramView* Shard::current_program() {
  return view_of(node().current_deployment());
}

ProgramView* Shard::program(std::uint32_t deployment) {
  const auto found = programs_.find(deployment);
  return found != programs_.end() ? found->second.get() : view_of(node().deployment(deployment));
}

std::int64_t Shard::now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Shard::dispatch(node::Outgoing& message) {
  const auto find_sink = [&](const node::Reply& reply) -> AnswerSink* {
    const auto found = answers_.find(reply.connection);
    return found == answers_.end() ? nullptr : found->second;
  };
  const auto find_worker = [&](core::WorkerId worker) -> WorkerSink* {
    const auto found = workers_.find(core::number(worker));
    return found == workers_.end() ? nullptr : found->second;
  };
  struct Visitor {
    Shard& shard;
    decltype(find_sink)& sink_of;
    decltype(find_worker)& worker_of;
    void operator()(node::Accepted& answer) {
      if (AnswerSink* sink = sink_of(answer.reply)) sink->on_accepted(answer.reply.token, answer);
    }
    void operator()(node::Rejected& answer) {
      if (AnswerSink* sink = sink_of(answer.reply))
        sink->on_rejected(answer.reply.token, answer.refusal);
    }
    void operator()(node::Settled& answer) {
      if (AnswerSink* sink = sink_of(answer.reply)) sink->on_settled(answer.reply.token);
    }
    void operator()(node::Stale& answer) {
      if (AnswerSink* sink = sink_of(answer.reply)) sink->on_stale(answer.reply.token);
    }
    void operator()(node::Delivery& delivery) {
      client_key(shard.delivery_key_, delivery.tenant, delivery.client);
      const auto found = shard.deliveries_.find(shard.delivery_key_);
      if (found == shard.deliveries_.end()) return;
      for (std::size_t i = 0; i < found->second.size(); ++i)
        found->second[i]->on_delivery(delivery);
    }
    void operator()(node::StreamUpdate& update) {
      client_key(shard.delivery_key_, update.tenant, update.client);
      const auto found = shard.deliveries_.find(shard.delivery_key_);
      if (found == shard.deliveries_.end()) return;
      for (std::size_t i = 0; i < found->second.size(); ++i) found->second[i]->on_stream(update);
    }
    void operator()(node::TaskFrame& task) {
      if (WorkerSink* sink = worker_of(task.worker)) sink->on_task(task);
    }
    void operator()(node::CancelTask& cancel) {
      if (WorkerSink* sink = worker_of(cancel.worker)) sink->on_cancel(cancel);
    }
    void operator()(node::StaleLease& stale) {
      if (WorkerSink* sink = worker_of(stale.worker)) sink->on_stale_lease(stale);
    }
    void operator()(node::RunState& state) {
      const auto found = shard.watchers_.find(state.run);
      if (found == shard.watchers_.end()) return;
      const auto watchers = found->second;  // a watcher may stop watching
      for (const auto& [key, watcher] : watchers) watcher(state);
    }
  };
  std::visit(Visitor{*this, find_sink, find_worker}, message);
}

void Shard::wake_at(Time when, std::uint64_t connection) {
  const auto [at, fresh] = wakes_.emplace(when, connection);
  if (fresh && at == wakes_.begin()) schedule_wake();
}

void Shard::schedule_wake() {
  timers_->wake.expires_at(wakes_.begin()->first);
  timers_->wake.async_wait([this](const boost::system::error_code& error) {
    if (!error) wake_due();
  });
}

void Shard::wake_due() {
  const Time now = std::chrono::steady_clock::now();
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    const std::uint64_t id = wakes_.extract(wakes_.begin()).value().second;
    const auto connection = find(id);
    if (connection && !connection->closed()) connection->owner()->on_wake(now);
  }
  if (!wakes_.empty()) schedule_wake();
  end_turn();
}

void Shard::schedule_tick() {
  timers_->tick.expires_after(kTick);
  timers_->tick.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    tick();
    schedule_tick();
  });
}

void Shard::tick() {
  const Time now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<Connection>> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) connection->tick(now);
  std::vector<std::shared_ptr<Exchange>> waiting;
  waiting.reserve(exchanges_.size());
  for (const auto& [id, exchange] : exchanges_) waiting.push_back(exchange);
  for (const auto& exchange : waiting) exchange->tick(now);
  if (poll_workers_) poll_workers_->tick(now);
  end_turn();
}

}  // namespace sluice::gateway
