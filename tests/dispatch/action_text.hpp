// Actions as text, so that tests compare and print them in one form.
#pragma once

#include <string>

#include "engine/dispatch/dispatcher.hpp"

namespace sluice::dispatch {

// An attempt of the tests: run, step and attempt follow from its number, the partition is given.
AttemptKey key_of(unsigned number, unsigned partition = 0);

// "hand w1 a2 n3 lease 10000 deadline 0", "grant a2", "cancel w1 a2 n3 why", "lapse a2 lost",
// "stale w1 a2 n3".
std::string to_text(const Action& action);
// Joined by "; ".
std::string to_text(const Actions& actions);

}  // namespace sluice::dispatch
