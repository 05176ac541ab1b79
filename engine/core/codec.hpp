// Binary encoding of what the core stores: LEB128 integers, fixed little-endian words, and byte
// strings with their length before them. Reading is bounds-checked: the first bad read makes the
// reader fail, all later reads yield zeros, and the caller asks `ok()` once at the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void flag(bool v) { u8(v ? 1 : 0); }
  void varint(std::uint64_t v) {
    while (v >= 0x80) {
      u8(static_cast<std::uint8_t>(v | 0x80));
      v >>= 7;
    }
    u8(static_cast<std::uint8_t>(v));
  }
  // Zigzag: small negative numbers stay short.
  void svarint(std::int64_t v) {
    varint(static_cast<std::uint64_t>(v) << 1 ^ static_cast<std::uint64_t>(v >> 63));
  }
  void fixed64(std::uint64_t v) {
    for (int i = 0; i < 8; ++i) u8(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  void id(const Id128& v) { out_.append(v.view()); }
  void hash(const Hash128& v) {
    fixed64(v.low);
    fixed64(v.high);
  }
  void bytes(std::string_view v) {
    varint(v.size());
    out_.append(v);
  }

 private:
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  bool ok() const { return ok_; }
  // Everything was read, and nothing failed.
  bool done() const { return ok_ && in_.empty(); }
  std::size_t left() const { return in_.size(); }

  std::uint8_t u8() {
    if (in_.empty()) return fail();
    const auto v = static_cast<std::uint8_t>(in_.front());
    in_.remove_prefix(1);
    return v;
  }
  bool flag() {
    const std::uint8_t v = u8();
    if (v > 1) fail();
    return v == 1;
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t b = u8();
      if (!ok_ || (shift == 63 && b > 1)) return fail();
      v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) {
        if (b == 0 && shift > 0) return fail();  // one value has one encoding
        return v;
      }
    }
    return fail();
  }
  // A varint that must fit; larger is a failure, not a cut.
  std::uint32_t varint32() {
    const std::uint64_t v = varint();
    return v > 0xffffffffu ? fail() : static_cast<std::uint32_t>(v);
  }
  std::int64_t svarint() {
    const std::uint64_t v = varint();
    return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
  }
  std::uint64_t fixed64() {
    if (in_.size() < 8) return fail();
    std::uint64_t v = 0;
    for (int i = 7; i >= 0; --i) v = v << 8 | static_cast<std::uint8_t>(in_[i]);
    in_.remove_prefix(8);
    return v;
  }
  template <class Id>
  Id id() {
    Id v;
    if (in_.size() < 16) {
      fail();
      return v;
    }
    std::memcpy(v.bytes.data(), in_.data(), 16);
    in_.remove_prefix(16);
    return v;
  }
  Hash128 hash() {
    Hash128 v;
    v.low = fixed64();
    v.high = fixed64();
    return v;
  }
  // A view into the input.
  std::string_view bytes() {
    const std::uint64_t size = varint();
    if (!ok_ || size > in_.size()) {
      fail();
      return {};
    }
    const std::string_view v = in_.substr(0, size);
    in_.remove_prefix(size);
    return v;
  }
  // A count of things of at least `each` bytes: more than can follow is a failure, so a hostile
  // count never makes the caller reserve memory.
  std::uint64_t count(std::size_t each) {
    const std::uint64_t v = varint();
    return v > in_.size() / (each ? each : 1) ? fail() : v;
  }
  // For callers that find a value they cannot take.
  std::uint8_t fail() {
    ok_ = false;
    in_ = {};
    return 0;
  }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace sluice::core
