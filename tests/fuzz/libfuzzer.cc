// What libFuzzer calls: SLUICE_FUZZ_TARGET is the target's function, SLUICE_FUZZ_MUTATOR, if it is
// there, changes its inputs. Lengths are libFuzzer's matter (-max_len).
#include <cstring>

#include "tests/fuzz/mutators.hpp"
#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::fuzz::SLUICE_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}

#ifdef SLUICE_FUZZ_MUTATOR
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  sluice::vm::testing::Random random(std::uint64_t{seed});
  if (random.one_in(2)) return LLVMFuzzerMutate(data, size, most);
  const std::string changed = sluice::fuzz::SLUICE_FUZZ_MUTATOR(
      random, std::string(reinterpret_cast<const char*>(data), size));
  if (changed.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, changed.data(), changed.size());
  return changed.size();
}
#endif
