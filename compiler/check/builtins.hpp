// The functions that are built in, from the rows of vm/builtins.def, with their types read.
// Private to compiler/check.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/check/types.hpp"
#include "compiler/ir.hpp"
#include "vm/ops.hpp"

namespace sluice::compiler {

bool is_builtin(std::string_view name);
std::vector<std::string_view> builtin_names();
// For a message: "`len` takes (string), ([T]) or ({string: T})".
std::string builtin_signatures(std::string_view name);

// One call: takes the types of the arguments as they become known and finds the row that fits.
class BuiltinCall {
 public:
  BuiltinCall(ir::Types& types, std::string_view name, std::size_t count);

  // A literal that takes its type from what surrounds it.
  static bool is_flexible(const ast::Expr& argument);

  // Whether a row of that name takes so many arguments.
  bool any_arity() const { return !rows_.empty(); }
  // What the argument would best be, from the row that still fits; poison if nothing says so.
  ir::TypeId hint(std::size_t index, ir::TypeId result) const;
  void give(std::size_t index, ir::TypeId type);
  // The first row that all arguments fit.
  std::optional<std::uint16_t> choose();
  // Of the chosen row, or of the only one that could still be meant.
  ir::TypeId result_or_poison() const;

 private:
  // Whether row's parameters take the arguments known so far; *t gets what T is.
  bool fits(const vm::BuiltinInfo& row, ir::TypeId* t) const;

  ir::Types& types_;
  std::vector<const vm::BuiltinInfo*> rows_;
  std::vector<std::optional<ir::TypeId>> given_;
  const vm::BuiltinInfo* chosen_ = nullptr;
  ir::TypeId bound_ = ir::kEmpty;
};

}  // namespace sluice::compiler
