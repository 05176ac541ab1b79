#include "engine/node/housekeeper.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "engine/journal/projection.hpp"
#include "engine/journal/schema.hpp"

namespace sluice::node {
namespace {

constexpr int kConnectMs = 5'000;
// Old rows go in portions, so that no statement is long.
constexpr std::uint32_t kDropRunsAtOnce = 5'000;
constexpr std::int64_t kSessionHours = 24;

}  // namespace

Housekeeper::Housekeeper(Shared& shared) : shared_(shared), database_(shared.config.database) {}

Housekeeper::~Housekeeper() {
  stop();
}

void Housekeeper::start() {
  thread_ = std::thread([this] { loop(); });
}

void Housekeeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakes_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Housekeeper::loop() {
  std::unique_lock lock(mutex_);
  const std::chrono::milliseconds every(shared_.config.housekeeping_ms);
  auto wait = every / 10;
  while (!wakes_.wait_for(lock, wait, [this] { return stopping_; })) {
    wait = every;
    lock.unlock();
    tend();
    lock.lock();
  }
}

void Housekeeper::tend() {
  if (!database_.still_open() && !database_.connect(kConnectMs)) return;  // at the next turn
  const journal::Day today = journal::day_of(shared_.clock.now());
  if (auto made = journal::ensure_leaves(database_, today, today + journal::kLeavesAhead); !made) {
    log_line(shared_, "daily leaves could not be made: " + made.error().message);
    return;
  }
  drop_old(today);
}

std::uint32_t Housekeeper::retention_days() const {
  std::uint64_t days = std::max(1u, shared_.config.retention_days);
  if (const auto current = shared_.deployments.current()) {
    for (const auto& topic : current->program->program().topics) {
      const std::uint64_t ms = std::max(topic.dedupe_ms, topic.retain_ms);
      days = std::max(days, ms / 86'400'000 + 1);
    }
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(days, 36'500));
}

void Housekeeper::drop_old(journal::Day today) {
  const journal::Day keep_from = today - static_cast<journal::Day>(retention_days());
  for (auto& inbox : shared_.inboxes) inbox->post(Command(Touch{keep_from + 1}));
  auto needed = journal::oldest_day_needed(database_);
  if (!needed) return;
  // Deliveries as long as records: a partition that has halted is brought in line with those that
  // it made since its checkpoint.
  const journal::Day before_day = std::min(*needed, keep_from);
  auto dropped = journal::drop_leaves(database_, before_day, before_day);
  if (!dropped) {
    log_line(shared_, "old leaves could not be dropped: " + dropped.error().message);
    return;
  }
  if (*dropped > 0) log_line(shared_, "dropped " + std::to_string(*dropped) + " old leaves");
  const core::TimeUs before = std::int64_t{keep_from} * journal::kUsPerDay;
  while (!shared_.stopping) {
    auto runs = journal::drop_ended_runs(database_, before, kDropRunsAtOnce);
    if (!runs || *runs < kDropRunsAtOnce) break;
  }
  (void)journal::forget_sessions(database_, kSessionHours);
}

}  // namespace sluice::node
