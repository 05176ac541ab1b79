#include "tests/rehearsal/partitions.hpp"

#include <gtest/gtest.h>

// Signals and events of topics over several partitions: the run, the event and the home of the pair
// each on its own.
namespace sluice::core::test_partitions {
namespace {

TEST(Partitions, AnEventReachesTheRunsOfItsPairWhereverTheyAre) {
  Cluster cluster;
  std::vector<RunId> runs;
  for (unsigned i = 0; i < kPartitions; ++i) {
    const std::string id = i % 2 == 0 ? "even" : "odd";
    runs.push_back(cluster.publish("asks", R"({"id":")" + id + "\"}", cluster.client_at(i)).at(0));
    cluster.finish_step(runs.back());
  }
  cluster.settle();
  EXPECT_EQ(cluster.subscriptions(), kPartitions);
  cluster.fold();
  cluster.publish("verdicts", R"({"id":"even","by":"x","yes":false})", "rita");
  cluster.publish("verdicts", R"({"id":"even","by":"y"})", "rita");
  cluster.publish("verdicts", R"({"id":"else","by":"z"})", "rita");
  cluster.settle();
  for (unsigned i = 0; i < kPartitions; ++i) {
    EXPECT_EQ(cluster.answers.contains(runs[i]), i % 2 == 0) << i;
    if (i % 2 == 0) {
      EXPECT_EQ(cluster.answers[runs[i]], text("even by y"));
    }
  }
  EXPECT_EQ(cluster.subscriptions(), kPartitions / 2);
  cluster.fold();
  cluster.pass(3601ll * 1'000'000);
  cluster.settle();
  EXPECT_EQ(cluster.answers[runs[1]], text("nobody"));
  EXPECT_EQ(cluster.subscriptions(), 0u);
  EXPECT_TRUE(cluster.dead_letters.empty());
  cluster.fold();
}

TEST(Partitions, WhatCameSinceTheRunsBeginningCountsAndNothingBefore) {
  Cluster cluster;
  cluster.publish("verdicts", R"({"id":"a","by":"before"})", "rita");
  cluster.settle();
  cluster.now += 1000;
  const RunId run = cluster.publish("asks", R"({"id":"a"})", cluster.client_at(1)).at(0);
  cluster.publish("verdicts", R"({"id":"a","by":"early"})", "rita");
  cluster.settle();
  cluster.fold();
  EXPECT_TRUE(cluster.answers.empty());
  cluster.finish_step(run);
  cluster.settle();
  EXPECT_EQ(cluster.answers[run], text("a by early"));
  // After ten minutes it is forgotten.
  const RunId late = cluster.publish("asks", R"({"id":"b"})", cluster.client_at(1)).at(0);
  cluster.publish("verdicts", R"({"id":"b","by":"early"})", "rita");
  cluster.settle();
  cluster.pass(601ll * 1'000'000);
  for (unsigned i = 0; i < kPartitions; ++i) {
    cluster.take(PartitionId{static_cast<std::uint16_t>(i)}, make_record({}, Takeover{1}));
  }
  cluster.finish_step(late);
  cluster.settle();
  EXPECT_FALSE(cluster.answers.contains(late));
  cluster.fold();
}

TEST(Partitions, AnEventThatTwoPairsMeanCountsOnce) {
  Cluster cluster;
  const RunId run =
      cluster.publish("chats", R"({"id":"a","other":"rita"})", cluster.client_at(2)).at(0);
  cluster.settle();
  EXPECT_EQ(cluster.subscriptions(), 2u);
  cluster.publish("verdicts", R"({"id":"a","by":"rita"})", "rita");
  cluster.settle();
  EXPECT_FALSE(cluster.answers.contains(run));
  cluster.publish("verdicts", R"({"id":"a","by":"max"})", "max");
  cluster.settle();
  EXPECT_EQ(cluster.answers[run], text(" rita max"));
  EXPECT_EQ(cluster.subscriptions(), 0u);
  cluster.fold();
}

TEST(Partitions, ARunSignalsAnotherOnAnyPartition) {
  Cluster cluster;
  for (unsigned i = 0; i < kPartitions; ++i) {
    const RunId first =
        cluster.publish("calls", R"({"id":"a","other":"nobody"})", cluster.client_at(0)).at(0);
    ASSERT_EQ(cluster.dead_letters.size(), 1u);
    EXPECT_EQ(cluster.dead_letters[0].kind, "Invalid");
    cluster.dead_letters.clear();
    const std::string other = R"({"id":"b","other":")" + to_text(first) + "\"}";
    const RunId second = cluster.publish("calls", other, cluster.client_at(i)).at(0);
    cluster.settle();
    EXPECT_EQ(cluster.answers[first], text("called"));
    EXPECT_FALSE(cluster.answers.contains(second));
    // It is over: who calls it now is told so in the dead letters.
    cluster.publish("calls", other, cluster.client_at(i));
    cluster.settle();
    ASSERT_EQ(cluster.dead_letters.size(), 1u);
    cluster.dead_letters.clear();
  }
  cluster.fold();
}

}  // namespace
}  // namespace sluice::core::test_partitions
