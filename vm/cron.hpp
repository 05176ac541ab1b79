#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

// Patterns of cron: minute, hour, day of month, month, day of week. Pure calendar, without zones:
// which instant a local time is, engine/schedule says.
namespace sluice::vm {

// A bit for each value that fits.
struct CronPattern {
  uint64_t minutes = 0;  // 0 to 59
  uint32_t hours = 0;    // 0 to 23
  uint32_t days = 0;     // 1 to 31
  uint16_t months = 0;   // 1 to 12
  uint8_t weekdays = 0;  // 0 to 6, from Sunday
  bool any_day = false;  // `*`: the weekday alone decides
  bool any_weekday = false;
  friend bool operator==(const CronPattern&, const CronPattern&) = default;
};

// What is wrong, and where in the text.
struct CronError {
  std::string message;
  uint32_t begin = 0;
  uint32_t end = 0;
};

// `*`, numbers, names of months and days (jan, mon), ranges `1-5`, steps `*/15` and `8-18/2`, and
// lists of these. Where both days are restricted, either of them fits, as cron has it. A pattern
// that no date fits (30 February) is an error.
tl::expected<CronPattern, CronError> parse_cron(std::string_view text);

// A minute of some calendar and clock.
struct CivilMinute {
  int64_t day = 0;      // since 1970-01-01
  uint32_t minute = 0;  // of the day
  friend auto operator<=>(const CivilMinute&, const CivilMinute&) = default;
};

// The first minute from `from` on that fits. Nothing: none within the next nine years, the longest
// that a 29 February is away.
std::optional<CivilMinute> next_match(const CronPattern& pattern, CivilMinute from);

}  // namespace sluice::vm
