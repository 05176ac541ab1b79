#include <bit>
#include <cmath>

#include "tests/vm/random_program.hpp"
#include "vm/text.hpp"

namespace sluice::vm::testing {

std::string random_text(Random& random, size_t most) {
  std::string text;
  for (size_t n = random.below(most + 1); n > 0; --n) {
    uint32_t code = 0;
    switch (random.below(6)) {
      case 0:
        code = static_cast<uint32_t>(1 + random.below(0x1f));
        break;
      case 1:
        code = static_cast<uint32_t>(0x80 + random.below(0x780));
        break;
      case 2:
        code = static_cast<uint32_t>(0x10000 + random.below(0x100000));
        break;
      case 3:
        code = "\"\\/~{}[],:"[random.below(10)];
        break;
      default:
        code = static_cast<uint32_t>(0x20 + random.below(0x5f));
        break;
    }
    append_utf8(code, text);
  }
  return text;
}

namespace {

int64_t random_int(Random& random) {
  switch (random.below(4)) {
    case 0:
      return static_cast<int64_t>(random.bits());
    case 1:
      return random.one_in(2) ? INT64_MIN : INT64_MAX;
    default:
      return static_cast<int64_t>(random.below(200)) - 100;
  }
}

double random_float(Random& random) {
  if (random.one_in(2)) return static_cast<double>(random_int(random)) / 16;
  auto value = std::bit_cast<double>(random.bits());
  return std::isfinite(value) ? value : 0.5;
}

Value random_scalar(Random& random, Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return Value::boolean(random.one_in(2));
    case Kind::integer:
      return Value::integer(random_int(random));
    case Kind::floating:
      return Value::floating(random_float(random));
    case Kind::duration:
      return Value::duration(random_int(random));
    case Kind::timestamp:
      return Value::timestamp(random_int(random));
    case Kind::string:
      return Value::string(random_text(random, 12));
    case Kind::bytes: {
      std::string bytes;
      for (uint64_t n = random.below(10); n > 0; --n) bytes += static_cast<char>(random.bits());
      return Value::bytes(bytes);
    }
    case Kind::decimal:
      return Value::decimal(
          make_decimal(random_int(random), static_cast<int>(random.below(34))).value_or(Decimal{}));
    case Kind::json:
      return Value::json(random.one_in(2) ? "{\"a\":[1.50,null]}" : "\"x\"");
    default:
      return Value();
  }
}

std::vector<Value> random_values(Random& random, uint32_t depth) {
  std::vector<Value> items;
  for (uint64_t n = random.below(5); n > 0; --n) items.push_back(random_value(random, depth));
  return items;
}

}  // namespace

Value random_value(Random& random, uint32_t depth) {
  auto kind = static_cast<Kind>(random.below(depth == 0 ? 8 : 14));
  auto index = static_cast<uint32_t>(random.below(300));
  switch (kind) {
    case Kind::list:
      return Value::list(random_values(random, depth - 1));
    case Kind::map: {
      std::vector<std::pair<Value, Value>> entries;
      for (Value& value : random_values(random, depth - 1)) {
        entries.emplace_back(Value::string(random_text(random, 4)), std::move(value));
      }
      return Value::map(std::move(entries));
    }
    case Kind::record:
      return Value::record(index, random_values(random, depth - 1));
    case Kind::enumeration:
      return Value::enumeration(index, static_cast<uint16_t>(random.below(200)),
                                random_values(random, depth - 1));
    default:
      return random_scalar(random, kind);
  }
}

TypeTable random_types(Random& random) {
  TypeTable table;
  table.records.push_back({"Tree", {}});
  table.records.push_back({"Leaf", {}});
  table.enums.push_back({"Plain", {{"one", {}}, {"two", {}}}});
  table.enums.push_back({"Rich", {{"none_at_all", {}}, {"some", {}}}});
  TypeId tree = table.record_type(1), leaf = table.record_type(2);
  std::vector<TypeId> choices = {kTypeBool,
                                 kTypeInt,
                                 kTypeFloat,
                                 kTypeDuration,
                                 kTypeTimestamp,
                                 kTypeString,
                                 kTypeBytes,
                                 table.scalar(Kind::decimal),
                                 table.scalar(Kind::json),
                                 leaf,
                                 table.enum_type(0),
                                 table.list_of(tree),
                                 table.map_of(table.optional_of(kTypeInt)),
                                 table.enum_type(1),
                                 table.optional_of(tree),
                                 table.list_of(table.list_of(kTypeString))};
  auto fill = [&](std::vector<FieldType>& fields, uint64_t count, size_t usable) {
    for (uint64_t i = 0; i < count; ++i) {
      TypeId type = choices[random.below(usable)];
      if (random.one_in(3)) type = table.optional_of(type);
      FieldType field{"f" + std::to_string(i), type, {}, {}, {}, 0};
      if (random.one_in(4)) field.name = "\"" + random_text(random, 5) + std::to_string(i);
      if (random.one_in(4)) field.default_value = encode_value(smallest_value(table, type));
      fields.push_back(std::move(field));
    }
  };
  fill(table.records[2].fields, random.below(4), 9);
  fill(table.enums[1].cases[1].fields, 1 + random.below(3), 10);
  fill(table.records[1].fields, 1 + random.below(80), choices.size());
  return table;
}

Value random_value_of(Random& random, const TypeTable& types, TypeId id, uint32_t depth) {
  const Type& type = types[id];
  auto fields = [&](const std::vector<FieldType>& list) {
    std::vector<Value> values;
    for (const FieldType& field : list) {
      values.push_back(random_value_of(random, types, field.type, depth > 0 ? depth - 1 : 0));
    }
    return values;
  };
  uint64_t count = depth == 0 ? 0 : random.below(4);
  TypeId element{type.argument};
  switch (type.kind) {
    case Kind::optional:
      if (depth == 0 || random.one_in(2)) return Value();
      return random_value_of(random, types, element, depth - 1);
    case Kind::list: {
      std::vector<Value> items;
      for (; count > 0; --count) {
        items.push_back(random_value_of(random, types, element, depth - 1));
      }
      return Value::list(std::move(items));
    }
    case Kind::map: {
      std::vector<std::pair<Value, Value>> entries;
      for (; count > 0; --count) {
        entries.emplace_back(Value::string(random_text(random, 4)),
                             random_value_of(random, types, element, depth - 1));
      }
      return Value::map(std::move(entries));
    }
    case Kind::record:
      return Value::record(type.argument, fields(types.records[type.argument].fields));
    case Kind::enumeration: {
      const std::vector<EnumCase>& cases = types.enums[type.argument].cases;
      auto which = static_cast<uint16_t>(random.below(cases.size()));
      return Value::enumeration(type.argument, which, fields(cases[which].fields));
    }
    default:
      return random_scalar(random, type.kind);
  }
}

std::string mutated(Random& random, std::string bytes) {
  for (uint64_t n = 1 + random.below(4); n > 0; --n) {
    size_t at = random.below(bytes.size() + 1);
    switch (random.below(4)) {
      case 0:
        bytes = bytes.substr(0, at);
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random.bits()));
        break;
      case 2:
        bytes.insert(at, bytes.substr(0, random.below(20)));
        break;
      default:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random.bits());
    }
  }
  return bytes;
}

}  // namespace sluice::vm::testing
