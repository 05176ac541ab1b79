// Fields, elements, and values put together from fields.
#include <fmt/format.h>

#include "compiler/check/exprs.hpp"

namespace sluice::compiler {

using namespace ir;

const FieldDef* RecordDef::find(std::string_view field, std::uint32_t* at) const {
  for (std::uint32_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name != field) continue;
    if (at != nullptr) *at = i;
    return &fields[i];
  }
  return nullptr;
}

const CaseDef* EnumDef::find(std::string_view wanted, std::uint32_t* at) const {
  for (std::uint32_t i = 0; i < cases.size(); ++i) {
    if (cases[i].name != wanted) continue;
    if (at != nullptr) *at = i;
    return &cases[i];
  }
  return nullptr;
}

namespace {

std::vector<std::string_view> field_names(const std::vector<FieldDef>& fields) {
  std::vector<std::string_view> names;
  for (const FieldDef& field : fields) names.push_back(field.name);
  return names;
}

}  // namespace

void Exprs::unknown_field(const RecordDef& record, const ast::Name& name) {
  if (record.damaged) return;
  context_.unknown(Code::E0212, fmt::format("`{}` has no field", record.name), name,
                   field_names(record.fields));
}

Expr* Exprs::field(const ast::Expr& tree, const ast::FieldExpr& node) {
  if (const auto* base = ast::as<ast::NameExpr>(*node.base)) {
    return field_of_name(tree, node, base->name);
  }
  return field_of_value(tree, node, infer(*node.base));
}

// `run.client`, `NAME.key` of a step, and constants of imported modules look like fields.
Expr* Exprs::field_of_name(const ast::Expr& tree, const ast::FieldExpr& node,
                           const std::string& base) {
  if (Local* local = locals_.find(base)) {
    if (local->kind != Local::Kind::kStep || node.field.text != "key" || local->step == nullptr) {
      return field_of_value(tree, node, infer(*node.base));
    }
    local->used = true;
    const TypeInfo& result = types_[types_.without_optional(local->type)];
    if (result.kind == TypeKind::kRecord && result.record->find("key") != nullptr) {
      context_.diagnostics
          .report(Code::E0212, node.field.span,
                  fmt::format("`{}.key` may mean the step's key or the field of its result", base))
          .also(result.record->find("key")->span, "the field")
          .because(fmt::format("for the field, bind the result first: `let it = {}`", base));
      return context_.poison(tree.span);
    }
    local->step->key_used = true;
    return context_.expr(tree.span, kString, StepKey{local->step});
  }
  if (base == "run" && (event_ == nullptr)) {
    if (world_ != World::kFlow) {
      context_.diagnostics.report(Code::E0219, tree.span, "`run` exists in flows only")
          .because("functions and constants are pure: pass what they need as an argument");
      return context_.poison(tree.span);
    }
    if (node.field.text == "id") return context_.expr(tree.span, kString, RunId{});
    if (node.field.text == "client") {
      return context_.expr(tree.span, run_client_, RunClient{});
    }
    context_.unknown(Code::E0212, "`run` has no field", node.field, {"client", "id"});
    return context_.poison(tree.span);
  }
  const bool is_value = scope_.find(Space::kValue, base) != nullptr;
  ImportScope* imported = is_value ? nullptr : context_.import(scope_, base);
  if (imported == nullptr) return field_of_value(tree, node, infer(*node.base));
  if (imported->module == nullptr) return context_.poison(tree.span);
  if (imported->module->module->tree->damage.names(node.field.text) &&
      imported->module->find(Space::kValue, node.field.text) == nullptr) {
    return context_.poison(tree.span);
  }
  if (const Symbol* symbol = imported->module->find(Space::kValue, node.field.text)) {
    return symbol_value(tree.span, *symbol, node.field.text);
  }
  std::vector<std::string_view> candidates;
  for (const auto& [name, symbol] :
       imported->module->spaces[static_cast<std::size_t>(Space::kValue)]) {
    candidates.push_back(name);
  }
  std::sort(candidates.begin(), candidates.end());
  context_.unknown(Code::E0201,
                   fmt::format("module `{}` has no name", imported->module->module->name),
                   node.field, candidates);
  return context_.poison(tree.span);
}

Expr* Exprs::field_of_value(const ast::Expr& tree, const ast::FieldExpr& node, Expr* base) {
  if (base->type == kPoison) return context_.poison(tree.span);
  const bool may_be_none = types_.is_optional(base->type);
  const TypeInfo info = types_[types_.without_optional(base->type)];
  if (info.kind != TypeKind::kRecord) {
    if (info.kind == TypeKind::kPoison) return context_.poison(tree.span);
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0308, node.field.span,
        fmt::format("{} has no fields", with_article(types_.name(base->type))));
    if (info.kind == TypeKind::kEnum) {
      diagnostic.because(
          "the fields of an enum's case are bound by `match`: "
          "`case circle(r) => r`");
    } else if (info.kind == TypeKind::kJson) {
      diagnostic.because(
          "JSON is looked into once it is checked: `(x as T).field`, where `T` is a record with "
          "the fields that matter; `x as {string: json}` opens an object");
    } else if (info.kind == TypeKind::kMap) {
      diagnostic.because("a map is asked with brackets: `m[\"key\"]`");
    } else if (info.kind == TypeKind::kString || info.kind == TypeKind::kList) {
      const std::string& name = node.field.text;
      if (name == "length" || name == "size" || name == "count") {
        diagnostic.because("`len(x)` says how long it is");
      }
    }
    return context_.poison(tree.span);
  }
  std::uint32_t index = 0;
  const FieldDef* field = info.record->find(node.field.text, &index);
  if (field == nullptr) {
    unknown_field(*info.record, node.field);
    return context_.poison(tree.span);
  }
  if (may_be_none && !node.optional) {
    const Span dot{tree.span.file, base->span.end, node.field.span.begin};
    context_.diagnostics
        .report(Code::E0308, node.field.span,
                "this value may be `none`, so its field may not exist")
        .also(base->span, fmt::format("this is {}", with_article(types_.name(base->type))))
        .because("`?.` is `none` where the value is; `if let` looks first")
        .mend("write `?.`", {{dot, "?."}});
    return context_.poison(tree.span);
  }
  if (!may_be_none && node.optional) {
    context_.diagnostics
        .report(Code::W0008, node.field.span, "the value is always there, so `.` is enough")
        .also(base->span, fmt::format("this is {}", with_article(types_.name(base->type))))
        .mend("write `.`", {{{tree.span.file, base->span.end, node.field.span.begin}, "."}});
  }
  const TypeId type = may_be_none ? types_.optional_of(field->type) : field->type;
  return context_.expr(tree.span, type, FieldOf{base, index, may_be_none});
}

Expr* Exprs::index(const ast::Expr& tree, const ast::IndexExpr& node) {
  Expr* base = infer(*node.base);
  const TypeInfo info = types_[base->type];
  switch (info.kind) {
    case TypeKind::kPoison:
      infer(*node.index);
      return context_.poison(tree.span);
    case TypeKind::kList: {
      Expr* at = want(*node.index, {kInt, base->span, "a list is asked by number, from 0"});
      return context_.expr(tree.span, info.element, IndexOf{base, at});
    }
    case TypeKind::kMap: {
      Expr* at = want(*node.index, {kString, base->span, "the keys of a map are strings"});
      return context_.expr(tree.span, types_.optional_of(info.element), IndexOf{base, at});
    }
    default:
      break;
  }
  infer(*node.index);
  if (refuse_optional(*base, "`[…]`")) return context_.poison(tree.span);
  Diagnostic& diagnostic =
      context_.diagnostics
          .report(Code::E0316, tree.span, "only lists and maps have elements to ask for")
          .also(base->span, fmt::format("this is {}", with_article(types_.name(base->type))));
  if (info.kind == TypeKind::kString) {
    diagnostic.because("`take(s, n)` and `drop(s, n)` cut a string");
  }
  return context_.poison(tree.span);
}

Expr* Exprs::default_of(FieldDef& field, Span span) {
  if (field.tree != nullptr && field.tree->default_value != nullptr) {
    context_.ensure_default(field);
    return field.folded_default ? field.default_value : context_.poison(span);
  }
  if (types_.is_optional(field.type)) return context_.expr(span, kNone, NoneValue{});
  return nullptr;
}

Expr* Exprs::record(const ast::Expr& tree, const ast::RecordExpr& node) {
  const Symbol* symbol = context_.resolve(scope_, Space::kType, node.type, "record or event");
  RecordDef* def = symbol == nullptr ? nullptr : symbol->as<RecordDef>();
  if (def != nullptr && version_ != nullptr && version_->newest == def) def = version_;
  if (def == nullptr) {
    if (symbol != nullptr) {
      context_.diagnostics
          .report(Code::E0203, node.type.span,
                  fmt::format("`{}` is an enum: its values are its cases", node.type.text()))
          .also(symbol->span, "declared here")
          .because(fmt::format("`{}.name` is a case, `{}.name(field: value)` one with fields",
                               node.type.text(), node.type.text()));
    }
    for (const ast::FieldInit& init : node.fields) infer(*init.value);
    return context_.poison(tree.span);
  }
  RecordValue made{def, std::vector<Expr*>(def->fields.size(), nullptr)};
  bool misnamed = false;
  for (const ast::FieldInit& init : node.fields) {
    std::uint32_t index = 0;
    const FieldDef* field = def->find(init.name.text, &index);
    if (field == nullptr) {
      unknown_field(*def, init.name);
      misnamed = true;
      infer(*init.value);
      continue;
    }
    Expr* value = want(*init.value, {field->type, field->type_span,
                                     fmt::format("field `{}` is declared here", field->name)});
    if (made.fields[index] != nullptr) {
      context_.diagnostics
          .report(Code::E0306, init.name.span,
                  fmt::format("the field `{}` is given twice", field->name))
          .also(made.fields[index]->span, "first here");
    }
    made.fields[index] = value;
  }
  std::string missing;
  for (std::size_t i = 0; i < made.fields.size(); ++i) {
    if (made.fields[i] != nullptr) continue;
    made.fields[i] = default_of(def->fields[i], tree.span);
    if (made.fields[i] != nullptr) continue;
    made.fields[i] = context_.poison(tree.span);
    missing += fmt::format("{}`{}`", missing.empty() ? "" : ", ", def->fields[i].name);
  }
  // A field under a wrong name leaves the right one without its value: that was said already.
  if (!missing.empty() && !misnamed) {
    context_.diagnostics
        .report(Code::E0305, node.type.span, fmt::format("`{}` lacks {}", def->name, missing))
        .also(def->tree->name.span, "declared here");
  }
  return context_.expr(tree.span, def->type, std::move(made));
}

Expr* Exprs::enum_case(const ast::Expr& tree, const ast::CaseExpr& node,
                       const ast::CallExpr* call) {
  const Symbol* symbol = context_.resolve(scope_, Space::kType, node.type, "enum");
  EnumDef* def = symbol == nullptr ? nullptr : symbol->as<EnumDef>();
  if (def == nullptr) {
    if (symbol != nullptr) {
      context_.diagnostics
          .report(Code::E0203, node.type.span,
                  fmt::format("`{}` is {}, and has no cases", node.type.text(),
                              kind_with_article(*symbol)))
          .also(symbol->span, "declared here");
    }
    if (call != nullptr) infer_all(*call);
    return context_.poison(tree.span);
  }
  std::uint32_t which = 0;
  const CaseDef* found = def->find(node.name.text, &which);
  if (found == nullptr) {
    std::vector<std::string_view> names;
    for (const CaseDef& each : def->cases) names.push_back(each.name);
    if (!def->damaged) {
      context_.unknown(Code::E0213, fmt::format("`{}` has no case", def->name), node.name, names);
    }
    if (call != nullptr) infer_all(*call);
    return context_.expr(tree.span, def->type, Poison{});
  }
  CaseValue made{def, which, {}};
  if (call != nullptr) {
    const Callee callee{fmt::format("{}.{}", def->name, found->name), found->span, def->damaged};
    made.fields = arguments(*call, tree.span, def->cases[which].fields, callee);
  } else if (!found->fields.empty()) {
    context_.diagnostics
        .report(Code::E0305, tree.span,
                fmt::format("the case `{}` has fields, which are to be given", found->name))
        .also(found->span, "declared here");
    return context_.expr(tree.span, def->type, Poison{});
  }
  return context_.expr(tree.span, def->type, std::move(made));
}

Expr* Exprs::with(const ast::Expr& tree, const ast::WithExpr& node) {
  Expr* base = infer(*node.base);
  const TypeInfo info = types_[base->type];
  if (info.kind != TypeKind::kRecord) {
    for (const ast::FieldInit& init : node.fields) infer(*init.value);
    if (info.kind == TypeKind::kPoison) return context_.poison(tree.span);
    if (refuse_optional(*base, "`with`")) return context_.poison(tree.span);
    context_.diagnostics
        .report(Code::E0308, tree.span, "`with` changes fields of a record, and this is none")
        .also(base->span, fmt::format("this is {}", with_article(types_.name(base->type))));
    return context_.poison(tree.span);
  }
  With made{base, {}};
  std::unordered_map<std::uint32_t, Span> seen;
  for (const ast::FieldInit& init : node.fields) {
    std::uint32_t index = 0;
    const FieldDef* field = info.record->find(init.name.text, &index);
    if (field == nullptr) {
      unknown_field(*info.record, init.name);
      infer(*init.value);
      continue;
    }
    const auto [place, added] = seen.try_emplace(index, init.name.span);
    if (!added) {
      context_.diagnostics
          .report(Code::E0306, init.name.span,
                  fmt::format("the field `{}` is given twice", field->name))
          .also(place->second, "first here");
    }
    made.fields.emplace_back(
        index, want(*init.value, {field->type, field->type_span,
                                  fmt::format("field `{}` is declared here", field->name)}));
  }
  return context_.expr(tree.span, base->type, std::move(made));
}

}  // namespace sluice::compiler
