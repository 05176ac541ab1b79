// The comments of a file, for those who print it again.
#pragma once

#include <vector>

#include "compiler/source.hpp"

namespace sluice::compiler {

struct Comment {
  Span span;  // without the line end
  bool documentation = false;
};

// In order. REQUIRES: the file is valid UTF-8.
std::vector<Comment> comments_of(const SourceFile& file);

}  // namespace sluice::compiler
