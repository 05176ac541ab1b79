// The tree of one source file, for the whole language: what the author wrote, nothing that was
// found out.
//
// Ownership: a Module owns everything below it; nodes never move once built, so their addresses and
// their dense ids (`Expr::id`, `Stmt::id`) may key side tables. Every node has its span in bytes.
// The tree is not changed after parse(); what later stages learn stands beside it. What could not
// be read is not in it, except that a DamagedStmt or DamagedExpr may keep its place.
//
// Names that the language predefines (`none`, `now`, `run`, `client`, `len`, …) are ordinary names
// here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "compiler/ast_expr.hpp"
#include "compiler/damage.hpp"

namespace sluice::compiler::ast {

// --------------------------------------------------------------------------------------- policies

// Values of policies are expressions that must be literals or constants; checking says so where
// they are not.

struct TimeoutPolicy {
  ExprPtr duration;
};
struct QueuePolicy {
  ExprPtr duration;
};
struct WithinPolicy {
  ExprPtr duration;
};
struct HeartbeatPolicy {
  ExprPtr duration;
};
// attempts N [backoff A..B [factor F] [jitter]] [on [KINDS]]
struct AttemptsPolicy {
  ExprPtr count;
  ExprPtr backoff_from;  // null without `backoff`
  ExprPtr backoff_to;
  ExprPtr factor;  // null: 2
  bool jitter = false;
  bool has_kinds = false;
  std::vector<Name> kinds;
};
struct PoolPolicy {
  QualifiedName pool;
};
struct PriorityPolicy {
  Name level;
};
struct BreakerPolicy {  // breaker 50% of 20 within 30s cooldown 10s
  ExprPtr percent;      // the number before `%`
  ExprPtr calls;
  ExprPtr window;
  ExprPtr cooldown;
};
struct HedgePolicy {  // hedge after D [CALL]
  ExprPtr after;
  ExprPtr call;  // a CallExpr, or null
};
struct FallbackPolicy {
  ExprPtr value;
};  // an expression, or the call of a task
struct IdempotentPolicy {};
struct ReadonlyPolicy {};
struct KeyedPolicy {
  ExprPtr key;
};  // null: the engine's own key
struct StreamPolicy {};
struct CompensatePolicy {
  Block body;
};
struct UnsurePolicy {
  Block body;
};
struct KeepPolicy {};
struct UsesPolicy {
  QualifiedName policy;
};
struct FailsPolicy {
  std::vector<Name> kinds;
};  // fails [CardDeclined]: kinds that a task declares

struct Policy {
  Span span;
  std::variant<TimeoutPolicy, QueuePolicy, WithinPolicy, HeartbeatPolicy, AttemptsPolicy,
               PoolPolicy, PriorityPolicy, BreakerPolicy, HedgePolicy, FallbackPolicy,
               IdempotentPolicy, ReadonlyPolicy, KeyedPolicy, StreamPolicy, CompensatePolicy,
               UnsurePolicy, KeepPolicy, UsesPolicy, FailsPolicy>
      node;
};

// `client`, `tenant`, `key EXPR`.
struct Scope {
  enum class Kind { kClient, kTenant, kKey };
  Kind kind = Kind::kClient;
  ExprPtr key;  // set iff kKey
  Span span;
};

// 50/s
struct Rate {
  std::uint64_t count = 0;
  std::int64_t per_ms = 0;  // 1000, 60'000, 3'600'000, 86'400'000
  Span span;
};

// limit R per SCOPE [burst N]: of flows and of topics
struct LimitSetting {
  Rate rate;
  Scope scope;
  ExprPtr burst;  // may be null
};
struct TtlSetting {
  ExprPtr duration;
};

// ------------------------------------------------------------------------------------- statements

// Exactly one of `value` and `source` is set; `source` is a race, each or start statement.
struct LetStmt {
  Name name;
  ExprPtr value;
  StmtPtr source;
};
struct VarStmt {
  Name name;
  ExprPtr value;
};
struct SetStmt {
  Name name;
  ExprPtr value;
};
// step NAME = CALL { policies }; `step f(x)` has named == false and the callee's last name (at its
// span).
struct StepStmt {
  Name name;
  bool named = false;
  ExprPtr call;               // always a CallExpr whose callee is a name or a chain of names
  bool has_policies = false;  // braces were written
  std::vector<Policy> policies;
};
struct BranchArm {  // branch NAME { … }
  Name name;
  Block body;
};
struct Branch {  // of `parallel` and `race`
  Span span;
  std::variant<StmtPtr, BranchArm> node;  // StmtPtr: a StepStmt
};
struct ParallelStmt {
  std::vector<Branch> branches;
};
struct RaceStmt {
  std::vector<Branch> branches;
};
struct EachStmt {
  Name variable;
  ExprPtr source;
  ExprPtr parallel;  // `parallel N`, or null: a loop
  Block body;
};
struct YieldStmt {
  ExprPtr value;
};
struct IfArm {
  std::optional<Name> binding;  // if let NAME = condition
  ExprPtr condition;
  Block body;
  Span span;
};
struct IfStmt {
  std::vector<IfArm> arms;  // if, else if, …
  std::optional<Block> else_body;
};
struct MatchCase {
  PatternPtr pattern;
  Block body;
  Span span;
};
struct MatchStmt {
  ExprPtr subject;
  std::vector<MatchCase> cases;
  std::optional<Block> else_body;
};
struct WhileStmt {
  ExprPtr condition;
  Block body;
};
struct BreakStmt {};
struct ContinueStmt {};
// receive NAME: EVENT from client|TOPIC [where E] [within D] [{ … }] [else { … }]
struct ReceiveStmt {
  Name name;
  QualifiedName event;
  std::optional<QualifiedName> topic;  // nothing: from client
  ExprPtr where;
  ExprPtr within;
  std::optional<Block> body;
  std::optional<Block> else_body;
};
struct SleepStmt {
  ExprPtr value;
  bool until = false;
};
struct DeadlineStmt {
  ExprPtr duration;
  Block body;
  std::optional<Block> else_body;
};
// notify EVENT [to client X | to group G | to run R]
struct NotifyStmt {
  enum class Target { kRunClient, kClient, kGroup, kRun };
  ExprPtr event;
  Target target = Target::kRunClient;
  ExprPtr to;  // null iff kRunClient; a group is mostly a bare NameExpr
};
struct PublishStmt {
  ExprPtr event;
  QualifiedName topic;
};
struct StartStmt {
  ExprPtr call;
  ExprPtr for_client;  // may be null
};
struct CatchArm {
  std::optional<Name> kind;  // nothing: any kind
  std::optional<Name> why;
  Block body;
  Span span;
};
struct TryStmt {
  Block body;
  std::vector<CatchArm> catches;
};
struct FailStmt {
  Name kind;
  ExprPtr message;
};
struct ReturnStmt {
  ExprPtr value;
};  // may be null
struct LogStmt {
  ExprPtr value;
};
// One statement or several that could not be read.
struct DamagedStmt {};

struct Stmt {
  Span span;
  std::uint32_t id = 0;  // dense within the module: 0 .. Module::stmt_count - 1
  std::variant<LetStmt, VarStmt, SetStmt, StepStmt, ParallelStmt, RaceStmt, EachStmt, YieldStmt,
               IfStmt, MatchStmt, WhileStmt, BreakStmt, ContinueStmt, ReceiveStmt, SleepStmt,
               DeadlineStmt, NotifyStmt, PublishStmt, StartStmt, TryStmt, FailStmt, ReturnStmt,
               LogStmt, DamagedStmt>
      node;
};

// ----------------------------------------------------------------------------------- declarations

// A field of a record or event, a parameter of a task, flow or fn, or a field of an enum's case.
struct Field {
  Doc doc;
  Name name;
  TypePtr type;
  std::vector<Name> labels;  // pii, secret
  ExprPtr default_value;     // may be null
  ExprPtr where;             // may be null
  Span span;
};

struct RecordDecl {
  std::vector<Field> fields;
};
struct EnumCase {
  Doc doc;
  Name name;
  std::vector<Field> fields;
  Span span;
};
struct EnumDecl {
  std::vector<EnumCase> cases;
};
struct EventDecl {
  std::optional<std::uint32_t> version;  // event Ask v2
  std::vector<Field> fields;
};
// upgrade Ask v1 -> v2 (old) = EXPR. Decl::name is the event's.
struct UpgradeDecl {
  std::uint32_t from_version = 0;
  std::uint32_t to_version = 0;
  Name old;
  ExprPtr value;
};

struct OrderSetting {
  Scope scope;
};  // order by client | tenant | EXPR over the event's fields
struct DedupeSetting {
  ExprPtr window;
};
struct RetainSetting {
  ExprPtr duration;
};
struct TopicSetting {
  Span span;
  std::variant<OrderSetting, DedupeSetting, RetainSetting, LimitSetting, TtlSetting> node;
};
struct TopicDecl {
  QualifiedName event;
  std::vector<TopicSetting> settings;
};

struct TaskDecl {
  std::vector<Field> parameters;
  Span parameters_span;  // with both parentheses
  TypePtr result;        // null: nothing
  std::vector<Policy> policies;
};
struct PoolDecl {
  ExprPtr slots;  // null: no budget
};
struct PolicyDecl {
  std::vector<Policy> policies;
};
struct ConstDecl {
  TypePtr type;  // null: that of the value
  ExprPtr value;
};
struct FnDecl {
  std::vector<Field> parameters;
  Span parameters_span;
  TypePtr result;
  ExprPtr body;
};

struct TopicTrigger {
  QualifiedName topic;
};                        // on asks
struct ScheduleTrigger {  // on schedule "0 9 * * 1-5" in "Europe/Berlin"
  ExprPtr schedule;
  ExprPtr zone;  // null: UTC
};
struct FlowTimeoutSetting {
  ExprPtr duration;
};
// concurrency N per SCOPE [newest wins | queue N | reject | joins]
struct ConcurrencySetting {
  enum class Mode { kWait, kNewestWins, kQueue, kReject, kJoins };
  ExprPtr count;
  Scope scope;
  Mode mode = Mode::kWait;
  ExprPtr queue;  // set iff kQueue
};
struct BudgetCallsSetting {  // budget N calls of TASK
  ExprPtr count;
  QualifiedName task;
};
struct BudgetTimeSetting {
  ExprPtr duration;
};
struct FlowSetting {
  Span span;
  std::variant<TopicTrigger, ScheduleTrigger, FlowTimeoutSetting, ConcurrencySetting, LimitSetting,
               TtlSetting, BudgetCallsSetting, BudgetTimeSetting>
      node;
};

struct OnFailure {
  Name why;
  Block body;
  Span span;
};
struct FlowDecl {
  std::vector<Field> parameters;
  Span parameters_span;
  std::vector<QualifiedName> outcomes;  // empty: a flow without outcomes
  std::vector<FlowSetting> settings;
  Block body;
  std::optional<OnFailure> on_failure;
};

// migrate FLOW at STEP [to STEP] (old) { name: EXPR, … }: a run of the version before, waiting at
// the first step, goes on at the second (default: the same) with these locals. Decl::name is the
// flow's.
struct MigrateDecl {
  QualifiedName at;
  std::optional<QualifiedName> to;
  std::optional<Name> old;
  std::vector<FieldInit> locals;
};

struct GivenAnswer {
  ExprPtr queue;              // queue D, or null
  ExprPtr stream;             // stream D, or null
  ExprPtr takes;              // takes D, or null
  ExprPtr returns;            // returns V, or null
  std::optional<Name> fails;  // fails KIND
  ExprPtr message;            // fails KIND "message", or null
  bool always = false;
  Span span;
};
struct GivenItem {  // given TASK A then B …
  QualifiedName task;
  std::vector<GivenAnswer> answers;
};
// [after D] when EVENT [v1] { … } [to TOPIC] | start FLOW(…) | cancel  [from "client"]
struct WhenItem {
  ExprPtr after;                         // may be null
  ExprPtr event;                         // a RecordExpr, or null
  std::optional<std::uint32_t> version;  // of the event, as an older client sends it
  Span version_span;
  std::optional<QualifiedName> topic;  // to TOPIC
  ExprPtr start;                       // a CallExpr, or null; neither: cancel
  ExprPtr from;                        // a StringLiteral, or null
};
// The event that an expectation names: `Failed`, or `Refused { reason: "spam" }`.
struct ExpectedEvent {
  QualifiedName type;
  bool has_fields = false;
  std::vector<FieldInit> fields;
};
struct ExpectEventItem {  // expect return|notify|publish EVENT [within D] [once | N times | never]
  enum class Kind { kReturn, kNotify, kPublish };
  enum class Count { kAny, kOnce, kTimes, kNever };
  Kind kind = Kind::kReturn;
  ExpectedEvent event;
  ExprPtr within;
  Count count = Count::kAny;
  ExprPtr times;  // set iff kTimes
};
// expect step NAME once | N times | never | before NAME | within D; expect never NAME
struct ExpectStepItem {
  enum class Kind { kOnce, kTimes, kNever, kBefore, kWithin };
  Kind kind = Kind::kOnce;
  QualifiedName step;
  ExprPtr times;                       // set iff kTimes
  std::optional<QualifiedName> other;  // set iff kBefore
  ExprPtr within;                      // set iff kWithin
};
struct ExpectRefusedItem {  // expect refused KIND, of the `when` right before it
  Name kind;
};
struct ExpectValueItem {  // expect EXPR
  ExprPtr condition;
};
struct AlwaysItem {
  ExprPtr condition;
};
struct TestItem {
  Span span;
  std::variant<GivenItem, WhenItem, ExpectEventItem, ExpectStepItem, ExpectRefusedItem,
               ExpectValueItem, AlwaysItem>
      node;
};
// Decl::name is the title, with the span of the string.
struct TestDecl {
  std::vector<TestItem> items;
};
// invariant "title" { always EXPR … }
struct InvariantDecl {
  std::vector<TestItem> items;  // AlwaysItem only
};

struct Decl {
  Span span;  // from the first word (not the doc comment) to the last brace
  Doc doc;
  Name name;
  std::variant<RecordDecl, EnumDecl, EventDecl, UpgradeDecl, TopicDecl, TaskDecl, PoolDecl,
               PolicyDecl, ConstDecl, FnDecl, FlowDecl, MigrateDecl, TestDecl, InvariantDecl>
      node;
};

struct Import {
  Span span;
  QualifiedName module;
};

struct Module {
  FileId file{};
  std::optional<QualifiedName> name;  // the `module` line
  Doc doc;                            // the doc comment before it
  std::vector<Import> imports;
  std::vector<Decl> declarations;
  std::uint32_t expr_count = 0;
  std::uint32_t stmt_count = 0;
  Damage damage;  // what is missing of all this, because it could not be read
};

}  // namespace sluice::compiler::ast
