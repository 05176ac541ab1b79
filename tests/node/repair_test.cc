// A partition that halts does so alone, and serves again once a person has overridden its record.
#include "engine/node/repair.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "engine/journal/reads.hpp"
#include "tests/node/test_gateway.hpp"
#include "tests/support/private_postgres.hpp"

namespace sluice::node::test {
namespace {

using support::PrivatePostgres;

constexpr unsigned kPartitions = 4;

class RepairTest : public testing::Test {
 protected:
  RepairTest() { std::filesystem::create_directories(directory); }
  ~RepairTest() override {
    gateway.serve(nullptr);
    node.reset();
    std::filesystem::remove_all(directory);
  }
  std::string query(const std::string& sql) { return PrivatePostgres::query(database, sql); }

  void begin() {
    NodeConfig config;
    config.database = database;
    config.name = "node-1";
    config.partitions = kPartitions;
    config.schedule_tenant = kTenant;  // so that it is tenant 1
    config.apply_threads = 2;
    config.state_dir = directory;
    config.checkpoint_ms = 3'600'000;
    node = start(config, gateway);
    if (node->current_deployment() == nullptr) {
      core::test::Pipeline pipeline;
      for (auto& step : pipeline.steps) step.policies.idempotent = true;
      deploy(*node, pipeline);
    }
    gateway.serve(node.get());
    gateway.join_worker(*node, ++workers);
    attach_all();
  }
  // Those whose partition serves and that have no session yet.
  void attach_all() {
    for (const auto& client : clients) {
      if (home(client) != halted && attached.insert(client).second) attach(*node, client);
    }
  }
  // The process dies: its checkpoint at the stop is undone, so that the whole tail is folded again.
  void end() {
    gateway.serve(nullptr);
    node->stop();
    node.reset();
    attached.clear();
    query("delete from checkpoint");
    query("delete from run_state");
  }
  // One event per client, and their outcomes; those of the halted partition are refused.
  void round(const std::string& id) {
    std::size_t expected = 0;
    {
      const std::lock_guard lock(gateway.mutex);
      expected = gateway.delivered;
    }
    for (const auto& client : clients) {
      const auto token = gateway.publish(*node, client, id);
      ASSERT_TRUE(gateway.wait_answer(token));
      const std::lock_guard lock(gateway.mutex);
      if (home(client) == halted) {
        ASSERT_EQ(gateway.rejected.count(token), 1u);
        EXPECT_EQ(gateway.rejected[token].refusal.code, "unavailable");
      } else {
        ASSERT_EQ(gateway.accepted.count(token), 1u) << client << " " << id;
        ++expected;
      }
    }
    EXPECT_TRUE(gateway.wait([&] { return gateway.delivered >= expected; })) << id;
  }
  static unsigned home(const std::string& client) {
    return number(core::partition_of_client(core::TenantId{1}, client, kPartitions));
  }
  bool becomes(Health health) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (node->status().health != health) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  core::Seq event_of(unsigned partition) {
    return std::stoull(
        query(fmt::format("select min(seq) from journal where part = {} and kind = 1", partition)));
  }
  std::unique_ptr<Repair> repair() {
    auto opened = Repair::open(database, directory);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    return std::move(*opened);
  }
  // The node has halted that partition alone; the override lets it serve, and nothing is told
  // twice, also after another crash.
  void halt_and_mend(core::Seq record, journal::OverrideMode cure) {
    const unsigned partition = home("ann");
    halted = partition;
    begin();
    EXPECT_EQ(node->status().health, Health::degraded);
    EXPECT_EQ(node->status().counters.partitions_halted, 1u);
    EXPECT_EQ(node->status().counters.partitions_serving, kPartitions - 1);
    EXPECT_NE(node->status().why.find(fmt::format("record {}", record)), std::string::npos)
        << node->status().why;
    round("while it is halted");

    auto mending = repair();
    for (unsigned i = 0; i < kPartitions; ++i) {
      const auto report = mending->fold(static_cast<core::PartitionId>(i));
      ASSERT_TRUE(report.has_value()) << report.error().message;
      ASSERT_EQ(report->damage.has_value(), i == partition);
      if (!report->damage) continue;
      EXPECT_EQ(report->damage->seq, record);
      EXPECT_EQ(report->damage->cure, cure);
    }
    RepairRequest request{static_cast<core::PartitionId>(partition), record + 1, {}, "w", "me"};
    auto refused = mending->override_record(request);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find(fmt::format("halts at record {}", record)),
              std::string::npos)
        << refused.error().message;
    request.partition = static_cast<core::PartitionId>((partition + 1) % kPartitions);
    EXPECT_NE(mending->override_record(request).error().message.find("has not halted"),
              std::string::npos);
    EXPECT_EQ(query("select count(*) from v_override"), "0");

    request.partition = static_cast<core::PartitionId>(partition);
    request.record = record;
    auto mended = mending->override_record(request);
    ASSERT_TRUE(mended.has_value()) << mended.error().message;
    EXPECT_FALSE(mended->damage.has_value()) << mended->damage->message;
    ASSERT_EQ(mended->overridden.size(), 1u);
    EXPECT_EQ(mended->overridden[0].seq, record);
    ASSERT_TRUE(becomes(Health::serving)) << node->status().why;  // without a restart
    EXPECT_EQ(node->status().counters.partitions_halted, 0u);
    halted = kPartitions;
    attach_all();
    round("after it");
    end();
    begin();
    EXPECT_EQ(node->status().health, Health::serving) << node->status().why;
    round("after another crash");
    expect_offsets();
  }
  void expect_offsets() {
    EXPECT_EQ(query("select count(*) from (select 1 from delivery group by part, client having"
                    " max(\"offset\") <> count(*) or count(*) <> count(distinct \"offset\")) x"),
              "0");
    const std::lock_guard lock(gateway.mutex);
    for (const auto& [client, deliveries] : gateway.deliveries) {
      std::set<std::uint64_t> offsets;
      for (const auto& delivery : deliveries) {
        EXPECT_TRUE(offsets.insert(delivery.offset).second) << client << " " << delivery.offset;
      }
    }
  }

  const std::string database = PrivatePostgres::shared().create_database();
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / fmt::format("sluice-repair-{}", getpid());
  const std::vector<std::string> clients = {"ann", "bob", "cid", "dan", "eve", "fay"};
  std::uint64_t workers = 0;
  unsigned halted = kPartitions;  // the partition that is, if one is
  std::set<std::string> attached;
  TestGateway gateway;
  std::unique_ptr<Node> node;
};

TEST_F(RepairTest, ABodyAlteredOnDisk) {
  begin();
  round("1");
  round("2");
  end();
  const core::Seq event = event_of(home("ann"));
  query(fmt::format("update journal set body = '\\x00' where part = {} and seq = {}", home("ann"),
                    event));
  halt_and_mend(event, journal::OverrideMode::skip);
  end();
  EXPECT_EQ(query("select count(*) from v_run where ended is null"), "0");
}

TEST_F(RepairTest, AByteThatChangesOnlyTheChain) {
  begin();
  round("1");
  end();
  const std::string where = fmt::format(
      "part = {} and seq = (select max(seq) from journal where part = {} and chain is not null and"
      " kind = 7 or part = {} and chain is not null and kind = 8)",
      home("ann"), home("ann"), home("ann"));
  const core::Seq record = std::stoull(query("select seq from journal where " + where));
  query("update journal set chain = set_byte(chain, 0, get_byte(chain, 0) # 1) where " + where);
  halt_and_mend(record, journal::OverrideMode::accept);
}

TEST_F(RepairTest, ARecordThatKillsTheProcess) {
  begin();
  round("1");
  round("2");
  end();
  const auto partition = static_cast<core::PartitionId>(home("ann"));
  const core::Seq event = event_of(home("ann"));
  journal::Database reader(database);
  ASSERT_TRUE(reader.connect(5'000).has_value());
  auto records = journal::read_run_records(reader, partition, event, 1);
  ASSERT_TRUE(records.has_value());
  const core::Hash128 name = Notebook::name(partition, records->records.at(0));
  for (int crash = 0; crash < 2; ++crash) (*Notebook::open(directory))->begin(3, name);
  halt_and_mend(event, journal::OverrideMode::skip);
}

TEST_F(RepairTest, AHoleIsNoMatterOfAnOverride) {
  begin();
  round("1");
  end();
  query(fmt::format("delete from journal where part = {} and seq = 2", home("ann")));
  auto mending = repair();
  auto refused =
      mending->override_record({static_cast<core::PartitionId>(home("ann")), 3, {}, "why", "me"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("no override mends that"), std::string::npos)
      << refused.error().message;
}

TEST(RepairOpen, ADatabaseWithoutSluiceIsLeftAlone) {
  const std::string database = PrivatePostgres::shared().create_database();
  auto opened = Repair::open(database, "");
  ASSERT_FALSE(opened.has_value());
  EXPECT_NE(opened.error().message.find("no Sluice"), std::string::npos);
  EXPECT_EQ(PrivatePostgres::query(database, "select to_regclass('cluster') is null"), "t");
  EXPECT_EQ(Repair::open("host=/nowhere", "").error().kind, StartError::Kind::unreachable);
}

}  // namespace
}  // namespace sluice::node::test
