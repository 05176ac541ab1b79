#include "engine/core/dedupe.hpp"

#include <algorithm>

#include "engine/core/codec.hpp"
#include "engine/core/limits.hpp"

namespace sluice::core {
namespace {

constexpr std::uint8_t kRowMark = 0xde;
constexpr std::uint8_t kRowVersion = 2;  // 2: homes of runs
constexpr std::size_t kIndexSlotsMin = 1024;

RowId row_id(std::uint64_t number) {
  RowId id;
  id.bytes[0] = kRowMark;
  for (int i = 0; i < 8; ++i) id.bytes[8 + i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  return id;
}

std::uint64_t row_number(const RowId& id) {
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | id.bytes[8 + i];
  return number;
}

Hash128 entry_hash(const DedupeEntry& entry) {
  SipHasher128 hasher(kStateKey);
  char head[40];
  char* at = head;
  for (const std::uint64_t v :
       {entry.key.low, entry.key.high, entry.seq, static_cast<std::uint64_t>(entry.time),
        std::uint64_t{entry.runs}}) {
    std::memcpy(at, &v, 8);
    at += 8;
  }
  hasher.add({head, sizeof head});
  hasher.add(entry.correlation);
  for (const PartitionId home : entry.homes) {
    const char two[2] = {static_cast<char>(number(home)), static_cast<char>(number(home) >> 8)};
    hasher.add({two, sizeof two});
  }
  return hasher.finish();
}

}  // namespace

Hash128 dedupe_key(TenantId tenant, std::string_view scope, std::string_view client,
                   std::string_view order_key, std::string_view id) {
  SipHasher128 hasher(kDedupeKey);
  std::uint32_t head[5] = {number(tenant), static_cast<std::uint32_t>(scope.size()),
                           static_cast<std::uint32_t>(client.size()),
                           static_cast<std::uint32_t>(order_key.size()),
                           static_cast<std::uint32_t>(id.size())};
  hasher.add({reinterpret_cast<const char*>(head), sizeof head});
  hasher.add(scope);
  hasher.add(client);
  hasher.add(order_key);
  hasher.add(id);
  return hasher.finish();
}

const DedupeEntry* DedupeTable::find(const Hash128& key, TimeUs now) const {
  if (index_.empty()) return nullptr;
  const std::uint64_t found = index_[index_slot(key)];
  if (found == 0) return nullptr;
  const DedupeEntry& entry = at(found - 1);
  const Slice& slice = *slices_[(found - 1) >> 32];
  return entry.time + slice.window_us > now ? &entry : nullptr;
}

void DedupeTable::insert(DedupeEntry entry, std::int64_t window_ms) {
  const std::int64_t window_us = window_ms * kUsPerMs;
  Window& window = windows_[window_us];
  const auto is_closed = [&](const Slice& slice) {
    return slice.entries.size() >= kDedupeSliceEntries ||
           entry.time - slice.entries.front().time > window_us / kDedupeSlicesPerWindow;
  };
  if (window.empty() || is_closed(*slices_[window.back()])) {
    window.push_back(new_slice(window_us, next_slice_++));
  }
  Slice& slice = *slices_[window.back()];
  slice.changed = true;
  hash_ += entry_hash(entry);
  ++size_;
  const Hash128 key = entry.key;
  slice.entries.push_back(std::move(entry));
  index_put(key, std::uint64_t{window.back()} << 32 | (slice.entries.size() - 1));
}

void DedupeTable::expire(TimeUs now) {
  for (auto it = windows_.begin(); it != windows_.end();) {
    Window& window = it->second;
    while (!window.empty() && slices_[window.front()]->entries.back().time + it->first <= now) {
      drop(window.front());
      window.pop_front();
    }
    it = window.empty() ? windows_.erase(it) : std::next(it);
  }
}

std::uint32_t DedupeTable::new_slice(std::int64_t window_us, std::uint64_t number) {
  std::uint32_t place;
  if (free_places_.empty()) {
    place = static_cast<std::uint32_t>(slices_.size());
    slices_.push_back(std::make_unique<Slice>());
  } else {
    place = free_places_.back();
    free_places_.pop_back();
    slices_[place] = std::make_unique<Slice>();
  }
  slices_[place]->number = number;
  slices_[place]->window_us = window_us;
  return place;
}

void DedupeTable::drop(std::uint32_t place) {
  Slice& slice = *slices_[place];
  for (std::size_t i = 0; i < slice.entries.size(); ++i) {
    index_erase(slice.entries[i].key, std::uint64_t{place} << 32 | i);
    hash_ -= entry_hash(slice.entries[i]);
  }
  size_ -= slice.entries.size();
  if (slice.stored) gone_.push_back(slice.number);
  slices_[place].reset();
  free_places_.push_back(place);
}

std::size_t DedupeTable::index_slot(const Hash128& key) const {
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = key.low & mask;
  while (index_[slot] != 0 && !(at(index_[slot] - 1).key == key)) slot = (slot + 1) & mask;
  return slot;
}

void DedupeTable::index_put(const Hash128& key, std::uint64_t where) {
  if (index_used_ * 2 >= index_.size()) index_grow();
  const std::size_t slot = index_slot(key);
  if (index_[slot] == 0) {
    ++index_used_;
  } else if (at(index_[slot] - 1).seq > at(where).seq) {
    return;  // rows of two windows are loaded in the order of neither
  }
  index_[slot] = where + 1;
}

void DedupeTable::index_grow() {
  std::vector<std::uint64_t> old(std::max(kIndexSlotsMin, index_.size() * 2));
  old.swap(index_);
  for (const std::uint64_t where : old) {
    if (where != 0) index_[index_slot(at(where - 1).key)] = where;
  }
}

void DedupeTable::index_erase(const Hash128& key, std::uint64_t where) {
  const std::size_t mask = index_.size() - 1;
  std::size_t hole = index_slot(key);
  if (index_[hole] != where + 1) return;  // a later entry of the same key took the place
  // Moves what follows back, so that no search ends too early.
  for (std::size_t next = (hole + 1) & mask; index_[next] != 0; next = (next + 1) & mask) {
    const std::size_t home = at(index_[next] - 1).key.low & mask;
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      index_[hole] = index_[next];
      hole = next;
    }
  }
  index_[hole] = 0;
  --index_used_;
}

std::vector<DedupeTable::Row> DedupeTable::take_changed(bool full) {
  std::vector<Row> rows;
  for (const std::uint64_t number : gone_) rows.push_back({row_id(number), {}});
  gone_.clear();
  for (const auto& slice : slices_) {
    if (!slice || (!slice->changed && !full)) continue;
    slice->changed = false;
    slice->stored = true;
    std::string body;
    body.reserve(slice->entries.size() * 40 + 16);
    Writer writer(body);
    writer.u8(kRowVersion);
    writer.varint(static_cast<std::uint64_t>(slice->window_us));
    writer.varint(slice->entries.size());
    for (const DedupeEntry& entry : slice->entries) {
      writer.hash(entry.key);
      writer.varint(entry.seq);
      writer.svarint(entry.time);
      writer.varint(entry.runs);
      writer.bytes(entry.correlation);
      writer.varint(entry.homes.size());
      for (const PartitionId home : entry.homes) writer.varint(number(home));
    }
    rows.push_back({row_id(slice->number), std::move(body)});
  }
  return rows;
}

void DedupeTable::mark_all_changed() {
  for (const auto& slice : slices_) {
    if (slice) slice->changed = true;
  }
}

std::uint64_t DedupeTable::changed_rows() const {
  return gone_.size() + static_cast<std::uint64_t>(std::count_if(
                            slices_.begin(), slices_.end(),
                            [](const auto& slice) { return slice && slice->changed; }));
}

bool DedupeTable::load(const RowId& id, std::string_view body) {
  Reader reader(body);
  if (reader.u8() != kRowVersion) return false;
  const auto window_us = static_cast<std::int64_t>(reader.varint());
  const std::uint64_t count = reader.count(20);
  if (!reader.ok() || count == 0 || window_us <= 0) return false;
  const std::uint32_t place = new_slice(window_us, row_number(id));
  Slice& slice = *slices_[place];
  slice.changed = false;
  slice.stored = true;
  slice.entries.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    DedupeEntry entry;
    entry.key = reader.hash();
    entry.seq = reader.varint();
    entry.time = reader.svarint();
    entry.runs = reader.varint32();
    entry.correlation = reader.bytes();
    const std::uint64_t homes = reader.count(1);
    for (std::uint64_t k = 0; k < homes && reader.ok(); ++k) {
      entry.homes.push_back(static_cast<PartitionId>(reader.varint32()));
    }
    if (homes != 0 && homes != entry.runs) reader.fail();
    hash_ += entry_hash(entry);
    slice.entries.push_back(std::move(entry));
    index_put(slice.entries.back().key, std::uint64_t{place} << 32 | i);
    ++size_;
  }
  windows_[window_us].push_back(place);
  return reader.done();
}

bool DedupeTable::is_row(const RowId& id) {
  return id.bytes[0] == kRowMark;
}

}  // namespace sluice::core
