#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vm/interpreter.hpp"
#include "vm/run.hpp"

// Inside a Run: the tree of fibers, the registered compensations, and what the run is heading for.
namespace sluice::vm::detail {

// Stored in snapshots: append only.
enum class FiberStatus : uint8_t {
  runnable = 0,    // never between inputs
  at_step = 1,     // waits for the step that it stands at
  at_join = 2,     // waits for its children
  done = 3,        // has its result, waits for its parent's join
  at_sleep = 4,    // waits for its timer
  at_race = 5,     // waits for the first of its children
  at_slot = 6,     // waits for any of its children
  at_gather = 7,   // waits for its children
  at_undo = 8,     // waits for compensations that it handed over
  at_receive = 9,  // waits for a signal
  at_mail = 10     // waits for the host to take messages, and acts then
};

// A function with the values it will run with, taken when it was registered.
struct Closure {
  uint32_t function = 0;
  std::vector<Value> captured;
};

struct Fiber {
  uint32_t id = 0;      // from 1, rising in order of creation
  uint32_t parent = 0;  // 0: a root
  uint32_t function = 0;
  uint32_t pc = 0;  // the instruction that it waits at
  FiberStatus status = FiberStatus::runnable;
  std::string path;              // of its steps: "answer", "answer/left"
  std::vector<Value> registers;  // function's; while it waits, all but the live ones are none
  StepId step;                   // at_step
  std::optional<Closure> armed;  // compensation if that step ends unsure or is cancelled
  Value result;                  // done
  // How often each name (VerifiedProgram::site_name, segment_name, name_of a round) was started
  // here, sorted by name.
  struct Starts {
    uint32_t name;
    uint32_t count;
  };
  std::vector<Starts> starts;
  // The rounds of loops around it, outermost first. The path has their segments; `starts` counts
  // within the innermost.
  struct Round {
    uint32_t path_bytes;         // of the path around it
    std::vector<Starts> starts;  // counted around it
  };
  std::vector<Round> rounds;
  TimerId timer;                   // what it waits for ends, at the latest, when this is up
  std::vector<TimerId> deadlines;  // open, in order of start
  // What children of a fan-out gave that have ended since the last gather, by their ids.
  struct Given {
    uint32_t child;
    Value value;
  };
  std::vector<Given> given;
};

// Names of rounds, where steps' and branches' are small numbers.
constexpr uint32_t name_of(RoundKind kind) {
  return UINT32_MAX - static_cast<uint32_t>(kind);
}

// A compensation that is registered, or pending. In order of registration, that is of completion.
struct Undo {
  uint32_t number = 0;  // from 1, rising in order of registration
  // Registered: the fiber whose failure or cancellation calls for it; its parent's after a join.
  // Pending: the fiber that waits for it, 0 for the end of the run.
  uint32_t scope = 0;
  std::string path;  // of the step that it undoes
  Closure closure;
};

// A step whose run was called off, and has not yet undone what it did. Whoever waits for
// compensations of that scope waits for its end first.
struct CalledOff {
  StepId step;
  uint32_t scope = 0;  // as Undo's
};

// What a run that left Phase::running is heading for.
struct Ending {
  RunStatus status = RunStatus::completed;
  std::optional<uint32_t> event;
  Value value;
  std::optional<Failure> why;
};

struct RunState {
  RunState(Unit& u, uint32_t f) : unit(&u), flow(f) {}

  // State; everything here but `unit`, `fuel`, `now_us`, `time_is_up` and `host` is in the
  // snapshot.
  Unit* unit;
  Phase phase = Phase::created;
  uint32_t flow;
  RunInfo info;
  uint32_t next_fiber = 1;
  uint32_t next_step = 1;
  uint32_t next_timer = 1;
  uint32_t next_undo = 1;
  std::vector<Value> arguments;  // before begin all of them, later those that `on failure` reads
  std::vector<std::unique_ptr<Fiber>> fibers;  // by id
  std::vector<Undo> undo;                      // registered
  // To be run now, of each scope one after the other, the last one next. A compensation that runs
  // is a fiber whose parent waits for it; once handed over, it goes on whatever is cancelled.
  std::vector<Undo> pending;
  std::vector<Signal> signals;        // that nobody took yet, oldest first
  std::vector<CalledOff> called_off;  // in the order in which they were
  Ending ending;
  int64_t fuel = 0;         // of the present activation
  int64_t now_us = 0;       // time of the input that is being taken
  bool time_is_up = false;  // in the activation that ends `on failure`: no step waits any more
  Host* host = nullptr;

  // Inputs (vm/run.hpp).
  tl::expected<std::vector<Value>, Failure> take_arguments();
  void begin(Commands& commands);
  bool step_succeeded(StepId step, Value result, Commands& commands);
  bool step_failed(StepId step, Failure failure, bool unsure, Commands& commands);
  bool cancel(CancelKind kind, std::string message, Commands& commands);
  bool on_failure_expired(Commands& commands);
  static Failure out_of_time();
  bool timer_fired(TimerId timer, Commands& commands);
  bool child_ended(StepId step, std::optional<uint32_t> event, Value value, Commands& commands);
  bool mail_open(Commands& commands);
  bool step_called_off(StepId step, Failure failure, Commands& commands);
  bool child_gone(StepId step, Commands& commands);

  // What became of an instruction.
  enum class After : uint8_t { go_on, wait, failed, left };

  // Signals (run_signals.cc).
  SignalFit fits(uint32_t event, std::optional<uint32_t> topic, uint64_t bytes) const;
  bool signal(Signal signal, Commands& commands);
  After receive(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  // Whether the receive at which the fiber stands takes it; nothing: asking the filter failed.
  std::optional<bool> wanted(const Fiber& fiber, const Signal& signal, Failure& failure);
  std::string receive_path(const Fiber& fiber, uint32_t site) const;

  // Scheduling (run.cc).
  const Program& program() const { return unit->program(); }
  const Function& function_of(const Fiber& fiber) const {
    return program().functions[fiber.function];
  }
  Fiber* find(uint32_t id) const;
  Fiber* waiting_for(StepId step);
  Fiber& add_fiber(uint32_t parent, uint32_t function, std::string path,
                   std::vector<Value> arguments);
  void drive(Commands& commands);  // until every fiber waits or the run has ended
  void run(Fiber& fiber, Commands& commands);
  void suspend(Fiber& fiber, FiberStatus status, Commands& commands);
  bool holds_too_much() const;

  // Failures and endings (run_endings.cc).
  void fail(Fiber& fiber, Failure failure, Commands& commands);
  bool handle(Fiber& fiber, const Failure& failure, Commands& commands);
  void fail_root(Fiber& root, Failure failure, Commands& commands);
  void fail_too_large(Commands& commands);
  void complete(Fiber& fiber, Value result, Commands& commands);
  void stop_waiting(Fiber& fiber, Commands& commands);
  // Cancels these fibers: open steps, unsure compensations, timers, then they are gone. What they
  // registered is `heir`'s from now on, registered or, if `undone`, pending; what they had handed
  // over to be compensated goes on, and the heir waits for it.
  struct Heir {
    uint32_t id = 0;  // 0: the run
    bool undone = false;
  };
  void cancel_fibers(const std::vector<uint32_t>& ids, Heir heir, Commands& commands);
  // The fibers below one (0: all), by id, without compensations and what is below those.
  std::vector<uint32_t> descendants(uint32_t id) const;
  // Whether the fiber is a compensation, or below one.
  bool is_compensation(const Fiber& fiber) const;
  bool compensates(const Fiber& fiber) const;
  void fail_run(RunStatus status, Failure why, Commands& commands);
  void finish(Fiber& fiber, std::optional<uint32_t> event, Value value, Commands& commands);
  void unwind(Commands& commands);  // the next compensation, or what comes after the last
  void enter_on_failure(Commands& commands);
  void end(Commands& commands);
  void register_undo(uint32_t scope, std::string path, Closure closure);
  // Registered compensations of those scopes become pending for `waiter`.
  void hand_over(const std::vector<uint32_t>& scopes, uint32_t since, uint32_t waiter);
  // A compensation has ended, well or not; the next of its scope, or whoever waits, goes on.
  void end_compensation(Fiber& fiber, Commands& commands);
  bool start_pending(uint32_t waiter);
  bool has_called_off(uint32_t scope) const;
  // What was registered in one fiber, or called off, is another's from now on.
  void move_scope(uint32_t from, uint32_t to);
  void fail_compensation(Fiber& fiber, Failure failure, Commands& commands);
  void inherit(const std::vector<uint32_t>& ids, uint32_t heir);

  // Waiting, loops and blocks that can be left (run_blocks.cc).
  TimerId start_timer(std::string path, TimerUse use, const Value& when, Commands& commands);
  void cancel_timer(TimerId& timer, Commands& commands);
  // Whether a deadline handler names the timer where the fiber stands.
  const Handler* deadline_handler(const Fiber& fiber, TimerId timer) const;
  // Cancels the deadlines of blocks that the fiber has left.
  void drop_deadlines(Fiber& fiber, Commands& commands);
  void cancel_deadlines(Fiber& fiber, Commands& commands);
  void expire(Fiber& fiber, TimerId timer, Commands& commands);
  void child_ended(Fiber& parent, Fiber& child, Commands& commands);
  void win(Fiber& parent, Fiber& winner, Commands& commands);
  // Takes what the ended children of a fan-out gave; answers how many go on.
  size_t collect(Fiber& parent);

  // Instructions that act (run_effects.cc).
  After perform(Fiber& fiber, Activation& act, Commands& commands);
  After start_step(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After load_key(Fiber& fiber, Activation& act, const Instruction& i);
  After arm(Fiber& fiber, const Instruction& i);
  After on_undo(Fiber& fiber, Activation& act, const Instruction& i);
  After spawn(Fiber& fiber, Activation& act, const Instruction& i);
  After spawn_step(Fiber& fiber, const Instruction& i);
  After join(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  void take_results(Fiber& parent, uint16_t first);
  After notify(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After log(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After leave(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After perform_block(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After sleep(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After start_deadline(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After begin_round(Fiber& fiber, Activation& act, const Instruction& i);
  After leave_rounds(Fiber& fiber, Activation& act, uint32_t depth);
  After undo_since(Fiber& fiber, Activation& act, const Instruction& i);
  After settle(Fiber& fiber, Activation& act, Commands& commands);
  After rethrow(Activation& act, const Instruction& i);
  After race(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After slot(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After gather(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  bool event_value(Activation& act, uint32_t event, const Value& value);

  // What goes to other partitions (run_messages.cc).
  After publish(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After start_run(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  // False: a failure is set.
  bool keeps_constraints(Activation& act, uint32_t event, const Value& value);
  // The host takes no messages: the fiber waits, and acts then.
  After wait_for_mail(Fiber& fiber, Activation& act, Commands& commands);
  // Checks and takes what a step or start passes on.
  bool take_arguments(Activation& act, uint32_t first, const std::vector<Parameter>& parameters,
                      const std::string& what, std::vector<Value>& out);
  // The value of a step that ran a flow; nothing: that flow has no such outcome.
  std::optional<Value> outcome_value(const StepSite& site, std::optional<uint32_t> event,
                                     Value value) const;

  // Paths. `start` counts one more start of the name in this fiber.
  std::string path_of(const Fiber& fiber, uint32_t name, const std::string& last,
                      uint32_t more) const;
  std::string step_path(const Fiber& fiber, uint32_t site, uint32_t more = 0) const;
  uint32_t start_name(Fiber& fiber, uint32_t name);  // answers which start it is

  void encode(std::string& out) const;  // snapshot.cc
};

}  // namespace sluice::vm::detail
