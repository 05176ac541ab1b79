// The tree of one flow with what checking found out about its nodes. Private to compiler/analyse
// and the tools that explain.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "compiler/ir.hpp"

namespace sluice::compiler::analyse {

class View {
 public:
  // Both outlive the view.
  View(const ir::Program& program, const ir::FlowDef& flow);

  const ir::Program& program() const { return program_; }
  const ir::FlowDef& flow() const { return flow_; }
  const ast::FlowDecl& tree() const { return tree_; }

  // Whether something there could not be read, so that it may do anything.
  bool is_damaged(Span text) const { return program_.damage_in(text.file).within(text); }

  // Null where checking made nothing of the node.
  const ir::Expr* expr(const ast::ExprPtr& tree) const;
  // REQUIRES: the statement is a StepStmt.
  const ir::StepDef* step(const ast::Stmt& tree) const;

  // Values that are known when the program is compiled.
  std::optional<std::int64_t> duration_ms(const ast::ExprPtr& tree) const;
  std::optional<std::int64_t> integer(const ast::ExprPtr& tree) const;
  bool is_true(const ast::ExprPtr& tree) const;

  // The statement that bound a name by `let`, by the place of the name; null for other names.
  const ast::LetStmt* let_of(const ir::Local& local) const;
  // The expressions that a name was taken from: its value, or one that its value is part of (the
  // list of an `each`, the subject of a `match`); of a `var`, those of all variables of that name.
  // None for parameters, results of steps, what was received, and other names.
  std::vector<const ir::Expr*> taken_from(const ir::Local& local) const;
  // The `receive` that bound a name; null for other names.
  const ast::ReceiveStmt* receive_of(const ir::Local& local) const;

 private:
  const ir::Program& program_;
  const ir::FlowDef& flow_;
  const ast::FlowDecl& tree_;
  void remember(const ast::Stmt& stmt);

  // By the first byte of the name.
  std::unordered_map<std::uint32_t, const ast::LetStmt*> lets_;
  std::unordered_map<std::uint32_t, const ast::ReceiveStmt*> receives_;
  std::unordered_multimap<std::uint32_t, const ast::Expr*> sources_;
  std::unordered_multimap<std::string, const ast::Expr*> variables_;  // by the name itself
};

// How many rounds an `each` has, where its list or range is written out: saturating at 64 bits.
std::optional<std::int64_t> rounds_of(const View& view, const ast::EachStmt& node);

// The block of a branch; null for one that is a step.
const ast::Block* body_of(const ast::Branch& branch);
// The step that stands as a branch; null for `branch NAME { … }`.
const ast::Stmt* step_of(const ast::Branch& branch);

// Calls `visit` with every block that stands in a statement, blocks of a step's policies included.
void for_each_block(const ast::Stmt& stmt, const std::function<void(const ast::Block&)>& visit);
// Calls `visit` with every statement of the block, from outside to inside, in the order of the
// text.
void for_each_statement(const ast::Block& block,
                        const std::function<void(const ast::Stmt&)>& visit);
// Calls `visit` with the expressions that stand in a statement itself, not those of its blocks; of
// a step, also those of its policies.
void for_each_expr(const ast::Stmt& stmt, const std::function<void(const ast::Expr&)>& visit);
// Calls `visit` with what an expression is made of, one level down.
void for_each_part(const ast::Expr& expr, const std::function<void(const ast::Expr&)>& visit);
void for_each_part(const ir::Expr& expr, const std::function<void(const ir::Expr&)>& visit);
// The first `size` bytes of a statement: the word that it begins with.
Span word_of(const ast::Stmt& stmt, std::uint32_t size);
// The race, each or start statement of `let x = …`, every other statement itself.
const ast::Stmt& without_let(const ast::Stmt& stmt);

}  // namespace sluice::compiler::analyse
