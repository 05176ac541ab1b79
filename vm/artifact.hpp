#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "vm/hash.hpp"
#include "vm/ops.hpp"
#include "vm/types.hpp"
#include "vm/value.hpp"

// A compiled program, and its stored form, the artifact.
//
// Version history of the format (kArtifactFormat):
//   1  first version
//   2  step sites that run flows
namespace sluice::vm {

inline constexpr std::string_view kArtifactMagic{"SLUICE\0\1", 8};
inline constexpr uint16_t kArtifactFormat = 2;
// Features that a program may require; one that is not in this list is refused by name. Append with
// the issue that executes it.
inline constexpr std::string_view kFeatures[] = {"breaker", "core",     "limit",
                                                 "migrate", "priority", "slots"};
// Those of them that the engine executes. A program that needs another is well-formed; a deployment
// of it is refused, by the feature's name.
inline constexpr std::string_view kExecutedFeatures[] = {"core"};

inline constexpr uint16_t kNoRegister = 0xffff;

// Words of `priority`, by number; on the wire they are words. Numbers are stored: append only.
inline constexpr std::string_view kPriorities[] = {"low", "normal", "high"};
inline constexpr uint8_t kPriorityNormal = 1;
// Runs that wait under `concurrency` without a mode.
inline constexpr uint32_t kWaitingMax = 1000;

// Numbers are stored: append only.
enum class FunctionKind : uint8_t {
  pure = 0,  // fn, constraint, ordering key, constant: only `pure` and `ends` instructions without
             // finish
  flow = 1,  // body of a flow; parameters are the flow's; leaves by finish or finish_bare
  branch = 2,  // of `parallel`; parameters are its captured values; its value is what it returns
  compensation = 3,  // `compensate` or `unsure` block; parameters are its captured values
  handler = 4        // `on failure`; parameters are the flow's, then `why` (record kFailureRecord)
};

// Where the fiber goes on when something happens while it stands inside [begin_pc, end_pc) of the
// same function. A failure is taken by the innermost handler, that is the first in the list that
// covers the pc; so list inner ones before outer ones. Cancellation is not caught.
struct Handler {
  uint32_t begin_pc = 0;
  uint32_t end_pc = 0;
  uint32_t handler_pc = 0;
  // Of a failure: gets the Failure record, unless kNoRegister. Of a deadline: holds the number of
  // the timer (start_deadline).
  uint16_t failure_register = kNoRegister;
  uint8_t flags = kHandlerFailure;
  friend bool operator==(const Handler&, const Handler&) = default;

  static constexpr uint8_t kHandlerFailure = 1;   // `fallback`, `catch`
  static constexpr uint8_t kHandlerDeadline = 2;  // the timer is up
};

// From `pc` on, until the next entry, code comes from this place. Rising by pc.
struct LineEntry {
  uint32_t pc = 0;
  uint32_t source = 0;  // index into Program::sources
  uint32_t line = 0;    // from 1
  uint32_t column = 0;  // from 1, in code points
  friend bool operator==(const LineEntry&, const LineEntry&) = default;
};

struct Function {
  std::string name;  // for people: "support.answer.prompt", "answer", "answer/hold/undo"
  FunctionKind kind = FunctionKind::pure;
  uint16_t parameters = 0;  // in registers 0 … parameters-1
  uint16_t registers = 0;   // in all
  // flow: its name. branch: its name within the parallel block, or "" for a step that stands there
  // without one. Others: "". Steps' paths are made of them.
  std::string segment;
  std::vector<Instruction> code;
  std::vector<Handler> handlers;
  std::vector<LineEntry> lines;
  friend bool operator==(const Function&, const Function&) = default;
};

struct Parameter {
  std::string name;
  TypeId type;
  friend bool operator==(const Parameter&, const Parameter&) = default;
};

// What makes of an event of an older version one of a newer.
struct EventUpgrade {
  uint32_t from = 0;
  uint32_t to = 0;
  TypeId type;            // of what is sent in version `from`
  uint32_t function = 0;  // pure, of that type, to the record of version `to`
  friend bool operator==(const EventUpgrade&, const EventUpgrade&) = default;
};

struct EventInfo {
  std::string name;  // on the wire
  uint32_t version = 1;
  uint32_t record = 0;
  std::vector<EventUpgrade> upgrades;  // rising by `from`; each leads on, at last to `version`

  // Null if there is none from that version.
  const EventUpgrade* upgrade_of(uint32_t from) const {
    for (const EventUpgrade& upgrade : upgrades) {
      if (upgrade.from == from) return &upgrade;
    }
    return nullptr;
  }
  friend bool operator==(const EventInfo&, const EventInfo&) = default;
};

// By what a bound counts. Numbers are stored: append only.
enum class Per : uint8_t { client = 0, tenant = 1, key = 2 };

// So many in so much time.
struct RateLimit {
  uint64_t count = 0;
  uint64_t per_ms = 0;
  uint64_t burst = 0;  // 0: `count`
  Per per = Per::client;
  // Of Per::key: the pure function of the event, or of the flow's parameters -> string or int.
  std::optional<uint32_t> key_function;
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// What becomes of one more when `runs` of its key go on. Numbers are stored: append only.
enum class Overload : uint8_t { wait = 0, newest_wins = 1, queue = 2, reject = 3, joins = 4 };

// How many runs of a flow go on at once for one client, tenant or key.
struct Concurrency {
  uint32_t runs = 1;
  Overload overload = Overload::wait;
  uint32_t waiting = kWaitingMax;  // so many wait at most
  Per per = Per::client;
  std::optional<uint32_t> key_function;  // as RateLimit's
  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};

// By the clock: five fields of cron (vm/cron.hpp) in a zone of the IANA database.
struct Schedule {
  std::string cron;
  std::string zone;
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

struct Breaker {
  uint32_t percent = 0;
  uint32_t calls = 0;
  uint64_t within_ms = 0;
  uint64_t cooldown_ms = 0;
  friend bool operator==(const Breaker&, const Breaker&) = default;
};

struct TopicInfo {
  std::string name;
  uint32_t event = 0;
  // Orders by the value of this pure function (event record) -> string or int; by client if there
  // is none.
  std::optional<uint32_t> order_function;
  uint64_t dedupe_ms = 0;
  uint64_t retain_ms = 0;
  uint64_t ttl_ms = 0;  // 0: none
  std::optional<RateLimit> limit;
  friend bool operator==(const TopicInfo&, const TopicInfo&) = default;
};

struct PoolInfo {
  std::string name;
  uint32_t slots = 0;  // 0: no bound
  friend bool operator==(const PoolInfo&, const PoolInfo&) = default;
};

struct TaskInfo {
  std::string name;
  std::vector<Parameter> parameters;
  TypeId result = kTypeNone;  // kTypeNone: a task without result
  uint32_t pool = 0;
  std::vector<std::string> kinds;  // failure kinds that it declares
  friend bool operator==(const TaskInfo&, const TaskInfo&) = default;
};

struct FlowInfo {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t function = 0;
  std::optional<uint32_t> on_failure;  // function of kind handler
  std::vector<uint32_t> outcomes;      // events; empty: none
  std::optional<uint32_t> trigger;     // topic; its event's record is then the only parameter
  uint64_t timeout_ms = 0;             // 0: none
  uint64_t ttl_ms = 0;                 // 0: none
  std::optional<Concurrency> concurrency;
  std::optional<Schedule> schedule;  // then it has neither trigger nor parameters
  std::optional<RateLimit> limit;
  friend bool operator==(const FlowInfo&, const FlowInfo&) = default;
};

// One `step` in the text, with the policies that hold there (task's and step's resolved). Times in
// ms, 0: none.
struct StepSite {
  std::string name;  // last part of its path
  uint32_t task = 0;
  uint64_t timeout_ms = 0;    // one attempt, from its lease
  uint64_t within_ms = 0;     // the whole step, from reaching it
  uint64_t queue_ms = 0;      // waiting for a worker
  uint64_t heartbeat_ms = 0;  // lease time
  uint32_t attempts = 1;      // in all
  uint64_t backoff_min_ms = 0;
  uint64_t backoff_max_ms = 0;
  uint32_t backoff_factor_milli = 2000;
  bool jitter = false;
  std::vector<std::string> retry_on;  // kinds; empty: the default of protocols.md
  bool idempotent = false;
  // Changes nothing outside, so it may also be done for a record that is then lost: it is offered
  // before its record is committed. Implies idempotent.
  bool readonly = false;
  bool keyed = false;
  bool has_key_expr = false;  // the key's register follows the arguments
  bool keep = false;
  bool has_compensation = false;
  bool has_unsure = false;
  bool stream = false;
  uint64_t hedge_after_ms = 0;  // one more attempt after so long; 0: none
  // What that attempt does, if not the same: its task, `timeout`, `queue` and `heartbeat` count.
  // Its arguments follow the step's (and the key). It has neither key nor hedge of its own.
  std::optional<uint32_t> hedge_site;
  // A step that runs a flow: `task` is 0 then, and means nothing. Its value is the outcome: of a
  // flow with one the event's record, with several the case of enum `outcomes` (one per outcome, in
  // their order, each with the record as its only field), with none nothing.
  std::optional<uint32_t> flow;
  std::optional<uint32_t> outcomes;
  uint8_t priority = kPriorityNormal;
  std::optional<Breaker> breaker;
  friend bool operator==(const StepSite&, const StepSite&) = default;
};

// One `receive` in the text.
struct ReceiveSite {
  std::string name;   // what it binds; last part of its path
  uint32_t flow = 0;  // whose runs take what it names
  uint32_t event = 0;
  // From a topic: events of it whose field `key_field` equals the key that the instruction reads.
  // Without one: what is sent to the run itself.
  std::optional<uint32_t> topic;
  uint32_t key_field = 0;          // of the event's record; 0 without a topic
  std::optional<uint32_t> filter;  // pure: the event's record, then what it captures -> bool
  friend bool operator==(const ReceiveSite&, const ReceiveSite&) = default;
};

struct Program {
  uint16_t isa = kIsa;
  std::vector<std::string> features;  // required ones, sorted
  std::vector<std::string> sources;   // module files as relative paths, for debug lines
  TypeTable types;
  std::vector<std::string> constants;  // encode_value() each
  std::vector<Function> functions;
  std::vector<EventInfo> events;
  std::vector<TopicInfo> topics;
  std::vector<PoolInfo> pools;
  std::vector<TaskInfo> tasks;
  std::vector<FlowInfo> flows;
  std::vector<StepSite> steps;
  std::vector<ReceiveSite> receives;
  friend bool operator==(const Program&, const Program&) = default;
};

struct ArtifactError {
  enum class Code : uint8_t {
    not_an_artifact,  // magic
    bad_checksum,     // truncated or altered
    unsupported,      // newer format or isa, or a feature this engine does not execute
    malformed,        // the checksum is right, the content is not
    too_large,        // over a limit of vm/limits.hpp
    invalid           // refused by the verifier
  };
  Code code = Code::malformed;
  std::string message;  // a sentence: what, and where
};

// The features that the program needs and the engine does not execute, in the order of their names.
std::vector<std::string> unexecuted_features(const Program& program);

// Bytes of the artifact; the same program gives the same bytes. It ends with SHA-256 over the rest.
// REQUIRES: the program keeps to vm/limits.hpp (decode would refuse it).
std::string encode_artifact(const Program& program);

// Checks magic, checksum, versions, features, structure and limits; reads nothing outside `bytes`.
// Whether the code is safe to run is verify()'s question (vm/verifier.hpp).
tl::expected<Program, ArtifactError> decode_artifact(std::string_view bytes);

// The hash at the end of an artifact: its identity. REQUIRES: at least 32 bytes.
Sha256 artifact_hash(std::string_view bytes);

// Index of the element with that name; nullopt if there is none.
template <class Named>
std::optional<uint32_t> find_by_name(const std::vector<Named>& items, std::string_view name) {
  for (uint32_t i = 0; i < items.size(); ++i) {
    if (items[i].name == name) return i;
  }
  return std::nullopt;
}

}  // namespace sluice::vm
