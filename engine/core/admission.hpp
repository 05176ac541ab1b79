// Whose turn it is under `concurrency`: a run's place among those that count together, and the
// gate that they pass. A gate holds nothing of its own: it follows from its runs.
#pragma once

#include <cstdint>
#include <map>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

struct RunEntry;

// Stored with the run: append only.
enum class Place : std::uint8_t {
  none = 0,     // nothing bounds it, or it has gone
  waiting = 1,  // it has not begun
  called = 2,   // a place is kept for it: it begins with the next record of its own
  inside = 3,
};

// What happens to a run by a timer of its admission. Part of the timer's number, hence stored:
// append only. Of one instant the lower comes first.
enum class Move : std::uint8_t {
  none = 0,
  expire = 1,     // its event is older than its ttl
  refuse = 2,     // too many wait already
  supersede = 3,  // a newer run takes its place
  begin = 4,
};

struct Admission {
  Place place = Place::none;
  Hash128 gate;              // of tenant, flow and key
  std::uint64_t ticket = 0;  // within the gate, rising in order of arrival
  TimeUs expires = 0;        // of an event with a ttl whose run has not begun; 0: never
  Move move = Move::none;    // what happens next, at once
  TimeUs move_due = 0;
  Seq move_since = 0;  // the record that decided it
};

// The runs of one flow, tenant and key.
struct Gate {
  std::map<std::uint64_t, RunEntry*> members;  // by ticket
  std::uint32_t taken = 0;                     // called and inside
  std::uint32_t waiting = 0;
};

struct GateHash {
  std::size_t operator()(const Hash128& gate) const { return static_cast<std::size_t>(gate.low); }
};

}  // namespace sluice::core
