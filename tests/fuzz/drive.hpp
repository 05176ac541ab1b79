// Drives runs of any program with inputs that bytes choose.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/vm/random_program.hpp"
#include "vm/run.hpp"
#include "vm/verifier.hpp"

namespace sluice::fuzz {

// Gives `run` inputs until it ends, or `most` of them. `restored`, a run of the same state, gets
// the same ones, and is replaced by what its snapshot restores before each: both must go the same
// way.
void drive(vm::testing::Random& random, vm::Unit& unit, vm::Run& run, vm::Run& restored, int most);

// A run of flow 0 with values of its parameters' types, driven from its beginning. Nothing if the
// program has no flow. `snapshot`, if given, gets that of the state it comes to.
void drive_flow(vm::testing::Random& random,
                const std::shared_ptr<const vm::VerifiedProgram>& program, int most,
                std::string* snapshot = nullptr);

// The programs whose snapshots are fuzzed, by their number: the support example and random ones.
std::shared_ptr<const vm::VerifiedProgram> program_of(std::uint8_t number);
inline constexpr std::uint8_t kPrograms = 8;

// Every pure function without parameters, evaluated.
void evaluate_all(const std::shared_ptr<const vm::VerifiedProgram>& program);

}  // namespace sluice::fuzz
