#include <algorithm>

#include "vm/json.hpp"
#include "vm/text.hpp"

namespace sluice::vm {
namespace {

// Where the decoder stands; the links are on its own stack, so a path costs nothing until it is
// needed.
struct Place {
  const Place* parent = nullptr;
  std::string_view key;
  size_t index = 0;
  bool is_index = false;
};

std::string path_of(const Place* place) {
  if (place == nullptr || place->parent == nullptr) return "";
  std::string path = path_of(place->parent) + "/";
  if (place->is_index) return path + std::to_string(place->index);
  for (char c : place->key) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += c;
    }
  }
  return path;
}

const char* found_name(JsonKind kind) {
  switch (kind) {
    case JsonKind::null:
      return "null";
    case JsonKind::boolean:
      return "a bool";
    case JsonKind::number:
      return "a number";
    case JsonKind::string:
      return "a string";
    case JsonKind::array:
      return "an array";
    case JsonKind::object:
      return "an object";
    case JsonKind::invalid:
      break;
  }
  return "something else";
}

bool is_optional(const TypeTable& types, TypeId type) {
  return types.contains(type) && types[type].kind == Kind::optional;
}

constexpr size_t kAbsent = SIZE_MAX;

// The field of that name; fields usually come in order of declaration, so `hint` is looked at
// first.
size_t find_field(const std::vector<FieldType>& fields, std::string_view name, size_t hint) {
  if (hint < fields.size() && fields[hint].name == name) return hint;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name) return i;
  }
  return kAbsent;
}

// Whether a text that is no timestamp has more digits behind its point than one may have.
bool is_too_fine(std::string_view text) {
  constexpr size_t kDigits = 6;
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return false;
  const std::string_view behind = text.substr(point + 1);
  const size_t digits = std::min(behind.find_first_not_of("0123456789"), behind.size());
  std::string shorter(text.substr(0, point));
  shorter += behind.substr(digits);
  return digits > kDigits && parse_timestamp(shorter).has_value();
}

// Which fields were seen; most records have at most 64.
class Seen {
 public:
  explicit Seen(size_t count) {
    if (count > 64) many_.resize(count);
  }
  bool test(size_t i) const { return many_.empty() ? (few_ >> i & 1) != 0 : many_[i]; }
  void set(size_t i) {
    if (many_.empty()) {
      few_ |= uint64_t{1} << i;
    } else {
      many_[i] = true;
    }
  }

 private:
  uint64_t few_ = 0;
  std::vector<bool> many_;
};

class Decoder {
 public:
  Decoder(const TypeTable& types, JsonReader& reader, JsonDecodeOptions options)
      : types_(types), reader_(reader), options_(options) {
    stack_.reserve(kStackReserve);
  }

  // Each of these reads one value. False: there was a problem, which is noted; the reader has gone
  // on behind the value if it could.
  bool value(TypeId id, Value* out, const Place* place) {
    const Type& type = types_[id];
    // What the finished value counts at least: a small text cannot ask for much memory.
    if (++nodes_ * kScalarBytes > kValueBytesMax) return broken_limit(place);
    switch (type.kind) {
      case Kind::optional:
        if (reader_.kind() == JsonKind::null) return reader_.read_null() || broken(place);
        return value({type.argument}, out, place);
      case Kind::boolean:
        return boolean(out, place);
      case Kind::integer:
        return integer(out, place);
      case Kind::floating:
        return floating(out, place);
      case Kind::duration:
      case Kind::timestamp:
      case Kind::bytes:
      case Kind::string:
      case Kind::decimal:
        return text(type.kind, out, place);
      case Kind::list:
        return list({type.argument}, out, place);
      case Kind::map:
        return map({type.argument}, out, place);
      case Kind::record:
        return record(type.argument, out, place);
      case Kind::enumeration:
        return enumeration(type.argument, out, place);
      case Kind::none:
        if (reader_.kind() == JsonKind::null) return reader_.read_null() || broken(place);
        return mismatch("null", place);
      case Kind::json:
        return json(out, place);
    }
    return false;
  }

  bool parameters(const std::vector<JsonParameter>& wanted, std::vector<Value>* out) {
    Place root;
    if (reader_.kind() != JsonKind::object) return mismatch("an object", &root);
    reader_.begin_object();
    out->assign(wanted.size(), Value());
    Seen seen(wanted.size());
    bool good = true;
    std::string_view key;
    while (reader_.next_key_unchecked(&key)) {
      size_t i = 0;
      while (i < wanted.size() && wanted[i].name != key) ++i;
      if (i == wanted.size()) {
        good = unknown_field(key, &root, "unknown parameter");
      } else if (seen.test(i)) {
        reader_.fail_duplicate_key();
        return broken(&root);
      } else {
        seen.set(i);
        Place place{&root, wanted[i].name};
        if (!value(wanted[i].type, &(*out)[i], &place)) good = false;
      }
      if (!reader_.ok()) return broken(&root);
    }
    if (!reader_.ok()) return broken(&root);
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (seen.test(i) || is_optional(types_, wanted[i].type)) continue;
      Place place{&root, wanted[i].name};
      good = problem(&place, "is missing");
    }
    return good;
  }

  bool finish() {
    Place root;
    return reader_.finish() || broken(&root);
  }

  // Whether all was read and nothing is wrong with it.
  bool is_sound(bool read) const { return read && problems_.empty(); }
  std::vector<JsonProblem> take_problems() { return std::move(problems_); }

 private:
  bool problem(const Place* place, std::string message, bool malformed = false) {
    if (problems_.size() < kJsonProblemsMax) {
      problems_.push_back({path_of(place), std::move(message), malformed});
    }
    return false;
  }

  // The reader has failed: told once, with the innermost place.
  bool broken(const Place* place) {
    if (told_) return false;
    told_ = true;
    std::string message = reader_.error();
    message += " at byte " + std::to_string(reader_.error_offset());
    if (problems_.size() == kJsonProblemsMax) problems_.pop_back();
    return problem(place, std::move(message), reader_.malformed());
  }

  // The value has its shape, whatever its constraint says: those around it are asked, too.
  void ask(const FieldType& field, const Value& value, const Place* place) {
    if (options_.checks == nullptr || !field.where_function || value.is_none()) return;
    if (problems_.size() >= kJsonProblemsMax) return;
    if (auto why = options_.checks->problem(field, value)) problem(place, std::move(*why));
  }

  bool mismatch(const char* wanted, const Place* place) {
    JsonKind found = reader_.kind();
    if (found == JsonKind::invalid) {
      reader_.skip();
      return broken(place);
    }
    problem(place, std::string("expected ") + wanted + ", found " + found_name(found));
    if (!reader_.skip()) broken(place);
    return false;
  }

  bool unknown_field(std::string_view key, const Place* parent, const char* message) {
    std::string name(key);
    Place place{parent, name};
    problem(&place, message);
    if (!reader_.skip()) broken(&place);
    return false;
  }

  bool boolean(Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::boolean) return mismatch("a bool", place);
    bool flag = false;
    if (!reader_.read_bool(&flag)) return broken(place);
    *out = Value::boolean(flag);
    return true;
  }

  bool integer(Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::number) return mismatch("an int", place);
    std::string_view text;
    bool integral = false;
    if (!reader_.read_number(&text, &integral)) return broken(place);
    if (!integral) {
      return problem(place, "expected an int, found a number with fraction or exponent");
    }
    auto number = parse_int(text);
    if (!number) return problem(place, "number out of range");
    *out = Value::integer(*number);
    return true;
  }

  bool floating(Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::number) return mismatch("a number", place);
    double number = 0;
    if (!reader_.read_double(&number)) return broken(place);
    *out = Value::floating(number);
    return true;
  }

  bool text(Kind kind, Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::string) {
      return mismatch(kind == Kind::string    ? "a string"
                      : kind == Kind::decimal ? "a decimal in quotes, such as \"12.50\""
                                              : "a string in quotes",
                      place);
    }
    std::string_view text;
    if (!reader_.read_string(&text)) return broken(place);
    if (kind == Kind::string) {
      *out = Value::string(text);
      return true;
    }
    return scalar_text(kind, text, out, place);
  }

  bool scalar_text(Kind kind, std::string_view text, Value* out, const Place* place) {
    if (kind == Kind::duration) {
      auto ms = parse_duration(text);
      if (!ms) return problem(place, "expected a duration such as \"250ms\" or \"2s\"");
      *out = Value::duration(*ms);
    } else if (kind == Kind::timestamp) {
      auto us = parse_timestamp(text);
      if (!us && is_too_fine(text)) {
        return problem(place, "expected a timestamp with at most six digits behind the point");
      }
      if (!us) return problem(place, "expected a timestamp such as \"2026-11-23T06:25:58.123Z\"");
      *out = Value::timestamp(*us);
    } else if (kind == Kind::decimal) {
      auto decimal = parse_decimal(text);
      if (!decimal) {
        return problem(place, "expected a decimal such as \"12.50\", of at most 33 digits");
      }
      *out = Value::decimal(*decimal);
    } else {
      auto bytes = parse_base64(text);
      if (!bytes) return problem(place, "expected base64 with padding");
      *out = Value::bytes(*bytes);
    }
    return true;
  }

  bool json(Value* out, const Place* place) {
    std::string text;
    if (!read_canonical_json(reader_, text)) return broken(place);
    *out = Value::json(text);
    return !too_big(*out, place);
  }

  bool too_big(const Value& value, const Place* place) {
    if (value.within_limits()) return false;
    problem(place, "is too large");
    return true;
  }

  bool list(TypeId element, Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::array) return mismatch("an array", place);
    if (!reader_.begin_array()) return broken(place);
    size_t base = stack_.size();
    bool good = true;
    Place here{place, {}, 0, true};
    for (; reader_.next_element(); ++here.index) {
      Value item;
      if (!value(element, &item, &here)) good = false;
      if (!reader_.ok()) return broken(&here);
      if (here.index >= kValueCountMax) return broken_limit(place);
      if (good) stack_.push_back(std::move(item));
    }
    if (!reader_.ok()) return broken(&here);
    if (good) *out = Value::take_list(std::span<Value>(stack_).subspan(base));
    stack_.resize(base);
    return good && !too_big(*out, place);
  }

  bool map(TypeId element, Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::object) return mismatch("an object", place);
    if (!reader_.begin_object()) return broken(place);
    std::vector<std::pair<Value, Value>> entries;
    bool good = true;
    std::string_view key;
    while (reader_.next_key(&key)) {
      Place here{place, key};
      Value item;
      if (!value(element, &item, &here)) good = false;
      if (!reader_.ok()) return broken(&here);
      if (entries.size() >= kValueCountMax) return broken_limit(place);
      if (good) entries.emplace_back(Value::string(key), std::move(item));
    }
    if (!reader_.ok()) return broken(place);
    if (good) *out = Value::map(std::move(entries));
    return good && !too_big(*out, place);
  }

  bool broken_limit(const Place* place) {
    told_ = true;
    reader_.fail_too_large();
    return problem(place, "is too large");
  }

  // Members of an object into stack_[base …]. `skip_case`: the key "case" belongs to the enum, not
  // to a field.
  bool members(const std::vector<FieldType>& fields, size_t base, const Place* place,
               bool skip_case) {
    Seen seen(fields.size());
    bool good = true;
    size_t hint = 0;
    bool case_seen = false;
    std::string_view key;
    while (options_.ignore_unknown_fields ? reader_.next_key(&key)
                                          : reader_.next_key_unchecked(&key)) {
      size_t i = find_field(fields, key, hint);
      if (skip_case && key == "case") {
        if (case_seen) reader_.fail_duplicate_key();
        case_seen = true;
        reader_.skip();
      } else if (i == kAbsent) {
        if (options_.ignore_unknown_fields) {
          reader_.skip();
        } else {
          good = unknown_field(key, place, "unknown field");
        }
      } else if (seen.test(i)) {
        reader_.fail_duplicate_key();
      } else {
        seen.set(i);
        hint = i + 1;
        Place here{place, fields[i].name};
        Value item;
        if (value(fields[i].type, &item, &here)) {
          ask(fields[i], item, &here);
          stack_[base + i] = std::move(item);
        } else {
          good = false;
        }
      }
      if (!reader_.ok()) return broken(place);
    }
    if (!reader_.ok()) return broken(place);
    return fill_in(fields, seen, base, place) && good;
  }

  bool fill_in(const std::vector<FieldType>& fields, const Seen& seen, size_t base,
               const Place* place) {
    bool good = true;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (seen.test(i)) continue;
      Place here{place, fields[i].name};
      if (fields[i].default_value) {
        Value& filled = stack_[base + i];
        filled = decode_value(*fields[i].default_value).value_or(Value());
        if (options_.checks == nullptr) continue;
        check_fields(types_, fields[i].type, filled, *options_.checks, path_of(&here), problems_);
        ask(fields[i], filled, &here);
      } else if (!is_optional(types_, fields[i].type)) {
        good = problem(&here, "is missing");
      }
    }
    return good;
  }

  bool record(uint32_t index, Value* out, const Place* place) {
    if (reader_.kind() != JsonKind::object) return mismatch("an object", place);
    if (!reader_.begin_object()) return broken(place);
    const std::vector<FieldType>& fields = types_.records[index].fields;
    size_t base = stack_.size();
    stack_.resize(base + fields.size());
    bool good = members(fields, base, place, false);
    if (good) *out = Value::take_record(index, std::span<Value>(stack_).subspan(base));
    stack_.resize(base);
    return good && !too_big(*out, place);
  }

  // An object's "case", wherever it stands in it; the reader is left where it was, before the
  // object.
  bool peek_case(std::string* name) {
    size_t start = reader_.offset();
    bool found = false;
    JsonReader ahead(reader_.rest());
    ahead.begin_object();
    std::string_view key;
    while (ahead.next_key(&key)) {
      if (key == "case" && ahead.kind() == JsonKind::string) {
        found = ahead.read_string(name);
      } else {
        ahead.skip();
      }
    }
    reader_.rewind(start);
    return found;
  }

  bool enumeration(uint32_t index, Value* out, const Place* place) {
    const EnumType& type = types_.enums[index];
    JsonKind kind = reader_.kind();
    std::string name;
    if (kind == JsonKind::string) {
      if (!reader_.read_string(&name)) return broken(place);
    } else if (kind == JsonKind::object) {
      if (!peek_case(&name)) {
        if (!reader_.skip()) return broken(place);
        return problem(place, "expected an object with a \"case\"");
      }
    } else {
      return mismatch("a case's name or an object with a \"case\"", place);
    }
    uint16_t which = 0;
    while (which < type.cases.size() && type.cases[which].name != name) ++which;
    if (which == type.cases.size()) {
      if (kind == JsonKind::object && !reader_.skip()) return broken(place);
      return problem(place, "`" + name + "` is no case of " + type.name);
    }
    return case_of(index, which, kind == JsonKind::object, out, place);
  }

  bool case_of(uint32_t index, uint16_t which, bool object, Value* out, const Place* place) {
    const EnumCase& chosen = types_.enums[index].cases[which];
    if (!object) {
      if (!chosen.fields.empty()) {
        return problem(place, "case `" + chosen.name + "` has fields: expected an object");
      }
      *out = Value::enumeration(index, which);
      return true;
    }
    if (!reader_.begin_object()) return broken(place);
    size_t base = stack_.size();
    stack_.resize(base + chosen.fields.size());
    bool good = members(chosen.fields, base, place, true);
    if (good) *out = Value::enumeration(index, which, std::span<Value>(stack_).subspan(base));
    stack_.resize(base);
    return good && !too_big(*out, place);
  }

  static constexpr uint64_t kScalarBytes = 9;  // Value::logical_bytes of a scalar
  static constexpr size_t kStackReserve = 32;  // fields under construction in a usual document

  const TypeTable& types_;
  JsonReader& reader_;
  JsonDecodeOptions options_;
  std::vector<Value> stack_;  // of the lists and records under construction
  std::vector<JsonProblem> problems_;
  bool told_ = false;
  uint64_t nodes_ = 0;
};

}  // namespace

tl::expected<Value, std::vector<JsonProblem>> decode_json(const TypeTable& types, TypeId type,
                                                          JsonReader& reader,
                                                          JsonDecodeOptions options) {
  Decoder decoder(types, reader, options);
  Place root;
  Value value;
  const bool read = decoder.value(type, &value, &root);
  if (!decoder.is_sound(read)) return tl::unexpected(decoder.take_problems());
  return value;
}

tl::expected<Value, std::vector<JsonProblem>> decode_json(const TypeTable& types, TypeId type,
                                                          std::string_view text,
                                                          JsonDecodeOptions options) {
  JsonReader reader(text);
  Decoder decoder(types, reader, options);
  Place root;
  Value value;
  const bool read = decoder.value(type, &value, &root);
  if (!decoder.finish() || !decoder.is_sound(read)) return tl::unexpected(decoder.take_problems());
  return value;
}

tl::expected<std::vector<Value>, std::vector<JsonProblem>> decode_json_parameters(
    const TypeTable& types, const std::vector<JsonParameter>& parameters, std::string_view text,
    JsonDecodeOptions options) {
  JsonReader reader(text);
  Decoder decoder(types, reader, options);
  std::vector<Value> values;
  const bool read = decoder.parameters(parameters, &values);
  if (!decoder.finish() || !decoder.is_sound(read)) return tl::unexpected(decoder.take_problems());
  return values;
}

}  // namespace sluice::vm
