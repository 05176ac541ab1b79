#include "compiler/check/context.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/stdlib.hpp"

namespace sluice::compiler {

using namespace ir;

const Symbol* ModuleScope::find(Space space, std::string_view name) const {
  const auto& table = spaces[static_cast<std::size_t>(space)];
  const auto place = table.find(name);
  return place == table.end() ? nullptr : &place->second;
}

std::string kind_with_article(const Symbol& symbol) {
  return std::visit(
      ast::Overloaded{
          [](RecordDef* def) { return std::string(def->is_event ? "an event" : "a record"); },
          [](EnumDef*) { return std::string("an enum"); },
          [](TaskDef*) { return std::string("a task"); },
          [](FnDef*) { return std::string("a function"); },
          [](ConstDef*) { return std::string("a constant"); },
          [](FlowDef*) { return std::string("a flow"); },
          [](TopicDef*) { return std::string("a topic"); },
          [](PoolDef*) { return std::string("a pool"); },
          [](PolicyDef*) { return std::string("a policy"); },
      },
      symbol.def);
}

namespace {

const std::vector<std::string_view> kBuiltInTypes = {
    "bool", "int", "float", "string", "duration", "decimal", "timestamp", "bytes", "json"};

const Symbol* find_in_other_space(const ModuleScope& scope, Space space, std::string_view name) {
  for (std::size_t i = 0; i < kSpaces; ++i) {
    if (i == static_cast<std::size_t>(space)) continue;
    if (const Symbol* symbol = scope.find(static_cast<Space>(i), name)) return symbol;
  }
  return nullptr;
}

std::vector<std::string_view> names_of(const ModuleScope& scope, Space space) {
  std::vector<std::string_view> names;
  for (const auto& [name, symbol] : scope.spaces[static_cast<std::size_t>(space)]) {
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

namespace {

using Candidates = std::vector<std::string_view>;

// What other languages call it, where that is among the candidates. `none` always is a value.
std::optional<std::string_view> called_elsewhere(std::string_view word, Code code,
                                                 const Candidates& candidates) {
  static const std::unordered_multimap<std::string_view, std::string_view> kSynonyms = {
      {"null", "none"},          {"nil", "none"},
      {"undefined", "none"},     {"str", "string"},
      {"text", "string"},        {"varchar", "string"},
      {"integer", "int"},        {"number", "int"},
      {"long", "int"},           {"i64", "int"},
      {"double", "float"},       {"real", "float"},
      {"f64", "float"},          {"boolean", "bool"},
      {"any", "json"},           {"object", "json"},
      {"date", "timestamp"},     {"datetime", "timestamp"},
      {"instant", "timestamp"},  {"money", "decimal"},
      {"interval", "duration"},  {"length", "len"},
      {"size", "len"},           {"count", "len"},
      {"uppercase", "upper"},    {"toUpperCase", "upper"},
      {"lowercase", "lower"},    {"toLowerCase", "lower"},
      {"toString", "str"},       {"to_string", "str"},
      {"string", "str"},         {"strip", "trim"},
      {"substring", "take"},     {"slice", "take"},
      {"includes", "contains"},  {"startsWith", "starts_with"},
      {"endsWith", "ends_with"}, {"indexOf", "index_of"},
      {"reversed", "reverse"},   {"sorted", "sort"},
      {"distinct", "unique"},    {"stringify", "encode"},
      {"to_json", "encode"},     {"parseInt", "parse_int"},
      {"toInt", "parse_int"},
  };
  const auto [first, last] = kSynonyms.equal_range(word);
  for (auto each = first; each != last; ++each) {
    const std::string_view ours = each->second;
    if (ours == "none" && code == Code::E0201) return ours;
    const bool known = std::find(candidates.begin(), candidates.end(), ours) != candidates.end();
    if (known) return ours;
  }
  return std::nullopt;
}

// "`a`, `b` or `c`"; empty where the list would be no help.
std::string one_of(const Candidates& candidates) {
  constexpr std::size_t kNamesMax = 8;
  if (candidates.empty() || candidates.size() > kNamesMax) return {};
  std::string text;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const bool last = i + 1 == candidates.size();
    text += fmt::format("{}`{}`", i == 0 ? "" : last ? " and " : ", ", candidates[i]);
  }
  return text;
}

}  // namespace

// A name that nothing is like may be one of those that were not read where they are declared: so
// many of a file are not told, however often they are spoken of.
bool Context::is_unread(const ast::Name& name) {
  const std::size_t nameless = program.damage_in(name.span.file).nameless();
  if (nameless == 0) return false;
  std::set<std::string>& taken = unread_[name.span.file];
  if (!taken.contains(name.text) && taken.size() == nameless) return false;
  taken.insert(name.text);
  return true;
}

Diagnostic* Context::unknown(Code code, std::string_view lacks, const ast::Name& name,
                             const std::vector<std::string_view>& candidates) {
  if (is_lost(name)) return nullptr;
  auto near = called_elsewhere(name.text, code, candidates);
  if (!near) near = nearest(name.text, candidates);
  if (!near && is_unread(name)) return nullptr;
  Diagnostic& diagnostic =
      diagnostics.report(code, name.span, fmt::format("{} `{}`", lacks, name.text));
  if (near) {
    diagnostic.here(fmt::format("did you mean `{}`?", *near));
    diagnostic.mend(fmt::format("write `{}`", *near), {{name.span, std::string(*near)}});
    return &diagnostic;
  }
  // Of fields, cases and parameters there are few.
  const bool few = code == Code::E0212 || code == Code::E0213 || code == Code::E0214;
  const std::string names = few ? one_of(candidates) : std::string();
  if (!names.empty()) diagnostic.because(fmt::format("it has {}", names));
  return &diagnostic;
}

namespace {

// How a thing that does not exist yet is declared.
std::string declaration_of(Space space, std::string_view what, std::string_view name) {
  switch (space) {
    case Space::kPool:
      return fmt::format("`pool {} {{}}` declares it", name);
    case Space::kTopic:
      return fmt::format("`topic {} of EVENT {{}}` declares it", name);
    case Space::kPolicy:
      return fmt::format("`policy {} {{ … }}` declares it", name);
    case Space::kType: {
      const std::string_view word = what == "type" || what.starts_with("record") ? "record" : what;
      if (word == "event" || word == "record") {
        return fmt::format("`{} {} {{ FIELD: TYPE }}` declares it", word, name);
      }
      return fmt::format("`enum {} {{ CASE, CASE }}` declares it", name);
    }
    case Space::kValue:
      return what == "task" ? fmt::format("`task {}(…) {{ … }}` declares it", name) : std::string();
  }
  return {};
}

}  // namespace

ImportScope* Context::import(ModuleScope& scope, std::string_view name) {
  const auto place = scope.imports.find(name);
  if (place == scope.imports.end()) return nullptr;
  place->second.used = true;
  return &place->second;
}

namespace {

// What adds an import to a module.
Edit added_import(const ModuleScope& scope, const std::string& standard) {
  const ast::Module& tree = *scope.module->tree;
  if (tree.imports.empty() && !tree.name) {
    return {Span{tree.file, 0, 0}, fmt::format("import {}\n\n", standard)};
  }
  const Span above = tree.imports.empty() ? tree.name->span : tree.imports.back().span;
  return {Span{above.file, above.end, above.end},
          fmt::format("{}import {}", tree.imports.empty() ? "\n\n" : "\n", standard)};
}

bool declares_type(const StandardModule& module, const std::string& name) {
  const auto declares = [&](std::string_view word) {
    return module.text.find(fmt::format("\n{} {} ", word, name)) != std::string_view::npos;
  };
  return declares("event") || declares("record") || declares("enum");
}

// `receive a: Away …` without `import std.presence`. False: no standard module has that type.
bool report_standard(Diagnostics& diagnostics, const ModuleScope& scope, Code code,
                     const ast::Name& name, std::string_view what) {
  const auto& modules = standard_modules();
  const auto found = std::find_if(modules.begin(), modules.end(), [&](const StandardModule& each) {
    return declares_type(each, name.text);
  });
  if (found == modules.end()) return false;
  const std::string standard(found->name);
  const std::string alias = standard.substr(standard.rfind('.') + 1);
  const std::string full = fmt::format("{}.{}", alias, name.text);
  const auto import = scope.imports.find(alias);
  const ModuleScope* there = import == scope.imports.end() ? nullptr : import->second.module;
  const bool imported = there != nullptr && there->module->name == standard;
  std::vector<Edit> edits{{name.span, full}};
  if (!imported) edits.push_back(added_import(scope, standard));
  diagnostics.report(code, name.span, fmt::format("there is no {} `{}`", what, name.text))
      .here(imported ? fmt::format("`{}` has one: `{}`", standard, full)
                     : fmt::format("`{}` has one: import it, and write `{}`", standard, full))
      .mend(imported ? fmt::format("write `{}`", full)
                     : fmt::format("import `{}` and write `{}`", standard, full),
            std::move(edits));
  return true;
}

}  // namespace

// `uses retry.fast` without `import std.retry`: the import is what is missing.
void Context::unknown_import(const ModuleScope& scope, const ast::Name& name,
                             const std::vector<std::string_view>& candidates) {
  const std::string standard = fmt::format("std.{}", name.text);
  if (!find_standard_module(standard)) {
    unknown(Code::E0201, "there is no imported module", name, candidates);
    return;
  }
  if (is_lost(name)) return;
  diagnostics
      .report(Code::E0201, name.span, fmt::format("there is no imported module `{}`", name.text))
      .here(fmt::format("`import {}` is missing", standard))
      .mend(fmt::format("import `{}`", standard), {added_import(scope, standard)});
}

const Symbol* Context::resolve(ModuleScope& scope, Space space, const ast::QualifiedName& name,
                               std::string_view what) {
  const ModuleScope* where = &scope;
  if (name.parts.size() > 2) {
    diagnostics
        .report(Code::E0201, name.span,
                fmt::format("`{}` has too many parts for the name of a {}", name.text(), what))
        .because(
            "a name of another module is written with the last part of its import: "
            "after `import std.retry`, `retry.fast`");
    return nullptr;
  }
  if (!name.is_simple()) {
    ImportScope* imported = import(scope, name.parts[0].text);
    if (imported == nullptr) {
      std::vector<std::string_view> candidates;
      for (const auto& [alias, target] : scope.imports) candidates.push_back(alias);
      std::sort(candidates.begin(), candidates.end());
      unknown_import(scope, name.parts[0], candidates);
      return nullptr;
    }
    if (imported->module == nullptr) return nullptr;
    where = imported->module;
  }
  const ast::Name& last = name.last();
  if (const Symbol* symbol = where->find(space, last.text)) return symbol;
  if (where->module->tree->damage.names(last.text)) return nullptr;
  const Code code = space == Space::kType ? Code::E0202 : Code::E0201;
  if (const Symbol* other = find_in_other_space(*where, space, last.text)) {
    diagnostics
        .report(Code::E0203, last.span,
                fmt::format("`{}` is {}, and a {} is wanted here", last.text,
                            kind_with_article(*other), what))
        .also(other->span, "declared here");
    return nullptr;
  }
  const bool type = space == Space::kType;
  if (type && name.is_simple() && !is_lost(last) &&
      report_standard(diagnostics, scope, code, last, what))
    return nullptr;
  std::vector<std::string_view> candidates = names_of(*where, space);
  if (type) {
    for (const std::string_view built_in : kBuiltInTypes) candidates.push_back(built_in);
  }
  Diagnostic* told = unknown(code, fmt::format("there is no {}", what), last, candidates);
  if (told != nullptr && told->fixes.empty()) {
    std::string how = declaration_of(space, what, last.text);
    const bool elsewhere = !name.is_simple();
    if (!how.empty() && elsewhere) how += fmt::format(", in module `{}`", where->module->name);
    told->because(std::move(how));
  }
  return nullptr;
}

TypeId Context::resolve_named(ModuleScope& scope, const ast::NamedType& named) {
  static const std::unordered_map<std::string_view, TypeId> kBuiltIn = {
      {"bool", kBool},         {"int", kInt},         {"float", kFloat}, {"string", kString},
      {"duration", kDuration}, {"decimal", kDecimal}, {"bytes", kBytes}, {"timestamp", kTimestamp},
      {"json", kJson},
  };
  const std::string& name = named.name.last().text;
  if (named.name.is_simple()) {
    if (const auto place = kBuiltIn.find(name); place != kBuiltIn.end()) return place->second;
    if (name == "Failure" && scope.find(Space::kType, name) == nullptr) {
      return program.failure->type;
    }
    if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') {
      unknown(Code::E0202, "there is no type", named.name.last(), kBuiltInTypes);
      return kPoison;
    }
  }
  const Symbol* symbol = resolve(scope, Space::kType, named.name, "type");
  if (symbol == nullptr) return kPoison;
  if (const EnumDef* def = symbol->as<EnumDef>()) return def->type;
  return symbol->as<RecordDef>()->type;
}

TypeId Context::resolve_type(ModuleScope& scope, const ast::Type& type) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::NamedType& named) { return resolve_named(scope, named); },
          [&](const ast::ListType& list) {
            return types.list_of(resolve_type(scope, *list.element));
          },
          [&](const ast::OptionalType& opt) {
            return types.optional_of(resolve_type(scope, *opt.inner));
          },
          [&](const ast::MapType& map) {
            const TypeId key = resolve_type(scope, *map.key);
            const TypeId value = resolve_type(scope, *map.value);
            if (key != kString && key != kPoison) {
              diagnostics
                  .report(Code::E0319, map.key->span,
                          fmt::format("the keys of a map are strings, not {}", type_name(key)))
                  .mend("write `string`", {{map.key->span, "string"}});
            }
            return types.map_of(value);
          },
      },
      type.node);
}

Expr* Context::expr(Span span, TypeId type, decltype(Expr::node) node) {
  return &program.exprs.emplace_back(Expr{span, type, std::move(node)});
}

Expr* Context::poison(Span span) {
  return expr(span, kPoison, Poison{});
}

Local* Context::local(const ast::Name& name, TypeId type, Local::Kind kind) {
  Local& made = program.locals.emplace_back();
  made.name = name.text;
  made.type = type;
  made.span = name.span;
  made.kind = kind;
  return &made;
}

}  // namespace sluice::compiler
