#include "gateway/config/duration.hpp"

#include <array>
#include <charconv>
#include <cstdint>

namespace sluice::gateway {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array kUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000},
                               Unit{"s", 1000}, Unit{"ms", 1}};
constexpr std::int64_t kMostMs = std::int64_t{3653} * 86'400'000;

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& candidate : kUnits) {
    if (candidate.name != unit) continue;
    if (number > kMostMs / candidate.ms) return std::nullopt;
    return std::chrono::milliseconds(number * candidate.ms);
  }
  return std::nullopt;
}

std::string format_duration(std::chrono::milliseconds duration) {
  const std::int64_t ms = duration.count();
  for (const Unit& unit : kUnits) {
    if (ms % unit.ms == 0 && (ms != 0 || unit.ms == 1))
      return std::to_string(ms / unit.ms) + std::string(unit.name);
  }
  return std::to_string(ms) + "ms";
}

}  // namespace sluice::gateway
