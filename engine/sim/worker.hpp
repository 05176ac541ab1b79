// A worker: takes tasks under leases from every node, works, reports until it is told that the
// report counts or came too late, and misbehaves as the options say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/record.hpp"
#include "engine/sim/node.hpp"
#include "engine/sim/random.hpp"
#include "engine/sim/world.hpp"

namespace sluice::sim {

class Worker {
 public:
  Worker(World& world, unsigned index, Random random);

  void start();

  // ---- what reaches it, by the socket that the frame names
  static void handed(World& world, const TaskFrame& frame);
  static void cancelled(World& world, core::WorkerId worker, const core::AttemptKey& key,
                        std::uint64_t nonce);
  void answered(std::uint64_t token, const core::Effect& effect);

 private:
  // Its socket to one node.
  struct Socket {
    core::WorkerId id{};
    std::uint64_t boot = 0;  // of the node; 0: none
  };
  struct Job {
    TaskFrame frame;
    std::size_t node = 0;
    bool hangs = false;
    bool renews = true;
    std::optional<core::Record> report;
  };

  static Worker* of(World& world, core::WorkerId id, std::size_t& node);
  void watch();
  void connect(std::size_t node);
  void lose_socket(std::size_t node);
  void give_credit(std::size_t node);
  unsigned jobs_of(std::size_t node) const;
  void begin(std::size_t node, const TaskFrame& frame);
  void work(std::uint64_t number);
  void speak(std::uint64_t number);
  std::vector<std::string> tasks() const;
  void renew(std::uint64_t number);
  void finish(std::uint64_t number);
  void report(std::uint64_t number);
  core::Record make_report(const TaskFrame& frame);
  void die();

  World& world_;
  unsigned index_;
  Random random_;
  std::vector<Socket> sockets_;  // by node
  std::map<std::uint64_t, Job> jobs_;
  std::uint64_t next_job_ = 1;
};

}  // namespace sluice::sim
