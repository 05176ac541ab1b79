// What the writer (snapshot.cc) and the reader (restore.cc) of a run's snapshot share.
//
// The layout (numbers are LEB128, values as encode_value writes them):
//
//   'R', version
//   phase, flow, run id, client, tenant, next fiber, next step, next timer, next compensation
//   arguments; ending (unless created or running)
//   registered compensations, pending compensations, queued signals
//   fibers
//   hash64 over everything before it, 8 bytes
//
// Version history:
//   1  first version
//   2  each queued signal ends with the run, as text, that it is the event of, or nothing; after
//      the signals the steps whose runs were called off, each with its scope. Written only where
//      there is such a signal or step, so that every other state has the bytes it always had
#pragma once

#include <algorithm>
#include <cstdint>

#include "vm/run_state.hpp"

namespace sluice::vm::detail {

inline constexpr uint8_t kMagic = 'R';
inline constexpr uint8_t kVersion = 1;
inline constexpr uint8_t kVersionOfMore = 2;
inline constexpr size_t kChecksumBytes = 8;
// Of the numbers of fibers, steps, timers and compensations, the highest that may be the next: so
// many are left above it that none runs out before the next snapshot.
inline constexpr uint32_t kNextMax = 0xf000'0000;

// Whether a queued signal is the event of a run, or a run was called off.
inline bool has_more(const RunState& state) {
  return !state.called_off.empty() ||
         std::any_of(state.signals.begin(), state.signals.end(),
                     [](const Signal& signal) { return !signal.from.empty(); });
}

inline bool has_ending(Phase phase) {
  return phase != Phase::created && phase != Phase::running;
}

// What a waiting fiber has, as bits of one byte.
inline constexpr uint8_t kHasArmed = 1, kHasRounds = 2, kHasTimer = 4, kHasDeadlines = 8,
                         kHasGiven = 16;
inline constexpr uint8_t kHasMost = 31;

inline uint8_t parts_of(const Fiber& fiber) {
  return static_cast<uint8_t>(
      (fiber.armed ? kHasArmed : 0) | (fiber.rounds.empty() ? 0 : kHasRounds) |
      (fiber.timer.value != 0 ? kHasTimer : 0) | (fiber.deadlines.empty() ? 0 : kHasDeadlines) |
      (fiber.given.empty() ? 0 : kHasGiven));
}

}  // namespace sluice::vm::detail
