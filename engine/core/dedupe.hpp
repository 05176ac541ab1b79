// Which idempotency keys have been taken, over each topic's whole window.
//
// Exact: a key is the 128-bit hash of (tenant, topic, client, ordering key, id). Entries lie in
// slices by age, one row of stored state each: a closed slice never changes, so a checkpoint writes
// it once, and it goes whole when its newest entry has left the window. An index over all of them
// lives in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

// What a key is made of. Lengths are hashed too, so no two different keys are the same bytes.
Hash128 dedupe_key(TenantId tenant, std::string_view scope, std::string_view client,
                   std::string_view order_key, std::string_view id);

// The first answer: ids follow from seq and time.
struct DedupeEntry {
  Hash128 key;
  Seq seq = 0;
  TimeUs time = 0;
  std::uint32_t runs = 0;
  std::string correlation;         // empty: the event's id
  std::vector<PartitionId> homes;  // of the runs; empty: all live here
};

class DedupeTable {
 public:
  // The entry of that key whose window holds at `now`.
  const DedupeEntry* find(const Hash128& key, TimeUs now) const;
  // REQUIRES: find() finds nothing; entries come in order of seq.
  void insert(DedupeEntry entry, std::int64_t window_ms);
  // Lets slices go whose newest entry left the window before `now`.
  void expire(TimeUs now);

  std::uint64_t size() const { return size_; }
  // Sum over all entries: a part of the state's hash.
  const Hash128& hash() const { return hash_; }

  // Rows changed or gone since the last call with the same `full` meaning; each is (id, body), an
  // empty body for a slice that went.
  struct Row {
    RowId id;
    std::string body;
  };
  std::vector<Row> take_changed(bool full);
  // Those rows were not stored after all.
  void mark_all_changed();
  std::uint64_t changed_rows() const;
  // Number of the next slice; a part of `rest`.
  std::uint64_t next_slice() const { return next_slice_; }
  void set_next_slice(std::uint64_t next) { next_slice_ = next; }
  // Adds a stored slice. REQUIRES: slices come in order of their numbers. False: not such a row.
  bool load(const RowId& id, std::string_view body);

  static bool is_row(const RowId& id);

 private:
  struct Slice {
    std::uint64_t number = 0;
    std::int64_t window_us = 0;
    std::vector<DedupeEntry> entries;
    bool changed = true;
    bool stored = false;
  };
  // Slices of one window length, oldest first.
  using Window = std::deque<std::uint32_t>;  // places in slices_

  std::uint32_t new_slice(std::int64_t window_us, std::uint64_t number);
  void drop(std::uint32_t place);
  void index_put(const Hash128& key, std::uint64_t where);
  void index_erase(const Hash128& key, std::uint64_t where);
  void index_grow();
  std::size_t index_slot(const Hash128& key) const;
  const DedupeEntry& at(std::uint64_t where) const {
    return slices_[where >> 32]->entries[where & 0xffffffffu];
  }

  std::vector<std::unique_ptr<Slice>> slices_;
  std::vector<std::uint32_t> free_places_;
  std::map<std::int64_t, Window> windows_;  // by length, us
  std::vector<std::uint64_t> index_;        // open addressing; where + 1, 0 is free
  std::size_t index_used_ = 0;
  std::vector<std::uint64_t> gone_;  // numbers of stored slices that went
  std::uint64_t next_slice_ = 1;
  std::uint64_t size_ = 0;
  Hash128 hash_;
};

}  // namespace sluice::core
