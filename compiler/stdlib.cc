#include "compiler/stdlib.hpp"

#include <algorithm>

namespace sluice::compiler {

// Made from stdlib/*.flow by compiler/check/embed.cmake.
extern const StandardModule kStandardModules[];
extern const std::size_t kStandardModuleCount;

const std::vector<StandardModule>& standard_modules() {
  static const std::vector<StandardModule> kModules(kStandardModules,
                                                    kStandardModules + kStandardModuleCount);
  return kModules;
}

std::optional<StandardModule> find_standard_module(std::string_view name) {
  const auto& modules = standard_modules();
  const auto found = std::find_if(modules.begin(), modules.end(),
                                  [&](const StandardModule& each) { return each.name == name; });
  return found == modules.end() ? std::nullopt : std::optional(*found);
}

}  // namespace sluice::compiler
