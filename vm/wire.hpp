#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// Bytes of stored formats: little-endian fixed numbers, LEB128, length-prefixed strings.
namespace sluice::vm::wire {

inline void put_u8(std::string& out, uint8_t value) {
  out.push_back(static_cast<char>(value));
}

inline void put_fixed64(std::string& out, uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, 8);
}

inline void put_number(std::string& out, uint64_t value) {
  char bytes[10];
  int count = 0;
  while (value >= 0x80) {
    bytes[count++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  bytes[count++] = static_cast<char>(value);
  out.append(bytes, static_cast<size_t>(count));
}

inline void put_signed(std::string& out, int64_t value) {
  put_number(out, static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
}

inline void put_string(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out.append(text);
}

// Reads what the functions above wrote. The first thing that is missing or not as they would have
// written it sets failed(); from then on every read answers zero or "".
class Reader {
 public:
  explicit Reader(std::string_view bytes, size_t offset = 0) : bytes_(bytes), at_(offset) {}

  bool failed() const { return failed_; }
  void fail() { failed_ = true; }
  size_t offset() const { return at_; }
  size_t remaining() const { return failed_ ? 0 : bytes_.size() - at_; }
  // Goes on at an offset that another reader of the same bytes has reached.
  void skip_to(size_t offset) { at_ = offset; }
  bool at_end() const { return !failed_ && at_ == bytes_.size(); }

  uint8_t u8() {
    if (!has(1)) return 0;
    return static_cast<uint8_t>(bytes_[at_++]);
  }

  uint64_t fixed64() {
    if (!has(8)) return 0;
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) {
      value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_[at_ + static_cast<size_t>(i)]))
               << (8 * i);
    }
    at_ += 8;
    return value;
  }

  // Refuses numbers that are longer than they need be: every number has one form.
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (!has(1)) return 0;
      uint8_t byte = static_cast<uint8_t>(bytes_[at_++]);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) break;
        return value;
      }
    }
    failed_ = true;
    return 0;
  }

  int64_t signed_number() {
    uint64_t value = number();
    return static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }

  // A number that must not exceed `most`.
  uint64_t number_up_to(uint64_t most) {
    uint64_t value = number();
    if (value > most) failed_ = true;
    return failed_ ? 0 : value;
  }

  std::string_view string(size_t most = SIZE_MAX) {
    uint64_t length = number();
    if (failed_ || length > most || length > remaining()) {
      failed_ = true;
      return {};
    }
    std::string_view text = bytes_.substr(at_, length);
    at_ += length;
    return text;
  }

  // Exactly `length` bytes.
  std::string_view string_of(size_t length) {
    if (!has(length)) return {};
    std::string_view text = bytes_.substr(at_, length);
    at_ += length;
    return text;
  }

 private:
  bool has(size_t count) {
    if (failed_ || bytes_.size() - at_ < count) failed_ = true;
    return !failed_;
  }

  std::string_view bytes_;
  size_t at_;
  bool failed_ = false;
};

}  // namespace sluice::vm::wire
