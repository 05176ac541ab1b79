// Durations as the language writes them: 250ms, 2s, 5m, 1h, 7d.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::gateway {

// Digits and a unit, at most 10 years. Nothing for anything else.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// In the largest unit that is exact.
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace sluice::gateway
