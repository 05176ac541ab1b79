#include "vm/disasm.hpp"

#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"

namespace sluice::vm::testing {
namespace {

TEST(Disassembler, names_what_operands_mean) {
  SupportProgram p;
  auto show = [&](Instruction i) { return disassemble(p.program, i); };
  struct Row {
    Instruction instruction;
    const char* text;
  };
  const Row rows[] = {
      {{Op::nop, 0, 0, 0, 0}, "nop"},
      {{Op::load_none, 0, 3, 0, 0}, "load_none     r3"},
      {{Op::move, 0, 1, 2, 0}, "move          r1, r2"},
      {{Op::add_int, 0, 1, 2, 3}, "add_int       r1, r2, r3"},
      {{Op::load_const, 0, 1, 1, 0}, "load_const    r1, #1  ; \"\\n\""},
      {{Op::load_const, 0, 1, 99, 0}, "load_const    r1, #99"},
      {{Op::load_int, 0, 1, 0xffff, 0xffff}, "load_int      r1, -1"},
      {{Op::load_bool, 1, 1, 0, 0}, "load_bool     r1, true"},
      {{Op::jump, 0, 0, 7, 0}, "jump          -> 7"},
      {{Op::jump_if, 0, 4, 7, 0}, "jump_if       r4, -> 7"},
      {{Op::make_list, 0, 4, 7, 3}, "make_list     r4, (r7..r9)"},
      {{Op::make_list, 0, 4, 7, 0}, "make_list     r4, ()"},
      {{Op::make_map, 0, 4, 7, 1}, "make_map      r4, (r7..r8)"},
      {{Op::make_record, 0, 4, 7, 3}, "make_record   r4, Verdict(r7..r8)"},
      {{Op::get_field, 0, 4, 7, 1}, "get_field     r4, r7, .1"},
      {{Op::make_enum, 5, 4, 7, 9}, "make_enum     r4, enum#9.5()"},
      {{Op::is_case, 0, 4, 7, 1}, "is_case       r4, r7, case 1"},
      {{Op::call, 0, 4, 7, 0}, "call          r4, prompt(r7..r8)"},
      {{Op::call, 0, 4, 7, 99}, "call          r4, function#99()"},
      {{Op::builtin, 0, 4, 7, 4}, "builtin       r4, join(r7..r8)"},
      {{Op::builtin, 0, 4, 7, 999}, "builtin       r4, builtin#999"},
      {{Op::step, 0, 4, 7, 0}, "step          r4, #0 verdict = moderate(r7)"},
      {{Op::step, 0, 4, 7, 99}, "step          r4, #99 step#99"},
      {{Op::step_key, 0, 4, 0, 1}, "step_key      r4, #1 hold"},
      {{Op::on_undo, 1, 1, 7, 1}, "on_undo       answer/hold/undo(r7), #1 hold"},
      {{Op::spawn, 0, 0, 7, 2}, "spawn         prompt(r7..r8)"},
      {{Op::join, 0, 3, 0, 2}, "join          (r3..r4)"},
      {{Op::notify, 0, 3, 4, 0}, "notify        r3, Searching, run's client"},
      {{Op::notify, 2, 3, 4, 6}, "notify        r3, Searching, group r6"},
      {{Op::finish, 0, 3, 1, 0}, "finish        r3, Answer"},
      {{static_cast<Op>(250), 0, 0, 0, 0}, "?250"},
  };
  for (const Row& row : rows) EXPECT_EQ(show(row.instruction), row.text);
}

TEST(Disassembler, shows_functions_with_targets_lines_and_handlers) {
  SupportProgram p;
  std::string text = disassemble(p.program, p.program.functions[3]);
  EXPECT_EQ(text.find("flow answer: 1 parameters, 15 registers\n"), 0U) << text;
  EXPECT_NE(text.find("      0  get_field     r1, r0, .0"), std::string::npos) << text;
  EXPECT_NE(text.find("; support/answer.flow:30:3"), std::string::npos);
  EXPECT_NE(text.find(">     7  run_client"), std::string::npos) << text;
  EXPECT_NE(text.find("failure in 14..15 -> 16"), std::string::npos) << text;
}

TEST(Disassembler, shows_whole_programs) {
  SupportProgram p;
  std::string text = disassemble(p.program);
  for (const char* part :
       {"isa 1\n", "record Ask { text: string, history: [Turn] }\n", "event Answer v1\n",
        "topic asks of Ask ordered by client dedupe 1d retain 7d\n",
        "task hold_credit(p0: string?, p1: int) -> Hold in cpu\n",
        "step #0 verdict = moderate, attempts 1, timeout 2s\n",
        "flow answer(a0: Ask) on asks timeout 45s\n", "\nfn prompt: 2 parameters"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
  }
}

// Anything may be shown, verified or not.
TEST(Disassembler, survives_every_instruction_with_wild_operands) {
  Program program;
  for (int op = 0; op < 256; ++op) {
    for (uint16_t operand : {0, 1, 255, 65535}) {
      Instruction i{static_cast<Op>(op), static_cast<uint8_t>(operand), operand, operand, operand};
      EXPECT_FALSE(disassemble(program, i).empty());
    }
  }
}

}  // namespace
}  // namespace sluice::vm::testing
