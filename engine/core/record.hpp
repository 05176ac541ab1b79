// A record: one input or decision in a partition's journal, and all that `Partition::apply` sees.
//
// The journal stores `seq`, `time`, `kind`, `verdict`, `core` and `tenant` as columns, `body` as
// bytes. The body begins with a version byte of its kind and is exactly what `encode` of the kind's
// struct below wrote. Kind numbers, verdict numbers and body versions are stored formats: they are
// only ever added to.
//
// The structs hold views: of the caller's strings when encoding, of the record's body when decoded,
// which must outlive them. Values (`data`, `args`, `result`) are vm `encode_value` bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

enum class Kind : std::uint16_t {
  event = 1,
  start = 2,
  signal = 3,
  cancel = 4,
  message = 5,
  message_ack = 6,
  granted = 7,
  done = 8,
  failed = 9,
  lapsed = 10,
  verdict = 11,
  advance = 12,
  go_on = 13,  // `continue`
  presence = 14,
  subscribe = 15,
  unsubscribe = 16,
  cron = 17,
  deployment = 18,
  migrate = 19,
  admin = 20,
  erase = 21,
  core = 22,
  takeover = 23,
  join = 24,
};
// Whether it came from outside, so that its id is an event's (make_event_id).
constexpr bool is_named(Kind kind) {
  return kind == Kind::event || kind == Kind::start || kind == Kind::cancel ||
         kind == Kind::signal || kind == Kind::cron;
}
// The word of engine.md; "unknown" for a number that is none.
std::string_view kind_name(Kind kind);

// What became of the record. `apply` finds `faulted` by itself; the shell gives `suspect` to an
// input that was being applied when the process died twice. The fold obeys whatever is stored, and
// gives `overridden` to a record that a person has decided to skip: it is never stored. `parked` is
// as good as ok: it says that a run which wanted to send waits, because the outbox was full, so
// that the run's history can be told without the partition's.
enum class Verdict : std::uint8_t { ok = 0, faulted = 1, suspect = 2, overridden = 3, parked = 4 };
std::string_view verdict_name(Verdict verdict);
constexpr bool is_sound(Verdict verdict) {
  return verdict == Verdict::ok || verdict == Verdict::parked;
}

struct Record {
  Seq seq = 0;
  TimeUs time = 0;  // never falls within a partition
  Kind kind = Kind::event;
  Verdict verdict = Verdict::ok;
  std::uint16_t core = 0;  // version of apply that it was first applied with
  TenantId tenant{};
  std::string body;
};

// An event for a topic. `topic` is the index in that deployment's program.
struct Event {
  static constexpr Kind kKind = Kind::event;
  DeploymentNumber deployment = 0;
  std::uint32_t topic = 0;
  std::string_view client;  // empty: published without a client
  std::string_view id;      // idempotency key
  std::string_view order_key;
  std::string_view data;
  std::string_view correlation;  // empty: the engine makes one, the event's id
  std::string_view traceparent;
  std::uint64_t ttl_ms = 0;
};

// A run started through the API. `args` is the encoded list of the flow's parameters, in order.
struct Start {
  static constexpr Kind kKind = Kind::start;
  DeploymentNumber deployment = 0;
  std::uint32_t flow = 0;
  std::string_view client;
  std::string_view id;
  std::string_view args;
  std::string_view correlation;
  std::string_view traceparent;
};

struct Cancel {
  static constexpr Kind kKind = Kind::cancel;
  RunId run;
  std::string_view client;  // not empty: only if the run is this client's
  std::string_view id;      // for the history; not deduplicated, a second cancel changes nothing
  std::string_view message;
};

// An event for a `receive` of a live run. `event` is the index in the run's program.
struct Signal {
  static constexpr Kind kKind = Kind::signal;
  RunId run;
  DeploymentNumber deployment = 0;  // whose program `event` and `data` were made for
  std::uint32_t event = 0;
  std::string_view client;  // not empty: only if the run is this client's
  std::string_view id;      // idempotency key, within the run
  std::string_view data;
};

// The client of a run is away: its last socket went, and none came for the time of grace. Or it is
// back. For a run that receives `Away` or `Back` of std.presence, when it knows otherwise.
struct Presence {
  static constexpr Kind kKind = Kind::presence;
  RunId run;
  bool away = false;
  TimeUs since =
      0;  // when the last socket went, or the first came; may be before the run's beginning
};

// An unsafe attempt was promised to a worker: from here on it may have begun.
struct Granted {
  static constexpr Kind kKind = Kind::granted;
  RunId run;
  StepNumber step = 0;
  std::uint32_t attempt = 0;
  Seq opened = 0;  // seq of the record that opened the attempt; part of what a lease names
};

// A worker's result. `nonce` tells which hand-out of the attempt reported.
struct Done {
  static constexpr Kind kKind = Kind::done;
  RunId run;
  StepNumber step = 0;
  std::uint32_t attempt = 0;
  Seq opened = 0;
  std::uint64_t args_digest = 0;
  std::uint64_t nonce = 0;
  std::string_view result;
};

struct Failed {
  static constexpr Kind kKind = Kind::failed;
  RunId run;
  StepNumber step = 0;
  std::uint32_t attempt = 0;
  Seq opened = 0;
  std::uint64_t args_digest = 0;
  std::uint64_t nonce = 0;
  std::string_view kind;
  std::string_view message;
  bool retry = false;
  std::uint32_t retry_after_ms = 0;
};

enum class LapseReason : std::uint8_t {
  lost = 0,       // its lease ran out
  timed_out = 1,  // its time was up
  queued = 2,     // no worker took it in time
};

// The dispatcher gave an attempt up.
struct Lapsed {
  static constexpr Kind kKind = Kind::lapsed;
  RunId run;
  StepNumber step = 0;
  std::uint32_t attempt = 0;
  Seq opened = 0;
  LapseReason reason = LapseReason::lost;
};

// Of two attempts of a `stream` step this one was the first to say something: it speaks, and no
// other is begun or goes on beside it.
struct Spoke {
  static constexpr Kind kKind = Kind::verdict;
  RunId run;
  StepNumber step = 0;
  std::uint32_t attempt = 0;
  Seq opened = 0;
};

// Which timer of a run. The order of the numbers is the order in which timers of one instant fire.
struct TimerNumber {
  enum class Kind : std::uint8_t {
    flow_timeout = 0,
    on_failure = 1,
    within = 2,
    backoff = 3,
    hedge = 4,
    admission = 5,  // under `concurrency`
    wait = 8,       // the program's own: sleep, deadline
    mail = 9        // the outbox has room: a run that waits for that goes on
  };
  Kind kind = Kind::flow_timeout;
  // Of `within`, `backoff` and `hedge`; of `wait` the number of the program's timer; of `admission`
  // a Move (admission.hpp).
  StepNumber step = 0;

  // As ordered by engine.md's (due, run, n).
  std::uint64_t n() const { return std::uint64_t{step} << 4 | static_cast<std::uint64_t>(kind); }
  static TimerNumber from_n(std::uint64_t n) {
    return {static_cast<Kind>(n & 15), static_cast<StepNumber>(n >> 4)};
  }
  friend bool operator==(const TimerNumber&, const TimerNumber&) = default;
};

// Time went on, and the partition's first timer fires: exactly one per record, so that a record
// touches one run. The body names it for readers; `apply` checks that it is the first.
struct Advance {
  static constexpr Kind kKind = Kind::advance;
  TimeUs to = 0;  // not before the timer's due; the record's own time is not before `to`
  RunId run;
  std::uint64_t timer = 0;  // TimerNumber::n()
};

// A schedule came due: the flow is started, once for the instant. Of several that were missed only
// the last one is told.
struct Cron {
  static constexpr Kind kKind = Kind::cron;
  DeploymentNumber deployment = 0;
  std::uint32_t flow = 0;
  TimeUs instant = 0;
};

// A deployment is stored and verified; events that name it may follow.
struct DeploymentRecord {
  static constexpr Kind kKind = Kind::deployment;
  DeploymentNumber deployment = 0;
  std::string_view hash;  // SHA-256 of the artifact, 32 bytes
};

// From another partition's outbox: number `n` on the way from `source` to here.
struct Message {
  static constexpr Kind kKind = Kind::message;
  PartitionId source{};
  std::uint64_t n = 0;    // from 1, taken only as last + 1
  std::string_view body;  // an Envelope (message.hpp)
};

// Everything up to `n` on the way to `destination` has been taken there.
struct MessageAck {
  static constexpr Kind kKind = Kind::message_ack;
  PartitionId destination{};
  std::uint64_t n = 0;
};

// From the next record on, this version of `apply`; a checkpoint follows at once.
struct CoreSwitch {
  static constexpr Kind kKind = Kind::core;
  std::uint16_t to = 0;
};

// The first record of a new owner.
struct Takeover {
  static constexpr Kind kKind = Kind::takeover;
  std::uint64_t epoch = 0;
};

std::string encode(const Event& body);
std::string encode(const Start& body);
std::string encode(const Cancel& body);
std::string encode(const Signal& body);
std::string encode(const Presence& body);
std::string encode(const Granted& body);
std::string encode(const Done& body);
std::string encode(const Failed& body);
std::string encode(const Lapsed& body);
std::string encode(const Spoke& body);
std::string encode(const Advance& body);
std::string encode(const Cron& body);
std::string encode(const DeploymentRecord& body);
std::string encode(const Message& body);
std::string encode(const MessageAck& body);
std::string encode(const CoreSwitch& body);
// Under `concurrency … joins`, between a run under way and one that waits to begin, made like an
// advance when the time has come. Each is of one run's history: `run`'s.
struct Join {
  static constexpr Kind kKind = Kind::join;
  enum class What : std::uint8_t {
    signal = 1,      // the event of `other`, which waits, becomes a signal of `run`
    taken_back = 2,  // `other` does not wait any more: that signal goes, if it is still there
    joined = 3,      // `run` waited, and its event went to `other`
  };
  What what = What::signal;
  RunId run;
  RunId other;
  std::uint32_t event = 0;  // of `signal`: index in the program of `run`
  std::string_view data;    // likewise: encode_value of the event
};

std::string encode(const Takeover& body);
std::string encode(const Join& body);

// Nothing when the bytes are not what `encode` writes: cut, too long, an unknown version, a number
// out of range. Never reads outside `bytes`. Defined for each struct above.
template <class Body>
std::optional<Body> decode(std::string_view bytes);
template <>
std::optional<Event> decode<Event>(std::string_view bytes);
template <>
std::optional<Start> decode<Start>(std::string_view bytes);
template <>
std::optional<Cancel> decode<Cancel>(std::string_view bytes);
template <>
std::optional<Signal> decode<Signal>(std::string_view bytes);
template <>
std::optional<Presence> decode<Presence>(std::string_view bytes);
template <>
std::optional<Granted> decode<Granted>(std::string_view bytes);
template <>
std::optional<Done> decode<Done>(std::string_view bytes);
template <>
std::optional<Failed> decode<Failed>(std::string_view bytes);
template <>
std::optional<Lapsed> decode<Lapsed>(std::string_view bytes);
template <>
std::optional<Spoke> decode<Spoke>(std::string_view bytes);
template <>
std::optional<Advance> decode<Advance>(std::string_view bytes);
template <>
std::optional<Cron> decode<Cron>(std::string_view bytes);
template <>
std::optional<DeploymentRecord> decode<DeploymentRecord>(std::string_view bytes);
template <>
std::optional<Message> decode<Message>(std::string_view bytes);
template <>
std::optional<MessageAck> decode<MessageAck>(std::string_view bytes);
template <>
std::optional<CoreSwitch> decode<CoreSwitch>(std::string_view bytes);
template <>
std::optional<Takeover> decode<Takeover>(std::string_view bytes);
template <>
std::optional<Join> decode<Join>(std::string_view bytes);

// The record's kind and encoded body; seq, time and core are given when it is taken.
template <class Body>
Record make_record(TenantId tenant, const Body& body) {
  Record record;
  record.kind = Body::kKind;
  record.tenant = tenant;
  record.body = encode(body);
  return record;
}

// The chain over a partition's journal, one link per batch: kept on the batch's last record and
// checked against the tip by the next append. Depends on every stored field of every record. It
// finds accidents (a hole, a batch of another history), not forgery. The chain of an empty journal
// is {}.
class ChainLink {
 public:
  explicit ChainLink(const Hash128& previous);
  void add(const Record& record);  // in order, after its verdict is known
  Hash128 finish();                // once

 private:
  SipHasher128 hasher_;
};

}  // namespace sluice::core
