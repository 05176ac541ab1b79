// Which tokens open and close what.
#pragma once

#include <cstddef>

namespace sluice::compiler {

bool is_opener(size_t type);
bool is_closer(size_t type);
bool is_string(size_t opener);
bool is_string_end(size_t closer);
size_t closer_of(size_t opener);
size_t opener_of(size_t closer);  // of a bracket

}  // namespace sluice::compiler
