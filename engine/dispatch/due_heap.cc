#include "engine/dispatch/due_heap.hpp"

namespace sluice::dispatch {

namespace {
// Four children each: fewer cache lines per way down than two.
constexpr std::size_t kChildren = 4;
}  // namespace

void DueHeap::set(Due& due, core::TimeUs at) {
  const bool later = due.standing() && at > due.at;
  due.at = at;
  if (!due.standing()) {
    items_.push_back(&due);
    due.position = static_cast<std::uint32_t>(items_.size() - 1);
  }
  if (later) {
    down(due.position);
  } else {
    up(due.position);
  }
}

void DueHeap::remove(Due& due) {
  if (!due.standing()) return;
  const std::size_t hole = due.position;
  due.position = Due::kNowhere;
  Due* last = items_.back();
  items_.pop_back();
  if (hole == items_.size()) return;
  place(last, hole);
  up(hole);
  down(last->position);
}

void DueHeap::place(Due* due, std::size_t position) {
  items_[position] = due;
  due->position = static_cast<std::uint32_t>(position);
}

void DueHeap::up(std::size_t position) {
  Due* due = items_[position];
  while (position > 0) {
    const std::size_t parent = (position - 1) / kChildren;
    if (!before(*due, *items_[parent])) break;
    place(items_[parent], position);
    position = parent;
  }
  place(due, position);
}

void DueHeap::down(std::size_t position) {
  Due* due = items_[position];
  while (true) {
    const std::size_t begin = position * kChildren + 1;
    if (begin >= items_.size()) break;
    const std::size_t end = begin + kChildren < items_.size() ? begin + kChildren : items_.size();
    std::size_t least = begin;
    for (std::size_t child = begin + 1; child < end; ++child) {
      if (before(*items_[child], *items_[least])) least = child;
    }
    if (!before(*items_[least], *due)) break;
    place(items_[least], position);
    position = least;
  }
  place(due, position);
}

}  // namespace sluice::dispatch
