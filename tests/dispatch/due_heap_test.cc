#include "engine/dispatch/due_heap.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <deque>

namespace sluice::dispatch {
namespace {

// Against a vector that is searched: whatever is set, moved and removed, the first is the least.
TEST(DueHeap, FirstIsTheLeastWhateverMoved) {
  const bool held = rc::check("the heap's first is the vector's least", [] {
    const auto moves = *rc::gen::container<std::vector<std::pair<std::size_t, int>>>(
        rc::gen::pair(rc::gen::inRange<std::size_t>(0, 24), rc::gen::inRange(-20, 100)));
    std::deque<Due> dues(24);
    for (std::size_t i = 0; i < dues.size(); ++i) dues[i].order = i;
    DueHeap heap;
    for (const auto& [index, at] : moves) {
      if (at < 0) {
        heap.remove(dues[index]);
      } else {
        heap.set(dues[index], at);
      }
      const Due* least = nullptr;
      std::size_t standing = 0;
      for (const Due& due : dues) {
        if (!due.standing()) continue;
        ++standing;
        if (!least || std::pair(due.at, due.order) < std::pair(least->at, least->order)) {
          least = &due;
        }
      }
      RC_ASSERT(heap.size() == standing);
      if (least) RC_ASSERT(&heap.first() == least);
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace sluice::dispatch
