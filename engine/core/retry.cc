#include "engine/core/retry.hpp"

#include <algorithm>

#include "engine/core/limits.hpp"
#include "engine/core/siphash.hpp"
#include "engine/core/step_table.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::core {

std::string_view known_kind(const vm::TaskInfo& task, std::string_view reported) {
  for (const std::string_view kind : vm::failure_kind::kAll) {
    if (kind == reported) return reported;
  }
  const auto declared = std::find(task.kinds.begin(), task.kinds.end(), reported);
  return declared != task.kinds.end() ? std::string_view(*declared) : vm::failure_kind::kRejected;
}

void describe_lapse(const vm::StepSite& site, LapseReason reason, std::string& kind,
                    std::string& message) {
  switch (reason) {
    case LapseReason::lost:
      kind = vm::failure_kind::kLost;
      message = "the worker was lost";
      return;
    case LapseReason::timed_out:
      kind = vm::failure_kind::kTimedOut;
      message = "no result within " + std::to_string(site.timeout_ms) + " ms";
      return;
    case LapseReason::queued:
      kind = vm::failure_kind::kBusy;
      message = "no worker took it within " + std::to_string(site.queue_ms) + " ms";
      return;
  }
}

bool may_repeat(const vm::StepSite& site, std::string_view kind, std::uint32_t tries) {
  namespace kinds = vm::failure_kind;
  if (tries >= site.attempts) return false;
  const bool unanswered = kind == kinds::kTimedOut || kind == kinds::kLost;
  if (unanswered && !is_safe(site)) return false;
  if (site.retry_on.empty()) {
    return unanswered || kind == kinds::kUnavailable || kind == kinds::kBusy;
  }
  return std::find(site.retry_on.begin(), site.retry_on.end(), kind) != site.retry_on.end();
}

TimeUs backoff_gap(const vm::StepSite& site, std::uint32_t tries, std::uint32_t retry_after_ms,
                   std::uint64_t draw) {
  const auto cap_ms = static_cast<std::uint64_t>(kBackoffMsMax);
  const std::uint64_t factor_milli = std::min(site.backoff_factor_milli, kBackoffFactorMilliMax);
  const std::uint64_t longest_us = std::min(site.backoff_max_ms, cap_ms) * kUsPerMs;
  std::uint64_t gap_us = std::min(std::min(site.backoff_min_ms, cap_ms) * kUsPerMs, longest_us);
  for (std::uint32_t k = 1; k < tries && gap_us < longest_us && gap_us > 0; ++k) {
    const std::uint64_t next = gap_us * factor_milli / 1000;
    if (next == gap_us) break;  // factor 1: it stays
    gap_us = std::min(next, longest_us);
  }
  if (site.jitter) gap_us -= draw % (gap_us / 2 + 1);
  const std::uint64_t asked_us = std::min<std::uint64_t>(retry_after_ms, cap_ms) * kUsPerMs;
  return static_cast<TimeUs>(std::max(gap_us, asked_us));
}

std::uint64_t jitter_draw(PartitionId partition, Seq seq, std::uint64_t index) {
  const std::uint64_t words[3] = {number(partition), seq, index};
  return siphash64(kIdKey, {reinterpret_cast<const char*>(words), sizeof words});
}

std::string_view step_status_name(StepStatus status) {
  switch (status) {
    case StepStatus::none:
      return "none";
    case StepStatus::open:
      return "open";
    case StepStatus::granted:
      return "granted";
    case StepStatus::backoff:
      return "backoff";
    case StepStatus::done:
      return "done";
    case StepStatus::failed:
      return "failed";
    case StepStatus::cancelled:
      return "cancelled";
    case StepStatus::run:
      return "run";
    case StepStatus::called_off:
      return "called_off";
  }
  return "unknown";
}

std::string_view step_input_name(StepInput input) {
  switch (input) {
    case StepInput::start:
      return "start";
    case StepInput::start_run:
      return "start_run";
    case StepInput::granted:
      return "granted";
    case StepInput::done:
      return "done";
    case StepInput::failed_again:
      return "failed_again";
    case StepInput::failed_last:
      return "failed_last";
    case StepInput::lapsed_again:
      return "lapsed_again";
    case StepInput::lapsed_last:
      return "lapsed_last";
    case StepInput::backoff_over:
      return "backoff_over";
    case StepInput::within_over:
      return "within_over";
    case StepInput::cancel:
      return "cancel";
    case StepInput::hedge_over:
      return "hedge_over";
    case StepInput::spoke:
      return "spoke";
    case StepInput::failed_beside:
      return "failed_beside";
    case StepInput::gone:
      return "gone";
  }
  return "unknown";
}

}  // namespace sluice::core
