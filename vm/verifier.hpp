#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "vm/artifact.hpp"

// What stands between an artifact from outside and the interpreter.
namespace sluice::vm {

// Where a function may wait (a suspends-instruction): what must be kept meanwhile.
struct SuspensionPoint {
  uint32_t pc = 0;
  // Registers read on some path after it, rising. The instruction's own results are not among them;
  // what it reads is only where it acts after the wait (waits_before).
  std::vector<uint16_t> live;
};

// What the verifier found out about a function.
struct FunctionFacts {
  std::vector<SuspensionPoint> suspensions;  // rising by pc
  uint32_t stack_registers = 0;  // of the pure calls that it can make, beyond its own registers
  // Registers from here on hold no memory when the function returns.
  uint32_t may_hold = 0;
  // Parameters that the code reads, rising: the others need not be kept for it.
  std::vector<uint16_t> live_parameters;

  const SuspensionPoint* suspension_at(uint32_t pc) const;  // null if it never waits there
};

// A program whose every index, jump and register is in bounds, whose registers are written before
// they are read, whose calls are acyclic and whose functions do only what their kind may.
// Immutable: share it between threads.
//
// What it does not prove is that kinds of values fit (the interpreter checks each, a misfit is a
// Fault of the run), nor that loops end (fuel does).
class VerifiedProgram {
 public:
  const Program& program() const { return program_; }
  const FunctionFacts& facts(uint32_t function) const { return facts_[function]; }
  uint32_t stack_registers() const { return stack_registers_; }  // enough for any pure call

  // Numbers that are equal exactly if the names are, counted in order of first appearance among the
  // sites, then the functions. Snapshots hold them, so the order never changes. For step sites'
  // names and functions' segments, which make paths.
  uint32_t site_name(uint32_t site) const { return site_names_[site]; }
  uint32_t segment_name(uint32_t function) const { return segment_names_[function]; }

 private:
  friend class Verifier;
  Program program_;
  std::vector<FunctionFacts> facts_;
  std::vector<uint32_t> site_names_;
  std::vector<uint32_t> segment_names_;
  uint32_t stack_registers_ = 0;
};

// Time and memory are linear in the program, within kDataflowBitsMax per function. The message
// names function, pc and source line.
tl::expected<std::shared_ptr<const VerifiedProgram>, ArtifactError> verify(Program program);

// decode_artifact and verify in one.
tl::expected<std::shared_ptr<const VerifiedProgram>, ArtifactError> load_artifact(
    std::string_view bytes);

}  // namespace sluice::vm
