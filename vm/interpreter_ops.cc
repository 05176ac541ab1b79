#include "vm/interpreter_ops.hpp"

#include <charconv>
#include <cmath>
#include <limits>

#include "vm/failure_kinds.hpp"
#include "vm/json.hpp"
#include "vm/text.hpp"

namespace sluice::vm {

bool Activation::fail(std::string_view kind, std::string message) {
  failure = {std::string(kind), std::move(message), "", 0};
  return false;
}

bool Activation::accept(const Value& value) {
  charge(value.logical_bytes());
  return value.within_limits() || fault("the value is too large or nested too deeply");
}

void append_text(const TypeTable& types, const Value& value, std::string& out) {
  switch (value.kind()) {
    case Kind::none:
      out += "none";
      return;
    case Kind::string:
      out += value.as_text();
      return;
    case Kind::integer: {
      char digits[20];
      out.append(digits, std::to_chars(digits, std::end(digits), value.as_int()).ptr);
      return;
    }
    case Kind::duration:
      return append_duration(value.as_int(), out);
    case Kind::timestamp:
      return append_timestamp(value.as_int(), out);
    case Kind::bytes:
      return append_base64(value.as_text(), out);
    case Kind::decimal:
      return append_decimal(value.as_decimal(), out);
    case Kind::enumeration: {
      bool known = value.type_index() < types.enums.size() &&
                   value.enum_case() < types.enums[value.type_index()].cases.size();
      if (known && value.count() == 0) {
        out += types.enums[value.type_index()].cases[value.enum_case()].name;
        return;
      }
      return append_json(types, kTypeNone, value, out);
    }
    default:
      return append_json(types, kTypeNone, value, out);
  }
}

namespace ops {
namespace {

bool is_time(const Value& value) {
  return value.is(Kind::duration) || value.is(Kind::timestamp);
}

constexpr int64_t kUsPerMs = 1000;

bool out_of_64_bits(Activation& act, const char* what) {
  return act.fault(std::string("the ") + what + " does not fit in 64 bits");
}

// timestamp + sign × duration
bool shift_timestamp(Activation& act, Value* out, const Value& at, const Value& by, int sign) {
  int64_t us = 0, sum = 0;
  bool over = __builtin_mul_overflow(by.as_int(), sign * kUsPerMs, &us) ||
              __builtin_add_overflow(at.as_int(), us, &sum);
  if (over || sum < kTimestampMin || sum > kTimestampMax) {
    return act.fault("the timestamp is not within the years 0 to 9999");
  }
  *out = Value::timestamp(sum);
  return true;
}

bool add_time(Activation& act, Value* out, const Value& a, const Value& b) {
  if (a.is(Kind::timestamp) && b.is(Kind::duration)) return shift_timestamp(act, out, a, b, 1);
  if (!a.is(Kind::duration) || !b.is(Kind::duration)) {
    return wrong_kind(act, Op::add_time, a.is(Kind::duration) ? b : a);
  }
  int64_t sum = 0;
  if (__builtin_add_overflow(a.as_int(), b.as_int(), &sum)) return out_of_64_bits(act, "duration");
  *out = Value::duration(sum);
  return true;
}

bool sub_time(Activation& act, Value* out, const Value& a, const Value& b) {
  if (a.is(Kind::timestamp) && b.is(Kind::duration)) return shift_timestamp(act, out, a, b, -1);
  if (!is_time(a) || a.kind() != b.kind()) return wrong_kind(act, Op::sub_time, is_time(a) ? b : a);
  int64_t difference = 0;
  if (__builtin_sub_overflow(a.as_int(), b.as_int(), &difference)) {
    return out_of_64_bits(act, "duration");
  }
  *out = Value::duration(a.is(Kind::duration) ? difference : difference / kUsPerMs);
  return true;
}

bool mul_time(Activation& act, Value* out, const Value& a, const Value& b) {
  if (!a.is(Kind::duration)) return wrong_kind(act, Op::mul_time, a);
  if (!b.is(Kind::integer)) return wrong_kind(act, Op::mul_time, b);
  int64_t product = 0;
  if (__builtin_mul_overflow(a.as_int(), b.as_int(), &product)) {
    return out_of_64_bits(act, "duration");
  }
  *out = Value::duration(product);
  return true;
}

bool div_time(Activation& act, Value* out, const Value& a, const Value& b) {
  if (!a.is(Kind::duration)) return wrong_kind(act, Op::div_time, a);
  if (!b.is(Kind::integer) && !b.is(Kind::duration)) return wrong_kind(act, Op::div_time, b);
  if (b.as_int() == 0) return act.fault("division by zero");
  if (b.as_int() == -1 && a.as_int() == INT64_MIN) return out_of_64_bits(act, "duration");
  int64_t quotient = a.as_int() / b.as_int();
  *out = b.is(Kind::integer) ? Value::duration(quotient) : Value::integer(quotient);
  return true;
}

}  // namespace

bool wrong_kind(Activation& act, Op op, const Value& found) {
  std::string message = "instruction ";
  message += op_info(op)->name;
  message += " of " + act.function->name + " found a value of kind " + kind_name(found.kind());
  return act.fault(std::move(message));
}

bool divide(Activation& act, Op op, Value* out, const Value& a, const Value& b) {
  if (!a.is(Kind::integer)) return wrong_kind(act, op, a);
  if (!b.is(Kind::integer)) return wrong_kind(act, op, b);
  if (b.as_int() == 0) return act.fault("division by zero");
  bool least = a.as_int() == INT64_MIN && b.as_int() == -1;
  if (op == Op::rem_int) {
    *out = Value::integer(least ? 0 : a.as_int() % b.as_int());
    return true;
  }
  if (least) return out_of_64_bits(act, "quotient");
  *out = Value::integer(a.as_int() / b.as_int());
  return true;
}

bool float_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b) {
  if (!a.is(Kind::floating)) return wrong_kind(act, op, a);
  if (!b.is(Kind::floating)) return wrong_kind(act, op, b);
  double x = a.as_float(), y = b.as_float(), result = 0;
  switch (op) {
    case Op::add_float:
      result = x + y;
      break;
    case Op::sub_float:
      result = x - y;
      break;
    case Op::mul_float:
      result = x * y;
      break;
    default:
      if (y == 0) return act.fault("division by zero");
      result = x / y;
  }
  if (!std::isfinite(result)) return act.fault("the result is not a finite float");
  *out = Value::floating(result);
  return true;
}

bool float_constant_arithmetic(Activation& act, Op op, Value* out, const Value& a,
                               const Value& constant) {
  if (!a.is(Kind::floating)) return wrong_kind(act, op, a);
  switch (op) {
    case Op::add_float_const:
      return float_arithmetic(act, Op::add_float, out, a, constant);
    case Op::mul_float_const:
      return float_arithmetic(act, Op::mul_float, out, a, constant);
    case Op::div_float_const:
      return float_arithmetic(act, Op::div_float, out, a, constant);
    case Op::const_sub_float:
      return float_arithmetic(act, Op::sub_float, out, constant, a);
    default:
      return float_arithmetic(act, Op::div_float, out, constant, a);
  }
}

bool decimal_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b) {
  const bool product = op == Op::mul_decimal;
  Decimal operands[2];
  for (size_t i = 0; i < 2; ++i) {
    const Value& each = i == 0 ? a : b;
    if (!each.is(Kind::decimal) && !(product && each.is(Kind::integer))) {
      return wrong_kind(act, op, each);
    }
    operands[i] = each.is(Kind::decimal) ? each.as_decimal() : decimal_of(each.as_int());
  }
  auto result = product                 ? multiply(operands[0], operands[1])
                : op == Op::add_decimal ? add(operands[0], operands[1])
                                        : subtract(operands[0], operands[1]);
  if (!result) return act.fault("the result has more than 33 digits");
  *out = Value::decimal(*result);
  return true;
}

bool as_json(Activation& act, const TypeTable& types, Value* out, const Value& a) {
  act.charge(a.logical_bytes());
  auto text = canonical_json(to_json(types, kTypeNone, a));
  if (!text) return act.fault("the value does not travel as JSON: " + text.error().message);
  *out = Value::json(*text);
  return act.accept(*out);
}

bool time_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b) {
  switch (op) {
    case Op::add_time:
      return add_time(act, out, a, b);
    case Op::sub_time:
      return sub_time(act, out, a, b);
    case Op::mul_time:
      return mul_time(act, out, a, b);
    default:
      return div_time(act, out, a, b);
  }
}

bool negate(Activation& act, Op op, Value* out, const Value& a) {
  if (op == Op::neg_float) {
    if (!a.is(Kind::floating)) return wrong_kind(act, op, a);
    *out = Value::floating(-a.as_float());
    return true;
  }
  if (op == Op::neg_decimal) {
    if (!a.is(Kind::decimal)) return wrong_kind(act, op, a);
    *out = Value::decimal(sluice::vm::negate(a.as_decimal()));
    return true;
  }
  bool integer = op == Op::neg_int;
  if (!a.is(integer ? Kind::integer : Kind::duration)) return wrong_kind(act, op, a);
  if (a.as_int() == INT64_MIN) return out_of_64_bits(act, "negation");
  *out = integer ? Value::integer(-a.as_int()) : Value::duration(-a.as_int());
  return true;
}

bool ordered(Activation& act, Op op, const Value& a, const Value& b, bool* holds) {
  auto result = compare(a, b);
  if (!result || a.is(Kind::boolean) || a.is(Kind::bytes)) return wrong_kind(act, op, b);
  if (a.is(Kind::string)) act.charge(std::min(a.count(), b.count()));
  *holds = op == Op::less ? *result < 0 : *result <= 0;
  return true;
}

bool order(Activation& act, Op op, Value* out, const Value& a, const Value& b) {
  bool holds = false;
  if (!ordered(act, op, a, b, &holds)) return false;
  *out = Value::boolean(holds);
  return true;
}

bool equal_or_not(Activation& act, bool wanted, const Value& a, const Value& b, bool* holds) {
  // Unequal sizes are told apart at once, whatever the values hold.
  if (a.logical_bytes() == b.logical_bytes()) act.charge(a.logical_bytes());
  *holds = (a == b) == wanted;
  return true;
}

bool equality(Activation& act, bool wanted, Value* out, const Value& a, const Value& b) {
  bool holds = false;
  equal_or_not(act, wanted, a, b, &holds);
  *out = Value::boolean(holds);
  return true;
}

// Whether a string, list or map that grows so stays within the limits: asked before it grows, so
// that what fails changes nothing.
bool may_grow(const Value& whole, uint64_t bytes, uint32_t depth, uint64_t count) {
  const uint64_t count_max = whole.is(Kind::string) ? kValueBytesMax : kValueCountMax;
  return whole.logical_bytes() + bytes <= kValueBytesMax && depth <= kValueDepthMax &&
         whole.count() + count <= count_max;
}

bool concat(Activation& act, Value* out, const Value& a, const Value& b) {
  if (!a.is(Kind::string) && !a.is(Kind::list) && !a.is(Kind::bytes)) {
    return wrong_kind(act, Op::concat, a);
  }
  if (a.kind() != b.kind()) return wrong_kind(act, Op::concat, b);
  // The left operand grows, as a list does by append: see kGrownBytesPerFuel.
  act.fuel -= a.logical_bytes() / kGrownBytesPerFuel;
  act.charge(b.logical_bytes());
  // What is no element of either: the header of the second.
  const uint64_t more = b.logical_bytes() - Value().logical_bytes();
  if (!may_grow(a, more, b.depth(), b.count())) return act.fault("the value is too large");
  Value left = a, right = b;
  *out = Value();  // if it was the left operand's only other owner, that can grow in place
  left.append_all(right);
  *out = std::move(left);
  return true;
}

bool concat_all(Activation& act, Value* out, std::span<const Value> parts) {
  uint64_t size = 0;
  for (const Value& part : parts) {
    if (!part.is(Kind::string)) return wrong_kind(act, Op::concat_all, part);
    size += part.count();
  }
  act.charge(size);
  if (size > kValueBytesMax) return act.fault("the text is too large");
  std::string text;
  text.reserve(size);
  for (const Value& part : parts) text += part.as_text();
  *out = Value::string(text);
  return true;
}

bool to_text(Activation& act, const TypeTable& types, Value* out, const Value& a) {
  if (a.is(Kind::string)) {
    *out = a;
    return true;
  }
  std::string text;
  append_text(types, a, text);
  act.charge(a.logical_bytes());
  *out = Value::string(text);
  return act.accept(*out);
}

bool interpolate(Activation& act, Unit& unit, Value* out, std::span<const Value> parts) {
  std::string& text = unit.scratch();
  text.clear();
  for (const Value& part : parts) {
    if (!part.is(Kind::string)) act.charge(part.logical_bytes());
    append_text(unit.types(), part, text);
    if (text.size() > kValueBytesMax) return act.fault("the text is too large");
  }
  act.charge(text.size());
  *out = Value::string(text);
  if (text.capacity() > kScratchBytesMax) text = std::string();
  return true;
}

bool make_list(Activation& act, Value* out, std::span<const Value> items) {
  *out = Value::list(items);
  return act.accept(*out);
}

bool make_map(Activation& act, Value* out, std::span<const Value> pairs) {
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (!pairs[i].is(Kind::string)) return wrong_kind(act, Op::make_map, pairs[i]);
    entries.emplace_back(pairs[i], pairs[i + 1]);
  }
  *out = Value::map(std::move(entries));
  return act.accept(*out);
}

bool append(Activation& act, Value* list, const Value& item) {
  if (!list->is(Kind::list)) return wrong_kind(act, Op::append, *list);
  act.fuel -= list->logical_bytes() / kGrownBytesPerFuel;
  act.charge(item.logical_bytes());
  if (!may_grow(*list, item.logical_bytes(), item.depth() + 1, 1)) {
    return act.fault("the list is too large or nested too deeply");
  }
  list->append(item);
  return true;
}

bool index(Activation& act, Value* out, const Value& container, const Value& key) {
  if (container.is(Kind::map)) {
    if (!key.is(Kind::string)) return wrong_kind(act, Op::index, key);
    const Value* found = container.find(key);
    found != nullptr ? * out = *found : * out = Value();
    return true;
  }
  if (!container.is(Kind::list)) return wrong_kind(act, Op::index, container);
  if (!key.is(Kind::integer)) return wrong_kind(act, Op::index, key);
  std::span<const Value> items = container.elements();
  if (key.as_int() < 0 || static_cast<uint64_t>(key.as_int()) >= items.size()) {
    return act.fault("index " + std::to_string(key.as_int()) + " of a list of " +
                     std::to_string(items.size()));
  }
  *out = items[static_cast<size_t>(key.as_int())];
  return true;
}

bool map_put(Activation& act, Value* map, const Value& key, const Value& value) {
  if (!map->is(Kind::map)) return wrong_kind(act, Op::map_put, *map);
  if (!key.is(Kind::string)) return wrong_kind(act, Op::map_put, key);
  act.fuel -= map->logical_bytes() / kGrownBytesPerFuel;
  const uint64_t bytes = uint64_t{key.logical_bytes()} + value.logical_bytes();
  act.charge(bytes);
  if (value.is_flat()) {
    // In the place of another scalar: nothing grows.
    const Value* old = map->find(key);
    if (old != nullptr &&
        map->replace_flat(static_cast<uint32_t>(old - map->pairs().data()), value)) {
      return true;
    }
  }
  if (!may_grow(*map, bytes, value.depth() + 1, 1)) {
    // Near the limit it counts what goes.
    const Value* old = map->find(key);
    if (old == nullptr || value.depth() + 1 > kValueDepthMax ||
        map->logical_bytes() - old->logical_bytes() + value.logical_bytes() > kValueBytesMax) {
      return act.fault("the map is too large or nested too deeply");
    }
  }
  map->put(key, value);
  return true;
}

bool make_record(Activation& act, Value* out, uint32_t record, std::span<const Value> fields) {
  *out = Value::record(record, fields);
  return act.accept(*out);
}

bool get_field(Activation& act, Op op, Value* out, const Value& from, uint32_t field) {
  if (!from.is(op == Op::get_field ? Kind::record : Kind::enumeration)) {
    return wrong_kind(act, op, from);
  }
  std::span<const Value> fields = from.elements();
  if (field >= fields.size()) return act.fault("there is no field " + std::to_string(field));
  *out = fields[field];
  return true;
}

bool set_field(Activation& act, Value* record, const Value& value, uint32_t field) {
  if (!record->is(Kind::record)) return wrong_kind(act, Op::set_field, *record);
  if (field >= record->count()) return act.fault("there is no field " + std::to_string(field));
  act.charge(value.logical_bytes());
  const uint64_t others =
      uint64_t{record->logical_bytes()} - record->elements()[field].logical_bytes();
  if (others + value.logical_bytes() > kValueBytesMax || value.depth() + 1 > kValueDepthMax) {
    return act.fault("the record is too large or nested too deeply");
  }
  record->set_element(field, value);
  return true;
}

bool make_enum(Activation& act, Value* out, uint32_t enumeration, uint16_t which,
               std::span<const Value> fields) {
  *out = Value::enumeration(enumeration, which, fields);
  return act.accept(*out);
}

bool fail(Activation& act, const Value& kind, const Value& message) {
  if (!kind.is(Kind::string)) return wrong_kind(act, Op::fail, kind);
  if (!message.is(Kind::string)) return wrong_kind(act, Op::fail, message);
  return act.fail(cut_text(kind.as_text(), kFailureTextBytesMax),
                  std::string(cut_text(message.as_text(), kFailureTextBytesMax)));
}

}  // namespace ops
}  // namespace sluice::vm
