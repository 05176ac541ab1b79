#include "vm/text.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/hash.hpp"
#include "vm/unicode.hpp"

namespace sluice::vm {
namespace {

template <class Append, class T>
std::string text_of(Append append, T value) {
  std::string out;
  append(value, out);
  return out;
}

TEST(Text, validity) {
  struct Row {
    std::string_view text;
    bool valid;
  };
  using namespace std::literals;
  const Row rows[] = {
      {"", true},
      {"plain ascii, longer than eight bytes", true},
      {"gr\xc3\xbc\xc3\x9f dich, \xe4\xbd\xa0\xe5\xa5\xbd, \xf0\x9f\x98\x80", true},
      {"a\0b"sv, false},
      {"12345678\0"sv, false},
      {"\x80", false},
      {"\xc0\xaf", false},              // overlong
      {"\xe0\x80\xaf", false},          // overlong
      {"\xed\xa0\x80", false},          // surrogate
      {"\xf4\x90\x80\x80", false},      // above U+10FFFF
      {"12345678\xe2\x82", false},      // cut short
      {"\xf0\x9f\x98\x80\xff", false},  // never valid
  };
  for (const Row& row : rows) EXPECT_EQ(valid_text(row.text), row.valid) << row.text;
}

TEST(Text, code_points) {
  std::string_view text = "a\xc3\xbc\xf0\x9f\x98\x80z";
  EXPECT_EQ(count_code_points(text), 4U);
  EXPECT_EQ(offset_of_code_point(text, 0), 0U);
  EXPECT_EQ(offset_of_code_point(text, 2), 3U);
  EXPECT_EQ(offset_of_code_point(text, 4), text.size());
  EXPECT_EQ(offset_of_code_point(text, 1000), text.size());
  EXPECT_EQ(cut_text(text, 2), "a");
  EXPECT_EQ(cut_text(text, 3), "a\xc3\xbc");
  EXPECT_EQ(cut_text(text, 6), "a\xc3\xbc");
  EXPECT_EQ(cut_text(text, 100), text);
}

TEST(Text, durations_both_ways) {
  struct Row {
    int64_t ms;
    const char* text;
  };
  const Row rows[] = {{0, "0ms"},
                      {1, "1ms"},
                      {250, "250ms"},
                      {1500, "1500ms"},
                      {2000, "2s"},
                      {90'000, "90s"},
                      {300'000, "5m"},
                      {3'600'000, "1h"},
                      {86'400'000, "1d"},
                      {604'800'000, "7d"},
                      {-2000, "-2s"},
                      {INT64_MAX, "9223372036854775807ms"},
                      {INT64_MIN, "-9223372036854775808ms"}};
  for (const Row& row : rows) {
    EXPECT_EQ(text_of(append_duration, row.ms), row.text);
    EXPECT_EQ(parse_duration(row.text), row.ms) << row.text;
  }
  for (const char* bad : {"", "5", "s", "5 s", "1.5s", "+5s", "5S", "5sec", "--5s", "-s",
                          "9223372036854775807d", "99999999999999999999ms"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

TEST(Text, timestamps_both_ways) {
  struct Row {
    int64_t us;
    const char* text;
  };
  const Row rows[] = {
      {0, "1970-01-01T00:00:00Z"},
      {1, "1970-01-01T00:00:00.000001Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
      {1'763'878'758'123'000, "2025-11-23T06:19:18.123Z"},
      {951'782'400'000'000, "2000-02-29T00:00:00Z"},
      {-62'167'219'200'000'000, "0000-01-01T00:00:00Z"},
      {253'402'300'799'999'999, "9999-12-31T23:59:59.999999Z"},
      {253'402'300'800'000'000, "253402300800000000us"},
      {INT64_MIN, "-9223372036854775808us"},
      {INT64_MAX, "9223372036854775807us"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(text_of(append_timestamp, row.us), row.text);
    EXPECT_EQ(parse_timestamp(row.text), row.us) << row.text;
  }
  EXPECT_EQ(parse_timestamp("1970-01-01T01:00:00+01:00"), 0);
  EXPECT_EQ(parse_timestamp("1969-12-31t19:30:00.5-04:30"), 500'000);
  for (const char* bad :
       {"", "1970-01-01", "1970-01-01 00:00:00Z", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z", "1970-02-29T00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z", "1970-01-01T00:00:60Z", "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.1234567Z", "1970-01-01T00:00:00+1:00", "1970-01-01T00:00:00Zx",
        "1970-01-01T00:00:00+24:00", "us", "1900-02-29T00:00:00Z"}) {
    EXPECT_FALSE(parse_timestamp(bad)) << bad;
  }
}

TEST(Text, floats_both_ways) {
  for (double value :
       {0.0, 1.0, -1.5, 0.1, 1e20, 1e21, 5e-324, 1.7976931348623157e308, 123456789.123, -2.5e-10}) {
    std::string text = text_of(append_float, value);
    EXPECT_EQ(parse_float(text), value) << text;
  }
  EXPECT_EQ(text_of(append_float, 0.1), "0.1");
  EXPECT_EQ(text_of(append_float, 5.0), "5");
  EXPECT_EQ(parse_float("1e-999"), 0.0);
  EXPECT_EQ(parse_float("0.000e999"), 0.0);
  EXPECT_EQ(parse_float("-0.0"), 0.0);
  EXPECT_FALSE(std::signbit(*parse_float("-0")));
  EXPECT_EQ(parse_float("1e-99999999999999999999"), 0.0);
  EXPECT_EQ(parse_float("0.01e-9223372036854775807"), 0.0);
  for (const char* bad :
       {"", "-", "1.", ".5", "01", "1e", "1e+", "+1", "inf", "nan", "0x10", "1 ", "1e999", "-1e999",
        "1e99999999999999999999", "0.001e9999", "12e9223372036854775807"}) {
    EXPECT_FALSE(parse_float(bad)) << bad;
  }
}

TEST(Text, ints) {
  EXPECT_EQ(parse_int("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(parse_int("9223372036854775807"), INT64_MAX);
  for (const char* bad : {"", "-", "+1", "1.0", " 1", "1 ", "9223372036854775808", "0x1"}) {
    EXPECT_FALSE(parse_int(bad)) << bad;
  }
}

TEST(Text, base64_both_ways) {
  struct Row {
    const char* bytes;
    const char* text;
  };
  const Row rows[] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                      {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
  for (const Row& row : rows) {
    EXPECT_EQ(text_of(append_base64, std::string_view(row.bytes)), row.text);
    EXPECT_EQ(parse_base64(row.text), row.bytes);
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm 9", "=Zm9",
                          "Zg==Zg==", "_w==", "Z===", "===="}) {
    EXPECT_FALSE(parse_base64(bad)) << bad;
  }
}

TEST(Unicode, cases_and_space) {
  EXPECT_EQ(lower_text("ABC xyz \xc3\x84\xc3\x96 \xce\xa3 \xc4\xb0"),
            "abc xyz \xc3\xa4\xc3\xb6 \xcf\x83 i");
  EXPECT_EQ(upper_text("abc XYZ \xc3\xa4\xc3\x9f \xc5\xbe"), "ABC XYZ \xc3\x84\xc3\x9f \xc5\xbd");
  EXPECT_EQ(upper_text("@[`{"), "@[`{");
  EXPECT_EQ(trim_text(" \t\n\xc2\xa0 a b \xe3\x80\x80\xe2\x80\x89"), "a b");
  EXPECT_EQ(trim_text(" \n"), "");
  EXPECT_EQ(trim_text("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
}

TEST(Hash, sha256_of_known_texts) {
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(to_hex(sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hash, xxh64_of_known_texts) {
  EXPECT_EQ(hash64(""), 0xef46db3751d8e999U);
  EXPECT_EQ(hash64("a"), 0xd24ec4f1a98c6e5bU);
  EXPECT_EQ(hash64("abc"), 0x44bc2cf5ad770999U);
  EXPECT_EQ(hash64("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1U);
}

}  // namespace
}  // namespace sluice::vm
