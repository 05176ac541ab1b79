// Bodies of flows: statements, steps, and where each may stand. Private to compiler/check.
#pragma once

#include <string>
#include <vector>

#include "compiler/check/context.hpp"
#include "compiler/check/exprs.hpp"
#include "compiler/check/locals.hpp"
#include "compiler/check/policies.hpp"

namespace sluice::compiler {

// The first word of a statement, as a place to point at.
Span first_word(const ast::Stmt& tree, std::string_view word);

class FlowChecker {
 public:
  FlowChecker(Context& context, ModuleScope& scope, ir::FlowDef& flow);

  void run();

 private:
  // What kind of block a statement stands in; says what it may do.
  enum class Place : std::uint8_t { kBody, kOnFailure, kCompensation };

  // The head (flows_settings.cc).
  void settings();
  void setting(const ast::FlowSetting& setting);
  void call_budget(const ast::BudgetCallsSetting& node, Span span);
  void trigger(const ast::TopicTrigger& node, Span span);
  void hears_its_event() const;
  void concurrency(const ast::ConcurrencySetting& node, Span span);
  void schedule(const ast::ScheduleTrigger& node, Span span);
  void check_zone(const ast::Expr& tree, const std::string& zone);
  vm::Per per(const ast::Scope& scope, ir::Expr** key);
  void parameters();

  // Statements (flows.cc). Null if nothing is left of it but a report.
  ir::Block block(const ast::Block& tree);
  // The same without a scope of its own: the caller has opened one.
  ir::Block open_block(const ast::Block& tree);
  ir::Stmt* statement(const ast::Stmt& tree);
  ir::Stmt* made(const ast::Stmt& tree, decltype(ir::Stmt::node) node);
  ir::Stmt* let(const ast::Stmt& tree, const ast::LetStmt& node);
  bool is_step_without_its_word(const ast::Stmt& tree, const ast::Expr& value);
  ir::Stmt* var(const ast::Stmt& tree, const ast::VarStmt& node);
  ir::Stmt* set(const ast::Stmt& tree, const ast::SetStmt& node);
  ir::Stmt* if_statement(const ast::Stmt& tree, const ast::IfStmt& node);
  ir::Stmt* match(const ast::Stmt& tree, const ast::MatchStmt& node);
  ir::Stmt* notify(const ast::Stmt& tree, const ast::NotifyStmt& node);
  ir::Stmt* return_statement(const ast::Stmt& tree, const ast::ReturnStmt& node);
  ir::Stmt* fail(const ast::Stmt& tree, const ast::FailStmt& node);
  ir::Stmt* log(const ast::Stmt& tree, const ast::LogStmt& node);
  ir::RecordDef* event_type(const ir::Expr& value, std::string_view what);
  void check_outcome(const ast::Stmt& tree, ir::Return& node);

  // Steps and what hangs on them (flows_steps.cc).
  ir::Stmt* step_statement(const ast::Stmt& tree, const ast::StepStmt& node);
  bool is_let_with_a_wrong_word(const ast::Stmt& tree, const ast::StepStmt& node);
  ir::StepDef* step(const ast::Stmt& tree, const ast::StepStmt& node);
  // The task or flow that a call names; neither after a report. `of`: what wants to run it.
  struct Work {
    ir::TaskDef* task = nullptr;
    ir::FlowDef* flow = nullptr;
    explicit operator bool() const { return task != nullptr || flow != nullptr; }
  };
  Work work_of(const ast::CallExpr& call);
  Work report_no_work(const ast::CallExpr& call, const Symbol& symbol);
  // Takes the call's arguments and, of a task, its policies.
  void take_work(ir::StepDef& step, const ast::CallExpr& call, Span span);
  // The value of a step that runs that flow; poison if it has none.
  ir::TypeId outcome_of(ir::FlowDef& flow);
  // An outcome that stands for the whole: `fallback Failed { … }`.
  ir::Expr* as_outcome(const ir::StepDef& step, ir::Expr* value);
  // What a step that runs other work than `step` does not give.
  void check_other_work(const ir::StepDef& step, const ir::StepDef& other);
  void policies(ir::StepDef& step, const std::vector<ast::Policy>& lines);
  void fallback(ir::StepDef& step, const ast::FallbackPolicy& line, Span span);
  void hedge(ir::StepDef& step, const ast::HedgePolicy& line);
  ir::StepDef& instead(ir::StepDef& step, const ast::CallExpr& call, Span span,
                       std::string_view suffix);
  ir::Block* compensation(ir::StepDef& step, const ast::Block& tree, bool unsure);
  ir::Stmt* parallel(const ast::Stmt& tree, const ast::ParallelStmt& node);
  ir::Branch branch(const ast::Branch& tree);
  std::vector<ir::Branch> branches(const std::vector<ast::Branch>& trees);

  // Loops, and blocks that can be left before their end (flows_blocks.cc).
  ir::Stmt* while_loop(const ast::Stmt& tree, const ast::WhileStmt& node);
  ir::Stmt* each(const ast::Stmt& tree, const ast::EachStmt& node, const ast::Name* result);
  ir::Expr* each_source(const ast::EachStmt& node, ir::TypeId* element);
  void each_body(const ast::EachStmt& node, ir::Each& out);
  ir::Stmt* race(const ast::Stmt& tree, const ast::RaceStmt& node, const ast::Name* result);
  void race_value(const ir::Branch& branch);
  ir::Stmt* yield(const ast::Stmt& tree, const ast::YieldStmt& node);
  ir::Stmt* jump(const ast::Stmt& tree, std::string_view word);  // `break`, `continue`
  ir::Stmt* try_statement(const ast::Stmt& tree, const ast::TryStmt& node);
  void caught_from_outside(const ast::Stmt& tree, const ast::Name& kind, std::size_t steps,
                           std::size_t fails);
  ir::Stmt* deadline(const ast::Stmt& tree, const ast::DeadlineStmt& node);
  ir::Stmt* sleep(const ast::Stmt& tree, const ast::SleepStmt& node);
  ir::Stmt* receive(const ast::Stmt& tree, const ast::ReceiveStmt& node);
  ir::RecordDef* awaited(const ast::ReceiveStmt& node);
  const ir::TopicDef* receive_topic(const ast::ReceiveStmt& node, const ir::RecordDef* event);
  // From a topic: the pair that the run subscribes to.
  void find_pair(const ast::ReceiveStmt& node, ir::Receive& out);
  bool pair_in(const ast::Expr& tree, const ir::Expr& where, ir::Receive& out);
  bool is_pair(const ir::Expr& field, const ast::Expr& tree, ir::Expr* value, ir::Receive& out);
  bool is_key(ir::TypeId type) const;
  void receive_ends(const ast::Stmt& tree, const ast::ReceiveStmt& node, const ir::Receive& out);
  // What is gathered, as a local of the block around; null without a name.
  ir::Local* gathered(const ast::Stmt& tree, const ast::Name* result, bool list);
  bool concurrent_in_compensation(const ast::Stmt& tree, std::string_view word);

  // What goes beyond the run (flows_messages.cc).
  ir::Stmt* publish(const ast::Stmt& tree, const ast::PublishStmt& node);
  ir::Stmt* start(const ast::Stmt& tree, const ast::StartStmt& node, const ast::Name* result);
  ir::FlowDef* started_flow(const ast::CallExpr& call);
  // Reports it as forbidden where it stands; true if it is.
  bool forbidden_in_on_failure(const ast::Stmt& tree, std::string_view word);

  Context& context_;
  ir::Types& types_;
  ModuleScope& scope_;
  ir::FlowDef& flow_;
  const ast::FlowDecl& tree_;
  Locals locals_;
  Exprs exprs_;
  Place place_ = Place::kBody;
  std::string path_;  // of the steps here, below the flow: "", "gather/"

  // What `break`, `continue` and `yield` mean here: set anew where a branch or round begins that
  // runs beside others.
  enum class Loop : std::uint8_t { kNone, kRounds, kBeside };
  struct Gather {
    ir::TypeId type = ir::kPoison;
    bool any = false;  // something was yielded
    Span first;
  };
  struct Around {
    Loop loop = Loop::kNone;    // kBeside: rounds that run beside each other
    Gather* gather = nullptr;   // null: no `yield`
    bool loop_outside = false;  // of a branch: its `parallel` or `race` stands in a loop
  };
  Around around_;
};

}  // namespace sluice::compiler
