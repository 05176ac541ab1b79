// The stream feed against a model: however slow the socket, and whenever it joins, what the client
// puts together is what the worker said, at the pace asked for, with one end of each stream.
#include "gateway/net/stream_feed.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <deque>
#include <map>
#include <optional>
#include <set>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

using node::StreamUpdate;
using What = StreamUpdate::What;
using std::chrono::milliseconds;

// The node's side of some streams, the way to the shard, and the client behind the socket.
class World : public StreamFeed::Owner {
 public:
  explicit World(milliseconds pace) : feed(*this, pace), pace_(pace) {}

  StreamFeed feed;
  StreamFeed::Time now{};
  bool room = true;
  std::uint64_t tokens = 0, snapshots = 0;

  // ---- the node
  void begin(std::uint32_t step) {
    if (live_.count(step) > 0 || over_.count(step) > 0) return;
    send(step, What::open);
  }
  void say(std::uint32_t step, const std::string& text) {
    const auto found = live_.find(step);
    if (found == live_.end()) return;
    StreamUpdate update = found->second;
    update.what = What::piece;
    update.at = update.text.size();
    update.text = text;
    found->second.text += text;
    on_way_.push_back(update);
  }
  void again(std::uint32_t step) {
    if (live_.count(step) > 0) send(step, What::reset);
  }
  void end(std::uint32_t step, What how) {
    const auto found = live_.find(step);
    if (found == live_.end()) return;
    StreamUpdate update = found->second;
    update.what = how;
    update.text.clear();
    texts_[step] = found->second.text;
    live_.erase(found);
    over_.insert(step);
    on_way_.push_back(update);
  }
  // So many updates reach the shard.
  void arrive(std::size_t count) {
    for (; count > 0 && !on_way_.empty(); --count) {
      const StreamUpdate update = on_way_.front();
      on_way_.pop_front();
      feed.on_update(update, now);
    }
  }
  void join() {
    if (joined_) return;
    joined_ = true;
    std::vector<StreamUpdate> all;
    for (const auto& [step, stream] : live_) all.push_back(*read_stream({}, step));
    feed.begin(all, now);
  }
  void pass(milliseconds time) {
    const auto until = now + time;
    while (const auto due = feed.next_due()) {
      if (*due > until) break;
      RC_ASSERT(*due >= now);  // no busy loop: each call moves what is due
      now = std::max(now, *due);
      feed.on_time(now);
      const auto later = feed.next_due();
      if (later && *later <= now) break;
    }
    now = until;
    feed.on_time(now);
  }

  // ---- the socket
  void send_token(const StreamUpdate& stream, std::uint64_t n, std::string_view text) override {
    RC_ASSERT(room);
    Seen& seen = open_.at(stream.step_number);
    RC_ASSERT(stream.attempt == seen.attempt);
    RC_ASSERT(n == seen.next_n++);
    RC_ASSERT(!text.empty());
    RC_ASSERT(n == 0u || now >= seen.last + pace_);
    seen.last = now;
    seen.text += text;
    ++tokens;
  }
  void send_stream(const StreamUpdate& stream) override {
    const std::uint32_t step = stream.step_number;
    switch (stream.what) {
      case What::open:
        RC_ASSERT(open_.count(step) == 0u);
        open_[step] = {stream.attempt};
        return;
      case What::reset:
        RC_ASSERT(open_.count(step) == 0u || open_[step].attempt < stream.attempt);
        open_[step] = {stream.attempt};
        return;
      case What::snapshot: {
        ++snapshots;
        Seen& seen = open_[step];
        RC_ASSERT(seen.attempt <= stream.attempt);
        if (seen.attempt == stream.attempt) RC_ASSERT(stream.text.starts_with(seen.text));
        seen.attempt = stream.attempt;
        seen.text = stream.text;
        seen.last = now;
        return;
      }
      default:
        RC_ASSERT(open_.count(step) == 1u);
        RC_ASSERT(ended_.insert(step).second);
        ends_[step] = open_[step].text;
        open_.erase(step);
        return;
    }
  }
  bool has_stream_room() const override { return room; }
  std::optional<StreamUpdate> read_stream(const core::RunId&, std::uint32_t step) override {
    const auto found = live_.find(step);
    if (found == live_.end()) return std::nullopt;
    StreamUpdate update = found->second;
    update.what = What::snapshot;
    return update;
  }

  // Once all has come and the socket had room: the client has every text.
  void check_end() {
    room = true;
    arrive(on_way_.size());
    for (int i = 0; i < 20; ++i) pass(milliseconds(600));
    for (const auto& [step, seen] : open_) {
      if (live_.count(step) > 0) RC_ASSERT(seen.text == live_[step].text);
    }
    if (joined_) {
      for (const auto& [step, stream] : live_) RC_ASSERT(open_.count(step) == 1u);
    }
    for (const auto& [step, text] : ends_) RC_ASSERT(texts_[step].starts_with(text));
    for (const std::uint32_t step : over_) RC_ASSERT(open_.count(step) == 0u);
    RC_ASSERT(!feed.next_due());
  }

 private:
  struct Seen {
    std::uint32_t attempt = 0;
    std::uint64_t next_n = 0;
    StreamFeed::Time last{};
    std::string text;
  };

  void send(std::uint32_t step, What what) {
    StreamUpdate& stream = live_[step];
    stream.step_number = step;
    stream.attempt = what == What::open ? 1 : stream.attempt + 1;
    stream.order = ++order_;
    stream.text.clear();
    StreamUpdate update = stream;
    update.what = what;
    on_way_.push_back(update);
  }

  milliseconds pace_;
  bool joined_ = false;
  std::uint64_t order_ = 0;
  std::map<std::uint32_t, StreamUpdate> live_;  // with all so far
  std::set<std::uint32_t> over_;
  std::map<std::uint32_t, std::string> texts_;  // of what is over
  std::deque<StreamUpdate> on_way_;
  std::map<std::uint32_t, Seen> open_;
  std::set<std::uint32_t> ended_;
  std::map<std::uint32_t, std::string> ends_;
};

TEST(StreamFeed, TheClientPutsTogetherWhatWasSaid) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint16_t>& moves, std::uint8_t pace) {
    World world(milliseconds(pace % 4 * 40));
    if (pace % 3 != 0) world.join();
    std::uint32_t count = 0;
    for (const std::uint16_t move : moves) {
      const std::uint32_t step = 1 + move / 16 % 3;
      switch (move % 16) {
        case 0:
        case 1:
          world.begin(step);
          break;
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
          world.say(step, std::to_string(++count) + " ");
          break;
        case 7:
          world.again(step);
          break;
        case 8:
          if (move / 64 % 4 == 0) world.end(step, move / 256 % 2 ? What::complete : What::failed);
          break;
        case 9:
          world.room = move / 32 % 3 != 0;
          break;
        case 10:
          world.join();
          break;
        case 11:
        case 12:
          world.pass(milliseconds(move / 16 % 60));
          break;
        default:
          world.arrive(move / 16 % 5);
      }
    }
    world.check_end();
  }));
}

TEST(StreamFeed, TheFirstPieceLeavesAtOnceLaterOnesAreGathered) {
  World world(limits::kStreamPace);
  world.join();
  world.begin(1);
  for (int i = 0; i < 10; ++i) {
    world.say(1, "piece ");
    world.arrive(2);
    EXPECT_EQ(world.tokens, 1u + static_cast<unsigned>(i * 5 / 40));
    world.pass(milliseconds(5));
  }
  world.check_end();
  EXPECT_EQ(world.tokens, 3u);
  EXPECT_EQ(world.snapshots, 0u);
}

TEST(StreamFeed, ASlowSocketGetsASnapshotAndNoMoreMemory) {
  World world(limits::kStreamPace);
  world.join();
  world.begin(1);
  world.room = false;
  for (int i = 0; i < 1000; ++i) {
    world.say(1, std::string(1000, 'x'));
    world.arrive(2);
    world.pass(milliseconds(1));
  }
  EXPECT_EQ(world.tokens, 0u);
  world.check_end();
  EXPECT_EQ(world.snapshots, 1u);
}

TEST(StreamFeed, WhatGathersTooLongComesAsASnapshot) {
  World world(limits::kStreamPaceMax);
  world.join();
  world.begin(1);
  for (int i = 0; i < 400; ++i) {
    world.say(1, std::string(1000, 'x'));
    world.arrive(2);
  }
  EXPECT_EQ(world.tokens, 1u);
  world.check_end();
  EXPECT_EQ(world.snapshots, 1u);
}

}  // namespace
}  // namespace sluice::gateway
