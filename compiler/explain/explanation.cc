#include "compiler/explain/explanation.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::compiler::explain {

using namespace analyse;
using ir::StepDef;

namespace {

// Goes through a flow with the number of rounds around each statement.
class Rows {
 public:
  Rows(const View& view, Worst& worst, const SourceSet& sources, FlowExplanation& out)
      : view_(view), worst_(worst), sources_(sources), out_(out) {}

  void block(const ast::Block& block, const Amount& rounds) {
    for (const ast::StmtPtr& each : block.statements) statement(without_let(*each), rounds);
  }

  void unbounded(const Amount& amount) {
    if (amount.is_bounded()) return;
    const auto same = [&](const Unbounded& other) { return other.span == amount.why->span; };
    if (std::none_of(out_.open.begin(), out_.open.end(), same)) out_.open.push_back(*amount.why);
  }

 private:
  std::string_view text_of(Span span) const {
    const std::string_view text = sources_.file(span.file).text();
    return text.substr(span.begin, span.size());
  }

  void statement(const ast::Stmt& stmt, const Amount& rounds) {
    if (const auto* node = ast::as<ast::StepStmt>(stmt)) return step(stmt, *node, rounds);
    if (const auto* node = ast::as<ast::NotifyStmt>(stmt)) return notify(*node);
    if (const auto* node = ast::as<ast::PublishStmt>(stmt)) {
      return message(node->event, fmt::format("topic {}", node->topic.text()));
    }
    Amount inner = rounds;
    const bool loop =
        ast::as<ast::WhileStmt>(stmt) != nullptr || ast::as<ast::EachStmt>(stmt) != nullptr;
    if (loop) inner = times(rounds, worst_.rounds_of(stmt).all);
    if (const auto* node = ast::as<ast::ParallelStmt>(stmt)) return branches(node->branches, inner);
    if (const auto* node = ast::as<ast::RaceStmt>(stmt)) return branches(node->branches, inner);
    for_each_block(stmt, [&](const ast::Block& each) { block(each, inner); });
  }

  void branches(const std::vector<ast::Branch>& branches, const Amount& rounds) {
    for (const ast::Branch& each : branches) {
      const ast::Block* body = body_of(each);
      if (body == nullptr) {
        statement(*step_of(each), rounds);
      } else {
        block(*body, rounds);
      }
    }
  }

  void step(const ast::Stmt& stmt, const ast::StepStmt& node, const Amount& rounds) {
    const StepDef* def = view_.step(stmt);
    if (def == nullptr || (def->task == nullptr && def->flow == nullptr)) return;
    StepRow row{.path = def->path, .time = worst_.of_step(*def).time, .attempts = {1, nullptr}};
    if (def->task != nullptr) {
      row.runs = def->task->name;
      row.attempts = worst_.of_task(*def).attempts[def->task];
    } else {
      row.runs = fmt::format("flow {}", def->flow->name);
    }
    row.rounds = rounds;
    if (def->policies.fallback_value) row.fallback = "a value";
    if (def->policies.fallback_step && def->policies.fallback_step->value->task != nullptr) {
      row.fallback = def->policies.fallback_step->value->task->name;
    }
    row.undo = undo(*def, node);
    unbounded(row.time);
    unbounded(rounds);
    out_.steps.push_back(std::move(row));
  }

  // The calls that undo a step, as they are written.
  std::string calls_of(const ast::Block& body) const {
    std::string calls;
    for_each_statement(body, [&](const ast::Stmt& stmt) {
      const auto* node = ast::as<ast::StepStmt>(stmt);
      if (node == nullptr) return;
      calls += fmt::format("{}{}", calls.empty() ? "" : ", ", text_of(node->call->span));
    });
    return calls;
  }

  std::string undo(const StepDef& def, const ast::StepStmt& node) const {
    std::string text;
    const auto add = [&](std::string_view word, const ast::Block& body) {
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", word, calls_of(body));
    };
    for (const ast::Policy& policy : node.policies) {
      if (const auto* undo = std::get_if<ast::CompensatePolicy>(&policy.node)) {
        add("compensate", undo->body);
      }
      if (const auto* undo = std::get_if<ast::UnsurePolicy>(&policy.node)) {
        add("unsure", undo->body);
      }
    }
    if (!text.empty()) return text;
    return def.policies.keep ? "kept" : def.policies.idempotent ? "nothing to undo" : "";
  }

  void notify(const ast::NotifyStmt& node) {
    switch (node.target) {
      case ast::NotifyStmt::Target::kRunClient:
        return message(node.event, "");
      case ast::NotifyStmt::Target::kClient:
        return message(node.event, fmt::format("client {}", text_of(node.to->span)));
      case ast::NotifyStmt::Target::kGroup:
        return message(node.event, fmt::format("group {}", text_of(node.to->span)));
      case ast::NotifyStmt::Target::kRun:
        return message(node.event, fmt::format("run {}", text_of(node.to->span)));
    }
  }

  void message(const ast::ExprPtr& event, std::string to) {
    const ir::Expr* value = view_.expr(event);
    const ir::RecordDef* record =
        value == nullptr ? nullptr : view_.program().types[value->type].record;
    if (record == nullptr) return;
    const auto same = [&](const Message& each) {
      return each.event == record->name && each.to == to;
    };
    if (std::any_of(out_.messages.begin(), out_.messages.end(), same)) return;
    out_.messages.push_back({record->name, std::move(to)});
  }

  const View& view_;
  Worst& worst_;
  const SourceSet& sources_;
  FlowExplanation& out_;
};

}  // namespace

FlowExplanation explain_flow(const ir::Program& program, const ir::FlowDef& flow,
                             Children& children, const SourceSet& sources) {
  FlowExplanation out;
  const View view(program, flow);
  Worst worst(view, children);
  out.flow = &flow;
  out.cost = cost_of_flow(view, worst);
  for (const ir::RecordDef* outcome : flow.outcomes) out.answers.push_back(outcome->name);
  Rows rows(view, worst, sources, out);
  rows.block(view.tree().body, {1, nullptr});
  if (view.tree().on_failure) rows.block(view.tree().on_failure->body, {1, nullptr});
  rows.unbounded(out.cost.body.time);
  rows.unbounded(out.cost.undo.time);
  for (const auto& [task, count] : out.cost.all().attempts) rows.unbounded(count);
  return out;
}

}  // namespace sluice::compiler::explain
