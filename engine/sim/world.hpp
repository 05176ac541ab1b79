// One simulated run: everything that is in it, and how its parts reach each other.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/record.hpp"
#include "engine/sim/checkers.hpp"
#include "engine/sim/database.hpp"
#include "engine/sim/faults.hpp"
#include "engine/sim/one_program.hpp"
#include "engine/sim/options.hpp"
#include "engine/sim/random.hpp"
#include "engine/sim/scheduler.hpp"
#include "engine/sim/workload_program.hpp"

namespace sluice::sim {

class Node;
class Client;
class Worker;

// What comes to a partition's owner.
struct Input {
  core::PartitionId partition{};
  core::Record record;  // without seq, time and verdict
  core::Reply reply;
};

// Where a reply goes: Reply::shard.
inline constexpr std::uint32_t kToClient = 1;
inline constexpr std::uint32_t kToWorker = 2;

class World {
 public:
  World(const Options& options, std::shared_ptr<const vm::VerifiedProgram> program);
  ~World();

  // Until everything has ended or the time is up.
  void run();

  // A frame on some socket: late, lost or doubled.
  void transmit(Scheduler::Task arrive);
  // To whoever owns the partition by then, as far as is known.
  void send(Input input);
  // The answer to what a client or worker sent.
  void answer(const core::Reply& reply, const core::Effect& effect);
  // The node that owns it by the database; null if that one is not up.
  Node* owner(core::PartitionId partition);
  bool faulty() const { return scheduler.now() < kEpoch + options.faults_us; }

  const Options options;
  Scheduler scheduler;
  Random random;
  Faults faults;
  Database database;
  OneProgram programs;
  Checkers checkers;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::unique_ptr<Worker>> workers;
  std::uint64_t boots = 0;         // of nodes, in the whole run
  std::uint64_t connections = 0;   // of workers, in the whole run: WorkerId
  std::vector<core::RunId> talks;  // runs that take signals, as their clients learn of them
  std::map<core::RunId, unsigned> listeners;  // to std.presence likewise, with their clients
  bool planted = false;                       // a planted bug in the shell has done its work
  std::string trace;                          // what happened, one line each, if `tracing`
  bool tracing = false;
  // Of every partition's configuration.
  std::uint64_t outbox_messages() const;
  void note(const std::string& line);

 private:
  bool all_ended() const;
  bool harmless() const;
};

}  // namespace sluice::sim
