#include <algorithm>
#include <bit>
#include <cmath>

#include "vm/builtin_call.hpp"
#include "vm/hash.hpp"
#include "vm/json.hpp"
#include "vm/text.hpp"

// Builtins of bytes, JSON, decimals, time, and of lists of lists.
namespace sluice::vm {
namespace {

// ------------------------------------------------------------------------------- bytes and JSON

template <class Parse, class Make>
bool parsed(Call& call, Value* out, Parse parse, Make make) {
  if (!call.are(Kind::string)) return false;
  auto found = parse(call.text(0));
  return call.give(out, found ? make(*found) : Value());
}

bool parsed_utf8(Call& call, Value* out) {
  if (!call.are(Kind::bytes)) return false;
  return call.give(out, valid_text(call.text(0)) ? Value::string(call.text(0)) : Value());
}

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

bool digest(Call& call, Value* out) {
  if (!call.are(Kind::bytes)) return false;
  const Sha256 hash = sha256(call.text(0));
  return call.give(out, Value::bytes({reinterpret_cast<const char*>(hash.data()), hash.size()}));
}

// The JSON of a text; `else_none`: none where there is none, instead of a failure.
bool decoded(Call& call, Value* out, bool else_none) {
  if (!call.are(Kind::string)) return false;
  auto text = canonical_json(call.text(0));
  if (text) return call.give(out, Value::json(*text));
  if (else_none) return call.give(out, Value());
  return call.invalid("this is no JSON: " + text.error().message);
}

// The JSON value that begins at `at`, whatever comes behind it.
bool json_at(Call& call, std::string_view text, size_t at, std::string* found) {
  found->clear();
  JsonReader reader(text.substr(at));
  const bool good = read_canonical_json(reader, *found);
  call.charge(good ? reader.offset() : reader.error_offset());
  return good;
}

bool json_from(Call& call, std::string_view text, char opening, std::string* found) {
  for (size_t at = text.find(opening); at != std::string_view::npos;
       at = text.find(opening, at + 1)) {
    if (json_at(call, text, at, found)) return true;
  }
  return false;
}

// What stands in a code fence is meant; else an object, since `[1]` may be a footnote.
bool extract(Call& call, Value* out) {
  if (!call.are(Kind::string)) return false;
  constexpr std::string_view kFence = "```";
  const std::string_view text = call.text(0);
  std::string found;
  for (size_t at = text.find(kFence); at != std::string_view::npos;
       at = text.find(kFence, at + kFence.size())) {
    const size_t begin = text.find_first_of("{[\n", at);
    if (begin == std::string_view::npos) break;
    const size_t first = text.find_first_not_of(" \t\r\n", begin);
    if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) continue;
    if (json_at(call, text, first, &found)) return call.give(out, Value::json(found));
  }
  if (json_from(call, text, '{', &found) || json_from(call, text, '[', &found)) {
    return call.give(out, Value::json(found));
  }
  return call.give(out, Value());
}

// -------------------------------------------------------------------------------------- decimals

bool give_decimal(Call& call, Value* out, const std::optional<Decimal>& number) {
  if (!number) return call.overflow_of_decimal();
  return call.give(out, Value::decimal(*number));
}

bool give_whole(Call& call, Value* out, const std::optional<int64_t>& number) {
  return number ? call.give(out, Value::integer(*number)) : call.overflow();
}

// The number of places in argument `i`.
bool places(Call& call, size_t i, int* places) {
  if (call.integer(i) < 0 || call.integer(i) > kDecimalDigitsMax) {
    return call.fault("the number of places is not within 0..33");
  }
  *places = static_cast<int>(call.integer(i));
  return true;
}

bool decimal_of_text(Call& call, Value* out) {
  if (!call.are(Kind::string)) return false;
  const auto number = parse_decimal(call.text(0));
  if (number) return call.give(out, Value::decimal(*number));
  return call.invalid("this is no decimal of at most 33 digits: " +
                      std::string(cut_text(call.text(0), 100)));
}

bool sum_decimal(Call& call, Value* out) {
  if (!call.are(Kind::list) || !call.all(0, Kind::decimal)) return false;
  std::optional<Decimal> sum = Decimal{};
  for (const Value& item : call.items(0)) {
    sum = add(*sum, item.as_decimal());
    if (!sum) break;
  }
  return give_decimal(call, out, sum);
}

bool round_decimal(Call& call, Value* out) {
  if (!call.are(Kind::decimal)) return false;
  const auto rounded = round_to(call[0].as_decimal(), 0);
  return rounded ? give_whole(call, out, floor_of(*rounded)) : call.overflow();
}

bool round_decimal_to(Call& call, Value* out) {
  int digits = 0;
  if (!call.are(Kind::decimal, Kind::integer) || !places(call, 1, &digits)) return false;
  return give_decimal(call, out, round_to(call[0].as_decimal(), digits));
}

bool quotient(Call& call, Value* out) {
  int digits = 0;
  if (!call.are(Kind::decimal, Kind::decimal, Kind::integer) || !places(call, 2, &digits)) {
    return false;
  }
  if (call[1].as_decimal().coefficient == 0) return call.fault("division by zero");
  return give_decimal(call, out, divide(call[0].as_decimal(), call[1].as_decimal(), digits));
}

bool fixed(Call& call, Value* out) {
  int digits = 0;
  if (!call.are(Kind::decimal, Kind::integer) || !places(call, 1, &digits)) return false;
  const auto rounded = round_to(call[0].as_decimal(), digits);
  if (!rounded) return call.overflow_of_decimal();
  std::string text;
  append_decimal(*rounded, text, digits);
  return call.give(out, Value::string(text));
}

bool of_decimals(Call& call, Builtin builtin, Value* out) {
  switch (builtin) {
    case Builtin::decimal_of_int:
      return call.are(Kind::integer) && give_decimal(call, out, decimal_of(call.integer(0)));
    case Builtin::decimal_of_float:
      return call.are(Kind::floating) && give_decimal(call, out, decimal_of(call[0].as_float()));
    case Builtin::decimal_of_text:
      return decimal_of_text(call, out);
    case Builtin::parse_decimal:
      return parsed(call, out, parse_decimal, Value::decimal);
    case Builtin::abs_decimal:
      if (!call.are(Kind::decimal)) return false;
      return call.give(out, call[0].as_decimal().coefficient < 0
                                ? Value::decimal(negate(call[0].as_decimal()))
                                : Value(call[0]));
    case Builtin::sum_decimal:
      return sum_decimal(call, out);
    case Builtin::round_decimal:
      return round_decimal(call, out);
    case Builtin::round_decimal_to:
      return round_decimal_to(call, out);
    case Builtin::floor_decimal:
      return call.are(Kind::decimal) && give_whole(call, out, floor_of(call[0].as_decimal()));
    case Builtin::ceil_decimal:
      return call.are(Kind::decimal) && give_whole(call, out, ceil_of(call[0].as_decimal()));
    case Builtin::divide:
      return quotient(call, out);
    case Builtin::fixed:
      return fixed(call, out);
    case Builtin::float_of_decimal:
      return call.are(Kind::decimal) &&
             call.give(out, Value::floating(to_float(call[0].as_decimal())));
    default:
      return call.fault("unknown builtin");
  }
}

// ------------------------------------------------------------------------------------------ time

constexpr int64_t kUsPerMs = 1000;

bool timestamp_of_text(Call& call, Value* out) {
  if (!call.are(Kind::string)) return false;
  const auto us = parse_timestamp(call.text(0));
  if (us) return call.give(out, Value::timestamp(*us));
  return call.invalid("this is no RFC 3339 time: " + std::string(cut_text(call.text(0), 100)));
}

bool timestamp_of_ms(Call& call, Value* out) {
  int64_t us = 0;
  if (!call.are(Kind::integer)) return false;
  if (__builtin_mul_overflow(call.integer(0), kUsPerMs, &us)) return call.overflow();
  if (us < kTimestampMin || us > kTimestampMax) {
    return call.fault("the time is not within the years 0 to 9999");
  }
  return call.give(out, Value::timestamp(us));
}

bool epoch_ms(Call& call, Value* out) {
  if (!call.are(Kind::timestamp)) return false;
  const int64_t us = call.integer(0);
  return call.give(out, Value::integer(us / kUsPerMs - (us % kUsPerMs < 0 ? 1 : 0)));
}

// ----------------------------------------------------------------------------- texts, lists, maps

bool index_of_text(Call& call, Value* out) {
  if (!call.are(Kind::string, Kind::string)) return false;
  const size_t at = call.text(0).find(call.text(1));
  if (at == std::string_view::npos) return call.give(out, Value());
  return call.give(out, Value::integer(count_code_points(call.text(0).substr(0, at))));
}

bool chars(Call& call, Value* out) {
  if (!call.are(Kind::string)) return false;
  std::string_view text = call.text(0);
  if (count_code_points(text) > kValueCountMax) return call.fault("the text is too long");
  std::vector<Value> items;
  while (!text.empty()) {
    const size_t next = offset_of_code_point(text, 1);
    items.push_back(Value::string(text.substr(0, next)));
    text.remove_prefix(next);
  }
  return call.give(out, Value::list(std::move(items)));
}

bool flatten(Call& call, Value* out) {
  if (!call.are(Kind::list) || !call.all(0, Kind::list)) return false;
  std::vector<Value> items;
  for (const Value& list : call.items(0)) {
    if (items.size() + list.count() > kValueCountMax) return call.fault("the list is too long");
    items.insert(items.end(), list.elements().begin(), list.elements().end());
  }
  return call.give(out, Value::list(std::move(items)));
}

bool chunks(Call& call, Value* out) {
  if (!call.are(Kind::list, Kind::integer)) return false;
  if (call.integer(1) < 1) return call.fault("the size of the pieces is less than 1");
  std::vector<Value> pieces;
  for (std::span<const Value> rest = call.items(0); !rest.empty();) {
    const auto size = static_cast<size_t>(
        std::min<uint64_t>(static_cast<uint64_t>(call.integer(1)), rest.size()));
    pieces.push_back(Value::list(rest.first(size)));
    rest = rest.subspan(size);
  }
  return call.give(out, Value::list(std::move(pieces)));
}

bool sort_by(Call& call, Value* out, Kind kind) {
  if (!call.are(Kind::list, Kind::list) || !call.all(1, kind)) return false;
  std::span<const Value> items = call.items(0), keys = call.items(1);
  if (items.size() != keys.size()) {
    return call.fault("there are " + std::to_string(items.size()) + " elements and " +
                      std::to_string(keys.size()) + " keys");
  }
  call.charge((uint64_t{call[0].logical_bytes()} + call[1].logical_bytes()) *
              std::bit_width(items.size()));
  std::vector<uint32_t> order(items.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return compare(keys[a], keys[b]).value_or(0) < 0;
  });
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (uint32_t i : order) sorted.push_back(items[i]);
  return call.give(out, Value::list(std::move(sorted)));
}

bool zip(Call& call, Value* out) {
  if (!call.are(Kind::list, Kind::list) || !call.all(0, Kind::string)) return false;
  std::span<const Value> keys = call.items(0), values = call.items(1);
  if (keys.size() != values.size()) {
    return call.fault("there are " + std::to_string(keys.size()) + " keys and " +
                      std::to_string(values.size()) + " values");
  }
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < keys.size(); ++i) entries.emplace_back(keys[i], values[i]);
  return call.give(out, Value::map(std::move(entries)));
}

bool square_root(Call& call, Value* out) {
  if (!call.are(Kind::floating)) return false;
  if (call[0].as_float() < 0) return call.fault("the number is below zero");
  return call.give(out, Value::floating(std::sqrt(call[0].as_float())));
}

bool power(Call& call, Value* out) {
  if (!call.are(Kind::integer, Kind::integer)) return false;
  if (call.integer(1) < 0) return call.fault("the exponent is negative");
  int64_t result = 1, base = call.integer(0);
  for (auto rest = static_cast<uint64_t>(call.integer(1)); rest != 0;) {
    if ((rest & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return call.overflow();
    rest >>= 1;
    if (rest != 0 && __builtin_mul_overflow(base, base, &base)) return call.overflow();
  }
  return call.give(out, Value::integer(result));
}

}  // namespace

bool call_more(Call& call, Builtin builtin, Value* out) {
  switch (builtin) {
    case Builtin::bytes_of_text:
      return call.are(Kind::string) && call.give(out, Value::bytes(call.text(0)));
    case Builtin::parse_base64:
      return parsed(call, out, parse_base64, [](const std::string& b) { return Value::bytes(b); });
    case Builtin::parse_utf8:
      return parsed_utf8(call, out);
    case Builtin::hex:
      return call.are(Kind::bytes) && call.give(out, Value::string(hex_of(call.text(0))));
    case Builtin::sha256:
      return digest(call, out);
    case Builtin::decode:
      return decoded(call, out, false);
    case Builtin::parse_json:
      return decoded(call, out, true);
    case Builtin::extract_json:
      return extract(call, out);
    case Builtin::timestamp_of_text:
      return timestamp_of_text(call, out);
    case Builtin::timestamp_of_ms:
      return timestamp_of_ms(call, out);
    case Builtin::parse_timestamp:
      return parsed(call, out, parse_timestamp, Value::timestamp);
    case Builtin::epoch_ms:
      return epoch_ms(call, out);
    case Builtin::parse_duration:
      return parsed(call, out, parse_duration, Value::duration);
    case Builtin::index_of_text:
      return index_of_text(call, out);
    case Builtin::chars:
      return chars(call, out);
    case Builtin::flatten:
      return flatten(call, out);
    case Builtin::chunks:
      return chunks(call, out);
    case Builtin::sort_by_float:
      return sort_by(call, out, Kind::floating);
    case Builtin::sort_by_int:
      return sort_by(call, out, Kind::integer);
    case Builtin::sort_by_string:
      return sort_by(call, out, Kind::string);
    case Builtin::sort_by_decimal:
      return sort_by(call, out, Kind::decimal);
    case Builtin::sort_by_timestamp:
      return sort_by(call, out, Kind::timestamp);
    case Builtin::zip:
      return zip(call, out);
    case Builtin::sqrt:
      return square_root(call, out);
    case Builtin::pow:
      return power(call, out);
    default:
      return of_decimals(call, builtin, out);
  }
}

}  // namespace sluice::vm
