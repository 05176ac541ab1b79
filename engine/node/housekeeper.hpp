// Makes daily leaves ahead, and drops what retention no longer keeps, on a thread and connection of
// its own: what may take seconds in a large database must not delay the renewal of ownership.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "engine/journal/database.hpp"
#include "engine/node/shared.hpp"

namespace sluice::node {

class Housekeeper {
 public:
  explicit Housekeeper(Shared& shared);
  ~Housekeeper();
  void start();
  // Waits for the statement under way.
  void stop();

 private:
  void loop();
  void tend();
  void drop_old(journal::Day today);
  std::uint32_t retention_days() const;

  Shared& shared_;
  journal::Database database_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::node
