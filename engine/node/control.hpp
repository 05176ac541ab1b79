// The node's housekeeping, on one thread with a connection of its own: renews ownership, takes
// partitions, gives tenants their numbers, stores deployments. What may take long is the
// housekeeper's.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/node/node.hpp"
#include "engine/node/shared.hpp"

namespace sluice::node {

class Control {
 public:
  // `database` is connected and its schema up to date.
  Control(Shared& shared, journal::Database database);
  ~Control();

  // The first round, on the caller's thread. announce: registers the node, which anchors the clock.
  tl::expected<void, journal::DatabaseError> announce();
  // begin: makes leaves, reads tenants and deployments, takes partitions and has them adopted.
  // Returns those.
  tl::expected<std::vector<core::PartitionId>, journal::DatabaseError> begin();
  // Then its own thread goes on.
  void start();
  // Lets the partitions go and takes the node's row away.
  void stop();

  // The number of a tenant that nobody asked for before. The callback runs on this thread.
  void intern(std::string tenant, std::function<void(std::optional<core::TenantId>)> done);
  // After the next turn that found the database; never, if the node stops before.
  void next_turn(std::function<void()> job);
  void deploy(std::string artifact, bool force, Callback<Deployed> done);
  // An apply thread threw its state of it away.
  void lost(core::PartitionId partition);

 private:
  using Job = std::function<void()>;
  void post(Job job);
  void loop();
  void turn();
  bool connect();
  bool renew();
  void look_after_halted();
  void take();
  void retake();
  void intern_now(const std::string& tenant);
  void adopt(const std::vector<journal::Owned>& taken);
  void look_for_deployments();
  void load_newest(core::DeploymentNumber number);
  void name_schedule_tenant(const Deployment& deployment);
  void name_schedule_tenant();
  void raise_epoch();
  void note_server(const journal::ServerFacts& facts);

  void deploy_now(const std::string& artifact, bool force, const Callback<Deployed>& done);
  std::string lost_topics(const vm::Program& program) const;
  void spread(const Deployments::Head& head, std::function<void(bool)> done);

  Shared& shared_;
  journal::Database database_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  std::deque<Job> jobs_;
  std::vector<Job> later_;
  std::vector<core::PartitionId> lost_;
  std::map<std::string, std::vector<std::function<void(std::optional<core::TenantId>)>>> newcomers_;
  std::size_t newcomers_waiting_ = 0;
  bool stopping_ = false;
  std::int64_t turn_at_us_ = 0;
  std::uint32_t backoff_ms_ = 0;
  std::thread thread_;
};

}  // namespace sluice::node
