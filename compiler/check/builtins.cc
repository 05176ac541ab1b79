#include "compiler/check/builtins.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::compiler {

using namespace ir;

namespace {

// The parameters of a signature: "[T], {string: T}" is two.
std::vector<std::string_view> split_parameters(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (c != ',' || depth != 0) continue;
    std::string_view part = text.substr(begin, i - begin);
    while (part.starts_with(' ')) part.remove_prefix(1);
    if (!part.empty()) parts.push_back(part);
    begin = i + 1;
  }
  return parts;
}

// The type that a signature writes, with `t` for T. Nothing for what is no type.
std::optional<TypeId> read_type(Types& types, std::string_view text, TypeId t) {
  if (text.ends_with('?')) {
    const auto inner = read_type(types, text.substr(0, text.size() - 1), t);
    return inner ? std::optional(types.optional_of(*inner)) : std::nullopt;
  }
  if (text.starts_with('[')) {
    const auto inner = read_type(types, text.substr(1, text.size() - 2), t);
    return inner ? std::optional(types.list_of(*inner)) : std::nullopt;
  }
  constexpr std::string_view kMapStart = "{string: ";
  if (text.starts_with(kMapStart)) {
    const auto inner =
        read_type(types, text.substr(kMapStart.size(), text.size() - kMapStart.size() - 1), t);
    return inner ? std::optional(types.map_of(*inner)) : std::nullopt;
  }
  if (text == "T") return t;
  if (text == "bool") return kBool;
  if (text == "int") return kInt;
  if (text == "float") return kFloat;
  if (text == "string") return kString;
  if (text == "duration") return kDuration;
  if (text == "decimal") return kDecimal;
  if (text == "timestamp") return kTimestamp;
  if (text == "bytes") return kBytes;
  if (text == "json") return kJson;
  return std::nullopt;
}

// What T is, when a parameter written `text` gets a value of type `given`. Leaves *t alone where
// the shapes differ: fits() finds that out.
void bind(Types& types, std::string_view text, TypeId given, TypeId* t) {
  const TypeInfo info = types[given];
  if (text == "T") {
    bool ok = false;
    const TypeId united = types.unite(*t, given, &ok);
    if (ok) *t = united;
  } else if (text.starts_with('[') && info.kind == TypeKind::kList) {
    bind(types, text.substr(1, text.size() - 2), info.element, t);
  } else if (text.starts_with('{') && info.kind == TypeKind::kMap) {
    bind(types, "T", info.element, t);
  }
}

// Rows whose T must have an order; the table says so in words only.
bool needs_order(vm::Builtin builtin) {
  switch (builtin) {
    case vm::Builtin::min_value:
    case vm::Builtin::max_value:
    case vm::Builtin::min_list:
    case vm::Builtin::max_list:
    case vm::Builtin::sort:
      return true;
    default:
      return false;
  }
}

bool has_order(const Types& types, TypeId type) {
  return types.is_ordered(type) || type == kPoison || type == kEmpty;
}

}  // namespace

bool is_builtin(std::string_view name) {
  return std::any_of(std::begin(vm::kBuiltins), std::end(vm::kBuiltins),
                     [&](const vm::BuiltinInfo& row) { return row.name == name; });
}

std::vector<std::string_view> builtin_names() {
  std::vector<std::string_view> names;
  for (const vm::BuiltinInfo& row : vm::kBuiltins) {
    if (names.empty() || names.back() != row.name) names.push_back(row.name);
  }
  return names;
}

std::string builtin_signatures(std::string_view name) {
  bool ordered = false;
  std::string text;
  for (const vm::BuiltinInfo& row : vm::kBuiltins) {
    if (row.name != name) continue;
    text += fmt::format("{}({})", text.empty() ? "" : ", ", row.parameters);
    ordered = ordered || needs_order(row.builtin);
  }
  return fmt::format("`{}` takes {}{}", name, text,
                     ordered ? ", where T is a type with an order, such as int or string" : "");
}

BuiltinCall::BuiltinCall(Types& types, std::string_view name, std::size_t count)
    : types_(types), given_(count) {
  for (const vm::BuiltinInfo& row : vm::kBuiltins) {
    if (row.name == name && row.parameter_count == count) rows_.push_back(&row);
  }
}

bool BuiltinCall::is_flexible(const ast::Expr& argument) {
  if (const auto* unary = ast::as<ast::UnaryExpr>(argument)) {
    return unary->op == ast::UnaryOp::kNegate && is_flexible(*unary->operand);
  }
  if (const auto* list = ast::as<ast::ListExpr>(argument)) {
    return list->elements.empty() || is_flexible(*list->elements.front());
  }
  if (const auto* map = ast::as<ast::MapExpr>(argument)) return map->entries.empty();
  return ast::as<ast::DecimalLiteral>(argument) != nullptr ||
         ast::as<ast::IntLiteral>(argument) != nullptr;
}

bool BuiltinCall::fits(const vm::BuiltinInfo& row, TypeId* t) const {
  const auto parameters = split_parameters(row.parameters);
  *t = kEmpty;
  for (std::size_t i = 0; i < given_.size(); ++i) {
    if (given_[i]) bind(types_, parameters[i], *given_[i], t);
  }
  for (std::size_t i = 0; i < given_.size(); ++i) {
    if (!given_[i]) continue;
    const auto wanted = read_type(types_, parameters[i], *t);
    if (!wanted || !types_.fits(*given_[i], *wanted)) return false;
  }
  return !needs_order(row.builtin) || has_order(types_, *t);
}

TypeId BuiltinCall::hint(std::size_t index, TypeId result) const {
  for (const vm::BuiltinInfo* row : rows_) {
    TypeId t = kEmpty;
    if (!fits(*row, &t)) continue;
    if (t == kEmpty) bind(types_, row->result, result, &t);
    const auto wanted = read_type(types_, split_parameters(row->parameters)[index], t);
    if (wanted && *wanted != kEmpty) return *wanted;
  }
  return kPoison;
}

void BuiltinCall::give(std::size_t index, TypeId type) {
  given_[index] = type;
}

std::optional<std::uint16_t> BuiltinCall::choose() {
  for (const vm::BuiltinInfo* row : rows_) {
    TypeId t = kEmpty;
    if (!fits(*row, &t)) continue;
    chosen_ = row;
    bound_ = t;
    return static_cast<std::uint16_t>(row->builtin);
  }
  return std::nullopt;
}

TypeId BuiltinCall::result_or_poison() const {
  if (chosen_ == nullptr && rows_.size() != 1) return kPoison;
  const vm::BuiltinInfo& row = chosen_ != nullptr ? *chosen_ : *rows_[0];
  if (chosen_ == nullptr && row.result.find('T') != std::string_view::npos) return kPoison;
  return read_type(types_, row.result, bound_).value_or(kPoison);
}

}  // namespace sluice::compiler
