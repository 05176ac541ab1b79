// What the gateway asks of a node, and what it is told.
//
// Everything here is plain data. Requests are built on gateway threads and handed to Node
// (node.hpp), which never blocks; answers come back through Outbox::emit, from apply threads, once
// per committed batch and gateway shard, or through the callback of the call. Values cross as
// canonical binary bytes (vm/value.hpp `encode_value`): JSON is parsed and checked on the gateway's
// own threads.
//
// Times in `_us` are microseconds since 1970 UTC by the database's clock; those in `_ms` are
// durations.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/node/lease.hpp"
#include "vm/verifier.hpp"

namespace sluice::node {

using core::Reply;

// A word of the registry of codes (docs/protocols): what a client can react to. `retry_after_ms` is
// 0 where the code carries none.
struct Refusal {
  std::string code;
  std::string message;
  std::uint32_t retry_after_ms = 0;
};

// ---- requests --------------------------------------------------------------------------------

struct PublishRequest {
  std::string tenant;
  std::string client;            // empty: published without a client (a back end)
  std::uint32_t topic = 0;       // index in the deployment's program
  std::uint32_t deployment = 0;  // against which `data` was decoded and `order_key` computed
  std::string id;                // idempotency key, 1 to 200 bytes
  std::string order_key;         // the topic's ordering key; for `order by client` the client
  std::string data;              // encode_value of the event
  std::string correlation;  // 1 to 128 visible ASCII; empty: the engine makes one (the event's id)
  std::string traceparent;
  std::uint64_t ttl_ms = 0;  // 0: none
  Reply reply;
};

struct StartRequest {
  std::string tenant;
  std::string client;
  std::uint32_t flow = 0;  // index in the deployment's program
  std::uint32_t deployment = 0;
  std::string id;    // idempotency key; empty: made by the node, so that each request starts a run
  std::string args;  // encode_value of the list of parameters, in the flow's order
  std::string correlation;
  std::string traceparent;
  Reply reply;
};

// On whose behalf: of this client, and then only its own runs; nothing: an operator's, any run.
// An empty name is nobody's, so that a name which was never filled in reaches no run.
using Behalf = std::optional<std::string>;

struct CancelRequest {
  std::string tenant;  // a run of another tenant is `unknown_run`
  Behalf client;
  core::RunId run;
  std::string id;  // shown in the history; may be empty
  std::string message;
  Reply reply;
};

// An event for a `receive` of a live run. `deployment` is the run's own (Node::find_program).
struct SignalRequest {
  std::string tenant;
  Behalf client;
  core::RunId run;
  std::uint32_t deployment = 0;
  std::uint32_t event = 0;  // index in that deployment's program
  std::string id;           // idempotency key, within the run; empty: made by the node
  std::string data;         // encode_value of the event
  Reply reply;
};

// A worker's report about the attempt that its lease names (lease.hpp says how to read one).
struct ReportDone {
  std::string result;  // encode_value of the task's result type; empty where the task has none
};
struct ReportFailed {
  std::string kind;
  std::string message;
  bool retry = false;
  std::uint32_t retry_after_ms = 0;
};
struct ReportRequest {
  Lease lease;
  std::variant<ReportDone, ReportFailed> outcome;
  Reply reply;  // answered by Settled or Stale
};

using core::WorkerId;

// A worker's socket. The gateway chooses the id (unique in this process for ever) and names the
// shard that owns the socket.
struct WorkerHello {
  WorkerId worker{};
  unsigned shard = 0;
  std::string name;                // what the worker calls itself, for status and logs
  std::string tenant;              // "*" serves every tenant
  std::vector<std::string> tasks;  // names; not deployed yet is fine
  std::uint32_t credit = 0;
  std::vector<Lease> reclaim;  // those that no longer hold are answered by StaleLease frames
};

// ---- what goes out ---------------------------------------------------------------------------

struct Accepted {  // the event, start, cancel or signal is durable
  Reply reply;
  std::string event;  // id of the event
  std::uint64_t seq = 0;
  std::vector<core::RunId> runs;
  std::string correlation;
  bool duplicate = false;
};
struct Rejected {
  Reply reply;
  Refusal refusal;
};
struct Settled {
  Reply reply;
};
struct Stale {
  Reply reply;
};

// One numbered message to a client. Live ones are sent to every shard at which a session of the
// client is attached; offsets of one client rise by 1, but a live one may be missing (the session
// was attached between two): read the gap with Node::read_deliveries.
struct Delivery {
  std::string tenant;
  std::string client;
  std::uint64_t offset = 0;  // from 1
  std::string name;          // of the event
  std::string data_json;
  core::RunId run;
  std::string correlation;
  std::string causation;
  bool outcome = false;
};

struct TaskFrame {
  WorkerId worker{};
  std::string lease;
  std::string task;
  std::string args_json;  // a JSON array
  std::uint32_t attempt = 1;
  std::uint32_t lease_ms = 0;
  std::uint64_t deadline_ms = 0;  // left when the frame was made; 0: no deadline
  std::string key;
  std::string tenant;
  std::string client;
  core::RunId run;
  std::string step;  // the path
  std::string correlation;
  std::string traceparent;
};
struct CancelTask {
  WorkerId worker{};
  std::string lease;
  std::string why;
};
struct StaleLease {  // answers a `reclaim` that no longer holds
  WorkerId worker{};
  std::string lease;
};

// A run that somebody on this shard watches (Node::watch_run) changed.
struct RunState {
  core::RunId run;
  std::string state;  // the words of the protocol
  std::string step;
  std::uint32_t attempt = 0;
  std::string why;
  bool ended = false;
  std::string outcome_name;  // when ended with an outcome
  std::string outcome_json;
  core::RunId joined;  // of state `joined`: the run that it joined; else nil
};

// A live stream of one of the client's runs went on (stream_desk.hpp). Ephemeral: a socket that is
// slow may leave pieces out and ask for a snapshot.
struct StreamUpdate {
  enum class What : std::uint8_t { open, reset, piece, snapshot, complete, failed, cancelled };
  What what = What::piece;
  std::string tenant;
  std::string client;
  core::RunId run;
  std::uint32_t step_number = 0;  // with the run: which stream
  std::string step;               // its path
  std::uint32_t attempt = 1;
  // Of the attempt and hand-out that are shown: one that is lower than what was seen is over.
  std::uint64_t order = 0;
  std::uint64_t at = 0;  // of a piece: where in the text it begins, bytes
  std::string text;      // of a piece; of a snapshot: all so far
};

using Outgoing = std::variant<Accepted, Rejected, Settled, Stale, Delivery, TaskFrame, CancelTask,
                              StaleLease, RunState, StreamUpdate>;

// Implemented by the gateway. emit() is called from the node's threads, with an internal lock held:
// it must only queue (swap the vector into a mailbox and wake the shard) and must not call the
// Node. Messages of one shard are to be handled in the order they came.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual void emit(unsigned shard, std::vector<Outgoing>&& messages) = 0;
};

// ---- deployments -----------------------------------------------------------------------------

struct Deployment {
  std::uint32_t number = 0;  // from 1, in order of deployment
  std::string hash;          // 64 hex digits, the artifact's SHA-256
  core::TimeUs created_us = 0;
  std::shared_ptr<const vm::VerifiedProgram> program;  // never null
};
// What a run executes: its deployment does not change while it lives.
struct RunProgram {
  std::string tenant;
  std::shared_ptr<const Deployment> deployment;  // never null
  std::string flow;
};
struct Deployed {
  std::shared_ptr<const Deployment> deployment;
  bool known = false;  // the same hash was there before: nothing changed
};

// ---- reads -----------------------------------------------------------------------------------

struct RunRow {
  core::RunId run;
  std::string tenant;
  std::string client;
  std::string flow;
  std::string hash;  // of its artifact
  std::string state;
  std::string step;  // the open step, if any
  std::uint32_t attempt = 0;
  std::int64_t started_us = 0;
  std::int64_t ended_us = 0;  // 0: alive
  std::int64_t wake_us = 0;   // 0: none
  // The open step's task, and its pool, if no worker offers that task at present; else empty.
  std::string unserved_task;
  std::string unserved_pool;
  std::string why;
  std::string correlation;
  std::string outcome_name;
  std::string outcome_json;
  core::RunId joined;  // of state `joined`; else nil
};
struct RunQuery {
  std::string tenant;  // empty: all
  std::string state;   // empty: all; likewise the next ones
  std::string flow;
  std::string correlation;
  Behalf client;
  std::int64_t since_us = 0;
  std::string cursor;
  std::uint32_t limit = 100;  // at most kRunPageMax
};
struct RunPage {
  std::vector<RunRow> items;
  std::string next;  // empty: the last page
};

struct HistoryRow {
  std::uint64_t seq = 0;
  std::int64_t time_us = 0;
  std::string kind;     // event, start, done, …
  std::string verdict;  // ok, faulted, …
  std::string step;     // the path, where the record is about a step
  std::uint32_t attempt = 0;
  std::string causation;
  std::string data_json;  // an object
};
struct History {
  RunRow run;
  std::vector<HistoryRow> items;  // by seq
  bool complete = true;           // false: older records were dropped by retention
};

// What an attaching session is told.
struct Attached {
  std::string epoch;          // opaque; a resume of another epoch is not recovered
  std::uint64_t offset = 0;   // deliveries after this one begin
  std::uint64_t highest = 0;  // the client's greatest offset now
  bool recovered = true;
};
struct AttachRequest {
  std::string tenant;
  std::string client;
  // The gateway's or the client's own, opaque. Empty: a reader that keeps its place itself and
  // never acknowledges; nothing is stored about it, so nothing waits for it.
  std::string session;
  unsigned shard = 0;
  bool resume = false;
  std::string resume_epoch;
  std::uint64_t resume_offset = 0;
};

struct DeliveryQuery {
  std::string tenant;
  std::string client;
  std::uint64_t after = 0;
  std::uint32_t limit = 256;  // at most kDeliveryPageMax
  // No further one is added to a page that has this many bytes; at most kDeliveryPageBytesMax.
  std::uint64_t bytes = std::uint64_t{1} << 20;
};
struct DeliveryPage {
  std::vector<Delivery> items;  // by offset; at least one, if there is one after the query's
  bool more = false;            // there may be further ones behind the last
};

struct TopicRow {
  std::string name;
  std::string order;  // "client" or "key"
  std::int64_t dedupe_ms = 0;
  std::int64_t retain_ms = 0;
};

struct PartitionRow {
  unsigned partition = 0;
  std::string owner;
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;  // of its last durable record, where this node owns it
  std::string state;      // serving, recovering, halted, elsewhere
  std::string why;
};
struct ClusterStatus {
  std::string id;
  unsigned partitions = 0;
  std::string node;
  std::string durability;  // what `accepted` means here, in words
  std::vector<std::string> warnings;
  std::vector<PartitionRow> items;
};

enum class Health : std::uint8_t {
  starting,  // recovering
  serving,
  degraded,       // serving, but a partition is halted or owned elsewhere
  database_gone,  // state kept; sends are refused when the bounds are reached
  stopping,
  stopped,
};

// Counters since the start, for /metrics. Cheap to read.
struct NodeCounters {
  std::uint64_t records = 0;
  std::uint64_t batches = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t tasks_handed_out = 0;
  std::uint64_t reports_settled = 0;
  std::uint64_t reports_stale = 0;
  std::uint64_t attempts_lapsed = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t append_bytes = 0;
  std::uint64_t append_retries = 0;  // batches sent again
  std::uint64_t reconnects = 0;
  std::uint64_t commit_us_total = 0;     // from send to answer, summed over batches
  std::uint64_t inbox_depth = 0;         // now
  std::uint64_t runs_live = 0;           // now
  std::uint64_t partitions_serving = 0;  // here, now
  std::uint64_t partitions_halted = 0;   // here, now: each waits for a person
  std::uint64_t recovery_us = 0;         // of the last start, until all were running
  std::uint64_t recovered_records = 0;
};

struct NodeStatus {
  Health health = Health::starting;
  std::string why;  // one sentence when not serving
  std::vector<std::string> warnings;
  NodeCounters counters;
};

}  // namespace sluice::node
