#include "vm/builder.hpp"

#include <algorithm>

namespace sluice::vm {

ConstantPool::ConstantPool(Program& program) : program_(program) {
  for (uint32_t i = 0; i < program_.constants.size(); ++i) known_.emplace(program_.constants[i], i);
}

uint32_t ConstantPool::add(const Value& value) {
  auto [at, fresh] =
      known_.emplace(encode_value(value), static_cast<uint32_t>(program_.constants.size()));
  if (fresh) program_.constants.push_back(at->first);
  return at->second;
}

FunctionBuilder::FunctionBuilder(std::string name, FunctionKind kind, uint16_t parameters,
                                 std::string segment)
    : next_register_(parameters), registers_used_(parameters) {
  function_.name = std::move(name);
  function_.kind = kind;
  function_.parameters = parameters;
  function_.segment = std::move(segment);
}

Register FunctionBuilder::allocate(uint32_t count) {
  Register first{next_register_};
  next_register_ += count;
  registers_used_ = std::max(registers_used_, next_register_);
  return first;
}

Label FunctionBuilder::make_label() {
  labels_.emplace_back();
  return {static_cast<uint32_t>(labels_.size() - 1)};
}

void FunctionBuilder::bind(Label label) {
  labels_[label.index] = pc();
}

void FunctionBuilder::at(uint32_t source, uint32_t line, uint32_t column) {
  std::vector<LineEntry>& lines = function_.lines;
  LineEntry entry{pc(), source, line, column};
  if (!lines.empty() && lines.back().pc == entry.pc) {
    lines.back() = entry;
    return;
  }
  if (!lines.empty() && lines.back().source == source && lines.back().line == line &&
      lines.back().column == column) {
    return;
  }
  lines.push_back(entry);
}

Instruction& FunctionBuilder::push(Op op) {
  function_.code.push_back({op, 0, 0, 0, 0});
  if (function_.code.size() > kCodeMax && error_.empty()) error_ = "too many instructions";
  return function_.code.back();
}

uint16_t FunctionBuilder::reg(Register r) {
  if (r.index >= kRegistersMax && error_.empty()) error_ = "too many registers";
  return static_cast<uint16_t>(r.index);
}

uint16_t FunctionBuilder::operand(uint32_t value, const char* what) {
  if (value > 0xffff && error_.empty()) error_ = std::string("too many ") + what;
  return static_cast<uint16_t>(value);
}

void FunctionBuilder::emit(Op op) {
  push(op);
}
void FunctionBuilder::emit(Op op, Register a) {
  push(op).a = reg(a);
}
void FunctionBuilder::emit(Op op, Register a, Register b) {
  Instruction& i = push(op);
  i.a = reg(a);
  i.b = reg(b);
}
void FunctionBuilder::emit(Op op, Register a, Register b, Register c) {
  Instruction& i = push(op);
  i.a = reg(a);
  i.b = reg(b);
  i.c = reg(c);
}
void FunctionBuilder::emit_wide(Op op, Register a, uint32_t wide) {
  Instruction& i = push(op);
  i.a = reg(a);
  i.set_wide(wide);
}
void FunctionBuilder::emit_imm(Op op, Register a, int32_t value) {
  emit_wide(op, a, static_cast<uint32_t>(value));
}
void FunctionBuilder::emit_short(Op op, Register a, Register b, int16_t value) {
  emit(op, a, b);
  function_.code.back().c = static_cast<uint16_t>(value);
}
void FunctionBuilder::emit_short(Op op, Register a, int16_t value) {
  emit(op, a);
  function_.code.back().c = static_cast<uint16_t>(value);
}
void FunctionBuilder::emit_flag(Op op, Register a, bool flag) {
  Instruction& i = push(op);
  i.a = reg(a);
  i.x = flag ? 1 : 0;
}
void FunctionBuilder::emit_jump(Op op, Label target) {
  pending_.push_back({pc(), target});
  push(op);
}
void FunctionBuilder::emit_jump(Op op, Register a, Label target) {
  pending_.push_back({pc(), target});
  push(op).a = reg(a);
}
void FunctionBuilder::emit_indexed(Op op, Register a, Register b, uint32_t c, uint8_t x) {
  Instruction& i = push(op);
  i.a = reg(a);
  i.b = reg(b);
  i.c = operand(c, "operands");
  i.x = x;
}
void FunctionBuilder::emit_closure(Op op, uint32_t function, Register first, uint32_t count,
                                   uint32_t site) {
  if (count > kCapturesMax && error_.empty()) error_ = "too many captured values";
  Instruction& i = push(op);
  i.a = operand(function, "functions");
  i.b = reg(first);
  i.c = operand(site, "step sites");
  i.x = static_cast<uint8_t>(count);
}
void FunctionBuilder::emit_spawn(uint32_t function, Register first, uint32_t count) {
  Instruction& i = push(Op::spawn);
  i.a = operand(function, "functions");
  i.b = reg(first);
  i.c = operand(count, "captured values");
}
void FunctionBuilder::emit_join(Register first, uint32_t count) {
  Instruction& i = push(Op::join);
  i.a = reg(first);
  i.c = operand(count, "branches");
}
void FunctionBuilder::emit_site(Register a, uint32_t site) {
  Instruction& i = push(Op::step_key);
  i.a = reg(a);
  i.c = operand(site, "step sites");
}
void FunctionBuilder::emit_round(RoundKind kind, uint32_t depth) {
  if (depth > 0xff && error_.empty()) error_ = "too many loops inside each other";
  Instruction& i = push(Op::round);
  i.a = static_cast<uint16_t>(kind);
  i.x = static_cast<uint8_t>(depth);
}
void FunctionBuilder::emit_leave(uint32_t depth) {
  if (depth > 0xff && error_.empty()) error_ = "too many loops inside each other";
  push(Op::leave).x = static_cast<uint8_t>(depth);
}
void FunctionBuilder::emit_race(Register value, uint32_t count) {
  Instruction& i = push(Op::race);
  i.a = reg(value);
  i.c = operand(count, "branches");
}
void FunctionBuilder::emit_notify(Register value, uint32_t event, NotifyTo to,
                                  std::optional<Register> target) {
  Instruction& i = push(Op::notify);
  i.a = reg(value);
  i.b = operand(event, "events");
  i.c = target ? reg(*target) : uint16_t{0};
  i.x = static_cast<uint8_t>(to);
}
void FunctionBuilder::emit_finish(Register value, uint32_t event) {
  Instruction& i = push(Op::finish);
  i.a = reg(value);
  i.b = operand(event, "events");
}

void FunctionBuilder::emit_publish(Register value, uint32_t topic) {
  Instruction& i = push(Op::publish);
  i.a = reg(value);
  i.b = operand(topic, "topics");
}
void FunctionBuilder::emit_start_run(Register id, Register first, uint32_t flow, bool for_client) {
  Instruction& i = push(Op::start_run);
  i.x = for_client ? 1 : 0;
  i.a = reg(id);
  i.b = reg(first);
  i.c = operand(flow, "flows");
}

void FunctionBuilder::add_handler(Label begin, Label end, Label handler,
                                  std::optional<Register> failure, uint8_t flags) {
  pending_handlers_.push_back({begin, end, handler, failure ? reg(*failure) : kNoRegister, flags});
}

tl::expected<Function, std::string> FunctionBuilder::finish() {
  auto place = [&](Label label) -> uint32_t {
    const std::optional<uint32_t>& at = labels_[label.index];
    if (!at && error_.empty()) error_ = "label " + std::to_string(label.index) + " was never bound";
    return at.value_or(0);
  };
  for (const Pending& jump : pending_) function_.code[jump.pc].set_wide(place(jump.label));
  for (const PendingHandler& h : pending_handlers_) {
    function_.handlers.push_back(
        {place(h.begin), place(h.end), place(h.handler), h.failure, h.flags});
  }
  if (registers_used_ > kRegistersMax && error_.empty()) error_ = "too many registers";
  function_.registers = static_cast<uint16_t>(registers_used_);
  if (!error_.empty()) return tl::unexpected(error_);
  return std::move(function_);
}

}  // namespace sluice::vm
