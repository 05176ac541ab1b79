// What would never end: functions that call themselves, records that hold themselves.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/context.hpp"
#include "vm/limits.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// One less than what an engine takes: flows, constraints and ordering keys call too.
inline constexpr std::uint32_t kCallsWithinMax = vm::kCallDepthMax - 1;

// Depth first over calls; a call that leads back into the way closes a cycle.
class FnCycles {
 public:
  explicit FnCycles(Context& context) : context_(context) {}

  void run() {
    for (const FnDef& def : context_.program.fns) visit(def);
    for (const FnDef& def : context_.program.fns) {
      // Told where the chain becomes too long, not once more for each caller of it.
      if (depth_[&def] != kCallsWithinMax + 1) continue;
      context_.diagnostics
          .report(Code::E0321, def.tree->name.span,
                  fmt::format("`{}` leads through {} functions that call each other", def.name,
                              kCallsWithinMax + 1))
          .because(fmt::format("{} at most, so that the memory of a call is known beforehand",
                               kCallsWithinMax));
    }
  }

 private:
  struct Frame {
    const FnDef* def;
    std::size_t next = 0;
  };
  enum class State { kNew, kOpen, kDone };

  void visit(const FnDef& start) {
    if (state_[&start] != State::kNew) return;
    state_[&start] = State::kOpen;
    std::vector<Frame> way{{&start}};
    while (!way.empty()) {
      Frame& frame = way.back();
      if (frame.next == frame.def->calls.size()) {
        state_[frame.def] = State::kDone;
        std::uint32_t& depth = depth_[frame.def];
        for (const auto& call : frame.def->calls) {
          depth = std::max(depth, depth_[call.first] + 1);
        }
        way.pop_back();
        continue;
      }
      const FnDef* callee = frame.def->calls[frame.next++].first;
      State& state = state_[callee];
      if (state == State::kNew) {
        state = State::kOpen;
        way.push_back({callee});
      } else if (state == State::kOpen) {
        report(way, callee);
      }
    }
  }

  void report(const std::vector<Frame>& way, const FnDef* callee) {
    const auto first = std::find_if(way.begin(), way.end(),
                                    [&](const Frame& frame) { return frame.def == callee; });
    std::string text;
    for (auto frame = first; frame != way.end(); ++frame) text += frame->def->name + " -> ";
    text += callee->name;
    const std::size_t length = static_cast<std::size_t>(way.end() - first);
    const auto& [_, span] = first->def->calls[first->next - 1];
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0215, span,
        length == 1 ? fmt::format("the function `{}` calls itself", callee->name)
                    : fmt::format("these functions call each other: {}", text));
    for (auto frame = first + 1; frame != way.end(); ++frame) {
      diagnostic.also(frame->def->calls[frame->next - 1].second,
                      fmt::format("`{}` goes on here", frame->def->name));
    }
    diagnostic.because(
        "a function always ends, so it cannot recurse; comprehensions go through "
        "lists, and what needs more is work for a task");
  }

  Context& context_;
  std::unordered_map<const FnDef*, State> state_;
  std::unordered_map<const FnDef*, std::uint32_t> depth_;  // of the calls below it
};

// Constraints that lead to `as T`: checking JSON asks the constraints of its type, so they could go
// round for ever.
class JsonInConstraints {
 public:
  explicit JsonInConstraints(Context& context) : context_(context) {}

  void run() {
    bool changed = true;
    while (changed) {
      changed = false;
      for (const FnDef& def : context_.program.fns) {
        if (!checks(def) || !found_.insert(&def).second) continue;
        changed = true;
      }
    }
    for (const RecordDef& def : context_.program.records) report(def.fields);
    for (const EnumDef& def : context_.program.enums) {
      for (const CaseDef& each : def.cases) report(each.fields);
    }
  }

 private:
  bool checks(const FnDef& def) const {
    return def.checks_json ||
           std::any_of(def.calls.begin(), def.calls.end(),
                       [&](const auto& call) { return found_.contains(call.first); });
  }

  void report(const std::vector<FieldDef>& fields) {
    for (const FieldDef& field : fields) {
      for (const auto& [callee, span] : field.where_calls) {
        if (!found_.contains(callee)) continue;
        context_.diagnostics.report(Code::E0323, span, "a constraint cannot check `json`")
            .also(callee->tree->name.span, "this function leads to `as`")
            .because("checking JSON asks the constraints of its type: they would never end");
      }
    }
  }

  Context& context_;
  std::set<const FnDef*> found_;
};

// Which records and enums have a finite value: a record if all its fields have one, an enum if one
// of its cases has. Lists, maps and optionals always do. Linear: every condition counts down once.
class FiniteTypes {
 public:
  explicit FiniteTypes(Context& context) : context_(context) {}

  void run() {
    Program& program = context_.program;
    for (const RecordDef& def : program.records) add(&def, def.fields);
    for (const EnumDef& def : program.enums) {
      if (def.cases.empty()) settle(&def);
      for (const CaseDef& each : def.cases) add(&def, each.fields);
    }
    for (std::size_t i = 0; i < ready_.size(); ++i) {
      for (const std::size_t waiting : waiters_[ready_[i]]) {
        if (--conditions_[waiting].open == 0) settle(conditions_[waiting].owner);
      }
    }
    for (const RecordDef& def : program.records) report(def);
    for (const EnumDef& def : program.enums) report(def);
  }

 private:
  struct Condition {
    const void* owner;
    std::size_t open = 0;
  };

  const void* needs(TypeId type) const {
    const TypeInfo& info = context_.types[type];
    if (info.kind == TypeKind::kRecord) return info.record;
    return info.kind == TypeKind::kEnum ? info.enumeration : nullptr;
  }

  void add(const void* owner, const std::vector<FieldDef>& fields) {
    const std::size_t index = conditions_.size();
    conditions_.push_back({owner});
    for (const FieldDef& field : fields) {
      const void* needed = needs(field.type);
      if (needed == nullptr) continue;
      ++conditions_[index].open;
      waiters_[needed].push_back(index);
    }
    if (conditions_[index].open == 0) settle(owner);
  }

  void settle(const void* owner) {
    if (!finite_.emplace(owner, true).second) return;
    ready_.push_back(owner);
  }

  // Goes along the first field that never ends until it meets itself; each cycle is told once.
  void report(const RecordDef& start) {
    std::vector<std::pair<const RecordDef*, const FieldDef*>> way;
    const RecordDef* at = &start;
    while (at != nullptr && !finite_.contains(at) && told_.emplace(at, true).second) {
      const auto field =
          std::find_if(at->fields.begin(), at->fields.end(), [&](const FieldDef& each) {
            const void* needed = needs(each.type);
            return needed != nullptr && !finite_.contains(needed);
          });
      way.emplace_back(at, &*field);
      at = context_.types[field->type].record;
    }
    const auto first =
        std::find_if(way.begin(), way.end(), [&](const auto& step) { return step.first == at; });
    if (first == way.end()) return;
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0217, first->second->type_span,
        fmt::format("a value of `{}` would never end", first->first->name));
    diagnostic.here("this field holds another one");
    for (auto each = first + 1; each != way.end(); ++each) {
      diagnostic.also(each->second->type_span, "by way of this field");
    }
    diagnostic.because("a list, a map or an optional (`T?`) can be empty, so it may lead back");
  }

  // An enum every case of which leads back to it.
  void report(const EnumDef& def) {
    if (finite_.contains(&def)) return;
    for (const CaseDef& each : def.cases) {
      for (const FieldDef& field : each.fields) {
        if (needs(field.type) != &def) continue;
        context_.diagnostics
            .report(Code::E0217, field.type_span,
                    fmt::format("a value of `{}` would never end", def.name))
            .here("every case holds another one")
            .because("a case without such a field would end it");
        return;
      }
    }
  }

  Context& context_;
  std::vector<Condition> conditions_;
  std::unordered_map<const void*, std::vector<std::size_t>> waiters_;
  std::unordered_map<const void*, bool> finite_;
  std::unordered_map<const void*, bool> told_;
  std::vector<const void*> ready_;
};

}  // namespace

void check_cycles(Context& context) {
  FnCycles(context).run();
  FiniteTypes(context).run();
  JsonInConstraints(context).run();
}

}  // namespace sluice::compiler
