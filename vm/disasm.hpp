#pragma once

#include <string>

#include "vm/artifact.hpp"

namespace sluice::vm {

// One instruction as text: "step r4, #0 search(r2)". Indices that name nothing are shown as
// numbers, so anything can be shown, verified or not.
std::string disassemble(const Program& program, const Instruction& instruction);

// A function with addresses, jump targets, source lines, and its handlers.
std::string disassemble(const Program& program, const Function& function);

// The whole program: tables first, then every function.
std::string disassemble(const Program& program);

// docs/bytecode.md, from the tables of instructions and builtins.
std::string bytecode_reference();

}  // namespace sluice::vm
