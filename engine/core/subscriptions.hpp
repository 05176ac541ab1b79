// Who waits for which events of topics: kept at the home of a pair (topic, field and its value),
// with the events of late that a run which asks from now on may still want.
//
// An event goes from its topic's partition to the homes of the pairs that its fields make, and from
// there as a signal to each run that has subscribed to one. A run's `receive` is often reached only
// after others could answer what it has told them: so an event is kept for kKeptEventsUs, and given
// to a run that subscribes later, if it came after that run's beginning.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/codec.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

// What a run subscribes to: events of a topic whose field has this value, as JSON.
struct Pair {
  std::string topic;
  std::string field;
  std::string value;

  friend bool operator==(const Pair&, const Pair&) = default;
};
struct PairKey {
  Hash128 hash;
  PartitionId home{};
};
PairKey key_of(TenantId tenant, const Pair& pair, unsigned partitions);

class Subscriptions {
 public:
  struct Kept {
    TimeUs time = 0;  // of the event's record
    Hash128 pair;
    std::string message;  // encoded, as it goes to each run
  };

  void add(const Hash128& pair, const RunId& run);     // once, however often it is said
  void remove(const Hash128& pair, const RunId& run);  // nothing happens if it is not there
  // In the order of their ids.
  std::vector<RunId> runs_of(const Hash128& pair) const;
  // The oldest go when there are too many.
  void keep(Kept event);
  // Forgets what is older than kKeptEventsUs.
  void expire(TimeUs now);
  // Those of a pair from `since` on, in the order in which they came.
  void each_kept(const Hash128& pair, TimeUs since,
                 const std::function<void(const Kept&)>& visit) const;

  std::uint64_t size() const { return size_; }
  const Hash128& hash() const { return hash_; }
  void write(Writer& writer) const;
  bool read(Reader& reader);

 private:
  struct ByHash {
    bool operator()(const Hash128& a, const Hash128& b) const {
      return a.high != b.high ? a.high < b.high : a.low < b.low;
    }
  };
  void drop_oldest();

  std::map<Hash128, std::vector<RunId>, ByHash> runs_;  // sorted
  std::deque<Kept> kept_;
  std::uint64_t kept_bytes_ = 0;
  std::uint64_t size_ = 0;
  Hash128 hash_;
};

}  // namespace sluice::core
