#pragma once

#include <span>
#include <string>
#include <string_view>

#include "vm/interpreter.hpp"

// What the builtins share. Private to vm/builtins*.cc.
namespace sluice::vm {

// Checks of arguments and the way out with a failure, for the functions below.
class Call {
 public:
  Call(Unit& unit, Activation& act, const BuiltinInfo& info, std::span<const Value> arguments)
      : types(unit.types()), act_(act), info_(info), arguments_(arguments) {}

  const TypeTable& types;

  const Value& operator[](size_t i) const { return arguments_[i]; }
  std::string_view text(size_t i) const { return arguments_[i].as_text(); }
  std::span<const Value> items(size_t i) const { return arguments_[i].elements(); }
  int64_t integer(size_t i) const { return arguments_[i].as_int(); }

  // Whether the arguments are of these kinds; fails the activation if not.
  template <class... Kinds>
  bool are(Kinds... kinds) {
    size_t i = 0;
    return ((arguments_[i].is(kinds) ? (++i, true) : wrong(i)) && ...);
  }
  // All elements of list `i` are of that kind.
  bool all(size_t i, Kind kind) {
    for (const Value& item : items(i)) {
      if (!item.is(kind)) return wrong(i);
    }
    return true;
  }
  bool wrong(size_t i) {
    return act_.fault(name() + " got an argument of kind " + kind_name(arguments_[i].kind()));
  }
  bool fault(const std::string& what) { return act_.fault(name() + ": " + what); }
  bool overflow() { return act_.fault(name() + ": the result does not fit in 64 bits"); }
  bool overflow_of_decimal() { return act_.fault(name() + ": the result has more than 33 digits"); }
  bool invalid(std::string what) { return act_.fail("Invalid", std::move(what)); }
  void charge(uint64_t bytes) { act_.charge(bytes); }

  bool give(Value* out, Value value) {
    *out = std::move(value);
    return act_.accept(*out);
  }

 private:
  std::string name() const { return "`" + std::string(info_.name) + "`"; }

  Activation& act_;
  const BuiltinInfo& info_;
  std::span<const Value> arguments_;
};

// The builtins of builtins_more.cc: bytes, JSON, decimals, time, lists of lists.
bool call_more(Call& call, Builtin builtin, Value* out);

}  // namespace sluice::vm
