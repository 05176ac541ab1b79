// When attempts are due: a heap that knows where each attempt stands in it, so that one can be
// moved or taken out without a search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/core/ids.hpp"

namespace sluice::dispatch {

// What stands in the heap. The heap alone writes `position`.
struct Due {
  core::TimeUs at = 0;
  std::uint64_t order = 0;  // earlier first among those of one instant
  std::uint32_t position = kNowhere;

  static constexpr std::uint32_t kNowhere = ~std::uint32_t{0};
  bool standing() const { return position != kNowhere; }
};

// Does not own what stands in it.
class DueHeap {
 public:
  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  // REQUIRES: not empty.
  Due& first() const { return *items_.front(); }

  // Puts it in, or moves it if it stands in the heap already.
  void set(Due& due, core::TimeUs at);
  // Nothing if it does not stand in the heap.
  void remove(Due& due);

 private:
  static bool before(const Due& a, const Due& b) {
    return a.at != b.at ? a.at < b.at : a.order < b.order;
  }
  void place(Due* due, std::size_t position);
  void up(std::size_t position);
  void down(std::size_t position);

  std::vector<Due*> items_;
};

}  // namespace sluice::dispatch
