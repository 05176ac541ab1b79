// A node with a real PostgreSQL: what comes in is journaled, what is committed leaves, and a
// restart forgets nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "engine/node/rebuild.hpp"
#include "tests/node/test_gateway.hpp"
#include "tests/support/private_postgres.hpp"

namespace sluice::node::test {
namespace {

using support::PrivatePostgres;

class NodeTest : public testing::Test {
 protected:
  NodeConfig config() {
    NodeConfig out;
    out.database = database;
    out.partitions = 8;
    out.apply_threads = 1;
    return out;
  }
  // Publishes `count` events of as many clients and waits for all outcomes.
  void run_pipelines(Node& node, int count, const std::string& prefix) {
    const std::size_t before = delivered();
    for (int i = 0; i < count; ++i) {
      const std::string client = fmt::format("{}{}", prefix, i);
      attach(node, client);
      gateway.publish(node, client, "1");
    }
    EXPECT_TRUE(gateway.wait([&] { return gateway.delivered >= before + count; }));
  }
  std::size_t delivered() {
    const std::lock_guard lock(gateway.mutex);
    return gateway.delivered;
  }

  std::string database = PrivatePostgres::shared().create_database();
  TestGateway gateway;
};

TEST_F(NodeTest, AnEventBecomesFourStepsAndOneOutcome) {
  auto node = start(config(), gateway);
  EXPECT_EQ(node->status().health, Health::serving) << node->status().why;
  deploy(*node);
  gateway.serve(node.get());
  gateway.join_worker(*node);
  const Attached attached = attach(*node, "ann");
  EXPECT_EQ(attached.offset, 0u);
  EXPECT_TRUE(attached.recovered);
  const auto token = gateway.publish(*node, "ann", "1", "hello");
  ASSERT_TRUE(gateway.wait([&] { return gateway.delivered == 1; }));
  {
    const std::lock_guard lock(gateway.mutex);
    ASSERT_EQ(gateway.accepted.count(token), 1u);
    EXPECT_FALSE(gateway.accepted[token].duplicate);
    ASSERT_EQ(gateway.accepted[token].runs.size(), 1u);
    ASSERT_EQ(gateway.tasks.size(), 4u);
    EXPECT_EQ(gateway.tasks[0].task, "t1");
    EXPECT_EQ(gateway.tasks[0].tenant, kTenant);
    EXPECT_EQ(gateway.tasks[0].args_json, "[\"hello\"]");
    const Delivery& delivery = gateway.deliveries["ann"][0];
    EXPECT_EQ(delivery.offset, 1u);
    EXPECT_EQ(delivery.name, "Answer");
    EXPECT_EQ(delivery.data_json, "{\"text\":\"t4!\"}");
    EXPECT_TRUE(delivery.outcome);
    EXPECT_EQ(delivery.run, gateway.accepted[token].runs[0]);
  }
  gateway.serve(nullptr);
}

TEST_F(NodeTest, TheTenantOfSchedulesComesWithTheFirstSchedule) {
  const auto tenants = [&] {
    return PrivatePostgres::query(database,
                                  "select coalesce(string_agg(name, ' '), '') from tenant");
  };
  NodeConfig named = config();
  named.schedule_tenant = "clockwork";
  auto node = start(named, gateway);
  core::test::Pipeline pipeline;
  deploy(*node, pipeline);
  // A request of another new tenant is behind whatever the deployment asked for.
  ASSERT_TRUE(gateway.wait_answer(gateway.publish(*node, "ann", "1")));
  EXPECT_EQ(tenants(), kTenant);
  pipeline.scheduled = true;
  deploy(*node, pipeline);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (tenants() == kTenant && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(tenants(), std::string(kTenant) + " clockwork");
}

TEST_F(NodeTest, ADuplicateGetsTheFirstAnswerAlsoAfterARestart) {
  auto node = start(config(), gateway);
  deploy(*node);
  const auto first = gateway.publish(*node, "ann", "1");
  ASSERT_TRUE(gateway.wait_answer(first));
  const auto second = gateway.publish(*node, "ann", "1", "other data");
  ASSERT_TRUE(gateway.wait_answer(second));
  node.reset();
  node = start(config(), gateway);
  const auto third = gateway.publish(*node, "ann", "1");
  ASSERT_TRUE(gateway.wait_answer(third));
  const std::lock_guard lock(gateway.mutex);
  EXPECT_FALSE(gateway.accepted[first].duplicate);
  for (const auto token : {second, third}) {
    EXPECT_TRUE(gateway.accepted[token].duplicate);
    EXPECT_EQ(gateway.accepted[token].event, gateway.accepted[first].event);
    EXPECT_EQ(gateway.accepted[token].seq, gateway.accepted[first].seq);
    EXPECT_EQ(gateway.accepted[token].runs, gateway.accepted[first].runs);
  }
}

TEST_F(NodeTest, ACleanStopLeavesACheckpointAndNothingToFold) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.serve(node.get());
  gateway.join_worker(*node);
  run_pipelines(*node, 50, "c");
  gateway.serve(nullptr);
  node->stop();
  EXPECT_EQ(node->status().health, Health::stopped);
  node.reset();
  EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from checkpoint"), "8");
  EXPECT_EQ(
      PrivatePostgres::query(database, "select count(*) from partition where owner is not null"),
      "0");
  node = start(config(), gateway);
  EXPECT_EQ(node->status().counters.recovered_records, 0u);
  EXPECT_EQ(node->status().health, Health::serving);
}

TEST_F(NodeTest, RunsGoOnAfterARestartWhereTheyWere) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.serve(node.get());
  // The second step's worker never answers.
  gateway.set_work([](Node& n, const TaskFrame& frame) {
    if (frame.task != "t2") TestGateway::finish(n, frame, frame.task + "!");
  });
  gateway.join_worker(*node);
  for (int i = 0; i < 20; ++i) gateway.publish(*node, fmt::format("c{}", i), "1");
  ASSERT_TRUE(gateway.wait([&] {
    return std::count_if(gateway.tasks.begin(), gateway.tasks.end(),
                         [](const TaskFrame& t) { return t.task == "t2"; }) == 20;
  }));
  gateway.serve(nullptr);
  node.reset();
  gateway.set_work(
      [](Node& n, const TaskFrame& frame) { TestGateway::finish(n, frame, frame.task + "!"); });
  node = start(config(), gateway);
  gateway.serve(node.get());
  EXPECT_EQ(node->status().counters.runs_live, 20u);
  for (int i = 0; i < 20; ++i) attach(*node, fmt::format("c{}", i));
  std::vector<Lease> held;
  {
    const std::lock_guard lock(gateway.mutex);
    for (const auto& task : gateway.tasks) {
      if (task.task == "t2") held.push_back(*node->lease(task.lease));
    }
  }
  // Steps that may not be repeated: their worker comes back with its leases and reports now.
  gateway.join_worker(*node, 2, 1000, held);
  for (const auto& lease : held) {
    (void)node->report({lease, ReportDone{core::test::text_value("late")}, gateway.reply()});
  }
  EXPECT_TRUE(gateway.wait([&] { return gateway.delivered == 20; }));
  gateway.serve(nullptr);
}

TEST_F(NodeTest, ARenewalHoldsBringsALeaseBackAfterARestartOrIsStale) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.join_worker(*node);
  gateway.publish(*node, "c", "1");
  ASSERT_TRUE(gateway.wait([&] { return gateway.tasks.size() == 1; }));
  const std::string text = gateway.tasks[0].lease;
  using Standing = Node::LeaseStanding;
  EXPECT_EQ(node->worker_renew(WorkerId{1}, *node->lease(text)), Standing::holds);
  EXPECT_EQ(node->worker_renew(WorkerId{}, *node->lease(text)), Standing::holds);
  node.reset();
  node = start(config(), gateway);
  gateway.join_worker(*node, 2, 0);
  const Lease lease = *node->lease(text);
  // What the partition owes reaches the dispatcher once its takeover is durable: never `stale`.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (auto standing = Standing::unknown; standing != Standing::holds;) {
    standing = node->worker_renew(WorkerId{2}, lease);
    ASSERT_NE(standing, Standing::stale);
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::yield();
  }
  // Whoever renewed it is told when the run is cancelled, and then it is over.
  CancelRequest cancel;
  cancel.tenant = kTenant;
  cancel.run = lease.run;
  cancel.reply = gateway.reply();
  // An empty name is nobody's, not everybody's.
  cancel.client = "";
  EXPECT_EQ(node->cancel_run(cancel).value().code, "unknown_run");
  SignalRequest signal;
  signal.tenant = kTenant;
  signal.client = "";
  signal.run = lease.run;
  EXPECT_EQ(node->signal_run(signal).value().code, "unknown_run");
  EXPECT_FALSE(await<RunProgram>([&](auto done) {
                 node->find_program(kTenant, "", lease.run, done);
               }).has_value());
  cancel.client = std::nullopt;
  ASSERT_FALSE(node->cancel_run(cancel));
  ASSERT_TRUE(gateway.wait([&] { return gateway.cancels.size() == 1; }));
  EXPECT_EQ(gateway.cancels[0].worker, WorkerId{2});
  EXPECT_EQ(gateway.cancels[0].lease, text);
  EXPECT_EQ(node->worker_renew(WorkerId{2}, lease), Standing::stale);
}

TEST_F(NodeTest, DeliveriesAreReadByOffsetAndSessionsGoOnWhereTheyAcked) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.serve(node.get());
  gateway.join_worker(*node);
  attach(*node, "ann", "phone");
  for (int i = 1; i <= 5; ++i) gateway.publish(*node, "ann", std::to_string(i));
  ASSERT_TRUE(gateway.wait([&] { return gateway.delivered == 5; }));
  node->ack(kTenant, "ann", "phone", 3);
  EXPECT_EQ(attach(*node, "ann", "phone").offset, 3u);
  EXPECT_EQ(attach(*node, "ann", "laptop").offset, 5u);  // new: after the greatest
  EXPECT_EQ(attach(*node, "ann", "").offset, 5u);        // a reader that never acknowledges
  gateway.serve(nullptr);
  node.reset();
  EXPECT_EQ(PrivatePostgres::query(
                database, "select string_agg(session, ',' order by session) from session_ack"),
            "laptop,phone");
  node = start(config(), gateway);
  const Attached again = attach(*node, "ann", "phone");
  EXPECT_EQ(again.offset, 3u);
  EXPECT_EQ(again.highest, 5u);
  EXPECT_TRUE(again.recovered);
  const auto page = await<DeliveryPage>([&](auto done) {
    node->read_deliveries({kTenant, "ann", again.offset, 10}, done);
  });
  ASSERT_TRUE(page.has_value());
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_FALSE(page->more);
  EXPECT_EQ(page->items[0].offset, 4u);
  EXPECT_EQ(page->items[1].offset, 5u);
  EXPECT_EQ(page->items[1].client, "ann");
}

TEST_F(NodeTest, ResumeTellsWhetherSomethingIsLost) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.serve(node.get());
  gateway.join_worker(*node);
  attach(*node, "ann");
  for (int i = 1; i <= 3; ++i) gateway.publish(*node, "ann", std::to_string(i));
  ASSERT_TRUE(gateway.wait([&] { return gateway.delivered == 3; }));
  gateway.serve(nullptr);
  const auto resume = [&](const std::string& epoch, std::uint64_t offset) {
    AttachRequest request;
    request.tenant = kTenant;
    request.client = "ann";
    request.session = "new";
    request.resume = true;
    request.resume_epoch = epoch;
    request.resume_offset = offset;
    return await<Attached>([&](auto done) { node->attach(request, done); }).value();
  };
  const std::string epoch = node->delivery_epoch();
  EXPECT_TRUE(resume(epoch, 1).recovered);
  EXPECT_EQ(resume(epoch, 1).offset, 1u);
  EXPECT_FALSE(resume(epoch, 4).recovered);
  EXPECT_FALSE(resume("another", 1).recovered);
  PrivatePostgres::query(database, "delete from delivery where \"offset\" < 3");
  EXPECT_FALSE(resume(epoch, 1).recovered);
  EXPECT_TRUE(resume(epoch, 2).recovered);
}

TEST_F(NodeTest, ARunIsFoundListedAndToldWhileItLivesAndAfter) {
  auto node = start(config(), gateway);
  deploy(*node);
  attach(*node, "ann");
  const auto token = gateway.publish(*node, "ann", "1", "hello");
  ASSERT_TRUE(gateway.wait_answer(token));
  core::RunId run;
  {
    const std::lock_guard lock(gateway.mutex);
    run = gateway.accepted[token].runs[0];
  }
  auto row = await<RunRow>([&](auto done) { node->read_run(kTenant, run, done); });
  ASSERT_TRUE(row.has_value()) << row.error().message;
  EXPECT_EQ(row->state, "running");
  EXPECT_EQ(row->client, "ann");
  EXPECT_FALSE(await<RunRow>([&](auto done) { node->read_run("other", run, done); }).has_value());
  gateway.serve(node.get());
  gateway.join_worker(*node);
  ASSERT_TRUE(gateway.wait([&] { return gateway.delivered == 1; }));
  row = await<RunRow>([&](auto done) { node->read_run(kTenant, run, done); });
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->state, "completed");
  EXPECT_EQ(row->outcome_json, "{\"text\":\"t4!\"}");
  const auto page = await<RunPage>([&](auto done) {
    RunQuery query;
    query.tenant = kTenant;
    query.client = "ann";
    node->read_runs(query, done);
  });
  ASSERT_TRUE(page.has_value());
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].run, run);
  const auto nobodys = await<RunPage>([&](auto done) {
    RunQuery query;
    query.tenant = kTenant;
    query.client = "";
    node->read_runs(query, done);
  });
  EXPECT_TRUE(nobodys.value().items.empty());
  const auto history = await<History>([&](auto done) { node->read_history(kTenant, run, done); });
  ASSERT_TRUE(history.has_value()) << history.error().message;
  EXPECT_TRUE(history->complete);
  // The steps are neither idempotent nor keyed: each is granted before it is handed out.
  ASSERT_EQ(history->items.size(), 9u);
  EXPECT_EQ(history->items[0].kind, "event");
  EXPECT_EQ(history->items[1].kind, "granted");
  EXPECT_EQ(history->items[8].kind, "done");
  EXPECT_EQ(history->items[8].step, "answer/s4");
  gateway.serve(nullptr);
}

TEST_F(NodeTest, NoSessionWaitsBehindAList) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.serve(node.get());
  gateway.join_worker(*node);
  run_pipelines(*node, 1, "c");
  auto lock = std::make_unique<TableLock>(database, "run");
  std::vector<std::future<bool>> lists;
  for (int i = 0; i < 4; ++i) {
    auto listed = std::make_shared<std::promise<bool>>();
    lists.push_back(listed->get_future());
    node->read_runs({}, [listed](const auto& page) { listed->set_value(page.has_value()); });
  }
  // Both look into the database.
  EXPECT_EQ(attach(*node, "c0", "another").offset, 1u);
  DeliveryQuery query;
  query.tenant = kTenant;
  query.client = "c0";
  query.limit = 10;
  const auto page = await<DeliveryPage>([&](auto done) { node->read_deliveries(query, done); });
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_EQ(page->items.size(), 1u);
  for (auto& list : lists) {
    EXPECT_EQ(list.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  }
  lock.reset();
  for (auto& list : lists) EXPECT_TRUE(list.get());
  gateway.serve(nullptr);
}

TEST_F(NodeTest, AListThatTakesTooLongIsEnded) {
  NodeConfig short_lists = config();
  short_lists.list_ms = 100;
  auto node = start(short_lists, gateway);
  const auto list = [&] { return await<RunPage>([&](auto done) { node->read_runs({}, done); }); };
  {
    const TableLock lock(database, "run");
    const auto page = list();
    ASSERT_FALSE(page.has_value());
    EXPECT_EQ(page.error().code, "busy");
    EXPECT_NE(page.error().message.find("narrow it"), std::string::npos) << page.error().message;
  }
  EXPECT_TRUE(list().has_value());
}

TEST_F(NodeTest, TheProjectionIsMadeAgainFromTheJournal) {
  auto node = start(config(), gateway);
  deploy(*node);
  gateway.serve(node.get());
  gateway.join_worker(*node);
  run_pipelines(*node, 20, "c");
  gateway.set_work([](Node&, const TaskFrame&) {});
  ASSERT_TRUE(gateway.wait_answer(gateway.publish(*node, "open", "1")));
  ASSERT_TRUE(gateway.wait([&] { return gateway.tasks.size() == 81; }));
  gateway.serve(nullptr);
  node->stop();
  const char* const columns =
      "run, part, tenant, deployment, flow, client, state, step, attempt, started, ended, why,"
      " outcome_name, outcome_json, correlation";
  PrivatePostgres::query(database, fmt::format("create table kept as select {} from run", columns));
  EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from kept"), "21");
  PrivatePostgres::query(database, "truncate run");
  const auto rebuilt = rebuild_runs(database);
  ASSERT_TRUE(rebuilt.has_value()) << rebuilt.error().message;
  EXPECT_EQ(rebuilt->partitions_cut, 0u);
  EXPECT_EQ(PrivatePostgres::query(database, "select count(*) from run"), "21");
  EXPECT_EQ(PrivatePostgres::query(
                database, fmt::format("select count(*) from (select {} from run except select *"
                                      " from kept) r",
                                      columns)),
            "0");
}

TEST_F(NodeTest, WrongConfigurationsAndMissingServersAreSaid) {
  NodeConfig none = config();
  none.database = "host=/nowhere dbname=x";
  auto gone = Node::start(none, gateway);
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().kind, StartError::Kind::unreachable);
  NodeConfig wrong = config();
  wrong.database += "_that_is_not_there";
  auto refused = Node::start(wrong, gateway);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, StartError::Kind::refused);
  EXPECT_NE(refused.error().message.find("does not exist"), std::string::npos);
  NodeConfig many = config();
  many.partitions = 5000;
  EXPECT_EQ(Node::start(many, gateway).error().kind, StartError::Kind::config);
  start(config(), gateway).reset();
  PrivatePostgres::query(database, "update cluster set format = 99");
  auto newer = Node::start(config(), gateway);
  ASSERT_FALSE(newer.has_value());
  EXPECT_EQ(newer.error().kind, StartError::Kind::newer_format);
}

TEST_F(NodeTest, TheSameArtifactTwiceIsOneDeployment) {
  auto node = start(config(), gateway);
  const auto first = deploy(*node);
  EXPECT_EQ(first->number, 1u);
  const auto again = await<Deployed>([&](auto done) {
    node->deploy(vm::encode_artifact(core::test::make_program({})), false, done);
  });
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->known);
  EXPECT_EQ(again->deployment->number, 1u);
  const auto bad = await<Deployed>([&](auto done) { node->deploy("not one", false, done); });
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code, "bad_artifact");
  node.reset();
  node = start(config(), gateway);
  ASSERT_NE(node->current_deployment(), nullptr);
  EXPECT_EQ(node->current_deployment()->hash, first->hash);
}

TEST_F(NodeTest, AFullInboxSaysBusyAndTakesAgainLater) {
  NodeConfig small = config();
  small.inbox_requests_max = 8;
  auto node = start(small, gateway);
  deploy(*node);
  std::vector<std::uint64_t> tokens{gateway.publish(*node, "ann", "first")};
  ASSERT_TRUE(gateway.wait_answer(tokens[0]));
  PrivatePostgres::shared().pause();
  for (int i = 0; i < 2000; ++i)
    tokens.push_back(gateway.publish(*node, "ann", fmt::format("{}", i)));
  std::size_t refused = 0;
  {
    const std::lock_guard lock(gateway.mutex);

    refused = gateway.rejected.size();
    for (const auto& [token, rejected] : gateway.rejected) {
      EXPECT_GT(rejected.refusal.retry_after_ms, 0u);
    }
  }
  EXPECT_GT(refused, 0u);
  PrivatePostgres::shared().resume();
  for (const auto token : tokens) ASSERT_TRUE(gateway.wait_answer(token));
  const std::lock_guard lock(gateway.mutex);
  EXPECT_EQ(gateway.accepted.size() + gateway.rejected.size(), tokens.size());
}

}  // namespace
}  // namespace sluice::node::test
