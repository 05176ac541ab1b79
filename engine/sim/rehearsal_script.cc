#include <algorithm>
#include <optional>

#include "engine/core/limits.hpp"
#include "engine/sim/rehearsal.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"
#include "vm/json_reader.hpp"

namespace sluice::sim {
namespace {

using vm::JsonKind;
using vm::JsonReader;

// Reads a script; the first error ends it.
class ScriptReader {
 public:
  ScriptReader(std::shared_ptr<const vm::VerifiedProgram> program, std::string_view json)
      : unit_(std::move(program)), program_(unit_.program()), json_(json), reader_(json) {}

  tl::expected<Script, std::string> read() {
    read_script_object();
    if (error_.empty() && !reader_.finish()) fail_reader();
    if (!error_.empty()) return tl::unexpected(error_);
    return std::move(script_);
  }

 private:
  void read_script_object() {
    std::string_view key;
    if (!expect_object("the script")) return;
    while (error_.empty() && reader_.next_key(&key)) {
      if (key == "client") {
        if (!reader_.read_string(&script_.client)) fail_reader();
        if (script_.client.size() > core::kClientBytesMax) fail("`client` is too long");
      } else if (key == "cancel_after") {
        script_.cancel_after_ms = read_duration("cancel_after");
      } else if (key == "signals") {
        read_signals();
      } else if (key == "away") {
        read_absences();
      } else if (key == "tasks") {
        read_tasks();
      } else {
        fail("the script has no `" + std::string(key) +
             "`: client, cancel_after, signals, away and tasks are known");
      }
    }
  }

  void read_signals() {
    if (reader_.kind() != JsonKind::array) return fail("`signals` is a list");
    reader_.begin_array();
    while (error_.empty() && reader_.next_element()) script_.signals.push_back(read_signal());
  }

  // `event` stands before `data`, whose type it names.
  Script::Signal read_signal() {
    Script::Signal signal;
    std::optional<std::uint32_t> event;
    std::string_view key;
    if (!expect_object("a signal")) return signal;
    while (error_.empty() && reader_.next_key(&key)) {
      if (key == "after") {
        signal.after_ms = read_duration("after");
      } else if (key == "event") {
        std::string named;
        if (!reader_.read_string(&named)) fail_reader();
        event = vm::find_by_name(program_.events, named);
        if (!event) fail("the program has no event `" + named + "` that anyone receives");
      } else if (key == "data" && event) {
        signal.event = *event;
        signal.data = read_data(*event);
      } else {
        fail(key == "data" ? "the `event` of a signal stands before its `data`"
                           : "a signal has no `" + std::string(key) + "`: after, event and data");
      }
    }
    if (error_.empty() && signal.data.empty()) fail("a signal has `event` and `data`");
    return signal;
  }

  std::string read_data(std::uint32_t event) {
    const vm::EventInfo& info = program_.events[event];
    const vm::Type wanted{vm::Kind::record, info.record};
    const auto& types = program_.types.types;
    const auto found = std::find(types.begin(), types.end(), wanted);
    if (found == types.end()) {
      fail("the program does not name the type of `" + info.name + "`");
      return {};
    }
    const vm::TypeId type{static_cast<std::uint32_t>(found - types.begin())};
    auto value = vm::decode_checked(unit_, type, reader_);
    if (value) return vm::encode_value(*value);
    fail("the data of `" + info.name + "`: " + vm::list_problems(value.error()));
    return {};
  }

  void read_absences() {
    if (reader_.kind() != JsonKind::array) return fail("`away` is a list");
    reader_.begin_array();
    while (error_.empty() && reader_.next_element()) {
      Script::Absence& absence = script_.absences.emplace_back();
      std::string_view key;
      if (!expect_object("an absence")) return;
      while (error_.empty() && reader_.next_key(&key)) {
        if (key == "after") {
          absence.after_ms = read_duration("after");
        } else if (key == "back") {
          absence.back_after_ms = read_duration("back");
        } else {
          fail("an absence has no `" + std::string(key) + "`: after and back");
        }
      }
      if (error_.empty() && absence.back_after_ms.value_or(~0ull) <= absence.after_ms) {
        fail("`back` is later than `after`");
      }
    }
  }

  void read_tasks() {
    std::string_view key;
    if (!expect_object("`tasks`")) return;
    while (error_.empty() && reader_.next_key(&key)) {
      const auto task = vm::find_by_name(program_.tasks, key);
      if (!task) {
        fail("the program has no task `" + std::string(key) + "`");
        return;
      }
      auto& attempts = script_.tasks[std::string(key)];
      if (reader_.kind() == JsonKind::array) {
        reader_.begin_array();
        while (error_.empty() && reader_.next_element()) attempts.push_back(read_attempt(*task));
      } else {
        attempts.push_back(read_attempt(*task));
      }
      if (error_.empty() && attempts.empty()) fail("`" + name(*task) + "` has an empty list");
    }
  }

  ScriptedAttempt read_attempt(std::uint32_t task) {
    ScriptedAttempt attempt;
    unsigned ends = 0;
    std::string_view key;
    if (!expect_object("an attempt of `" + name(task) + "`")) return attempt;
    while (error_.empty() && reader_.next_key(&key)) {
      if (key == "returns") {
        ++ends;
        read_result(task, attempt);
      } else if (key == "fails") {
        ++ends;
        attempt.kind = ScriptedAttempt::Kind::fails;
        if (!reader_.read_string(&attempt.failure)) fail_reader();
        const bool fits =
            !attempt.failure.empty() && attempt.failure.size() <= core::kFailureKindBytesMax;
        if (error_.empty() && !fits) fail("`fails` names a kind such as \"Unavailable\"");
      } else if (key == "hangs" || key == "dies") {
        ++ends;
        attempt.kind = key == "hangs" ? ScriptedAttempt::Kind::hangs : ScriptedAttempt::Kind::dies;
        bool yes = false;
        if (!reader_.read_bool(&yes)) fail_reader();
        if (error_.empty() && !yes) fail("`" + std::string(key) + "` can only be true");
      } else {
        read_detail(key, task, attempt);
      }
    }
    if (error_.empty() && ends != 1) {
      fail("an attempt of `" + name(task) + "` has one of returns, fails, hangs, dies");
    }
    return attempt;
  }

  void read_detail(std::string_view key, std::uint32_t task, ScriptedAttempt& attempt) {
    if (key == "takes") {
      attempt.takes_ms = read_duration("takes");
    } else if (key == "speaks") {
      attempt.speaks_ms = read_duration("speaks");
    } else if (key == "waits") {
      attempt.waits_ms = read_duration("waits");
    } else if (key == "times") {
      attempt.times = read_times();
    } else if (key == "message") {
      if (!reader_.read_string(&attempt.message)) fail_reader();
      if (attempt.message.size() > core::kFailureMessageBytesMax) fail("`message` is too long");
    } else if (key == "retry") {
      if (!reader_.read_bool(&attempt.retry)) fail_reader();
    } else if (key == "retry_after") {
      const std::uint64_t ms = read_duration("retry_after");
      attempt.retry_after_ms = static_cast<std::uint32_t>(std::min<std::uint64_t>(ms, 0xffffffffu));
    } else {
      fail("an attempt of `" + name(task) + "` has no `" + std::string(key) + "`");
    }
  }

  void read_result(std::uint32_t task, ScriptedAttempt& attempt) {
    const vm::TaskInfo& info = program_.tasks[task];
    attempt.kind = ScriptedAttempt::Kind::returns;
    if (info.result == vm::kTypeNone) {
      if (!reader_.read_null())
        fail("`" + info.name + "` has no result: `returns` can only be null");
      return;
    }
    auto value = vm::decode_json(program_.types, info.result, reader_);
    if (value) {
      attempt.result = vm::encode_value(*value);
      return;
    }
    fail("the result of `" + info.name + "`: " + vm::list_problems(value.error()));
  }

  std::uint64_t read_times() {
    if (reader_.kind() == JsonKind::string) {
      std::string_view word;
      if (reader_.read_string(&word) && word == "always") return ScriptedAttempt::kAlways;
    } else if (std::uint64_t times = 0; reader_.read_uint(&times) && times > 0) {
      return times;
    }
    fail("`times` is a number from 1 or \"always\"");
    return 1;
  }

  // A duration as the language writes it, in a string; ms.
  std::uint64_t read_duration(const char* what) {
    auto value = vm::decode_json(program_.types, vm::kTypeDuration, reader_);
    if (value && value->as_int() >= 0) return static_cast<std::uint64_t>(value->as_int());
    fail("`" + std::string(what) + "` is a duration such as \"250ms\"");
    return 0;
  }

  bool expect_object(const std::string& what) {
    if (!error_.empty()) return false;
    const JsonKind kind = reader_.kind();
    if (kind != JsonKind::object) fail(what + " must be an object");
    return kind == JsonKind::object && (reader_.begin_object() || (fail_reader(), false));
  }

  const std::string& name(std::uint32_t task) const { return program_.tasks[task].name; }
  void fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }
  void fail_reader() {
    const char* what = reader_.error() == nullptr ? "not what it should be" : reader_.error();
    std::size_t line = 1;
    for (std::size_t i = 0; i < reader_.error_offset() && i < json_.size(); ++i) {
      line += json_[i] == '\n' ? 1 : 0;
    }
    fail("line " + std::to_string(line) + ": " + what);
  }

  vm::Unit unit_;  // asks the constraints of signals; those of results are asked of each attempt
  const vm::Program& program_;
  std::string_view json_;
  JsonReader reader_;
  Script script_;
  std::string error_;
};

}  // namespace

tl::expected<Script, std::string> read_script(std::shared_ptr<const vm::VerifiedProgram> program,
                                              std::string_view json) {
  return ScriptReader(std::move(program), json).read();
}

}  // namespace sluice::sim
