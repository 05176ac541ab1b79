// What libFuzzer calls: SLUICE_FUZZ_TARGET is the target's function. Lengths are libFuzzer's matter
// (-max_len).
#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::fuzz::SLUICE_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
