// The small parts of a node: lease tokens, the clock.
#include <gtest/gtest.h>

#include "engine/node/clock.hpp"
#include "engine/node/config.hpp"
#include "engine/node/lease.hpp"
#include "engine/node/unserved.hpp"

namespace sluice::node {
namespace {

Lease sample() {
  Lease lease;
  lease.partition = core::PartitionId{1023};
  lease.run.bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  lease.step = 0xfffffffe;
  lease.attempt = 3;
  lease.seq = 0x0123456789abcdef;
  lease.args_digest = ~0ull;
  lease.nonce = 42;
  lease.deployment = 7;
  lease.task = 9;
  lease.tenant = core::TenantId{11};
  return lease;
}

TEST(Lease, IsReadAsItWasMinted) {
  const LeaseKey key{1, 2, 3};
  const std::string text = mint_lease(key, sample());
  EXPECT_EQ(text.size(), kLeaseTextBytes);
  const auto read = read_lease(key, text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, sample());
}

TEST(Lease, AnyOtherTextIsNone) {
  const LeaseKey key{1, 2, 3};
  const std::string text = mint_lease(key, sample());
  EXPECT_FALSE(read_lease(LeaseKey{1, 2, 4}, text));
  EXPECT_FALSE(read_lease(key, ""));
  EXPECT_FALSE(read_lease(key, text + "A"));
  EXPECT_FALSE(read_lease(key, text.substr(1)));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char c : {'A', 'b', '9', '-', '=', '\0'}) {
      if (text[i] == c) continue;
      std::string other = text;
      other[i] = c;
      EXPECT_FALSE(read_lease(key, other)) << i << c;
    }
  }
}

TEST(DatabaseClock, FollowsWithinTheBoundsOfARoundTripAndSlewsSlowly) {
  DatabaseClock clock;
  clock.observe(1'000, 3'000, 1'002'000);
  EXPECT_EQ(clock.at(2'000), 1'002'000);
  // Consistent observations change nothing.
  clock.observe(10'000, 20'000, 1'015'000);
  EXPECT_EQ(clock.at(0), 1'000'000);
  EXPECT_EQ(clock.off_us(), 0);
  // A second later the database is 10 ms ahead: at most 500 ppm of the time that passed is made up.
  clock.observe(1'020'000, 1'020'000, 2'030'000);
  EXPECT_EQ(clock.off_us(), 10'000);
  EXPECT_EQ(clock.at(0), 1'000'000 + 500);
  EXPECT_TRUE(clock.trusted());
}

TEST(DatabaseClock, AJumpIsNotFollowedAndNotTrusted) {
  DatabaseClock clock;
  clock.observe(0, 0, 0);
  clock.observe(1'000'000, 1'000'000, 3'600'000'000);
  EXPECT_FALSE(clock.trusted());
  EXPECT_EQ(clock.at(1'000'000), 1'000'000);
  clock.observe(2'000'000, 2'000'000, 2'000'000);  // it is back
  EXPECT_TRUE(clock.trusted());
}

TEST(DatabaseClock, TestsMayLiveInAnotherTime) {
  DatabaseClock clock(5'000'000);
  clock.observe(0, 0, 1);
  EXPECT_EQ(clock.at(0), 5'000'001);
}

// What is said, as "tenant pool: tasks; …".
std::string said(Unserved& unserved, core::TimeUs now, const std::string& served = "") {
  std::string out;
  const auto still = [&](core::TenantId, std::string_view task) { return task != served; };
  for (const auto& line : unserved.take(now, still)) {
    out += (out.empty() ? "" : "; ") + std::to_string(number(line.tenant)) + " " + line.pool + ":";
    for (const auto& task : line.tasks) out += " " + task;
  }
  return out;
}

TEST(Unserved, IsSaidOncePerPoolAfterAWhileAndAgainMuchLater) {
  Unserved unserved;
  EXPECT_FALSE(unserved.next_look().has_value());
  unserved.note(core::TenantId{1}, "gpu", "embed", 0);
  unserved.note(core::TenantId{1}, "gpu", "complete", 1'000'000);
  unserved.note(core::TenantId{2}, "gpu", "embed", 0);
  EXPECT_EQ(unserved.next_look(), kUnservedAfterUs);
  EXPECT_EQ(said(unserved, kUnservedAfterUs - 1), "");
  EXPECT_EQ(said(unserved, kUnservedAfterUs), "1 gpu: embed; 2 gpu: embed");
  EXPECT_EQ(said(unserved, 2 * kUnservedAfterUs), "");
  EXPECT_EQ(said(unserved, kUnservedAfterUs + kUnservedEveryUs),
            "1 gpu: complete embed; 2 gpu: embed");
}

TEST(Unserved, WhatASecondWorkerServesIsForgotten) {
  Unserved unserved;
  unserved.note(core::TenantId{1}, "gpu", "embed", 0);
  EXPECT_EQ(said(unserved, kUnservedAfterUs, "embed"), "");
  EXPECT_TRUE(unserved.empty());
  // Waits anew, with its own while.
  unserved.note(core::TenantId{1}, "gpu", "embed", kUnservedAfterUs);
  EXPECT_EQ(said(unserved, 2 * kUnservedAfterUs - 1), "");
  EXPECT_EQ(said(unserved, 2 * kUnservedAfterUs), "1 gpu: embed");
}

}  // namespace
}  // namespace sluice::node
