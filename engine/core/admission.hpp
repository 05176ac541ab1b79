// Whose turn it is under `concurrency`: a run's place among those that count together, and the
// gate that they pass. A gate holds nothing of its own: it follows from its runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"
#include "vm/run.hpp"

namespace sluice::core {

struct RunEntry;

// Stored with the run: append only.
enum class Place : std::uint8_t {
  none = 0,     // nothing bounds it, or it has gone
  waiting = 1,  // it has not begun
  called = 2,   // a place is kept for it: it begins with the next record of its own
  inside = 3,
  // Under `joins`, of a run that has not begun. What is to become of it is decided, and it counts
  // with those that wait until it has ended.
  leaving = 4,  // cancelled, or out of time: once no run has its event as a signal any more
  joining = 5,  // a `receive` of the run that heard of it took its event
};

// What happens to a run by a timer of its admission. Part of the timer's number, hence stored:
// append only. Of one instant the lower comes first.
enum class Move : std::uint8_t {
  none = 0,
  expire = 1,     // its event is older than its ttl
  refuse = 2,     // too many wait already
  supersede = 3,  // a newer run takes its place
  begin = 4,
  hear = 5,   // of a run inside: it is told of one that waits, or is to forget one; a Join record
  leave = 6,  // it ends without having begun, as was decided
  join = 7,   // its event went to another run: it ends; a Join record
};

// Under `joins`: a run whose step waited for a run that joined this one. It is told how this one
// ends.
struct Follower {
  RunId parent;
  StepNumber step = 0;
  RunId child;  // that joined
  DeploymentNumber deployment = 0;
};

struct Admission {
  Place place = Place::none;
  Hash128 gate;              // of tenant, flow and key
  std::uint64_t ticket = 0;  // within the gate, rising in order of arrival
  TimeUs expires = 0;        // of an event with a ttl whose run has not begun; 0: never
  Move move = Move::none;    // what happens next, at once
  TimeUs move_due = 0;
  Seq move_since = 0;  // the record that decided it
  // Of a run that has not begun, under `joins`: the run among whose signals its event is, and what
  // becomes of it where it is leaving.
  RunId heard_by;
  vm::CancelKind leave_kind{};
  std::string leave_why;
  std::vector<Follower> followers;  // of a run inside, under `joins`
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
