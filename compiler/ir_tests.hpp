// `test` and `invariant` blocks, checked. Included by ir.hpp; their values are expressions of the
// pure world, for which code is generated only where tests are to be run.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "compiler/ast.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler::ir {

struct Expr;
struct FlowDef;
struct Local;
struct Module;
struct RecordDef;
struct TaskDef;
struct TopicDef;

// What one attempt of a task does. Neither a value nor a failure: the smallest value of its type.
struct GivenAnswer {
  Expr* returns = nullptr;
  std::string fails;  // empty: it does not
  std::string message;
  bool always = false;
  std::optional<std::int64_t> takes_ms;
  std::optional<std::int64_t> queue_ms;   // until a worker is free
  std::optional<std::int64_t> stream_ms;  // until the first piece of its stream
};
struct Given {
  const TaskDef* task = nullptr;
  std::vector<GivenAnswer> answers;
  Span span;
};

// What comes in: an event on a topic, an event for a live run (neither topic nor flow), a flow's
// start, a cancel (nothing set).
struct When {
  Span span;
  std::int64_t after_ms = 0;
  const RecordDef* event = nullptr;  // its newest version
  const RecordDef* sent = nullptr;   // the version of it that comes in; null for a flow or cancel
  const TopicDef* topic = nullptr;
  const FlowDef* flow = nullptr;
  Expr* value = nullptr;
  std::vector<Expr*> arguments;
  std::optional<std::string> client;
  // `expect refused KIND` behind it: the word by which the engine refuses it. Empty: it is taken.
  std::string refused;
  Span refused_span;
};

// The words by which the engine refuses what comes in, as far as a test can see them.
inline constexpr std::array<std::string_view, 5> kRefusals = {"busy", "invalid", "too_large",
                                                              "unexpected", "unknown_run"};

// A step by its name or by the end of its path ("gather/left"), or all steps of a task.
struct StepName {
  std::string text;  // as written
  std::string path;
  const TaskDef* task = nullptr;  // set: path is empty
};

struct ExpectEvent {
  using Kind = ast::ExpectEventItem::Kind;
  Span span;
  Kind kind = Kind::kReturn;
  const RecordDef* event = nullptr;
  std::vector<std::pair<std::uint32_t, Expr*>> fields;  // those written; others may be anything
  std::optional<std::int64_t> within_ms;
  std::optional<std::int64_t> times;  // so many exactly; nothing: at least one
};
struct ExpectStep {
  using Kind = ast::ExpectStepItem::Kind;
  Span span;
  Kind kind = Kind::kOnce;
  StepName step;
  std::int64_t times = 1;
  StepName other;              // of kBefore
  std::int64_t within_ms = 0;  // of kWithin
};

// What `count(…)` and its like stand for: a parameter of the condition.
struct CountOf {
  enum class What { kBegun, kAttempts, kCompleted, kEvents, kDeadLetters };
  What what = What::kBegun;
  StepName step;
  const RecordDef* event = nullptr;  // of kEvents
  Local* local = nullptr;
};
struct Condition {
  Span span;
  Expr* value = nullptr;
  std::vector<CountOf> counts;
};

struct TestDef {
  std::string title;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::vector<Given> givens;
  std::vector<When> whens;
  std::vector<std::variant<ExpectEvent, ExpectStep, Condition>> expectations;
  std::vector<Condition> always;  // hold at every moment
};
struct InvariantDef {
  std::string title;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::vector<Condition> always;  // hold at every moment of every run
};

}  // namespace sluice::compiler::ir
