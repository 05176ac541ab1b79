#include "compiler/explain.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/explain/explanation.hpp"
#include "compiler/render.hpp"

namespace sluice::compiler {

using namespace explain;
using analyse::Amount;
using analyse::say_ms;

namespace {

std::string time_text(const Amount& amount) {
  return amount.is_bounded() ? say_ms(amount.value) : "unbounded";
}

std::string count_text(const Amount& amount) {
  return amount.is_bounded() ? fmt::format("{}", amount.value) : "unbounded";
}

std::string count_json(const Amount& amount) {
  return amount.is_bounded() ? fmt::format("{}", amount.value) : "null";
}

std::vector<FlowExplanation> all_flows(const ir::Program& program, const SourceSet& sources) {
  analyse::Children children;
  std::vector<FlowExplanation> flows;
  for (const ir::FlowDef& flow : program.flows) {
    if (!flow.module->is_standard) flows.push_back(explain_flow(program, flow, children, sources));
  }
  return flows;
}

// Columns as wide as their longest cell; the last one is not filled up.
class Table {
 public:
  void row(std::vector<std::string> cells) {
    widths_.resize(std::max(widths_.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], count_code_points(cells[i]));
    }
    rows_.push_back(std::move(cells));
  }

  std::string text() const {
    std::string out;
    for (const auto& cells : rows_) {
      std::string line = " ";
      for (std::size_t i = 0; i < cells.size(); ++i) {
        line += " " + cells[i];
        if (i + 1 < cells.size()) {
          line += std::string(widths_[i] - count_code_points(cells[i]) + 1, ' ');
        }
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::string messages_text(const FlowExplanation& flow, bool own) {
  std::vector<std::string> words;
  for (const Message& each : flow.messages) {
    if (each.to.empty() != own) continue;
    words.push_back(own ? each.event : fmt::format("{} to {}", each.event, each.to));
  }
  return joined(words, ", ");
}

// The steps whose wait for a worker is in none of the times.
std::vector<std::string> waits_of(const FlowExplanation& flow) {
  std::vector<std::string> paths;
  for (const ir::StepDef* step : flow.cost.all().waits.all()) {
    // `compensate` and `unsure` may have a step of one name.
    if (std::find(paths.begin(), paths.end(), step->path) == paths.end()) {
      paths.push_back(step->path);
    }
  }
  return paths;
}

std::string head_text(const FlowExplanation& flow) {
  Table table;
  const auto& cost = flow.cost;
  const auto& timeout = flow.flow->timeout_ms;
  std::string longest = fmt::format("{} of steps", time_text(cost.body.time));
  if (timeout) longest += fmt::format("; `timeout` cuts at {}", say_ms(timeout->value));
  table.row({"longest", longest});
  if (const std::vector<std::string> waits = waits_of(flow); !waits.empty()) {
    table.row({"not counted", fmt::format("waiting for a worker, which nothing bounds: {}; "
                                          "`queue D` or `within D` would",
                                          joined(waits, ", "))});
  }
  if (!cost.undo.attempts.empty()) {
    table.row({"undoing", fmt::format("{} after that", time_text(cost.undo.time))});
  }
  table.row({"answers",
             flow.answers.empty() ? "nothing: it has no outcomes" : joined(flow.answers, " or ")});
  if (const std::string own = messages_text(flow, true); !own.empty()) {
    table.row({"notifies", own});
  }
  if (const std::string others = messages_text(flow, false); !others.empty()) {
    table.row({"others get", others});
  }
  return table.text();
}

std::string steps_text(const FlowExplanation& flow) {
  if (flow.steps.empty()) return "";
  Table table;
  table.row({"step", "task", "longest", "attempts", "rounds", "fallback", "undone by"});
  for (const StepRow& row : flow.steps) {
    table.row({row.path, row.runs, time_text(row.time), count_text(row.attempts),
               count_text(row.rounds), row.fallback, row.undo});
  }
  return "\n" + table.text();
}

std::string tasks_text(const FlowExplanation& flow) {
  const analyse::Cost all = flow.cost.all();
  if (all.attempts.empty()) return "";
  Table table;
  table.row({"task", "attempts of a run, at most"});
  for (const auto& [task, count] : all.attempts) table.row({task->name, count_text(count)});
  return "\n" + table.text();
}

std::string open_text(const FlowExplanation& flow, const SourceSet& sources) {
  std::string out;
  for (const analyse::Unbounded& each : flow.open) {
    const SourceFile& file = sources.file(each.span.file);
    const Position at = file.position(each.span.begin);
    out += fmt::format("  unbounded: {}:{}:{}: {}; {}\n", file.path(), at.line, at.column,
                       each.what, each.mend);
  }
  return out.empty() ? out : "\n" + out;
}

std::string steps_json(const FlowExplanation& flow) {
  std::string out;
  for (const StepRow& row : flow.steps) {
    out += fmt::format(R"({}{{"path":{},"task":{},"longest_ms":{},"attempts":{},"rounds":{},)"
                       R"("fallback":{},"undo":{}}})",
                       out.empty() ? "" : ",", json_quote(row.path), json_quote(row.runs),
                       count_json(row.time), count_json(row.attempts), count_json(row.rounds),
                       json_quote(row.fallback), json_quote(row.undo));
  }
  return out;
}

std::string strings_json(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& each : words) quoted.push_back(json_quote(each));
  return joined(quoted, ",");
}

std::string messages_json(const FlowExplanation& flow) {
  std::string out;
  for (const Message& each : flow.messages) {
    out += fmt::format(R"({}{{"event":{},"to":{}}})", out.empty() ? "" : ",",
                       json_quote(each.event), json_quote(each.to));
  }
  return out;
}

std::string tasks_json(const FlowExplanation& flow) {
  std::string out;
  for (const auto& [task, count] : flow.cost.all().attempts) {
    out += fmt::format(R"({}{{"task":{},"attempts":{}}})", out.empty() ? "" : ",",
                       json_quote(task->name), count_json(count));
  }
  return out;
}

std::string open_json(const FlowExplanation& flow, const SourceSet& sources) {
  std::string out;
  for (const analyse::Unbounded& each : flow.open) {
    const SourceFile& file = sources.file(each.span.file);
    const Position at = file.position(each.span.begin);
    out += fmt::format(R"({}{{"file":{},"line":{},"column":{},"what":{},"mend":{}}})",
                       out.empty() ? "" : ",", json_quote(file.path()), at.line, at.column,
                       json_quote(each.what), json_quote(each.mend));
  }
  return out;
}

std::string flow_json(const FlowExplanation& flow, const SourceSet& sources) {
  const auto& timeout = flow.flow->timeout_ms;
  return fmt::format(
      R"({{"flow":{},"timeout_ms":{},"longest_ms":{},"undo_ms":{},"answers":[{}],)"
      R"("messages":[{}],"steps":[{}],"tasks":[{}],"unbounded":[{}],"not_counted":[{}]}})",
      json_quote(flow.flow->name), timeout ? fmt::format("{}", timeout->value) : "null",
      count_json(flow.cost.body.time), count_json(flow.cost.undo.time), strings_json(flow.answers),
      messages_json(flow), steps_json(flow), tasks_json(flow), open_json(flow, sources),
      strings_json(waits_of(flow)));
}

}  // namespace

std::string explain_text(const ir::Program& program, const SourceSet& sources) {
  std::string out;
  for (const FlowExplanation& flow : all_flows(program, sources)) {
    const auto* trigger = flow.flow->trigger;
    out += fmt::format("{}flow {}{}\n", out.empty() ? "" : "\n", flow.flow->name,
                       trigger == nullptr ? "" : fmt::format(" on {}", trigger->name));
    out += head_text(flow) + steps_text(flow) + tasks_text(flow) + open_text(flow, sources);
  }
  return out;
}

std::string explain_json(const ir::Program& program, const SourceSet& sources) {
  std::string flows;
  for (const FlowExplanation& flow : all_flows(program, sources)) {
    flows += (flows.empty() ? "" : ",") + flow_json(flow, sources);
  }
  return fmt::format("{{\"flows\":[{}]}}\n", flows);
}

}  // namespace sluice::compiler
