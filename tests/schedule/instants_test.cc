#include "engine/schedule/instants.hpp"

#include <date/date.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace sluice::schedule {
namespace {

using core::TimeUs;

// "2026-03-29 01:00:00"
TimeUs utc(const std::string& text) {
  const auto number = [&](std::size_t at, std::size_t size) {
    return std::stoi(text.substr(at, size));
  };
  const date::sys_days day = date::year(number(0, 4)) / number(5, 2) / number(8, 2);
  const auto time = day + std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) +
                    std::chrono::seconds(number(17, 2));
  return std::chrono::microseconds(time.time_since_epoch()).count();
}

std::string text_of(TimeUs us) {
  std::ostringstream out;
  out << date::format("%F %H:%M", date::sys_seconds(std::chrono::seconds(us / 1'000'000)));
  return out.str();
}

// The first instants after a time, in UTC.
std::vector<std::string> instants(const char* cron, const char* zone, const char* after,
                                  int count) {
  std::vector<std::string> found;
  TimeUs at = utc(after);
  for (int i = 0; i < count; ++i) {
    const auto next = next_instant({cron, zone}, at);
    if (!next) break;
    EXPECT_GT(*next, at);
    at = *next;
    found.push_back(text_of(at));
  }
  return found;
}

using Texts = std::vector<std::string>;

TEST(Instants, GoByTheClockOfTheirZone) {
  EXPECT_EQ(instants("0 9 * * 1-5", "Europe/Berlin", "2026-01-01 00:00:00", 3),
            (Texts{"2026-01-01 08:00", "2026-01-02 08:00", "2026-01-05 08:00"}));
  EXPECT_EQ(instants("0 9 * * *", "Europe/Berlin", "2026-07-01 07:00:00", 2),
            (Texts{"2026-07-02 07:00", "2026-07-03 07:00"}));
  EXPECT_EQ(instants("0 9 * * *", "UTC", "2026-07-01 08:59:59", 1), (Texts{"2026-07-01 09:00"}));
  EXPECT_EQ(instants("30 6 * * *", "Asia/Kathmandu", "2026-07-01 00:00:00", 2),
            (Texts{"2026-07-01 00:45", "2026-07-02 00:45"}));
  EXPECT_EQ(instants("0 0 * * *", "Pacific/Apia", "2011-12-29 09:00:00", 3),
            (Texts{"2011-12-29 10:00", "2011-12-30 10:00", "2011-12-31 10:00"}))
      << "the day that Samoa left out comes at the gap's end, together with the next";
}

// On 29 March 2026 Berlin's clocks go from 2:00 to 3:00, at 1:00 UTC.
TEST(Instants, ASkippedTimeComesAtTheEndOfTheGap) {
  EXPECT_EQ(instants("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00:00", 3),
            (Texts{"2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"}));
  EXPECT_EQ(instants("*/20 2 * * *", "Europe/Berlin", "2026-03-29 00:00:00", 2),
            (Texts{"2026-03-29 01:00", "2026-03-30 00:00"}));
  EXPECT_EQ(instants("0 * * * *", "Europe/Berlin", "2026-03-28 23:30:00", 3),
            (Texts{"2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"}));
}

// On 25 October 2026 they go from 3:00 to 2:00, at 1:00 UTC.
TEST(Instants, ADoubledTimeComesOnce) {
  EXPECT_EQ(instants("30 2 * * *", "Europe/Berlin", "2026-10-25 00:00:00", 2),
            (Texts{"2026-10-25 00:30", "2026-10-26 01:30"}));
  EXPECT_EQ(instants("30 2 * * *", "Europe/Berlin", "2026-10-25 00:45:00", 1),
            (Texts{"2026-10-26 01:30"}));
  EXPECT_EQ(instants("30 1 * * *", "America/New_York", "2026-11-01 00:00:00", 2),
            (Texts{"2026-11-01 05:30", "2026-11-02 06:30"}));
  EXPECT_EQ(instants("0 3 * * *", "Europe/Berlin", "2026-10-25 00:00:00", 1),
            (Texts{"2026-10-25 02:00"}));
}

TEST(Instants, OfTheMissedOnesTheLastCounts) {
  const vm::Schedule daily{"0 9 * * *", "UTC"};
  const auto last = [&](const vm::Schedule& schedule, const char* after, const char* until) {
    const auto found = last_instant(schedule, utc(after), utc(until));
    return found ? text_of(*found) : std::string("none");
  };
  EXPECT_EQ(last(daily, "2026-01-01 09:00:00", "2026-01-01 20:00:00"), "none");
  EXPECT_EQ(last(daily, "2026-01-01 09:00:00", "2026-01-02 09:00:00"), "2026-01-02 09:00");
  EXPECT_EQ(last(daily, "2026-01-01 09:00:00", "2026-04-01 08:00:00"), "2026-03-31 09:00");
  EXPECT_EQ(last({"* * * * *", "UTC"}, "2020-01-01 00:00:00", "2026-04-01 08:00:30"),
            "2026-04-01 08:00");
  EXPECT_EQ(last({"0 0 29 2 *", "UTC"}, "2024-02-28 00:00:00", "2027-12-31 00:00:00"),
            "2024-02-29 00:00");
}

TEST(Instants, WhatIsNotKnownNeverComes) {
  EXPECT_FALSE(next_instant({"0 9 * * *", "Mars/Olympus"}, 0));
  EXPECT_FALSE(next_instant({"nonsense", "UTC"}, 0));
}

TEST(Instants, TheZonesAreListed) {
  const auto& names = zone_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  for (const char* name : {"Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata"}) {
    EXPECT_TRUE(std::binary_search(names.begin(), names.end(), name)) << name;
  }
}

}  // namespace
}  // namespace sluice::schedule
