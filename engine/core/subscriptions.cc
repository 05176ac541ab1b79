#include "engine/core/subscriptions.hpp"

#include <algorithm>

#include "engine/core/limits.hpp"

namespace sluice::core {
namespace {

Hash128 hash_of(const Hash128& pair, const RunId& run) {
  std::string bytes;
  Writer writer(bytes);
  writer.hash(pair);
  writer.id(run);
  return siphash128(kStateKey, bytes);
}

Hash128 hash_of(const Subscriptions::Kept& event) {
  std::string bytes;
  Writer writer(bytes);
  writer.svarint(event.time);
  writer.hash(event.pair);
  writer.bytes(event.message);
  return siphash128(kStateKey, bytes);
}

std::uint64_t bytes_of(const Subscriptions::Kept& event) {
  return event.message.size() + sizeof event;
}

}  // namespace

PairKey key_of(TenantId tenant, const Pair& pair, unsigned partitions) {
  std::string bytes;
  Writer writer(bytes);
  writer.bytes(pair.topic);
  writer.bytes(pair.field);
  writer.bytes(pair.value);
  const PartitionId home = partition_of_key(tenant, bytes, partitions);
  writer.varint(number(tenant));
  return {siphash128(kStateKey, bytes), home};
}

void Subscriptions::add(const Hash128& pair, const RunId& run) {
  std::vector<RunId>& runs = runs_[pair];
  const auto at = std::lower_bound(runs.begin(), runs.end(), run);
  if (at != runs.end() && *at == run) return;
  runs.insert(at, run);
  ++size_;
  hash_ += hash_of(pair, run);
}

void Subscriptions::remove(const Hash128& pair, const RunId& run) {
  const auto found = runs_.find(pair);
  if (found == runs_.end()) return;
  const auto at = std::lower_bound(found->second.begin(), found->second.end(), run);
  if (at == found->second.end() || !(*at == run)) return;
  found->second.erase(at);
  if (found->second.empty()) runs_.erase(found);
  --size_;
  hash_ -= hash_of(pair, run);
}

std::vector<RunId> Subscriptions::runs_of(const Hash128& pair) const {
  const auto found = runs_.find(pair);
  return found == runs_.end() ? std::vector<RunId>() : found->second;
}

void Subscriptions::keep(Kept event) {
  hash_ += hash_of(event);
  kept_bytes_ += bytes_of(event);
  kept_.push_back(std::move(event));
  while (kept_.size() > kKeptEventsMax || kept_bytes_ > kKeptEventBytesMax) drop_oldest();
}

void Subscriptions::drop_oldest() {
  hash_ -= hash_of(kept_.front());
  kept_bytes_ -= bytes_of(kept_.front());
  kept_.pop_front();
}

void Subscriptions::expire(TimeUs now) {
  while (!kept_.empty() && kept_.front().time + kKeptEventsUs < now) drop_oldest();
}

void Subscriptions::each_kept(const Hash128& pair, TimeUs since,
                              const std::function<void(const Kept&)>& visit) const {
  for (const Kept& event : kept_) {
    if (event.pair == pair && event.time >= since) visit(event);
  }
}

void Subscriptions::write(Writer& writer) const {
  writer.varint(runs_.size());
  for (const auto& [pair, runs] : runs_) {
    writer.hash(pair);
    writer.varint(runs.size());
    for (const RunId& run : runs) writer.id(run);
  }
  writer.varint(kept_.size());
  for (const Kept& event : kept_) {
    writer.svarint(event.time);
    writer.hash(event.pair);
    writer.bytes(event.message);
  }
}

bool Subscriptions::read(Reader& reader) {
  const std::uint64_t pairs = reader.count(17);
  for (std::uint64_t i = 0; i < pairs && reader.ok(); ++i) {
    const Hash128 pair = reader.hash();
    const std::uint64_t runs = reader.count(16);
    for (std::uint64_t k = 0; k < runs && reader.ok(); ++k) add(pair, reader.id<RunId>());
  }
  const std::uint64_t events = reader.count(18);
  for (std::uint64_t i = 0; i < events && reader.ok(); ++i) {
    Kept event;
    event.time = reader.svarint();
    event.pair = reader.hash();
    event.message = reader.bytes();
    keep(std::move(event));
  }
  return reader.ok();
}

}  // namespace sluice::core
