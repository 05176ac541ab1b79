#include "engine/node/unserved.hpp"

#include <algorithm>

namespace sluice::node {

void Unserved::note(TenantId tenant, std::string_view pool, std::string_view task,
                    core::TimeUs now) {
  const auto key = std::make_pair(tenant, std::string(task));
  if (tasks_.count(key) > 0 || tasks_.size() >= kUnservedTasksMax) return;
  if (tasks_.empty()) look_at_ = now + kUnservedAfterUs;
  tasks_[key] = {std::string(pool), now};
}

std::optional<core::TimeUs> Unserved::next_look() const {
  if (tasks_.empty()) return std::nullopt;
  return look_at_;
}

std::vector<Unserved::Line> Unserved::take(
    core::TimeUs now, const std::function<bool(TenantId, std::string_view)>& still) {
  std::vector<Line> lines;
  if (tasks_.empty() || now < look_at_) return lines;
  for (auto at = said_.begin(); at != said_.end();) {
    at = at->second <= now ? said_.erase(at) : std::next(at);
  }
  std::map<Pool, std::vector<std::string>> due;
  for (auto at = tasks_.begin(); at != tasks_.end();) {
    const auto& [tenant, name] = at->first;
    if (!still(tenant, name)) {
      at = tasks_.erase(at);
      continue;
    }
    const Pool pool{tenant, at->second.pool};
    if (now - at->second.since >= kUnservedAfterUs && said_.count(pool) == 0) {
      due[pool].push_back(name);
    }
    ++at;
  }
  for (auto& [pool, tasks] : due) {
    said_[pool] = now + kUnservedEveryUs;
    lines.push_back({pool.first, pool.second, std::move(tasks)});
  }
  look_at_ = now + kUnservedAfterUs;
  return lines;
}

}  // namespace sluice::node
