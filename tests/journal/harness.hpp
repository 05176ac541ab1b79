// One partition whose records are appended by hand, as an apply thread would, but step by step.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/journal/append_session.hpp"
#include "engine/journal/checkpoint.hpp"
#include "engine/journal/ownership.hpp"
#include "engine/journal/recovery.hpp"
#include "tests/core/driver.hpp"
#include "tests/support/private_postgres.hpp"

namespace sluice::journal::test {

using core::test::Driver;
using support::PrivatePostgres;
using Session = AppendSession;

inline constexpr Day kDay = day_of(core::test::kStart);

inline Database connected(const std::string& target) {
  Database database(target);
  auto facts = database.connect(5000);
  EXPECT_TRUE(facts.has_value()) << facts.error().message;
  return database;
}

inline NodeIdentity identity(const std::string& name, std::uint8_t boot) {
  NodeIdentity node;
  node.name = name;
  node.boot.bytes[15] = boot;
  return node;
}

// Drives the session until something happened.
inline Session::Event next_event(Session& session) {
  for (int i = 0; i < 200; ++i) {
    auto event = session.step();
    if (!std::holds_alternative<std::monostate>(event)) return event;
    if (session.state() == Session::State::closed) return event;
    pollfd socket{session.fd(), session.events(), 0};
    poll(&socket, 1, 100);
  }
  ADD_FAILURE() << "nothing came of the connection";
  return {};
}

inline void connect(Session& session) {
  session.connect();
  const auto event = next_event(session);
  ASSERT_TRUE(std::holds_alternative<Session::Connected>(event));
}

// A partition of its own database, owned by "a" under `epoch`.
class JournalTest : public testing::Test {
 protected:
  JournalTest() : database(connected(target)), session(target, append_application(node.boot)) {
    EXPECT_TRUE(migrate(database, 4).has_value());
    EXPECT_TRUE(ensure_leaves(database, kDay, kDay + 1).has_value());
    EXPECT_TRUE(register_node(database, node).has_value());
    auto owned = take_partitions(database, node, 10'000);
    EXPECT_TRUE(owned.has_value()) << owned.error().message;
    EXPECT_EQ(owned->size(), 4u);
    epoch = owned->front().epoch;
    connect(session);
  }

  // The driver's next record becomes a batch: it asks for digests record by record.
  std::unique_ptr<Batch> seal(Driver& driver) {
    auto batch = std::make_unique<Batch>();
    const auto part = batch->open(driver.partition.id(), epoch, tip);
    const auto& entry = driver.journal.at(written++);
    batch->add(part, entry.record, entry.applied);
    for (const auto& effect : driver.effects) {
      const auto* delivery = std::get_if<core::Delivery>(&effect);
      if (delivery == nullptr || delivery->seq != entry.record.seq) continue;
      batch->deliver(part, *delivery, core::encode_delivery(*delivery));
    }
    tip = batch->close(part, {entry.digest, true, entry.state});
    batch->seal();
    return batch;
  }
  void append_all(Driver& driver) {
    while (written < driver.journal.size()) {
      auto batch = seal(driver);
      ASSERT_EQ(append(*batch).size(), 1u);
    }
  }
  // The partitions that passed; fails the test on anything but an answer.
  std::vector<core::PartitionId> append(Batch& batch) {
    session.append(batch);
    const auto event = next_event(session);
    if (const auto* refused = std::get_if<Session::Refused>(&event)) {
      ADD_FAILURE() << refused->error.message;
    }
    const auto* appended = std::get_if<Session::Appended>(&event);
    EXPECT_NE(appended, nullptr) << event.index();
    return appended == nullptr ? std::vector<core::PartitionId>{} : appended->passed;
  }
  std::vector<Standing> resolve() {
    session.resolve({static_cast<core::PartitionId>(0)});
    const auto event = next_event(session);
    const auto* resolved = std::get_if<Session::Resolved>(&event);
    EXPECT_NE(resolved, nullptr);
    return resolved == nullptr ? std::vector<Standing>{} : resolved->standings;
  }
  tl::expected<Recovered, RecoveryError> fold(Driver& driver) {
    return recover(database, driver.config, driver.programs, {});
  }
  std::string query(const std::string& sql) { return PrivatePostgres::query(target, sql); }

  const std::string target = PrivatePostgres::shared().create_database();
  const NodeIdentity node = identity("a", 1);
  Database database;
  Session session;
  std::uint64_t epoch = 0;
  Tip tip;
  std::size_t written = 0;
};

}  // namespace sluice::journal::test
