// The modules that ship with the compiler: the files of stdlib/, put into the program when it is
// built.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace sluice::compiler {

struct StandardModule {
  std::string_view name;  // "std.retry"
  std::string_view path;  // "std/retry.flow", for messages and debug lines
  std::string_view text;
};

// All of them, by name.
const std::vector<StandardModule>& standard_modules();

// Nothing if there is none of that name.
std::optional<StandardModule> find_standard_module(std::string_view name);

}  // namespace sluice::compiler
