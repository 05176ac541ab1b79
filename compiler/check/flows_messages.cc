// What goes beyond the run: events that it publishes, and runs that it starts and leaves alone.
#include <fmt/format.h>

#include "compiler/check/flows.hpp"

namespace sluice::compiler {

using namespace ir;

Stmt* FlowChecker::publish(const ast::Stmt& tree, const ast::PublishStmt& node) {
  Publish out;
  const Symbol* symbol = context_.resolve(scope_, Space::kTopic, node.topic, "topic");
  out.topic = symbol == nullptr ? nullptr : symbol->as<TopicDef>();
  if (out.topic == nullptr || out.topic->event == nullptr) {
    exprs_.infer(*node.event);
    return made(tree, out);
  }
  out.value = exprs_.want(*node.event, {out.topic->event->type, symbol->span,
                                        fmt::format("`{}` is a topic of `{}`", out.topic->name,
                                                    out.topic->event->name)});
  return made(tree, out);
}

FlowDef* FlowChecker::started_flow(const ast::CallExpr& call) {
  const Work work = work_of(call);
  if (work.task == nullptr) return work.flow;
  context_.diagnostics
      .report(Code::E0203, call.callee->span,
              fmt::format("`start` begins a run of a flow, and `{}` is a task", work.task->name))
      .also(work.task->tree->name.span, "declared here")
      .because("a `step` runs a task");
  return nullptr;
}

Stmt* FlowChecker::start(const ast::Stmt& tree, const ast::StartStmt& node,
                         const ast::Name* result) {
  const auto& call = std::get<ast::CallExpr>(node.call->node);
  Start out;
  out.flow = started_flow(call);
  if (out.flow != nullptr) {
    flow_.started.push_back(out.flow);
    out.arguments =
        exprs_.arguments(call, node.call->span, out.flow->parameters,
                         {out.flow->name, out.flow->tree->name.span, out.flow->damaged});
  } else {
    for (const ast::Argument& argument : call.arguments) exprs_.infer(*argument.value);
  }
  if (node.for_client != nullptr) out.client = exprs_.want(*node.for_client, {kString});
  if (result != nullptr) {
    out.result = context_.local(*result, kString, Local::Kind::kLet);
    locals_.declare(out.result);
  }
  return made(tree, std::move(out));
}

}  // namespace sluice::compiler
