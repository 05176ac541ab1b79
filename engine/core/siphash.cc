#include "engine/core/siphash.hpp"

#include <bit>

namespace sluice::core {
namespace {

std::uint64_t rotl(std::uint64_t v, int by) {
  return v << by | v >> (64 - by);
}

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  explicit SipState(SipKey key)
      : v0(0x736f6d6570736575 ^ key.k0),
        v1(0x646f72616e646f6d ^ key.k1),
        v2(0x6c7967656e657261 ^ key.k0),
        v3(0x7465646279746573 ^ key.k1) {}

  void round() {
    v0 += v1;
    v1 = rotl(v1, 13) ^ v0;
    v0 = rotl(v0, 32);
    v2 += v3;
    v3 = rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = rotl(v1, 17) ^ v2;
    v2 = rotl(v2, 32);
  }
  void word(std::uint64_t m) {
    v3 ^= m;
    round();
    round();
    v0 ^= m;
  }
  std::uint64_t finish(std::uint8_t mark) {
    v2 ^= mark;
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
  std::uint64_t second() {
    v1 ^= 0xdd;
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

std::uint64_t load(const char* p, std::size_t n) {
  std::uint64_t m = 0;
  for (std::size_t i = 0; i < n; ++i) {
    m |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(p[i])) << (8 * i);
  }
  return m;
}

std::uint64_t load_word(const char* p) {
  std::uint64_t m;
  std::memcpy(&m, p, 8);
  if constexpr (std::endian::native == std::endian::big) m = __builtin_bswap64(m);
  return m;
}

void absorb(SipState& state, std::string_view bytes) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) state.word(load_word(p));
  state.word(load(p, left) | static_cast<std::uint64_t>(bytes.size()) << 56);
}

}  // namespace

std::uint64_t siphash64(SipKey key, std::string_view bytes) {
  SipState state(key);
  absorb(state, bytes);
  return state.finish(0xff);
}

Hash128 siphash128(SipKey key, std::string_view bytes) {
  SipState state(key);
  state.v1 ^= 0xee;
  absorb(state, bytes);
  Hash128 hash;
  hash.low = state.finish(0xee);
  hash.high = state.second();
  return hash;
}

SipHasher128::SipHasher128(SipKey key) {
  const SipState state(key);
  v0_ = state.v0;
  v1_ = state.v1 ^ 0xee;
  v2_ = state.v2;
  v3_ = state.v3;
}

void SipHasher128::word(std::uint64_t m) {
  SipState state({});
  state.v0 = v0_;
  state.v1 = v1_;
  state.v2 = v2_;
  state.v3 = v3_;
  state.word(m);
  v0_ = state.v0;
  v1_ = state.v1;
  v2_ = state.v2;
  v3_ = state.v3;
}

void SipHasher128::add(std::string_view bytes) {
  std::size_t in_tail = length_ % 8;
  length_ += bytes.size();
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  if (in_tail > 0) {
    while (in_tail < 8 && left > 0) {
      tail_ |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(*p++)) << (8 * in_tail++);
      --left;
    }
    if (in_tail < 8) return;
    word(tail_);
    tail_ = 0;
  }
  for (; left >= 8; left -= 8, p += 8) word(load_word(p));
  tail_ = load(p, left);
}

Hash128 SipHasher128::finish() {
  word(tail_ | length_ << 56);
  SipState state({});
  state.v0 = v0_;
  state.v1 = v1_;
  state.v2 = v2_;
  state.v3 = v3_;
  Hash128 hash;
  hash.low = state.finish(0xee);
  hash.high = state.second();
  return hash;
}

}  // namespace sluice::core
