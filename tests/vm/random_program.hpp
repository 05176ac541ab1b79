#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "vm/artifact.hpp"
#include "vm/value.hpp"

// Random values and programs from a seed, for the property tests.
namespace sluice::vm::testing {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  // Takes its choices from bytes while there are some, which a fuzzer then steers.
  explicit Random(std::string_view choices) : choices_(choices) {}
  uint64_t below(uint64_t limit) {
    if (limit == 0) return 0;
    return next(limit <= 0x100 ? 1 : limit <= 0x10000 ? 2 : 8) % limit;
  }
  bool one_in(uint64_t n) { return below(n) == 0; }
  uint64_t bits() { return next(8); }

 private:
  uint64_t next(size_t bytes) {
    if (choices_.size() < bytes) return engine_();
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(choices_[i]);
    choices_.remove_prefix(bytes);
    return value;
  }

  std::string_view choices_;
  std::mt19937_64 engine_;
};

std::string random_text(Random& random, size_t most);  // valid UTF-8 without U+0000
// Any value at all, of types that exist or not.
Value random_value(Random& random, uint32_t depth);

// A type table with records (one of them recursive), enums, defaults; and a conforming value of a
// type.
TypeTable random_types(Random& random);
Value random_value_of(Random& random, const TypeTable& types, TypeId type, uint32_t depth);

// A program that the verifier accepts: flow 0 takes an int, has steps, branches, compensations,
// handlers and `on failure`; most instructions find values of the kind they want, some do not.
Program random_program(Random& random);

// Changes, cuts, doubles or inserts some bytes.
std::string mutated(Random& random, std::string bytes);

}  // namespace sluice::vm::testing
