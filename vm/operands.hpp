#pragma once

#include <cstdint>

#include "vm/artifact.hpp"
#include "vm/ops.hpp"

// Which registers an instruction reads and writes. Used by the verifier and its dataflow.
namespace sluice::vm {

struct RegisterRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

struct RegisterUse {
  RegisterRange reads[3];
  RegisterRange writes[2];
};

// REQUIRES: the op is a row of the table. Indices of records, functions, sites … that are out of
// range count as things without fields or parameters; the verifier refuses them before it relies on
// this.
RegisterUse register_use(const Program& program, const Instruction& instruction);

// Whether what it writes holds no memory, whatever it reads. False where that is not known.
bool writes_flat(const Program& program, const Instruction& instruction);

// Of the task or flow that the step runs.
const std::vector<Parameter>& step_parameters(const Program& program, const StepSite& step);
// Number of registers that step site `site` reads: its task's or flow's parameters and its key.
uint32_t step_arguments(const Program& program, uint32_t site);
// Number of registers that a start_run reads.
uint32_t start_arguments(const Program& program, const Instruction& instruction);

// Whether receive site `site` is one of a topic: its key is read too.
bool receives_from_topic(const Program& program, uint32_t site);
// What a `receive` reads again while it waits: the values that its filter captured. Empty for every
// other instruction.
RegisterRange kept_while_waiting(const Program& program, const Instruction& instruction);

}  // namespace sluice::vm
