#include "engine/core/departed.hpp"

#include "engine/core/codec.hpp"

namespace sluice::core {
namespace {

constexpr std::uint8_t kVersion = 1;

}  // namespace

std::string encode(const Departed& departed) {
  std::string out;
  Writer writer(out);
  writer.u8(kVersion);
  writer.varint(departed.clients.size());
  for (const auto& client : departed.clients) {
    writer.varint(client.number);
    writer.varint(number(client.tenant));
    writer.bytes(client.name);
    writer.varint(client.offset);
    writer.varint(client.seq);
  }
  writer.varint(departed.ways.size());
  for (const auto& way : departed.ways) {
    writer.varint(number(way.destination));
    writer.varint(way.taken.last);
    writer.varint(way.taken.causes.size());
    for (const Seq cause : way.taken.causes) writer.varint(cause);
  }
  return out;
}

std::optional<Departed> decode_departed(std::string_view bytes) {
  Reader reader(bytes);
  if (reader.u8() != kVersion) return std::nullopt;
  Departed departed;
  departed.clients.resize(reader.count(5));
  for (auto& client : departed.clients) {
    client.number = reader.varint();
    client.tenant = static_cast<TenantId>(reader.varint32());
    client.name = reader.bytes();
    client.offset = reader.varint();
    client.seq = reader.varint();
  }
  departed.ways.resize(reader.count(3));
  for (auto& way : departed.ways) {
    way.destination = static_cast<PartitionId>(reader.varint32());
    way.taken.last = reader.varint();
    way.taken.causes.resize(reader.count(1));
    for (Seq& cause : way.taken.causes) cause = reader.varint();
  }
  if (!reader.done()) return std::nullopt;
  return departed;
}

}  // namespace sluice::core
