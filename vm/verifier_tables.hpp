#pragma once

#include <optional>
#include <string>

#include "vm/artifact.hpp"

namespace sluice::vm {

// The verifier's first half: types, constants and every table but the code. Answers what is wrong,
// as a sentence.
std::optional<std::string> check_tables(const Program& program);

}  // namespace sluice::vm
