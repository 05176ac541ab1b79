// Reads of the database on behalf of the gateway: a few threads with a connection each, and a
// bounded queue. What takes long has a pool of its own, so that no session waits behind a list.
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

  // `statement_ms`: the server ends a statement that takes longer (SQLSTATE 57014). 0: never.
  explicit ReadPool(Shared& shared, std::uint32_t statement_ms = 0)
      : shared_(shared), statement_ms_(statement_ms) {}
  ~ReadPool();
  void start();
  // Jobs that have not begun get no database.
  void stop();
  // False: too many are waiting. The job is then not run.
  bool post(Job job);

 private:
  void loop();
  bool connect(journal::Database& database) const;

  Shared& shared_;
  const std::uint32_t statement_ms_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::node
