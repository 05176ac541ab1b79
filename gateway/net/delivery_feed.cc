#include "gateway/net/delivery_feed.hpp"

#include <algorithm>

namespace sluice::gateway {
namespace {

// More live deliveries than this while a page is read are dropped here and read from storage later.
constexpr std::size_t kParked = 1000;

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
  if (!reading_ && delivery.offset == last_ + 1 && parked_.empty()) {
    send(delivery);
    return;
  }
  if (parked_.size() < kParked && (parked_.empty() || parked_.back().offset < delivery.offset)) {
    parked_.push_back(delivery);
  }
  advance();
}

void DeliveryFeed::on_page(const std::vector<node::Delivery>& page) {
  reading_ = false;
  for (const node::Delivery& delivery : page) {
    highest_ = std::max(highest_, delivery.offset);
    if (delivery.offset > last_) send(delivery);
  }
  // A page that is not full holds all there was: what it lacks up to then is gone for good.
  if (page.size() < page_) last_ = std::max(last_, asked_highest_);
  send_parked();
  advance();
}

void DeliveryFeed::send(const node::Delivery& delivery) {
  last_ = delivery.offset;
  owner_.deliver(delivery);
}

void DeliveryFeed::send_parked() {
  while (!parked_.empty() && parked_.front().offset <= last_ + 1) {
    if (parked_.front().offset == last_ + 1) send(parked_.front());
    parked_.pop_front();
  }
}

void DeliveryFeed::advance() {
  if (!begun_ || reading_) return;
  send_parked();
  if (last_ >= highest_ || !owner_.has_room()) return;
  reading_ = true;
  asked_highest_ = highest_;
  owner_.read_after(last_);
}

}  // namespace sluice::gateway
