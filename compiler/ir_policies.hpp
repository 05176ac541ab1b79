// Of the checked program what bounds how much goes on: pools, rates, runs at once, and what of it
// the engine does not execute yet. Part of compiler/ir.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/ast.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"
#include "vm/artifact.hpp"

namespace sluice::compiler::ir {

struct Expr;
struct Module;

struct Attempts {
  std::int64_t count = 1;
  std::int64_t backoff_from_ms = 0;
  std::int64_t backoff_to_ms = 0;
  std::int64_t factor_milli = 2000;
  bool jitter = false;
  bool has_kinds = false;
  std::vector<std::pair<std::string, Span>> kinds;
};

struct PoolDef {
  std::string name;
  const Module* module = nullptr;
  const ast::Decl* tree = nullptr;
  std::int64_t slots = 0;  // 0: no bound
};

// limit 50/s per tenant burst 200
struct LimitDef {
  std::uint64_t count = 0;
  std::int64_t per_ms = 0;
  std::int64_t burst = 0;  // 0: `count`
  vm::Per per = vm::Per::client;
  Expr* key = nullptr;  // of Per::key
  Span span;
};

struct ConcurrencyDef {
  std::int64_t runs = 1;
  vm::Overload overload = vm::Overload::wait;
  std::int64_t waiting = vm::kWaitingMax;
  vm::Per per = vm::Per::client;
  Expr* key = nullptr;  // of Per::key, over the parameters
  Span span;
};

// What the engine does not execute yet. A program that has it is checked and built like any other;
// a deployment of it is refused.
struct Unexecuted {
  Code code{};
  Span span;
  std::string_view feature;  // of vm::kFeatures, and the word in the program
};

}  // namespace sluice::compiler::ir
