// CHECK: a condition whose failure is a mistake in this program, never in its input. On in release,
// because going on with a broken partition would write its damage into the journal.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice::core {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  std::abort();
}

}  // namespace sluice::core

#define SLUICE_CHECK(condition) \
  ((condition) ? void() : ::sluice::core::check_failed(#condition, __FILE__, __LINE__))
