#pragma once

#include <string>
#include <tl/expected.hpp>

#include "vm/artifact.hpp"
#include "vm/verifier.hpp"

namespace sluice::vm {

struct CodeError {
  uint32_t pc = 0;
  std::string message;
};

// Proves that registers are written before they are read, and finds what must be kept where the
// function waits. REQUIRES: every operand and jump of the function is in bounds, and no path runs
// off its end. Fills suspensions and live_parameters; stack_registers is the caller's.
tl::expected<FunctionFacts, CodeError> analyse_registers(const Program& program,
                                                         const Function& function);

}  // namespace sluice::vm
