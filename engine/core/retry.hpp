// When an attempt is followed by another, and after how long (protocols.md, "Workers").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/core/ids.hpp"
#include "engine/core/record.hpp"
#include "vm/artifact.hpp"

namespace sluice::core {

// Whether an attempt may be made again although nobody knows if it happened.
inline bool is_safe(const vm::StepSite& site) {
  return site.idempotent || site.keyed;
}

// A reported kind as the program will see it: one that neither the language knows nor the task
// declares is `Rejected`.
std::string_view known_kind(const vm::TaskInfo& task, std::string_view reported);

// The failure as which the program sees that an attempt was given up.
void describe_lapse(const vm::StepSite& site, LapseReason reason, std::string& kind,
                    std::string& message);

// Whether a failure of that kind allows another attempt: the kind is in `on` (or among the default
// kinds), attempts are left, and TimedOut and Lost only where the step is safe. `tries` counts the
// attempts so far, without those that hedged them.
bool may_repeat(const vm::StepSite& site, std::string_view kind, std::uint32_t tries);

// The gap after try k, us: A·F^(k−1) up to B, `retry_after_ms` if that is longer. `draw` is the
// jitter's number; with jitter the gap lies in the upper half of what it would be without.
TimeUs backoff_gap(const vm::StepSite& site, std::uint32_t tries, std::uint32_t retry_after_ms,
                   std::uint64_t draw);

// Until when an attempt that is opened now waits for a worker; 0: for ever.
inline TimeUs queue_due(const vm::StepSite& site, TimeUs now) {
  return site.queue_ms == 0 ? 0 : now + static_cast<TimeUs>(site.queue_ms) * kUsPerMs;
}

// The number that jitter draws: the same in every fold.
std::uint64_t jitter_draw(PartitionId partition, Seq seq, std::uint64_t index);

}  // namespace sluice::core
