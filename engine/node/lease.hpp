// The lease token: a worker's right to report about one attempt.
//
// It is self-describing and authenticated, so there is no lease table: whoever holds the cluster's
// key can tell which attempt it names, and the partition decides by its state whether that attempt
// is still open. The text is opaque to workers: base64url without padding of
//
//   u8 version = 1 | u16 partition | u8[16] run | u32 step | u32 attempt | u64 opening seq | u64
//   args digest | u64 nonce | u32 deployment | u32 task | u32 tenant | u8[16] SipHash-2-4-128 of
//   all before, under the cluster's lease key
//
// Integers are little-endian. The layout is a wire format that outlives a restart of the node: it
// changes only with its version byte.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/ids.hpp"

namespace sluice::node {

inline constexpr std::size_t kLeaseBytes = 1 + 2 + 16 + 4 + 4 + 8 + 8 + 8 + 4 + 4 + 4 + 16;
inline constexpr std::size_t kLeaseTextBytes =
    (kLeaseBytes * 4 + 2) / 3;  // longer or shorter text is no lease

// 16 random bytes, made when the database is initialised and kept in its `cluster` row.
using LeaseKey = std::array<std::uint8_t, 16>;

struct Lease {
  core::PartitionId partition{};
  core::RunId run{};
  std::uint32_t step = 0;     // instance within the run
  std::uint32_t attempt = 0;  // from 1
  std::uint64_t seq = 0;      // of the record that opened the attempt
  std::uint64_t args_digest = 0;
  std::uint64_t nonce = 0;  // of the hand-out; a higher one supersedes
  std::uint32_t deployment = 0;
  std::uint32_t task = 0;   // index in that deployment's program: tells how to decode the result
  core::TenantId tenant{};  // of the run; a report counts only on a socket whose token covers it

  friend bool operator==(const Lease&, const Lease&) = default;
};

// The token's text. Pure; safe from any thread.
std::string mint_lease(const LeaseKey& key, const Lease& lease);

// The lease, or nothing when the text is not a token of this cluster: wrong length, alphabet,
// version or authentication code.
std::optional<Lease> read_lease(const LeaseKey& key, std::string_view text);

}  // namespace sluice::node
