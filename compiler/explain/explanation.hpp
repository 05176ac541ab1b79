// The figures of one flow, before they are printed. Private to compiler/explain.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/analyse/worst.hpp"

namespace sluice::compiler::explain {

struct StepRow {
  std::string path;          // below the flow: "answer/sizes/n"
  std::string runs;          // the task, or "flow NAME"
  analyse::Amount time;      // of one round, fallbacks included
  analyse::Amount attempts;  // of its own task, in one round; 1 of a flow
  analyse::Amount rounds;    // how often a run comes here
  std::string fallback;      // "" | "a value" | the task
  std::string undo;          // "compensate: release(hold.id)"; "" where there is none
};

// What somebody may receive.
struct Message {
  std::string event;
  std::string to;  // "" for the run's client; else "client …", "group …", "run …", "topic …"
};

struct FlowExplanation {
  const ir::FlowDef* flow = nullptr;
  analyse::FlowCost cost;
  std::vector<StepRow> steps;  // in the order of the text, compensations left out
  std::vector<std::string> answers;
  std::vector<Message> messages;
  std::vector<analyse::Unbounded> open;  // what has no bound, each once
};

FlowExplanation explain_flow(const ir::Program& program, const ir::FlowDef& flow,
                             analyse::Children& children, const SourceSet& sources);

}  // namespace sluice::compiler::explain
