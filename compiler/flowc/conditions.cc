#include "compiler/flowc/conditions.hpp"

#include <fmt/format.h>

#include "vm/evaluator.hpp"

namespace sluice::flowc {

namespace ir = compiler::ir;

std::optional<Broken> Conditions::check(const ir::Condition& condition,
                                        const std::vector<std::int64_t>& now,
                                        const std::vector<const Seen*>& marked) const {
  std::vector<vm::Value> arguments;
  for (const std::int64_t each : now) arguments.push_back(vm::Value::integer(each));
  const auto value = vm::evaluate(unit_, compiled_.test_functions.at(condition.value), arguments);
  if (value && value->as_bool()) return std::nullopt;
  Broken broken{condition.span, "this does not hold", "", marked};
  if (rehearsal_.runs.empty()) return broken;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const ir::CountOf& count = condition.counts[i];
    const std::string what = count.event != nullptr ? count.event->name : count.step.text;
    broken.actual +=
        fmt::format("{}{}({}) is {}", i == 0 ? "" : ", ", count.local->name, what, now[i]);
  }
  if (!value) broken.actual = fmt::format("{}: {}", value.error().kind, value.error().message);
  return broken;
}

std::optional<Broken> Conditions::at_end(const ir::Condition& condition) const {
  std::vector<std::int64_t> now(condition.counts.size(), 0);
  std::vector<const Seen*> counted;
  for (const Seen& seen : seen_) {
    bool any = false;
    for (std::size_t c = 0; c < now.size(); ++c) {
      if (!counts(seen, condition.counts[c])) continue;
      ++now[c];
      any = true;
    }
    if (any) counted.push_back(&seen);
  }
  return check(condition, now, counted);
}

std::optional<Broken> Conditions::always(const ir::Condition& condition, std::size_t run) const {
  std::vector<std::int64_t> now(condition.counts.size(), 0);
  if (auto broken = check(condition, now, {})) return broken;
  std::vector<const Seen*> counted;
  bool changed = false;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const Seen& seen = seen_[i];
    bool any = false;
    for (std::size_t c = 0; c < now.size() && (run == 0 || seen.run + 1 == run); ++c) {
      if (!counts(seen, condition.counts[c])) continue;
      ++now[c];
      any = true;
    }
    if (any) counted.push_back(&seen);
    changed = changed || any;
    // What one record does is one moment.
    const bool moment_ends = i + 1 == seen_.size() || seen_[i + 1].seq != seen.seq;
    if (!moment_ends || !changed) continue;
    if (auto broken = check(condition, now, counted)) return broken;
    changed = false;
  }
  return std::nullopt;
}

std::vector<Broken> Conditions::invariants() const {
  std::vector<Broken> all;
  for (const ir::InvariantDef& invariant : compiled_.program->invariants) {
    for (const ir::Condition& condition : invariant.always) {
      for (std::size_t run = 1; run <= rehearsal_.runs.size(); ++run) {
        auto broken = always(condition, run);
        if (!broken) continue;
        broken->message = fmt::format("invariant \"{}\" is broken", invariant.title);
        all.push_back(std::move(*broken));
      }
    }
  }
  return all;
}

}  // namespace sluice::flowc
