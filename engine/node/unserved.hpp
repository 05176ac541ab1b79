// Tasks that attempts wait for and that no worker offers: what an operator should be told, once in
// a while. Pure; time is passed in. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/ids.hpp"

namespace sluice::node {

// How long an attempt waits before it is said, us: workers that reconnect are given that long.
inline constexpr core::TimeUs kUnservedAfterUs = 5'000'000;
// How long nothing more is said about that pool of that tenant, us.
inline constexpr core::TimeUs kUnservedEveryUs = 600'000'000;
// Tasks that are looked after at a time; beyond it some go unsaid.
inline constexpr std::size_t kUnservedTasksMax = 1024;

class Unserved {
 public:
  using TenantId = core::TenantId;

  // An attempt of the task waits, and nobody offers it. Known already: nothing.
  void note(TenantId tenant, std::string_view pool, std::string_view task, core::TimeUs now);

  bool empty() const { return tasks_.empty(); }
  // When to look again; nothing: there is nothing to look at.
  std::optional<core::TimeUs> next_look() const;

  struct Line {
    TenantId tenant{};
    std::string pool;
    std::vector<std::string> tasks;  // sorted
  };
  // What is to be said now. Tasks of which `still` says false are forgotten.
  std::vector<Line> take(core::TimeUs now,
                         const std::function<bool(TenantId, std::string_view)>& still);

 private:
  struct Task {
    std::string pool;
    core::TimeUs since = 0;
  };
  using Pool = std::pair<TenantId, std::string>;

  std::map<std::pair<TenantId, std::string>, Task, std::less<>> tasks_;
  std::map<Pool, core::TimeUs> said_;  // until when a pool is not spoken of again
  core::TimeUs look_at_ = 0;
};

}  // namespace sluice::node
