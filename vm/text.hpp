#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Text forms of scalars, the same on every machine and in every locale.
namespace sluice::vm {

// UTF-8 (no overlong forms, no surrogates, at most U+10FFFF) without U+0000.
bool valid_text(std::string_view text);

uint32_t count_code_points(std::string_view text);  // REQUIRES: valid_text
// Byte offset of code point number `n`; text.size() if there are fewer.
size_t offset_of_code_point(std::string_view text, uint64_t n);
// At most `most` bytes from the front, never half a code point.
std::string_view cut_text(std::string_view text, size_t most);
void append_utf8(uint32_t code_point, std::string& out);

void append_int(int64_t value, std::string& out);
// Shortest digits that read back as the same double: "0.1", "1e+20". An integral value has no
// point.
void append_float(double value, std::string& out);
// Whole unit that fits exactly, the largest of d, h, m, s, ms: "2s", "1500ms"; "0ms" for zero.
void append_duration(int64_t ms, std::string& out);
// RFC 3339 in UTC, with no, three or six digits of a second's fraction: "2026-11-23T06:25:58.123Z".
// Outside the years 0 to 9999, which RFC 3339 cannot write, a decimal number of microseconds with
// the suffix "us".
// What arithmetic may give: the years that RFC 3339 can write, 0 to 9999.
inline constexpr int64_t kTimestampMin = -62'167'219'200'000'000;
inline constexpr int64_t kTimestampMax = 253'402'300'799'999'999;
void append_timestamp(int64_t us, std::string& out);
void append_base64(std::string_view bytes, std::string& out);

// The inverse; nullopt if the text is anything else.
std::optional<int64_t> parse_int(std::string_view text);       // [-]digits, 64 bits
std::optional<double> parse_float(std::string_view text);      // a JSON number, finite
std::optional<int64_t> parse_duration(std::string_view text);  // [-]digits and one unit
// RFC 3339 with any offset, at most six digits of fraction, no leap second; or "…us" as above.
std::optional<int64_t> parse_timestamp(std::string_view text);
std::optional<std::string> parse_base64(std::string_view text);  // strict, padded

}  // namespace sluice::vm
