// The layout: made once, by one; refused where it is not ours; its leaves come and go.
#include "engine/journal/schema.hpp"

#include <future>
#include <thread>

#include "engine/journal/registry.hpp"
#include "tests/journal/harness.hpp"

namespace sluice::journal::test {
namespace {

class SchemaTest : public testing::Test {
 protected:
  const std::string target = PrivatePostgres::shared().create_database();
  std::string query(const std::string& sql) { return PrivatePostgres::query(target, sql); }
};

TEST_F(SchemaTest, AnEmptyDatabaseIsInitialisedOnceWhoeverComes) {
  std::vector<Cluster> seen(4);
  std::vector<std::thread> nodes;
  for (auto& cluster : seen) {
    nodes.emplace_back([&] {
      Database database = connected(target);
      auto migrated = migrate(database, 16);
      ASSERT_TRUE(migrated.has_value()) << migrated.error().message;
      cluster = *migrated;
      ASSERT_TRUE(ensure_leaves(database, kDay, kDay + 3).has_value());
    });
  }
  for (auto& node : nodes) node.join();
  for (const auto& cluster : seen) {
    EXPECT_EQ(cluster.id, seen[0].id);
    EXPECT_EQ(cluster.lease_key, seen[0].lease_key);
    EXPECT_EQ(cluster.partitions, 16u);
    EXPECT_EQ(cluster.format, kFormat);
  }
  EXPECT_EQ(query("select count(*) from partition"), "16");
  // The number of partitions is the database's, whatever a later node is told.
  Database database = connected(target);
  EXPECT_EQ(migrate(database, 8)->partitions, 16u);
}

TEST_F(SchemaTest, ANewerFormatIsRefused) {
  Database database = connected(target);
  ASSERT_TRUE(migrate(database, 4).has_value());
  query("update cluster set format = " + std::to_string(kFormat + 1));
  auto refused = migrate(database, 4);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, DatabaseError::Kind::foreign);
  EXPECT_NE(refused.error().message.find("format " + std::to_string(kFormat + 1)),
            std::string::npos);
}

TEST_F(SchemaTest, TablesOfAnotherProgramAreLeftAlone) {
  query("create table journal (note text)");
  Database database = connected(target);
  auto refused = migrate(database, 4);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, DatabaseError::Kind::foreign);
  EXPECT_EQ(query("select to_regclass('cluster') is null"), "t");
}

TEST_F(SchemaTest, LeavesAreMadeAheadAndDroppedWhenOld) {
  Database database = connected(target);
  ASSERT_TRUE(migrate(database, 4).has_value());
  ASSERT_TRUE(ensure_leaves(database, 100, 104).has_value());
  ASSERT_TRUE(ensure_leaves(database, 102, 106).has_value());
  EXPECT_EQ(leaves(database).value(), (std::vector<Day>{100, 101, 102, 103, 104, 105, 106}));
  EXPECT_EQ(drop_leaves(database, 103, 102).value(), 5);
  EXPECT_EQ(leaves(database).value(), (std::vector<Day>{103, 104, 105, 106}));
  EXPECT_EQ(query("select to_regclass('delivery_102') is not null"), "t");
  EXPECT_EQ(query("select to_regclass('delivery_101') is null"), "t");
}

TEST_F(SchemaTest, ABusyLeafIsLeftForTheNextTime) {
  Database database = connected(target);
  ASSERT_TRUE(migrate(database, 4).has_value());
  ASSERT_TRUE(ensure_leaves(database, 100, 101).has_value());
  Database reader = connected(target);
  ASSERT_TRUE(reader.script("begin; select * from journal_100"));
  EXPECT_EQ(drop_leaves(database, 101, 0).value(), 0);
  ASSERT_TRUE(reader.script("commit"));
  EXPECT_EQ(drop_leaves(database, 101, 0).value(), 1);
  EXPECT_EQ(leaves(database).value(), (std::vector<Day>{101}));
}

TEST_F(SchemaTest, OperatorsMayLookAndNothingElse) {
  Database database = connected(target);
  ASSERT_TRUE(migrate(database, 4).has_value());
  EXPECT_EQ(query("select has_table_privilege('sluice_reader', 'v_run', 'select')"), "t");
  EXPECT_EQ(query("select has_table_privilege('sluice_reader', 'journal', 'select')"), "f");
  for (const char* view : {"v_journal", "v_run", "v_stuck"}) {
    EXPECT_EQ(query(std::string("select count(*) from ") + view), "0") << view;
  }
}

TEST_F(SchemaTest, TenantsAndDeploymentsKeepTheirNumbers) {
  Database database = connected(target);
  ASSERT_TRUE(migrate(database, 4).has_value());
  const auto acme = intern_tenant(database, "acme").value();
  EXPECT_EQ(intern_tenant(database, "acme").value(), acme);
  EXPECT_NE(intern_tenant(database, "other").value(), acme);
  const std::string hash(32, 'h');
  EXPECT_EQ(store_deployment(database, hash, "bytes")->number, 1u);
  EXPECT_TRUE(store_deployment(database, hash, "bytes")->known);
  EXPECT_EQ(store_deployment(database, std::string(32, 'i'), "more")->number, 2u);
  EXPECT_EQ(read_deployments(database, 1)->size(), 1u);
  EXPECT_EQ((*read_deployment(database, 1))->artifact, "bytes");
}

TEST_F(SchemaTest, WhoWaitedForAnotherTakerTakesNothingOfIts) {
  Database a = connected(target);
  ASSERT_TRUE(migrate(a, 8).has_value());
  Database b = connected(target);
  const NodeIdentity first = identity("a", 1);
  ASSERT_TRUE(register_node(a, first) && register_node(b, identity("b", 2)));
  ASSERT_TRUE(a.script("begin"));
  ASSERT_EQ(take_partitions(a, first, 10'000)->size(), 8u);
  auto rival = std::async(std::launch::async,
                          [&] { return take_partitions(b, identity("b", 2), 10'000)->size(); });
  while (query("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "0") {
  }
  ASSERT_TRUE(a.script("commit"));
  EXPECT_EQ(rival.get(), 0u);
}

TEST_F(SchemaTest, PartitionsGoToWhoComesAndComeFreeWhenItIsSilent) {
  Database a = connected(target);
  ASSERT_TRUE(migrate(a, 8).has_value());
  Database b = connected(target);
  const NodeIdentity first = identity("a", 1);
  const NodeIdentity second = identity("b", 2);
  ASSERT_TRUE(register_node(a, first) && register_node(b, second));
  std::size_t taken[2] = {0, 0};
  std::thread rival([&] { taken[1] = take_partitions(b, second, 10'000)->size(); });
  taken[0] = take_partitions(a, first, 10'000)->size();
  rival.join();
  EXPECT_EQ(taken[0] + taken[1], 8u);
  EXPECT_EQ(take_partitions(a, first, 10'000)->size(), 0u);
  // "a" is silent for longer than it may be; "b" takes what it had.
  query("update node set seen = seen - interval '1 hour' where node = 'a'");
  EXPECT_EQ(take_partitions(b, second, 10'000)->size(), taken[0]);
  EXPECT_TRUE(owned_partitions(a, first)->empty());
  EXPECT_TRUE(renew(a, first)->ours);
  // A second process under the name of "a" makes the first know that it is not alone.
  ASSERT_TRUE(register_node(b, identity("a", 9)).has_value());
  EXPECT_FALSE(renew(a, first)->ours);
}

}  // namespace
}  // namespace sluice::journal::test
