// Writes what may lag behind the journal: run rows and session acknowledgements, coalesced, and
// checkpoints, in order. One thread, one connection of its own, so that nothing of it delays an
// append.
//
// Run rows come from committed batches only; until they are written they can be read here.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/core/partition.hpp"
#include "engine/journal/database.hpp"
#include "engine/journal/projection.hpp"
#include "engine/node/shared.hpp"

namespace sluice::node {

class StoreThread {
 public:
  explicit StoreThread(Shared& shared);
  ~StoreThread();
  void start();
  // Writes what is there, for a few seconds at most if the database does not take it.
  void stop();

  // Rows of one batch. Of two rows of a run the later counts.
  void push_runs(std::vector<core::RunRow>&& rows);
  std::optional<core::RunRow> pending_run(const core::RunId& run) const;
  void push_ack(journal::SessionAck ack);
  std::optional<std::uint64_t> pending_ack(core::TenantId tenant, const std::string& client,
                                           const std::string& session) const;

  // A slice of a checkpoint, and its end. Each is answered by CheckpointWritten in the partition's
  // inbox.
  struct Slice {
    core::PartitionId partition{};
    std::uint64_t epoch = 0;
    core::Seq generation = 0;
    std::vector<core::StateRow> rows;
  };
  struct Completion {
    core::PartitionId partition{};
    std::uint64_t epoch = 0;
    core::Partition::Checkpoint checkpoint;
    core::Hash128 chain;
  };
  void post(Slice&& slice);
  void post(Completion&& completion);

  // Everything pushed before this call is written when it returns true; false: not within
  // timeout_ms.
  bool flush(int timeout_ms);

 private:
  using Job = std::variant<Slice, Completion>;
  using Runs = std::unordered_map<core::RunId, core::RunRow, core::IdHash>;
  using AckKey = std::tuple<core::TenantId, std::string, std::string>;
  using Acks = std::map<AckKey, std::uint64_t>;

  void loop();
  bool connect();
  bool write_pending();
  void put_back();
  void perform(Job& job);
  bool write_all_runs();

  Shared& shared_;
  journal::Database database_;
  mutable std::mutex mutex_;
  std::condition_variable wakes_;
  std::condition_variable written_;
  std::deque<Job> jobs_;
  Runs runs_;          // to be written
  Runs writing_runs_;  // being written; both are read by pending_run
  Acks acks_;
  Acks writing_acks_;
  std::uint64_t pushed_ = 0;  // generation: raised by each flush()
  std::uint64_t flushed_ = 0;
  bool stopping_ = false;
  std::uint32_t backoff_ms_ = 0;
  std::thread thread_;
};

}  // namespace sluice::node
