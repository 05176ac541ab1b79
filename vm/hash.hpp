#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::vm {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
std::string to_hex(const Sha256& hash);  // 64 lower-case digits

// XXH64 of the bytes: state hashes and checksums of snapshots. Finds accidents, not adversaries.
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace sluice::vm
