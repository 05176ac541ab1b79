#include "engine/node/read_pool.hpp"

#include <algorithm>
#include <string>

namespace sluice::node {
namespace {

constexpr std::size_t kJobsMax = 10'000;
constexpr int kConnectMs = 1'000;

}  // namespace

ReadPool::~ReadPool() {
  stop();
}

void ReadPool::start() {
  const unsigned count = std::max(1u, shared_.config.read_threads);
  for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { loop(); });
}

void ReadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakes_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  for (auto& job : jobs_) job(Desk{});
  jobs_.clear();
}

bool ReadPool::post(Job job) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || jobs_.size() >= kJobsMax) return false;
  jobs_.push_back(std::move(job));
  wakes_.notify_one();
  return true;
}

bool ReadPool::connect(journal::Database& database) const {
  if (!database.connect(kConnectMs)) return false;
  if (statement_ms_ == 0) return true;
  const std::string bound = "set statement_timeout = " + std::to_string(statement_ms_);
  if (database.script(bound, kConnectMs)) return true;
  database.close();
  return false;
}

void ReadPool::loop() {
  journal::Database database(shared_.config.database);
  ThreadPrograms programs(shared_.deployments);
  // Opened before the first read, which then need not wait for it.
  (void)connect(database);
  std::unique_lock lock(mutex_);
  for (;;) {
    wakes_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    // A connection may have died while nobody read; the read that finds it so must not pay for it.
    const bool connected = database.still_open() || connect(database);
    job(Desk{connected ? &database : nullptr, &programs});
    lock.lock();
  }
}

}  // namespace sluice::node
