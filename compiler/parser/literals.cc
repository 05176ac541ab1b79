#include "compiler/parser/literals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/limits.hpp"

namespace sluice::compiler {
namespace {

constexpr std::uint64_t kIntMax = std::uint64_t{1} << 63;

bool is_blank(char letter) {
  return letter == ' ' || letter == '\t' || letter == '\r';
}

std::int64_t unit_ms(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit == "s") return 1'000;
  if (unit == "m") return 60'000;
  if (unit == "h") return 3'600'000;
  return 86'400'000;
}

void append_utf8(std::uint32_t point, std::string& text) {
  const auto byte = [&](std::uint32_t value) { text += static_cast<char>(value); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xC0 | (point >> 6));
    byte(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    byte(0xE0 | (point >> 12));
    byte(0x80 | ((point >> 6) & 0x3F));
    byte(0x80 | (point & 0x3F));
  } else {
    byte(0xF0 | (point >> 18));
    byte(0x80 | ((point >> 12) & 0x3F));
    byte(0x80 | ((point >> 6) & 0x3F));
    byte(0x80 | (point & 0x3F));
  }
}

// "{1F600}" after "\u"; sets `length` to what was read. Nothing when it names no character.
std::optional<std::uint32_t> unicode_escape(std::string_view text, std::size_t& length) {
  const std::size_t close = text.find('}');
  length = 0;
  if (!text.starts_with('{') || close == std::string_view::npos || close > 7 || close < 2)
    return {};
  std::uint32_t point = 0;
  for (const char letter : text.substr(1, close - 1)) {
    std::uint32_t digit = 16;
    if (letter >= '0' && letter <= '9') digit = static_cast<std::uint32_t>(letter - '0');
    if (letter >= 'a' && letter <= 'f') digit = static_cast<std::uint32_t>(letter - 'a' + 10);
    if (letter >= 'A' && letter <= 'F') digit = static_cast<std::uint32_t>(letter - 'A' + 10);
    if (digit == 16) return {};
    point = point * 16 + digit;
  }
  length = close + 1;
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point == 0 || surrogate || point > 0x10FFFF) return {};
  return point;
}

// Resolves the escapes of `text`, a copy of source text in which only whole spaces were cut out;
// `span` is that of the piece, for reports.
std::string resolve_escapes(std::string_view text, Span span, std::string_view raw,
                            Diagnostics& diagnostics) {
  if (text.find('\\') == std::string_view::npos) return std::string(text);
  std::string value;
  std::size_t raw_at = 0;  // where the escape under way stands in the source
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    raw_at = raw.find('\\', raw_at);
    const char kind = i + 1 < text.size() ? text[i + 1] : ' ';
    std::size_t length = 2;
    bool known = true;
    switch (kind) {
      case 'n':
        value += '\n';
        break;
      case 't':
        value += '\t';
        break;
      case 'r':
        value += '\r';
        break;
      case '"':
      case '\\':
      case '$':
        value += kind;
        break;
      case 'u': {
        std::size_t more = 0;
        const auto point = unicode_escape(text.substr(i + 2), more);
        known = point.has_value();
        length += more;
        if (known) append_utf8(*point, value);
        break;
      }
      default:
        known = false;
    }
    const auto at = static_cast<std::uint32_t>(span.begin + std::min(raw_at, raw.size()));
    const auto end = std::min(static_cast<std::uint32_t>(at + length), span.end);
    if (!known) {
      diagnostics
          .report(
              Code::E0112, Span{span.file, at, end},
              fmt::format("`{}` is no escape", text.substr(i, std::min(length, text.size() - i))))
          .because(
              "the escapes are `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\`, `\\$` and `\\u{…}` with the "
              "number of a character; a backslash itself is `\\\\`");
    }
    i += length - 1;
    raw_at += length;
  }
  return value;
}

// How much blank every line of a block begins with.
std::size_t common_indentation(const std::vector<RawPart>& parts) {
  std::size_t common = std::numeric_limits<std::size_t>::max();
  std::size_t indent = 0;
  bool measuring = false;  // at the beginning of a line other than the first
  for (const RawPart& part : parts) {
    if (part.interpolation && measuring) {
      common = std::min(common, indent);
      measuring = false;
    }
    for (const char letter : part.text) {
      if (letter == '\n') {
        measuring = true;
        indent = 0;
      } else if (measuring && (letter == ' ' || letter == '\t')) {
        ++indent;
      } else if (measuring && letter != '\r') {
        common = std::min(common, indent);
        measuring = false;
      }
    }
  }
  if (measuring) common = std::min(common, indent);  // the line of the closing quotes
  return common == std::numeric_limits<std::size_t>::max() ? 0 : common;
}

std::string without_indentation(std::string_view text, std::size_t indentation) {
  std::string kept;
  std::size_t to_skip = 0;
  for (const char letter : text) {
    if (letter == '\r') continue;
    if (to_skip > 0 && (letter == ' ' || letter == '\t')) {
      --to_skip;
      continue;
    }
    to_skip = letter == '\n' ? indentation : 0;
    kept += letter;
  }
  return kept;
}

// The line of the opening quotes when nothing follows them, and the line of the closing ones.
void drop_outer_lines(std::vector<std::string>& values, const std::vector<RawPart>& parts) {
  if (!parts.front().interpolation) {
    std::string& first = values.front();
    const std::size_t end = first.find('\n');
    const bool blank =
        end != std::string::npos &&
        std::all_of(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(end), is_blank);
    if (blank) first.erase(0, end + 1);
  }
  if (!parts.back().interpolation) {
    std::string& last = values.back();
    const std::size_t begin = last.rfind('\n');
    const std::size_t from = begin == std::string::npos ? 0 : begin;
    const bool whole = begin != std::string::npos || parts.size() == 1;
    const bool blank = std::all_of(last.begin() + static_cast<std::ptrdiff_t>(from), last.end(),
                                   [](char letter) { return is_blank(letter) || letter == '\n'; });
    if (whole && blank) last.erase(from);
  }
}

}  // namespace

std::optional<std::uint64_t> int_value(std::string_view spelling) {
  std::uint64_t value = 0;
  for (const char letter : spelling) {
    if (letter == '_') continue;
    const auto digit = static_cast<std::uint64_t>(letter - '0');
    if (value > (kIntMax - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

std::optional<std::int64_t> duration_ms(std::string_view spelling, Span span,
                                        Diagnostics& diagnostics) {
  const std::size_t unit_at = spelling.find_first_not_of("0123456789_.");
  const std::int64_t unit = unit_ms(spelling.substr(unit_at));
  const std::string_view number = spelling.substr(0, unit_at);
  const std::size_t point = number.find('.');
  const auto whole = int_value(number.substr(0, point));
  const auto too_long = [&] {
    diagnostics.report(Code::E0117, span, fmt::format("`{}` is too long a duration", spelling))
        .because(fmt::format("at most {}d", kDurationMsMax / 86'400'000));
    return std::nullopt;
  };
  if (!whole || *whole > static_cast<std::uint64_t>(kDurationMsMax / unit)) return too_long();
  std::int64_t ms = static_cast<std::int64_t>(*whole) * unit;
  if (point == std::string_view::npos) return ms;
  std::int64_t scale = unit;
  for (const char digit : number.substr(point + 1)) {
    const std::int64_t part = scale * (digit - '0');
    if (part % 10 != 0) {
      diagnostics
          .report(Code::E0111, span,
                  fmt::format("`{}` is no whole number of milliseconds", spelling))
          .because("the smallest unit of time is 1ms");
      return std::nullopt;
    }
    ms += part / 10;
    // A scale that is used up leaves room for zeros only.
    scale = scale % 10 == 0 ? scale / 10 : 1;
  }
  return ms;
}

std::vector<std::string> string_values(const std::vector<RawPart>& parts, bool block,
                                       Diagnostics& diagnostics) {
  std::vector<std::string> values;
  if (parts.empty()) return values;
  const std::size_t indentation = block ? common_indentation(parts) : 0;
  for (const RawPart& part : parts) {
    values.push_back(block ? without_indentation(part.text, indentation) : std::string(part.text));
  }
  if (block) drop_outer_lines(values, parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    values[i] = resolve_escapes(values[i], parts[i].span, parts[i].text, diagnostics);
  }
  return values;
}

}  // namespace sluice::compiler
