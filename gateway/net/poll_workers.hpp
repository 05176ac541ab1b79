// Workers that cannot hold a socket: POST /v1/tasks/poll. To the node each (tenant, worker name) is
// one worker, whose credit is what its open poll still takes; a task that comes when no poll is
// open waits here for the next one, or for its lease to run out.
//
// Thread rule: belongs to its shard's thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/net/shard.hpp"

namespace sluice::gateway {

class PollWorkers {
 public:
  explicit PollWorkers(Shard& shard);
  ~PollWorkers();

  struct Poll {
    std::string tenant;
    std::string worker;
    std::vector<std::string> tasks;
    std::uint32_t n = 1;
    std::chrono::milliseconds wait{0};
  };
  // Answers the exchange with 200 {"items":[task frame…]}: at once if there are tasks, else when
  // the first come or the wait is over.
  void poll(const std::shared_ptr<Exchange>& exchange, Poll poll);
  void tick(Time now);

 private:
  class Worker;
  Shard& shard_;
  std::unordered_map<std::string, std::unique_ptr<Worker>> workers_;
};

}  // namespace sluice::gateway
