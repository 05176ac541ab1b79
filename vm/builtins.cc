#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "vm/builtin_call.hpp"
#include "vm/json.hpp"
#include "vm/text.hpp"
#include "vm/unicode.hpp"

namespace sluice::vm {
namespace {

// Elements that have an order: not bools and bytes, which compare() knows too.
bool has_order(const Value& value) {
  switch (value.kind()) {
    case Kind::integer:
    case Kind::floating:
    case Kind::decimal:
    case Kind::duration:
    case Kind::timestamp:
    case Kind::string:
      return true;
    default:
      return false;
  }
}

bool less(const Value& a, const Value& b) {
  return compare(a, b).value_or(0) < 0;
}

// The elements of a list are of one ordered kind.
bool ordered(Call& call, size_t i) {
  std::span<const Value> items = call.items(i);
  for (const Value& item : items) {
    if (!has_order(item) || item.kind() != items[0].kind()) return call.fault("nothing to order");
  }
  return true;
}

bool join(Call& call, Value* out) {
  if (!call.are(Kind::list, Kind::string) || !call.all(0, Kind::string)) return false;
  uint64_t size = 0;
  for (const Value& part : call.items(0)) size += part.count() + uint64_t{call[1].count()};
  if (size > kValueBytesMax) return call.fault("the text is too large");
  std::string text;
  text.reserve(size);
  for (const Value& part : call.items(0)) {
    if (&part != call.items(0).data()) text += call.text(1);
    text += part.as_text();
  }
  return call.give(out, Value::string(text));
}

bool split(Call& call, Value* out) {
  if (!call.are(Kind::string, Kind::string)) return false;
  std::string_view text = call.text(0), separator = call.text(1);
  if (separator.empty()) return call.fault("the separator is empty");
  std::vector<Value> parts;
  for (;;) {
    size_t at = text.find(separator);
    parts.push_back(Value::string(text.substr(0, at)));
    if (at == std::string_view::npos) break;
    if (parts.size() >= kValueCountMax) return call.fault("too many parts");
    text.remove_prefix(at + separator.size());
  }
  return call.give(out, Value::list(std::move(parts)));
}

bool replace(Call& call, Value* out) {
  if (!call.are(Kind::string, Kind::string, Kind::string)) return false;
  std::string_view text = call.text(0), from = call.text(1), to = call.text(2);
  if (from.empty()) return call.fault("what is to be replaced is empty");
  std::string result;
  for (;;) {
    size_t at = text.find(from);
    result += text.substr(0, at);
    if (at == std::string_view::npos) break;
    result += to;
    if (result.size() > kValueBytesMax) return call.fault("the text is too large");
    text.remove_prefix(at + from.size());
  }
  return call.give(out, Value::string(result));
}

bool contains_item(Call& call, Value* out, bool position) {
  if (!call.are(Kind::list)) return false;
  std::span<const Value> items = call.items(0);
  auto at = std::find(items.begin(), items.end(), call[1]);
  if (!position) return call.give(out, Value::boolean(at != items.end()));
  return call.give(out, at == items.end() ? Value() : Value::integer(at - items.begin()));
}

bool extreme(Call& call, Value* out, bool greatest) {
  const Value &a = call[0], &b = call[1];
  if (!has_order(a)) return call.wrong(0);
  if (a.kind() != b.kind()) return call.wrong(1);
  bool second = greatest ? less(a, b) : less(b, a);
  return call.give(out, Value(second ? b : a));
}

bool extreme_of_list(Call& call, Value* out, bool greatest) {
  if (!call.are(Kind::list) || !ordered(call, 0)) return false;
  std::span<const Value> items = call.items(0);
  if (items.empty()) return call.give(out, Value());
  auto at = greatest ? std::max_element(items.begin(), items.end(), less)
                     : std::min_element(items.begin(), items.end(), less);
  return call.give(out, Value(*at));
}

bool sum_whole(Call& call, Value* out, Kind kind) {
  if (!call.are(Kind::list) || !call.all(0, kind)) return false;
  int64_t sum = 0;
  for (const Value& item : call.items(0)) {
    if (__builtin_add_overflow(sum, item.as_int(), &sum)) return call.overflow();
  }
  return call.give(out, kind == Kind::integer ? Value::integer(sum) : Value::duration(sum));
}

bool sum_float(Call& call, Value* out) {
  if (!call.are(Kind::list) || !call.all(0, Kind::floating)) return false;
  double sum = 0;
  for (const Value& item : call.items(0)) {
    sum += item.as_float();
    if (!std::isfinite(sum)) return call.fault("the sum is not a finite float");
  }
  return call.give(out, Value::floating(sum));
}

bool sort(Call& call, Value* out) {
  if (!call.are(Kind::list) || !ordered(call, 0)) return false;
  std::span<const Value> items = call.items(0);
  call.charge(uint64_t{call[0].logical_bytes()} * std::bit_width(items.size()));
  std::vector<Value> sorted(items.begin(), items.end());
  std::stable_sort(sorted.begin(), sorted.end(), less);
  return call.give(out, Value::list(std::move(sorted)));
}

bool unique(Call& call, Value* out) {
  if (!call.are(Kind::list)) return false;
  std::span<const Value> items = call.items(0);
  call.charge(uint64_t{call[0].logical_bytes()} * std::bit_width(items.size()));
  std::set<std::string> seen;
  std::vector<Value> kept;
  for (const Value& item : items) {
    if (seen.insert(encode_value(item)).second) kept.push_back(item);
  }
  return call.give(out, Value::list(std::move(kept)));
}

// The first or last element.
bool end_of_list(Call& call, Value* out, bool last) {
  if (!call.are(Kind::list)) return false;
  std::span<const Value> items = call.items(0);
  if (items.empty()) return call.give(out, Value());
  return call.give(out, Value(last ? items.back() : items.front()));
}

bool part_of_list(Call& call, Value* out, bool front) {
  if (!call.are(Kind::list, Kind::integer)) return false;
  if (call.integer(1) < 0) return call.fault("the count is negative");
  std::span<const Value> items = call.items(0);
  auto n =
      static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(call.integer(1)), items.size()));
  return call.give(out, Value::list(front ? items.first(n) : items.subspan(n)));
}

bool part_of_text(Call& call, Value* out, bool front) {
  if (!call.are(Kind::string, Kind::integer)) return false;
  if (call.integer(1) < 0) return call.fault("the count is negative");
  std::string_view text = call.text(0);
  size_t at = offset_of_code_point(text, static_cast<uint64_t>(call.integer(1)));
  return call.give(out, Value::string(front ? text.substr(0, at) : text.substr(at)));
}

bool range(Call& call, Value* out) {
  if (!call.are(Kind::integer, Kind::integer)) return false;
  int64_t from = call.integer(0), to = call.integer(1), size = 0;
  std::vector<Value> items;
  if (from <= to) {
    if (__builtin_sub_overflow(to, from, &size) || size >= int64_t{kValueCountMax}) {
      return call.fault("the range is too long");
    }
    items.reserve(static_cast<size_t>(size) + 1);
    for (int64_t n = 0; n <= size; ++n) items.push_back(Value::integer(from + n));
  }
  return call.give(out, Value::list(std::move(items)));
}

bool halves(Call& call, Value* out, size_t which) {
  if (!call.are(Kind::map)) return false;
  std::vector<Value> items;
  for (size_t i = which; i < call[0].pairs().size(); i += 2) items.push_back(call[0].pairs()[i]);
  return call.give(out, Value::list(std::move(items)));
}

bool put(Call& call, Value* out) {
  if (!call.are(Kind::map, Kind::string)) return false;
  Value map = call[0];
  map.put(call[1], call[2]);
  return call.give(out, std::move(map));
}

bool remove(Call& call, Value* out) {
  if (!call.are(Kind::map, Kind::string)) return false;
  Value map = call[0];
  map.erase(Value(call[1]).as_text());
  return call.give(out, std::move(map));
}

bool merge(Call& call, Value* out) {
  if (!call.are(Kind::map, Kind::map)) return false;
  std::vector<std::pair<Value, Value>> entries;
  for (size_t m = 0; m < 2; ++m) {
    std::span<const Value> pairs = call[m].pairs();
    for (size_t i = 0; i < pairs.size(); i += 2) entries.emplace_back(pairs[i], pairs[i + 1]);
  }
  return call.give(out, Value::map(std::move(entries)));
}

bool whole(Call& call, Value* out, double rounded) {
  // 2^63 and -2^63 are exact doubles; the former is the first that does not fit.
  if (!(rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0)) {
    return call.overflow();
  }
  return call.give(out, Value::integer(static_cast<int64_t>(rounded)));
}

// Away from zero at halves, without libm's rounding modes.
double round_half_away(double x) {
  double down = std::floor(std::fabs(x));
  double magnitude = std::fabs(x) - down >= 0.5 ? down + 1 : down;
  return x < 0 ? -magnitude : magnitude;
}

bool abs_int(Call& call, Value* out) {
  if (!call.are(Kind::integer)) return false;
  if (call.integer(0) == INT64_MIN) return call.overflow();
  return call.give(out, Value::integer(std::abs(call.integer(0))));
}

bool text_of(Call& call, Value* out, bool json) {
  std::string text;
  if (json) {
    append_json(call.types, kTypeNone, call[0], text);
  } else {
    append_text(call.types, call[0], text);
  }
  return call.give(out, Value::string(text));
}

bool parsed_int(Call& call, Value* out) {
  if (!call.are(Kind::string)) return false;
  auto number = parse_int(call.text(0));
  return call.give(out, number ? Value::integer(*number) : Value());
}

bool parsed_float(Call& call, Value* out) {
  if (!call.are(Kind::string)) return false;
  auto number = parse_float(call.text(0));
  return call.give(out, number ? Value::floating(*number) : Value());
}

bool base64(Call& call, Value* out) {
  if (!call.are(Kind::bytes)) return false;
  std::string text;
  append_base64(call.text(0), text);
  return call.give(out, Value::string(text));
}

bool on_strings(Call& call, Value* out, Builtin builtin) {
  if (!call.are(Kind::string, Kind::string)) return false;
  std::string_view a = call.text(0), b = call.text(1);
  bool holds = builtin == Builtin::starts_with ? a.starts_with(b)
               : builtin == Builtin::ends_with ? a.ends_with(b)
                                               : a.find(b) != std::string_view::npos;
  return call.give(out, Value::boolean(holds));
}

bool length(Call& call, Value* out, Kind kind) {
  if (!call.are(kind)) return false;
  uint32_t count = kind == Kind::string ? count_code_points(call.text(0)) : call[0].count();
  return call.give(out, Value::integer(count));
}

bool dispatch(Call& call, Builtin builtin, Value* out) {
  switch (builtin) {
    case Builtin::len_string:
      return length(call, out, Kind::string);
    case Builtin::len_list:
      return length(call, out, Kind::list);
    case Builtin::len_map:
      return length(call, out, Kind::map);
    case Builtin::len_bytes:
      return length(call, out, Kind::bytes);
    case Builtin::join:
      return join(call, out);
    case Builtin::split:
      return split(call, out);
    case Builtin::contains_string:
    case Builtin::starts_with:
    case Builtin::ends_with:
      return on_strings(call, out, builtin);
    case Builtin::contains_list:
      return contains_item(call, out, false);
    case Builtin::index_of:
      return contains_item(call, out, true);
    case Builtin::replace:
      return replace(call, out);
    case Builtin::trim:
      return call.are(Kind::string) && call.give(out, Value::string(trim_text(call.text(0))));
    case Builtin::lower:
      return call.are(Kind::string) && call.give(out, Value::string(lower_text(call.text(0))));
    case Builtin::upper:
      return call.are(Kind::string) && call.give(out, Value::string(upper_text(call.text(0))));
    case Builtin::str:
      return text_of(call, out, false);
    case Builtin::encode:
      return text_of(call, out, true);
    case Builtin::abs_int:
      return abs_int(call, out);
    case Builtin::abs_float:
      return call.are(Kind::floating) &&
             call.give(out, Value::floating(std::fabs(call[0].as_float())));
    case Builtin::min_value:
      return extreme(call, out, false);
    case Builtin::max_value:
      return extreme(call, out, true);
    case Builtin::min_list:
      return extreme_of_list(call, out, false);
    case Builtin::max_list:
      return extreme_of_list(call, out, true);
    case Builtin::sum_int:
      return sum_whole(call, out, Kind::integer);
    case Builtin::sum_float:
      return sum_float(call, out);
    case Builtin::sum_duration:
      return sum_whole(call, out, Kind::duration);
    case Builtin::sort:
      return sort(call, out);
    case Builtin::reverse: {
      if (!call.are(Kind::list)) return false;
      std::span<const Value> items = call.items(0);
      return call.give(out, Value::list(std::vector<Value>(items.rbegin(), items.rend())));
    }
    case Builtin::first:
      return end_of_list(call, out, false);
    case Builtin::last:
      return end_of_list(call, out, true);
    case Builtin::take:
      return part_of_list(call, out, true);
    case Builtin::drop:
      return part_of_list(call, out, false);
    case Builtin::take_string:
      return part_of_text(call, out, true);
    case Builtin::drop_string:
      return part_of_text(call, out, false);
    case Builtin::range:
      return range(call, out);
    case Builtin::keys:
      return halves(call, out, 0);
    case Builtin::values:
      return halves(call, out, 1);
    case Builtin::has:
      return call.are(Kind::map, Kind::string) &&
             call.give(out, Value::boolean(call[0].find(call[1]) != nullptr));
    case Builtin::put:
      return put(call, out);
    case Builtin::remove:
      return remove(call, out);
    case Builtin::merge:
      return merge(call, out);
    case Builtin::to_float:
      return call.are(Kind::integer) &&
             call.give(out, Value::floating(static_cast<double>(call.integer(0))));
    case Builtin::round_float:
      return call.are(Kind::floating) && whole(call, out, round_half_away(call[0].as_float()));
    case Builtin::floor_float:
      return call.are(Kind::floating) && whole(call, out, std::floor(call[0].as_float()));
    case Builtin::ceil_float:
      return call.are(Kind::floating) && whole(call, out, std::ceil(call[0].as_float()));
    case Builtin::parse_int:
      return parsed_int(call, out);
    case Builtin::parse_float:
      return parsed_float(call, out);
    case Builtin::millis:
      return call.are(Kind::duration) && call.give(out, Value::integer(call.integer(0)));
    case Builtin::text_of_bytes:
      return base64(call, out);
    case Builtin::unique:
      return unique(call, out);
    default:
      return call_more(call, builtin, out);
  }
}

// Pays for what a builtin reads of its arguments: most walk through all of them.
void charge_arguments(Activation& activation, Builtin builtin, std::span<const Value> arguments) {
  switch (builtin) {
    case Builtin::len_list:
    case Builtin::len_map:
    case Builtin::len_bytes:
    case Builtin::first:
    case Builtin::last:
    case Builtin::has:
      return;  // a look at one place
    case Builtin::put:
    case Builtin::remove:  // as the instruction map_put
      activation.fuel -= arguments[0].logical_bytes() / kGrownBytesPerFuel;
      arguments = arguments.subspan(1);
      break;
    default:
      break;
  }
  for (const Value& argument : arguments) activation.charge(argument.logical_bytes());
}

}  // namespace

bool call_builtin(Unit& unit, Activation& activation, Builtin builtin,
                  std::span<const Value> arguments, Value* out) {
  const BuiltinInfo& info = kBuiltins[static_cast<size_t>(builtin)];
  charge_arguments(activation, builtin, arguments);
  Call call(unit, activation, info, arguments);
  return dispatch(call, builtin, out);
}

}  // namespace sluice::vm
