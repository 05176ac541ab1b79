#include "compiler/check/types.hpp"

#include <algorithm>

#include "compiler/ir.hpp"

namespace sluice::compiler::ir {

Types::Types() {
  for (const TypeKind kind :
       {TypeKind::kPoison, TypeKind::kNone, TypeKind::kEmpty, TypeKind::kBool, TypeKind::kInt,
        TypeKind::kFloat, TypeKind::kString, TypeKind::kDuration, TypeKind::kDecimal,
        TypeKind::kTimestamp, TypeKind::kBytes, TypeKind::kJson}) {
    infos_.push_back({kind});
  }
}

TypeId Types::intern(TypeKind kind, TypeId element) {
  const std::uint64_t key =
      (static_cast<std::uint64_t>(kind) << 32) | static_cast<std::uint32_t>(element);
  const auto [place, added] = composed_.try_emplace(key, static_cast<TypeId>(infos_.size()));
  if (added) infos_.push_back({kind, element});
  return place->second;
}

TypeId Types::list_of(TypeId element) {
  return intern(TypeKind::kList, element);
}
TypeId Types::map_of(TypeId element) {
  return intern(TypeKind::kMap, element);
}

TypeId Types::optional_of(TypeId element) {
  const TypeKind k = kind(element);
  if (k == TypeKind::kOptional || k == TypeKind::kNone || k == TypeKind::kPoison) return element;
  return intern(TypeKind::kOptional, element);
}

TypeId Types::record(const RecordDef& def) {
  const auto [place, added] = named_.try_emplace(&def, static_cast<TypeId>(infos_.size()));
  if (added) infos_.push_back({TypeKind::kRecord, kPoison, &def});
  return place->second;
}

TypeId Types::enumeration(const EnumDef& def) {
  const auto [place, added] = named_.try_emplace(&def, static_cast<TypeId>(infos_.size()));
  if (added) infos_.push_back({TypeKind::kEnum, kPoison, nullptr, &def});
  return place->second;
}

TypeId Types::without_optional(TypeId id) const {
  return is_optional(id) ? (*this)[id].element : id;
}

bool Types::is_open(TypeId id) const {
  switch (kind(id)) {
    case TypeKind::kPoison:
    case TypeKind::kNone:
    case TypeKind::kEmpty:
      return true;
    case TypeKind::kList:
    case TypeKind::kMap:
    case TypeKind::kOptional:
      return is_open((*this)[id].element);
    default:
      return false;
  }
}

bool Types::has_poison(TypeId id) const {
  switch (kind(id)) {
    case TypeKind::kPoison:
      return true;
    case TypeKind::kList:
    case TypeKind::kMap:
    case TypeKind::kOptional:
      return has_poison((*this)[id].element);
    default:
      return false;
  }
}

bool Types::is_ordered(TypeId id) const {
  switch (kind(id)) {
    case TypeKind::kInt:
    case TypeKind::kFloat:
    case TypeKind::kDecimal:
    case TypeKind::kString:
    case TypeKind::kDuration:
    case TypeKind::kTimestamp:
      return true;
    default:
      return false;
  }
}

std::string Types::name(TypeId id) const {
  const TypeInfo& type = (*this)[id];
  switch (type.kind) {
    case TypeKind::kPoison:
    case TypeKind::kEmpty:
      return "?";
    case TypeKind::kNone:
      return "none";
    case TypeKind::kBool:
      return "bool";
    case TypeKind::kInt:
      return "int";
    case TypeKind::kFloat:
      return "float";
    case TypeKind::kString:
      return "string";
    case TypeKind::kDuration:
      return "duration";
    case TypeKind::kDecimal:
      return "decimal";
    case TypeKind::kTimestamp:
      return "timestamp";
    case TypeKind::kBytes:
      return "bytes";
    case TypeKind::kJson:
      return "json";
    case TypeKind::kList:
      return "[" + name(type.element) + "]";
    case TypeKind::kMap:
      return "{string: " + name(type.element) + "}";
    case TypeKind::kOptional:
      return name(type.element) + "?";
    case TypeKind::kRecord:
      return type.record->name;
    case TypeKind::kEnum:
      return type.enumeration->name;
  }
  return "?";
}

bool Types::fits(TypeId from, TypeId to) const {
  if (from == to) return true;
  const TypeInfo& f = (*this)[from];
  const TypeInfo& t = (*this)[to];
  if (f.kind == TypeKind::kPoison || t.kind == TypeKind::kPoison || f.kind == TypeKind::kEmpty) {
    return true;
  }
  if (t.kind == TypeKind::kOptional) {
    if (f.kind == TypeKind::kNone) return true;
    return fits(f.kind == TypeKind::kOptional ? f.element : from, t.element);
  }
  if ((f.kind == TypeKind::kList && t.kind == TypeKind::kList) ||
      (f.kind == TypeKind::kMap && t.kind == TypeKind::kMap)) {
    return fits(f.element, t.element);
  }
  return false;
}

TypeId Types::unite(TypeId a, TypeId b, bool* ok) {
  *ok = true;
  if (a == b) return a;
  const TypeInfo fa = (*this)[a];
  const TypeInfo fb = (*this)[b];
  if (fa.kind == TypeKind::kPoison || fb.kind == TypeKind::kPoison) return kPoison;
  if (fa.kind == TypeKind::kEmpty) return b;
  if (fb.kind == TypeKind::kEmpty) return a;
  if (fa.kind == TypeKind::kNone) return optional_of(b);
  if (fb.kind == TypeKind::kNone) return optional_of(a);
  if (fa.kind == TypeKind::kOptional || fb.kind == TypeKind::kOptional) {
    return optional_of(unite(without_optional(a), without_optional(b), ok));
  }
  if (fa.kind == fb.kind && fa.kind == TypeKind::kList) {
    return list_of(unite(fa.element, fb.element, ok));
  }
  if (fa.kind == fb.kind && fa.kind == TypeKind::kMap) {
    return map_of(unite(fa.element, fb.element, ok));
  }
  *ok = false;
  return kPoison;
}

const Damage& Program::damage_in(FileId file) const {
  static const Damage kWhole;
  for (const auto& tree : trees) {
    if (tree->file == file) return tree->damage;
  }
  return kWhole;
}

bool Program::is_lost(std::string_view word) const {
  return std::any_of(trees.begin(), trees.end(),
                     [&](const auto& tree) { return tree->damage.names(word); });
}

}  // namespace sluice::compiler::ir
