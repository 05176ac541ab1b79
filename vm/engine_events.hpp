// Names of the events that the engine itself sends to runs.
#pragma once

#include <string_view>

namespace sluice::vm {

// They begin so, and nobody else sends them: no name that a program declares has a dot.
inline constexpr std::string_view kEngineEvents = "sluice.";

// The client of the run is away, or back: events of std.presence.
inline constexpr std::string_view kAwayEvent = "sluice.away";
inline constexpr std::string_view kBackEvent = "sluice.back";

}  // namespace sluice::vm
