#include "engine/node/store_thread.hpp"

#include <algorithm>
#include <chrono>

#include "engine/journal/checkpoint.hpp"

namespace sluice::node {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr int kConnectMs = 5'000;
constexpr std::size_t kRunsPerStatement = 1'000;
// When a node stops without a database, what is not written is left to the next fold.
constexpr int kStopMs = 3'000;

}  // namespace

StoreThread::StoreThread(Shared& shared) : shared_(shared), database_(shared.config.database) {}

StoreThread::~StoreThread() {
  stop();
}

void StoreThread::start() {
  thread_ = std::thread([this] { loop(); });
}

void StoreThread::stop() {
  if (!thread_.joinable()) return;
  (void)flush(kStopMs);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakes_.notify_all();
  thread_.join();
}

void StoreThread::push_runs(std::vector<core::RunRow>&& rows) {
  if (rows.empty()) return;
  const std::lock_guard lock(mutex_);
  for (auto& row : rows) {
    auto& slot = runs_[row.run];
    if (slot.as_of <= row.as_of) slot = std::move(row);
  }
}

std::optional<core::RunRow> StoreThread::pending_run(const core::RunId& run) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = runs_.find(run); found != runs_.end()) return found->second;
  if (const auto found = writing_runs_.find(run); found != writing_runs_.end()) {
    return found->second;
  }
  return std::nullopt;
}

void StoreThread::push_ack(journal::SessionAck ack) {
  const std::lock_guard lock(mutex_);
  auto& slot = acks_[{ack.tenant, std::move(ack.client), std::move(ack.session)}];
  slot = std::max(slot, ack.acked);
}

std::optional<std::uint64_t> StoreThread::pending_ack(core::TenantId tenant,
                                                      const std::string& client,
                                                      const std::string& session) const {
  const AckKey key{tenant, client, session};
  const std::lock_guard lock(mutex_);
  if (const auto found = acks_.find(key); found != acks_.end()) return found->second;
  if (const auto found = writing_acks_.find(key); found != writing_acks_.end()) {
    return found->second;
  }
  return std::nullopt;
}

void StoreThread::post(Slice&& slice) {
  const std::lock_guard lock(mutex_);
  jobs_.emplace_back(std::move(slice));
  wakes_.notify_one();
}

void StoreThread::post(Completion&& completion) {
  const std::lock_guard lock(mutex_);
  jobs_.emplace_back(std::move(completion));
  wakes_.notify_one();
}

bool StoreThread::flush(int timeout_ms) {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++pushed_;
  wakes_.notify_one();
  return written_.wait_for(lock, Milliseconds(timeout_ms), [&] { return flushed_ >= mine; });
}

bool StoreThread::connect() {
  if (database_.connected()) return true;
  if (database_.connect(kConnectMs)) {
    backoff_ms_ = 0;
    return true;
  }
  backoff_ms_ = std::clamp(backoff_ms_ * 2, kReconnectMsMin, kReconnectMsMax);
  return false;
}

void StoreThread::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::uint32_t pause = backoff_ms_ > 0 ? backoff_ms_ : kProjectionMs;
    const auto urgent = [&] {
      return stopping_ || (backoff_ms_ == 0 && (!jobs_.empty() || flushed_ < pushed_));
    };
    wakes_.wait_for(lock, Milliseconds(pause), urgent);
    if (runs_.empty() && acks_.empty() && jobs_.empty() && flushed_ == pushed_) continue;
    const std::uint64_t generation = pushed_;
    std::swap(runs_, writing_runs_);
    std::swap(acks_, writing_acks_);
    std::deque<Job> jobs;
    std::swap(jobs, jobs_);
    lock.unlock();
    const bool written = connect() && write_pending();
    // A checkpoint may only be completed after the rows of what it covers: they were pushed before.
    if (written) {
      for (auto& job : jobs) perform(job);
      jobs.clear();
    }
    lock.lock();
    if (written) {
      flushed_ = std::max(flushed_, generation);
      writing_runs_.clear();
      writing_acks_.clear();
    } else {
      put_back();
      jobs_.insert(jobs_.begin(), std::make_move_iterator(jobs.begin()),
                   std::make_move_iterator(jobs.end()));
      if (backoff_ms_ == 0) backoff_ms_ = kReconnectMsMin;
    }
    written_.notify_all();
  }
}

void StoreThread::put_back() {
  for (auto& [run, row] : writing_runs_) {
    auto& slot = runs_[run];
    if (slot.as_of < row.as_of) slot = std::move(row);
  }
  for (auto& [key, acked] : writing_acks_) {
    auto& slot = acks_[key];
    slot = std::max(slot, acked);
  }
  writing_runs_.clear();
  writing_acks_.clear();
}

bool StoreThread::write_all_runs() {
  std::vector<core::RunRow> chunk;
  auto at = writing_runs_.begin();
  while (at != writing_runs_.end()) {
    chunk.clear();
    for (; at != writing_runs_.end() && chunk.size() < kRunsPerStatement; ++at) {
      chunk.push_back(at->second);
    }
    if (auto done = journal::write_runs(database_, chunk); !done) {
      log_line(shared_, "run rows could not be written: " + done.error().message);
      return false;
    }
  }
  return true;
}

bool StoreThread::write_pending() {
  // writing_* change in this thread alone; readers hold the lock and only look.
  if (!write_all_runs()) return false;
  std::vector<journal::SessionAck> acks;
  for (const auto& [key, acked] : writing_acks_) {
    acks.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), acked});
  }
  if (auto done = journal::write_acks(database_, acks); !done) {
    log_line(shared_, "acknowledgements could not be written: " + done.error().message);
    return false;
  }
  return true;
}

void StoreThread::perform(Job& job) {
  CheckpointWritten answer;
  if (auto* slice = std::get_if<Slice>(&job)) {
    answer.partition = slice->partition;
    answer.generation = slice->generation;
    answer.ok = journal::write_state_rows(database_, slice->partition, slice->epoch,
                                          slice->generation, slice->rows)
                    .has_value();
  } else {
    auto& completion = std::get<Completion>(job);
    answer.partition = completion.partition;
    answer.generation = completion.checkpoint.seq;
    answer.committed = true;
    auto done = journal::commit_checkpoint(database_, completion.partition, completion.epoch,
                                           completion.checkpoint, completion.chain);
    answer.ok = done && *done;
    if (answer.ok) Counters::add(shared_.counters.checkpoints);
    if (!done) log_line(shared_, "a checkpoint failed: " + done.error().message);
  }
  shared_.inbox(answer.partition).post(Command(answer));
}

}  // namespace sluice::node
