#include "compiler/analyse/amount.hpp"

#include <fmt/format.h>

#include <limits>
#include <tuple>

namespace sluice::compiler::analyse {

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

}  // namespace

Amount plus(const Amount& a, const Amount& b) {
  if (!a.is_bounded()) return a;
  if (!b.is_bounded()) return b;
  std::int64_t sum = 0;
  return {__builtin_add_overflow(a.value, b.value, &sum) ? kMost : sum, nullptr};
}

Amount times(const Amount& a, const Amount& b) {
  const auto is_zero = [](const Amount& each) { return each.is_bounded() && each.value == 0; };
  if (is_zero(a) || is_zero(b)) return {};
  if (!a.is_bounded()) return a;
  if (!b.is_bounded()) return b;
  std::int64_t product = 0;
  return {__builtin_mul_overflow(a.value, b.value, &product) ? kMost : product, nullptr};
}

Amount larger(const Amount& a, const Amount& b) {
  if (!a.is_bounded()) return a;
  if (!b.is_bounded()) return b;
  return a.value >= b.value ? a : b;
}

Amount smaller(const Amount& a, const Amount& b) {
  if (!a.is_bounded()) return b;
  if (!b.is_bounded()) return a;
  return a.value <= b.value ? a : b;
}

bool exceeds(const Amount& amount, std::int64_t limit) {
  return !amount.is_bounded() || amount.value > limit;
}

bool ByPlace::operator()(const ir::TaskDef* a, const ir::TaskDef* b) const {
  const auto place = [](const ir::TaskDef* task) {
    return std::tuple(task->tree->name.span.file, task->tree->name.span.begin);
  };
  return place(a) < place(b);
}

bool StepByPlace::operator()(const ir::StepDef* a, const ir::StepDef* b) const {
  const auto place = [](const ir::StepDef* step) {
    return std::tuple(step->name_span.file, step->name_span.begin);
  };
  return place(a) < place(b);
}

Cost& Cost::then(const Cost& next) {
  time = plus(time, next.time);
  waits.insert(next.waits.begin(), next.waits.end());
  for (const auto& [task, count] : next.attempts) {
    attempts[task] = plus(attempts[task], count);
  }
  return *this;
}

Cost& Cost::or_else(const Cost& other) {
  time = larger(time, other.time);
  waits.insert(other.waits.begin(), other.waits.end());
  for (const auto& [task, count] : other.attempts) {
    attempts[task] = larger(attempts[task], count);
  }
  return *this;
}

Cost& Cost::beside(const Cost& other) {
  const Amount longest = larger(time, other.time);
  then(other);
  time = longest;
  return *this;
}

Cost Cost::repeated(const Amount& rounds, const Amount& turns) const {
  Cost all;
  all.time = times(time, turns);
  all.waits = waits;
  for (const auto& [task, count] : attempts) all.attempts[task] = times(count, rounds);
  return all;
}

Way Way::of(Cost cost, Cost undo) {
  Way way{std::move(cost), std::move(undo), {}};
  way.both = way.cost;
  way.both.then(way.undo);
  return way;
}

Way& Way::then(const Way& next) {
  cost.then(next.cost);
  undo.then(next.undo);
  both.then(next.both);
  return *this;
}

Way& Way::or_else(const Way& other) {
  cost.or_else(other.cost);
  undo.or_else(other.undo);
  both.or_else(other.both);
  return *this;
}

// What ran beside each other is undone one after the other.
Way& Way::beside(const Way& other) {
  cost.beside(other.cost);
  undo.then(other.undo);
  both.then(other.both);
  both.time = plus(cost.time, undo.time);
  return *this;
}

Way Way::repeated(const Amount& rounds, const Amount& turns) const {
  Way all{cost.repeated(rounds, turns), undo.repeated(rounds, rounds),
          both.repeated(rounds, rounds)};
  all.both.time = plus(all.cost.time, all.undo.time);
  return all;
}

Way Way::undone() const {
  return {both, {}, both};
}

Way& Way::within(const Amount& limit) {
  cost.time = smaller(cost.time, limit);
  both.time = smaller(both.time, plus(limit, undo.time));
  return *this;
}

Amount numbers_between(std::int64_t first, std::int64_t last) {
  if (last < first) return {};
  std::int64_t apart = 0;
  if (__builtin_sub_overflow(last, first, &apart)) return {kMost, nullptr};
  return plus({apart, nullptr}, {1, nullptr});
}

std::string say_ms(std::int64_t ms) {
  if (ms < 1000) return fmt::format("{}ms", ms);
  if (ms < 120'000 && ms % 60'000 != 0) {
    const std::int64_t tenths = (ms + 99) / 100;  // a bound is never rounded down
    return tenths % 10 == 0 ? fmt::format("{}s", tenths / 10)
                            : fmt::format("{}.{}s", tenths / 10, tenths % 10);
  }
  const std::int64_t seconds = ms / 1000 + (ms % 1000 == 0 ? 0 : 1);
  const std::pair<std::int64_t, char> units[] = {{86'400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
  std::string text;
  std::int64_t rest = seconds;
  for (const auto& [size, unit] : units) {
    if (rest >= size) text += fmt::format("{}{}{}", text.empty() ? "" : " ", rest / size, unit);
    rest %= size;
  }
  return text;
}

}  // namespace sluice::compiler::analyse
