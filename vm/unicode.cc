#include "vm/unicode.hpp"

#include <algorithm>
#include <iterator>

#include "vm/text.hpp"

namespace sluice::vm {
namespace {

// Code points first, first + stride … last map to themselves plus delta. Sorted by first, not
// overlapping.
struct CaseRange {
  uint32_t first;
  uint32_t last;
  uint32_t stride;
  int32_t delta;
};

#include "vm/unicode_tables.inc"

template <size_t N>
uint32_t map_code_point(const CaseRange (&ranges)[N], uint32_t code) {
  auto after = std::upper_bound(std::begin(ranges), std::end(ranges), code,
                                [](uint32_t c, const CaseRange& range) { return c < range.first; });
  if (after == std::begin(ranges)) return code;
  const CaseRange& range = *(after - 1);
  if (code > range.last || (code - range.first) % range.stride != 0) return code;
  return code + static_cast<uint32_t>(range.delta);
}

size_t sequence_size(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

uint32_t decode_at(std::string_view text, size_t at, size_t size) {
  auto byte = static_cast<unsigned char>(text[at]);
  if (size == 1) return byte;
  uint32_t code = byte & (0x7fU >> size);
  for (size_t i = 1; i < size; ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
  }
  return code;
}

template <size_t N>
std::string map_text(std::string_view text, char from, char to, const CaseRange (&ranges)[N]) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t size = sequence_size(text[at]);
    if (size == 1) {
      char c = text[at];
      out += c >= from && c <= to ? static_cast<char>(c ^ 0x20) : c;
    } else {
      append_utf8(map_code_point(ranges, decode_at(text, at, size)), out);
    }
    at += size;
  }
  return out;
}

bool is_space(uint32_t code) {
  return (code >= 0x9 && code <= 0xd) || code == 0x20 || code == 0x85 || code == 0xa0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
         code == 0x202f || code == 0x205f || code == 0x3000;
}

}  // namespace

std::string lower_text(std::string_view text) {
  return map_text(text, 'A', 'Z', kLower);
}
std::string upper_text(std::string_view text) {
  return map_text(text, 'a', 'z', kUpper);
}

std::string_view trim_text(std::string_view text) {
  while (!text.empty()) {
    size_t size = sequence_size(text.front());
    if (!is_space(decode_at(text, 0, size))) break;
    text.remove_prefix(size);
  }
  while (!text.empty()) {
    size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
    if (!is_space(decode_at(text, at, text.size() - at))) break;
    text.remove_suffix(text.size() - at);
  }
  return text;
}

}  // namespace sluice::vm
