#include "vm/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace sluice::vm {
namespace {

// Length of the UTF-8 sequence at `at`, 0 if it is none.
size_t sequence_length(const unsigned char* at, const unsigned char* end) {
  auto continues = [&](size_t i) { return at + i < end && (at[i] & 0xc0) == 0x80; };
  unsigned char lead = *at;
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return continues(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xe0 && at[1] < 0xa0) return 0;
    if (lead == 0xed && at[1] >= 0xa0) return 0;
    return 3;
  }
  if (lead > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if (lead == 0xf0 && at[1] < 0x90) return 0;
  if (lead == 0xf4 && at[1] >= 0x90) return 0;
  return 4;
}

struct Unit {
  std::string_view name;
  int64_t ms;
};
constexpr Unit kUnits[] = {
    {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr int64_t kUsPerSecond = 1'000'000;
constexpr int64_t kUsPerDay = 86'400 * kUsPerSecond;

struct Date {
  int64_t year;
  unsigned month, day;
};

// Howard Hinnant's civil calendar: days since 1970-01-01.
int64_t days_from_civil(Date date) {
  int64_t y = date.year - (date.month <= 2 ? 1 : 0);
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

Date civil_from_days(int64_t days) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  unsigned day = static_cast<unsigned>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  unsigned month = static_cast<unsigned>(shifted_month + (shifted_month < 10 ? 3 : -9));
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

unsigned days_in_month(int64_t year, unsigned month) {
  constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

void append_padded(int64_t value, int width, std::string& out) {
  char digits[20];
  for (int i = width - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(digits, static_cast<size_t>(width));
}

// Takes fixed-width numbers and literal characters off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool number(size_t width, int64_t* value) {
    if (text_.size() < width) return false;
    *value = 0;
    for (size_t i = 0; i < width; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      *value = *value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(width);
    return true;
  }
  bool literal(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool any_of(std::string_view set, char* found) {
    if (text_.empty() || set.find(text_.front()) == std::string_view::npos) return false;
    *found = text_.front();
    text_.remove_prefix(1);
    return true;
  }
  bool digit_follows() const {
    return !text_.empty() && text_.front() >= '0' && text_.front() <= '9';
  }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

bool scan_fraction(Scanner& scan, int64_t* us) {
  *us = 0;
  if (!scan.literal('.')) return true;
  int64_t scale = 100'000;
  int64_t digit = 0;
  int count = 0;
  while (scan.digit_follows()) {
    if (++count > 6) return false;
    scan.number(1, &digit);
    *us += digit * scale;
    scale /= 10;
  }
  return count > 0;
}

bool scan_offset(Scanner& scan, int64_t* minutes) {
  char sign = 0;
  *minutes = 0;
  if (scan.any_of("Zz", &sign)) return true;
  int64_t hours = 0, rest = 0;
  if (!scan.any_of("+-", &sign) || !scan.number(2, &hours) || !scan.literal(':') ||
      !scan.number(2, &rest) || hours > 23 || rest > 59) {
    return false;
  }
  *minutes = (sign == '-' ? -1 : 1) * (hours * 60 + rest);
  return true;
}

// Whether a JSON number is less than 1 without its sign.
bool magnitude_below_one(std::string_view text) {
  size_t exponent_at = text.find_first_of("eE");
  std::string_view mantissa = text.substr(0, exponent_at);
  int64_t exponent = 0;
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = text.substr(exponent_at + 1);
    bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    // An exponent beyond 64 bits outweighs every mantissa that fits in memory.
    exponent = std::min(parse_int(digits).value_or(INT64_MAX), INT64_MAX / 2);
    if (negative) exponent = -exponent;
  }
  size_t point = mantissa.find('.');
  if (point == std::string_view::npos) point = mantissa.size();
  size_t lead = mantissa.find_first_of("123456789");
  if (lead == std::string_view::npos) return true;
  int64_t lead_exponent = static_cast<int64_t>(point) - static_cast<int64_t>(lead);
  return lead_exponent + exponent <= 0;
}

}  // namespace

bool valid_text(std::string_view text) {
  auto at = reinterpret_cast<const unsigned char*>(text.data());
  auto end = at + text.size();
  while (at < end) {
    if (end - at >= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      // No byte above 0x7f and none zero.
      if ((((word - 0x0101010101010101U) | word) & 0x8080808080808080U) == 0) {
        at += 8;
        continue;
      }
    }
    size_t length = sequence_length(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

uint32_t count_code_points(std::string_view text) {
  uint32_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

size_t offset_of_code_point(std::string_view text, uint64_t n) {
  if (n >= text.size()) return text.size();
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) == 0x80) continue;
    if (n-- == 0) return i;
  }
  return text.size();
}

std::string_view cut_text(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

void append_utf8(uint32_t code_point, std::string& out) {
  auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

void append_int(int64_t value, std::string& out) {
  char digits[24];
  auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

void append_float(double value, std::string& out) {
  char digits[32];
  auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

void append_duration(int64_t ms, std::string& out) {
  for (const Unit& unit : kUnits) {
    if ((ms != 0 && ms % unit.ms == 0) || unit.ms == 1) {
      append_int(ms / unit.ms, out);
      out += unit.name;
      return;
    }
  }
}

void append_timestamp(int64_t us, std::string& out) {
  int64_t days = us / kUsPerDay - (us % kUsPerDay < 0 ? 1 : 0);
  int64_t rest = us % kUsPerDay;  // of the day; the day's first microsecond need not fit 64 bits
  if (rest < 0) rest += kUsPerDay;
  Date date = civil_from_days(days);
  if (date.year < 0 || date.year > 9999) {
    append_int(us, out);
    out += "us";
    return;
  }
  append_padded(date.year, 4, out);
  out += '-';
  append_padded(date.month, 2, out);
  out += '-';
  append_padded(date.day, 2, out);
  out += 'T';
  int64_t seconds = rest / kUsPerSecond;
  append_padded(seconds / 3600, 2, out);
  out += ':';
  append_padded(seconds / 60 % 60, 2, out);
  out += ':';
  append_padded(seconds % 60, 2, out);
  int64_t fraction = rest % kUsPerSecond;
  if (fraction % 1000 != 0) {
    out += '.';
    append_padded(fraction, 6, out);
  } else if (fraction != 0) {
    out += '.';
    append_padded(fraction / 1000, 3, out);
  }
  out += 'Z';
}

void append_base64(std::string_view bytes, std::string& out) {
  size_t i = 0;
  auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[at])); };
  for (; i + 3 <= bytes.size(); i += 3) {
    uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int shift = 18; shift >= 0; shift -= 6) out += kBase64Digits[group >> shift & 63];
  }
  if (i == bytes.size()) return;
  bool two = bytes.size() - i == 2;
  uint32_t group = byte(i) << 16 | (two ? byte(i + 1) << 8 : 0);
  out += kBase64Digits[group >> 18 & 63];
  out += kBase64Digits[group >> 12 & 63];
  out += two ? kBase64Digits[group >> 6 & 63] : '=';
  out += '=';
}

std::optional<int64_t> parse_int(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  // The grammar of JSON numbers, which is narrower than from_chars'.
  size_t i = 0;
  auto digits = [&] {
    size_t begin = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i > begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  bool zero = i < text.size() && text[i] == '0';
  size_t first = i;
  if (!digits() || (zero && i - first > 1)) return std::nullopt;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits()) return std::nullopt;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!digits()) return std::nullopt;
  }
  if (i != text.size()) return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range is also reported for what rounds to zero: that is zero, not an error.
  if (error == std::errc::result_out_of_range && magnitude_below_one(text)) return 0.0;
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value + 0.0;
}

std::optional<int64_t> parse_duration(std::string_view text) {
  size_t digits = text.starts_with('-') ? 1 : 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  auto number = parse_int(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : kUnits) {
    int64_t ms = 0;
    if (text.substr(digits) != unit.name) continue;
    if (__builtin_mul_overflow(*number, unit.ms, &ms)) return std::nullopt;
    return ms;
  }
  return std::nullopt;
}

std::optional<int64_t> parse_timestamp(std::string_view text) {
  if (text.ends_with("us")) return parse_int(text.substr(0, text.size() - 2));
  Scanner scan(text);
  int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, us = 0, offset = 0;
  char separator = 0;
  if (!scan.number(4, &year) || !scan.literal('-') || !scan.number(2, &month) ||
      !scan.literal('-') || !scan.number(2, &day) || !scan.any_of("Tt", &separator) ||
      !scan.number(2, &hour) || !scan.literal(':') || !scan.number(2, &minute) ||
      !scan.literal(':') || !scan.number(2, &second) || !scan_fraction(scan, &us) ||
      !scan_offset(scan, &offset) || !scan.at_end()) {
    return std::nullopt;
  }
  if (month < 1 || month > 12 || day < 1 ||
      day > days_in_month(year, static_cast<unsigned>(month)) || hour > 23 || minute > 59 ||
      second > 59) {
    return std::nullopt;
  }
  int64_t days = days_from_civil({year, static_cast<unsigned>(month), static_cast<unsigned>(day)});
  return ((days * 24 + hour) * 60 + minute - offset) * 60 * kUsPerSecond + second * kUsPerSecond +
         us;
}

std::optional<std::string> parse_base64(std::string_view text) {
  static constexpr auto kValues = [] {
    std::array<int8_t, 256> values{};
    values.fill(-1);
    for (size_t i = 0; i < kBase64Digits.size(); ++i) {
      values[static_cast<uint8_t>(kBase64Digits[i])] = static_cast<int8_t>(i);
    }
    return values;
  }();
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    bool last = i + 4 == text.size();
    int padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
    uint32_t group = 0;
    for (size_t k = 0; k < 4; ++k) {
      int value =
          static_cast<int>(k) >= 4 - padding ? 0 : kValues[static_cast<uint8_t>(text[i + k])];
      if (value < 0) return std::nullopt;
      group = group << 6 | static_cast<uint32_t>(value);
    }
    // Bits that padding cuts off must be zero: one text per value.
    if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0)) {
      return std::nullopt;
    }
    for (int k = 0; k < 3 - padding; ++k) out += static_cast<char>(group >> (16 - 8 * k));
  }
  return out;
}

}  // namespace sluice::vm
