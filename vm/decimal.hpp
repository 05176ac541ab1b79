#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Exact decimal numbers, for money. A Decimal is coefficient × 10^-scale, of at most
// kDecimalDigitsMax digits before and behind the point together. It is always in lowest terms (the
// coefficient ends in no zero unless the scale is 0), so equal numbers are equal members: 1.50 is
// 1.5, and what a sum, difference or product is, it is exactly, or there is none.
namespace sluice::vm {

__extension__ using Int128 = __int128;

inline constexpr int kDecimalDigitsMax = 33;  // 112 bits of a Value hold them

struct Decimal {
  Int128 coefficient = 0;  // less than 10^kDecimalDigitsMax without its sign
  int scale = 0;           // 0 to kDecimalDigitsMax
  friend bool operator==(const Decimal&, const Decimal&) = default;
};

Decimal decimal_of(int64_t value);
// The number in lowest terms; nullopt if it has too many digits. REQUIRES: scale >= 0.
std::optional<Decimal> make_decimal(Int128 coefficient, int scale);
bool is_valid(const Decimal& value);  // within the bounds and in lowest terms

// nullopt: the exact result has too many digits.
std::optional<Decimal> add(const Decimal& a, const Decimal& b);
std::optional<Decimal> subtract(const Decimal& a, const Decimal& b);
std::optional<Decimal> multiply(const Decimal& a, const Decimal& b);
Decimal negate(const Decimal& a);
int compare(const Decimal& a, const Decimal& b);  // negative, 0, positive

// a / b, rounded to `places` digits behind the point, halves away from zero. REQUIRES: b is not 0,
// places from 0 to kDecimalDigitsMax.
std::optional<Decimal> divide(const Decimal& a, const Decimal& b, int places);
// Likewise, of one number; it always fits but for a number of 33 nines.
std::optional<Decimal> round_to(const Decimal& a, int places);
// The greatest int not above, the least not below; nullopt beyond 64 bits.
std::optional<int64_t> floor_of(const Decimal& a);
std::optional<int64_t> ceil_of(const Decimal& a);

// "12.5", "-0.01", "100": no exponent, no zeros that say nothing. With `places`, at least that many
// digits behind the point: "12.50".
void append_decimal(const Decimal& value, std::string& out, int places = 0);
// As a JSON number is written, without exponent; nullopt if the text is anything else, or has more
// digits than fit.
std::optional<Decimal> parse_decimal(std::string_view text);
// The float that is nearest, and the decimal that the shortest text of a float names.
double to_float(const Decimal& value);
std::optional<Decimal> decimal_of(double value);

}  // namespace sluice::vm
