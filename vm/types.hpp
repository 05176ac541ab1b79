#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The types of a program: what the checker resolved, what the JSON codec follows at the edge.
// A TypeTable belongs to one Program; TypeIds of different programs must not be mixed. Immutable
// once the program is built, so it may be read from any thread.
namespace sluice::vm {

// Kinds of values and types. The numbers are stored in artifacts and snapshots: append only.
enum class Kind : uint8_t {
  none = 0,
  boolean = 1,
  integer = 2,    // 64-bit, overflow is a Fault
  floating = 3,   // IEEE double; NaN and infinities do not exist, nor does -0.0
  duration = 4,   // milliseconds
  timestamp = 5,  // microseconds since 1970-01-01T00:00:00Z
  string = 6,     // UTF-8 without U+0000
  bytes = 7,
  list = 8,
  map = 9,  // string keys, kept sorted by bytes
  record = 10,
  enumeration = 11,
  decimal = 12,  // exact, at most 33 digits (vm/decimal.hpp)
  json = 13,     // any JSON, as canonical text
  optional = 14  // of types only: an optional value is its value, or none
};

const char* kind_name(Kind kind);  // as messages name it: "int", "string", "list" …

struct TypeId {
  uint32_t index = 0;
  friend bool operator==(TypeId, TypeId) = default;
};

// The first entries of every TypeTable.
inline constexpr TypeId kTypeNone{0};
inline constexpr TypeId kTypeBool{1};
inline constexpr TypeId kTypeInt{2};
inline constexpr TypeId kTypeFloat{3};
inline constexpr TypeId kTypeDuration{4};
inline constexpr TypeId kTypeTimestamp{5};
inline constexpr TypeId kTypeString{6};
inline constexpr TypeId kTypeBytes{7};
inline constexpr TypeId kTypeFailure{8};  // record 0
inline constexpr uint32_t kBuiltinTypes = 9;

// record 0 of every table: Failure { kind: string, message: string, step: string, attempt: int }
inline constexpr uint32_t kFailureRecord = 0;
enum class FailureField : uint16_t { kind = 0, message = 1, step = 2, attempt = 3 };

struct Type {
  Kind kind = Kind::none;
  // list, map, optional: index of the element's type. record: index into records. enumeration: into
  // enums.
  uint32_t argument = 0;
  friend bool operator==(const Type&, const Type&) = default;
};

// Labels of a field (`email: string pii`), a bit set.
enum FieldLabel : uint8_t { kLabelPii = 1, kLabelSecret = 2 };

struct FieldType {
  std::string name;
  TypeId type;
  std::optional<std::string> default_value;  // encode_value() of the default
  // Index of a pure function (value of the field) -> bool, checked at the edge by
  // check_constraints.
  std::optional<uint32_t> where_function;
  // The constraint as its author wrote it, for the message (`len(text) in 1..4000`).
  std::string where_text;
  uint8_t labels = 0;
  friend bool operator==(const FieldType&, const FieldType&) = default;
};

struct RecordType {
  std::string name;
  std::vector<FieldType> fields;
  friend bool operator==(const RecordType&, const RecordType&) = default;
};

struct EnumCase {
  std::string name;
  std::vector<FieldType> fields;  // empty: the case is its name
  friend bool operator==(const EnumCase&, const EnumCase&) = default;
};

struct EnumType {
  std::string name;
  std::vector<EnumCase> cases;
  friend bool operator==(const EnumType&, const EnumType&) = default;
};

struct TypeTable {
  std::vector<Type> types;
  std::vector<RecordType> records;
  std::vector<EnumType> enums;

  TypeTable();  // holds the builtin types and the Failure record

  // Each answers the id of that type, which it adds if it is not there yet.
  // REQUIRES: the argument is an id, record or enum of this table.
  TypeId list_of(TypeId element);
  TypeId map_of(TypeId element);
  TypeId optional_of(TypeId element);  // of an optional: that optional itself
  TypeId scalar(Kind kind);            // decimal and json; the others have their constants above
  TypeId record_type(uint32_t record);
  TypeId enum_type(uint32_t enumeration);

  const Type& operator[](TypeId id) const { return types[id.index]; }
  bool contains(TypeId id) const { return id.index < types.size(); }

  // As the language writes it: "[string]", "{string: int}", "Verdict", "int?".
  std::string name_of(TypeId id) const;

  friend bool operator==(const TypeTable&, const TypeTable&) = default;

 private:
  TypeId intern(Type type);
};

}  // namespace sluice::vm
