// One program in two languages: programs/NAME.flow and programs/NAME.lua compute the same text from
// the same number and the same input.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace sluice::bench {

struct Input {
  std::int64_t n = 0;
  std::string text;
};

/// Throws std::runtime_error, with what the compiler or Lua has to say.
class Side {
 public:
  virtual ~Side() = default;
  /// The program's answer. What is measured is this call.
  virtual std::string run(const Input& input) = 0;
};

/// The flow `main(n: int, text: string) -> Done { result: string }` as the engine runs it: a run
/// begins, executes until it ends, and its outcome is looked at.
std::unique_ptr<Side> flow_side(const std::string& file);

/// A chunk that gives a function of n and text, in a Lua state of its own with the standard
/// libraries and lua-cjson.
std::unique_ptr<Side> lua_side(const std::string& file);

}  // namespace sluice::bench
