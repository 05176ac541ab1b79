// The analyses of one flow, one function each. Private to compiler/analyse.
#pragma once

#include "compiler/analyse/view.hpp"
#include "compiler/analyse/worst.hpp"
#include "compiler/diagnostics.hpp"

namespace sluice::compiler::analyse {

// How a block goes on. It may do several of these, on different paths.
struct Ways {
  bool on = true;       // comes to its end
  bool breaks = false;  // leaves the loop around it
  bool continues = false;
  bool yields = false;
};
Ways ways_of(const View& view, const ast::Block& block);

// Every path of a flow with outcomes answers, failed runs are answered; what is never reached.
void check_answers(const View& view, Diagnostics& diagnostics);
// No step is attempted again, or hedged, that may have been done and must not be done twice.
void check_repeats(const View& view, Diagnostics& diagnostics);
void check_task_repeats(const ir::Program& program, Diagnostics& diagnostics);
// Effects are undone, or kept on purpose, when something fails after them.
void check_undoing(const View& view, Children& children, Diagnostics& diagnostics);
// No more is alive, or to be undone, at once than a run may have.
void check_sizes(const View& view, Diagnostics& diagnostics);
// Loops wait, waits end, and `on failure` depends on nothing that can fail.
void check_loops(const View& view, Diagnostics& diagnostics);
void check_hanging(const View& view, Diagnostics& diagnostics);
// Deadlines add up, and budgets hold.
void check_limits(const View& view, Children& children, Diagnostics& diagnostics);
// What is marked `pii` or `secret` stays where it may be.
void check_labels(const ir::Program& program, Diagnostics& diagnostics);
void check_on_failure(const View& view, Diagnostics& diagnostics);

}  // namespace sluice::compiler::analyse
