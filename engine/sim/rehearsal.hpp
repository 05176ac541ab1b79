// A rehearsal: what comes in from outside, through the production partition and dispatcher in
// virtual time, with scripted workers. What `flowc sim` shows and what `flowc test` is made of.
// Pure: the same program, inputs and script give the same rehearsal to the byte.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/history.hpp"
#include "engine/core/record.hpp"
#include "vm/verifier.hpp"

namespace sluice::sim {

// What a worker does with one attempt.
struct ScriptedAttempt {
  enum class Kind : std::uint8_t {
    returns,
    fails,
    hangs,      // keeps its lease and never answers
    dies,       // never answers and loses its lease
    times_out,  // hangs until its time is up, or says so when nothing limits it
  };
  Kind kind = Kind::returns;
  std::string result;  // encode_value of the task's result
  std::string failure;
  std::string message;
  bool retry = true;
  std::uint32_t retry_after_ms = 0;
  std::uint64_t waits_ms = 0;  // until a worker is free for it
  std::uint64_t takes_ms = kTakesMs;
  std::optional<std::uint64_t> speaks_ms;  // when the first piece of a stream comes
  // So many attempts in a row do this; kAlways: all that follow. Nothing: one, or, at the end of
  // its list, all that follow.
  std::optional<std::uint64_t> times;

  static constexpr std::uint64_t kAlways = ~std::uint64_t{0};
  static constexpr std::uint64_t kTakesMs = 10;
};

struct Script {
  std::string client = "client";
  // Per task what its attempts do, in the order in which they are handed out. A task that is not
  // named, or whose list is used up, answers the smallest value of its type.
  std::map<std::string, std::vector<ScriptedAttempt>> tasks;
  std::optional<std::uint64_t> cancel_after_ms;
  struct Signal {
    std::uint64_t after_ms = 0;
    std::uint32_t event = 0;
    std::string data;  // encode_value
  };
  std::vector<Signal> signals;  // of the client, to its runs
  struct Absence {
    std::uint64_t after_ms = 0;
    std::optional<std::uint64_t> back_after_ms;  // nothing: it stays away
  };
  std::vector<Absence> absences;  // of the client
};

// The script's JSON:
//   {"client": "ada", "cancel_after": "5s",
//    "signals": [{"after": "2s", "event": "More", "data": {"text": "…"}}],
//    "away": [{"after": "3s", "back": "20s"}], "tasks": {
//     "search": {"returns": ["a"], "takes": "50ms"},
//     "complete": [{"fails": "Unavailable", "message": "…", "retry": false, "retry_after": "1s"},
//                  {"hangs": true}, {"dies": true}, {"returns": "text", "waits": "2s"}],
//     "store": {"fails": "Busy", "times": 2}}}
// `away` says from when until when the client is away, both from the start; without `back` for
// ever. `waits` is how long no worker is free for the attempt, `speaks` when the first piece of its
// stream comes. `times` is a number or "always"; without it an entry counts once, the last one for
// ever. Values are of the task's result type. The error is a sentence that names the place.
tl::expected<Script, std::string> read_script(std::shared_ptr<const vm::VerifiedProgram> program,
                                              std::string_view json);

// Something that comes in from outside.
struct Input {
  enum class Kind : std::uint8_t {
    event,   // on topic `index`
    start,   // of flow `index`, through the API
    cancel,  // of every live run of the client
    signal,  // event `index`, to every live run of the client that receives it
    away,    // the client's last socket is gone, and the grace is over
    back,    // it has one again
  };
  Kind kind = Kind::event;
  std::uint64_t after_ms = 0;  // from the rehearsal's start
  std::uint32_t index = 0;
  std::string client = "client";  // empty: nobody's; of a cancel or signal: everybody's runs
  std::string data;               // encode_value of the event, or of the list of the arguments
  core::TimeUs since = 0;         // of away and back; 0: when it comes
};

// The engine's process dies at a boundary of its journal, and another one goes on: the partition is
// made anew from its journal, the dispatcher from the partition's open obligations, and the workers
// connect again and reclaim what they hold.
struct Crash {
  std::size_t after = 0;  // so many records since the first input; 0: no crash
  // Whether what the last record led to has left before. If not, whoever sent that record's input
  // has no answer and sends it again.
  bool effects_left = false;
  bool from_checkpoint = false;  // one of half way, and the tail; otherwise the whole journal
};

struct RehearsalRequest {
  std::shared_ptr<const vm::VerifiedProgram> program;
  std::vector<Input> inputs;
  Script script;
  std::uint64_t seed = 0;  // draws the jitter of backoffs
  Crash crash;
};

struct Refused {
  std::size_t input = 0;  // its index
  core::Refusal code = core::Refusal::invalid;
  std::string message;
  core::TimeUs time = 0;
  std::string what;  // as the timeline tells it: `asks {"text":"…"} from ada`
};

struct Rehearsal {
  std::vector<core::RunHistory> runs;  // in the order of their beginnings
  std::vector<core::Delivery> deliveries;
  core::TimeUs start = 0;
  std::vector<core::Kind> journal;  // the kinds of its records, from the first input on
  // Inputs that the engine refused, and those that it took with the record that each became (a
  // signal to several runs: one for each).
  std::vector<Refused> refused;
  std::vector<std::pair<std::size_t, core::Seq>> taken;
  // Why it was given up: a run did not end within the bounds, or the engine broke its own rules
  // (then `broken`). Empty: every run ended.
  std::string stopped;
  bool broken = false;
};

// Virtual time, and records, reports and renewals, after which a rehearsal is given up: it would
// show nothing new.
inline constexpr core::TimeUs kRehearsalUs = 365ll * 24 * 3600 * 1'000'000;
inline constexpr std::size_t kRehearsalHappenings = 500'000;

Rehearsal rehearse(const RehearsalRequest& request);

// How it ended, as those outside see it: the runs with their states and answers, what each client
// was told, in its order, and what was refused. Equal texts are equal outcomes.
std::string outcome_text(const Rehearsal& rehearsal);

// For people: a line per record, and below it what it led to; last what was refused. Lines for
// which `mark` is true (of an effect, or of the record itself: null) begin with `>`.
using Mark = std::function<bool(const core::HistoryEntry&, const core::Effect*)>;
std::string rehearsal_text(const Rehearsal& rehearsal, const Mark& mark = {});
// For programs: [{"run","flow","state","outcome"?,"why"?,"history":[…]}], times in ms from the
// start, history as GET /v1/runs/{id}/history tells it.
std::string runs_json(const Rehearsal& rehearsal);

}  // namespace sluice::sim
