// Lines of policies, merged. Private to compiler/check.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "compiler/check/context.hpp"
#include "compiler/check/exprs.hpp"
#include "vm/limits.hpp"

namespace sluice::compiler {

// Attempts of one step, at most: beyond it a step is a loop that nobody wrote.
inline constexpr std::int64_t kAttemptsMax = 1000;
// Calls that a budget may allow.
inline constexpr std::int64_t kBudgetCallsMax = 1'000'000'000;
// The factor between two gaps, at most.
inline constexpr std::int64_t kBackoffFactorMax = 100;

// Calls that a breaker looks at, slots of a pool, and events of a burst, at most.
inline constexpr std::int64_t kBreakerCallsMax = 100'000;
inline constexpr std::int64_t kSlotsMax = 1'000'000;
inline constexpr std::int64_t kBurstMax = vm::kRateMax;

vm::Per per_of(const ast::Scope& scope);

// kChild: a step that runs a flow, which has attempts, limits and keys of its own.
enum class PolicyPlace : std::uint8_t { kTask, kBundle, kStep, kChild };

// Lines that need what is around a step; the reader leaves them to its caller.
struct StepLines {
  const ast::FallbackPolicy* fallback = nullptr;
  const ast::KeyedPolicy* keyed = nullptr;
  const ast::CompensatePolicy* compensate = nullptr;
  const ast::UnsurePolicy* unsure = nullptr;
  const ast::HedgePolicy* hedge = nullptr;  // one that calls another task
  Span fallback_span, keyed_span, compensate_span, unsure_span;
};

class PolicyReader {
 public:
  PolicyReader(Context& context, ModuleScope& scope, PolicyPlace place)
      : context_(context), scope_(scope), place_(place), locals_(context) {}

  // Lays the lines over `into`, in their order.
  StepLines read(const std::vector<ast::Policy>& lines, ir::Policies& into);

  // A positive duration that is known now; nothing after an error.
  std::optional<std::int64_t> duration(const ast::Expr& tree, std::string_view what);
  // `limit 50/s per … burst 200`, but for what it is counted by.
  ir::LimitDef limit(const ast::LimitSetting& node, Span span);
  std::optional<std::int64_t> integer(const ast::Expr& tree, std::string_view what,
                                      std::int64_t least, std::int64_t most);

 private:
  using Lines = std::vector<ast::Policy>;

  bool is_repeated(const ast::Policy& line);
  void step_only(Span span, std::string_view name, std::string_view why);
  std::optional<vm::Value> constant(const ast::Expr& tree, ir::TypeId type, std::string_view what);
  void attempts(const ast::Policy& line, const ast::AttemptsPolicy& node, ir::Policies& into);
  std::optional<std::int64_t> factor(const ast::Expr& tree);
  void kinds(const std::vector<ast::Name>& names, ir::Attempts& into);
  void pool(const ast::Policy& line, const ast::PoolPolicy& node, ir::Policies& into);
  void hedge(const ast::Policy& line, const ast::HedgePolicy& node, ir::Policies& into);
  void uses(const ast::UsesPolicy& node, ir::Policies& into);
  void apply(const ast::Policy& line, ir::Policies& into);
  void hanging(const ast::Policy& line);
  // Whether it is a line that a step which runs a flow may have; otherwise it is reported.
  bool fits_child(const ast::Policy& line);
  void breaker(const ast::BreakerPolicy& node, Span span, ir::Policies& into);
  void priority(const ast::PriorityPolicy& node, Span span, ir::Policies& into);

  Context& context_;
  ModuleScope& scope_;
  PolicyPlace place_;
  Locals locals_;
  StepLines step_;
  std::vector<const ast::Policy*> seen_;
};

// Warns of a kind that no failure will have.
void check_kind(Context& context, const ast::Name& name);
// Kinds that the language knows or that a task or flow of the program declares.
std::vector<std::string_view> known_kinds(const Context& context);

}  // namespace sluice::compiler
