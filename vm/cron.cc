#include "vm/cron.hpp"

#include <array>
#include <bit>
#include <charconv>

namespace sluice::vm {
namespace {

constexpr uint32_t kMinutesOfDay = 24 * 60;
constexpr int64_t kDaysAhead = 9 * 366;

struct Field {
  std::string_view name;
  uint32_t least;
  uint32_t most;
  std::string_view words;  // of three letters each, from `least`
};
constexpr std::array<Field, 5> kFields{{
    {"minute", 0, 59, ""},
    {"hour", 0, 23, ""},
    {"day of the month", 1, 31, ""},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat"},  // 7 is Sunday, too
}};

// Reads the fields one after the other; the first mistake ends it.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  tl::expected<CronPattern, CronError> read() {
    std::array<uint64_t, kFields.size()> bits{};
    std::array<bool, kFields.size()> any{};
    for (size_t i = 0; i < kFields.size() && !error_; ++i) {
      blanks();
      if (at_ == text_.size()) {
        fail(at_, at_,
             "a schedule has five fields: minute, hour, day of the month, month, day of "
             "the week");
        break;
      }
      any[i] = text_[at_] == '*' && (at_ + 1 == text_.size() || blank(text_[at_ + 1]));
      bits[i] = field(kFields[i]);
    }
    blanks();
    if (!error_ && at_ != text_.size()) {
      fail(at_, text_.size(), "a schedule has five fields, and here is more");
    }
    if (error_) return tl::unexpected(std::move(*error_));
    CronPattern pattern;
    pattern.minutes = bits[0];
    pattern.hours = static_cast<uint32_t>(bits[1]);
    pattern.days = static_cast<uint32_t>(bits[2]);
    pattern.months = static_cast<uint16_t>(bits[3]);
    pattern.weekdays = static_cast<uint8_t>((bits[4] | bits[4] >> 7) & 0x7f);
    pattern.any_day = any[2];
    pattern.any_weekday = any[4];
    if (next_match(pattern, {})) return pattern;
    return tl::unexpected(
        CronError{"no date fits this schedule", 0, static_cast<uint32_t>(text_.size())});
  }

 private:
  static bool blank(char c) { return c == ' ' || c == '\t'; }
  static bool digit(char c) { return c >= '0' && c <= '9'; }
  static bool letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
  void blanks() {
    while (at_ < text_.size() && blank(text_[at_])) ++at_;
  }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void fail(size_t begin, size_t end, std::string message) {
    if (error_) return;
    error_ =
        CronError{std::move(message), static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
  }

  uint64_t field(const Field& of) {
    uint64_t bits = 0;
    do {
      bits |= part(of);
    } while (!error_ && take(','));
    if (!error_ && at_ < text_.size() && !blank(text_[at_])) unfit(of);
    return bits;
  }

  // `*`, `a` or `a-b`, each with `/step`.
  uint64_t part(const Field& of) {
    const size_t begin = at_;
    uint32_t from = of.least;
    uint32_t to = of.most;
    bool range = true;
    if (!take('*')) {
      from = value(of);
      range = take('-');
      to = range ? value(of) : from;
    } else if (of.most == 7) {
      to = 6;  // Sunday once
    }
    uint32_t step = 1;
    if (!error_ && take('/')) {
      step = number(of);
      if (!range) to = of.most;
      if (step == 0) fail(begin, at_, "a step is 1 or more");
    }
    if (error_) return 0;
    if (from > to) {
      fail(begin, at_, "this range ends before it begins");
      return 0;
    }
    uint64_t bits = 0;
    for (uint32_t i = from; i <= to; i += step) bits |= uint64_t{1} << i;
    return bits;
  }

  uint32_t value(const Field& of) {
    if (error_) return 0;
    const size_t begin = at_;
    if (at_ + 3 <= text_.size() && letter(text_[at_]) && !of.words.empty()) {
      std::string word(text_.substr(at_, 3));
      for (char& c : word) c = static_cast<char>(c | 0x20);
      for (size_t i = 0; i < of.words.size(); i += 3) {
        if (of.words.substr(i, 3) != word) continue;
        at_ += 3;
        return of.least + static_cast<uint32_t>(i / 3);
      }
    }
    const uint32_t found = number(of);
    if (!error_ && (found < of.least || found > of.most)) {
      fail(begin, at_,
           (of.most == 23 ? "an " : "a ") + std::string(of.name) + " is from " +
               std::to_string(of.least) + " to " + std::to_string(of.most));
    }
    return found;
  }

  uint32_t number(const Field& of) {
    if (at_ == text_.size() || !digit(text_[at_])) {
      unfit(of);
      return 0;
    }
    uint32_t found = 0;
    const char* from = text_.data() + at_;
    const auto [end, code] = std::from_chars(from, text_.data() + text_.size(), found);
    const size_t begin = at_;
    at_ += static_cast<size_t>(end - from);
    if (code != std::errc()) fail(begin, at_, "this number is too large");
    return found;
  }

  void unfit(const Field& of) {
    size_t end = at_;
    while (end < text_.size() && !blank(text_[end])) ++end;
    fail(at_, end, "this is no " + std::string(of.name));
  }

  std::string_view text_;
  size_t at_ = 0;
  std::optional<CronError> error_;
};

struct Date {
  uint32_t month;
  uint32_t day;
};

// Of the proleptic Gregorian calendar; after Howard Hinnant's civil_from_days.
Date date_of(int64_t days) {
  const int64_t shifted = days + 719468;
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const auto day_of_era = static_cast<uint32_t>(shifted - era * 146097);
  const uint32_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const uint32_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint32_t shifted_month = (5 * day_of_year + 2) / 153;
  return {shifted_month < 10 ? shifted_month + 3 : shifted_month - 9,
          day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

bool fits(const CronPattern& pattern, int64_t day) {
  const Date date = date_of(day);
  if ((pattern.months >> date.month & 1) == 0) return false;
  const int64_t weekday = ((day % 7) + 7 + 4) % 7;  // 1970-01-01 was a Thursday
  const bool of_month = (pattern.days >> date.day & 1) != 0;
  const bool of_week = (pattern.weekdays >> weekday & 1) != 0;
  if (pattern.any_day || pattern.any_weekday) return of_month && of_week;
  return of_month || of_week;
}

// The first minute of a day from `from` on; kMinutesOfDay: none.
uint32_t minute_from(const CronPattern& pattern, uint32_t from) {
  for (uint32_t hour = from / 60; hour < 24; ++hour) {
    if ((pattern.hours >> hour & 1) == 0) continue;
    const uint32_t least = hour == from / 60 ? from % 60 : 0;
    const uint64_t left = pattern.minutes >> least << least;
    if (left != 0) return hour * 60 + static_cast<uint32_t>(std::countr_zero(left));
  }
  return kMinutesOfDay;
}

}  // namespace

tl::expected<CronPattern, CronError> parse_cron(std::string_view text) {
  return Reader(text).read();
}

std::optional<CivilMinute> next_match(const CronPattern& pattern, CivilMinute from) {
  for (int64_t day = from.day; day <= from.day + kDaysAhead; ++day) {
    if (!fits(pattern, day)) continue;
    const uint32_t minute = minute_from(pattern, day == from.day ? from.minute : 0);
    if (minute < kMinutesOfDay) return CivilMinute{day, minute};
  }
  return std::nullopt;
}

}  // namespace sluice::vm
