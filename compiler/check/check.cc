#include "compiler/check/check.hpp"

#include "compiler/analyse/analyse.hpp"
#include "compiler/check/context.hpp"

namespace sluice::compiler {

std::unique_ptr<ir::Program> check(const SourceSet& sources, const std::set<FileId>& standard,
                                   std::vector<std::unique_ptr<ast::Module>> trees,
                                   Diagnostics& diagnostics, ZoneNames zones) {
  auto program = std::make_unique<ir::Program>();
  program->trees = std::move(trees);
  Context context(*program, diagnostics);
  context.zones = zones;
  load_modules(context, sources, standard);
  collect(context);
  check_wire_names(context);
  check_declarations(context);
  check_bodies(context);
  check_upgrades(context);
  check_cycles(context);
  analyse_flows(*program, diagnostics);
  check_tests(context);
  check_edge_events(context);
  check_imports_used(context);
  return program;
}

}  // namespace sluice::compiler
