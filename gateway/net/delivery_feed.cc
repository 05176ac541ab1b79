#include "gateway/net/delivery_feed.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice::gateway {
namespace {

// More live deliveries than this while a page is read, or more bytes of them, are dropped here and
// read from storage later.
constexpr std::size_t kParked = 1000;
constexpr std::size_t kParkedBytes = 1024 * 1024;

}  // namespace

void DeliveryFeed::begin(std::uint64_t offset, std::uint64_t highest) {
  begun_ = true;
  last_ = offset;
  highest_ = std::max(highest_, highest);
  advance();
}

void DeliveryFeed::on_live(const node::Delivery& delivery) {
  highest_ = std::max(highest_, delivery.offset);
  if (!begun_ || delivery.offset <= last_) return;
  const bool next = !reading_ && rest_.empty() && parked_.empty() && delivery.offset == last_ + 1;
  if (next && (!behind_ || owner_.has_room())) return send(delivery);
  park(delivery);
  advance();
}

void DeliveryFeed::on_page(node::DeliveryPage page) {
  reading_ = false;
  // A page without a further one holds all there was: what it lacks up to then is gone for good.
  if (!page.more) proven_ = std::max(proven_, asked_highest_);
  if (!page.items.empty()) highest_ = std::max(highest_, page.items.back().offset);
  rest_.assign(std::make_move_iterator(page.items.begin()),
               std::make_move_iterator(page.items.end()));
  advance();
}

void DeliveryFeed::send(const node::Delivery& delivery) {
  last_ = delivery.offset;
  owner_.deliver(delivery);
}

void DeliveryFeed::park(const node::Delivery& delivery) {
  if (parked_.size() >= kParked || parked_bytes_ >= kParkedBytes) return;
  if (!parked_.empty() && parked_.back().offset >= delivery.offset) return;
  parked_bytes_ += delivery.data_json.size();
  parked_.push_back(delivery);
}

// False: there is no room for all of it.
bool DeliveryFeed::send_rest() {
  while (!rest_.empty()) {
    if (rest_.front().offset > last_) {
      if (!owner_.has_room()) return false;
      send(rest_.front());
    }
    rest_.pop_front();
  }
  last_ = std::max(last_, proven_);
  return true;
}

// Those that are next. False: there is no room for all of them.
bool DeliveryFeed::send_parked() {
  while (!parked_.empty() && parked_.front().offset <= last_ + 1) {
    if (parked_.front().offset == last_ + 1) {
      if (!owner_.has_room()) return false;
      send(parked_.front());
    }
    parked_bytes_ -= parked_.front().data_json.size();
    parked_.pop_front();
  }
  return true;
}

void DeliveryFeed::advance() {
  if (!begun_ || reading_) return;
  if (!send_rest() || !send_parked()) {
    behind_ = true;
    return;
  }
  if (last_ >= highest_) {
    behind_ = behind_ && !owner_.has_room();
    return;
  }
  behind_ = true;
  if (!owner_.has_room()) return;
  reading_ = true;
  asked_highest_ = highest_;
  owner_.read_after(last_);
}

}  // namespace sluice::gateway
