// The delivery feed against a model: whatever is missed, late, doubled or trimmed, the socket sees
// each retained delivery once, in order.
#include "gateway/net/delivery_feed.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <optional>

namespace sluice::gateway {
namespace {

constexpr std::size_t kPage = 4;
constexpr std::size_t kRoom = 3;  // deliveries that the socket holds

node::Delivery delivery(std::uint64_t offset) {
  node::Delivery made;
  made.offset = offset;
  return made;
}

// Storage, and a socket with room for some deliveries at a time.
class World : public DeliveryFeed::Owner {
 public:
  DeliveryFeed feed{*this};
  std::map<std::uint64_t, bool> stored;  // by offset; false: trimmed
  std::vector<std::uint64_t> seen;
  std::optional<std::uint64_t> asked;
  std::vector<std::uint64_t> in_flight;  // live ones on their way to the shard
  std::uint64_t highest = 0;
  std::size_t queued = 0;
  std::size_t page_size = kPage;  // fewer where they are large

  void deliver(const node::Delivery& one) override {
    RC_ASSERT((seen.empty() || one.offset > seen.back()));
    seen.push_back(one.offset);
    ++queued;
  }
  void read_after(std::uint64_t offset) override {
    RC_ASSERT(!asked);
    asked = offset;
  }
  bool has_room() override { return queued < kRoom; }

  void drain() {
    queued = 0;
    feed.resume();
  }

  void answer(bool fails) {
    if (!asked) return;
    const std::uint64_t after = *std::exchange(asked, std::nullopt);
    if (fails) return feed.on_read_failed();
    node::DeliveryPage page;
    for (auto it = stored.upper_bound(after); it != stored.end(); ++it) {
      if (!it->second) continue;
      if (page.items.size() == page_size) {
        page.more = true;
        break;
      }
      page.items.push_back(delivery(it->first));
    }
    feed.on_page(std::move(page));
  }
  void settle() {
    for (const std::uint64_t offset : std::exchange(in_flight, {})) feed.on_live(delivery(offset));
    for (int i = 0; i < 1000 && !feed.caught_up(); ++i) {
      drain();
      answer(false);
    }
  }
};

TEST(DeliveryFeed, EachRetainedDeliveryOnceInOrder) {
  EXPECT_TRUE(rc::check("feed", [] {
    World world;
    const auto before = *rc::gen::inRange<std::uint64_t>(0, 20);
    for (std::uint64_t i = 1; i <= before; ++i) world.stored[i] = true;
    world.highest = before;
    const auto start = *rc::gen::inRange<std::uint64_t>(0, before + 1);
    const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9));
    world.feed.begin(start, world.highest);
    for (const int step : steps) {
      switch (step) {
        case 0:
        case 1:  // committed, and on its way
          world.stored[++world.highest] = true;
          world.in_flight.push_back(world.highest);
          break;
        case 2:  // committed, but the live one is lost (attached between two)
          world.stored[++world.highest] = true;
          break;
        case 3:
          if (!world.in_flight.empty()) {
            world.feed.on_live(delivery(world.in_flight.front()));
            world.in_flight.erase(world.in_flight.begin());
          }
          break;
        case 4:
          world.answer(false);
          break;
        case 5:
          world.answer(true);
          break;
        case 6:
          world.drain();
          break;
        case 7:
          world.feed.resume();
          break;
        case 8:
          world.page_size = world.page_size == kPage ? 1 : kPage;
          break;
      }
    }
    // One more live delivery, so that the feed knows how far there is to go.
    world.stored[++world.highest] = true;
    world.in_flight.push_back(world.highest);
    world.settle();
    std::vector<std::uint64_t> wanted;
    for (std::uint64_t i = start + 1; i <= world.highest; ++i) wanted.push_back(i);
    RC_ASSERT(world.seen == wanted);
    RC_ASSERT(world.feed.last() == world.highest);
  }));
}

TEST(DeliveryFeed, WhatRetentionTrimmedIsPassedOver) {
  World world;
  for (std::uint64_t i = 1; i <= 10; ++i) world.stored[i] = i > 6;
  world.highest = 10;
  world.feed.begin(2, 10);
  world.settle();
  EXPECT_EQ(world.seen, (std::vector<std::uint64_t>{7, 8, 9, 10}));
  for (auto& [offset, there] : world.stored) there = false;
  World empty;
  empty.feed.begin(0, 5);
  empty.settle();
  EXPECT_TRUE(empty.seen.empty());
  EXPECT_EQ(empty.feed.last(), 5u);
  empty.feed.on_live(delivery(6));
  EXPECT_EQ(empty.seen, (std::vector<std::uint64_t>{6}));
}

TEST(DeliveryFeed, ASocketThatIsBehindIsNotReadFor) {
  World world;
  for (std::uint64_t i = 1; i <= 20; ++i) world.stored[i] = true;
  world.queued = kRoom;
  world.feed.begin(0, 20);
  EXPECT_FALSE(world.asked.has_value());
  world.drain();
  EXPECT_EQ(world.asked, 0u);
}

TEST(DeliveryFeed, TheRestOfAPageWaitsForRoom) {
  World world;
  for (std::uint64_t i = 1; i <= 20; ++i) world.stored[i] = true;
  world.feed.begin(0, 20);
  world.answer(false);
  EXPECT_EQ(world.seen, (std::vector<std::uint64_t>{1, 2, 3}));
  world.feed.resume();
  EXPECT_EQ(world.seen.size(), 3u);
  EXPECT_FALSE(world.asked.has_value());
  world.drain();
  EXPECT_EQ(world.seen.back(), 4u);
  EXPECT_EQ(world.asked, 4u);
}

TEST(DeliveryFeed, WhatComesWhileItCatchesUpWaitsForRoomToo) {
  World world;
  for (std::uint64_t i = 1; i <= 3; ++i) world.stored[i] = true;
  world.feed.begin(0, 3);
  world.answer(false);
  ASSERT_EQ(world.seen.size(), 3u);
  world.feed.on_live(delivery(4));
  EXPECT_EQ(world.seen.size(), 3u);
  world.drain();
  EXPECT_EQ(world.seen.back(), 4u);
  // What was missed has left: from now on live ones go at once, and the owner bounds them.
  for (std::uint64_t i = 5; i <= 10; ++i) world.feed.on_live(delivery(i));
  EXPECT_EQ(world.seen.back(), 10u);
}

TEST(DeliveryFeed, AShortPageWithMoreBehindItProvesNothing) {
  World world;
  for (std::uint64_t i = 1; i <= 5; ++i) world.stored[i] = true;
  world.page_size = 1;
  world.feed.begin(0, 5);
  world.answer(false);
  EXPECT_EQ(world.feed.last(), 1u);
  world.settle();
  EXPECT_EQ(world.seen, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace sluice::gateway
