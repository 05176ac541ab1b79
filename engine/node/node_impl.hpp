// The inside of Node, shared by node.cc (life), node_requests.cc and node_reads.cc.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/node/apply_thread.hpp"
#include "engine/node/control.hpp"
#include "engine/node/dispatch_desk.hpp"
#include "engine/node/housekeeper.hpp"
#include "engine/node/node.hpp"
#include "engine/node/read_pool.hpp"
#include "engine/node/shared.hpp"
#include "engine/node/store_thread.hpp"

namespace sluice::node {

class Node::Impl {
 public:
  Impl(NodeConfig config, Outbox& outbox, const journal::Cluster& cluster);
  ~Impl();

  tl::expected<void, StartError> begin(journal::Database database,
                                       const journal::ServerFacts& facts);
  void stop();

  // Calls `go` with the tenant's number: at once if it is known, else from the control thread,
  // which asks the database.
  void with_tenant(const std::string& tenant,
                   std::function<void(std::optional<core::TenantId>)> go);
  // Bounds are kept by the caller (admits()).
  void post_client(core::PartitionId partition, core::Record&& record, const Reply& reply);
  std::optional<core::TenantId> tenant_of_run(const std::string& tenant,
                                              const core::RunId& run) const;
  std::optional<Refusal> admits(core::PartitionId partition, std::size_t bytes);
  void join(std::shared_ptr<WorkerHello> hello);
  void answer_unavailable(const Reply& reply, const std::string& why);
  core::PartitionId partition_of(core::TenantId tenant, const std::string& client,
                                 const std::string& key) const;

  // ---- reads
  // Also false when the partition is not served here.
  void look(core::PartitionId partition, std::function<core::Seq(core::Partition&)> look,
            std::function<void(bool)> then);
  RunRow present(const core::RunRow& row) const;
  void find_unserved(const core::RunRow& row, RunRow& out) const;
  // The newest row that is known of the run, wherever it is.
  void find_run(const std::string& tenant, const core::RunId& run,
                std::function<void(tl::expected<core::RunRow, Refusal>)> done);
  void attach(core::TenantId tenant, AttachRequest request, Callback<Attached> done);
  void load_deployment(core::DeploymentNumber number,
                       Callback<std::shared_ptr<const Deployment>> done);
  void read_deliveries(core::TenantId tenant, DeliveryQuery query, Callback<DeliveryPage> done);

  std::unique_ptr<Shared> shared;
  std::unique_ptr<StoreThread> store;
  std::unique_ptr<DispatchDesk> desk;
  std::unique_ptr<ReadPool> reads;  // what a session or an answer waits for: by key, short
  std::unique_ptr<ReadPool> lists;  // what somebody looks at: lists, histories
  std::unique_ptr<Control> control;
  std::unique_ptr<Housekeeper> housekeeper;
  std::vector<std::unique_ptr<ApplyThread>> threads;
  std::mutex stop_mutex;
  bool begun = false;
  bool stopped = false;
};

Refusal unavailable(std::string why);

}  // namespace sluice::node
