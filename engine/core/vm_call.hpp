// Templates of Partition::Impl: calling the VM so that whatever goes wrong becomes a verdict.
#pragma once

#include <exception>
#include <stdexcept>
#include <utility>

#include "engine/core/partition_impl.hpp"

namespace sluice::core {

// Thrown inside an input to `work` where the record's content cannot be used.
struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class Input>
tl::expected<Activation, Fault> Partition::Impl::activate(const Context& context, RunEntry& entry,
                                                          Input input) {
  Activation activation;
  activation.entry = &entry;
  at_work = &entry;
  try {
    entry.run->set_now(context.record.time);
    input(*entry.run, activation.commands);
    if (auto rendered = render(activation); !rendered) return tl::unexpected(rendered.error());
  } catch (const std::exception& error) {  // out of memory, or a mistake of the VM
    return tl::unexpected(Fault{error.what()});
  }
  return activation;
}

template <class Report>
StepEntry* Partition::Impl::open_attempt(RunEntry* entry, const Report& report) {
  StepEntry* step = entry == nullptr ? nullptr : entry->find_step(report.step);
  const OpenAttempt* attempt = step == nullptr ? nullptr : step->find_attempt(report.attempt);
  return attempt != nullptr && attempt->opened == report.opened ? step : nullptr;
}

// Gives the run an input. `before_commands` changes the tables once the VM has taken the input,
// before its commands are done. A verdict that came with the record, or a fault, ends the run
// instead.
template <class Input, class Before>
void Partition::Impl::work(Context& context, RunEntry& entry, Seq cause, Input input,
                           Before before_commands) {
  touch(entry);
  note_record(context, entry, cause);
  if (!is_sound(context.record.verdict)) {
    settle_faulted(context, entry,
                   "the record is " + std::string(verdict_name(context.record.verdict)));
    return;
  }
  auto activation = activate(context, entry, std::move(input));
  if (!activation) {
    settle_faulted(context, entry, activation.error().why);
    return;
  }
  before_commands();
  perform(context, *activation);
}

template <class Input>
void Partition::Impl::work(Context& context, RunEntry& entry, Seq cause, Input input) {
  work(context, entry, cause, std::move(input), [] {});
}

template <class Before>
void Partition::Impl::cut_short(Context& context, RunEntry& entry, Seq cause, vm::CancelKind kind,
                                const std::string& why, Before before_commands) {
  if (!ends_later(entry)) {
    work(
        context, entry, cause,
        [&](vm::Run& run, vm::Commands& commands) { run.cancel(kind, why, commands); },
        before_commands);
    return;
  }
  touch(entry);
  note_record(context, entry, cause);
  if (!is_sound(context.record.verdict)) {
    settle_faulted(context, entry,
                   "the record is " + std::string(verdict_name(context.record.verdict)));
    return;
  }
  before_commands();
  leave_later(context, entry, kind, why);
}

inline void Partition::Impl::cut_short(Context& context, RunEntry& entry, Seq cause,
                                       vm::CancelKind kind, const std::string& why) {
  cut_short(context, entry, cause, kind, why, [] {});
}

// The partition and the VM keep the open steps each for itself; should they ever differ, the run is
// given up rather than left to wait for ever.
inline void must_wait(bool waited) {
  if (!waited) throw BadInput("the run does not wait for this step");
}

}  // namespace sluice::core
