#include "engine/node/lease.hpp"

#include <cstring>

#include "engine/core/siphash.hpp"

namespace sluice::node {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMacBytes = 16;
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using Bytes = std::array<std::uint8_t, kLeaseBytes>;

class Pen {
 public:
  explicit Pen(Bytes& out) : out_(out) {}
  template <class Int>
  void put(Int v) {
    for (std::size_t i = 0; i < sizeof(Int); ++i) {
      out_[at_++] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(v) >> (8 * i));
    }
  }
  void put(const core::Id128& id) {
    std::memcpy(out_.data() + at_, id.bytes.data(), id.bytes.size());
    at_ += id.bytes.size();
  }

 private:
  Bytes& out_;
  std::size_t at_ = 0;
};

class Eye {
 public:
  explicit Eye(const Bytes& in) : in_(in) {}
  template <class Int>
  Int get() {
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < sizeof(Int); ++i) v |= std::uint64_t{in_[at_++]} << (8 * i);
    return static_cast<Int>(v);
  }
  core::RunId run() {
    core::RunId id;
    std::memcpy(id.bytes.data(), in_.data() + at_, id.bytes.size());
    at_ += id.bytes.size();
    return id;
  }

 private:
  const Bytes& in_;
  std::size_t at_ = 0;
};

std::array<std::uint8_t, kMacBytes> mac_of(const LeaseKey& key, const Bytes& bytes) {
  core::SipKey sip;
  for (int i = 7; i >= 0; --i) {
    sip.k0 = sip.k0 << 8 | key[i];
    sip.k1 = sip.k1 << 8 | key[8 + i];
  }
  return core::siphash128(sip,
                          {reinterpret_cast<const char*>(bytes.data()), kLeaseBytes - kMacBytes})
      .bytes();
}

// Each character's six bits; -1: it is none of the alphabet.
constexpr std::array<std::int8_t, 256> kValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 64; ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

}  // namespace

std::string mint_lease(const LeaseKey& key, const Lease& lease) {
  Bytes bytes;
  Pen pen(bytes);
  pen.put(kVersion);
  pen.put(static_cast<std::uint16_t>(lease.partition));
  pen.put(static_cast<const core::Id128&>(lease.run));
  pen.put(lease.step);
  pen.put(lease.attempt);
  pen.put(lease.seq);
  pen.put(lease.args_digest);
  pen.put(lease.nonce);
  pen.put(lease.deployment);
  pen.put(lease.task);
  pen.put(static_cast<std::uint32_t>(lease.tenant));
  const auto mac = mac_of(key, bytes);
  std::memcpy(bytes.data() + kLeaseBytes - kMacBytes, mac.data(), kMacBytes);
  std::string text;
  text.reserve(kLeaseTextBytes);
  std::uint32_t bits = 0;
  int have = 0;
  for (const std::uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (have += 8; have >= 6; have -= 6) text.push_back(kAlphabet[bits >> (have - 6) & 63]);
  }
  if (have > 0) text.push_back(kAlphabet[bits << (6 - have) & 63]);
  return text;
}

std::optional<Lease> read_lease(const LeaseKey& key, std::string_view text) {
  if (text.size() != kLeaseTextBytes) return std::nullopt;
  Bytes bytes;
  std::uint32_t bits = 0;
  int have = 0;
  std::size_t at = 0;
  for (const char c : text) {
    const int value = kValues[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      bytes[at++] = static_cast<std::uint8_t>(bits >> have);
    }
  }
  // What is left over must be zero, or one lease had several texts.
  if (at != kLeaseBytes || (bits & ((1u << have) - 1)) != 0) return std::nullopt;
  const auto mac = mac_of(key, bytes);
  std::uint8_t differs = 0;  // in constant time
  for (std::size_t i = 0; i < kMacBytes; ++i) {
    differs |= static_cast<std::uint8_t>(mac[i] ^ bytes[kLeaseBytes - kMacBytes + i]);
  }
  if (differs != 0 || bytes[0] != kVersion) return std::nullopt;
  Eye eye(bytes);
  (void)eye.get<std::uint8_t>();
  Lease lease;
  lease.partition = static_cast<core::PartitionId>(eye.get<std::uint16_t>());
  lease.run = eye.run();
  lease.step = eye.get<std::uint32_t>();
  lease.attempt = eye.get<std::uint32_t>();
  lease.seq = eye.get<std::uint64_t>();
  lease.args_digest = eye.get<std::uint64_t>();
  lease.nonce = eye.get<std::uint64_t>();
  lease.deployment = eye.get<std::uint32_t>();
  lease.task = eye.get<std::uint32_t>();
  lease.tenant = static_cast<core::TenantId>(eye.get<std::uint32_t>());
  return lease;
}

}  // namespace sluice::node
