#include "compiler/analyse/amount.hpp"

#include <fmt/format.h>

#include <bit>
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

void StepSet::insert(const ir::Program& program, const ir::StepDef& step) {
  program_ = &program;
  const std::size_t word = step.number / 64;
  if (words_.size() <= word) words_.resize(word + 1);
  words_[word] |= std::uint64_t{1} << (step.number % 64);
}

void StepSet::insert(const StepSet& other) {
  if (other.empty()) return;
  program_ = other.program_;
  if (words_.size() < other.words_.size()) words_.resize(other.words_.size());
  for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
}

std::vector<const ir::StepDef*> StepSet::all() const {
  std::vector<const ir::StepDef*> steps;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    for (std::uint64_t left = words_[i]; left != 0; left &= left - 1) {
      steps.push_back(&program_->steps[i * 64 + static_cast<unsigned>(std::countr_zero(left))]);
    }
  }
  return steps;
}

const ir::StepDef& StepSet::first() const {
  std::size_t i = 0;
  while (words_[i] == 0) ++i;
  return program_->steps[i * 64 + static_cast<unsigned>(std::countr_zero(words_[i]))];
}

Cost& Cost::then(const Cost& next) {
  time = plus(time, next.time);
  waits.insert(next.waits);
  for (const auto& [task, count] : next.attempts) {
    attempts[task] = plus(attempts[task], count);
  }
  return *this;
}

Cost& Cost::or_else(const Cost& other) {
  time = larger(time, other.time);
  waits.insert(other.waits);
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
