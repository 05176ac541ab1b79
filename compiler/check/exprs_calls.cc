// Calls of functions, of cases with fields, and of what is built in.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/builtins.hpp"
#include "compiler/check/exprs.hpp"
#include "vm/json.hpp"
#include "vm/text.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

std::string plural(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

}  // namespace

void Exprs::infer_all(const ast::CallExpr& node) {
  for (const ast::Argument& argument : node.arguments) infer(*argument.value);
}

Expr* Exprs::call(const ast::Expr& tree, const ast::CallExpr& node, TypeId hint) {
  if (const auto* found = ast::as<ast::CaseExpr>(*node.callee)) {
    return enum_case(tree, *found, &node);
  }
  if (const auto* found = ast::as<ast::NameExpr>(*node.callee)) {
    if (const Symbol* symbol = scope_.find(Space::kValue, found->name)) {
      return call_symbol(tree, node, *symbol, found->name);
    }
    if (own_calls_) {
      if (Expr* own = own_calls_(tree, node, found->name)) return own;
    }
    if (is_builtin(found->name)) return call_builtin(tree, node, found->name, hint);
    return unknown_call(node, node.callee->span, found->name);
  }
  if (const auto* found = ast::as<ast::FieldExpr>(*node.callee)) {
    const auto* base = ast::as<ast::NameExpr>(*found->base);
    if (base != nullptr && locals_.find(base->name) == nullptr) {
      if (ImportScope* imported = context_.import(scope_, base->name)) {
        if (imported->module == nullptr) {
          infer_all(node);
          return context_.poison(tree.span);
        }
        if (const Symbol* symbol = imported->module->find(Space::kValue, found->field.text)) {
          return call_symbol(tree, node, *symbol, found->field.text);
        }
        infer_all(node);
        if (imported->module->module->tree->damage.names(found->field.text)) {
          return context_.poison(tree.span);
        }
        std::vector<std::string_view> names;
        for (const auto& [name, symbol] :
             imported->module->spaces[static_cast<std::size_t>(Space::kValue)]) {
          names.push_back(name);
        }
        std::sort(names.begin(), names.end());
        context_.unknown(Code::E0201,
                         fmt::format("module `{}` has no function", imported->module->module->name),
                         found->field, names);
        return context_.poison(tree.span);
      }
    }
    return call_method(tree, node, *found);
  }
  infer_all(node);
  context_.diagnostics.report(Code::E0203, node.callee->span, "only functions can be called");
  return context_.poison(tree.span);
}

Expr* Exprs::call_symbol(const ast::Expr& tree, const ast::CallExpr& node, const Symbol& symbol,
                         std::string_view name) {
  FnDef* fn = symbol.as<FnDef>();
  if (fn == nullptr) {
    infer_all(node);
    const bool is_const = symbol.as<ConstDef>() != nullptr;
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0203, node.callee->span,
        fmt::format("`{}` is {}, not a function", name, kind_with_article(symbol)));
    diagnostic.also(symbol.span, "declared here");
    if (!is_const && world_ == World::kFlow) {
      diagnostic.because(
          fmt::format("a `step` runs it and names its result: `step r = {}(…)`", name));
    } else if (!is_const) {
      diagnostic.because("functions and constants are pure; work is done by the steps of flows");
    }
    return context_.poison(tree.span);
  }
  if (world_ == World::kConstant) {
    infer_all(node);
    context_.diagnostics
        .report(Code::E0310, tree.span, "a constant cannot be made by calling a function")
        .because("constants are known when the program is compiled");
    return context_.poison(tree.span);
  }
  calls_.emplace_back(fn, tree.span);
  std::vector<Expr*> values =
      arguments(node, tree.span, fn->parameters, {fn->name, symbol.span, fn->damaged});
  return context_.expr(tree.span, fn->result, CallFn{fn, std::move(values)});
}

Expr* Exprs::unknown_call(const ast::CallExpr& node, Span span, const std::string& name) {
  infer_all(node);
  if (Local* local = locals_.find(name)) {
    local->used = true;
    context_.diagnostics
        .report(Code::E0203, span, fmt::format("`{}` is a value, not a function", name))
        .also(local->span, "bound here");
    return context_.poison(span);
  }
  std::vector<std::string_view> candidates = builtin_names();
  for (const auto& [known, symbol] : scope_.spaces[static_cast<std::size_t>(Space::kValue)]) {
    if (symbol.as<FnDef>() != nullptr) candidates.push_back(known);
  }
  std::sort(candidates.begin(), candidates.end());
  context_.unknown(Code::E0201, "there is no function", {name, span}, candidates);
  return context_.poison(span);
}

Expr* Exprs::call_method(const ast::Expr& tree, const ast::CallExpr& node,
                         const ast::FieldExpr& callee) {
  Expr* base = infer(*callee.base);
  infer_all(node);
  if (base->type == kPoison) return context_.poison(tree.span);
  const std::string& name = callee.field.text;
  Diagnostic& diagnostic = context_.diagnostics.report(Code::E0203, callee.field.span,
                                                       "values have no functions of their own");
  const bool known = is_builtin(name) || scope_.find(Space::kValue, name) != nullptr;
  if (known) diagnostic.because(fmt::format("the value is the first argument: `{}(x)`", name));
  return context_.poison(tree.span);
}

std::vector<Expr*> Exprs::arguments(const ast::CallExpr& call, Span call_span,
                                    std::vector<FieldDef>& parameters, const Callee& callee) {
  // Where a parameter is lost, nobody knows which argument is whose.
  if (callee.damaged) {
    infer_all(call);
    return std::vector<Expr*>(parameters.size(), context_.poison(call_span));
  }
  std::vector<Expr*> values(parameters.size(), nullptr);
  std::size_t next = 0;
  std::size_t extra = 0;
  for (const ast::Argument& argument : call.arguments) {
    std::size_t index = next;
    if (argument.label) {
      const auto found = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) {
        return p.name == argument.label->text;
      });
      if (found == parameters.end()) {
        infer(*argument.value);
        std::vector<std::string_view> names;
        for (const FieldDef& each : parameters) names.push_back(each.name);
        context_.unknown(Code::E0214, fmt::format("`{}` has no parameter", callee.name),
                         *argument.label, names);
        continue;
      }
      index = static_cast<std::size_t>(found - parameters.begin());
    }
    if (index >= parameters.size()) {
      infer(*argument.value);
      ++extra;
      continue;
    }
    next = index + 1;
    FieldDef& parameter = parameters[index];
    Expr* value =
        want(*argument.value, {parameter.type, parameter.type_span,
                               fmt::format("parameter `{}` is declared here", parameter.name)});
    if (values[index] != nullptr) {
      context_.diagnostics
          .report(Code::E0306, argument.span,
                  fmt::format("the argument `{}` is given twice", parameter.name))
          .also(values[index]->span, "first here");
    }
    values[index] = value;
  }
  std::string missing;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != nullptr) continue;
    const bool has_default =
        parameters[i].tree != nullptr && parameters[i].tree->default_value != nullptr;
    if (has_default) values[i] = default_of(parameters[i], call_span);
    if (values[i] != nullptr) continue;
    values[i] = context_.poison(call_span);
    missing += fmt::format("{}`{}`", missing.empty() ? "" : ", ", parameters[i].name);
  }
  // A wrong label leaves a parameter without its argument: that was said already.
  const bool unknown_label =
      std::any_of(call.arguments.begin(), call.arguments.end(), [&](const ast::Argument& argument) {
        return argument.label &&
               std::none_of(parameters.begin(), parameters.end(),
                            [&](const auto& p) { return p.name == argument.label->text; });
      });
  if ((extra == 0 && missing.empty()) || unknown_label) return values;
  Diagnostic& diagnostic = context_.diagnostics.report(
      Code::E0307, call_span,
      fmt::format(
          "`{}` takes {}, and {} given", callee.name, plural(parameters.size(), "argument"),
          call.arguments.size() == 1 ? "1 is" : fmt::format("{} are", call.arguments.size())));
  diagnostic.also(callee.declared, "declared here");
  if (!missing.empty()) diagnostic.here("missing: " + missing);
  return values;
}

Expr* Exprs::literal_call(const ast::Expr& tree, const ast::CallExpr& node, std::string_view name) {
  if (node.arguments.size() != 1) return nullptr;
  const auto* literal = ast::as<ast::StringLiteral>(*node.arguments[0].value);
  const auto text = literal == nullptr ? std::nullopt : literal->plain();
  if (!text) return nullptr;
  const auto made = [&](TypeId type, std::optional<vm::Value> value, std::string_view wanted) {
    infer_all(node);
    if (value) return context_.expr(tree.span, type, Constant{*value});
    context_.diagnostics.report(Code::E0315, node.arguments[0].span,
                                fmt::format("this text is no {}", wanted));
    return context_.expr(tree.span, type, Poison{});
  };
  const auto of = [](const auto& found, auto make) {
    return found ? std::optional<vm::Value>(make(*found)) : std::nullopt;
  };
  if (name == "timestamp") {
    return made(kTimestamp, of(vm::parse_timestamp(*text), vm::Value::timestamp),
                "RFC 3339 time such as `2026-11-23T06:25:58Z`");
  }
  if (name == "decimal") {
    return made(kDecimal, of(vm::parse_decimal(*text), vm::Value::decimal),
                "decimal such as `12.50`, of at most 33 digits");
  }
  if (name == "decode") return made(kJson, of(vm::canonical_json(*text), vm::Value::json), "JSON");
  if (name == "bytes") return made(kBytes, vm::Value::bytes(*text), "text");
  return nullptr;
}

Expr* Exprs::call_builtin(const ast::Expr& tree, const ast::CallExpr& node, const std::string& name,
                          TypeId hint) {
  for (const ast::Argument& argument : node.arguments) {
    if (!argument.label) continue;
    context_.diagnostics.report(Code::E0214, argument.label->span,
                                fmt::format("the arguments of `{}` have no names", name));
    infer_all(node);
    return context_.poison(tree.span);
  }
  if (Expr* literal = literal_call(tree, node, name)) return literal;
  if (world_ == World::kConstant) {
    infer_all(node);
    context_.diagnostics
        .report(Code::E0310, tree.span, "a constant cannot be made by calling a function")
        .because("constants are known when the program is compiled");
    return context_.poison(tree.span);
  }
  BuiltinCall found(types_, name, node.arguments.size());
  std::vector<Expr*> values(node.arguments.size(), nullptr);
  // Literals that could be of several types come last, when the others have said what T is.
  for (const bool literals : {false, true}) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const ast::Expr& argument = *node.arguments[i].value;
      if (BuiltinCall::is_flexible(argument) != literals) continue;
      values[i] = infer(argument, found.hint(i, hint));
      found.give(i, values[i]->type);
    }
  }
  for (const Expr* value : values) {
    if (value->type == kPoison) return context_.expr(tree.span, found.result_or_poison(), Poison{});
  }
  const std::optional<std::uint16_t> row = found.choose();
  if (row) {
    return context_.expr(tree.span, found.result_or_poison(), CallBuiltin{*row, std::move(values)});
  }
  if (!found.any_arity()) {
    context_.diagnostics
        .report(Code::E0307, tree.span,
                fmt::format("`{}` is not called with {}", name,
                            plural(node.arguments.size(), "argument")))
        .because(builtin_signatures(name));
    return context_.poison(tree.span);
  }
  std::string given;
  for (const Expr* value : values) {
    given +=
        fmt::format("{}{}", given.empty() ? "" : " and ", with_article(types_.name(value->type)));
  }
  context_.diagnostics
      .report(Code::E0302, tree.span, fmt::format("`{}` does not take {}", name, given))
      .because(builtin_signatures(name));
  return context_.poison(tree.span);
}

}  // namespace sluice::compiler
