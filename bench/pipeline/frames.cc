#include "bench/pipeline/frames.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <charconv>

namespace sluice::bench {
namespace {

constexpr int kSteps = 4;
constexpr std::size_t kJobTextBytes = 180;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/// The position behind the string that begins at `at`; npos where it does not end.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

/// The position behind the object or array that begins at `at`; npos where it does not end.
std::size_t nested_end(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      if (at == std::string_view::npos) return at;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return std::string_view::npos;
}

std::size_t value_end(std::string_view text, std::size_t at) {
  if (at >= text.size()) return std::string_view::npos;
  if (text[at] == '"') return string_end(text, at);
  if (text[at] == '{' || text[at] == '[') return nested_end(text, at);
  while (at < text.size() && text[at] != ',' && text[at] != '}' && text[at] != ']' &&
         !is_space(text[at])) {
    ++at;
  }
  return at;
}

}  // namespace

MemberScan::MemberScan(std::string_view text) : text_(text) {
  skip_space();
  if (at_ >= text_.size() || text_[at_++] != '{') fail();
}

bool MemberScan::fail() {
  failed_ = true;
  return false;
}

void MemberScan::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

std::string_view MemberScan::take_value() {
  skip_space();
  const std::size_t end = value_end(text_, at_);
  if (end == std::string_view::npos || end == at_) return {};
  const std::string_view value = text_.substr(at_, end - at_);
  at_ = end;
  return value;
}

bool MemberScan::next() {
  if (failed_) return false;
  skip_space();
  if (at_ >= text_.size()) return fail();
  if (text_[at_] == '}') return false;
  if (!first_) {
    if (text_[at_++] != ',') return fail();
    skip_space();
  }
  first_ = false;
  const std::string_view key = take_value();
  if (key.size() < 2 || key.front() != '"') return fail();
  key_ = inside(key);
  skip_space();
  if (at_ >= text_.size() || text_[at_++] != ':') return fail();
  value_ = take_value();
  return value_.empty() ? fail() : true;
}

std::string_view inside(std::string_view raw) {
  if (raw.size() < 2 || raw.front() != '"') return {};
  return raw.substr(1, raw.size() - 2);
}

std::uint64_t number(std::string_view raw) {
  std::uint64_t value = 0;
  std::from_chars(raw.data(), raw.data() + raw.size(), value);
  return value;
}

std::string_view first_element(std::string_view raw) {
  std::size_t at = 1;
  if (raw.empty() || raw.front() != '[') return {};
  while (at < raw.size() && is_space(raw[at])) ++at;
  const std::size_t end = value_end(raw, at);
  return end == std::string_view::npos ? std::string_view{} : raw.substr(at, end - at);
}

std::string step_result(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::uint64_t hash = XXH3_64bits(text.data(), text.size());
  std::array<char, 16> digits;
  for (char& digit : digits) {
    digit = kDigits[hash & 15];
    hash >>= 4;
  }
  std::string result;
  result.reserve(digits.size() * 6);
  for (int i = 0; i < 6; ++i) result.append(digits.data(), digits.size());
  return result;
}

std::string job_text(std::uint64_t n) {
  std::string text = fmt::format("job {} ", n);
  while (text.size() < kJobTextBytes) text += "lorem ipsum dolor sit amet ";
  text.resize(kJobTextBytes, '.');
  return text;
}

std::string expected_result(std::uint64_t n) {
  std::string text = job_text(n);
  for (int step = 0; step < kSteps; ++step) text = step_result(text);
  return text;
}

}  // namespace sluice::bench
