// The clients whose home this partition is: their numbers and their newest offsets.
//
// Numbers count from 1 in order of first delivery and are never given twice. Stored in rows of
// kClientsPerRow clients.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

struct ClientEntry {
  TenantId tenant{};
  std::string name;
  std::uint64_t last_offset = 0;
  Seq as_of = 0;  // the record of its newest delivery
};

class ClientTable {
 public:
  // 0: not known.
  ClientNumber find(TenantId tenant, std::string_view name) const;
  // Known or new.
  ClientNumber number_of(TenantId tenant, std::string_view name);
  const ClientEntry& operator[](ClientNumber number) const { return entries_[number - 1].entry; }
  // The next offset of that client.
  std::uint64_t advance(ClientNumber number, Seq seq);
  // Its greatest offset is at least this one, of record `seq`; a number that is not known is given
  // to that name. False, and nothing changed: number or name is another client's, or a number
  // before it is missing.
  bool raise(ClientNumber number, const ClientEntry& least);

  std::uint64_t size() const { return entries_.size(); }
  const Hash128& hash() const { return hash_; }

  struct Row {
    RowId id;
    std::string body;
  };
  std::vector<Row> take_changed(bool full);
  void mark_all_changed();
  std::uint64_t changed_rows() const { return changed_count_; }
  // REQUIRES: rows come in order of their ids. False: not such a row, or one before it is missing.
  bool load(const RowId& id, std::string_view body);

  static bool is_row(const RowId& id);

 private:
  struct Slot {
    ClientEntry entry;
    std::uint64_t name_hash = 0;
    Hash128 hash;
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const {
      return std::hash<std::string_view>{}(key);
    }
  };

  ClientNumber add(ClientEntry entry);
  void rehash(ClientNumber number);
  void mark(ClientNumber number);

  std::vector<Slot> entries_;  // by number - 1
  std::unordered_map<std::string, ClientNumber, NameHash, std::equal_to<>> numbers_;
  std::vector<bool> changed_;  // per row
  std::uint64_t changed_count_ = 0;
  Hash128 hash_;
};

}  // namespace sluice::core
