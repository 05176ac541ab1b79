#include "vm/types.hpp"

namespace sluice::vm {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::none:
      return "none";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::floating:
      return "float";
    case Kind::duration:
      return "duration";
    case Kind::timestamp:
      return "timestamp";
    case Kind::string:
      return "string";
    case Kind::bytes:
      return "bytes";
    case Kind::list:
      return "list";
    case Kind::map:
      return "map";
    case Kind::record:
      return "record";
    case Kind::enumeration:
      return "enum";
    case Kind::decimal:
      return "decimal";
    case Kind::json:
      return "json";
    case Kind::optional:
      return "optional";
  }
  return "unknown";
}

TypeTable::TypeTable() {
  for (Kind kind : {Kind::none, Kind::boolean, Kind::integer, Kind::floating, Kind::duration,
                    Kind::timestamp, Kind::string, Kind::bytes}) {
    types.push_back({kind, 0});
  }
  RecordType failure{"Failure", {}};
  failure.fields.push_back({"kind", kTypeString, {}, {}, {}, 0});
  failure.fields.push_back({"message", kTypeString, {}, {}, {}, 0});
  failure.fields.push_back({"step", kTypeString, {}, {}, {}, 0});
  failure.fields.push_back({"attempt", kTypeInt, {}, {}, {}, 0});
  records.push_back(std::move(failure));
  types.push_back({Kind::record, kFailureRecord});
}

TypeId TypeTable::intern(Type type) {
  for (uint32_t i = 0; i < types.size(); ++i) {
    if (types[i] == type) return {i};
  }
  types.push_back(type);
  return {static_cast<uint32_t>(types.size() - 1)};
}

TypeId TypeTable::list_of(TypeId element) {
  return intern({Kind::list, element.index});
}
TypeId TypeTable::map_of(TypeId element) {
  return intern({Kind::map, element.index});
}
TypeId TypeTable::optional_of(TypeId element) {
  if (types[element.index].kind == Kind::optional) return element;
  return intern({Kind::optional, element.index});
}
TypeId TypeTable::scalar(Kind kind) {
  return intern({kind, 0});
}
TypeId TypeTable::record_type(uint32_t record) {
  return intern({Kind::record, record});
}
TypeId TypeTable::enum_type(uint32_t enumeration) {
  return intern({Kind::enumeration, enumeration});
}

std::string TypeTable::name_of(TypeId id) const {
  if (!contains(id)) return "?";
  // Appended in one loop, so that a table whose types refer to each other in a circle (which decode
  // refuses) still gives a name.
  std::string before, after;
  for (int depth = 0; depth < 64; ++depth) {
    const Type& type = types[id.index];
    switch (type.kind) {
      case Kind::list:
        before += '[';
        after.insert(0, "]");
        break;
      case Kind::map:
        before += "{string: ";
        after.insert(0, "}");
        break;
      case Kind::optional:
        after.insert(0, "?");
        break;
      case Kind::record:
        return before + (type.argument < records.size() ? records[type.argument].name : "?") +
               after;
      case Kind::enumeration:
        return before + (type.argument < enums.size() ? enums[type.argument].name : "?") + after;
      default:
        return before + kind_name(type.kind) + after;
    }
    id = {type.argument};
    if (!contains(id)) break;
  }
  return before + "?" + after;
}

}  // namespace sluice::vm
