#include "engine/core/ids.hpp"

#include "engine/core/siphash.hpp"

namespace sluice::core {
namespace {

// UUIDv7 with the partition where the standard has twelve bits of the maker's choice.
template <class Id>
Id make_id(PartitionId maker, PartitionId partition, Seq seq, TimeUs time, std::uint64_t index) {
  char input[18];
  const auto put = [&](unsigned at, std::uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) input[at + i] = static_cast<char>(v >> (8 * i));
  };
  put(0, number(maker), 2);
  put(2, seq, 8);
  put(10, index, 8);
  const std::uint64_t hash = siphash64(kIdKey, {input, sizeof input});
  const auto ms = static_cast<std::uint64_t>(time / kUsPerMs);
  Id id;
  for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  id.bytes[6] = static_cast<std::uint8_t>(0x70 | (number(partition) >> 8 & 0x0f));
  id.bytes[7] = static_cast<std::uint8_t>(number(partition));
  for (int i = 0; i < 8; ++i) id.bytes[8 + i] = static_cast<std::uint8_t>(hash >> (56 - 8 * i));
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

constexpr std::uint64_t kEventIndex = ~std::uint64_t{0};
// Of runs that are started by others; beyond the indices of those that a record begins itself.
constexpr std::uint64_t kStartedIndex = std::uint64_t{1} << 32;

PartitionId home(char purpose, TenantId tenant, std::string_view name, unsigned partitions) {
  SipHasher128 hasher(kPartitionKey);
  const std::uint32_t t = number(tenant);
  const char head[5] = {purpose, static_cast<char>(t), static_cast<char>(t >> 8),
                        static_cast<char>(t >> 16), static_cast<char>(t >> 24)};
  hasher.add({head, sizeof head});
  hasher.add(name);
  return static_cast<PartitionId>(hasher.finish().low % partitions);
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

RunId make_run_id(PartitionId partition, Seq seq, TimeUs time, unsigned index) {
  return make_id<RunId>(partition, partition, seq, time, index);
}

RunId make_started_id(PartitionId source, PartitionId destination, Seq seq, TimeUs time,
                      unsigned index) {
  return make_id<RunId>(source, destination, seq, time, kStartedIndex + index);
}

RunId make_run_id_at(PartitionId home, PartitionId source, Seq seq, TimeUs time, unsigned index) {
  return make_id<RunId>(source, home, seq, time, index);
}

EventId make_event_id(PartitionId partition, Seq seq, TimeUs time) {
  return make_id<EventId>(partition, partition, seq, time, kEventIndex);
}

PartitionId partition_of(const RunId& run) {
  return static_cast<PartitionId>((run.bytes[6] & 0x0f) << 8 | run.bytes[7]);
}

std::string to_text(const Id128& id) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text(36, '-');
  std::size_t at = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++at;
    text[at++] = kHex[id.bytes[i] >> 4];
    text[at++] = kHex[id.bytes[i] & 15];
  }
  return text;
}

std::optional<Id128> parse_id(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Id128 id;
  std::size_t at = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-') return std::nullopt;
    const int high = nibble(text[at++]);
    const int low = nibble(text[at++]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return id;
}

std::optional<RunId> parse_run_id(std::string_view text) {
  const auto id = parse_id(text);
  if (!id) return std::nullopt;
  return RunId{*id};
}

std::string record_name(PartitionId partition, Seq seq) {
  return std::to_string(number(partition)) + "-" + std::to_string(seq);
}

std::string group_client(std::string_view group) {
  std::string name(1, '\0');  // no token's `sub` holds it: JSON with it is refused
  name += group;
  return name;
}

std::optional<std::string_view> group_of(std::string_view client) {
  if (client.empty() || client.front() != '\0') return std::nullopt;
  return client.substr(1);
}

PartitionId partition_of_client(TenantId tenant, std::string_view client, unsigned partitions) {
  return home('c', tenant, client, partitions);
}

PartitionId partition_of_key(TenantId tenant, std::string_view key, unsigned partitions) {
  return home('k', tenant, key, partitions);
}

}  // namespace sluice::core
