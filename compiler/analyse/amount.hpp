// How much of something there can be at most, and what that comes to along the ways of a flow.
// Private to compiler/analyse and the tools that explain.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir.hpp"

namespace sluice::compiler::analyse {

// Why there is no bound, and how to give one.
struct Unbounded {
  Span span;
  std::string what;  // "this `while` has no number of rounds"
  std::string mend;  // "`each n in 1..N` is the bounded loop"
};

// Milliseconds, attempts or rounds: a number that saturates at the end of 64 bits, or no bound.
struct Amount {
  std::int64_t value = 0;                // 0 where there is no bound
  std::shared_ptr<const Unbounded> why;  // set iff there is none

  bool is_bounded() const { return why == nullptr; }
};

// Where neither is bounded, the first reason stays.
Amount plus(const Amount& a, const Amount& b);
Amount times(const Amount& a, const Amount& b);
Amount larger(const Amount& a, const Amount& b);
Amount smaller(const Amount& a, const Amount& b);
bool exceeds(const Amount& amount, std::int64_t limit);  // known to, or not bounded at all

// By the place of the declaration, so that no order depends on addresses.
struct ByPlace {
  bool operator()(const ir::TaskDef* a, const ir::TaskDef* b) const;
};

// Steps of one program. A union costs a bit for each: flows have many ways, and some many steps.
class StepSet {
 public:
  void insert(const ir::Program& program, const ir::StepDef& step);
  void insert(const StepSet& other);
  void clear() { words_.clear(); }
  bool empty() const { return words_.empty(); }
  // In the order in which they were declared.
  std::vector<const ir::StepDef*> all() const;
  // REQUIRES: not empty.
  const ir::StepDef& first() const;

 private:
  const ir::Program* program_ = nullptr;
  std::vector<std::uint64_t> words_;  // by StepDef::number; the last is not 0
};

// What a way through a flow takes at most.
struct Cost {
  Amount time;  // waiting for a worker included where something bounds it
  // Steps that may wait for a worker longer than anybody said: that is not in `time`.
  StepSet waits;
  std::map<const ir::TaskDef*, Amount, ByPlace> attempts;

  Cost& then(const Cost& next);      // one after the other
  Cost& or_else(const Cost& other);  // one or the other
  Cost& beside(const Cost& other);   // both at once
  // So many in all, of which the time of `turns` counts.
  Cost repeated(const Amount& rounds, const Amount& turns) const;
};

// A way and what undoing its effects would take afterwards.
struct Way {
  Cost cost;
  Cost undo;
  // Both one after the other. Of several ways, the one that is longest to go need not be the one
  // that is longest to undo, so this may be less than their sum.
  Cost both;

  static Way of(Cost cost, Cost undo = {});  // one after the other
  Way& then(const Way& next);
  Way& or_else(const Way& other);
  Way& beside(const Way& other);
  Way repeated(const Amount& rounds, const Amount& turns) const;
  // Gone, undone, and nothing left to undo.
  Way undone() const;
  Way& within(const Amount& limit);  // cut then
};

// How many ints there are from one to another.
Amount numbers_between(std::int64_t first, std::int64_t last);

// "66.5s", "5m", "1h 30m": as a person says it, to the tenth of a second above one.
std::string say_ms(std::int64_t ms);

}  // namespace sluice::compiler::analyse
