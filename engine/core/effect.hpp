// Effects: what `apply` asks the shell to do. Plain data; no effect holds anything of the
// partition.
//
// Every effect carries the seq it depends on and leaves only once that record is durable
// (engine.md 2); an `early` Offer alone need not. Those with an obligation in the partition's state
// (Offer, Send) are made again by `Partition::reissue` after a fold; a Delivery is a row of the
// append itself; all others may be lost with the process.
//
// While folding, effects are made again only to be compared by digest; the shell drops them, except
// RunChanged, which brings the projection up to date.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/core/ids.hpp"

namespace sluice::core {

// Where an answer goes: a connection's shard, the connection, and whatever tells its request.
// Opaque to the engine, never journaled. All zero: nobody waits; the answer is made all the same
// (its digest must not depend on who listens), and the shell drops it.
struct Reply {
  std::uint32_t shard = 0;
  std::uint64_t connection = 0;
  std::uint64_t token = 0;

  bool wanted() const { return shard != 0 || connection != 0 || token != 0; }
  friend bool operator==(const Reply&, const Reply&) = default;
};

// Names one attempt for ever.
struct AttemptKey {
  PartitionId partition{};
  RunId run;
  StepNumber step = 0;
  std::uint32_t attempt = 0;

  friend bool operator==(const AttemptKey&, const AttemptKey&) = default;
};
struct AttemptKeyHash {
  std::size_t operator()(const AttemptKey& key) const {
    return IdHash{}(key.run) ^ (std::uint64_t{key.step} << 32 | key.attempt) * 0x9e3779b97f4a7c15;
  }
};

// The event, start, cancel or signal is taken. A duplicate carries the first answer and the first
// one's seq.
struct Accepted {
  Seq seq = 0;  // also what the client is told
  Reply reply;
  EventId event;
  std::vector<RunId> runs;
  std::string correlation;
  bool duplicate = false;
};

// Why a thing was not taken. Each is a word of the registry in docs/.
enum class Refusal : std::uint8_t {
  busy,
  invalid,
  too_large,
  unknown_topic,
  unknown_flow,
  unknown_run,
  unavailable,
  unexpected,  // no `receive` of the run names the event
  expired,
};
std::string_view refusal_word(Refusal refusal);

struct Rejected {
  Seq seq = 0;
  Reply reply;
  Refusal code = Refusal::invalid;
  std::string message;
  std::uint32_t retry_after_ms = 0;  // of `busy`
};

// Hand this attempt to a worker. `seq` is the record that asked for it; after a fold it is the seq
// folded to, while `opened` stays what it was. An `early` one is the exception to the rule above:
// its task changes nothing outside, so it may leave at once, also for a record that is then lost.
struct Offer {
  Seq seq = 0;
  AttemptKey key;
  Seq opened = 0;  // the record that opened the attempt; part of the lease
  TenantId tenant{};
  DeploymentNumber deployment = 0;
  std::uint32_t task_index = 0;  // in that deployment's program
  std::string task;
  bool stream = false;  // its worker's pieces go to the client
  // Of a stream: pieces wait until Spoke is journaled, because another attempt may speak first.
  bool undecided = false;
  bool safe = false;               // idempotent or keyed: may be handed out again
  bool early = false;              // readonly, and just opened: need not wait for its record
  bool granted = false;            // only after a fold: not safe, and perhaps handed out before
  bool reissued = false;           // only after a fold: an earlier owner may have handed it out
  std::uint32_t timeout_ms = 0;    // of the attempt, from its hand-out; 0: none
  std::uint32_t heartbeat_ms = 0;  // lease time that the task asks for; 0: the engine's
  TimeUs queue_deadline = 0;       // record time until which it waits for a worker; 0: for ever
  TimeUs step_deadline = 0;        // record time at which `within` or the flow ends it; 0: none
  std::uint64_t args_digest = 0;   // part of the lease
  std::string path;                // of the step
  std::string step_key;            // the same for every attempt of the step
  std::string args_json;           // a JSON array
  std::string client;
  std::string correlation;
  std::string traceparent;
  std::string flow;
};

// The attempt is closed (or its step is): take it back from the dispatcher and tell its worker.
struct Revoke {
  Seq seq = 0;
  AttemptKey key;
  std::string why;  // cancelled, timed_out, superseded, …
};

// The Granted record of an unsafe attempt is durable: the dispatcher may hand it out.
struct GrantCommitted {
  Seq seq = 0;
  AttemptKey key;
};

// The report counts (also one that came again), and the worker may forget it.
struct Settled {
  Seq seq = 0;
  Reply reply;
};
// The report came too late, or names nothing that is open.
struct Stale {
  Seq seq = 0;
  Reply reply;
};

// The answer to whoever asked for a run that could not give one of its own.
inline constexpr std::string_view kEngineFailed = "sluice.failed";

// The next message to a client: a row of table `delivery` (partition, number, offset), written by
// the same statement as the record, and what live sessions are sent once that is durable.
struct Delivery {
  Seq seq = 0;
  TenantId tenant{};
  std::string client;
  ClientNumber client_number = 0;
  std::uint64_t offset = 0;  // from 1 per client, without gaps
  std::string name;          // of the event, or "sluice.failed"
  std::string data_json;
  RunId run;
  std::string correlation;
  std::string causation;
  bool outcome = false;
};

// Body of the delivery row: everything but seq, client number and offset, which are columns.
std::string encode_delivery(const Delivery& delivery);
// Fills those fields; false if the bytes are not what encode_delivery writes.
bool decode_delivery(std::string_view bytes, Delivery& delivery);

// To another partition's inbox, as the body of its Message record {source, n, body}. Sent again
// after a fold and, by the shell, until acknowledged.
struct Send {
  Seq seq = 0;
  TenantId tenant{};
  PartitionId destination{};
  std::uint64_t n = 0;
  std::string body;
};

// Tells `source` that everything up to n has been taken here. Cumulative: only the highest counts,
// so the shell may wait and coalesce; it becomes a MessageAck record there.
struct Acknowledge {
  Seq seq = 0;
  PartitionId source{};
  std::uint64_t n = 0;
};

enum class RunState : std::uint8_t {
  running = 1,
  waiting = 2,
  retrying = 3,
  compensating = 4,
  completed = 5,
  failed = 6,
  cancelled = 7,
  superseded = 8,
  joined = 9,  // its event went to another run, which answers
};
// The protocol's word.
std::string_view run_state_word(RunState state);
constexpr bool is_final(RunState state) {
  return state >= RunState::completed;
}

// A row of the projection `run`.
struct RunRow {
  RunId run;
  Seq as_of = 0;     // true as of this record; a row with a higher one replaces it
  Seq last_seq = 0;  // the run's newest record: history walks from here by run_prev
  TenantId tenant{};
  DeploymentNumber deployment = 0;
  std::string flow;
  std::string client;
  RunState state = RunState::running;
  std::string step;  // path of the oldest open step
  std::uint32_t attempt = 0;
  TimeUs wake = 0;  // next timer; 0: none
  TimeUs started = 0;
  TimeUs ended = 0;
  std::string why;  // the failure, as "Kind: message"
  std::string outcome_name;
  std::string outcome_json;
  std::string correlation;
  RunId joined;  // of state joined: the run that it joined; else nil
};

// The run ended. Rows of live runs are fetched by Partition::changed_runs instead, at the
// projection's own pace.
struct RunChanged {
  Seq seq = 0;
  RunRow row;
};

// A step that streams has ended; its client is told so, once.
enum class StreamEnd : std::uint8_t { complete = 1, failed = 2, cancelled = 3 };
struct StreamEnded {
  Seq seq = 0;
  PartitionId partition{};
  RunId run;
  StepNumber step = 0;
  StreamEnd how = StreamEnd::complete;
};

// Nothing more may be tried: a compensation failed for good, or the run was given up by a fault.
struct DeadLettered {
  Seq seq = 0;
  TenantId tenant{};
  RunId run;
  std::string flow;
  std::string path;  // of the step; empty: the run itself
  std::string kind;
  std::string message;
};

// A line that the run wrote with `log`: for its history, and for the log of the engine.
struct LogLine {
  Seq seq = 0;
  TenantId tenant{};
  RunId run;
  std::string flow;
  std::string path;  // where in the run
  std::string text;  // vm::kLogTextBytesMax at most
};

// The run receives `Away` or `Back` of std.presence: from now until its RunChanged, whoever knows
// its client's sockets journals a Presence whenever it is otherwise than the run was last told.
struct PresenceWanted {
  Seq seq = 0;
  TenantId tenant{};
  std::string client;
  RunId run;
  bool told_away = false;
  bool reissued = false;  // only after a fold: its client may be on its way to this owner
};

using Effect =
    std::variant<Accepted, Rejected, Offer, Revoke, GrantCommitted, Settled, Stale, Delivery, Send,
                 Acknowledge, RunChanged, DeadLettered, StreamEnded, LogLine, PresenceWanted>;
using Effects = std::vector<Effect>;

inline Seq seq_of(const Effect& effect) {
  return std::visit([](const auto& e) { return e.seq; }, effect);
}

}  // namespace sluice::core
