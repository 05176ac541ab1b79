// Where a bracket is missing or too many, told by the author's indentation.
//
// Brackets alone tell late, or at the wrong place: without the `{` of an `if`, its `}` closes the
// flow. But whoever writes `if` and a `}` below it, with deeper lines between, has left out a `{`.
#pragma once

#include <cstddef>
#include <vector>

#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {

struct BracketMend {
  enum class Kind : unsigned char { kInsert, kRemove, kReplace };
  Kind kind{};
  // The token that is removed or replaced, or that the new one stands before.
  std::size_t at = 0;
  size_t type = 0;  // of the new token
  // kInsert: of the partner, which is there. kReplace: of the other bracket of the pair.
  std::size_t partner = 0;
};

// What would give each bracket its partner, in the order of the tokens. Empty if the indentation
// does not tell, as where strings are broken, or if it tells of too many places to be believed.
// REQUIRES: the last token is EOF.
std::vector<BracketMend> mends_by_layout(const std::vector<FlowToken>& tokens);

}  // namespace sluice::compiler
