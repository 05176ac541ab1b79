#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "vm/artifact.hpp"
#include "vm/unit.hpp"
#include "vm/value.hpp"

// One execution of a flow. A Run is a pure state machine: inputs go in, commands come out, and
// equal inputs give equal commands and equal snapshots, whatever was snapshotted and restored in
// between. It knows no clock; whoever drives it keeps the timers and tells what happened.
namespace sluice::vm {

// Identity of one started step within its run, from 1, in order of start. Attempts are the driver's
// matter: a StepId covers all of them.
struct StepId {
  uint32_t value = 0;
  friend auto operator<=>(StepId, StepId) = default;
};

// Identity of one timer within its run, from 1, in order of start.
struct TimerId {
  uint32_t value = 0;
  friend auto operator<=>(TimerId, TimerId) = default;
};
// What a timer is for. Stored by drivers: append only.
enum class TimerUse : uint8_t { sleep = 0, deadline = 1, receive = 2 };

// Begin the step. The driver keeps arguments and key for as long as it may try: the run does not.
// Where site->flow is set it is a run of that flow, told by child_ended().
struct StartStep {
  StepId id;
  const StepSite* site = nullptr;  // of the unit's program, valid as long as that
  uint32_t site_index = 0;
  std::string path;  // "answer/branch/step", unique within the run: "#2" for a path's second start
  std::string key;   // idempotency key: the key expression's value, or run id + ":" + path
  std::vector<Value> arguments;        // conform to the task's parameters
  std::vector<Value> hedge_arguments;  // of site->hedge_site, likewise
  bool compensating = false;           // belongs to a compensation
  std::vector<TimerId> deadlines;      // open around it: the step is of no use when one is up
};
// The answer to this step no longer matters; nothing more is to be reported for it, but for one
// that is a run (StartStep): that it is over, by child_gone().
struct CancelStep {
  StepId id;
};
// Tell the run by timer_fired() when the time is up. A run knows no clock: the driver does.
struct StartTimer {
  TimerId id;
  TimerUse use = TimerUse::sleep;
  // One of them: so long from now (0 if negative), or at this instant (now if it has passed).
  std::optional<int64_t> after_ms;
  std::optional<int64_t> until_us;  // since 1970, UTC
  std::string path;                 // where in the run: "answer/each#2"
};
// This timer is no longer wanted.
struct CancelTimer {
  TimerId id;
};
// A durable delivery of event `event` (index into Program::events).
struct Notify {
  uint32_t event = 0;
  Value value;  // conforms to the event's record
  NotifyTo to = NotifyTo::run_client;
  std::string target;  // unless run_client
};
// The run waits for events of a topic whose field has this value, from now on to its end. Said each
// time that a `receive` from a topic is reached.
struct Subscribe {
  uint32_t site_index = 0;  // of Program::receives
  Value key;
};
// Append to topic `topic` (index into Program::topics).
struct Publish {
  uint32_t topic = 0;
  Value value;  // conforms to the record of the topic's event
};
// Begin a run that this one does not wait for.
struct StartRun {
  std::string run;  // its id, as Host::new_run() said
  uint32_t flow = 0;
  std::vector<Value> arguments;       // conform to the flow's parameters
  std::optional<std::string> client;  // of the new run
};
// A line for the history of the run, and for its operators. `path` is where in the run.
struct Log {
  std::string path;
  std::string text;
};
// A compensation failed for good. `path` is the compensated step's.
struct DeadLetter {
  std::string path;
  Failure failure;
};
// `on failure` has begun: the driver starts its time limit and calls on_failure_expired() when that
// is up.
struct EnterOnFailure {};

// A `receive` took the signal that is the event of a run which waits to begin: that run is one with
// this one, and never begins.
struct Join {
  std::string run;  // Signal::from
};

enum class RunStatus : uint8_t {
  completed = 0,
  failed = 1,
  cancelled = 2,
  superseded = 3,
  joined = 4  // its event went to another run, which answers; it never began
};

// The run has ended: always the last command; its timers are over. Without an event, for a flow
// that declares outcomes and is neither superseded nor joined, the engine answers `sluice.failed`
// with `why`.
struct Finish {
  RunStatus status = RunStatus::completed;
  std::optional<uint32_t> event;  // index into Program::events
  Value value;
  std::optional<Failure>
      why;  // unless completed: the first failure, or if `on failure` failed too, that one
};

using Command = std::variant<StartStep, CancelStep, Notify, DeadLetter, EnterOnFailure, Finish,
                             StartTimer, CancelTimer, Subscribe, Publish, StartRun, Log, Join>;
using Commands = std::vector<Command>;

// An event for a `receive`: from a topic, or sent to the run itself.
struct Signal {
  uint32_t event = 0;  // index into Program::events
  std::optional<uint32_t> topic;
  Value value;  // conforms to the event's record
  // The run, as text, that this is the event of, and that waits to begin; empty: none. Whichever
  // `receive` takes the signal says so (Join).
  std::string from;
};
enum class SignalFit : uint8_t {
  taken,       // a `receive` may want it
  unexpected,  // none of the flow's names it, or the run is past all of them
  full         // kSignalsMax wait already, or too many bytes, and no fiber waits for just that
};

// busy: there was no place for it. joined: another run has its event; only before begin().
enum class CancelKind : uint8_t {
  cancelled = 0,
  timed_out = 1,
  superseded = 2,
  busy = 3,
  joined = 4
};

// Stored in snapshots: append only.
enum class Phase : uint8_t {
  created = 0,       // begin() was not called yet
  running = 1,       // the flow's own code
  compensating = 2,  // undoing, newest first
  failing = 3,       // `on failure`
  ended = 4
};

// What a run asks its driver while it works. The answers are inputs like any other: the same ones
// give the same commands.
class Host {
 public:
  virtual ~Host() = default;
  // Whether a `publish` or `start` may act now; otherwise its fiber waits for mail_open().
  virtual bool takes_messages() = 0;
  // Likewise of a `notify`, which need not go far.
  virtual bool takes_notify(const Notify& notify) = 0;
  // The id, as text, of a run that is about to be started. `start.run` is empty.
  virtual std::string new_run(const StartRun& start) = 0;
};

struct RunInfo {
  std::string run_id;                 // as text; part of default keys
  std::optional<std::string> client;  // run.client
  std::string tenant;
};

struct SnapshotError {
  std::string message;
};

namespace detail {
struct RunState;
}

class Run {
 public:
  // A run of flow `flow` (index into Program::flows). The unit must outlive the run.
  // Arguments that do not conform to the flow's parameters are a Fault, told by begin().
  Run(Unit& unit, uint32_t flow, std::vector<Value> arguments, RunInfo info);
  Run(Run&&) noexcept;
  Run& operator=(Run&&) noexcept;
  ~Run();

  // The time of the inputs that follow, which `now` is in the language: microseconds since
  // 1970-01-01T00:00:00Z. Not part of the state: told anew before each input.
  void set_now(int64_t us);
  // Must outlive the run's inputs; may be null as long as the program neither publishes nor starts
  // runs. No part of the state.
  void set_host(Host* host);

  // Inputs. Each goes on until every fiber waits or the run has ended, and appends its commands in
  // order. Never throws for what a program does. One that fits nothing (unknown or settled step, a
  // phase that excludes it) changes nothing and answers false.
  bool begin(Commands& commands);
  // A result that does not conform to the task's type fails the step, unsure, with kind Invalid.
  bool step_succeeded(StepId step, Value result, Commands& commands);
  // The step has failed for good: all attempts are used. `unsure`: it may have happened. An empty
  // failure.step is filled with the path.
  bool step_failed(StepId step, Failure failure, bool unsure, Commands& commands);
  // The run that a step had begun has ended: with event `event` (index into Program::events) as its
  // outcome, or without one.
  bool child_ended(StepId step, std::optional<uint32_t> event, Value value, Commands& commands);
  // The step that had begun a run has failed, but that run goes on: the driver calls it off.
  bool step_called_off(StepId step, Failure failure, Commands& commands);
  // The run of a step that was called off, or cancelled (CancelStep), is over: until then neither
  // the run ends nor the block that it was cancelled in, as those wait for compensations.
  bool child_gone(StepId step, Commands& commands);
  // The host takes messages again: fibers that wait for that go on.
  bool mail_open(Commands& commands);
  bool timer_fired(TimerId timer, Commands& commands);
  // What a signal of that event and topic, of so many bytes, would meet now.
  SignalFit fits(uint32_t event, std::optional<uint32_t> topic, uint64_t bytes) const;
  // To the first fiber that waits for it, else to the end of the queue. False: fits() says why, or
  // the value is not of the event's type.
  bool signal(Signal signal, Commands& commands);
  // Signals of that event that were sent to the run itself, and that no `receive` has taken, leave
  // the queue. False: there was none.
  bool withdraw(uint32_t event);
  // The signal that is the event of that run leaves the queue; false: it is not there any more.
  bool take_back(std::string_view from);
  // Cancel, the flow's own timeout, superseded by a newer run: compensates, then `on failure` (not
  // if superseded or joined). Only while running, or before begin(): then it never begins, and the
  // flow's own code does nothing.
  bool cancel(CancelKind kind, std::string message, Commands& commands);
  bool on_failure_expired(Commands& commands);

  Phase phase() const;
  uint32_t flow() const;
  const RunInfo& info() const;
  // Before begin() the flow's; afterwards only those that `on failure` will ask for.
  const std::vector<Value>& arguments() const;
  // The open steps, by id: every one was started, and neither answered nor cancelled.
  struct OpenStep {
    StepId id;
    uint32_t site_index = 0;
    std::string path;
    bool compensating = false;
  };
  std::vector<OpenStep> open_steps() const;
  bool is_open(StepId step) const;
  // The steps that are runs and were called off, in that order, while child_gone() is to come.
  std::vector<StepId> called_off() const;
  // The paths of the receives that fibers wait at, in their order.
  std::vector<std::string> open_receives() const;
  size_t queued_signals() const;
  // Whether a fiber waits for the host to take messages.
  bool waits_for_mail() const;
  // The open timers, by id: every one was started, and neither fired nor was cancelled.
  std::vector<TimerId> open_timers() const;

  // Canonical, versioned, checksummed bytes of the whole state. The same state gives the same
  // bytes; a state that was restored is the same state. Between inputs only.
  std::string snapshot() const;
  void snapshot_to(std::string& out) const;  // appends; reuse of `out` saves its allocation
  // hash64 over what snapshot() says: a 64-bit fingerprint of the state.
  uint64_t hash() const;
  // Refuses bytes that are not a snapshot of this very program (by flow and function tables),
  // without reading outside them.
  static tl::expected<Run, SnapshotError> restore(Unit& unit, std::string_view bytes);

 private:
  explicit Run(std::unique_ptr<detail::RunState> state);
  std::unique_ptr<detail::RunState> state_;
};

}  // namespace sluice::vm
