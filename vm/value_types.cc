#include "vm/json_reader.hpp"
#include "vm/text.hpp"
#include "vm/value.hpp"

// What values and types have to do with each other.
namespace sluice::vm {
namespace {

// Puts a part in front of an RFC 6901 path: the path grows on the way out of a failed check.
bool off_path(std::string* path, std::string_view part) {
  if (path == nullptr) return false;
  std::string escaped = "/";
  for (char c : part) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  path->insert(0, escaped);
  return false;
}

bool fields_conform(const TypeTable& types, const std::vector<FieldType>& fields,
                    const Value& value, std::string* path) {
  std::span<const Value> items = value.elements();
  if (items.size() != fields.size()) return false;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!conforms(types, fields[i].type, items[i], path)) return off_path(path, fields[i].name);
  }
  return true;
}

bool list_conforms(const TypeTable& types, TypeId element, const Value& value, std::string* path) {
  std::span<const Value> items = value.elements();
  for (size_t i = 0; i < items.size(); ++i) {
    if (conforms(types, element, items[i], path)) continue;
    return off_path(path, std::to_string(i));
  }
  return true;
}

bool map_conforms(const TypeTable& types, TypeId element, const Value& value, std::string* path) {
  std::span<const Value> pairs = value.pairs();
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (conforms(types, element, pairs[i + 1], path)) continue;
    return off_path(path, pairs[i].as_text());
  }
  return true;
}

// Makes the smallest value; a budget bounds tables in which records double at every level.
class Smallest {
 public:
  explicit Smallest(const TypeTable& types) : types_(types) {}

  Value of(TypeId id, uint32_t depth) {
    if (++nodes_ > kNodesMax || depth > kValueDepthMax || !types_.contains(id)) return Value();
    const Type& type = types_[id];
    switch (type.kind) {
      case Kind::boolean:
        return Value::boolean(false);
      case Kind::integer:
        return Value::integer(0);
      case Kind::floating:
        return Value::floating(0);
      case Kind::duration:
        return Value::duration(0);
      case Kind::timestamp:
        return Value::timestamp(0);
      case Kind::string:
        return Value::string("");
      case Kind::bytes:
        return Value::bytes("");
      case Kind::list:
        return Value::list(std::vector<Value>());
      case Kind::map:
        return Value::map({});
      case Kind::record:
        return Value::record(type.argument, fields(types_.records[type.argument].fields, depth));
      case Kind::enumeration: {
        const EnumType& enumeration = types_.enums[type.argument];
        if (enumeration.cases.empty()) return Value();
        return Value::enumeration(type.argument, 0, fields(enumeration.cases[0].fields, depth));
      }
      case Kind::decimal:
        return Value::decimal({});
      case Kind::json:
        return Value::json("null");
      case Kind::none:
      case Kind::optional:
        return Value();
    }
    return Value();
  }

 private:
  static constexpr uint32_t kNodesMax = 100'000;

  std::vector<Value> fields(const std::vector<FieldType>& list, uint32_t depth) {
    std::vector<Value> values;
    for (const FieldType& field : list) {
      if (field.default_value) {
        values.push_back(decode_value(*field.default_value).value_or(Value()));
      } else {
        values.push_back(of(field.type, depth + 1));
      }
    }
    return values;
  }

  const TypeTable& types_;
  uint32_t nodes_ = 0;
};

class Describer {
 public:
  Describer(const TypeTable& types, std::string& out) : types_(types), out_(out) {}

  void value(const Value& value) {
    switch (value.kind()) {
      case Kind::boolean:
        out_ += value.as_bool() ? "true" : "false";
        return;
      case Kind::integer:
        return append_int(value.as_int(), out_);
      case Kind::floating:
        return append_float(value.as_float(), out_);
      case Kind::duration:
        return append_duration(value.as_int(), out_);
      case Kind::timestamp:
        return append_timestamp(value.as_int(), out_);
      case Kind::string:
        return append_json_string(value.as_text(), out_);
      case Kind::bytes:
        out_ += "bytes ";
        return append_base64(value.as_text(), out_);
      case Kind::list:
        return list(value);
      case Kind::map:
        return map(value);
      case Kind::record:
        return record(value);
      case Kind::enumeration:
        return enumeration(value);
      case Kind::decimal:
        return append_decimal(value.as_decimal(), out_);
      case Kind::json:
        out_ += "json ";
        out_ += value.as_text();
        return;
      case Kind::none:
      case Kind::optional:
        out_ += "none";
        return;
    }
  }

 private:
  void list(const Value& value) {
    out_ += '[';
    for (const Value& item : value.elements()) {
      if (&item != value.elements().data()) out_ += ", ";
      this->value(item);
    }
    out_ += ']';
  }

  void map(const Value& value) {
    std::span<const Value> pairs = value.pairs();
    out_ += pairs.empty() ? "[:" : "[";
    for (size_t i = 0; i < pairs.size(); i += 2) {
      if (i > 0) out_ += ", ";
      append_json_string(pairs[i].as_text(), out_);
      out_ += ": ";
      this->value(pairs[i + 1]);
    }
    out_ += ']';
  }

  void fields(const std::vector<FieldType>* names, const Value& value) {
    std::span<const Value> items = value.elements();
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += ", ";
      out_ += names != nullptr && i < names->size() ? (*names)[i].name : std::to_string(i);
      out_ += ": ";
      this->value(items[i]);
    }
  }

  void record(const Value& value) {
    bool known = value.type_index() < types_.records.size();
    out_ += known ? types_.records[value.type_index()].name : "record";
    out_ += value.count() == 0 ? " {" : " { ";
    fields(known ? &types_.records[value.type_index()].fields : nullptr, value);
    out_ += value.count() == 0 ? "}" : " }";
  }

  void enumeration(const Value& value) {
    const EnumCase* found = nullptr;
    if (value.type_index() < types_.enums.size()) {
      const EnumType& type = types_.enums[value.type_index()];
      out_ += type.name;
      if (value.enum_case() < type.cases.size()) found = &type.cases[value.enum_case()];
    } else {
      out_ += "enum";
    }
    out_ += '.';
    out_ += found != nullptr ? found->name : std::to_string(value.enum_case());
    if (value.count() == 0) return;
    out_ += '(';
    fields(found != nullptr ? &found->fields : nullptr, value);
    out_ += ')';
  }

  const TypeTable& types_;
  std::string& out_;
};

}  // namespace

bool conforms(const TypeTable& types, TypeId id, const Value& value, std::string* path) {
  if (!types.contains(id)) return false;
  const Type& type = types[id];
  if (type.kind == Kind::optional) {
    return value.is_none() || conforms(types, {type.argument}, value, path);
  }
  if (value.kind() != type.kind) return false;
  switch (type.kind) {
    case Kind::list:
      return list_conforms(types, {type.argument}, value, path);
    case Kind::map:
      return map_conforms(types, {type.argument}, value, path);
    case Kind::record:
      return conforms_record(types, type.argument, value, path);
    case Kind::enumeration: {
      const std::vector<EnumCase>& cases = types.enums[type.argument].cases;
      return value.type_index() == type.argument && value.enum_case() < cases.size() &&
             fields_conform(types, cases[value.enum_case()].fields, value, path);
    }
    default:
      return true;
  }
}

bool conforms_record(const TypeTable& types, uint32_t record, const Value& value,
                     std::string* path) {
  return value.is(Kind::record) && value.type_index() == record && record < types.records.size() &&
         fields_conform(types, types.records[record].fields, value, path);
}

Value smallest_value(const TypeTable& types, TypeId type) {
  return Smallest(types).of(type, 0);
}

Value failure_value(const Failure& failure) {
  Value fields[] = {Value::string(failure.kind), Value::string(failure.message),
                    Value::string(failure.step), Value::integer(failure.attempt)};
  return Value::take_record(kFailureRecord, fields);
}

std::string describe(const TypeTable& types, const Value& value) {
  std::string out;
  Describer(types, out).value(value);
  return out;
}

}  // namespace sluice::vm
