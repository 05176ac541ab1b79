// A rehearsal: one event through the production partition and dispatcher in virtual time, with
// scripted workers. What `flowc sim` shows. Pure: the same program, event and script give the same
// rehearsal to the byte.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/history.hpp"
#include "vm/verifier.hpp"

namespace sluice::sim {

// What a worker does with one attempt.
struct ScriptedAttempt {
  enum class Kind : std::uint8_t {
    returns,
    fails,
    hangs,  // keeps its lease and never answers
    dies,   // never answers and loses its lease
  };
  Kind kind = Kind::returns;
  std::string result;  // encode_value of the task's result
  std::string failure;
  std::string message;
  bool retry = true;
  std::uint32_t retry_after_ms = 0;
  std::uint64_t takes_ms = kTakesMs;
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
};

// The script's JSON:
//   {"client": "ada", "cancel_after": "5s", "tasks": {
//     "search": {"returns": ["a"], "takes": "50ms"},
//     "complete": [{"fails": "Unavailable", "message": "…", "retry": false, "retry_after": "1s"},
//                  {"hangs": true}, {"dies": true}, {"returns": "text"}],
//     "store": {"fails": "Busy", "times": 2}}}
// `times` is a number or "always"; without it an entry counts once, the last one for ever. Values
// are of the task's result type. The error is a sentence that names the place.
tl::expected<Script, std::string> read_script(const vm::Program& program, std::string_view json);

struct Rehearsal {
  std::vector<core::RunHistory> runs;  // of the flows on the topic, in their order
  std::vector<core::Delivery> deliveries;
  core::TimeUs start = 0;
};

struct RehearsalRequest {
  std::shared_ptr<const vm::VerifiedProgram> program;
  std::uint32_t topic = 0;
  std::string data;  // encode_value of the event
  Script script;
  std::uint64_t seed = 0;  // draws the jitter of backoffs
};

// Virtual time, and records, reports and renewals, after which a rehearsal is given up: it would
// show nothing new.
inline constexpr core::TimeUs kRehearsalUs = 365ll * 24 * 3600 * 1'000'000;
inline constexpr std::size_t kRehearsalHappenings = 500'000;

// Fails when the event is refused or a run does not end within those bounds.
tl::expected<Rehearsal, std::string> rehearse(const RehearsalRequest& request);

// For people: a line per record, and below it what it led to.
std::string rehearsal_text(const Rehearsal& rehearsal);
// For programs: {"runs":[{"run","flow","state","outcome"?,"why"?,"history":[…]}]}, times in ms from
// the start, history as GET /v1/runs/{id}/history tells it.
std::string rehearsal_json(const Rehearsal& rehearsal);

}  // namespace sluice::sim
