// What is fuzzed: functions that take any bytes and end the process when a promise is broken.
// libFuzzer drives them (fuzz_NAME, built with SLUICE_FUZZ), and so does the short run with fixed
// seeds of the tests (smoke.cc).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "tests/vm/random_program.hpp"

namespace sluice::fuzz {

// A broken promise: says which, and ends the process so that every fuzzer sees it.
#define FUZZ_CHECK(condition)                                                              \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)

// Lexer and parser: any text gives a tree or diagnostics, which render; what is formatted stays as
// it is.
void parse(std::string_view input);
// The whole compiler: what it takes, the verifier takes too, and the same source gives the same
// bytes.
void check(std::string_view input);
// Types and a document: what is read is written, read again, the same; and so in binary.
void json(std::string_view input);
// Artifact without its checksum, which is put right: refused, or a program that runs in bounds.
void artifact(std::string_view input);
// A program's number, then a snapshot without its checksum: refused, or a state whose snapshot is
// these bytes and which can be driven on.
void snapshot(std::string_view input);
// Choices of which a program is made, spoiled and driven: what the verifier passes neither crashes
// nor hangs, keeps to its fuel, and goes the same way when it is restored before every input.
void machine(std::string_view input);
// Breaks its promise for inputs that hold "bug": shows that the drivers notice.
void canary(std::string_view input);

struct Target {
  std::string_view name;
  void (*run)(std::string_view);
  std::size_t bytes_max;  // of an input
  // Changes that know what the input is (mutators.hpp); null: bytes are changed blindly.
  std::string (*mutate)(vm::testing::Random&, const std::string&);
};
std::span<const Target> targets();
const Target* find_target(std::string_view name);  // null if there is none

}  // namespace sluice::fuzz
