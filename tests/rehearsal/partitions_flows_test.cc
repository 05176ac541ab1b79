#include <gtest/gtest.h>

#include "tests/rehearsal/partitions.hpp"
#include "vm/tenant_key.hpp"

// Flows that start, tell and join each other over several partitions.
namespace sluice::core::test_partitions {
namespace {

// ---- runs that flows start, under `concurrency`

TEST(Partitions, RunsOfAKeyTakeTurnsWhoeverStartsThem) {
  Cluster cluster;
  const PartitionId home = partition_of_key(kTenant, "k", kPartitions);
  std::map<RunId, std::string> parents;
  for (unsigned i = 0; i < kPartitions; ++i) {
    const std::string client = cluster.client_at(i);
    parents[cluster.publish("turns", R"({"id":"k"})", client).at(0)] = client;
  }
  cluster.settle();
  for (unsigned i = 0; i < kPartitions; ++i) {
    cluster.pass(1000);
    const std::vector<RunId> offered = cluster.offered();
    ASSERT_EQ(offered.size(), 1u) << "one at a time";
    EXPECT_EQ(partition_of(offered[0]), home);
    cluster.fold();
    cluster.finish_step(offered[0]);
    cluster.settle();
  }
  for (const auto& [parent, client] : parents) {
    EXPECT_EQ(cluster.answers[parent], text("k of " + client));
  }
  // What it notifies reaches the client that its parent's parent has.
  std::size_t told = 0;
  for (const Delivery& each : cluster.deliveries) told += each.name == "Go" ? 1 : 0;
  EXPECT_EQ(told, kPartitions);
  EXPECT_TRUE(cluster.dead_letters.empty());
  cluster.fold();
}

TEST(Partitions, ACancelReachesAChildThatWaitsAndOneThatBegan) {
  Cluster cluster;
  const RunId first = cluster.publish("turns", R"({"id":"k"})", cluster.client_at(1)).at(0);
  cluster.settle();
  cluster.pass(1000);
  const RunId second = cluster.publish("turns", R"({"id":"k"})", cluster.client_at(2)).at(0);
  cluster.settle();
  cluster.pass(1000);
  const RunId child = cluster.offered().at(0);
  cluster.cancel(second);
  EXPECT_FALSE(cluster.answers.contains(second)) << "its child has not ended yet";
  cluster.fold();
  cluster.settle();
  cluster.pass(1000);
  EXPECT_EQ(cluster.rows[second].state, RunState::cancelled);
  EXPECT_EQ(cluster.offered(), std::vector<RunId>{child}) << "the first one's goes on";
  cluster.cancel(first);
  cluster.settle();
  cluster.pass(1000);
  EXPECT_EQ(cluster.rows[first].state, RunState::cancelled);
  EXPECT_EQ(cluster.rows[child].state, RunState::cancelled);
  EXPECT_TRUE(cluster.offered().empty());
  cluster.fold();
}

// ---- joins

TEST(Partitions, EventsOfAKeyJoinTheRunWhereverTheyCameIn) {
  Cluster cluster;
  std::vector<RunId> runs;
  for (unsigned i = 0; i < 3; ++i) {
    const std::string json = R"({"id":"k","other":")" + std::to_string(i) + "\"}";
    runs.push_back(cluster.publish("threads", json, cluster.client_at(i)).at(0));
    cluster.settle();
    cluster.pass(1000);
  }
  EXPECT_EQ(cluster.offered(), std::vector<RunId>{runs[0]});
  cluster.fold();
  cluster.finish_step(runs[0]);
  cluster.settle();
  cluster.pass(1000);
  EXPECT_EQ(cluster.answers[runs[0]], text("0 1 2"));
  for (unsigned i = 1; i < 3; ++i) {
    EXPECT_EQ(cluster.rows[runs[i]].state, RunState::joined);
    EXPECT_EQ(cluster.rows[runs[i]].joined, runs[0]);
    EXPECT_EQ(cluster.rows[runs[i]].outcome_name, "");
  }
  cluster.fold();
}

// A run that waits, and is being asked for by the one that has its event, is in the state.
TEST(Partitions, OneThatLeavesIsInTheCheckpoint) {
  Cluster cluster;
  const RunId first = cluster.publish("threads", R"({"id":"k","other":"0"})", "ada").at(0);
  const RunId second = cluster.publish("threads", R"({"id":"k","other":"1"})", "ada").at(0);
  cluster.settle();
  cluster.pass(1000);
  cluster.cancel(second);
  cluster.fold();
  cluster.pass(1000);
  EXPECT_EQ(cluster.rows[second].state, RunState::cancelled);
  EXPECT_FALSE(cluster.rows.contains(first));
  cluster.finish_step(first);
  EXPECT_EQ(cluster.answers[first], text("0"));
  cluster.fold();
}

// ---- what waits for room, versions, one order

TEST(Partitions, ANotifyWaitsForRoomWhereItLeavesThePartition) {
  Cluster cluster(2);
  const std::string away = R"({"id":"x","other":")" + cluster.client_at(1) + "\"}";
  const std::string own = R"({"id":"x","other":")" + cluster.client_at(0) + "\"}";
  const std::string client = cluster.client_at(0);
  cluster.publish("loud", away, client);  // three messages: now it is full
  const RunId run = cluster.publish("loud", away, client).at(0);
  Partition& home = cluster.partition(PartitionId{0});
  EXPECT_EQ(home.stats().parked, 1u);
  EXPECT_EQ(home.stats().outbox, 3u);
  EXPECT_FALSE(cluster.answers.contains(run));
  // To a client of its own partition nothing waits, and an answer never does.
  EXPECT_EQ(cluster.answers[cluster.publish("loud", own, client).at(0)], text("told"));
  cluster.fold();
  cluster.settle();
  cluster.pass(0);
  cluster.settle();
  EXPECT_EQ(home.stats().parked, 0u);
  EXPECT_EQ(cluster.answers[run], text("told"));
  EXPECT_EQ(cluster.deliveries.size(), 15u);
  cluster.fold();
}

TEST(Partitions, WhatIsPublishedStartsTheNewestVersion) {
  Cluster cluster;
  const RunId old = cluster.publish("writers", R"({"id":"a"})", "ada").at(0);
  cluster.deploy(2, second_version());
  cluster.finish_step(old);
  cluster.settle();
  EXPECT_EQ(cluster.answers[old], text("written"));
  const std::vector<RunId> offered = cluster.offered();
  ASSERT_EQ(offered.size(), 1u);
  cluster.finish_step(offered[0]);
  EXPECT_EQ(cluster.answers[offered[0]], text("second version 7"));
  EXPECT_EQ(cluster.rows[offered[0]].deployment, 2u);
  EXPECT_TRUE(cluster.dead_letters.empty());
  cluster.fold();
  cluster.tell(offered[0], "second version 7");
}

TEST(Partitions, AnEventForATopicThatIsGoneIsADeadLetter) {
  Cluster cluster;
  const RunId old = cluster.publish("writers", R"({"id":"a"})", "ada").at(0);
  cluster.deploy(2,
                 "event Go {}\ntopic gone of Go { order by client }\n"
                 "flow go(g: Go) on gone timeout 1m { log \"x\" }\n");
  cluster.finish_step(old);
  cluster.settle();
  EXPECT_EQ(cluster.dead_letters.size(), 1u);
  cluster.fold();
}

TEST(Partitions, AllEventsOfATenantHaveOneOrder) {
  Cluster cluster;
  const auto topic = *vm::find_by_name(cluster.program().topics, "ranks");
  ASSERT_TRUE(cluster.program().topics[topic].order_function.has_value());
  EXPECT_EQ(cluster.key_of("ranks", R"({"id":"a"})"), vm::kTenantKey);
  EXPECT_EQ(cluster.key_of("ranks", R"({"id":"b"})"), vm::kTenantKey);
}

}  // namespace
}  // namespace sluice::core::test_partitions
