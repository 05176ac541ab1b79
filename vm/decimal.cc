#include "vm/decimal.hpp"

#include <algorithm>
#include <array>

#include "vm/text.hpp"

namespace sluice::vm {
namespace {

// 10^0 … 10^38, the last that fits.
constexpr int kPowersMax = 38;
constexpr auto kPowers = [] {
  std::array<Int128, kPowersMax + 1> powers{};
  Int128 power = 1;
  for (int i = 0; i <= kPowersMax; ++i) {
    powers[static_cast<size_t>(i)] = power;
    if (i < kPowersMax) power *= 10;
  }
  return powers;
}();

Int128 power_of_ten(int exponent) {
  return kPowers[static_cast<size_t>(exponent)];
}

const Int128 kBound = kPowers[kDecimalDigitsMax];

bool in_bounds(Int128 coefficient) {
  return coefficient < kBound && coefficient > -kBound;
}

Int128 magnitude(Int128 value) {
  return value < 0 ? -value : value;
}

std::optional<Int128> times(Int128 a, Int128 b) {
  Int128 product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// The coefficients of both for the greater of their scales. Where one does not fit, neither does
// their sum: its last digit is that of the other, which is not 0.
bool align(const Decimal& a, const Decimal& b, Int128* left, Int128* right, int* scale) {
  *scale = std::max(a.scale, b.scale);
  const auto l = times(a.coefficient, power_of_ten(*scale - a.scale));
  const auto r = times(b.coefficient, power_of_ten(*scale - b.scale));
  if (!l || !r) return false;
  *left = *l;
  *right = *r;
  return true;
}

// Pulls every power of ten out of a product before it is made, so that it has the digits that it
// needs and no zeros behind them.
int strip_tens(Int128* a, Int128* b) {
  int tens = 0;
  for (Int128* each : {a, b}) {
    for (; *each % 10 == 0; *each /= 10) ++tens;
  }
  for (; *a % 2 == 0 && *b % 5 == 0; ++tens) {
    *a /= 2;
    *b /= 5;
  }
  for (; *a % 5 == 0 && *b % 2 == 0; ++tens) {
    *a /= 5;
    *b /= 2;
  }
  return tens;
}

// floor(n × 10^k / m) and whether the rest is a half or more. What is left of k are zeros behind
// it. REQUIRES: 0 <= n, m < 10^33, m > 0.
std::optional<Int128> quotient(Int128 n, Int128 m, int* k, bool* up) {
  Int128 q = n / m, rest = n % m;
  if (*k < 0) {
    const Int128 cut = power_of_ten(-*k);
    *up = q % cut >= cut / 2;
    *k = 0;
    return q / cut;
  }
  for (; *k > 0 && rest != 0; --*k) {
    if (q >= kBound) return std::nullopt;
    rest *= 10;
    q = q * 10 + rest / m;
    rest %= m;
  }
  *up = rest * 2 >= m;
  return q;
}

// The number whose scale may be below 0.
std::optional<Decimal> shifted(Int128 coefficient, int scale) {
  if (scale >= 0 || coefficient == 0) return make_decimal(coefficient, std::max(scale, 0));
  if (-scale > kDecimalDigitsMax) return std::nullopt;
  const auto whole = times(coefficient, power_of_ten(-scale));
  return whole ? make_decimal(*whole, 0) : std::nullopt;
}

std::optional<int64_t> whole(Int128 value) {
  if (value > INT64_MAX || value < INT64_MIN) return std::nullopt;
  return static_cast<int64_t>(value);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

Decimal decimal_of(int64_t value) {
  return {value, 0};
}

std::optional<Decimal> make_decimal(Int128 coefficient, int scale) {
  for (; scale > 0 && coefficient % 10 == 0; --scale) coefficient /= 10;
  if (!in_bounds(coefficient) || scale > kDecimalDigitsMax) return std::nullopt;
  return Decimal{coefficient, scale};
}

bool is_valid(const Decimal& value) {
  return in_bounds(value.coefficient) && value.scale >= 0 && value.scale <= kDecimalDigitsMax &&
         (value.scale == 0 || value.coefficient % 10 != 0);
}

std::optional<Decimal> add(const Decimal& a, const Decimal& b) {
  Int128 left = 0, right = 0, sum = 0;
  int scale = 0;
  if (!align(a, b, &left, &right, &scale)) return std::nullopt;
  if (__builtin_add_overflow(left, right, &sum)) return std::nullopt;
  return make_decimal(sum, scale);
}

std::optional<Decimal> subtract(const Decimal& a, const Decimal& b) {
  return add(a, negate(b));
}

std::optional<Decimal> multiply(const Decimal& a, const Decimal& b) {
  if (a.coefficient == 0 || b.coefficient == 0) return Decimal{};
  Int128 left = a.coefficient, right = b.coefficient;
  const int tens = strip_tens(&left, &right);
  const auto product = times(left, right);
  if (!product || !in_bounds(*product)) return std::nullopt;
  return shifted(*product, a.scale + b.scale - tens);
}

Decimal negate(const Decimal& a) {
  return {-a.coefficient, a.scale};
}

int compare(const Decimal& a, const Decimal& b) {
  const Int128 one_a = power_of_ten(a.scale), one_b = power_of_ten(b.scale);
  const Int128 whole_a = a.coefficient / one_a, whole_b = b.coefficient / one_b;
  if (whole_a != whole_b) return whole_a < whole_b ? -1 : 1;
  const Int128 part_a = a.coefficient % one_a * power_of_ten(kDecimalDigitsMax - a.scale);
  const Int128 part_b = b.coefficient % one_b * power_of_ten(kDecimalDigitsMax - b.scale);
  return part_a < part_b ? -1 : part_a > part_b ? 1 : 0;
}

std::optional<Decimal> divide(const Decimal& a, const Decimal& b, int places) {
  bool up = false;
  int zeros = places + b.scale - a.scale;
  auto q = quotient(magnitude(a.coefficient), magnitude(b.coefficient), &zeros, &up);
  if (!q) return std::nullopt;
  if (up) ++*q;
  const bool negative = (a.coefficient < 0) != (b.coefficient < 0);
  return shifted(negative ? -*q : *q, places - zeros);
}

std::optional<Decimal> round_to(const Decimal& a, int places) {
  return a.scale <= places ? std::optional(a) : divide(a, decimal_of(int64_t{1}), places);
}

std::optional<int64_t> floor_of(const Decimal& a) {
  const Int128 one = power_of_ten(a.scale);
  return whole(a.coefficient / one - (a.coefficient % one < 0 ? 1 : 0));
}

std::optional<int64_t> ceil_of(const Decimal& a) {
  const Int128 one = power_of_ten(a.scale);
  return whole(a.coefficient / one + (a.coefficient % one > 0 ? 1 : 0));
}

void append_decimal(const Decimal& value, std::string& out, int places) {
  std::string digits;
  for (Int128 rest = magnitude(value.coefficient); rest != 0; rest /= 10) {
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
  }
  while (static_cast<int>(digits.size()) <= value.scale) digits += '0';
  std::reverse(digits.begin(), digits.end());
  const size_t point = digits.size() - static_cast<size_t>(value.scale);
  if (value.coefficient < 0) out += '-';
  out.append(digits, 0, point);
  if (value.scale == 0 && places <= 0) return;
  out += '.';
  out.append(digits, point);
  if (places > value.scale) out.append(static_cast<size_t>(places - value.scale), '0');
}

std::optional<Decimal> parse_decimal(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t point = text.find('.');
  const std::string_view before = text.substr(0, point);
  const std::string_view behind = point == std::string_view::npos ? "" : text.substr(point + 1);
  if (before.empty() || (before.size() > 1 && before[0] == '0')) return std::nullopt;
  if (point != std::string_view::npos && behind.empty()) return std::nullopt;
  std::string digits(before);
  digits += behind;
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
  size_t scale = behind.size();
  for (; scale > 0 && digits.back() == '0'; --scale) digits.pop_back();
  const size_t lead = std::min(digits.find_first_not_of('0'), digits.size());
  if (digits.size() - lead > kDecimalDigitsMax || scale > kDecimalDigitsMax) return std::nullopt;
  Int128 coefficient = 0;
  for (char c : digits) coefficient = coefficient * 10 + (c - '0');
  return make_decimal(negative ? -coefficient : coefficient, static_cast<int>(scale));
}

double to_float(const Decimal& value) {
  std::string text;
  append_decimal(value, text);
  return parse_float(text).value_or(0);
}

std::optional<Decimal> decimal_of(double value) {
  std::string text;
  append_float(value, text);
  const size_t mark = text.find('e');
  if (mark == std::string::npos) return parse_decimal(text);
  const auto mantissa = parse_decimal(std::string_view(text).substr(0, mark));
  const size_t digits = mark + (text[mark + 1] == '+' ? 2 : 1);
  const auto exponent = parse_int(std::string_view(text).substr(digits));
  if (!mantissa || !exponent) return std::nullopt;
  if (*exponent > kDecimalDigitsMax || *exponent < -kDecimalDigitsMax) return std::nullopt;
  const Decimal shift = *exponent >= 0 ? Decimal{power_of_ten(static_cast<int>(*exponent)), 0}
                                       : Decimal{1, static_cast<int>(-*exponent)};
  if (!is_valid(shift)) return std::nullopt;
  return multiply(*mantissa, shift);
}

}  // namespace sluice::vm
