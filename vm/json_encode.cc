#include "vm/json.hpp"
#include "vm/text.hpp"

namespace sluice::vm {
namespace {

class Writer {
 public:
  Writer(const TypeTable& types, std::string& out) : types_(types), out_(out) {}

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
        out_ += '"';
        append_duration(value.as_int(), out_);
        out_ += '"';
        return;
      case Kind::timestamp:
        out_ += '"';
        append_timestamp(value.as_int(), out_);
        out_ += '"';
        return;
      case Kind::string:
        return append_json_string(value.as_text(), out_);
      case Kind::bytes:
        out_ += '"';
        append_base64(value.as_text(), out_);
        out_ += '"';
        return;
      case Kind::list:
        return list(value);
      case Kind::map:
        return map(value);
      case Kind::record:
        return record(value);
      case Kind::enumeration:
        return enumeration(value);
      case Kind::decimal:
        out_ += '"';
        append_decimal(value.as_decimal(), out_);
        out_ += '"';
        return;
      case Kind::json:
        out_ += value.as_text();
        return;
      case Kind::none:
      case Kind::optional:
        out_ += "null";
        return;
    }
  }

 private:
  void list(const Value& value) {
    out_ += '[';
    bool first = true;
    for (const Value& item : value.elements()) {
      if (!first) out_ += ',';
      first = false;
      this->value(item);
    }
    out_ += ']';
  }

  void map(const Value& value) {
    std::span<const Value> pairs = value.pairs();
    out_ += '{';
    for (size_t i = 0; i < pairs.size(); i += 2) {
      if (i > 0) out_ += ',';
      append_json_string(pairs[i].as_text(), out_);
      out_ += ':';
      this->value(pairs[i + 1]);
    }
    out_ += '}';
  }

  // Left out: none, unless reading it back would then give a default that is something else.
  static bool left_out(const FieldType& field, const Value& value) {
    constexpr std::string_view kNone("\0", 1);  // encode_value of none
    return value.is_none() && (!field.default_value || *field.default_value == kNone);
  }

  void fields(const std::vector<FieldType>& fields, const Value& value, bool first) {
    std::span<const Value> items = value.elements();
    for (size_t i = 0; i < items.size() && i < fields.size(); ++i) {
      if (left_out(fields[i], items[i])) continue;
      if (!first) out_ += ',';
      first = false;
      append_json_string(fields[i].name, out_);
      out_ += ':';
      this->value(items[i]);
    }
  }

  void record(const Value& value) {
    out_ += '{';
    if (value.type_index() < types_.records.size()) {
      fields(types_.records[value.type_index()].fields, value, true);
    }
    out_ += '}';
  }

  void enumeration(const Value& value) {
    const EnumCase* which = nullptr;
    if (value.type_index() < types_.enums.size()) {
      const std::vector<EnumCase>& cases = types_.enums[value.type_index()].cases;
      if (value.enum_case() < cases.size()) which = &cases[value.enum_case()];
    }
    if (which == nullptr) {
      out_ += "null";
    } else if (which->fields.empty()) {
      append_json_string(which->name, out_);
    } else {
      out_ += "{\"case\":";
      append_json_string(which->name, out_);
      fields(which->fields, value, false);
      out_ += '}';
    }
  }

  const TypeTable& types_;
  std::string& out_;
};

}  // namespace

void append_json(const TypeTable& types, TypeId, const Value& value, std::string& out) {
  Writer(types, out).value(value);
}

std::string to_json(const TypeTable& types, TypeId type, const Value& value) {
  std::string out;
  append_json(types, type, value, out);
  return out;
}

}  // namespace sluice::vm
