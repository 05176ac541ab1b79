// The types of one compilation, each stored once: two types are the same iff their ids are equal.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::compiler::ir {

struct RecordDef;
struct EnumDef;

enum class TypeKind : std::uint8_t {
  kPoison,  // of what was reported already: fits everything, so that one mistake stays one
  kNone,    // of the word `none` alone, until what surrounds it says of what it is the absence
  kEmpty,   // element of `[]` and `[:]` alone, likewise
  kBool,
  kInt,
  kFloat,
  kString,
  kDuration,
  kDecimal,
  kTimestamp,
  kBytes,
  kJson,
  kList,
  kMap,  // keys are strings
  kOptional,
  kRecord,  // records, events and `Failure`
  kEnum,
};

// Index into Types.
enum class TypeId : std::uint32_t {};

inline constexpr TypeId kPoison{0};
inline constexpr TypeId kNone{1};
inline constexpr TypeId kEmpty{2};
inline constexpr TypeId kBool{3};
inline constexpr TypeId kInt{4};
inline constexpr TypeId kFloat{5};
inline constexpr TypeId kString{6};
inline constexpr TypeId kDuration{7};
inline constexpr TypeId kDecimal{8};
inline constexpr TypeId kTimestamp{9};
inline constexpr TypeId kBytes{10};
inline constexpr TypeId kJson{11};

struct TypeInfo {
  TypeKind kind = TypeKind::kPoison;
  TypeId element = kPoison;              // of a list, map or optional
  const RecordDef* record = nullptr;     // of kRecord
  const EnumDef* enumeration = nullptr;  // of kEnum
};

class Types {
 public:
  Types();

  TypeId list_of(TypeId element);
  TypeId map_of(TypeId element);
  TypeId optional_of(TypeId element);  // of an optional: itself; of `none` and poison: themselves
  TypeId record(const RecordDef& def);
  TypeId enumeration(const EnumDef& def);

  const TypeInfo& operator[](TypeId id) const { return infos_[static_cast<std::size_t>(id)]; }
  TypeKind kind(TypeId id) const { return (*this)[id].kind; }
  bool is_optional(TypeId id) const { return kind(id) == TypeKind::kOptional; }
  // T of `T?`, every other type itself.
  TypeId without_optional(TypeId id) const;
  // Whether poison, `[]` or `none` is in it anywhere.
  bool is_open(TypeId id) const;
  bool has_poison(TypeId id) const;

  // Whether values of the type have an order: `<`, `sort`, `min`.
  bool is_ordered(TypeId id) const;

  // As the language writes it: `[string]`, `{string: int}`, `Turn?`.
  std::string name(TypeId id) const;

  // Whether a value of type `from` may stand where `to` is wanted: the same type, T for T?, `none`
  // for T?, and lists and maps of such. Poison fits everywhere.
  bool fits(TypeId from, TypeId to) const;

  // The narrowest type that both fit, or poison with *ok = false.
  TypeId unite(TypeId a, TypeId b, bool* ok);

 private:
  TypeId intern(TypeKind kind, TypeId element);

  std::vector<TypeInfo> infos_;
  std::unordered_map<std::uint64_t, TypeId> composed_;
  std::unordered_map<const void*, TypeId> named_;
};

}  // namespace sluice::compiler::ir
