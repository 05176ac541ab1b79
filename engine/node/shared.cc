#include "engine/node/shared.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace sluice::node {

void Watches::add(const core::RunId& run, unsigned shard) {
  const std::lock_guard lock(mutex_);
  ++runs_[run][shard];
  ++count_;
}

void Watches::remove(const core::RunId& run, unsigned shard) {
  const std::lock_guard lock(mutex_);
  const auto found = runs_.find(run);
  if (found == runs_.end()) return;
  const auto at = found->second.find(shard);
  if (at == found->second.end()) return;
  --count_;
  if (--at->second == 0) found->second.erase(at);
  if (found->second.empty()) runs_.erase(found);
}

std::vector<unsigned> Watches::shards(const core::RunId& run) const {
  if (count_.load(std::memory_order_relaxed) == 0) return {};
  const std::lock_guard lock(mutex_);
  std::vector<unsigned> out;
  if (const auto found = runs_.find(run); found != runs_.end()) {
    for (const auto& [shard, count] : found->second) out.push_back(shard);
  }
  return out;
}

void Shared::warn(const std::string& warning) {
  const std::lock_guard lock(mutex_);
  if (std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) {
    warnings_.push_back(warning);
  }
}

std::vector<std::string> Shared::warnings() const {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

void Shared::set_trouble(const std::string& why) {
  const std::lock_guard lock(mutex_);
  trouble_ = why;
}

std::string Shared::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void log_line(const Shared& shared, const std::string& text) {
  const std::int64_t now = shared.clock.now();
  const std::time_t seconds = now / 1'000'000;
  fmt::print(stderr, "{:%FT%T}.{:03}Z {} {}\n", fmt::gmtime(seconds), now / 1000 % 1000,
             shared.config.name, text);
}

}  // namespace sluice::node
