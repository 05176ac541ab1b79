// What the compiler proves about flows, or warns of, once names and types are known.
//
// An analysis walks the tree (compiler/ast.hpp), which has every statement of the language, and
// asks a View what checking found out about a node. It reports to `diagnostics` and changes
// nothing. It never guesses: what it cannot know makes no finding.
//
//   paths.cc     every path answers exactly once; what is never reached
//   repeats.cc   attempts and hedges only where doing it twice is harmless
//   undoing.cc   effects that a later failure leaves behind
//   waits.cc     loops that never wait, waits that never end, answers that could fail
//   worst.cc     the longest time and the most attempts, over every way through a flow
//   limits.cc    what is longer than the limit around it, or than a budget
//   labels.cc    what is marked `pii` or `secret`, on its way
//   taint.cc     what of it a value brings along
#pragma once

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"

namespace sluice::compiler {

// Runs all analyses on a checked program, also on one with errors: they then keep quiet about what
// the errors hide.
void analyse_flows(const ir::Program& program, Diagnostics& diagnostics);

}  // namespace sluice::compiler
