#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vm/builder.hpp"
#include "vm/run.hpp"
#include "vm/unit.hpp"
#include "vm/verifier.hpp"

// Programs for the tests of vm/, and a driver that keeps what a run has asked for.
namespace sluice::vm::testing {

// A program under construction: types, tasks and functions by name.
struct ProgramBuilder {
  Program program;
  ConstantPool constants{program};

  ProgramBuilder() = default;
  ProgramBuilder(const ProgramBuilder&) = delete;

  uint32_t record(const std::string& name, std::vector<std::pair<std::string, TypeId>> fields);
  uint32_t event(const std::string& name, uint32_t record);
  uint32_t task(const std::string& name, std::vector<TypeId> parameters, TypeId result);
  uint32_t site(const std::string& name, uint32_t task);
  // Adds what `body` emits.
  uint32_t function(const std::string& name, FunctionKind kind, uint16_t parameters,
                    const std::function<void(FunctionBuilder&)>& body,
                    const std::string& segment = "");
  uint32_t flow(const std::string& name, std::vector<TypeId> parameters, uint32_t function,
                std::optional<uint32_t> on_failure, std::vector<uint32_t> outcomes);
  Register constant(FunctionBuilder& f, const Value& value);

  std::shared_ptr<const VerifiedProgram> verified() const;  // fails the test if it is refused
};

// The support example of the language page, hand-made: flow 0 is `answer`.
struct SupportProgram : ProgramBuilder {
  uint32_t ask, turn, verdict, hold, answer_record, refused_record, failed_record, searching_record;
  uint32_t answer, refused, failed, searching;  // events
  SupportProgram();
  Value ask_value(const std::string& text) const;
  Value verdict_value(bool blocked, const std::string& reason) const;
};

// A run with everything it has commanded so far.
struct Driver {
  Unit unit;
  Run run;
  Commands commands;

  Driver(std::shared_ptr<const VerifiedProgram> program, uint32_t flow,
         std::vector<Value> arguments, RunInfo info = {"run1", "ann", "acme"});

  // Forgets the commands so far, then gives the input.
  bool begin();
  bool succeed(const std::string& path, Value result);
  bool fail(const std::string& path, const std::string& kind, bool unsure = false,
            const std::string& message = "it broke");
  bool cancel(CancelKind kind = CancelKind::cancelled);
  bool expire();
  bool fire(uint32_t timer);  // its time is up
  bool signal(Signal signal);

  // Snapshots, restores, and checks that both are the same state.
  void restore();

  StepId open(const std::string& path);  // fails the test if that step is not open
  // The commands since the last input, one per line: "start answer/verdict moderate(\"hi\")",
  // "cancel 3", "notify Searching { sources: 2 }", "dead answer/hold Rejected", "on failure",
  // "finish completed Answer {…}".
  std::string log() const;
};

std::string describe_command(const Program& program, const Command& command);

}  // namespace sluice::vm::testing
