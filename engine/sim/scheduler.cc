#include "engine/sim/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace sluice::sim {

void Scheduler::at(TimeUs time, Task task) {
  heap_.push_back({std::max(time, now_), order_++, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

bool Scheduler::step(TimeUs limit) {
  if (heap_.empty() || heap_.front().time > limit) {
    now_ = std::max(now_, limit);
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end(), later);
  Item item = std::move(heap_.back());
  heap_.pop_back();
  now_ = item.time;
  ++steps_;
  item.task();
  return true;
}

}  // namespace sluice::sim
