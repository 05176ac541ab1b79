// Conditions of tests and invariants, held against every moment of a rehearsal.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/compile.hpp"
#include "compiler/flowc/test_observed.hpp"
#include "engine/sim/rehearsal.hpp"
#include "vm/unit.hpp"

namespace sluice::flowc {

// A condition that does not hold.
struct Broken {
  compiler::Span span;              // of the condition
  std::string message;              // a sentence
  std::string actual;               // what was counted; empty where nothing ran
  std::vector<const Seen*> marked;  // what made it break
};

// `compiled` with CompileOptions::tests. Everything given must outlive this.
class Conditions {
 public:
  Conditions(const compiler::CompileResult& compiled, vm::Unit& unit,
             const sim::Rehearsal& rehearsal, const std::vector<Seen>& seen)
      : compiled_(compiled), unit_(unit), rehearsal_(rehearsal), seen_(seen) {}

  std::optional<Broken> at_end(const compiler::ir::Condition& condition) const;
  // At every moment. `run` 0: over the whole rehearsal; otherwise over the run of that number
  // alone.
  std::optional<Broken> always(const compiler::ir::Condition& condition, std::size_t run = 0) const;
  // The invariants of the program, each for every run by itself.
  std::vector<Broken> invariants() const;

 private:
  std::optional<Broken> check(const compiler::ir::Condition& condition,
                              const std::vector<std::int64_t>& now,
                              const std::vector<const Seen*>& marked) const;

  const compiler::CompileResult& compiled_;
  vm::Unit& unit_;
  const sim::Rehearsal& rehearsal_;
  const std::vector<Seen>& seen_;
};

}  // namespace sluice::flowc
