#include "compiler/analyse/taint.hpp"

#include <algorithm>
#include <utility>

#include "compiler/analyse/view.hpp"
#include "vm/ops.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

bool is_builtin(const CallBuiltin& call, std::initializer_list<std::string_view> names) {
  const std::string_view name = vm::kBuiltins[call.builtin].name;
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether a failure of the expression itself shows what it was given.
bool failure_shows(const Expr& expr) {
  if (const auto* cast = as<AsType>(&expr)) return cast->value != nullptr && expr.type != kJson;
  const auto* call = as<CallBuiltin>(&expr);
  return call != nullptr && is_builtin(*call, {"decode", "decimal", "timestamp"});
}

}  // namespace

Taint& Taint::operator|=(const Taint& other) {
  if (from == nullptr || labels == 0) from = other.labels == 0 ? from : other.from;
  labels |= other.labels;
  return *this;
}

Taint Taint::without(Labels known) const {
  const auto left = static_cast<Labels>(labels & ~known);
  return {left, left == 0 ? nullptr : from};
}

Taint operator|(Taint a, const Taint& b) {
  return a |= b;
}

Taint of_field(const FieldDef& field) {
  return {field.labels, field.labels == 0 ? nullptr : &field};
}

// --------------------------------------------------------------------------------------- contents

Contents::Contents(const Program& program) : program_(program) {
  bool changed = true;
  const auto note = [&](Taint& known, const std::vector<FieldDef>& fields) {
    const Labels before = known.labels;
    for (const FieldDef& each : fields) known |= of_field(each) | of(each.type);
    changed = changed || known.labels != before;
  };
  while (changed) {
    changed = false;
    for (const RecordDef& def : program.records) note(records_[&def], def.fields);
    for (const EnumDef& def : program.enums) {
      for (const CaseDef& each : def.cases) note(enums_[&def], each.fields);
    }
  }
}

Taint Contents::of(TypeId type) const {
  const auto found = [](const auto& known, const auto* def) {
    const auto place = known.find(def);
    return place == known.end() ? Taint() : place->second;
  };
  const TypeInfo& info = program_.types[type];
  if (info.record != nullptr) return found(records_, info.record);
  if (info.enumeration != nullptr) return found(enums_, info.enumeration);
  return info.element == kPoison ? Taint() : of(info.element);
}

// -------------------------------------------------------------------------------------- functions

const Fns::Summary& Fns::of(const FnDef& fn) {
  const auto [place, fresh] = known_.try_emplace(&fn);
  Summary& summary = place->second;
  if (!fresh) return summary;
  const auto result = [&](std::size_t marked, Labels mark) {
    Values values(*this);
    for (std::size_t i = 0; i < fn.locals.size(); ++i) {
      Taint brings = i < fn.parameters.size() ? of_field(fn.parameters[i]) : Taint();
      if (i == marked) brings |= {mark, nullptr};
      values.learn(fn.locals[i]->span.begin, brings);
    }
    return values.carried(fn.body);
  };
  const auto none = fn.locals.size();
  summary.own = result(none, 0);
  for (std::size_t i = 0; i < fn.locals.size(); ++i) {
    summary.passed[0].push_back(result(i, kPii).labels);
    summary.passed[1].push_back(result(i, kSecret).labels);
  }
  const auto look = [&](const auto& self, const Expr& expr) -> void {
    const auto* call = as<CallFn>(&expr);
    const bool inner = call != nullptr && call->def != nullptr && of(*call->def).can_tell;
    summary.can_tell = summary.can_tell || inner || failure_shows(expr);
    for_each_part(expr, [&](const Expr& part) { self(self, part); });
  };
  if (fn.body != nullptr) look(look, *fn.body);
  summary.known = true;
  return summary;
}

// ----------------------------------------------------------------------------------------- values

Taint Values::carried(const Expr* expr) {
  if (expr == nullptr) return {};
  const auto all_of = [&](const std::vector<Expr*>& parts, bool whole_parts) {
    Taint all;
    for (const Expr* each : parts) all |= whole_parts ? whole(each) : carried(each);
    return all;
  };
  return std::visit(
      ast::Overloaded{
          [&](const LocalRef& n) { return names_[n.local->span.begin]; },
          [&](const StepKey& n) {
            const auto& keyed = n.step->policies.keyed;
            return keyed ? whole(keyed->value) : Taint();
          },
          [&](const Negate& n) { return carried(n.operand); },
          [&](const Arithmetic& n) { return carried(n.left) | carried(n.right); },
          [&](const Coalesce& n) { return carried(n.left) | carried(n.right); },
          [&](const IfExpr& n) { return carried(n.then_value) | carried(n.else_value); },
          [&](const MatchExpr& n) { return carried_by_match(n); },
          [&](const ListValue& n) { return all_of(n.elements, false); },
          [&](const MapValue& n) {
            Taint all;
            for (const auto& [key, value] : n.entries) all |= carried(key) | carried(value);
            return all;
          },
          [&](const Comprehension& n) {
            learn(n.variable->span.begin, carried(n.source));
            return carried(n.element);
          },
          [&](const FieldOf& n) {
            return n.base == nullptr ? Taint() : held(*n.base, n.index).carried;
          },
          [&](const IndexOf& n) { return carried(n.base); },
          [&](const RecordValue& n) { return carried_by(n.fields, n.def->fields); },
          [&](const CaseValue& n) { return carried_by(n.fields, n.def->cases[n.which].fields); },
          [&](const With& n) { return carried_by_with(*expr, n); },
          [&](const CallFn& n) { return carried_by_fn(n); },
          [&](const CallBuiltin& n) { return carried_by_builtin(n); },
          // As json, a record is one text with all of its fields.
          [&](const AsType& n) { return expr->type == kJson ? whole(n.value) : carried(n.value); },
          [&](const Interpolation& n) { return all_of(n.parts, true); },
          [](const auto&) { return Taint(); },
      },
      expr->node);
}

Taint Values::whole(const Expr* expr) {
  return expr == nullptr ? Taint() : carried(expr) | contained(*expr);
}

Taint Values::told_by_failure(const Expr& expr) {
  Taint all;
  if (failure_shows(expr)) {
    for_each_part(expr, [&](const Expr& part) { all |= whole(&part); });
  }
  const auto* call = as<CallFn>(&expr);
  if (call != nullptr && call->def != nullptr && fns_.of(*call->def).can_tell) {
    for (const Expr* each : call->arguments) all |= whole(each);
  }
  for_each_part(expr, [&](const Expr& part) { all |= told_by_failure(part); });
  return all;
}

Taint Values::carried_by(const std::vector<Expr*>& values, const std::vector<FieldDef>& fields) {
  Taint all;
  for (std::size_t i = 0; i < values.size() && i < fields.size(); ++i) {
    all |= carried(values[i]).without(fields[i].labels);
  }
  return all;
}

Taint Values::carried_by_with(const Expr& expr, const With& node) {
  Taint all = carried(node.base);
  const RecordDef* def = record_of(expr);
  for (const auto& [at, value] : node.fields) {
    all |= carried(value).without(def == nullptr ? Labels{0} : def->fields[at].labels);
  }
  return all;
}

Taint Values::carried_by_match(const MatchExpr& node) {
  const Taint subject = carried(node.subject);
  const EnumDef* def = fns_.program().types[node.subject->type].enumeration;
  Taint all = carried(node.else_value);
  for (const MatchArm& arm : node.arms) {
    for (std::size_t i = 0; i < arm.pattern.bindings.size(); ++i) {
      const Local* bound = arm.pattern.bindings[i];
      if (bound == nullptr || def == nullptr) continue;
      const auto& fields = def->cases[arm.pattern.which].fields;
      learn(bound->span.begin, i < fields.size() ? subject | of_field(fields[i]) : subject);
    }
    all |= carried(arm.value);
  }
  return all;
}

Taint Values::carried_by_fn(const CallFn& node) {
  Taint all;
  const Fns::Summary* summary = node.def == nullptr ? nullptr : &fns_.of(*node.def);
  if (summary == nullptr || !summary->known) {
    for (const Expr* each : node.arguments) all |= whole(each);
    return all;
  }
  all = summary->own;
  for (std::size_t i = 0; i < node.arguments.size(); ++i) {
    const Taint given = carried(node.arguments[i]);
    Labels out = 0;
    for (const int secret : {0, 1}) {
      const auto& passed = summary->passed[secret];
      const bool has = (given.labels & (secret == 1 ? kSecret : kPii)) != 0;
      if (has && i < passed.size()) out |= passed[i];
    }
    // What comes out whatever is given is not from here.
    out = static_cast<Labels>(out & ~(summary->own.labels & ~given.labels));
    if (out != 0) all |= {out, given.from};
  }
  return all;
}

Taint Values::carried_by_builtin(const CallBuiltin& call) {
  Taint all;
  if (is_builtin(call, {"len", "contains", "starts_with", "ends_with", "has", "index_of"})) {
    return all;
  }
  const bool text = is_builtin(call, {"str", "encode"});
  for (const Expr* each : call.arguments) all |= text ? whole(each) : carried(each);
  return all;
}

// ---------------------------------------------------------------------------- records, field by
// field

const RecordDef* Values::record_of(const Expr& expr) const {
  const Types& types = fns_.program().types;
  return types[types.without_optional(expr.type)].record;
}

const FieldDef* Values::field_of(const FieldOf& node) const {
  const RecordDef* record = node.base == nullptr ? nullptr : record_of(*node.base);
  return record == nullptr || node.index >= record->fields.size() ? nullptr
                                                                  : &record->fields[node.index];
}

bool Values::is_known_by_field(const Expr& expr) const {
  if (record_of(expr) == nullptr) return false;
  if (const auto* local = as<LocalRef>(&expr)) {
    return known_by_field_.count(local->local->span.begin) != 0;
  }
  return as<RecordValue>(&expr) != nullptr || as<With>(&expr) != nullptr ||
         as<IfExpr>(&expr) != nullptr;
}

Taint Values::contained(const Expr& expr) {
  if (const auto* node = as<FieldOf>(&expr); node != nullptr && node->base != nullptr) {
    return held(*node->base, node->index).contained;
  }
  if (!is_known_by_field(expr)) return fns_.contents().of(expr.type);
  Taint all;
  const auto count = static_cast<std::uint32_t>(record_of(expr)->fields.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    const Held each = held(expr, i);
    all |= each.carried | each.contained;
  }
  return all;
}

Values::Held Values::whole_of(const Expr& value) {
  return {carried(&value), contained(value)};
}

Values::Held Values::held(const Expr& expr, std::uint32_t field) {
  if (as<NoneValue>(&expr) != nullptr) return {};
  const RecordDef* def = record_of(expr);
  if (def == nullptr || field >= def->fields.size()) return {carried(&expr), {}};
  if (const auto* local = as<LocalRef>(&expr); local != nullptr && is_known_by_field(expr)) {
    return held_[{local->local->span.begin, field}];
  }
  if (const auto* made = as<RecordValue>(&expr)) {
    if (field < made->fields.size() && made->fields[field] != nullptr) {
      return whole_of(*made->fields[field]);
    }
  }
  if (const auto* changed = as<With>(&expr)) {
    for (const auto& [at, value] : changed->fields) {
      if (at == field && value != nullptr) return whole_of(*value);
    }
    if (changed->base != nullptr) return held(*changed->base, field);
  }
  if (const auto* choice = as<IfExpr>(&expr)) {
    const Held yes = held(*choice->then_value, field);
    const Held no = held(*choice->else_value, field);
    return {yes.carried | no.carried, yes.contained | no.contained};
  }
  const FieldDef& def_of = def->fields[field];
  return {carried(&expr) | of_field(def_of), fns_.contents().of(def_of.type)};
}

// ------------------------------------------------------------------------------------------ names

void Values::learn(std::uint32_t name, const Taint& taint) {
  Taint& known = names_[name];
  const Labels before = known.labels;
  known |= taint;
  changed_ = changed_ || known.labels != before;
}

void Values::learn_held(std::uint32_t name, std::uint32_t field, const Held& held) {
  Held& known = held_[{name, field}];
  const auto before = std::pair(known.carried.labels, known.contained.labels);
  known.carried |= held.carried;
  known.contained |= held.contained;
  changed_ = changed_ || before != std::pair(known.carried.labels, known.contained.labels);
}

void Values::learn_value(std::uint32_t name, const Expr* value) {
  learn(name, carried(value));
  if (value == nullptr || record_of(*value) == nullptr) return;
  known_by_field_.insert(name);
  const auto count = static_cast<std::uint32_t>(record_of(*value)->fields.size());
  for (std::uint32_t i = 0; i < count; ++i) learn_held(name, i, held(*value, i));
}

void Values::learn_failure(std::uint32_t name, const Taint& message) {
  std::uint32_t at = 0;
  if (fns_.program().failure->find("message", &at) == nullptr) return;
  learn(name, message);
  known_by_field_.insert(name);
  learn_held(name, at, {message, {}});
}

bool Values::has_learned() {
  return std::exchange(changed_, false);
}

}  // namespace sluice::compiler::analyse
