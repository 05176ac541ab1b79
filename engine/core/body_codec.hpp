// How the bodies of records and messages are laid out. For the sources of the core alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/codec.hpp"
#include "engine/core/ids.hpp"

namespace sluice::core {

// Every body starts with the version of its kind's layout; all are at their first.
inline constexpr std::uint8_t kBodyVersion = 1;

template <class Fields>
std::string write_body(std::size_t size_hint, Fields fields) {
  std::string out;
  out.reserve(size_hint);
  Writer writer(out);
  writer.u8(kBodyVersion);
  fields(writer);
  return out;
}

template <class Body, class Fields>
std::optional<Body> read_body(std::string_view bytes, Fields fields) {
  Reader reader(bytes);
  if (reader.u8() != kBodyVersion) return std::nullopt;
  Body body;
  fields(reader, body);
  if (!reader.done()) return std::nullopt;
  return body;
}

inline PartitionId read_partition(Reader& reader) {
  const std::uint32_t value = reader.varint32();
  if (value >= kPartitionsMax) return static_cast<PartitionId>(reader.fail());
  return static_cast<PartitionId>(value);
}

}  // namespace sluice::core
