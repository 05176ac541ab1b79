// When a client counts as away, and which of its runs are told.
#include "engine/node/presence.hpp"

#include <gtest/gtest.h>

namespace sluice::node {
namespace {

constexpr core::TenantId kTenant{7};
constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kGrace = 10 * kSecond;
constexpr core::TimeUs kEpoch = 1'760'000'000'000'000;

struct World {
  Presences presences{kGrace};
  std::int64_t at = 5 * kSecond;

  World() { presences.open(now()); }
  Presences::Now now() const { return {at, kEpoch + at}; }
  // Time goes on; what comes due then is said.
  std::string wait(std::int64_t us) {
    at += us;
    Presences::Out out;
    presences.tick(now(), out);
    return text(out);
  }
  std::string arrive(const std::string& client = "ada") {
    Presences::Out out;
    presences.arrived(kTenant, client, now(), out);
    return text(out);
  }
  void leave(const std::string& client = "ada") { presences.left(kTenant, client, now()); }
  std::string want(unsigned run, bool told_away = false, bool reissued = false) {
    Presences::Out out;
    presences.wanted({1, kTenant, "ada", id(run), told_away, reissued}, now(), out);
    return text(out);
  }
  void over(unsigned run) { presences.over(kTenant, "ada", id(run)); }

  static core::RunId id(unsigned run) { return core::make_run_id({}, run, kEpoch, 0); }
  // "1 away since 5, 2 back since 9"; seconds of this world.
  static std::string text(const Presences::Out& out) {
    std::string all;
    for (const Presences::News& each : out) {
      EXPECT_EQ(each.tenant, kTenant);
      unsigned run = 1;
      while (!(id(run) == each.presence.run)) ++run;
      const core::TimeUs since = each.presence.since == 0 ? 0 : each.presence.since - kEpoch;
      all += (all.empty() ? "" : ", ") + std::to_string(run) +
             (each.presence.away ? " away since " : " back since ") +
             std::to_string(since / kSecond);
    }
    return all;
  }
};

TEST(Presences, ARunIsToldWhenTheLastSessionWentAndTheFirstCame) {
  World world;
  world.arrive(), world.arrive();
  EXPECT_EQ(world.want(1), "");
  world.leave();
  EXPECT_EQ(world.wait(60 * kSecond), "");
  world.leave();  // at 65
  EXPECT_EQ(world.wait(kGrace - 1), "");
  EXPECT_EQ(world.wait(1), "1 away since 65");
  EXPECT_EQ(world.wait(60 * kSecond), "");
  EXPECT_EQ(world.arrive(), "1 back since 135");
  EXPECT_EQ(world.arrive(), "");
}

TEST(Presences, WhoeverIsBackInTimeWasNeverAway) {
  World world;
  world.arrive();
  world.want(1);
  for (int i = 0; i < 5; ++i) {
    world.leave();
    EXPECT_EQ(world.wait(kGrace - 1), "");
    EXPECT_EQ(world.arrive(), "");
  }
  EXPECT_EQ(world.wait(60 * kSecond), "");
  world.leave();
  EXPECT_EQ(world.presences.next_due(), world.at + kGrace);  // counted anew each time
}

TEST(Presences, ARunThatBeginsWhileItsClientIsAwayIsToldAtOnce) {
  World world;
  world.wait(kGrace);
  EXPECT_EQ(world.want(1), "1 away since 5");
  EXPECT_EQ(world.want(2), "2 away since 5");
  EXPECT_EQ(world.arrive(), "1 back since 15, 2 back since 15");
  world.leave();
  EXPECT_EQ(world.want(3), "");  // not sure yet
  EXPECT_EQ(world.wait(kGrace), "1 away since 15, 2 away since 15, 3 away since 15");
}

TEST(Presences, BehindAStartEverybodyHasTheGrace) {
  World world;
  world.presences = Presences(kGrace);
  world.want(1, false, true), world.want(2, true, true);
  EXPECT_EQ(world.wait(60 * kSecond), "");  // nobody can come yet
  world.presences.open(world.now());        // at 65
  EXPECT_EQ(world.want(3), "");
  EXPECT_EQ(world.wait(kGrace - 1), "");
  EXPECT_EQ(world.wait(1), "1 away since 65, 3 away since 65");  // 2 knows it already
  EXPECT_EQ(world.arrive(), "1 back since 75, 2 back since 75, 3 back since 75");

  world.presences = Presences(kGrace);
  world.want(1, false, true), world.want(2, true, true);
  world.presences.open(world.now());
  EXPECT_EQ(world.arrive(), "2 back since 75");  // 1 was never told
  EXPECT_EQ(world.wait(60 * kSecond), "");
}

TEST(Presences, BehindATakeoverToo) {
  World world;
  world.wait(60 * kSecond);
  EXPECT_EQ(world.want(1, false, true), "");
  EXPECT_EQ(world.wait(kGrace), "1 away since 65");
  // The same partition again: what it says of its runs counts.
  world.presences.drop_partition({});
  world.arrive();
  EXPECT_EQ(world.want(1, true, true), "1 back since 75");
  EXPECT_EQ(world.want(1, false, true), "");
}

TEST(Presences, NothingIsKeptOfWhoeverIsAwayAndHasNoRun) {
  World world;
  world.arrive();
  world.want(1), world.want(2);
  EXPECT_EQ(world.presences.listening(), 2u);
  world.over(1);
  world.leave();
  world.over(2), world.over(2);
  EXPECT_EQ(world.presences.clients(), 1u);  // in its grace
  EXPECT_EQ(world.wait(kGrace), "");
  EXPECT_EQ(world.presences.clients(), 0u);
  EXPECT_EQ(world.presences.listening(), 0u);
  EXPECT_FALSE(world.presences.next_due());
  world.want(3);
  world.over(3);
  EXPECT_EQ(world.presences.clients(), 0u);
  world.want(4);
  world.presences.drop_partition(core::PartitionId{1});
  EXPECT_EQ(world.presences.listening(), 1u);
  world.presences.drop_partition({});
  EXPECT_EQ(world.presences.clients(), 0u);
}

TEST(Presences, OthersAreNobodysMatter) {
  World world;
  world.arrive(), world.arrive("bob");
  world.want(1);
  world.leave("bob");
  EXPECT_EQ(world.wait(60 * kSecond), "");
  EXPECT_EQ(world.arrive("bob"), "");
  world.leave("nobody");
  EXPECT_EQ(world.presences.clients(), 2u);
}

}  // namespace
}  // namespace sluice::node
