#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vm/value.hpp"
#include "vm/verifier.hpp"

namespace sluice::vm {

// One thread's working copy of a program: decoded constants, and the stack of pure calls. Runs and
// evaluations of that program on that thread share it. Neither movable nor copyable: runs point to
// it, so it must outlive them.
class Unit {
 public:
  explicit Unit(std::shared_ptr<const VerifiedProgram> program);
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

  const VerifiedProgram& verified() const { return *program_; }
  const std::shared_ptr<const VerifiedProgram>& shared() const { return program_; }
  const Program& program() const { return program_->program(); }
  const TypeTable& types() const { return program_->program().types; }
  const Value* constants() const { return constants_.data(); }
  // program.stack_registers() values. Between calls none of them holds memory; scalars may be left.
  Value* stack() { return stack_.data(); }
  // Where the stack begins of constraints that are asked while other code is at work; it is as
  // large again.
  uint32_t side_base() const { return program_->stack_registers(); }
  // For whoever needs bytes for a moment; its content is nobody's.
  std::string& scratch() { return scratch_; }

 private:
  std::shared_ptr<const VerifiedProgram> program_;
  std::vector<Value> constants_;
  std::vector<Value> stack_;
  std::string scratch_;
};

}  // namespace sluice::vm
