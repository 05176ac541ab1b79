// Loops, and blocks that can be left before their end: `while`, `each`, `race`, `try`, `deadline`.
#include <algorithm>
#include <utility>

#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;
using vm::FunctionKind;
using vm::RoundKind;

namespace {

bool is_true(const Expr* condition) {
  const auto* literal = as<BoolValue>(condition);
  return literal != nullptr && literal->value;
}

// Whether something in the block has a path, in which the round it is done in counts: all but what
// only computes, decides and leaves.
bool names_rounds(const Block& block);

bool names_rounds(const Stmt& stmt) {
  return std::visit(
      ast::Overloaded{
          [](const Let&) { return false; },
          [](const Set&) { return false; },
          [](const Return&) { return false; },
          [](const Fail&) { return false; },
          [](const Yield&) { return false; },
          [](const Break&) { return false; },
          [](const Continue&) { return false; },
          [](const If& node) {
            return (node.else_body && names_rounds(*node.else_body)) ||
                   std::any_of(node.arms.begin(), node.arms.end(),
                               [](const IfArm& arm) { return names_rounds(arm.body); });
          },
          [](const Match& node) {
            return (node.else_body && names_rounds(*node.else_body)) ||
                   std::any_of(node.cases.begin(), node.cases.end(),
                               [](const MatchCase& each) { return names_rounds(each.body); });
          },
          [](const Each& node) { return node.limit != nullptr || names_rounds(node.body); },
          [](const auto&) { return true; },
      },
      stmt.node);
}

bool names_rounds(const Block& block) {
  return std::any_of(block.statements.begin(), block.statements.end(),
                     [](const Stmt* stmt) { return names_rounds(*stmt); });
}

}  // namespace

// ----------------------------------------------------------------------------------------- loops

void FunctionCode::round(const Block& body, RoundKind kind, vm::Label next, vm::Label end) {
  const auto outer = std::exchange(loop_, Loop{next, end});
  const bool named = names_rounds(body);
  if (named) builder_.emit_round(kind, rounds_++);
  block(body);
  if (named) --rounds_;
  loop_ = outer;
}

void FunctionCode::while_loop(const While& node) {
  const vm::Label top = builder_.make_label();
  const vm::Label end = builder_.make_label();
  const std::uint32_t mark = builder_.mark();
  builder_.bind(top);
  if (!is_true(node.condition)) jump_if(*node.condition, false, end);
  builder_.release_to(mark);
  round(node.body, RoundKind::while_, top, end);
  if (reachable_) builder_.emit_jump(Op::jump, top);
  // Of `while true` that nobody leaves, nothing comes here: the verifier does not mind.
  bind_label(end);
  if (names_rounds(node.body)) builder_.emit_leave(rounds_);
}

void FunctionCode::each(const Each& node) {
  if (node.limit != nullptr) return each_beside(node);
  if (node.result != nullptr) {
    const Register all = builder_.allocate();
    builder_.emit_indexed(Op::make_list, all, all, 0);
    bind(node.result, all);
  }
  const auto* range = as<RangeValue>(node.source);
  if (range != nullptr) {
    each_in_range(node, *range);
  } else {
    each_in_turn(node);
  }
}

void FunctionCode::each_in_turn(const Each& node) {
  const std::uint32_t mark = builder_.mark();
  // list_loop: the element, its index, the list.
  const Register variable = builder_.allocate(3);
  into(*node.source, {variable.index + 2});
  builder_.emit_imm(Op::load_int, {variable.index + 1}, 0);
  loop(node, Op::list_loop, variable);
  builder_.release_to(mark);
}

// Counts, so that the range is never built as a list.
void FunctionCode::each_in_range(const Each& node, const RangeValue& range) {
  const std::uint32_t mark = builder_.mark();
  // int_loop: the number, the next one, the last.
  const Register variable = builder_.allocate(3);
  into(*range.first, {variable.index + 1});
  into(*range.last, {variable.index + 2});
  loop(node, Op::int_loop, variable);
  builder_.release_to(mark);
}

// The rounds of an `each`: `op` at their end sets the variable and begins the next one.
void FunctionCode::loop(const Each& node, Op op, Register variable) {
  bind(node.variable, variable);
  const vm::Label top = builder_.make_label();
  const vm::Label next = builder_.make_label();
  const vm::Label end = builder_.make_label();
  builder_.emit_jump(Op::jump, next);
  builder_.bind(top);
  gathering(node, next, end);
  bind_label(next);
  builder_.emit_jump(op, variable, top);
  bind_label(end);
  if (names_rounds(node.body)) builder_.emit_leave(rounds_);
}

// A round whose `yield` adds to the loop's result, if it has one.
void FunctionCode::gathering(const Each& node, vm::Label next, vm::Label end) {
  const Yields outer = yields_;
  const Register outer_gathered = gathered_;
  const vm::Label outer_next = gathering_next_;
  if (node.result != nullptr) {
    yields_ = Yields::kAppend;
    gathered_ = locals_.at(node.result);
    gathering_next_ = next;
  }
  round(node.body, RoundKind::each, next, end);
  yields_ = outer;
  gathered_ = outer_gathered;
  gathering_next_ = outer_next;
}

void FunctionCode::each_beside(const Each& node) {
  const Register all = builder_.allocate();
  if (node.result != nullptr) bind(node.result, all);
  const std::uint32_t mark = builder_.mark();
  const Register list = builder_.allocate(), index = builder_.allocate(),
                 variable = builder_.allocate(), limit = builder_.allocate();
  into(*node.source, list);
  into(*node.limit, limit);
  builder_.emit_imm(Op::load_int, index, 0);
  bind(node.variable, variable);

  Captures captures = captures_of(node.body);
  const std::uint32_t function = generator_.reserve();
  FunctionCode code(generator_, name_ + "/each", FunctionKind::branch,
                    static_cast<std::uint16_t>(captures.size()),
                    std::string(vm::round_word(RoundKind::each)));
  code.bind(captures);
  code.round_body(node.body);
  generator_.put(function, code.builder(), node.body.span);

  at(node.source->span);
  const vm::Label next = builder_.make_label();
  const vm::Label end = builder_.make_label();
  builder_.bind(next);
  builder_.emit(Op::list_next, variable, list, index);
  builder_.emit_jump(Op::jump, end);
  const Register first = capture(captures);
  builder_.emit_spawn(function, first, static_cast<std::uint32_t>(captures.size()));
  builder_.emit(Op::slot, limit);
  builder_.emit_jump(Op::jump, next);
  builder_.bind(end);
  builder_.emit(Op::gather, all);
  builder_.release_to(mark);
}

void FunctionCode::round_body(const Block& body) {
  yields_ = Yields::kReturnList;
  block_body(body);
}

void FunctionCode::jump(bool leaves) {
  if (loop_) {
    builder_.emit_jump(Op::jump, leaves ? loop_->end : loop_->next);
  } else {
    builder_.emit(Op::ret_none);  // `continue` in a round that runs beside others
  }
  reachable_ = false;
}

// ---------------------------------------------------------------------------------------- values

void FunctionCode::yield(const Yield& node) {
  const std::uint32_t mark = builder_.mark();
  const Register value = eval(*node.value);
  if (yields_ == Yields::kAppend) {
    builder_.emit(Op::append, gathered_, value);
    builder_.emit_jump(Op::jump, gathering_next_);
  } else if (yields_ == Yields::kReturnList) {
    const Register list = builder_.allocate();
    builder_.emit_indexed(Op::make_list, list, value, 1);
    builder_.emit(Op::ret, list);
  } else {
    builder_.emit(Op::ret, value);
  }
  builder_.release_to(mark);
  reachable_ = false;
}

void FunctionCode::race_body(const Block& body) {
  yields_ = Yields::kReturn;
  block_body(body);
}

void FunctionCode::race_step(const StepDef& def) {
  const Register to = builder_.allocate();
  step(def, to);
  builder_.emit(Op::ret, to);
}

void FunctionCode::race(const Race& node) {
  const Register result = builder_.allocate();
  for (const Branch& each : node.branches) {
    const std::uint32_t mark = builder_.mark();
    const Captures captures =
        each.step != nullptr ? captures_of(*each.step) : captures_of(each.body);
    const std::uint32_t index = branch(each, captures, true);
    const Register first = capture(captures);
    builder_.emit_spawn(index, first, static_cast<std::uint32_t>(captures.size()));
    builder_.release_to(mark);
  }
  builder_.emit_race(result, static_cast<std::uint32_t>(node.branches.size()));
  builder_.emit(Op::settle);
  if (node.result != nullptr) bind(node.result, result);
}

// ------------------------------------------------------------------------ blocks that can be left

void FunctionCode::leave_block(vm::Label handler) {
  bind_label(handler);
  builder_.emit_leave(rounds_);
}

void FunctionCode::undo_since(Register mark) {
  builder_.emit(Op::undo, mark);
  builder_.emit(Op::settle);
}

void FunctionCode::try_statement(const Try& node) {
  const std::uint32_t outer = builder_.mark();
  const Register since = builder_.allocate(), why = builder_.allocate();
  const vm::Label begin = builder_.make_label(), end = builder_.make_label(),
                  handler = builder_.make_label(), done = builder_.make_label();
  builder_.emit(Op::mark, since);
  builder_.bind(begin);
  const std::uint32_t from = builder_.pc();
  ++tries_;
  block(node.body);
  --tries_;
  builder_.bind(end);
  const bool empty = builder_.pc() == from;
  bool any_end = reachable_;
  if (empty) return builder_.release_to(outer);
  if (reachable_) builder_.emit_jump(Op::jump, done);
  builder_.add_handler(begin, end, handler, why);
  leave_block(handler);
  bool all = false;  // whether some `catch` takes what is left
  for (const Catch& each : node.catches) {
    const vm::Label next = builder_.make_label();
    all = each.kind.empty();
    if (!all) {
      const std::uint32_t mark = builder_.mark();
      const Register kind = builder_.allocate(), wanted = builder_.allocate();
      builder_.emit_indexed(Op::get_field, kind, why,
                            static_cast<std::uint32_t>(vm::FailureField::kind));
      constant(vm::Value::string(each.kind), wanted);
      builder_.emit(Op::skip_if_equal, kind, wanted);
      builder_.emit_jump(Op::jump, next);
      builder_.release_to(mark);
    }
    undo_since(since);
    if (each.why != nullptr) bind(each.why, why);
    block(each.body);
    any_end = any_end || reachable_;
    if (reachable_) builder_.emit_jump(Op::jump, done);
    if (all) break;
    bind_label(next);
  }
  if (!all) builder_.emit(Op::rethrow, why);
  builder_.bind(done);
  reachable_ = any_end;
  builder_.release_to(outer);
}

void FunctionCode::deadline(const Deadline& node) {
  const std::uint32_t outer = builder_.mark();
  const Register since = builder_.allocate(), timer = builder_.allocate();
  const vm::Label begin = builder_.make_label(), end = builder_.make_label(),
                  handler = builder_.make_label(), done = builder_.make_label();
  into(*node.duration, timer);
  builder_.emit(Op::mark, since);
  builder_.emit(Op::start_deadline, timer, timer);
  builder_.bind(begin);
  const std::uint32_t from = builder_.pc();
  block(node.body);
  builder_.bind(end);
  const bool empty = builder_.pc() == from;
  bool any_end = reachable_;
  if (empty) return builder_.release_to(outer);
  if (reachable_) builder_.emit_jump(Op::jump, done);
  builder_.add_handler(begin, end, handler, timer, vm::Handler::kHandlerDeadline);
  leave_block(handler);
  undo_since(since);
  if (node.else_body) block(*node.else_body);
  any_end = any_end || reachable_;
  builder_.bind(done);
  reachable_ = any_end;
  builder_.release_to(outer);
}

void FunctionCode::sleep(const Sleep& node) {
  const std::uint32_t mark = builder_.mark();
  builder_.emit(Op::sleep, eval(*node.value));
  builder_.release_to(mark);
}

// --------------------------------------------------------------------------------------- signals

void FunctionCode::filter_body(const Receive& node, const Captures& captures) {
  bind(node.local, {0});
  bind(captures, 1);
  pure_body(*node.where);
}

std::uint32_t FunctionCode::filter(const Receive& node, const Captures& captures) {
  const std::uint32_t index = generator_.reserve();
  FunctionCode code(generator_, name_ + "/" + node.local->name + " where", FunctionKind::pure,
                    static_cast<std::uint16_t>(1 + captures.size()));
  code.filter_body(node, captures);
  generator_.put(index, code.builder(), node.where->span);
  return index;
}

void FunctionCode::receive(const Receive& node) {
  const std::uint32_t outer = builder_.mark();
  const Register to = builder_.allocate();
  const std::uint32_t mark = builder_.mark();
  const Captures captures =
      node.where == nullptr ? Captures{} : captures_of_filter(*node.where, node.local);
  const auto captured = static_cast<std::uint32_t>(captures.size());
  const Register first = builder_.allocate(1 + captured + (node.key != nullptr ? 1 : 0));
  if (node.within != nullptr) {
    into(*node.within, first);
  } else {
    builder_.emit(Op::load_none, first);
  }
  capture(captures, first.index + 1);
  if (node.key != nullptr) into(*node.key, {first.index + 1 + captured});
  std::optional<std::uint32_t> asked;
  if (node.where != nullptr) asked = filter(node, captures);
  builder_.emit_indexed(Op::receive, to, first, generator_.add_receive(node, asked));
  builder_.release_to(mark);
  bind(node.local, to);
  if (node.within == nullptr) {
    if (node.body) block(*node.body);
  } else {
    const vm::Label late = builder_.make_label(), done = builder_.make_label();
    builder_.emit_jump(Op::jump_if_none, to, late);
    if (node.body) block(*node.body);
    const bool taken = reachable_;
    if (taken) builder_.emit_jump(Op::jump, done);
    bind_label(late);
    if (node.else_body) block(*node.else_body);
    builder_.bind(done);
    reachable_ = taken || reachable_;
  }
  if (node.body) builder_.release_to(outer);
}

}  // namespace sluice::compiler
