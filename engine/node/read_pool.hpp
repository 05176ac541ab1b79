// Reads of the database on behalf of the gateway: a few threads with a connection each, and a
// bounded queue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/journal/database.hpp"
#include "engine/node/registry.hpp"
#include "engine/node/shared.hpp"

namespace sluice::node {

class ReadPool {
 public:
  // What a job may use: its thread's own. `database` is connected, or null when that failed within
  // a second.
  struct Desk {
    journal::Database* database = nullptr;
    core::ProgramSource* programs = nullptr;
  };
  using Job = std::function<void(const Desk&)>;

  explicit ReadPool(Shared& shared) : shared_(shared) {}
  ~ReadPool();
  void start();
  // Jobs that have not begun get no database.
  void stop();
  // False: too many are waiting. The job is then not run.
  bool post(Job job);

 private:
  void loop();

  Shared& shared_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::node
