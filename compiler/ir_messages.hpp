// Statements by which a flow speaks to others, checked. Included by ir.hpp.
#pragma once

#include <vector>

namespace sluice::compiler::ir {

struct Expr;
struct FlowDef;
struct Local;
struct RecordDef;
struct TopicDef;

struct Notify {
  using Target = ast::NotifyStmt::Target;
  const RecordDef* event = nullptr;
  Expr* value = nullptr;
  Target target = Target::kRunClient;
  Expr* to = nullptr;  // a string; null iff kRunClient
};
struct Publish {
  const TopicDef* topic = nullptr;  // null after an error
  Expr* value = nullptr;
};
struct Start {
  Local* result = nullptr;       // of `let r = start …`: the run's id; null: nobody asks
  FlowDef* flow = nullptr;       // null after an error
  std::vector<Expr*> arguments;  // in the order of the parameters
  Expr* client = nullptr;        // null: the run's own
};

}  // namespace sluice::compiler::ir
