// What a block reads from around it.
#include <unordered_set>

#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

class Collector {
 public:
  void block(const Block& block) {
    for (const Stmt* stmt : block.statements) statement(*stmt);
  }

  void step(const StepDef& step) {
    for (const Expr* argument : step.arguments) expr(argument);
    if (step.policies.keyed) expr(step.policies.keyed->value);
    if (step.policies.hedge && step.policies.hedge->value.call != nullptr) {
      arguments(*step.policies.hedge->value.call);
    }
    if (step.policies.fallback_value) expr(step.policies.fallback_value->value);
    if (step.policies.fallback_step) arguments(*step.policies.fallback_step->value);
    defined_.insert(step.result);
    keys_defined_.insert(&step);
    if (step.policies.compensate) block(*step.policies.compensate->value);
    if (step.policies.unsure) block(*step.policies.unsure->value);
  }

  void filter(const Expr& where, const Local* event) {
    expr(&where);
    defined_.insert(event);
  }

  Captures take() {
    Captures made;
    made.run_client = run_client_;
    made.run_id = run_id_;
    made.now = now_;
    for (Local* local : locals_) {
      if (!defined_.contains(local)) made.locals.push_back(local);
    }
    for (StepDef* step : keys_) {
      if (!keys_defined_.contains(step)) made.keys.push_back(step);
    }
    return made;
  }

 private:
  void arguments(const StepDef& step) {
    for (const Expr* argument : step.arguments) expr(argument);
  }

  void branches(const std::vector<Branch>& branches) {
    for (const Branch& each : branches) {
      if (each.step != nullptr) {
        step(*each.step);
      } else {
        block(each.body);
      }
    }
  }

  void use(Local* local) {
    if (seen_.insert(local).second) locals_.push_back(local);
  }

  void pattern(const Pattern& pattern) {
    if (pattern.value != nullptr) expr(pattern.value);
    for (const Local* local : pattern.bindings) defined_.insert(local);
  }

  void receive(const Receive& node) {
    each(node.within, node.where, node.key);
    defined_.insert(node.local);
    if (node.body) block(*node.body);
    if (node.else_body) block(*node.else_body);
  }

  void statement(const Stmt& stmt) {
    std::visit(ast::Overloaded{
                   [&](const Let& node) {
                     expr(node.value);
                     defined_.insert(node.local);
                   },
                   [&](const Set& node) { expr(node.value); },
                   [&](const If& node) {
                     for (const IfArm& arm : node.arms) {
                       expr(arm.condition);
                       if (arm.binding != nullptr) defined_.insert(arm.binding);
                       block(arm.body);
                     }
                     if (node.else_body) block(*node.else_body);
                   },
                   [&](const Match& node) {
                     expr(node.subject);
                     for (const MatchCase& each : node.cases) {
                       pattern(each.pattern);
                       block(each.body);
                     }
                     if (node.else_body) block(*node.else_body);
                   },
                   [&](const Step& node) { step(*node.step); },
                   [&](const Parallel& node) { branches(node.branches); },
                   [&](const Notify& node) {
                     expr(node.value);
                     expr(node.to);
                   },
                   [&](const Return& node) { expr(node.value); },
                   [&](const Fail& node) { expr(node.message); },
                   [&](const Refused&) {},
                   [&](const While& node) {
                     expr(node.condition);
                     block(node.body);
                   },
                   [&](const Each& node) {
                     each(node.source, node.limit);
                     defined_.insert(node.variable);
                     block(node.body);
                     if (node.result != nullptr) defined_.insert(node.result);
                   },
                   [&](const Race& node) {
                     branches(node.branches);
                     if (node.result != nullptr) defined_.insert(node.result);
                   },
                   [&](const Yield& node) { expr(node.value); },
                   [&](const Break&) {},
                   [&](const Continue&) {},
                   [&](const Try& node) {
                     block(node.body);
                     for (const Catch& arm : node.catches) {
                       if (arm.why != nullptr) defined_.insert(arm.why);
                       block(arm.body);
                     }
                   },
                   [&](const Deadline& node) {
                     expr(node.duration);
                     block(node.body);
                     if (node.else_body) block(*node.else_body);
                   },
                   [&](const Sleep& node) { expr(node.value); },
                   [&](const Receive& node) { receive(node); },
                   [&](const Publish& node) { expr(node.value); },
                   [&](const Start& node) { start(node); },
                   [&](const Log& node) { expr(node.value); },
               },
               stmt.node);
  }

  void start(const Start& node) {
    all(node.arguments);
    expr(node.client);
    if (node.result != nullptr) defined_.insert(node.result);
  }

  void all(const std::vector<Expr*>& exprs) {
    for (const Expr* each : exprs) expr(each);
  }

  template <typename... Exprs>
  void each(const Exprs*... exprs) {
    (expr(exprs), ...);
  }

  void expr(const Expr* at) {
    if (at == nullptr) return;
    std::visit(ast::Overloaded{
                   [&](const LocalRef& n) { use(n.local); },
                   [&](const StepKey& n) {
                     if (keys_seen_.insert(n.step).second) keys_.push_back(n.step);
                   },
                   [&](const RunClient&) { run_client_ = true; },
                   [&](const RunId&) { run_id_ = true; },
                   [&](const Now&) { now_ = true; },
                   [&](const Not& n) { expr(n.operand); },
                   [&](const Negate& n) { expr(n.operand); },
                   [&](const Arithmetic& n) { each(n.left, n.right); },
                   [&](const Compare& n) { each(n.left, n.right); },
                   [&](const Logic& n) { each(n.left, n.right); },
                   [&](const In& n) { each(n.needle, n.haystack); },
                   [&](const Coalesce& n) { each(n.left, n.right); },
                   [&](const IfExpr& n) { each(n.condition, n.then_value, n.else_value); },
                   [&](const MatchExpr& n) {
                     expr(n.subject);
                     for (const MatchArm& arm : n.arms) {
                       pattern(arm.pattern);
                       expr(arm.value);
                     }
                     expr(n.else_value);
                   },
                   [&](const ListValue& n) { all(n.elements); },
                   [&](const MapValue& n) {
                     for (const auto& [key, value] : n.entries) each(key, value);
                   },
                   [&](const RangeValue& n) { each(n.first, n.last); },
                   [&](const Comprehension& n) {
                     defined_.insert(n.variable);
                     each(n.source, n.filter, n.element);
                   },
                   [&](const FieldOf& n) { expr(n.base); },
                   [&](const IndexOf& n) { each(n.base, n.index); },
                   [&](const RecordValue& n) { all(n.fields); },
                   [&](const CaseValue& n) { all(n.fields); },
                   [&](const With& n) {
                     expr(n.base);
                     for (const auto& [index, value] : n.fields) expr(value);
                   },
                   [&](const CallFn& n) { all(n.arguments); },
                   [&](const CallBuiltin& n) { all(n.arguments); },
                   [&](const AsType& n) { expr(n.value); },
                   [&](const Interpolation& n) { all(n.parts); },
                   [](const auto&) {},
               },
               at->node);
  }

  bool run_client_ = false, run_id_ = false, now_ = false;
  std::vector<Local*> locals_;
  std::vector<StepDef*> keys_;
  std::unordered_set<const Local*> seen_, defined_;
  std::unordered_set<const StepDef*> keys_seen_, keys_defined_;
};

}  // namespace

namespace {

// What acts asks the run itself.
Captures of_flow_code(Collector& collector) {
  Captures made = collector.take();
  made.run_client = made.run_id = made.now = false;
  return made;
}

}  // namespace

Captures captures_of(const Block& block) {
  Collector collector;
  collector.block(block);
  return of_flow_code(collector);
}

Captures captures_of(const StepDef& step) {
  Collector collector;
  collector.step(step);
  return of_flow_code(collector);
}

Captures captures_of_filter(const Expr& where, const Local* event) {
  Collector collector;
  collector.filter(where, event);
  return collector.take();
}

}  // namespace sluice::compiler
