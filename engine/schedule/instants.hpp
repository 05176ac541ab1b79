// When a schedule comes due: its pattern by the clock of its zone, from the system's IANA database.
// The core knows nothing of this: instants come into a partition as `cron` records.
//
// A local time that the clock skips is due at the end of the gap; one that it shows twice is due
// the first time only.
//
// Safe for any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/core/ids.hpp"
#include "vm/artifact.hpp"

namespace sluice::schedule {

// The first instant after `after`. Nothing: the zone is not known here, or none comes.
std::optional<core::TimeUs> next_instant(const vm::Schedule& schedule, core::TimeUs after);

// The last instant after `after` and not later than `until`: of those that were missed the only one
// that still counts. Nothing: there is none.
std::optional<core::TimeUs> last_instant(const vm::Schedule& schedule, core::TimeUs after,
                                         core::TimeUs until);

// Names of all zones, sorted; empty if the system has no database. Read once.
const std::vector<std::string>& zone_names();

}  // namespace sluice::schedule
