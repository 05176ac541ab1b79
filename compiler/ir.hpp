// The checked program: every name resolved, every expression typed, every policy merged. What
// checking makes of the trees, what the analyses, code generation and the tools (sim, graph,
// explain) read.
//
// Ownership: a Program owns all nodes; they never move. Spans point into the SourceSet. After an
// error the program is still whole enough to look at, but holds Poison and Refused nodes;
// code is generated only from a program without errors.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "compiler/ast.hpp"
#include "compiler/check/types.hpp"
#include "compiler/ir_messages.hpp"
#include "compiler/ir_policies.hpp"
#include "compiler/ir_tests.hpp"
#include "compiler/source.hpp"
#include "vm/artifact.hpp"
#include "vm/value.hpp"

namespace sluice::compiler::ir {

struct Expr;
struct Stmt;
struct Module;
struct StepDef;
struct FnDef;
struct ConstDef;
struct FlowDef;

struct Block {
  std::vector<Stmt*> statements;
  Span span;
};

// A name inside a function or flow, bound once (a `var` several times).
struct Local {
  enum class Kind {
    kParameter,
    kLet,
    kVar,
    kStep,     // the result of a step
    kElement,  // of a comprehension or loop
    kPattern,  // bound by `if let` or a pattern
    kWhy,      // of `on failure (why)` and `catch Kind (why)`
    kBranch,   // the name of a `branch`; has no value
  };
  std::string name;
  TypeId type = kPoison;
  Span span;
  Kind kind = Kind::kLet;
  std::optional<Span> word;  // `let` or `var`, where one was written
  StepDef* step = nullptr;   // set iff kStep
  std::uint32_t frame = 0;   // which activation owns it: 0 the flow's, others those of branches
  bool used = false;
  bool assigned = false;  // by `set`
};

// ------------------------------------------------------------------------------------ expressions

struct Poison {};
struct NoneValue {};
struct BoolValue {
  bool value = false;
};
struct IntValue {
  std::int64_t value = 0;
};
struct FloatValue {
  double value = 0;
};
struct StringValue {
  std::string value;
};
struct DurationValue {
  std::int64_t ms = 0;
};
// A literal of the other types: `12.50` as a decimal, `timestamp("…")`, `decode("{}")`.
struct Constant {
  vm::Value value;
};
struct LocalRef {
  Local* local = nullptr;
};
struct ConstRef {
  const ConstDef* def = nullptr;
};
struct StepKey {  // NAME.key
  StepDef* step = nullptr;
};
struct RunClient {};  // run.client
struct RunId {};      // run.id
struct Now {};
struct Not {
  Expr* operand = nullptr;
};
struct Negate {
  Expr* operand = nullptr;
};
// Add … Remainder on int and float; add, subtract and multiply on decimals, decimal * int; add and
// subtract on durations and timestamps, duration * int, duration / int; add on strings, lists and
// bytes. The operand's types say which.
struct Arithmetic {
  ast::BinaryOp op{};
  Expr* left = nullptr;
  Expr* right = nullptr;
};
struct Compare {  // kEqual … kGreaterEqual
  ast::BinaryOp op{};
  Expr* left = nullptr;
  Expr* right = nullptr;
};
struct Logic {  // `and`, `or`: the right side only if it matters
  bool is_and = false;
  Expr* left = nullptr;
  Expr* right = nullptr;
};
struct In {  // in a list, a range, the keys of a map
  Expr* needle = nullptr;
  Expr* haystack = nullptr;
};
struct Coalesce {
  Expr* left = nullptr;
  Expr* right = nullptr;
};
struct IfExpr {
  Expr* condition = nullptr;
  Expr* then_value = nullptr;
  Expr* else_value = nullptr;
};
// What a subject is held against. A wildcard has no value set.
struct Pattern {
  enum class Kind { kWildcard, kAbsent, kValue, kCase };
  Kind kind = Kind::kWildcard;
  Expr* value = nullptr;         // kValue: a literal
  std::uint32_t which = 0;       // kCase: its index
  std::vector<Local*> bindings;  // kCase: one per field, or none at all; null for `_`
  Span span;
};
struct MatchArm {
  Pattern pattern;
  Expr* value = nullptr;
};
struct MatchExpr {
  Expr* subject = nullptr;
  std::vector<MatchArm> arms;
  Expr* else_value = nullptr;  // null iff the arms cover everything
};
struct ListValue {
  std::vector<Expr*> elements;
};
struct MapValue {
  std::vector<std::pair<Expr*, Expr*>> entries;
};
struct RangeValue {
  Expr* first = nullptr;
  Expr* last = nullptr;
};
struct Comprehension {
  Local* variable = nullptr;
  Expr* source = nullptr;
  Expr* filter = nullptr;  // may be null
  Expr* element = nullptr;
};
struct FieldOf {
  Expr* base = nullptr;
  std::uint32_t index = 0;
  bool optional = false;  // `?.`: none if base is
};
struct IndexOf {
  Expr* base = nullptr;
  Expr* index = nullptr;
};
struct RecordValue {  // one value per field, defaults included
  const RecordDef* def = nullptr;
  std::vector<Expr*> fields;
};
struct CaseValue {
  const EnumDef* def = nullptr;
  std::uint32_t which = 0;
  std::vector<Expr*> fields;
};
struct With {
  Expr* base = nullptr;
  std::vector<std::pair<std::uint32_t, Expr*>> fields;
};
struct CallFn {
  const FnDef* def = nullptr;
  std::vector<Expr*> arguments;
};
struct CallBuiltin {
  std::uint16_t builtin = 0;  // row of vm/builtins.def
  std::vector<Expr*> arguments;
};
struct AsType {  // value as T: of json any type, of any type json
  Expr* value = nullptr;
};
struct Interpolation {  // at least one part; each of a type that has a text
  std::vector<Expr*> parts;
};

struct Expr {
  Span span;
  TypeId type = kPoison;
  std::variant<Poison, NoneValue, BoolValue, IntValue, FloatValue, StringValue, DurationValue,
               Constant, LocalRef, ConstRef, StepKey, RunClient, RunId, Now, Not, Negate,
               Arithmetic, Compare, Logic, In, Coalesce, IfExpr, MatchExpr, ListValue, MapValue,
               RangeValue, Comprehension, FieldOf, IndexOf, RecordValue, CaseValue, With, CallFn,
               CallBuiltin, AsType, Interpolation>
      node;
};

// ----------------------------------------------------------------------------------- declarations

// What must not come out: see analyse/labels.cc. Bits.
using Labels = std::uint8_t;
inline constexpr Labels kPii = 1;
inline constexpr Labels kSecret = 2;

struct FieldDef {
  std::string name;
  Span span;
  Span type_span;
  TypeId type = kPoison;
  Labels labels = 0;
  const ast::Field* tree = nullptr;
  const Module* module = nullptr;
  enum class State { kUnseen, kOpen, kDone } state = State::kUnseen;  // of the default
  Expr* default_value = nullptr;                                      // a constant expression
  std::optional<vm::Value> folded_default;
  Local* self = nullptr;  // the field's own value inside `where`
  Expr* where = nullptr;
  std::vector<std::pair<const FnDef*, Span>> where_calls;
};

// A record, an event, or the built-in `Failure`.
struct RecordDef {
  std::string name;
  const Module* module = nullptr;  // null: built in
  const ast::Decl* tree = nullptr;
  std::vector<FieldDef> fields;
  bool is_event = false;
  std::uint32_t version = 1;
  RecordDef* newest = nullptr;  // of an older version of an event: the one that its name means
  TypeId type = kPoison;
  std::uint32_t index = 0;    // within Program::records
  bool crosses_edge = false;  // an event that is a topic's, notified or an outcome

  const FieldDef* find(std::string_view field, std::uint32_t* at = nullptr) const;
  bool damaged = false;  // some of its fields could not be read
};

// upgrade Ask v1 -> v2 (old) = …
struct UpgradeDef {
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  const RecordDef* event = nullptr;  // the newest version; null after an error
  const RecordDef* from = nullptr;   // null: that version is not declared, and `old` is json
  const RecordDef* to = nullptr;
  Local* old = nullptr;
  Expr* value = nullptr;
};

struct CaseDef {
  std::string name;
  Span span;
  std::vector<FieldDef> fields;
};
struct EnumDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::vector<CaseDef> cases;
  TypeId type = kPoison;
  std::uint32_t index = 0;  // within Program::enums

  const CaseDef* find(std::string_view name, std::uint32_t* at = nullptr) const;
  bool damaged = false;  // some of its cases could not be read
};

struct TopicDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  RecordDef* event = nullptr;    // null after an error
  Local* event_local = nullptr;  // what `key` reads
  Expr* key = nullptr;           // null: order by client
  std::int64_t dedupe_ms = 0;
  std::int64_t retain_ms = 0;
  std::int64_t ttl_ms = 0;  // 0: none
  std::optional<LimitDef> limit;
  bool damaged = false;  // some of its settings could not be read
};

// A policy's value and the place that said so.
template <typename T>
struct Said {
  T value{};
  Span span;
};

// One more attempt of a step that is slow.
struct Hedge {
  std::int64_t after_ms = 0;
  StepDef* call = nullptr;  // of another task; null: of the same
};

// What holds for a task or step once `uses` and overriding lines are merged.
struct Policies {
  std::optional<Said<std::int64_t>> timeout_ms;
  std::optional<Said<std::int64_t>> within_ms;
  std::optional<Said<std::int64_t>> queue_ms;
  std::optional<Said<std::int64_t>> heartbeat_ms;
  std::optional<Said<Attempts>> attempts;
  std::optional<Said<Hedge>> hedge;
  std::optional<Said<PoolDef*>> pool;
  std::optional<Span> idempotent;
  std::optional<Span> readonly;      // then `idempotent` is said, too
  std::optional<Said<Expr*>> keyed;  // null expression: the engine's own key
  std::optional<Span> keep;
  std::optional<Span> stream;
  std::optional<Said<Expr*>> fallback_value;
  std::optional<Said<StepDef*>> fallback_step;
  std::optional<Said<Block*>> compensate;
  std::optional<Said<Block*>> unsure;
  std::optional<Said<std::uint8_t>> priority;  // number of vm::kPriorities
  std::optional<Said<vm::Breaker>> breaker;
  bool damaged = false;  // some of them could not be read
};

struct PolicyDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  Policies policies;
  enum class State { kUnseen, kOpen, kDone } state = State::kUnseen;
};

struct TaskDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::vector<FieldDef> parameters;
  std::optional<TypeId> result;
  Span result_span;
  Policies policies;
  std::vector<std::string> kinds;  // fails [ … ]
  bool damaged = false;            // some of its parameters could not be read
};

struct ConstDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  TypeId type = kPoison;
  Expr* value = nullptr;
  std::optional<vm::Value> folded;  // nothing after an error
  enum class State { kUnseen, kOpen, kDone } state = State::kUnseen;
};

struct FnDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::vector<FieldDef> parameters;
  std::vector<Local*> locals;  // of the parameters
  TypeId result = kPoison;
  Expr* body = nullptr;
  std::vector<std::pair<const FnDef*, Span>> calls;  // in the order of the text
  bool checks_json = false;                          // `as T` stands in it
  bool damaged = false;                              // some of its parameters could not be read
};

struct FlowDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::vector<FieldDef> parameters;
  std::vector<Local*> locals;  // of the parameters
  std::vector<RecordDef*> outcomes;
  bool outcomes_known = true;  // false: one of them was an error
  TopicDef* trigger = nullptr;
  bool has_trigger = false;  // one was written, though it may be wrong
  std::optional<Said<std::int64_t>> timeout_ms;
  struct CallBudget {  // budget N calls of TASK
    const TaskDef* task = nullptr;
    std::int64_t calls = 0;
    Span span;
  };
  std::vector<CallBudget> call_budgets;
  std::optional<Said<std::int64_t>> budget_ms;  // budget D
  std::int64_t ttl_ms = 0;                      // 0: none
  std::optional<ConcurrencyDef> concurrency;
  std::optional<LimitDef> limit;
  std::optional<vm::Schedule> schedule;
  Block body;
  Local* why = nullptr;
  std::optional<Block> on_failure;
  std::vector<StepDef*> steps;                             // all of them, in the order of the text
  std::vector<const RecordDef*> received;                  // from the client; some perhaps twice
  std::vector<std::pair<std::string, Span>> failed_kinds;  // `fail Kind`
  std::vector<const FlowDef*> started;                     // by `start`; some perhaps twice
  EnumDef* outcome = nullptr;                  // of a step that runs it, where it has several
  bool damaged = false, head_damaged = false;  // parameters, settings could not be read
};

// ------------------------------------------------------------------------------------- statements

struct StepDef {
  std::uint32_t number = 0;  // in Program::steps
  std::string name;
  std::string path;  // below the flow: "hold", "gather/left", "hold/undo/release"
  Span name_span, span;
  TaskDef* task = nullptr;  // null after an error, and where the step runs a flow
  FlowDef* flow = nullptr;
  std::vector<Expr*> arguments;  // in the order of the parameters
  Policies policies;             // the task's defaults included
  Local* result = nullptr;       // never null
  bool key_used = false;         // somebody reads NAME.key
  bool in_on_failure = false;
  bool in_compensation = false;
};

struct Let {  // `let` and `var`
  Local* local = nullptr;
  Expr* value = nullptr;
};
struct Set {
  Local* local = nullptr;
  Expr* value = nullptr;
};
struct IfArm {
  Local* binding = nullptr;  // `if let`
  Expr* condition = nullptr;
  Block body;
};
struct If {
  std::vector<IfArm> arms;
  std::optional<Block> else_body;
};
struct MatchCase {
  Pattern pattern;
  Block body;
};
struct Match {
  Expr* subject = nullptr;
  std::vector<MatchCase> cases;
  std::optional<Block> else_body;  // without one, the cases cover everything
};
struct Step {
  StepDef* step = nullptr;
};
struct Branch {
  Local* name = nullptr;    // of `branch NAME`; null for a step
  StepDef* step = nullptr;  // or null
  Block body;               // of `branch NAME { … }`
  Span span;
};
struct Parallel {
  std::vector<Branch> branches;
};
struct Return {
  const RecordDef* event = nullptr;  // null: bare, or after an error
  Expr* value = nullptr;
};
struct Fail {
  std::string kind;
  Expr* message = nullptr;
};
struct Refused {};  // was reported, or could not be read; how it goes on is not asked

struct While {
  Expr* condition = nullptr;
  Block body;
};
struct Each {
  Local* result = nullptr;  // of `let ys = each …`: what the rounds yield; null: nobody asks
  Local* variable = nullptr;
  Expr* source = nullptr;  // a list
  Expr* limit = nullptr;   // `parallel N`; null: one round after the other
  Block body;
};
struct Race {
  Local* result = nullptr;  // of `let r = race …`; null: nobody asks
  std::vector<Branch> branches;
};
// Ends the innermost round of an `each` that has a result, or the innermost branch of a `race`.
struct Yield {
  Expr* value = nullptr;
};
struct Break {};
struct Continue {};
struct Catch {
  std::string kind;      // empty: any
  Local* why = nullptr;  // may be null
  Block body;
  Span span;
};
struct Try {
  Block body;
  std::vector<Catch> catches;
};
struct Deadline {
  Expr* duration = nullptr;
  Block body;
  std::optional<Block> else_body;
};
struct Sleep {
  Expr* value = nullptr;  // a duration, or with `until` a timestamp
  bool until = false;
};

struct Receive {
  Local* local = nullptr;
  RecordDef* event = nullptr;       // null after an error
  const TopicDef* topic = nullptr;  // null: from the client
  std::uint32_t key_field = 0;      // of a topic: the field of the pair, and its value
  Expr* key = nullptr;
  Expr* where = nullptr;   // null: any; reads `local`
  Expr* within = nullptr;  // null: without end
  std::optional<Block> body;
  std::optional<Block> else_body;
};
struct Log {
  Expr* value = nullptr;
};

struct Stmt {
  Span span;
  std::variant<Let, Set, If, Match, Step, Parallel, Notify, Return, Fail, Refused, While, Each,
               Race, Yield, Break, Continue, Try, Deadline, Sleep, Receive, Publish, Start, Log>
      node;
};

// ---------------------------------------------------------------------------------------- modules

struct Module {
  std::string name;
  FileId file{};
  const ast::Module* tree = nullptr;
  bool is_standard = false;  // ships with the compiler
  // What checking made of the tree's nodes, by their dense ids; null where nothing was made.
  std::vector<Expr*> exprs;     // by ast::Expr::id
  std::vector<StepDef*> steps;  // by ast::Stmt::id of a StepStmt
};

struct Program {
  Types types;
  RecordDef* failure = nullptr;
  // Declarations, modules by name, within them in the order of the text: the order does not depend
  // on the order of the files.
  std::deque<Module> modules;
  std::deque<RecordDef> records;
  std::deque<EnumDef> enums;
  std::deque<UpgradeDef> upgrades;
  std::deque<TopicDef> topics;
  std::deque<PoolDef> pools;
  std::deque<PolicyDef> policies;
  std::deque<TaskDef> tasks;
  std::deque<ConstDef> consts;
  std::deque<FnDef> fns;
  std::deque<FlowDef> flows;
  std::deque<TestDef> tests;
  std::deque<InvariantDef> invariants;
  std::vector<Unexecuted> unexecuted;

  // Nodes.
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::deque<Local> locals;
  std::deque<StepDef> steps;
  std::deque<Block> blocks;
  // The trees that spans and `tree` pointers speak of.
  std::vector<std::unique_ptr<ast::Module>> trees;

  const Damage& damage_in(FileId file) const;
  bool is_lost(std::string_view word) const;  // whether it stands in damaged text of any file

  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
};

template <typename Node>
const Node* as(const Expr* expr) {
  return expr == nullptr ? nullptr : std::get_if<Node>(&expr->node);
}
template <typename Node>
const Node* as(const Stmt* stmt) {
  return stmt == nullptr ? nullptr : std::get_if<Node>(&stmt->node);
}

}  // namespace sluice::compiler::ir
