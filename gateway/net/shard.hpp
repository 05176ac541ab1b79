// One io thread and all that belongs to it: connections, the ways by which a node's messages find
// them, and what is costly to share between threads (verified tokens, evaluators of programs).
//
// Thread rule: everything on the shard's own thread, except emit(), post() and number().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/node/node.hpp"
#include "gateway/auth/token.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/net/counters.hpp"
#include "vm/unit.hpp"

namespace boost::asio {
class io_context;
}

namespace sluice::gateway {

class Exchange;
class Gateway;

// Gets the answers to requests that carry its id as Reply::connection.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  virtual void on_accepted(std::uint64_t token, node::Accepted& answer) = 0;
  virtual void on_rejected(std::uint64_t token, node::Refusal& refusal) = 0;
  virtual void on_settled(std::uint64_t token) = 0;
  virtual void on_stale(std::uint64_t token) = 0;
};

// Gets the live deliveries of one client.
class DeliverySink {
 public:
  virtual ~DeliverySink() = default;
  virtual void on_delivery(const node::Delivery& delivery) = 0;
  virtual void on_stream(const node::StreamUpdate&) {}
};

// Gets what is for one worker.
class WorkerSink {
 public:
  virtual ~WorkerSink() = default;
  virtual void on_task(node::TaskFrame& task) = 0;
  virtual void on_cancel(const node::CancelTask& cancel) = 0;
  virtual void on_stale_lease(const node::StaleLease& stale) = 0;
};

// A deployment with this thread's evaluator and its names.
// The type of records of that table row; nothing: the program names no such type.
std::optional<vm::TypeId> type_of_record(const vm::TypeTable& types, std::uint32_t record);

struct ProgramView {
  explicit ProgramView(std::shared_ptr<const node::Deployment> of);

  std::shared_ptr<const node::Deployment> deployment;
  vm::Unit unit;
  std::unordered_map<std::string_view, std::uint32_t> topics;
  std::unordered_map<std::string_view, std::uint32_t> flows;
  std::vector<std::optional<vm::TypeId>> topic_types;  // of the event's record, by topic

  const vm::Program& program() const { return unit.program(); }
};

class PollWorkers;

class Shard {
 public:
  Shard(Gateway& gateway, unsigned number);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  unsigned number() const { return number_; }
  Gateway& gateway() { return gateway_; }
  node::Node& node();
  boost::asio::io_context& io() { return *io_; }
  Counters& counters() { return counters_; }

  // Runs the loop until stop_loop().
  void run();
  void stop_loop();
  // Any thread: `work` runs on this shard's thread.
  void post(std::function<void()> work);
  // Any thread: queues the node's messages and wakes the shard once.
  void emit(std::vector<node::Outgoing>&& messages);

  // ---- connections
  std::uint64_t next_id();
  void add(std::shared_ptr<Connection> connection);
  void remove(std::uint64_t id);
  std::shared_ptr<Connection> find(std::uint64_t id) const;
  std::size_t connections() const { return connections_.size(); }
  void touch(Connection& connection) { touched_.push_back(connection.weak_from_this()); }
  // Calls the owner's on_wake once at that time, or soon after.
  void wake_at(Time when, std::uint64_t connection);
  // Sends what connections have collected. Called at the end of every turn of the loop that may
  // have written.
  void end_turn();
  char* read_buffer() { return read_buffer_.get(); }
  // Says goodbye to every socket; close_all() later cuts what is left and forgets everything that
  // refers to the node.
  void shutdown_connections();
  void close_all();

  // ---- routing
  void add_answers(std::uint64_t id, AnswerSink* sink) { answers_[id] = sink; }
  void remove_answers(std::uint64_t id) { answers_.erase(id); }
  void add_deliveries(std::string_view tenant, std::string_view client, DeliverySink* sink);
  void remove_deliveries(std::string_view tenant, std::string_view client, DeliverySink* sink);
  void add_worker(core::WorkerId worker, WorkerSink* sink) {
    workers_[core::number(worker)] = sink;
  }
  void remove_worker(core::WorkerId worker) { workers_.erase(core::number(worker)); }
  using RunWatcher = std::function<void(const node::RunState&)>;
  // Watches a run for the sake of `key`; several may watch one run.
  void watch_run(const core::RunId& run, std::uint64_t key, RunWatcher watcher);
  void unwatch_run(const core::RunId& run, std::uint64_t key);

  // Exchanges that wait for an answer; kept alive and timed out here.
  void hold(std::shared_ptr<Exchange> exchange);
  void release(std::uint64_t id);
  std::shared_ptr<Exchange> find_exchange(std::uint64_t id) const;

  // ---- shared state of the thread
  TokenCache& tokens() { return tokens_; }
  // The view of a deployment, which is not null; of the current one, or null; of that number, or
  // null if it is not in memory.
  ProgramView* view_of(std::shared_ptr<const node::Deployment> deployment);
  ProgramView* current_program();
  ProgramView* program(std::uint32_t deployment);
  // Workers without a socket.
  PollWorkers& poll_workers() { return *poll_workers_; }

  static std::int64_t now_s();  // of the wall clock: tokens' times

 private:
  void drain_mailbox();
  void dispatch(node::Outgoing& message);
  void schedule_tick();
  void schedule_wake();
  void wake_due();
  void tick();

  Gateway& gateway_;
  unsigned number_;
  std::unique_ptr<boost::asio::io_context> io_;
  struct Timers;
  std::unique_ptr<Timers> timers_;
  Counters counters_;
  TokenCache tokens_;
  std::unique_ptr<char[]> read_buffer_;
  std::uint64_t next_id_ = 1;

  std::mutex mailbox_mutex_;
  std::vector<node::Outgoing> mailbox_;
  bool mailbox_posted_ = false;
  std::vector<node::Outgoing> draining_;

  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::vector<std::weak_ptr<Connection>> touched_;
  std::set<std::pair<Time, std::uint64_t>> wakes_;  // when, and which connection
  std::unordered_map<std::uint64_t, AnswerSink*> answers_;
  std::unordered_map<std::string, std::vector<DeliverySink*>> deliveries_;
  std::string delivery_key_;  // scratch
  std::unordered_map<std::uint64_t, WorkerSink*> workers_;
  std::unordered_map<core::RunId, std::vector<std::pair<std::uint64_t, RunWatcher>>, core::IdHash>
      watchers_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Exchange>> exchanges_;
  std::unordered_map<std::uint32_t, std::unique_ptr<ProgramView>> programs_;
  std::unique_ptr<PollWorkers> poll_workers_;
};

}  // namespace sluice::gateway
