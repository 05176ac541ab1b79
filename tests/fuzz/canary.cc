#include "tests/fuzz/targets.hpp"

namespace sluice::fuzz {

void canary(std::string_view input) {
  FUZZ_CHECK(input.find("bug") == std::string_view::npos);
}

}  // namespace sluice::fuzz
