// A node: the shell around the pure parts (engine/core, engine/dispatch) and PostgreSQL
// (engine/journal). It owns the threads, the clock, the ownership of partitions, the batches, and
// is all that the gateway knows of the engine.
//
//   request -> inbox of the apply thread that owns the partition -> Partition::apply -> batch
//           -> one fenced INSERT -> committed -> effects: Outbox::emit, once per batch and shard,
//                                                and Dispatcher -> TaskFrame
//
// Threads: every method may be called from any thread and none blocks, except start(), stop() and
// where it is said. A
// request that returns a Refusal was not taken and gets no other answer; every other request gets
// exactly one answer (Accepted, Rejected, Settled, Stale) through the Outbox, or its callback is
// called once. Callbacks run on the node's threads: they must only queue. If the node stops before
// an answer, Rejected `unavailable` is sent, or the callback gets `unavailable`; a request so
// answered may or may not have been journaled, which its idempotency key settles.
//
// Promise: no answer, delivery or task leaves before the records it depends on are committed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "engine/node/config.hpp"
#include "engine/node/requests.hpp"

namespace sluice::node {

// Why a node did not start. The message is for the operator and names the mend.
struct StartError {
  enum class Kind : std::uint8_t {
    config,        // a value of NodeConfig is impossible
    unreachable,   // PostgreSQL does not answer
    refused,       // it answers, but not to us: password, database, rights, transaction pooling, a
                   // read-only standby
    newer_format,  // the database was written by a newer Sluice
    corrupt,       // the schema is not ours, or damaged
    state_dir,
  };
  Kind kind = Kind::config;
  std::string message;
};

template <typename T>
using Callback = std::function<void(tl::expected<T, Refusal>)>;

class Node {
 public:
  class Impl;

  // Connects, migrates the schema, takes the partitions that are free, folds them, and returns when
  // all of those are serving. `outbox` must outlive the node and is called from then on (also
  // before start returns: recovered tasks may already be handed out).
  static tl::expected<std::unique_ptr<Node>, StartError> start(NodeConfig config, Outbox& outbox);

  // Calls stop() if that was not done.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Takes no more requests, journals what was taken, writes checkpoints and lets the partitions go.
  // Blocks until done, at most a few seconds with a database that answers. Idempotent.
  void stop();

  // ---- requests answered through the Outbox ----
  std::optional<Refusal> publish(PublishRequest request);
  std::optional<Refusal> start_run(StartRequest request);
  std::optional<Refusal> cancel_run(CancelRequest request);
  std::optional<Refusal> signal_run(SignalRequest request);
  std::optional<Refusal> report(ReportRequest request);

  // ---- leases ----
  // The attempt that a token names, or nothing when it is none of this cluster's. The caller checks
  // the tenant, decodes the result by `deployment(lease.deployment)`'s task `lease.task` and
  // reports; a result of the wrong type is reported as ReportFailed `Invalid`.
  [[nodiscard]] std::optional<Lease> lease(std::string_view text) const;
  [[nodiscard]] bool lease_covers(const Lease& lease, std::string_view tenant) const;

  // ---- workers: forwarded to the dispatcher; task frames come by the Outbox ----
  void worker_joined(WorkerHello hello);
  void worker_credit(WorkerId worker, std::uint32_t credit);
  // holds: for another lease_ms. stale: it is over, nothing else is said about it. unknown: what
  // its partition owes is not known here (yet); the worker goes on and asks again. The token alone
  // is the right to renew; WorkerId{} stands for somebody without a socket.
  enum class LeaseStanding : std::uint8_t { holds, stale, unknown };
  [[nodiscard]] LeaseStanding worker_renew(WorkerId worker, const Lease& lease);
  // A piece of the attempt's stream, the n-th of this hand-out. One that nobody wants is dropped.
  void stream_piece(const Lease& lease, std::uint64_t n, std::string_view text);
  // Nothing more is handed out to it; its leases go on until they are reported, renewed or run out,
  // and a worker that comes back may reclaim them. `bye`: it will not.
  void worker_left(WorkerId worker, bool bye);

  // ---- client sessions ----
  // From the callback on, this client's deliveries are sent live to the shard until detach. Call
  // detach once per successful attach.
  void attach(AttachRequest request, Callback<Attached> done);
  void detach(std::string_view tenant, std::string_view client, std::string_view session,
              unsigned shard);
  // Everything up to `offset` was handled by this session. Stored within a second, not journaled;
  // survives restarts.
  void ack(std::string_view tenant, std::string_view client, std::string_view session,
           std::uint64_t offset);
  // While it is attached its shard also gets the StreamUpdates of the client's runs. What there is
  // already, of all its open streams or of one (nothing: it has ended):
  [[nodiscard]] std::vector<StreamUpdate> stream_snapshots(std::string_view tenant,
                                                           std::string_view client) const;
  [[nodiscard]] std::optional<StreamUpdate> stream_snapshot(const core::RunId& run,
                                                            std::uint32_t step_number) const;
  // The end of a stream that somebody was told of; nothing while it is open.
  [[nodiscard]] std::optional<StreamUpdate> stream_end(StreamUpdate stream) const;
  void read_deliveries(DeliveryQuery query, Callback<DeliveryPage> done);

  // RunState messages of this run go to the shard until unwatch_run. The present state comes by
  // read_run.
  void watch_run(const core::RunId& run, unsigned shard);
  void unwatch_run(const core::RunId& run, unsigned shard);

  // ---- reads: what is committed; own writes are seen once they were accepted ----
  // Which program a run of this tenant (empty: of any) executes. For live runs of one partition the
  // answers come in the order of the questions.
  void find_program(std::string tenant, Behalf client, const core::RunId& run,
                    Callback<RunProgram> done);
  void read_run(std::string tenant, const core::RunId& run,
                Callback<RunRow> done);  // tenant empty: any
  void read_runs(RunQuery query, Callback<RunPage> done);
  void read_history(std::string tenant, const core::RunId& run, Callback<History> done);
  [[nodiscard]] std::vector<TopicRow> topics() const;
  void read_cluster(Callback<ClusterStatus> done);

  // ---- deployments ----
  // Decodes, verifies and stores the artifact, journals it in every partition and makes it the
  // current one. A refusal is `bad_artifact` (damaged, unverifiable, or of a newer isa),
  // `incompatible` (it would lose a topic or break running runs; `force` overrides), or
  // `unavailable`.
  void deploy(std::string artifact, bool force, Callback<Deployed> done);
  // The one that new events go to; null before the first.
  [[nodiscard]] std::shared_ptr<const Deployment> current_deployment() const;
  // Any that is in memory: those of live runs are, and what was loaded since the start; else null.
  [[nodiscard]] std::shared_ptr<const Deployment> deployment(std::uint32_t number) const;
  // Any that was ever deployed and is still stored, read from the database if need be; null if
  // there is none of that number.
  void load_deployment(std::uint32_t number, Callback<std::shared_ptr<const Deployment>> done);
  // All, ascending.
  void read_deployments(Callback<std::vector<std::shared_ptr<const Deployment>>> done);

  [[nodiscard]] NodeStatus status() const;
  // Opaque; changes only when deliveries may have been lost with the database's tail.
  [[nodiscard]] std::string delivery_epoch() const;

 private:
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::node
