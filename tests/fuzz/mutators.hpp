// Changes of inputs that know what the inputs are, so that what comes out is nearly right: bytes
// that are changed blindly mostly fall at the first check.
#pragma once

#include <string>

#include "tests/vm/random_program.hpp"

namespace sluice::fuzz {

// A source: tokens and lines of it are exchanged, doubled, left out.
std::string mutated_source(vm::testing::Random& random, const std::string& input);
// An artifact without its checksum: an instruction, index or number of the program is changed. What
// is none is changed blindly.
std::string mutated_artifact(vm::testing::Random& random, const std::string& input);
// A program's number and a snapshot without its checksum: bytes are changed, or another state of
// that program is taken.
std::string mutated_snapshot(vm::testing::Random& random, const std::string& input);

}  // namespace sluice::fuzz
