#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// The instruction set, from vm/ops.def, and the builtins, from vm/builtins.def.
namespace sluice::vm {

// The version of instructions and builtins that artifacts name. Rows may be appended within it.
inline constexpr uint16_t kIsa = 1;

enum class Op : uint8_t {
#define SLUICE_OP(number, name, operands, effect, fuel, meaning) name = number,
#include "vm/ops.def"
#undef SLUICE_OP
};

// How the operands of an instruction are to be read; "a" is written unless said otherwise.
enum class OperandKind : uint8_t {
  none,
  reg,  // a. Written by load_none, run_client, run_id, now, mark, gather; read by ret, sleep, undo,
        // rethrow, slot, log
  reg_reg,            // a, b. jump-free; `append` reads and writes a, `fail` only reads both
  reg_reg_reg,        // a, b, c. map_put reads and writes a; list_next writes a and c
  reg_const,          // a; w constant
  reg_imm,            // a; w signed number
  reg_reg_imm,        // a, b; c signed number
  reg_reg_float,      // a, b; c constant, a float
  reg_flag,           // a; x 0 or 1
  target,             // w address
  reg_target,         // a read; w address
  skip,               // a, b read; what follows may be skipped
  skip_imm,           // a read; c signed number; what follows may be skipped
  skip_case,          // a read; c case; what follows may be skipped
  loop,               // a, a+1 written, a+1, a+2 read; w address
  reg_range,          // a; c registers from b are read
  reg_pairs,          // a; 2c registers from b are read
  reg_regs_record,    // a; b first register; c record, whose fields are read
  reg_reg_field,      // a, b; c field. set_field reads and writes a
  reg_regs_enum,      // a; b first register; x case of enum c, whose fields are read
  reg_reg_case,       // a, b; c case
  reg_reg_type,       // a, b; c type
  reg_regs_function,  // a; b first register; c pure function, whose parameters are read
  reg_regs_builtin,   // a; b first register; c builtin, whose parameters are read
  reg_regs_site,      // a; b first register; c step site, whose arguments (and key) are read
  reg_site,           // a; c step site
  closure_site,       // a compensation function; x registers from b are read; c step site
  branch,             // a branch function; c registers from b are read
  join,               // c registers from a are written
  reg_event_target,   // a read; b event; c register read unless x is NotifyTo::run_client
  reg_event,          // a read; b event
  round,              // x rounds around; a RoundKind
  depth,              // x rounds around
  race,               // a; c branches
  reg_regs_receive,   // a; b first register; c receive site, whose time and values are read
  reg_topic,          // a read; b topic
  reg_regs_flow,  // a; b first register; c flow, whose arguments are read, and one more if x is 1
};

enum class Effect : uint8_t { pure, effect, suspends, ends };

// Whom a notify reaches (its x operand). Append only.
enum class NotifyTo : uint8_t { run_client = 0, client = 1, group = 2, run = 3 };
inline constexpr uint8_t kNotifyTargets = 4;

// What a round is a round of (the a operand of `round`). Append only.
enum class RoundKind : uint16_t { each = 0, while_ = 1 };
inline constexpr uint16_t kRoundKinds = 2;
// The word in the paths of its steps.
std::string_view round_word(RoundKind kind);

// Whether the instruction acts once it has waited, and not before: where it waits it still needs
// what it reads.
constexpr bool waits_before(Op op) {
  return op == Op::publish || op == Op::start_run || op == Op::notify;
}

struct OpInfo {
  Op op;
  std::string_view name;
  OperandKind operands;
  Effect effect;
  uint8_t fuel;
  std::string_view meaning;
};

inline constexpr OpInfo kOps[] = {
#define SLUICE_OP(number, name, operands, effect, fuel, meaning) \
  {Op::name, #name, OperandKind::operands, Effect::effect, fuel, meaning},
#include "vm/ops.def"
#undef SLUICE_OP
};
inline constexpr size_t kOpCount = sizeof(kOps) / sizeof(kOps[0]);

// The row of a number; null if there is none such.
const OpInfo* op_info(uint8_t number);
inline const OpInfo* op_info(Op op) {
  return op_info(static_cast<uint8_t>(op));
}

// Whether the instruction may go on two instructions further.
inline bool may_skip(Op op) {
  OperandKind kind = op_info(op)->operands;
  return kind == OperandKind::skip || kind == OperandKind::skip_imm ||
         kind == OperandKind::skip_case || op == Op::list_next;
}
// Whether it may go on at its address w.
inline bool may_jump(Op op) {
  OperandKind kind = op_info(op)->operands;
  return kind == OperandKind::target || kind == OperandKind::reg_target ||
         kind == OperandKind::loop;
}

struct Instruction {
  Op op = Op::nop;
  uint8_t x = 0;
  uint16_t a = 0;
  uint16_t b = 0;
  uint16_t c = 0;

  uint32_t wide() const { return b | static_cast<uint32_t>(c) << 16; }
  int32_t immediate() const { return static_cast<int32_t>(wide()); }
  int16_t short_immediate() const { return static_cast<int16_t>(c); }
  void set_wide(uint32_t value) {
    b = static_cast<uint16_t>(value);
    c = static_cast<uint16_t>(value >> 16);
  }
  friend bool operator==(const Instruction&, const Instruction&) = default;
};
static_assert(sizeof(Instruction) == 8);

enum class Builtin : uint16_t {
#define SLUICE_BUILTIN(number, symbol, name, parameters, result, meaning) symbol = number,
#include "vm/builtins.def"
#undef SLUICE_BUILTIN
};

// Number of parameters in a signature such as "[T], {string: T}": commas outside brackets, plus
// one.
constexpr uint8_t count_parameters(std::string_view parameters) {
  int depth = 0;
  uint8_t count = parameters.empty() ? 0 : 1;
  for (char c : parameters) {
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (c == ',' && depth == 0) ++count;
  }
  return count;
}

struct BuiltinInfo {
  Builtin builtin;
  std::string_view symbol;      // unique: "len_string"
  std::string_view name;        // as written in the language: "len"
  std::string_view parameters;  // types, separated by ", "; T is any type
  std::string_view result;
  std::string_view meaning;
  uint8_t parameter_count;
};

// Indexed by number: row n is Builtin(n).
inline constexpr BuiltinInfo kBuiltins[] = {
#define SLUICE_BUILTIN(number, symbol, name, parameters, result, meaning) \
  {Builtin::symbol, #symbol, name, parameters, result, meaning, count_parameters(parameters)},
#include "vm/builtins.def"
#undef SLUICE_BUILTIN
};
inline constexpr size_t kBuiltinCount = sizeof(kBuiltins) / sizeof(kBuiltins[0]);

}  // namespace sluice::vm
