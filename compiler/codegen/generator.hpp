// The parts of code generation. Private to compiler/codegen.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "compiler/compile.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"
#include "compiler/source.hpp"
#include "vm/artifact.hpp"
#include "vm/builder.hpp"

namespace sluice::compiler {

// The program that is being made: tables, constants, functions.
class Generator {
 public:
  Generator(const ir::Program& program, const SourceSet& sources, Diagnostics& diagnostics,
            const CompileOptions& options);

  std::optional<vm::Program> run();

  vm::TypeId type(ir::TypeId type);
  std::uint32_t constant(const vm::Value& value) { return constants_.add(value); }
  std::uint32_t function_of(const ir::FnDef& fn) const { return fns_.at(&fn); }
  // Whether calls of it are to be replaced by what it does (inlining.cc).
  bool is_small(const ir::FnDef& fn);
  std::uint32_t event_of(const ir::RecordDef& event) const { return events_.at(&event); }
  std::uint32_t topic_of(const ir::TopicDef& topic) const { return topics_.at(&topic); }
  std::uint32_t flow_of(const ir::FlowDef& flow) const { return flows_.at(&flow); }
  // A place in the table of functions, to be filled by put(). So calls may come before bodies.
  std::uint32_t reserve();
  void put(std::uint32_t index, vm::FunctionBuilder& builder, Span span);
  std::uint32_t add_site(const ir::StepDef& step);
  std::uint32_t add_hedge(const ir::StepDef& step);
  // Of the flow that is being made.
  std::uint32_t add_receive(const ir::Receive& node, std::optional<std::uint32_t> filter);
  // Index of the file in Program::sources.
  std::uint32_t source_of(FileId file) const { return files_.at(file); }

  const ir::Types& types() const { return program_.types; }
  const SourceSet& sources() const { return sources_; }
  bool debug_lines() const { return options_.debug_lines; }
  const std::unordered_map<const ir::Expr*, std::uint32_t>& test_functions() const {
    return test_functions_;
  }

 private:
  void list_sources();
  void number_functions();
  void events();
  void types_of_data();
  vm::FieldType field(const ir::FieldDef& def, const std::string& owner);
  void topics();
  void pools_and_tasks();
  void functions();
  void flow(const ir::FlowDef& def);
  vm::Concurrency concurrency(const ir::FlowDef& def);
  vm::RateLimit limit(const ir::LimitDef& def, const std::vector<ir::Local*>& parameters);
  std::uint32_t key_function(const std::string& name, const ir::Expr& key,
                             const std::vector<ir::Local*>& parameters);
  // Test and invariant blocks (tests.cc).
  void tests();
  void test_value(const std::string& title, const ir::Expr* value);
  void test_condition(const std::string& title, const ir::Condition& condition);
  bool check_limits();
  void too_large(Span span, const std::string& what);

  const ir::Program& program_;
  const SourceSet& sources_;
  Diagnostics& diagnostics_;
  const CompileOptions& options_;
  vm::Program out_;
  vm::ConstantPool constants_;
  std::unordered_map<FileId, std::uint32_t> files_;
  std::unordered_map<ir::TypeId, vm::TypeId> types_;
  std::unordered_map<const ir::FnDef*, std::uint32_t> fns_;
  std::unordered_map<const ir::FnDef*, bool> small_;
  std::unordered_map<const ir::RecordDef*, std::uint32_t> events_;
  std::unordered_map<const ir::TopicDef*, std::uint32_t> topics_;
  std::unordered_map<const ir::PoolDef*, std::uint32_t> pools_;
  std::unordered_map<const ir::TaskDef*, std::uint32_t> tasks_;
  std::unordered_map<const ir::FlowDef*, std::uint32_t> flows_;
  std::unordered_map<const ir::Expr*, std::uint32_t> test_functions_;
};

// What a block of code reads from around it, in the order in which it is met.
struct Captures {
  std::vector<ir::Local*> locals;
  std::vector<ir::StepDef*> keys;  // NAME.key
  bool run_client = false;         // only where the code is pure
  bool run_id = false;
  bool now = false;

  std::size_t size() const {
    return locals.size() + keys.size() + (run_client ? 1 : 0) + (run_id ? 1 : 0) + (now ? 1 : 0);
  }
};
Captures captures_of(const ir::Block& block);
Captures captures_of(const ir::StepDef& step);  // of a step that stands directly in `parallel`

// Of the `where` of a `receive`: but for the event, which it is asked about.
Captures captures_of_filter(const ir::Expr& where, const ir::Local* event);

// Code of one function.
class FunctionCode {
 public:
  FunctionCode(Generator& generator, std::string name, vm::FunctionKind kind,
               std::uint16_t parameters, std::string segment = "");

  void bind(const ir::Local* local, vm::Register at) { locals_[local] = at; }
  void bind_key(const ir::StepDef* step, vm::Register at) { keys_[step] = at; }
  // The captured values as parameters `first`, …
  void bind(const Captures& captures, std::uint32_t first = 0);

  // A pure function whose value is the expression's.
  void pure_body(const ir::Expr& value);
  // Of a filter: the event is parameter 0, what it captures follows.
  void filter_body(const ir::Receive& node, const Captures& captures);
  void flow_body(const ir::FlowDef& flow, const ir::Block& body);
  // Of a `branch NAME { … }`, a compensation.
  void block_body(const ir::Block& body);
  // Of a round that runs beside others; what it yields comes in a list.
  void round_body(const ir::Block& body);
  // Of a branch of `race`: its value is what it yields.
  void race_body(const ir::Block& body);
  void race_step(const ir::StepDef& step);
  void branch_step(const ir::StepDef& step);

  vm::FunctionBuilder& builder() { return builder_; }

 private:
  using Register = vm::Register;
  using Op = vm::Op;

  // Expressions (exprs.cc). eval() may answer the register of a name; into() writes `to`, which the
  // expression must not read unless it is the whole of an arithmetic operation.
  Register eval(const ir::Expr& expr);
  void into(const ir::Expr& expr, Register to);
  Register all(const std::vector<ir::Expr*>& exprs);  // in registers side by side
  void constant(const vm::Value& value, Register to);
  void about_run(Op op, const std::optional<Register>& captured, Register to);
  bool folded(const ir::Expr& expr, Register to);
  void negate(const ir::Expr& expr, const ir::Negate& node, Register to);
  void as_type(const ir::Expr& expr, const ir::AsType& node, Register to);
  void arithmetic(const ir::Expr& expr, const ir::Arithmetic& node, Register to);
  // The number, if that is known now.
  std::optional<std::int64_t> number_in(const ir::Expr& expr) const;
  // `x + 1`, `x > 1`: false if the number on the right is not known or not small.
  bool with_small(const ir::Expr& expr, const ir::Arithmetic& node, Register to);
  // `x * 2.0`, `1.0 / x`: false if no side is known, or both are.
  bool with_float(const ir::Expr& expr, const ir::Arithmetic& node, Register to);
  std::optional<double> float_in(const ir::Expr& expr) const;
  bool skip_if_small(const ir::Compare& node, bool when);
  bool inlined(const ir::Expr& expr, const ir::CallFn& node, Register to);
  // `a + b + c` of strings at once: false if it is less than that.
  bool joined(const ir::Expr& expr, const ir::Arithmetic& node, Register to);
  static std::vector<ir::Expr*> parts_of(const ir::Arithmetic& node);
  void compare(const ir::Compare& node, Register to);
  // Goes two instructions on if the comparison is `when`.
  void skip_if(const ir::Compare& node, bool when);
  void logic(const ir::Logic& node, Register to);
  void membership(const ir::In& node, Register to);
  void builtin(vm::Builtin which, Register first, Register to);
  void if_value(const ir::IfExpr& node, Register to);
  void match_value(const ir::MatchExpr& node, Register to);
  void list_value(const ir::ListValue& node, Register to);
  void map_value(const ir::MapValue& node, Register to);
  void range_value(const ir::RangeValue& node, Register to);
  void comprehension(const ir::Comprehension& node, Register to);
  void field(const ir::FieldOf& node, Register to);
  void with(const ir::With& node, Register to);
  void interpolation(const ir::Interpolation& node, Register to);
  void jump_if(const ir::Expr& condition, bool when, vm::Label target);
  // Jumps to `otherwise` unless the subject fits; then binds what the pattern binds.
  void test(const ir::Pattern& pattern, const ir::Expr& subject, Register at, vm::Label otherwise);
  void bind_fields(const ir::Pattern& pattern, Register subject);
  void at(Span span);

  // Statements (flows.cc).
  void block(const ir::Block& block);
  void statement(const ir::Stmt& stmt);
  void let(const ir::Let& node);
  void set(const ir::Set& node);
  // `set x = x with { … }`, `set x = x + [y]`, `set x = x + a + b` of strings and
  // `set x = put(x, …)` change x where it is: false if it is none of them.
  bool set_in_place(const ir::Set& node, Register to);
  bool set_fields(const ir::With& with, Register to);
  bool set_longer(const ir::Set& node, const ir::Arithmetic& sum, Register to);
  // The value in a register that a change of `to` does not touch.
  Register apart(const ir::Expr& expr, Register to);
  bool is_local(const ir::Expr& expr, const ir::Local* local) const;
  void if_statement(const ir::If& node);
  void match(const ir::Match& node);
  void step(const ir::StepDef& step, Register to);
  Register arguments(const ir::StepDef& step, std::uint32_t site);
  // A block that undoes a step: its function, and what that reads.
  struct Undoing {
    std::uint32_t function = 0;
    Captures captures;
  };
  Undoing undoing(const ir::StepDef& step, const ir::Block& body, const char* what);
  void undo(Op op, const Undoing& with, std::uint32_t site);
  void fallback(const ir::StepDef& step, const ir::StepDef& other,
                const std::optional<Undoing>& unsure, Register to);
  Register capture(const Captures& captures);
  void capture(const Captures& captures, std::uint32_t first);
  void parallel(const ir::Parallel& node);
  // Loops, and blocks that can be left before their end (blocks.cc).
  void while_loop(const ir::While& node);
  void each(const ir::Each& node);
  void each_in_turn(const ir::Each& node);
  void each_in_range(const ir::Each& node, const ir::RangeValue& range);
  void loop(const ir::Each& node, Op op, Register variable);
  void each_beside(const ir::Each& node);
  // Head and end of a round; between them the loop's jumps and yields are in force.
  void round(const ir::Block& body, vm::RoundKind kind, vm::Label next, vm::Label end);
  void gathering(const ir::Each& node, vm::Label next, vm::Label end);
  void race(const ir::Race& node);
  void yield(const ir::Yield& node);
  void jump(bool leaves);
  void try_statement(const ir::Try& node);
  void deadline(const ir::Deadline& node);
  void sleep(const ir::Sleep& node);
  void receive(const ir::Receive& node);
  std::uint32_t filter(const ir::Receive& node, const Captures& captures);
  // Where control comes when a block was left before its end: its rounds are over.
  void leave_block(vm::Label handler);
  void undo_since(Register mark);
  std::uint32_t branch(const ir::Branch& each, const Captures& captures, bool in_race);
  void notify(const ir::Notify& node);
  void log(const ir::Log& node);
  void publish(const ir::Publish& node);
  void start(const ir::Start& node);
  void return_statement(const ir::Return& node);
  void fail(const ir::Fail& node);
  void fail(std::string_view kind, std::string_view message);
  void bind_label(vm::Label label) {
    builder_.bind(label);
    reachable_ = true;
  }

  Generator& generator_;
  vm::FunctionBuilder builder_;
  std::string name_;
  vm::FunctionKind kind_;
  std::unordered_map<const ir::Local*, Register> locals_;
  std::unordered_map<const ir::StepDef*, Register> keys_;
  std::optional<Register> run_client_, run_id_, now_;  // captured, in pure code
  bool reachable_ = true;

  // What `yield` does here: ends the function, or a round of a loop that gathers.
  enum class Yields : std::uint8_t { kNothing, kReturn, kReturnList, kAppend };
  Yields yields_ = Yields::kNothing;
  Register gathered_{};  // of kAppend
  vm::Label gathering_next_{};
  // The innermost loop of this function; without one, `continue` ends the function.
  struct Loop {
    vm::Label next;
    vm::Label end;
  };
  std::optional<Loop> loop_;
  std::uint32_t rounds_ = 0;    // loops around, within this function
  std::uint32_t tries_ = 0;     // `try` blocks around, likewise
  std::uint32_t inlining_ = 0;  // small functions around
};

}  // namespace sluice::compiler
