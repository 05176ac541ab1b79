#include "vm/cron.hpp"

#include <gtest/gtest.h>

namespace sluice::vm {
namespace {

std::string problem(std::string_view text) {
  const auto pattern = parse_cron(text);
  if (pattern) return "";
  return pattern.error().message + " [" +
         std::string(
             text.substr(pattern.error().begin, pattern.error().end - pattern.error().begin)) +
         "]";
}

// Day 0 is Thursday, 1 January 1970.
std::string matches(std::string_view text, int count, CivilMinute from = {}) {
  const auto pattern = parse_cron(text);
  if (!pattern) return pattern.error().message;
  std::string found;
  for (int i = 0; i < count; ++i) {
    const auto next = next_match(*pattern, from);
    if (!next) return found + "none";
    found += std::to_string(next->day) + ":" + std::to_string(next->minute) + " ";
    from = {next->day, next->minute + 1};
    if (from.minute == 24 * 60) from = {next->day + 1, 0};
  }
  return found;
}

TEST(Cron, FieldsSayWhen) {
  EXPECT_EQ(matches("* * * * *", 3), "0:0 0:1 0:2 ");
  EXPECT_EQ(matches("30 9 * * *", 2), "0:570 1:570 ");
  EXPECT_EQ(matches("*/20 23 * * *", 4), "0:1380 0:1400 0:1420 1:1380 ");
  EXPECT_EQ(matches("5,10-12/2 0 * * *", 4), "0:5 0:10 0:12 1:5 ");
  EXPECT_EQ(matches("50/4 0 * * *", 4), "0:50 0:54 0:58 1:50 ");
  EXPECT_EQ(matches("0 9 * * 1-5", 4), "0:540 1:540 4:540 5:540 ");
  EXPECT_EQ(matches("0 0 * * 0", 2), "3:0 10:0 ");
  EXPECT_EQ(matches("0 0 * * 7", 2), "3:0 10:0 ");
  EXPECT_EQ(matches("0 0 * * SUN", 2), "3:0 10:0 ");
  EXPECT_EQ(matches("0 0 31 * *", 3), "30:0 89:0 150:0 ");
  EXPECT_EQ(matches("0 0 1 feb,Apr *", 2), "31:0 90:0 ");
  EXPECT_EQ(matches("0 0 29 2 *", 2), "789:0 2250:0 ");
}

TEST(Cron, EitherDayFitsWhereBothAreSaid) {
  EXPECT_EQ(matches("0 0 3 * sat", 4), "2:0 9:0 16:0 23:0 ");  // the 3rd is a Saturday itself
  EXPECT_EQ(matches("0 0 5 * sat", 3), "2:0 4:0 9:0 ");
}

TEST(Cron, MistakesAreNamedWhereTheyAre) {
  EXPECT_EQ(problem("0 60 * * *"), "an hour is from 0 to 23 [60]");
  EXPECT_EQ(problem("61 6 * * *"), "a minute is from 0 to 59 [61]");
  EXPECT_EQ(problem("0 6 0 * *"), "a day of the month is from 1 to 31 [0]");
  EXPECT_EQ(problem("0 6 * mai *"), "this is no month [mai]");
  EXPECT_EQ(problem("0 6 * * 5-1"), "this range ends before it begins [5-1]");
  EXPECT_EQ(problem("*/0 6 * * *"), "a step is 1 or more [*/0]");
  EXPECT_EQ(problem("0x 6 * * *"), "this is no minute [x]");
  EXPECT_EQ(problem("99999999999 6 * * *"), "this number is too large [99999999999]");
  EXPECT_EQ(problem("0 6 * * * *"), "a schedule has five fields, and here is more [*]");
  EXPECT_EQ(
      problem("0 6 * *"),
      "a schedule has five fields: minute, hour, day of the month, month, day of the week []");
  EXPECT_EQ(
      problem(""),
      "a schedule has five fields: minute, hour, day of the month, month, day of the week []");
  EXPECT_EQ(problem("0 0 30 2 *"), "no date fits this schedule [0 0 30 2 *]");
}

// Whatever is read keeps to its fields, and whatever is written is read or refused.
TEST(Cron, AnyTextIsReadOrRefused) {
  std::uint32_t state = 7;
  constexpr std::string_view kSigns = "0123456789*/-, \tabcjanfebsun";
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    state = state * 1664525 + 1013904223;
    const std::uint32_t length = (state >> 8) % 24;
    for (std::uint32_t k = 0; k < length; ++k) {
      state = state * 1664525 + 1013904223;
      text += kSigns[(state >> 8) % kSigns.size()];
    }
    const auto pattern = parse_cron(text);
    if (pattern) {
      EXPECT_NE(pattern->minutes, 0u) << text;
      EXPECT_EQ(pattern->minutes >> 60, 0u) << text;
      EXPECT_EQ(pattern->hours >> 24, 0u) << text;
      EXPECT_EQ(pattern->weekdays >> 7, 0) << text;
    } else {
      EXPECT_LE(pattern.error().begin, pattern.error().end) << text;
      EXPECT_LE(pattern.error().end, text.size()) << text;
    }
  }
}

}  // namespace
}  // namespace sluice::vm
