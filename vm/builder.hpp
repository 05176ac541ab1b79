#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vm/artifact.hpp"

// Assembles functions and constants: for the code generator and for tests. It keeps no rule of the
// verifier; what it makes must still be verified. A bound that is exceeded (registers, jumps,
// captures) is reported by finish().
namespace sluice::vm {

// Interns constants of a program: equal values get one index.
class ConstantPool {
 public:
  explicit ConstantPool(Program& program);
  uint32_t add(const Value& value);

 private:
  Program& program_;
  std::map<std::string, uint32_t, std::less<>> known_;
};

struct Register {
  uint32_t index = 0;  // over kRegistersMax: finish() reports it
};

// A jump target: made by make_label(), placed by bind(), usable before and after.
struct Label {
  uint32_t index = 0;
};

class FunctionBuilder {
 public:
  FunctionBuilder(std::string name, FunctionKind kind, uint16_t parameters,
                  std::string segment = "");

  // Registers. Parameters are registers 0 … parameters-1. allocate() gives fresh ones, consecutive
  // if several. mark() and release_to() reuse temporaries as a stack: what was allocated after the
  // mark is free again.
  Register parameter(uint16_t index) const { return {index}; }
  Register allocate(uint32_t count = 1);
  uint32_t mark() const { return next_register_; }
  void release_to(uint32_t mark) { next_register_ = mark; }

  Label make_label();
  void bind(Label label);
  uint32_t pc() const { return static_cast<uint32_t>(function_.code.size()); }

  // The place in the source of what is emitted from now on.
  void at(uint32_t source, uint32_t line, uint32_t column);

  // Emitters, one per operand shape; the instruction's row says what a, b, c, x are.
  void emit(Op op);
  void emit(Op op, Register a);
  void emit(Op op, Register a, Register b);
  void emit(Op op, Register a, Register b, Register c);
  void emit_wide(Op op, Register a, uint32_t wide);  // load_const
  void emit_imm(Op op, Register a, int32_t value);   // load_int
  void emit_short(Op op, Register a, Register b, int16_t value);  // add_imm …
  void emit_short(Op op, Register a, int16_t value);              // skip_if_less_imm …
  void emit_flag(Op op, Register a, bool flag);      // load_bool
  void emit_jump(Op op, Label target);               // jump
  void emit_jump(Op op, Register a, Label target);   // jump_if …, int_loop, list_loop
  void emit_indexed(Op op, Register a, Register b, uint32_t c,
                    uint8_t x = 0);  // fields, ranges, calls, step
  void emit_closure(Op op, uint32_t function, Register first, uint32_t count,
                    uint32_t site);  // arm_unsure, on_undo
  void emit_spawn(uint32_t function, Register first, uint32_t count);
  void emit_join(Register first, uint32_t count);
  void emit_site(Register a, uint32_t site);  // step_key
  void emit_round(RoundKind kind, uint32_t depth);
  void emit_leave(uint32_t depth);
  void emit_race(Register value, uint32_t count);
  void emit_notify(Register value, uint32_t event, NotifyTo to = NotifyTo::run_client,
                   std::optional<Register> target = std::nullopt);
  void emit_finish(Register value, uint32_t event);
  void emit_publish(Register value, uint32_t topic);
  // With `for_client` the client's register follows the arguments.
  void emit_start_run(Register id, Register first, uint32_t flow, bool for_client);

  // A handler of everything between the two labels. Add inner ones first.
  void add_handler(Label begin, Label end, Label handler, std::optional<Register> failure,
                   uint8_t flags = Handler::kHandlerFailure);

  // The function with its jumps resolved. Afterwards the builder is empty. An error says which
  // bound was exceeded or which label was never bound.
  tl::expected<Function, std::string> finish();

 private:
  struct Pending {
    uint32_t pc;
    Label label;
  };
  struct PendingHandler {
    Label begin, end, handler;
    uint16_t failure;
    uint8_t flags;
  };

  Instruction& push(Op op);
  uint16_t reg(Register r);
  uint16_t operand(uint32_t value, const char* what);

  Function function_;
  uint32_t next_register_;
  uint32_t registers_used_;
  std::vector<std::optional<uint32_t>> labels_;
  std::vector<Pending> pending_;
  std::vector<PendingHandler> pending_handlers_;
  std::string error_;
};

}  // namespace sluice::vm
