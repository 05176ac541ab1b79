#include "engine/core/clients.hpp"

#include <algorithm>

#include "engine/core/codec.hpp"
#include "engine/core/limits.hpp"

namespace sluice::core {
namespace {

constexpr std::uint8_t kRowMark = 0xc1;
constexpr std::uint8_t kRowVersion = 1;

RowId row_id(std::uint64_t row) {
  RowId id;
  id.bytes[0] = kRowMark;
  for (int i = 0; i < 8; ++i) id.bytes[8 + i] = static_cast<std::uint8_t>(row >> (56 - 8 * i));
  return id;
}

// Tenant and name as one key; short ones stay within the small string.
std::string map_key(TenantId tenant, std::string_view name) {
  std::string key;
  key.reserve(4 + name.size());
  for (int i = 0; i < 4; ++i) key.push_back(static_cast<char>(number(tenant) >> (8 * i)));
  key.append(name);
  return key;
}

}  // namespace

ClientNumber ClientTable::find(TenantId tenant, std::string_view name) const {
  const auto it = numbers_.find(map_key(tenant, name));
  return it == numbers_.end() ? 0 : it->second;
}

ClientNumber ClientTable::number_of(TenantId tenant, std::string_view name) {
  const ClientNumber known = find(tenant, name);
  return known != 0 ? known : add({tenant, std::string(name), 0, 0});
}

ClientNumber ClientTable::add(ClientEntry entry) {
  const ClientNumber number = entries_.size() + 1;
  std::string key = map_key(entry.tenant, entry.name);
  const std::uint64_t name_hash = siphash64(kStateKey, key);
  numbers_.emplace(std::move(key), number);
  entries_.push_back({std::move(entry), name_hash, {}});
  if (changed_.size() * kClientsPerRow < entries_.size()) changed_.push_back(false);
  rehash(number);
  mark(number);
  return number;
}

std::uint64_t ClientTable::advance(ClientNumber number, Seq seq) {
  Slot& slot = entries_[number - 1];
  ++slot.entry.last_offset;
  slot.entry.as_of = seq;
  rehash(number);
  mark(number);
  return slot.entry.last_offset;
}

bool ClientTable::raise(ClientNumber number, const ClientEntry& least) {
  const ClientNumber known = find(least.tenant, least.name);
  if (known == 0 && number == entries_.size() + 1) return add(least) == number;
  if (known == 0 || known != number) return false;
  Slot& slot = entries_[number - 1];
  if (slot.entry.last_offset >= least.last_offset) return true;
  slot.entry.last_offset = least.last_offset;
  slot.entry.as_of = least.as_of;
  rehash(number);
  mark(number);
  return true;
}

void ClientTable::rehash(ClientNumber number) {
  Slot& slot = entries_[number - 1];
  hash_ -= slot.hash;
  const std::uint64_t words[4] = {number, slot.name_hash, slot.entry.last_offset, slot.entry.as_of};
  slot.hash = siphash128(kStateKey, {reinterpret_cast<const char*>(words), sizeof words});
  hash_ += slot.hash;
}

void ClientTable::mark(ClientNumber number) {
  const std::size_t row = (number - 1) / kClientsPerRow;
  if (changed_[row]) return;
  changed_[row] = true;
  ++changed_count_;
}

void ClientTable::mark_all_changed() {
  std::fill(changed_.begin(), changed_.end(), true);
  changed_count_ = changed_.size();
}

std::vector<ClientTable::Row> ClientTable::take_changed(bool full) {
  std::vector<Row> rows;
  for (std::size_t row = 0; row < changed_.size(); ++row) {
    if (!changed_[row] && !full) continue;
    changed_[row] = false;
    const std::size_t begin = row * kClientsPerRow;
    const std::size_t end = std::min(begin + kClientsPerRow, entries_.size());
    std::string body;
    body.reserve((end - begin) * 32);
    Writer writer(body);
    writer.u8(kRowVersion);
    writer.varint(end - begin);
    for (std::size_t i = begin; i < end; ++i) {
      const ClientEntry& entry = entries_[i].entry;
      writer.varint(number(entry.tenant));
      writer.bytes(entry.name);
      writer.varint(entry.last_offset);
      writer.varint(entry.as_of);
    }
    rows.push_back({row_id(row), std::move(body)});
  }
  changed_count_ = 0;
  return rows;
}

bool ClientTable::load(const RowId& id, std::string_view body) {
  if (entries_.size() % kClientsPerRow != 0) return false;
  if (!(id == row_id(entries_.size() / kClientsPerRow))) return false;
  Reader reader(body);
  if (reader.u8() != kRowVersion) return false;
  const std::uint64_t count = reader.count(4);
  if (count == 0 || count > kClientsPerRow) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    ClientEntry entry;
    entry.tenant = static_cast<TenantId>(reader.varint32());
    entry.name = reader.bytes();
    entry.last_offset = reader.varint();
    entry.as_of = reader.varint();
    if (!reader.ok()) return false;
    add(std::move(entry));
  }
  changed_.back() = false;
  changed_count_ = 0;
  return reader.done();
}

bool ClientTable::is_row(const RowId& id) {
  return id.bytes[0] == kRowMark;
}

}  // namespace sluice::core
