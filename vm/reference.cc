#include "vm/disasm.hpp"

// docs/bytecode.md, made from the tables. tests/vm compares the file with this.
namespace sluice::vm {
namespace {

const char* operands_words(OperandKind kind) {
  switch (kind) {
    case OperandKind::none:
      return "none";
    case OperandKind::reg:
      return "a register";
    case OperandKind::reg_reg:
    case OperandKind::skip:
      return "a, b registers";
    case OperandKind::reg_reg_reg:
      return "a, b, c registers";
    case OperandKind::reg_const:
      return "a register, w constant";
    case OperandKind::reg_imm:
      return "a register, w number";
    case OperandKind::reg_reg_imm:
      return "a, b registers, c number";
    case OperandKind::reg_reg_float:
      return "a, b registers, c constant, a float";
    case OperandKind::loop:
      return "registers a, a+1, a+2, w address";
    case OperandKind::reg_flag:
      return "a register, x 0 or 1";
    case OperandKind::target:
      return "w address";
    case OperandKind::reg_target:
      return "a register, w address";
    case OperandKind::reg_range:
      return "a register, c registers from b";
    case OperandKind::reg_pairs:
      return "a register, 2c registers from b";
    case OperandKind::reg_regs_record:
      return "a register, registers from b, c record";
    case OperandKind::reg_reg_field:
      return "a, b registers, c field";
    case OperandKind::reg_regs_enum:
      return "a register, registers from b, c enum, x case";
    case OperandKind::reg_reg_case:
      return "a, b registers, c case";
    case OperandKind::reg_reg_type:
      return "a, b registers, c type";
    case OperandKind::reg_regs_function:
      return "a register, registers from b, c function";
    case OperandKind::reg_regs_builtin:
      return "a register, registers from b, c builtin";
    case OperandKind::reg_regs_site:
      return "a register, registers from b, c step site";
    case OperandKind::reg_site:
      return "a register, c step site";
    case OperandKind::closure_site:
      return "a function, x registers from b, c step site";
    case OperandKind::branch:
      return "a function, c registers from b";
    case OperandKind::join:
      return "c registers from a";
    case OperandKind::reg_event_target:
      return "a register, b event, c register, x target";
    case OperandKind::reg_event:
      return "a register, b event";
    case OperandKind::round:
      return "x number, a kind of loop";
    case OperandKind::depth:
      return "x number";
    case OperandKind::race:
    case OperandKind::skip_imm:
    case OperandKind::skip_case:
      return "a register, c number";
    case OperandKind::reg_regs_receive:
      return "a register, registers from b, c receive site";
    case OperandKind::reg_topic:
      return "a register, b topic";
    case OperandKind::reg_regs_flow:
      return "a register, registers from b, c flow, x flag";
  }
  return "";
}

const char* effect_word(Effect effect) {
  switch (effect) {
    case Effect::pure:
      return "pure";
    case Effect::effect:
      return "effect";
    case Effect::suspends:
      return "suspends";
    case Effect::ends:
      return "ends";
  }
  return "";
}

// In a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

constexpr std::string_view kIntroduction = R"(# Bytecode

This page is made from `vm/ops.def` and `vm/builtins.def`; a test compares them. To change it, change those and run
the test with `UPDATE_GOLDEN=1`.

A function is typed register code: at most 65,535 registers, of which the first hold its parameters. An instruction
has 8 bytes: `op`, `x` (one byte each), `a`, `b`, `c` (two bytes each); `w` is `b` and `c` as one number of 32 bits.
R(a) is register a, K(w) constant w, I(w) w as a signed number. Numbers and meanings never change within an instruction
set version; new instructions get new numbers.

**pure** instructions may stand in any function, **effect** and **suspends** only in flows, branches, compensations and
`on failure`, **ends** leaves the function. Every instruction checks the kinds of the values it reads; a misfit fails the
fiber with kind `Fault`, never the process. Fuel is what one execution costs, not counting the size of values it builds.

)";

}  // namespace

std::string bytecode_reference() {
  std::string out(kIntroduction);
  out += "## Instructions of isa " + std::to_string(kIsa) + "\n\n";
  out +=
      "| op | name | operands | effect | fuel | meaning |\n| --- | --- | --- | --- | --- | --- |\n";
  for (const OpInfo& info : kOps) {
    out += "| " + std::to_string(static_cast<int>(info.op)) + " | `" + std::string(info.name) +
           "` | " + operands_words(info.operands) + " | " + effect_word(info.effect) + " | " +
           std::to_string(info.fuel) + " | " + cell(info.meaning) + " |\n";
  }
  out += "\n## Builtins\n\n";
  out +=
      "`T` is any one type. Several builtins may share a name; the first whose parameters fit is "
      "meant.\n\n";
  out += "| number | signature | what it does |\n| --- | --- | --- |\n";
  for (const BuiltinInfo& info : kBuiltins) {
    out += "| " + std::to_string(static_cast<int>(info.builtin)) + " | `" + std::string(info.name) +
           "(" + std::string(info.parameters) + ") -> " + std::string(info.result) + "` | " +
           cell(info.meaning) + " |\n";
  }
  return out;
}

}  // namespace sluice::vm
