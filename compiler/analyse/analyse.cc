#include "compiler/analyse/analyse.hpp"

#include "compiler/analyse/passes.hpp"

namespace sluice::compiler {

void analyse_flows(const ir::Program& program, Diagnostics& diagnostics) {
  analyse::check_task_repeats(program, diagnostics);
  analyse::check_labels(program, diagnostics);
  analyse::Children children;
  for (const ir::FlowDef& flow : program.flows) {
    // Where a brace is a guess, so is what comes after what.
    if (program.damage_in(flow.module->file).guessed(flow.tree->span)) continue;
    const analyse::View view(program, flow);
    analyse::check_answers(view, diagnostics);
    analyse::check_on_failure(view, diagnostics);
    analyse::check_repeats(view, diagnostics);
    analyse::check_undoing(view, children, diagnostics);
    analyse::check_sizes(view, diagnostics);
    analyse::check_loops(view, diagnostics);
    analyse::check_hanging(view, diagnostics);
    analyse::check_limits(view, children, diagnostics);
  }
}

}  // namespace sluice::compiler
