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
  told.note(stream(1, What::open), 0);
  told.note(stream(2, What::snapshot), 3);
  told.note(stream(1, What::reset), 5);
  told.acknowledged(9);
  EXPECT_TRUE(told.knows({}, 1));
  EXPECT_FALSE(told.knows({}, 3));
  EXPECT_EQ(taken(told), "2 1 ");
  EXPECT_EQ(taken(told), "");
}

TEST(ToldStreams, AnEndIsHeardOnceALaterDeliveryIsAcknowledged) {
  ToldStreams told;
  told.note(stream(1, What::open), 4);
  told.note(stream(1, What::complete), 5);
  told.note(stream(2, What::failed), 6);
  told.acknowledged(5);  // sent before both
  EXPECT_TRUE(told.knows({}, 1));
  told.acknowledged(6);
  EXPECT_FALSE(told.knows({}, 1));
  EXPECT_EQ(taken(told), "2 ");
}

TEST(ToldStreams, TheOldestAreForgotten) {
  ToldStreams told;
  for (std::uint32_t step = 0; step <= kToldStreamsMax; ++step) {
    told.note(stream(step, What::open), 0);
  }
  EXPECT_FALSE(told.knows({}, 0));
  EXPECT_EQ(told.take().size(), kToldStreamsMax);
}

}  // namespace
}  // namespace sluice::gateway
