#include "vm/decimal.hpp"

#include <gtest/gtest.h>

#include <random>

#include "vm/json.hpp"
#include "vm/value.hpp"

namespace sluice::vm::testing {
namespace {

std::string text(const std::optional<Decimal>& value) {
  if (!value) return "none";
  std::string out;
  append_decimal(*value, out);
  return out;
}

Decimal of(std::string_view written) {
  return parse_decimal(written).value();
}

TEST(Decimals, are_read_and_written_in_lowest_terms) {
  for (const char* same :
       {"0", "1", "-1", "12.5", "-0.01", "100", "0.000000000000000000000000000001",
        "999999999999999999999999999999999", "-99999999999999999.9999999999999999"}) {
    EXPECT_EQ(text(parse_decimal(same)), same);
  }
  EXPECT_EQ(text(parse_decimal("12.50")), "12.5");
  EXPECT_EQ(text(parse_decimal("-0.00")), "0");
  EXPECT_EQ(of("1.50"), of("1.5"));
  for (const char* wrong :
       {"", "-", ".5", "5.", "1e3", "01", "+1", "1,5", " 1", "1.2.3", "--1",
        "1000000000000000000000000000000000", "0.0000000000000000000000000000000001"}) {
    EXPECT_FALSE(parse_decimal(wrong)) << wrong;
  }
}

TEST(Decimals, are_exact_or_refused) {
  EXPECT_EQ(text(add(of("0.1"), of("0.2"))), "0.3");
  EXPECT_EQ(text(subtract(of("1"), of("0.999"))), "0.001");
  EXPECT_EQ(text(multiply(of("19.99"), of("1.19"))), "23.7881");
  EXPECT_EQ(text(multiply(of("0.5"), of("2"))), "1");
  EXPECT_EQ(
      text(multiply(of("1000000000000000000000000000000"), of("0.000000000000000000000000000001"))),
      "1");
  EXPECT_EQ(text(multiply(of("123456789012345678901234567890"), of("0.25"))),
            "30864197253086419725308641972.5");
  EXPECT_EQ(text(add(of("999999999999999999999999999999999"), of("1"))), "none");
  EXPECT_EQ(text(add(of("100000000000000000000"), of("0.00000000000001"))), "none");
  EXPECT_EQ(text(multiply(of("100000000000000000"), of("100000000000000000"))), "none");
}

TEST(Decimals, are_rounded_half_away_from_zero) {
  EXPECT_EQ(text(divide(of("1"), of("3"), 5)), "0.33333");
  EXPECT_EQ(text(divide(of("-2"), of("3"), 2)), "-0.67");
  EXPECT_EQ(text(divide(of("1"), of("0.001"), 0)), "1000");
  EXPECT_EQ(text(divide(of("100000000000000000000000000000000"), of("1"), 5)),
            "100000000000000000000000000000000");
  EXPECT_EQ(text(divide(of("0.001"), of("1"), 2)), "0");
  EXPECT_EQ(text(round_to(of("2.5"), 0)), "3");
  EXPECT_EQ(text(round_to(of("-2.5"), 0)), "-3");
  EXPECT_EQ(text(round_to(of("2.4999"), 2)), "2.5");
  EXPECT_EQ(floor_of(of("-0.5")), -1);
  EXPECT_EQ(ceil_of(of("-0.5")), 0);
  EXPECT_FALSE(floor_of(of("9223372036854775808")));
}

// Against arithmetic with ten thousandths.
TEST(Decimals, agree_with_whole_numbers) {
  std::mt19937_64 random(7);
  constexpr int kPlaces = 4;
  for (int i = 0; i < 20'000; ++i) {
    const auto a = static_cast<int64_t>(random() % 2'000'000'001) - 1'000'000'000;
    const auto b = static_cast<int64_t>(random() % 2'000'000'001) - 1'000'000'000;
    const Decimal x = make_decimal(a, kPlaces).value(), y = make_decimal(b, kPlaces).value();
    EXPECT_EQ(add(x, y), make_decimal(a + b, kPlaces));
    EXPECT_EQ(subtract(x, y), make_decimal(a - b, kPlaces));
    EXPECT_EQ(multiply(x, y), make_decimal(Int128{a} * b, 2 * kPlaces));
    EXPECT_EQ(compare(x, y), a < b ? -1 : a > b ? 1 : 0);
    EXPECT_EQ(parse_decimal(text(x)), x);
  }
}

TEST(Decimals, fit_values_without_memory_of_their_own) {
  for (const char* each :
       {"0", "-1", "999999999999999999999999999999999", "-999999999999999999999999999999999",
        "-0.000000000000000000000000000000001", "18446744073709551616",
        "-18446744073709551616.5"}) {
    const Value value = Value::decimal(of(each));
    EXPECT_EQ(value.as_decimal(), of(each)) << each;
    EXPECT_EQ(decode_value(encode_value(value)).value(), value) << each;
    EXPECT_EQ(value.logical_bytes(), 9U);
  }
  EXPECT_NE(Value::decimal(of("1")), Value::decimal(of("0.1")));
  EXPECT_LT(compare(Value::decimal(of("0.1")), Value::decimal(of("0.11"))).value(), 0);
  using namespace std::string_view_literals;
  // Not in lowest terms: 10 with one place.
  EXPECT_FALSE(decode_value("\x0d\x01\x00\x0a\0\0\0\0\0\0\0"sv));
}

TEST(Json, is_kept_as_one_text) {
  EXPECT_EQ(canonical_json(" {\"b\" : [1.0, 1e5, -0], \"a\\u0041\":\"\\u00fc\\n\" }").value(),
            "{\"aA\":\"\xc3\xbc\\n\",\"b\":[1.0,1e5,-0]}");
  EXPECT_EQ(canonical_json("12345678901234567890123").value(), "12345678901234567890123");
  for (const char* wrong : {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "1e999", "nul", "1 2"}) {
    EXPECT_FALSE(canonical_json(wrong)) << wrong;
  }
  Value nested = Value::json("[[{\"a\":\"[[[[\"}]]");
  EXPECT_EQ(nested.depth(), 3U);
  EXPECT_EQ(decode_value(encode_value(nested)).value(), nested);
  using namespace std::string_view_literals;
  EXPECT_FALSE(decode_value("\x0e\x03[ ]"sv));  // not canonical
  TypeTable types;
  EXPECT_EQ(decode_json(types, types.scalar(Kind::json), "{\"b\":null, \"a\":9223372036854775808}"),
            Value::json("{\"a\":9223372036854775808,\"b\":null}"));
}

TEST(Json, of_decimals_is_a_string) {
  TypeTable types;
  const TypeId decimal = types.scalar(Kind::decimal);
  const auto value = decode_json(types, decimal, "\"12.50\"");
  ASSERT_TRUE(value);
  EXPECT_EQ(to_json(types, decimal, *value), "\"12.5\"");
  EXPECT_FALSE(decode_json(types, decimal, "12.50"));
  EXPECT_FALSE(decode_json(types, decimal, "\"12,50\""));
}

}  // namespace
}  // namespace sluice::vm::testing
