// What a node keeps through: a database that goes and comes back, connections that are cut, nodes
// that fight, midnight.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "engine/journal/schema.hpp"
#include "engine/node/notebook.hpp"
#include "tests/node/test_gateway.hpp"
#include "tests/support/private_postgres.hpp"

namespace sluice::node::test {
namespace {

using support::PrivatePostgres;

NodeConfig config_of(const std::string& database, const std::string& name = "node-1") {
  NodeConfig config;
  config.database = database;
  config.name = name;
  config.partitions = 8;
  config.apply_threads = 2;
  return config;
}

core::test::Pipeline safe_pipeline() {
  core::test::Pipeline pipeline;
  for (auto& step : pipeline.steps) step.policies.idempotent = true;
  return pipeline;
}

// Looks at the status until it is so, or patience ends.
bool becomes(Node& node, Health health) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (node.status().health != health) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

// Events of several clients, each sent again until it is accepted; at the end every event has one
// outcome, in gap-free order.
class FaultTest : public testing::Test {
 protected:
  static constexpr int kClients = 20;

  void begin(const std::string& database) {
    node = start(config_of(database), gateway);
    deploy(*node, safe_pipeline());
    serve();
  }
  void serve() {
    gateway.serve(node.get());
    gateway.join_worker(*node, ++workers);
    for (int i = 0; i < kClients; ++i) attach(*node, fmt::format("c{}", i));
  }
  // Sends one event per client, and those again that were not accepted.
  void send_round(int round) {
    node->worker_credit(WorkerId{workers}, 10'000);  // rounds may be many
    for (int i = 0; i < kClients; ++i) {
      const std::string client = fmt::format("c{}", i);
      sent.push_back({client, fmt::format("{}", round), 0});
      sent.back().token = gateway.publish(*node, client, sent.back().id);
    }
  }
  // Until every event is accepted; a refused one is asked again.
  void insist() {
    for (auto& event : sent) {
      for (;;) {
        ASSERT_TRUE(gateway.wait_answer(event.token));
        {
          const std::lock_guard lock(gateway.mutex);
          if (gateway.accepted.count(event.token) > 0) break;
        }
        event.token = gateway.publish(*node, event.client, event.id);
      }
    }
  }
  // What the database holds is the truth: each event one run, each run one outcome, offsets without
  // gaps.
  void expect_exactly_once(const std::string& database) {
    ASSERT_TRUE(gateway.wait([&] { return distinct_outcomes() >= sent.size(); }))
        << distinct_outcomes() << " of " << sent.size();
    gateway.serve(nullptr);
    node->stop();
    const std::string events = std::to_string(sent.size());
    EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from journal where kind = 1"),
              events);
    EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from delivery"), events);
    EXPECT_EQ(PrivatePostgres::query(
                  database,
                  "select count(*) from (select part, client, max(\"offset\") - count(*) as gap"
                  " from delivery group by 1, 2) g where gap <> 0"),
              "0");
    EXPECT_EQ(PrivatePostgres::query(database,
                                     "select count(*) from (select part, max(seq) - count(*) as gap"
                                     " from journal group by 1) g where gap <> 0"),
              "0");
  }
  // With the gateway's lock held.
  std::size_t distinct_outcomes() {
    std::size_t count = 0;
    for (const auto& [client, deliveries] : gateway.deliveries) {
      std::set<std::uint64_t> offsets;
      for (const auto& delivery : deliveries) offsets.insert(delivery.offset);
      count += offsets.size();
    }
    return count;
  }

  struct Sent {
    std::string client;
    std::string id;
    std::uint64_t token;
  };
  std::vector<Sent> sent;
  std::uint64_t workers = 0;
  TestGateway gateway;
  std::unique_ptr<Node> node;
};

TEST_F(FaultTest, ADatabaseThatCrashesUnderLoadAndComesBackLosesNothing) {
  PrivatePostgres postgres;
  const std::string database = postgres.create_database();
  begin(database);
  for (int round = 0; round < 5; ++round) send_round(round);
  postgres.stop(PrivatePostgres::Stop::immediate);
  for (int round = 5; round < 10; ++round) send_round(round);
  ASSERT_TRUE(becomes(*node, Health::database_gone));
  EXPECT_FALSE(node->status().why.empty());
  postgres.start();
  for (int round = 10; round < 12; ++round) send_round(round);
  insist();
  expect_exactly_once(database);
  EXPECT_GE(node->status().counters.reconnects, 1u);
}

// Each reading thread's connection died while it was idle: none of the first reads may pay for it.
TEST_F(FaultTest, ReadsFindADatabaseThatCameBack) {
  PrivatePostgres postgres;
  const std::string database = postgres.create_database();
  begin(database);
  send_round(0);
  insist();
  postgres.stop(PrivatePostgres::Stop::immediate);
  ASSERT_TRUE(becomes(*node, Health::database_gone));
  postgres.start();
  ASSERT_TRUE(becomes(*node, Health::serving));
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 16; ++i) {
    auto answer = std::make_shared<std::promise<std::string>>();
    answers.push_back(answer->get_future());
    node->read_runs({}, [answer](auto page) {
      answer->set_value(page ? "read" : page.error().code + ": " + page.error().message);
    });
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get(), "read");
  expect_exactly_once(database);
}

TEST_F(FaultTest, ConnectionsThatAreCutUnderLoadLoseNothing) {
  const std::string database = PrivatePostgres::shared().create_database();
  begin(database);
  for (int round = 0; round < 15; ++round) {
    send_round(round);
    PrivatePostgres::query(database,
                           "select count(pg_terminate_backend(pid)) from pg_stat_activity where"
                           " datname = current_database() and pid <> pg_backend_pid()");
  }
  insist();
  expect_exactly_once(database);
}

TEST_F(FaultTest, ADatabaseThatHangsIsWaitedFor) {
  const std::string database = PrivatePostgres::shared().create_database();
  begin(database);
  send_round(0);
  insist();
  PrivatePostgres::shared().pause();
  for (int round = 1; round < 4; ++round) send_round(round);
  PrivatePostgres::shared().resume();
  insist();
  expect_exactly_once(database);
}

// While the database hangs nobody is answered, but a task that changes nothing outside is out.
TEST_F(FaultTest, AReadonlyTaskIsHandedOutBeforeItsCommit) {
  const std::string database = PrivatePostgres::shared().create_database();
  node = start(config_of(database), gateway);
  core::test::Pipeline pipeline = safe_pipeline();
  pipeline.steps[0].policies.readonly = pipeline.steps[1].policies.readonly = true;
  deploy(*node, pipeline);
  serve();
  send_round(0);
  insist();
  ASSERT_TRUE(gateway.wait([&] { return distinct_outcomes() >= sent.size(); }));
  const auto handed = [&](const char* task) {
    return std::count_if(gateway.tasks.begin(), gateway.tasks.end(),
                         [&](const TaskFrame& frame) { return frame.task == task; });
  };
  PrivatePostgres::shared().pause();
  send_round(1);
  EXPECT_TRUE(gateway.wait([&] { return handed("t2") == 2 * kClients; }));
  {
    const std::lock_guard lock(gateway.mutex);
    EXPECT_EQ(gateway.accepted.size(), static_cast<std::size_t>(kClients));
    EXPECT_EQ(handed("t3"), kClients);  // not readonly: it waits for the commit
  }
  PrivatePostgres::shared().resume();
  insist();
  expect_exactly_once(database);
}

// Programs come over a connection of their own, which dies here whenever one is asked for: the
// partitions that need it wait, and none halts.
TEST_F(FaultTest, AProgramThatCannotBeReadNowIsAskedForAgain) {
  const std::string database = PrivatePostgres::shared().create_database();
  node = start(config_of(database), gateway);
  deploy(*node, safe_pipeline());
  send_round(0);  // nobody works on them: they live on with the first deployment
  insist();
  core::test::Pipeline other = safe_pipeline();
  other.notify = true;
  deploy(*node, other);
  journal::Database locker(database);
  ASSERT_TRUE(locker.connect(5'000).has_value());
  ASSERT_TRUE(locker.script("begin; lock table artifact in access exclusive mode").has_value());
  auto starting =
      std::async(std::launch::async, [&] { return start(config_of(database, "node-2"), gateway); });
  const auto cut = [&](int times) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (times > 0 && std::chrono::steady_clock::now() < until) {
      times -= std::stoi(PrivatePostgres::query(
          database,
          "select count(pg_terminate_backend(pid)) from pg_stat_activity where wait_event_type ="
          " 'Lock' and datname = current_database() and query like '%artifact%'"));
    }
    return times <= 0;
  };
  EXPECT_TRUE(cut(1));  // the newest program, while the node starts
  auto second = starting.get();
  EXPECT_EQ(second->current_deployment(), nullptr);
  node->stop();
  node = std::move(second);
  EXPECT_TRUE(cut(6));  // the newest again, or the first, which the folds need
  EXPECT_EQ(node->status().counters.partitions_halted, 0u) << node->status().why;
  ASSERT_TRUE(locker.script("commit").has_value());
  ASSERT_TRUE(becomes(*node, Health::serving)) << node->status().why;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!node->current_deployment() && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  ASSERT_NE(node->current_deployment(), nullptr);
  EXPECT_EQ(node->current_deployment()->number, 2u);
  for (int i = 0; i < kClients; ++i) attach(*node, fmt::format("c{}", i));
  gateway.serve(node.get());
  gateway.join_worker(*node);
  expect_exactly_once(database);
}

TEST_F(FaultTest, PartitionsThatWereTakenAwayAreFoldedAnew) {
  const std::string database = PrivatePostgres::shared().create_database();
  begin(database);
  send_round(0);
  // As if another had taken them and let them go: the next append of each does not pass.
  PrivatePostgres::query(database, "update partition set epoch = epoch + 1");
  for (int round = 1; round < 4; ++round) send_round(round);
  insist();
  expect_exactly_once(database);
}

TEST_F(FaultTest, AnotherNodeTakesOverWhatAStoppedOneHad) {
  const std::string database = PrivatePostgres::shared().create_database();
  begin(database);
  for (int round = 0; round < 3; ++round) send_round(round);
  insist();
  auto second = start(config_of(database, "node-2"), gateway);
  EXPECT_EQ(second->status().health, Health::degraded);
  gateway.serve(nullptr);
  node->stop();
  node = std::move(second);
  ASSERT_TRUE(becomes(*node, Health::serving));
  serve();
  for (int round = 3; round < 5; ++round) send_round(round);
  insist();
  // Deliveries of the first node's last runs may have been made while nobody was attached.
  const std::string events = std::to_string(sent.size());
  while (PrivatePostgres::query(database, "select count(*) from delivery") != events) {
  }
  EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from journal where kind = 1"),
            events);
  gateway.serve(nullptr);
}

TEST_F(FaultTest, TwoNodesThatFightNeverBothWrite) {
  const std::string database = PrivatePostgres::shared().create_database();
  begin(database);
  auto rival = start(config_of(database, "node-2"), gateway);
  for (int round = 0; round < 10; ++round) {
    send_round(round);
    // Each is made to look dead in turn; the other takes what it finds.
    PrivatePostgres::query(database, fmt::format("update node set seen = seen - interval '1 hour'"
                                                 " where node = 'node-{}'",
                                                 round % 2 + 1));
  }
  rival->stop();
  insist();
  while (PrivatePostgres::query(database, "select count(*) from delivery") !=
         std::to_string(sent.size())) {
  }
  gateway.serve(nullptr);
  node->stop();
  EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from journal where kind = 1"),
            std::to_string(sent.size()));
  EXPECT_EQ(PrivatePostgres::query(database,
                                   "select count(*) from (select epoch < lag(epoch) over (partition"
                                   " by part order by seq) as falls from journal) j where falls"),
            "0");
}

TEST_F(FaultTest, ASecondProcessOfTheSameNameShutsTheFirstOut) {
  const std::string database = PrivatePostgres::shared().create_database();
  begin(database);
  auto twin = start(config_of(database), gateway);
  ASSERT_TRUE(becomes(*node, Health::degraded));
  EXPECT_EQ(twin->status().health, Health::serving) << twin->status().why;
  gateway.serve(nullptr);
}

// What retention drops may be much, and waits for whoever looks at it.
TEST_F(FaultTest, OwnershipIsRenewedWhileRetentionTakesItsTime) {
  const std::string database = PrivatePostgres::shared().create_database();
  NodeConfig config = config_of(database);
  config.housekeeping_ms = 100;
  config.ownership_ms = 4'000;
  node = start(config, gateway);
  deploy(*node, safe_pipeline());
  const TableLock lock(database, "run");
  const auto until = [&](const std::string& condition) {
    const auto patience = std::chrono::steady_clock::now() + kPatience;
    while (PrivatePostgres::query(database, "select " + condition) != "t") {
      if (std::chrono::steady_clock::now() > patience) return false;
    }
    return true;
  };
  ASSERT_TRUE(
      until("exists (select from pg_stat_activity where wait_event_type = 'Lock'"
            " and query like 'delete from run where run in%')"));
  const std::string then = PrivatePostgres::query(database, "select clock_timestamp()");
  EXPECT_TRUE(until("seen > '" + then + "'::timestamptz + interval '4 s' from node"));
  serve();
  send_round(0);
  insist();
  gateway.serve(nullptr);
}

TEST_F(FaultTest, MidnightPassesUnderLoad) {
  const std::string database = PrivatePostgres::shared().create_database();
  NodeConfig config = config_of(database);
  const std::int64_t now =
      std::stoll(PrivatePostgres::query(database,
                                        "select (extract(epoch from now()) * 1000000)"
                                        "::int8"));
  const auto today = journal::day_of(now);
  config.time_shift_us = (std::int64_t{today} + 1) * journal::kUsPerDay - now - 1'500'000;
  node = start(config, gateway);
  deploy(*node, safe_pipeline());
  serve();
  int round = 0;
  const auto days = [&] {
    return PrivatePostgres::query(database,
                                  "select count(distinct day) from journal where kind = 1");
  };
  while (days() != "2") send_round(round++);
  insist();
  expect_exactly_once(database);
}

TEST_F(FaultTest, ANodeWaitsForADatabaseThatIsNotThereYet) {
  PrivatePostgres postgres;
  const std::string database = postgres.create_database();
  postgres.stop(PrivatePostgres::Stop::fast);
  NodeConfig config = config_of(database);
  EXPECT_EQ(Node::start(config, gateway).error().kind, StartError::Kind::unreachable);
  config.database_wait_ms = 20'000;
  auto starting = std::async(std::launch::async, [&] { return start(config, gateway); });
  postgres.start();
  node = starting.get();
  EXPECT_EQ(node->status().health, Health::serving);
}

TEST_F(FaultTest, AnInputThatKilledTheProcessTwiceIsJournaledUnapplied) {
  const std::string database = PrivatePostgres::shared().create_database();
  const auto directory =
      std::filesystem::temp_directory_path() / fmt::format("sluice-notebook-{}", getpid());
  std::filesystem::create_directories(directory);
  NodeConfig config = config_of(database);
  config.state_dir = directory;
  node = start(config, gateway);
  deploy(*node, safe_pipeline());
  auto token = gateway.publish(*node, "ann", "good");
  ASSERT_TRUE(gateway.wait_answer(token));
  node.reset();
  core::Event event;
  const std::string data = core::test::ask("hi");
  event.deployment = 1;
  event.client = event.order_key = "ann";
  event.id = "bad";
  event.data = data;
  const auto tenant = static_cast<core::TenantId>(std::stoul(PrivatePostgres::query(
      database, fmt::format("select id from tenant where name = '{}'", kTenant))));
  const auto home = core::partition_of_client(tenant, "ann", 8);
  const core::Hash128 input = Notebook::name(home, core::make_record(tenant, event));
  for (int crash = 0; crash < 2; ++crash) {
    auto notebook = Notebook::open(directory);
    ASSERT_TRUE(notebook.has_value());
    EXPECT_FALSE((*notebook)->poisonous(input));
    (*notebook)->begin(3, input);  // and never ended
  }
  node = start(config, gateway);
  token = gateway.publish(*node, "ann", "bad");
  ASSERT_TRUE(gateway.wait_answer(token));
  EXPECT_EQ(PrivatePostgres::query(database,
                                   "select count(*) from v_journal where kind = 'event' and"
                                   " verdict = 'suspect'"),
            "1");
  {
    const std::lock_guard lock(gateway.mutex);
    EXPECT_EQ(gateway.rejected.count(token), 1u);
  }
  token = gateway.publish(*node, "ann", "good 2");
  ASSERT_TRUE(gateway.wait_answer(token));
  node.reset();
  node = start(config, gateway);  // and the fold obeys the verdict
  EXPECT_EQ(node->status().health, Health::serving);
  node.reset();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice::node::test
