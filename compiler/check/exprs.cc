// Literals, names, lists, conditionals.
#include "compiler/check/exprs.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace sluice::compiler {

using namespace ir;

std::string with_article(const std::string& type_name) {
  const char c = type_name.empty() ? 'x' : type_name[0];
  const bool vowel = std::string_view("aeioAEIO").find(c) != std::string_view::npos;
  return fmt::format("{} `{}`", vowel ? "an" : "a", type_name);
}

void Exprs::mismatch(Span span, TypeId found, const Want& want) {
  const std::string wanted = types_.name(want.type);
  Diagnostic& diagnostic = context_.diagnostics.report(
      want.code, span,
      fmt::format("expected {}, found {}", with_article(wanted), with_article(types_.name(found))));
  if (want.where && !want.text.empty()) diagnostic.also(*want.where, want.text);
  if (types_.is_optional(found) && types_.fits(types_.without_optional(found), want.type)) {
    diagnostic.because("it may be `none`: give another value with `??`, or look with `if let`");
  } else if (want.type == kString && (found == kInt || found == kFloat || found == kDuration)) {
    diagnostic.because("`\"${x}\"` and `str(x)` make text of a value");
  } else if (want.type == kDuration && found == kInt) {
    diagnostic.because("a duration has a unit, without a space: `250ms`, `5s`, `10m`, `24h`, `7d`");
  } else if (want.type == kFloat && found == kInt) {
    diagnostic.because("`float(x)` makes a float of an int");
  } else if (found == kJson) {
    diagnostic.because(
        fmt::format("`x as {}` checks what the JSON is, and fails with `Invalid`", wanted));
  } else if (want.type == kJson) {
    diagnostic.because("`x as json` makes JSON of a value");
  } else if (want.type == kDecimal && (found == kInt || found == kFloat)) {
    diagnostic.because("`decimal(x)` makes a decimal of an int or a float");
  }
}

Expr* Exprs::want(const ast::Expr& tree, const Want& want) {
  Expr* found = infer(tree, want.type, &want);
  if (types_.fits(found->type, want.type)) return found;
  mismatch(tree.span, found->type, want);
  return context_.poison(tree.span);
}

Expr* Exprs::want_bool(const ast::Expr& tree) {
  return want(tree, {.type = kBool});
}

Expr* Exprs::infer_closed(const ast::Expr& tree, std::string_view name) {
  Expr* found = infer(tree);
  if (!types_.is_open(found->type) || types_.has_poison(found->type)) return found;
  context_.diagnostics
      .report(Code::E0309, tree.span, fmt::format("nothing here says what type `{}` has", name))
      .because(types_.kind(found->type) == TypeKind::kNone
                   ? "`none` is the absence of a value of some type; begin with a field, parameter "
                     "or result whose type is written"
                   : "an empty list or map has no element to tell the type by; use it where the "
                     "type is written: a field, a parameter, a result");
  return context_.poison(tree.span);
}

Expr* Exprs::infer(const ast::Expr& tree, TypeId hint, const Want* forward) {
  Expr* made = infer_node(tree, hint, forward);
  scope_.module->exprs[tree.id] = made;
  return made;
}

Expr* Exprs::infer_node(const ast::Expr& tree, TypeId hint, const Want* forward) {
  const Span span = tree.span;
  return std::visit(
      ast::Overloaded{
          [&](const ast::IntLiteral& n) { return int_literal(tree, n, hint); },
          [&](const ast::DecimalLiteral& n) { return decimal_literal(tree, n, hint); },
          [&](const ast::DurationLiteral& n) {
            return context_.expr(span, kDuration, DurationValue{n.ms});
          },
          [&](const ast::BoolLiteral& n) { return context_.expr(span, kBool, BoolValue{n.value}); },
          [&](const ast::StringLiteral& n) { return string_literal(tree, n); },
          [&](const ast::NameExpr& n) { return name(tree, n, hint); },
          [&](const ast::FieldExpr& n) { return field(tree, n); },
          [&](const ast::CallExpr& n) { return call(tree, n, hint); },
          [&](const ast::IndexExpr& n) { return index(tree, n); },
          [&](const ast::RecordExpr& n) { return record(tree, n); },
          [&](const ast::CaseExpr& n) { return enum_case(tree, n, nullptr); },
          [&](const ast::ListExpr& n) { return list(tree, n, hint, forward); },
          [&](const ast::MapExpr& n) { return map(tree, n, hint, forward); },
          [&](const ast::ComprehensionExpr& n) { return comprehension(tree, n, hint); },
          [&](const ast::IfExpr& n) { return if_expr(tree, n, hint, forward); },
          [&](const ast::MatchExpr& n) { return match(tree, n, hint, forward); },
          [&](const ast::UnaryExpr& n) { return unary(tree, n, hint); },
          [&](const ast::BinaryExpr& n) { return binary(tree, n, hint); },
          [&](const ast::RangeExpr& n) { return range(tree, n); },
          [&](const ast::WithExpr& n) { return with(tree, n); },
          [&](const ast::AsExpr& n) { return as_type(tree, n); },
          [&](const ast::DamagedExpr&) { return context_.poison(span); },
      },
      tree.node);
}

Expr* Exprs::int_literal(const ast::Expr& tree, const ast::IntLiteral& node, TypeId hint,
                         bool negative) {
  constexpr std::uint64_t kMax =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (types_.without_optional(hint) == kFloat) {
    const double value = static_cast<double>(node.value);
    return context_.expr(tree.span, kFloat, FloatValue{negative ? 0.0 - value : value});
  }
  if (types_.without_optional(hint) == kDecimal) {
    const auto value = static_cast<vm::Int128>(node.value);
    const vm::Decimal decimal{negative ? -value : value, 0};
    return context_.expr(tree.span, kDecimal, Constant{vm::Value::decimal(decimal)});
  }
  if (node.value > kMax + (negative ? 1 : 0)) {
    context_.diagnostics.report(Code::E0315, tree.span, "this number is too large for an `int`")
        .because("an `int` is at most 9223372036854775807");
    return context_.poison(tree.span);
  }
  const std::int64_t value =
      negative ? static_cast<std::int64_t>(0 - node.value) : static_cast<std::int64_t>(node.value);
  return context_.expr(tree.span, kInt, IntValue{value});
}

Expr* Exprs::decimal_literal(const ast::Expr& tree, const ast::DecimalLiteral& node, TypeId hint) {
  if (types_.without_optional(hint) == kFloat) {
    const double value = std::strtod(node.text.c_str(), nullptr);
    if (std::isfinite(value)) return context_.expr(tree.span, kFloat, FloatValue{value});
    context_.diagnostics.report(Code::E0315, tree.span, "this number is too large for a `float`");
    return context_.poison(tree.span);
  }
  if (const auto value = vm::parse_decimal(node.text)) {
    return context_.expr(tree.span, kDecimal, Constant{vm::Value::decimal(*value)});
  }
  context_.diagnostics
      .report(Code::E0315, tree.span, "this number has too many digits for a `decimal`")
      .because("a `decimal` holds 33 digits, before and behind the point together");
  return context_.poison(tree.span);
}

Expr* Exprs::as_type(const ast::Expr& tree, const ast::AsExpr& node) {
  Expr* value = infer(*node.value);
  const TypeId type = context_.resolve_type(scope_, *node.type);
  if (value->type == kPoison || type == kPoison) return context_.expr(tree.span, type, Poison{});
  if (world_ == World::kConstant) {
    context_.diagnostics.report(Code::E0310, tree.span, "a constant cannot be made by `as`")
        .because("constants are known when the program is compiled");
    return context_.poison(tree.span);
  }
  if (refuse_optional(*value, "`as`")) return context_.poison(tree.span);
  if ((value->type == kJson) == (type == kJson) || types_.is_open(value->type)) {
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0322, tree.span,
        type == kJson ? "this is `json` already" : "`as` checks `json`, and this is none");
    diagnostic.also(value->span, fmt::format("this is {}", with_article(types_.name(value->type))));
    if (value->type == kString) {
      diagnostic.because("`decode(text) as T` reads JSON text; `parse_int(text)` reads a number");
    }
    return context_.expr(tree.span, type, Poison{});
  }
  if (type == kJson) return context_.expr(tree.span, type, AsType{value});
  if (world_ == World::kConstraint) {
    context_.diagnostics.report(Code::E0323, tree.span, "a constraint cannot check `json`")
        .because("checking JSON asks the constraints of its type: they would never end");
  }
  checks_json_ = true;
  return context_.expr(tree.span, type, AsType{value});
}

Expr* Exprs::string_literal(const ast::Expr& tree, const ast::StringLiteral& node) {
  if (const auto plain = node.plain()) {
    return context_.expr(tree.span, kString, StringValue{*plain});
  }
  Interpolation made;
  for (const ast::StringPart& part : node.parts) {
    if (part.expr != nullptr) {
      made.parts.push_back(interpolated(*part.expr));
    } else if (!part.text.empty()) {
      made.parts.push_back(context_.expr(part.span, kString, StringValue{part.text}));
    }
  }
  return context_.expr(tree.span, kString, std::move(made));
}

Expr* Exprs::interpolated(const ast::Expr& tree) {
  Expr* part = infer(tree);
  if (types_.is_optional(part->type) || part->type == kNone) {
    context_.diagnostics
        .report(Code::E0302, tree.span, "a value that may be `none` has no text of its own")
        .here(fmt::format("this is {}", with_article(types_.name(part->type))))
        .because("say what stands there instead: `${x ?? \"nothing\"}`");
    return context_.poison(tree.span);
  }
  return part;
}

Expr* Exprs::name(const ast::Expr& tree, const ast::NameExpr& node, TypeId hint) {
  (void)hint;
  const Span span = tree.span;
  if (Local* local = locals_.find(node.name)) return local_ref(span, *local);
  if (event_ != nullptr) {
    const RecordDef* record = types_[event_->type].record;
    std::uint32_t index = 0;
    if (record != nullptr && record->find(node.name, &index) != nullptr) {
      Expr* base = context_.expr(span, event_->type, LocalRef{event_});
      return context_.expr(span, record->fields[index].type, FieldOf{base, index, false});
    }
  }
  if (node.name == "none") return context_.expr(span, kNone, NoneValue{});
  if (const Symbol* symbol = scope_.find(Space::kValue, node.name)) {
    return symbol_value(span, *symbol, node.name);
  }
  if (node.name == "now") return now(span);
  if (node.name == "run") {
    context_.diagnostics.report(Code::E0308, span, "`run` alone is no value")
        .because("`run.client` and `run.id` are what can be asked of it");
    return context_.poison(span);
  }
  return unknown_name(span, node.name);
}

Expr* Exprs::now(Span span) {
  if (world_ == World::kFlow) return context_.expr(span, kTimestamp, Now{});
  context_.diagnostics.report(Code::E0219, span, "`now` exists in flows only")
      .because("functions and constants are pure: the same arguments give the same value");
  return context_.poison(span);
}

Expr* Exprs::local_ref(Span span, Local& local) {
  local.used = true;
  if (local.kind == Local::Kind::kBranch) {
    context_.diagnostics
        .report(Code::E0317, span, fmt::format("the branch `{}` has no value", local.name))
        .also(local.span, "the branch")
        .because(
            "names inside a `branch` end with it; the result of a `step` that stands directly "
            "in `parallel` can be used after it");
    return context_.poison(span);
  }
  if (unsure_ != nullptr && local.step == unsure_) {
    context_.diagnostics
        .report(Code::E0507, span,
                fmt::format("in `unsure`, `{}` has no result: nobody knows whether it happened",
                            local.name))
        .also(local.span, "the step")
        .because(fmt::format("`{}.key` and the step's arguments are known there", local.name));
    return context_.poison(span);
  }
  const StepDef* step = local.kind == Local::Kind::kStep ? local.step : nullptr;
  const bool no_result = step != nullptr && step->task != nullptr && !step->task->result;
  const bool no_outcome = step != nullptr && step->flow != nullptr &&
                          step->flow->outcomes.empty() && step->flow->outcomes_known;
  if (no_result || no_outcome) {
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0317, span, fmt::format("the step `{}` has no result", local.name));
    diagnostic.also(local.span,
                    no_result ? fmt::format("`{}` is declared without `-> TYPE`", step->task->name)
                              : fmt::format("`{}` is declared without outcomes", step->flow->name));
    return context_.poison(span);
  }
  return context_.expr(span, local.type, LocalRef{&local});
}

Expr* Exprs::unknown_name(Span span, const std::string& name) {
  if (context_.is_lost({name, span})) return context_.poison(span);
  if (event_ != nullptr && types_[event_->type].record->damaged) return context_.poison(span);
  for (const auto& [sibling, where] : siblings_) {
    if (sibling != name) continue;
    context_.diagnostics
        .report(Code::E0410, span,
                fmt::format("`{}` runs at the same time, so its result is not known here", name))
        .also(where, "beside this one in the same `parallel`")
        .because("what needs a result stands after the `parallel` that makes it");
    return context_.poison(span);
  }
  if (const Span* dead = locals_.find_dead(name)) {
    context_.diagnostics
        .report(Code::E0201, span, fmt::format("`{}` is not known here any more", name))
        .also(*dead, "declared here, in a block that has ended")
        .because("a name lives to the end of its block");
    return context_.poison(span);
  }
  if (const Symbol* type = scope_.find(Space::kType, name)) {
    context_.diagnostics
        .report(Code::E0203, span,
                fmt::format("`{}` is {}, not a value", name, kind_with_article(*type)))
        .also(type->span, "declared here")
        .because(type->as<EnumDef>() != nullptr
                     ? "its cases are values: `NAME.case`"
                     : "a value of it is written with its fields: `NAME { field: … }`");
    return context_.poison(span);
  }
  std::vector<std::string_view> candidates = locals_.names();
  for (const auto& [known, symbol] : scope_.spaces[static_cast<std::size_t>(Space::kValue)]) {
    if (symbol.as<ConstDef>() != nullptr) candidates.push_back(known);
  }
  std::sort(candidates.begin(), candidates.end());
  if (const EnumDef* def = enum_with_case(name)) {
    const std::string whole = fmt::format("{}.{}", def->name, name);
    context_.diagnostics.report(Code::E0201, span, fmt::format("there is no name `{}`", name))
        .here(fmt::format("did you mean `{}`?", whole))
        .because("a case is written with its enum")
        .mend(fmt::format("write `{}`", whole), {{span, whole}});
    return context_.poison(span);
  }
  context_.unknown(Code::E0201, "there is no name", {name, span}, candidates);
  return context_.poison(span);
}

// The enum of this module that has such a case, if one alone has.
const EnumDef* Exprs::enum_with_case(const std::string& name) const {
  const EnumDef* found = nullptr;
  for (const auto& [known, symbol] : scope_.spaces[static_cast<std::size_t>(Space::kType)]) {
    const EnumDef* def = symbol.as<EnumDef>();
    if (def == nullptr || def->find(name) == nullptr) continue;
    if (found != nullptr) return nullptr;
    found = def;
  }
  return found;
}

Expr* Exprs::symbol_value(Span span, const Symbol& symbol, std::string_view name) {
  if (ConstDef* def = symbol.as<ConstDef>()) {
    context_.ensure_const(*def);
    return context_.expr(span, def->type, ConstRef{def});
  }
  const char* why = "";
  if (symbol.as<FnDef>() != nullptr) {
    why = "a function is called: `f(x)`; functions are no values";
  } else if (world_ == World::kFlow) {
    why = "a task or flow is run by a `step`, whose name then is its result";
  } else {
    why = "work is done by flows, with a `step`; here everything is pure";
  }
  context_.diagnostics
      .report(Code::E0203, span,
              fmt::format("`{}` is {}, not a value", name, kind_with_article(symbol)))
      .also(symbol.span, "declared here")
      .because(why);
  return context_.poison(span);
}

Expr* Exprs::agree(const ast::Expr& tree, TypeId hint, const Want* forward, TypeId* type,
                   Span first, std::string_view what) {
  if (forward != nullptr && !types_.is_open(forward->type)) {
    Expr* value = want(tree, *forward);
    *type = forward->type;
    return value;
  }
  Expr* value = infer(tree, *type == kEmpty || types_.is_open(*type) ? hint : *type);
  bool ok = false;
  const TypeId united = types_.unite(*type, value->type, &ok);
  if (ok) {
    *type = united;
    return value;
  }
  context_.diagnostics
      .report(Code::E0301, tree.span,
              fmt::format("expected {}, found {}", with_article(types_.name(*type)),
                          with_article(types_.name(value->type))))
      .also(first, fmt::format("{} is {}", what, with_article(types_.name(*type))));
  return context_.poison(tree.span);
}

Expr* Exprs::list(const ast::Expr& tree, const ast::ListExpr& node, TypeId hint,
                  const Want* forward) {
  const auto element_of = [&](TypeId type) {
    const TypeId list = types_.without_optional(type);
    return types_.kind(list) == TypeKind::kList ? types_[list].element : kPoison;
  };
  std::optional<Want> wanted;
  if (forward != nullptr && element_of(forward->type) != kPoison) {
    wanted = Want{element_of(forward->type), forward->where, forward->text};
  }
  ListValue made;
  TypeId element = kEmpty;
  for (const ast::ExprPtr& each : node.elements) {
    made.elements.push_back(agree(*each, element_of(hint), wanted ? &*wanted : nullptr, &element,
                                  node.elements[0]->span, "the first element"));
  }
  return context_.expr(tree.span, types_.list_of(element), std::move(made));
}

Expr* Exprs::map(const ast::Expr& tree, const ast::MapExpr& node, TypeId hint,
                 const Want* forward) {
  const auto element_of = [&](TypeId type) {
    const TypeId map = types_.without_optional(type);
    return types_.kind(map) == TypeKind::kMap ? types_[map].element : kPoison;
  };
  std::optional<Want> wanted;
  if (forward != nullptr && element_of(forward->type) != kPoison) {
    wanted = Want{element_of(forward->type), forward->where, forward->text};
  }
  MapValue made;
  TypeId element = kEmpty;
  std::unordered_map<std::string, Span> seen;
  for (const ast::MapEntry& entry : node.entries) {
    Expr* key = want(*entry.key, {kString, std::nullopt, ""});
    Expr* value = agree(*entry.value, element_of(hint), wanted ? &*wanted : nullptr, &element,
                        node.entries[0].value->span, "the first value");
    if (const auto* text = as<StringValue>(key)) {
      const auto [place, added] = seen.try_emplace(text->value, key->span);
      if (!added) {
        context_.diagnostics
            .report(Code::E0306, key->span, fmt::format("the key `{}` is given twice", text->value))
            .also(place->second, "first here");
      }
    }
    made.entries.emplace_back(key, value);
  }
  return context_.expr(tree.span, types_.map_of(element), std::move(made));
}

Expr* Exprs::if_expr(const ast::Expr& tree, const ast::IfExpr& node, TypeId hint,
                     const Want* forward) {
  IfExpr made;
  made.condition = want_bool(*node.condition);
  TypeId type = kEmpty;
  made.then_value =
      agree(*node.then_value, hint, forward, &type, node.then_value->span, "the `then` side");
  made.else_value =
      agree(*node.else_value, hint, forward, &type, node.then_value->span, "the `then` side");
  return context_.expr(tree.span, type, made);
}

Expr* Exprs::match(const ast::Expr& tree, const ast::MatchExpr& node, TypeId hint,
                   const Want* forward) {
  MatchExpr made;
  made.subject = infer_closed(*node.subject, "match");
  Coverage coverage;
  TypeId type = kEmpty;
  const ast::Expr* first = nullptr;
  for (const ast::MatchArm& arm : node.arms) {
    MatchArm& out = made.arms.emplace_back();
    locals_.open();
    out.pattern = pattern(*arm.pattern, *made.subject, coverage);
    if (first == nullptr) first = arm.value.get();
    out.value = agree(*arm.value, hint, forward, &type, first->span, "the first case");
    locals_.close();
  }
  std::optional<Span> else_span;
  if (node.else_value != nullptr) {
    else_span = node.else_value->span;
    if (first == nullptr) first = node.else_value.get();
    made.else_value = agree(*node.else_value, hint, forward, &type, first->span, "the first case");
  }
  finish_match(tree.span, *made.subject, coverage, else_span);
  return context_.expr(tree.span, type == kEmpty ? kPoison : type, std::move(made));
}

void Exprs::no_list(Span span, TypeId type) {
  Diagnostic& diagnostic =
      context_.diagnostics.report(Code::E0316, span,
                                  fmt::format("only a list can be gone through, and this is {}",
                                              with_article(types_.name(type))));
  const TypeKind kind = types_.kind(type);
  if (kind == TypeKind::kMap) diagnostic.because("`keys(m)` and `values(m)` are lists");
  if (type == kInt) diagnostic.because("`1..n` is the list of the ints from 1 to n");
  if (type == kString) {
    diagnostic.because("`chars(s)` is the list of its characters, `split(s, \",\")` of its parts");
  }
  if (types_.is_optional(type)) {
    diagnostic.because("it may be `none`: give another list with `?? []`, or look with `if let`");
  }
}

Expr* Exprs::comprehension(const ast::Expr& tree, const ast::ComprehensionExpr& node, TypeId hint) {
  Comprehension made;
  made.source = infer(*node.source);
  TypeId element = kPoison;
  if (types_.kind(made.source->type) == TypeKind::kList) {
    element = types_[made.source->type].element;
    if (element == kEmpty) element = kPoison;
  } else if (made.source->type != kPoison) {
    no_list(node.source->span, made.source->type);
  }
  locals_.open();
  made.variable = context_.local(node.variable, element, Local::Kind::kElement);
  locals_.declare(made.variable);
  if (node.filter != nullptr) made.filter = want_bool(*node.filter);
  const TypeId list = types_.without_optional(hint);
  made.element =
      infer(*node.element, types_.kind(list) == TypeKind::kList ? types_[list].element : kPoison);
  locals_.close();
  return context_.expr(tree.span, types_.list_of(made.element->type), made);
}

}  // namespace sluice::compiler
