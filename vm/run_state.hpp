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
  runnable = 0,  // never between inputs
  at_step = 1,   // waits for the step that it stands at
  at_join = 2,   // waits for its children
  done = 3       // has its result, waits for its parent's join
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
  // How often each name (VerifiedProgram::site_name, segment_name) was started here, sorted by
  // name.
  struct Starts {
    uint32_t name;
    uint32_t count;
  };
  std::vector<Starts> starts;
};

// A compensation that is registered. In order of registration, that is of completion.
struct Undo {
  uint32_t scope =
      0;             // fiber whose failure or cancellation calls for it; its parent's after a join
  std::string path;  // of the step that it undoes
  Closure closure;
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

  // State; everything here but `unit` and `fuel` is in the snapshot.
  Unit* unit;
  Phase phase = Phase::created;
  uint32_t flow;
  RunInfo info;
  uint32_t next_fiber = 1;
  uint32_t next_step = 1;
  std::vector<Value> arguments;  // before begin all of them, later those that `on failure` reads
  std::vector<std::unique_ptr<Fiber>> fibers;  // by id
  std::vector<Undo> undo;                      // registered
  std::vector<Undo> pending;  // to be run now, the last one next (Phase::compensating)
  Ending ending;
  int64_t fuel = 0;  // of the present activation

  // Inputs (vm/run.hpp).
  void begin(Commands& commands);
  bool step_succeeded(StepId step, Value result, Commands& commands);
  bool step_failed(StepId step, Failure failure, bool unsure, Commands& commands);
  bool cancel(CancelKind kind, std::string message, Commands& commands);
  bool on_failure_expired(Commands& commands);

  // Scheduling (run.cc).
  const Program& program() const { return unit->program(); }
  const Function& function_of(const Fiber& fiber) const {
    return program().functions[fiber.function];
  }
  Fiber* find(uint32_t id);
  Fiber* waiting_for(StepId step);
  Fiber& add_fiber(uint32_t parent, uint32_t function, std::string path,
                   std::vector<Value> arguments);
  void drive(Commands& commands);  // until every fiber waits or the run has ended
  void run(Fiber& fiber, Commands& commands);
  void suspend(Fiber& fiber, FiberStatus status);
  bool holds_too_much() const;

  // Failures and endings (run_endings.cc).
  void fail(Fiber& fiber, Failure failure, Commands& commands);
  bool handle(Fiber& fiber, const Failure& failure, Commands& commands);
  void fail_root(Fiber& root, Failure failure, Commands& commands);
  void fail_too_large(Commands& commands);
  void complete(Fiber& fiber, Value result, Commands& commands);
  void stop_waiting(Fiber& fiber, Commands& commands);
  // Cancels these fibers: open steps, unsure compensations, then they are gone.
  void cancel_fibers(const std::vector<uint32_t>& ids, Commands& commands);
  std::vector<uint32_t> descendants(uint32_t id) const;
  std::vector<uint32_t> all_fibers() const;
  void fail_run(RunStatus status, Failure why, Commands& commands);
  void finish(Fiber& fiber, std::optional<uint32_t> event, Value value, Commands& commands);
  void unwind(Commands& commands);  // the next compensation, or what comes after the last
  void enter_on_failure(Commands& commands);
  void end(Commands& commands);
  void register_undo(uint32_t scope, std::string path, Closure closure);

  // Instructions that act (run_effects.cc).
  enum class After : uint8_t { go_on, wait, failed, left };
  After perform(Fiber& fiber, Activation& act, Commands& commands);
  After start_step(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After load_key(Fiber& fiber, Activation& act, const Instruction& i);
  After arm(Fiber& fiber, const Instruction& i);
  After on_undo(Fiber& fiber, Activation& act, const Instruction& i);
  After spawn(Fiber& fiber, Activation& act, const Instruction& i);
  After spawn_step(Fiber& fiber, const Instruction& i);
  After join(Fiber& fiber, Activation& act, const Instruction& i);
  void take_results(Fiber& parent, uint16_t first);
  After notify(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  After leave(Fiber& fiber, Activation& act, const Instruction& i, Commands& commands);
  bool event_value(Activation& act, uint32_t event, const Value& value);

  // Paths. `start` counts one more start of the name in this fiber.
  std::string path_of(const Fiber& fiber, uint32_t name, const std::string& last,
                      uint32_t more) const;
  std::string step_path(const Fiber& fiber, uint32_t site, uint32_t more = 0) const;
  void start_name(Fiber& fiber, uint32_t name);

  void encode(std::string& out) const;  // snapshot.cc
};

}  // namespace sluice::vm::detail
