// SipHash-2-4 with 64 and 128 bits of result, after the reference of Aumasson and Bernstein.
//
// Under a secret key it authenticates (lease tokens). Under the fixed public keys below it tells
// accidents apart (partitions, dedupe, ids, state hashes, the chain), where two values that collide
// would have to be searched for by somebody who may publish anyway. Stored formats depend on the
// results: neither the function nor a key may change.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice::core {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  // Sums modulo 2^64 per half: the hash of a set is the sum over its members, in any order.
  Hash128& operator+=(const Hash128& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  Hash128& operator-=(const Hash128& other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
  friend bool operator==(const Hash128&, const Hash128&) = default;

  // Little-endian, low half first.
  std::array<std::uint8_t, 16> bytes() const {
    std::array<std::uint8_t, 16> out;
    for (int i = 0; i < 8; ++i) {
      out[i] = static_cast<std::uint8_t>(low >> (8 * i));
      out[8 + i] = static_cast<std::uint8_t>(high >> (8 * i));
    }
    return out;
  }
  static Hash128 from_bytes(const std::uint8_t* bytes) {
    Hash128 hash;
    for (int i = 7; i >= 0; --i) {
      hash.low = hash.low << 8 | bytes[i];
      hash.high = hash.high << 8 | bytes[8 + i];
    }
    return hash;
  }
};

// One key per purpose, so that a hash of one is never taken for one of another.
inline constexpr SipKey kPartitionKey{0x736c756963652e70, 0x6172746974696f6e};
inline constexpr SipKey kIdKey{0x736c756963652e69, 0x64656e7469747921};
inline constexpr SipKey kDedupeKey{0x736c756963652e64, 0x6564757065206b65};
inline constexpr SipKey kStateKey{0x736c756963652e73, 0x7461746520686173};
inline constexpr SipKey kDigestKey{0x736c756963652e65, 0x6666656374732121};
inline constexpr SipKey kChainKey{0x736c756963652e63, 0x6861696e20686173};

std::uint64_t siphash64(SipKey key, std::string_view bytes);
Hash128 siphash128(SipKey key, std::string_view bytes);

// The 128-bit function over pieces: the result depends on the concatenation alone.
class SipHasher128 {
 public:
  explicit SipHasher128(SipKey key);
  void add(std::string_view bytes);
  Hash128 finish();  // once

 private:
  void word(std::uint64_t m);

  std::uint64_t v0_, v1_, v2_, v3_;
  std::uint64_t length_ = 0;
  std::uint64_t tail_ = 0;  // the last length_ % 8 bytes
};

}  // namespace sluice::core
