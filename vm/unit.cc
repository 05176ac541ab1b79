#include "vm/unit.hpp"

namespace sluice::vm {

Unit::Unit(std::shared_ptr<const VerifiedProgram> program) : program_(std::move(program)) {
  for (const std::string& bytes : program_->program().constants) {
    constants_.push_back(
        decode_value(bytes).value_or(Value()));  // the verifier has decoded them all
  }
  stack_.resize(size_t{2} * program_->stack_registers());
}

}  // namespace sluice::vm
