// What a session's next socket has to say of streams that its last one told of.
#include "gateway/net/told_streams.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice::gateway {
namespace {

using node::StreamUpdate;
using What = StreamUpdate::What;

StreamUpdate stream(std::uint32_t step, What what) {
  StreamUpdate update;
  update.step_number = step;
  update.what = what;
  update.text = "all so far";
  return update;
}

// The streams that are handed on, by their steps.
std::string taken(ToldStreams& told) {
  std::string steps;
  for (const StreamUpdate& each : told.take()) {
    EXPECT_EQ(each.text, "");
    steps += fmt::format("{} ", each.step_number);
  }
  return steps;
}

TEST(ToldStreams, WhatHasNoEndIsHandedOn) {
  ToldStreams told;
  EXPECT_FALSE(told.note(stream(1, What::open)));
  EXPECT_FALSE(told.note(stream(2, What::snapshot)));
  EXPECT_FALSE(told.note(stream(1, What::reset)));
  told.heard(9);
  EXPECT_TRUE(told.knows({}, 1));
  EXPECT_FALSE(told.knows({}, 3));
  EXPECT_EQ(taken(told), "2 1 ");
  EXPECT_EQ(taken(told), "");
}

TEST(ToldStreams, AnEndIsHeardOnceThePingBehindItIsAnswered) {
  ToldStreams told;
  told.note(stream(1, What::open));
  const auto first = told.note(stream(1, What::complete));
  const auto second = told.note(stream(2, What::failed));
  const auto third = told.note(stream(3, What::cancelled));
  ASSERT_TRUE(first && second && third);
  EXPECT_TRUE(told.knows({}, 1));
  told.heard(*second);  // answers for all before it
  EXPECT_FALSE(told.knows({}, 1));
  EXPECT_EQ(taken(told), "3 ");
}

TEST(ToldStreams, TheOldestAreForgotten) {
  ToldStreams told;
  for (std::uint32_t step = 0; step <= kToldStreamsMax; ++step) told.note(stream(step, What::open));
  EXPECT_FALSE(told.knows({}, 0));
  EXPECT_EQ(told.take().size(), kToldStreamsMax);
}

}  // namespace
}  // namespace sluice::gateway
