#pragma once

#include <cstdint>

#include "vm/artifact.hpp"

// What the writer and the reader of artifacts share. Layout (numbers are LEB128, strings have a
// length in front):
//
//   magic, format, isa, required features
//   sections in rising order of their number: u8 number, length, body; all of them, each once
//   SHA-256 over everything before it
namespace sluice::vm {

// Append only.
enum class Section : uint8_t {
  sources = 1,
  types = 2,
  constants = 3,
  functions = 4,
  events = 5,
  topics = 6,
  pools = 7,
  tasks = 8,
  flows = 9,
  steps = 10,
  receives = 11
};

struct StepFlag {
  uint32_t bit;
  bool StepSite::*member;
};
inline constexpr StepFlag kStepFlags[] = {
    {1, &StepSite::jitter},       {2, &StepSite::idempotent}, {4, &StepSite::keyed},
    {8, &StepSite::has_key_expr}, {16, &StepSite::keep},      {32, &StepSite::has_compensation},
    {64, &StepSite::has_unsure},  {128, &StepSite::stream},     {256, &StepSite::readonly},
};
inline constexpr uint32_t kStepFlagsAll = 511;

}  // namespace sluice::vm
