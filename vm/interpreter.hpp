#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "vm/unit.hpp"
#include "vm/value.hpp"

// The interpreter of one function and the pure functions it calls. Runs and the evaluator drive it.
namespace sluice::vm {

enum class Stop : uint8_t {
  effect,    // pc stands at an instruction that the run must perform
  returned,  // result is the function's value
  failed     // failure is set; pc stands where it happened (at the call, if inside one)
};

// State of one execution. Between calls of execute() the driver may change pc and registers.
struct Activation {
  const Function* function = nullptr;
  uint32_t pc = 0;
  Value* registers = nullptr;  // function->registers of them
  uint32_t stack_base = 0;     // the unit's stack is free from here on
  bool in_constraint = false;  // a constraint is being asked: json is not checked from there
  int64_t fuel = 0;            // left; what the failure of being out of it leaves is below zero
  Value result;
  Failure failure;

  // Sets the failure and answers false.
  bool fail(std::string_view kind, std::string message);
  bool fault(std::string message) { return fail("Fault", std::move(message)); }
  // Pays for `bytes` read or built.
  void charge(uint64_t bytes) { fuel -= static_cast<int64_t>(bytes / kBytesPerFuel); }
  // Pays for a value that was built; false with a failure if it is beyond the limits.
  bool accept(const Value& value);
};

// Runs until one of the stops. REQUIRES: the function belongs to the unit's program, pc is one of
// its addresses.
Stop execute(Unit& unit, Activation& activation);

// The builtin's value into `out`, which may be one of the arguments. False: a failure is set.
// REQUIRES: as many arguments as the builtin has parameters.
bool call_builtin(Unit& unit, Activation& activation, Builtin builtin,
                  std::span<const Value> arguments, Value* out);

// `json as T`: the value of that type, constraints checked, into `out`. False: a failure is set, of
// kind Invalid if the JSON does not fit. REQUIRES: a type of the unit's program.
bool check_json(Unit& unit, Activation& activation, TypeId type, const Value& json, Value* out);

// `decode(text) as T`, in one pass where nothing is wrong; otherwise what both say, one after the
// other. REQUIRES: likewise.
bool decode_json_text(Unit& unit, Activation& activation, TypeId type, const Value& text,
                      Value* out);

// Appends the text of a value as interpolation writes it: strings and scalars plainly, the rest as
// JSON.
void append_text(const TypeTable& types, const Value& value, std::string& out);

}  // namespace sluice::vm
