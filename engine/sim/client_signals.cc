// Signals that a client sends to its runs.
#include <fmt/format.h>

#include "engine/sim/client.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/limits.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

constexpr TimeUs kAnswerWait = kSecond;
// More than wait at once.
constexpr unsigned kFlood = vm::kSignalsMax + 6;

}  // namespace

void Client::plan_signals(const core::RunId& run) {
  world_.talks.push_back(run);
  const auto count = static_cast<unsigned>(random_.below(5));
  for (unsigned i = 0; i < count; ++i) {
    world_.scheduler.after(random_.between(0, 9 * kSecond),
                           [this, run] { begin_signal(run, !random_.chance(100)); });
  }
  if (!random_.chance(40)) return;
  for (unsigned i = 0; i < kFlood; ++i) begin_signal(run, true);
}

void Client::begin_signal(const core::RunId& run, bool fits) {
  const std::string text =
      fmt::format("{}-{}-s{}", core::number(tenant_), name_, signals_.size() + 1);
  Signaling signaling;
  signaling.run = run;
  signaling.id = fmt::format("signal-{}", signals_.size() + 1);
  signaling.fits = fits;
  // A word that no `where` takes stays in the queue.
  signaling.data =
      fits ? event_value(world_.programs.program(), "Word",
                         {vm::Value::string(text), vm::Value::boolean(!random_.chance(200))})
           : event_value(world_.programs.program(), "Ask", {vm::Value::string(text)});
  signals_.push_back(std::move(signaling));
  signal(signals_.size() - 1);
}

// Until it is answered.
void Client::signal(std::size_t index) {
  const Signaling& signaling = signals_[index];
  if (signaling.done) return;
  core::Signal body;
  body.run = signaling.run;
  body.deployment = kDeployment;
  body.event = *vm::find_by_name(world_.programs.program().events,
                                 signaling.fits ? std::string_view("Word") : "Ask");
  body.client = name_;
  body.id = signaling.id;
  body.data = signaling.data;
  world_.send({core::partition_of(signaling.run),
               core::make_record(tenant_, body),
               {kToClient, index_, kSignalTokens + index}});
  world_.scheduler.after(kAnswerWait + random_.between(0, 200 * kMs),
                         [this, index] { signal(index); });
}

void Client::signal_answered(std::size_t index, const core::Effect& effect) {
  Signaling& signaling = signals_[index];
  if (const auto* rejected = std::get_if<core::Rejected>(&effect)) {
    world_.checkers.refused(fmt::format("signal {}", refusal_word(rejected->code)));
    const bool later =
        rejected->code == core::Refusal::unavailable || rejected->code == core::Refusal::busy;
    signaling.done = signaling.done || !later;
    const bool known = later || rejected->code == core::Refusal::unknown_run ||
                       rejected->code == core::Refusal::unexpected;
    if (known) return;
    world_.checkers.violation(14, fmt::format("a signal was refused: {}", rejected->message));
  } else if (std::holds_alternative<core::Accepted>(effect)) {
    if (!signaling.fits) {
      world_.checkers.violation(14, "a signal that no `receive` names was accepted");
    }
    world_.checkers.signalled(signaling.run, name_, signaling.id);
    const bool first = !signaling.done;
    signaling.done = true;
    if (!first || !world_.faults.strikes(world_.options.client_repeats)) return;
    world_.scheduler.after(random_.between(0, 3 * kSecond), [this, index] {
      signals_[index].done = false;  // asks again under the same id
      signal(index);
    });
  }
}

}  // namespace sluice::sim
