#include "vm/json_reader.hpp"

#include <bit>
#include <charconv>
#include <cstring>

#include "vm/text.hpp"

namespace sluice::vm {
namespace {

// Objects with more keys than this keep them in a set, so that a hostile one costs n log n.
constexpr size_t kLargeObject = 32;

constexpr uint64_t kOnes = 0x0101010101010101U;
constexpr uint64_t kHighs = 0x8080808080808080U;

uint64_t load8(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

// Bytes below `limit` (at most 0x80) have their high bit set in the answer; it may also be set
// above a byte that has it, so only "any" and the lowest are exact.
uint64_t below(uint64_t word, uint64_t limit) {
  return (word - kOnes * limit) & ~word & kHighs;
}
uint64_t equals(uint64_t word, uint64_t byte) {
  return below(word ^ kOnes * byte, 1);
}

// A quote, backslash or control character among eight bytes.
uint64_t ends_plain(uint64_t word) {
  return below(word, 0x20) | equals(word, '"') | equals(word, '\\');
}

bool ends_plain(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool JsonReader::fail(const char* message) {
  if (error_ == nullptr) {
    error_ = message;
    error_at_ = at_;
    malformed_ = true;
  }
  return false;
}

bool JsonReader::refuse(const char* message) {
  if (error_ == nullptr) {
    error_ = message;
    error_at_ = at_;
  }
  return false;
}

void JsonReader::skip_space() {
  if (at_<end_&& static_cast<unsigned char>(*at_)> ' ') return;
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
}

JsonKind JsonReader::kind() {
  skip_space();
  if (!ok() || at_ == end_) return JsonKind::invalid;
  switch (*at_) {
    case 'n':
      return JsonKind::null;
    case 't':
    case 'f':
      return JsonKind::boolean;
    case '"':
      return JsonKind::string;
    case '[':
      return JsonKind::array;
    case '{':
      return JsonKind::object;
    default:
      return *at_ == '-' || is_digit(*at_) ? JsonKind::number : JsonKind::invalid;
  }
}

bool JsonReader::literal(std::string_view word) {
  if (static_cast<size_t>(end_ - at_) < word.size() ||
      std::memcmp(at_, word.data(), word.size()) != 0) {
    return fail("expected a value");
  }
  at_ += word.size();
  return true;
}

bool JsonReader::read_null() {
  if (kind() == JsonKind::null) return literal("null");
  return kind() == JsonKind::invalid ? fail("expected a value") : refuse("expected null");
}

bool JsonReader::read_bool(bool* value) {
  if (kind() != JsonKind::boolean) {
    return kind() == JsonKind::invalid ? fail("expected a value")
                                       : refuse("expected true or false");
  }
  *value = *at_ == 't';
  return literal(*value ? "true" : "false");
}

bool JsonReader::number(std::string_view* text, bool* integral) {
  if (kind() != JsonKind::number) {
    return kind() == JsonKind::invalid ? fail("expected a value") : refuse("expected a number");
  }
  const char* at = at_;
  auto digits = [&] {
    const char* first = at;
    while (at < end_ && is_digit(*at)) ++at;
    return at > first;
  };
  if (*at == '-') ++at;
  const char* first = at;
  if (!digits() || (*first == '0' && at - first > 1)) return fail("not a number");
  *integral = true;
  if (at < end_ && *at == '.') {
    *integral = false;
    ++at;
    if (!digits()) return fail("not a number");
  }
  if (at < end_ && (*at == 'e' || *at == 'E')) {
    *integral = false;
    ++at;
    if (at < end_ && (*at == '+' || *at == '-')) ++at;
    if (!digits()) return fail("not a number");
  }
  *text = {at_, static_cast<size_t>(at - at_)};
  return true;
}

bool JsonReader::read_int(int64_t* value) {
  std::string_view text;
  bool integral = false;
  if (!number(&text, &integral)) return false;
  if (!integral) return refuse("expected a number without fraction or exponent");
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (error != std::errc()) return refuse("number out of range");
  at_ = end;
  return true;
}

bool JsonReader::read_uint(uint64_t* value) {
  std::string_view text;
  bool integral = false;
  if (!number(&text, &integral)) return false;
  if (!integral) return refuse("expected a number without fraction or exponent");
  if (text.front() == '-') {
    if (text != "-0") return refuse("number out of range");
    text.remove_prefix(1);
  }
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (error != std::errc()) return refuse("number out of range");
  at_ = end;
  return true;
}

bool JsonReader::read_double(double* value) {
  std::string_view text;
  bool integral = false;
  if (!number(&text, &integral)) return false;
  auto parsed = parse_float(text);
  if (!parsed) return refuse("number out of range");
  *value = *parsed;
  at_ += text.size();
  return true;
}

bool JsonReader::read_number(std::string_view* text, bool* integral) {
  if (!number(text, integral)) return false;
  at_ += text->size();
  return true;
}

bool JsonReader::read_hex4(const char** at, uint32_t* code) {
  if (end_ - *at < 4) return fail("incomplete escape");
  auto [end, error] = std::from_chars(*at, *at + 4, *code, 16);
  if (error != std::errc() || end != *at + 4) return fail("not four hexadecimal digits");
  *at += 4;
  return true;
}

// *at stands behind the backslash.
bool JsonReader::read_escape(const char** at, std::string* out) {
  if (*at == end_) return fail("string without end");
  char c = *(*at)++;
  switch (c) {
    case '"':
    case '\\':
    case '/':
      *out += c;
      return true;
    case 'b':
      *out += '\b';
      return true;
    case 'f':
      *out += '\f';
      return true;
    case 'n':
      *out += '\n';
      return true;
    case 'r':
      *out += '\r';
      return true;
    case 't':
      *out += '\t';
      return true;
    case 'u':
      break;
    default:
      return fail("unknown escape");
  }
  uint32_t code = 0;
  if (!read_hex4(at, &code)) return false;
  if (code == 0) return refuse("U+0000 in a string");
  if (code >= 0xdc00 && code < 0xe000) return refuse("lone surrogate");
  if (code >= 0xd800 && code < 0xdc00) {
    uint32_t low = 0;
    if (end_ - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u') return refuse("lone surrogate");
    *at += 2;
    if (!read_hex4(at, &low)) return false;
    if (low < 0xdc00 || low >= 0xe000) return refuse("lone surrogate");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(code, *out);
  return true;
}

// A string with escapes: [first, at) is plain, at is the first backslash. Leaves at_ behind the
// closing quote.
bool JsonReader::unescape(const char* first, const char* at, std::string* out) {
  out->assign(first, at);
  while (at < end_) {
    const char* plain = at;
    while (at < end_ && !ends_plain(*at)) ++at;
    out->append(plain, at);
    if (at == end_) break;
    if (*at == '"') {
      at_ = at + 1;
      return true;
    }
    if (*at != '\\') return fail("control character in a string");
    ++at;
    if (!read_escape(&at, out)) return false;
  }
  return fail("string without end");
}

// at_ stands on the opening quote.
bool JsonReader::scan_string(std::string_view* value, std::string* scratch) {
  const char* first = ++at_;
  const char* at = first;
  uint64_t high = 0;
  bool found = false;
  while (end_ - at >= 8) {
    uint64_t word = load8(at);
    if (uint64_t ends = ends_plain(word); ends != 0) {
      // Only the bytes before the first that ends the plain part count.
      int bits = std::countr_zero(ends) & ~7;
      high |= bits == 0 ? 0 : word << (64 - bits);
      at += bits / 8;
      found = true;
      break;
    }
    high |= word;
    at += 8;
  }
  if (!found) {
    while (at < end_ && !ends_plain(*at)) high |= uint64_t{static_cast<unsigned char>(*at++)} << 56;
  }
  if (at == end_) return fail("string without end");
  if (*at == '"') {
    *value = {first, static_cast<size_t>(at - first)};
    at_ = at + 1;
    if ((high & kHighs) == 0) return true;
  } else if (*at == '\\') {
    if (!unescape(first, at, scratch)) return false;
    *value = *scratch;
  } else {
    return fail("control character in a string");
  }
  return valid_text(*value) || fail("not UTF-8");
}

bool JsonReader::read_string(std::string_view* value) {
  // Whoever has asked for the kind stands on the quote already.
  if (at_ < end_ && *at_ == '"' && ok()) return scan_string(value, &scratch_);
  if (kind() != JsonKind::string) {
    return kind() == JsonKind::invalid ? fail("expected a value") : refuse("expected a string");
  }
  return scan_string(value, &scratch_);
}

bool JsonReader::read_string(std::string* value) {
  std::string_view view;
  if (!read_string(&view)) return false;
  value->assign(view);
  return true;
}

bool JsonReader::open(bool object) {
  if (depth_ == kValueDepthMax) return refuse("nested too deeply");
  levels_[depth_++] = {object, true, false, static_cast<uint32_t>(keys_.size())};
  ++at_;
  return true;
}

void JsonReader::close() {
  Level& level = levels_[--depth_];
  if (level.large) large_keys_.pop_back();
  keys_.resize(level.first_key);
  if (depth_ == 0) escaped_keys_.clear();
  ++at_;
}

bool JsonReader::begin_object() {
  if (kind() == JsonKind::object) return open(true);
  return kind() == JsonKind::invalid ? fail("expected a value") : refuse("expected an object");
}

bool JsonReader::begin_array() {
  if (kind() == JsonKind::array) return open(false);
  return kind() == JsonKind::invalid ? fail("expected a value") : refuse("expected an array");
}

bool JsonReader::next_element() {
  if (!ok() || depth_ == 0) return false;
  Level& level = levels_[depth_ - 1];
  skip_space();
  if (at_ == end_) return fail("array without end");
  if (*at_ == ']') {
    close();
    return false;
  }
  if (!level.first) {
    if (*at_ != ',') return fail("expected `,` or `]`");
    ++at_;
    if (kind() == JsonKind::invalid) return fail("expected a value");
  }
  level.first = false;
  return true;
}

// Up to the key's opening quote. False at the object's end and on errors.
bool JsonReader::begin_key() {
  if (!ok() || depth_ == 0) return false;
  Level& level = levels_[depth_ - 1];
  skip_space();
  if (at_ == end_) return fail("object without end");
  if (*at_ == '}') {
    close();
    return false;
  }
  if (!level.first) {
    if (*at_ != ',') return fail("expected `,` or `}`");
    ++at_;
    skip_space();
  }
  level.first = false;
  return (at_ < end_ && *at_ == '"') || fail("expected a key in quotes");
}

bool JsonReader::end_key() {
  skip_space();
  if (at_ == end_ || *at_ != ':') return fail("expected `:` after the key");
  ++at_;
  return true;
}

bool JsonReader::note_key(std::string_view key) {
  Level& level = levels_[depth_ - 1];
  if (level.large) return large_keys_.back()->insert(key).second || refuse("duplicate key");
  for (size_t i = level.first_key; i < keys_.size(); ++i) {
    if (keys_[i] == key) return refuse("duplicate key");
  }
  if (keys_.size() - level.first_key < kLargeObject) {
    keys_.push_back(key);
    return true;
  }
  level.large = true;
  large_keys_.push_back(std::make_unique<KeySet>(keys_.begin() + level.first_key, keys_.end()));
  large_keys_.back()->insert(key);
  return true;
}

bool JsonReader::next_key(std::string_view* key) {
  if (!begin_key()) return false;
  std::string scratch;
  if (!scan_string(key, &scratch)) return false;
  if (key->data() == scratch.data()) {
    // Escapes: the key is kept as long as its object may ask for duplicates.
    escaped_keys_.push_back(std::make_unique<std::string>(std::move(scratch)));
    *key = *escaped_keys_.back();
  }
  return note_key(*key) && end_key();
}

bool JsonReader::next_key_unchecked(std::string_view* key) {
  return begin_key() && scan_string(key, &scratch_) && end_key();
}

bool JsonReader::skip_value() {
  std::string_view ignored;
  bool flag = false;
  switch (kind()) {
    case JsonKind::null:
      return literal("null");
    case JsonKind::boolean:
      return read_bool(&flag);
    case JsonKind::string:
      return scan_string(&ignored, &scratch_);
    case JsonKind::number: {
      double number = 0;
      return read_double(&number);
    }
    case JsonKind::array:
      if (!begin_array()) return false;
      while (next_element()) {
        if (!skip_value()) return false;
      }
      return ok();
    case JsonKind::object:
      if (!begin_object()) return false;
      while (next_key(&ignored)) {
        if (!skip_value()) return false;
      }
      return ok();
    case JsonKind::invalid:
      return fail("expected a value");
  }
  return false;
}

bool JsonReader::skip(std::string_view* raw) {
  skip_space();
  const char* first = at_;
  if (!ok() || !skip_value()) return false;
  if (raw != nullptr) *raw = {first, static_cast<size_t>(at_ - first)};
  return true;
}

bool JsonReader::finish() {
  if (!ok()) return false;
  skip_space();
  return at_ == end_ || fail("text behind the value");
}

void append_json_string(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    const char* plain = at;
    while (end - at >= 8 && ends_plain(load8(at)) == 0) at += 8;
    while (at < end && !ends_plain(*at)) ++at;
    out.append(plain, at);
    if (at == end) break;
    char c = *at++;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += kHex[static_cast<unsigned char>(c) >> 4];
        out += kHex[c & 15];
    }
  }
  out += '"';
}

}  // namespace sluice::vm
