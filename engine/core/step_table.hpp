// The life of a step, as rows {from, input, to}. The code that changes a step's status goes through
// `step_after`, so the table is the machine; the coverage test and the diagram are made from the
// rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::core {

// Stored numbers: append only.
enum class StepStatus : std::uint8_t {
  none = 0,     // before it is started
  open = 1,     // an attempt is offered
  granted = 2,  // an unsafe attempt was promised to a worker
  backoff = 3,  // waits for the next attempt
  done = 4,
  failed = 5,
  cancelled = 6,
  run = 7,  // not a task: the run that it began goes on
  called_off = 8,  // likewise, and is being undone
};

enum class StepInput : std::uint8_t {
  start,
  start_run,
  granted,
  done,
  failed_again,  // a report of failure that allows another attempt
  failed_last,   // and one that does not
  lapsed_again,
  lapsed_last,
  backoff_over,
  within_over,
  cancel,
  hedge_over,     // another attempt begins beside the first
  spoke,          // one of a stream's attempts speaks: there is no other
  failed_beside,  // one of two attempts ended without an answer: the other goes on
  gone,           // the run that was called off is over
};

struct StepRow {
  StepStatus from;
  StepInput input;
  StepStatus to;
};

inline constexpr StepRow kStepRows[] = {
    {StepStatus::none, StepInput::start, StepStatus::open},
    {StepStatus::open, StepInput::granted, StepStatus::granted},
    {StepStatus::open, StepInput::done, StepStatus::done},
    {StepStatus::open, StepInput::failed_again, StepStatus::backoff},
    {StepStatus::open, StepInput::failed_last, StepStatus::failed},
    {StepStatus::open, StepInput::lapsed_again, StepStatus::backoff},
    {StepStatus::open, StepInput::lapsed_last, StepStatus::failed},
    {StepStatus::open, StepInput::within_over, StepStatus::failed},
    {StepStatus::open, StepInput::cancel, StepStatus::cancelled},
    {StepStatus::open, StepInput::hedge_over, StepStatus::open},
    {StepStatus::open, StepInput::failed_beside, StepStatus::open},
    {StepStatus::open, StepInput::spoke, StepStatus::open},
    {StepStatus::granted, StepInput::done, StepStatus::done},
    {StepStatus::granted, StepInput::failed_again, StepStatus::backoff},
    {StepStatus::granted, StepInput::failed_last, StepStatus::failed},
    {StepStatus::granted, StepInput::lapsed_again, StepStatus::backoff},
    {StepStatus::granted, StepInput::lapsed_last, StepStatus::failed},
    {StepStatus::granted, StepInput::within_over, StepStatus::failed},
    {StepStatus::granted, StepInput::cancel, StepStatus::cancelled},
    {StepStatus::backoff, StepInput::backoff_over, StepStatus::open},
    {StepStatus::backoff, StepInput::within_over, StepStatus::failed},
    {StepStatus::backoff, StepInput::cancel, StepStatus::cancelled},
    {StepStatus::none, StepInput::start_run, StepStatus::run},
    {StepStatus::run, StepInput::done, StepStatus::done},
    {StepStatus::run, StepInput::failed_last, StepStatus::failed},
    {StepStatus::run, StepInput::within_over, StepStatus::called_off},
    {StepStatus::run, StepInput::cancel, StepStatus::called_off},
    {StepStatus::called_off, StepInput::gone, StepStatus::cancelled},
    {StepStatus::called_off, StepInput::cancel, StepStatus::cancelled},
};
inline constexpr std::size_t kStepRowCount = std::size(kStepRows);

// The row's index; nothing where the machine has no such transition.
constexpr std::optional<std::size_t> step_row(StepStatus from, StepInput input) {
  for (std::size_t i = 0; i < kStepRowCount; ++i) {
    if (kStepRows[i].from == from && kStepRows[i].input == input) return i;
  }
  return std::nullopt;
}

std::string_view step_status_name(StepStatus status);
std::string_view step_input_name(StepInput input);

}  // namespace sluice::core
