#include "gateway/net/group_feed.hpp"

#include <utility>

#include "gateway/limits.hpp"

namespace sluice::gateway {

GroupFeed::GroupFeed(Shard& shard, Subscriber& subscriber, Find find, Place place)
    : shard_(shard),
      subscriber_(subscriber),
      find_(std::move(find)),
      place_(std::move(place)),
      log_(core::group_client(place_.group)),
      feed_(*this) {
  shard_.add_deliveries(place_.tenant, log_, this);
}

GroupFeed::~GroupFeed() {
  shard_.remove_deliveries(place_.tenant, log_, this);
  if (attached_) shard_.node().detach(place_.tenant, log_, "", shard_.number());
}

void GroupFeed::begin(std::optional<std::uint64_t> offset) {
  node::AttachRequest request{.tenant = place_.tenant,
                              .client = log_,
                              .session = "",
                              .shard = shard_.number(),
                              .resume = true,
                              .resume_epoch = shard_.node().delivery_epoch(),
                              .resume_offset = offset.value_or(0)};
  shard_.node().attach(
      std::move(request), [shard = &shard_, find = find_, place = place_, log = log_,
                           offset](tl::expected<node::Attached, node::Refusal> attached) {
        shard->post([shard, find, place, log, offset, attached = std::move(attached)] {
          Subscriber* subscriber = find();
          GroupFeed* feed = subscriber == nullptr
                                ? nullptr
                                : subscriber->find_group(place.group, place.generation);
          if (feed != nullptr) return feed->attached(attached, offset);
          if (attached) shard->node().detach(place.tenant, log, "", shard->number());
        });
      });
}

void GroupFeed::attached(const tl::expected<node::Attached, node::Refusal>& attached,
                         std::optional<std::uint64_t> offset) {
  if (!attached) {
    // The last that is done: this feed is taken away by it.
    const node::Refusal refusal = attached.error();
    return subscriber_.group_failed(place_.group, refusal);
  }
  attached_ = true;
  // An offset beyond the highest is of a log that is no more: all that is retained follows.
  const std::uint64_t from = offset ? attached->offset : attached->highest;
  subscriber_.group_attached(place_.group, from, !offset || attached->recovered);
  feed_.begin(from, attached->highest);
}

void GroupFeed::deliver(const node::Delivery& delivery) {
  subscriber_.deliver(delivery, place_.group);
}

void GroupFeed::read_after(std::uint64_t offset) {
  shard_.node().read_deliveries({.tenant = place_.tenant,
                                 .client = log_,
                                 .after = offset,
                                 .limit = limits::kResumePage,
                                 .bytes = limits::kResumePageBytes},
                                [shard = &shard_, find = find_, place = place_](
                                    tl::expected<node::DeliveryPage, node::Refusal> page) {
                                  shard->post([find, place, page = std::move(page)]() mutable {
                                    Subscriber* subscriber = find();
                                    GroupFeed* feed =
                                        subscriber == nullptr
                                            ? nullptr
                                            : subscriber->find_group(place.group, place.generation);
                                    if (feed == nullptr) return;
                                    if (page) {
                                      feed->feed_.on_page(std::move(*page));
                                    } else {
                                      feed->feed_.on_read_failed();
                                    }
                                  });
                                });
}

}  // namespace sluice::gateway
