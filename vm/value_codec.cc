#include <bit>
#include <cmath>

#include "vm/json.hpp"
#include "vm/text.hpp"
#include "vm/value.hpp"
#include "vm/wire.hpp"

namespace sluice::vm {
namespace {

enum Tag : uint8_t {
  kTagNone = 0,
  kTagFalse = 1,
  kTagTrue = 2,
  kTagInt = 3,
  kTagFloat = 4,
  kTagDuration = 5,
  kTagTimestamp = 6,
  kTagString = 7,
  kTagBytes = 8,
  kTagList = 9,
  kTagMap = 10,
  kTagRecord = 11,
  kTagEnum = 12,
  kTagDecimal = 13,
  kTagJson = 14
};

void encode_elements(std::span<const Value> items, std::string& out) {
  wire::put_number(out, items.size());
  for (const Value& item : items) encode_value(item, out);
}

void encode_pairs(std::span<const Value> pairs, std::string& out) {
  wire::put_number(out, pairs.size() / 2);
  for (size_t i = 0; i < pairs.size(); i += 2) {
    wire::put_string(out, pairs[i].as_text());
    encode_value(pairs[i + 1], out);
  }
}

class Decoder {
 public:
  Decoder(std::string_view bytes, size_t offset) : reader_(bytes, offset) {}

  tl::expected<Value, ValueError> run(size_t* offset) {
    Value value;
    if (!decode(&value, 0)) {
      return tl::unexpected(ValueError{message_, reader_.offset()});
    }
    if (!value.within_limits()) {
      return tl::unexpected(ValueError{"over a limit of values", reader_.offset()});
    }
    *offset = reader_.offset();
    return value;
  }

 private:
  bool refuse(const char* message) {
    reader_.fail();
    message_ = message;
    return false;
  }

  bool decode(Value* value, uint32_t depth) {
    if (depth > kValueDepthMax) return refuse("nested too deeply");
    // What the finished value would count; a small text cannot ask for much memory.
    if (++nodes_ * 9 > kValueBytesMax) return refuse("too many elements");
    switch (reader_.u8()) {
      case kTagNone:
        return !reader_.failed();
      case kTagFalse:
        *value = Value::boolean(false);
        return true;
      case kTagTrue:
        *value = Value::boolean(true);
        return true;
      case kTagInt:
        *value = Value::integer(reader_.signed_number());
        return !reader_.failed();
      case kTagFloat:
        return decode_float(value);
      case kTagDuration:
        *value = Value::duration(reader_.signed_number());
        return !reader_.failed();
      case kTagTimestamp:
        *value = Value::timestamp(reader_.signed_number());
        return !reader_.failed();
      case kTagString:
        return decode_string(value);
      case kTagBytes:
        *value = Value::bytes(reader_.string(kValueBytesMax));
        return !reader_.failed();
      case kTagList:
        return decode_list(value, depth);
      case kTagMap:
        return decode_map(value, depth);
      case kTagRecord:
        return decode_record(value, depth);
      case kTagEnum:
        return decode_enum(value, depth);
      case kTagDecimal:
        return decode_decimal(value);
      case kTagJson:
        return decode_json_text(value);
      default:
        return refuse("unknown tag");
    }
  }

  bool decode_float(Value* value) {
    uint64_t bits = reader_.fixed64();
    auto number = std::bit_cast<double>(bits);
    if (reader_.failed()) return false;
    if (!std::isfinite(number) || bits == 0x8000000000000000U) return refuse("not a float value");
    *value = Value::floating(number);
    return true;
  }

  bool decode_string(Value* value) {
    std::string_view text = reader_.string(kValueBytesMax);
    if (reader_.failed()) return false;
    if (!valid_text(text)) return refuse("not UTF-8");
    *value = Value::string(text);
    return true;
  }

  bool decode_decimal(Value* value) {
    const int scale = reader_.u8();
    const auto high = static_cast<Int128>(reader_.signed_number());
    const uint64_t low = reader_.fixed64();
    constexpr Int128 kHighMax = Int128{1} << 47;
    if (reader_.failed()) return false;
    if (high >= kHighMax || high < -kHighMax) return refuse("not a decimal value");
    const Decimal decimal{(high << 64) | low, scale};
    if (!is_valid(decimal)) return refuse("not a decimal value");
    *value = Value::decimal(decimal);
    return true;
  }

  bool decode_json_text(Value* value) {
    std::string_view text = reader_.string(kValueBytesMax);
    if (reader_.failed()) return false;
    const auto canonical = canonical_json(text);
    if (!canonical || *canonical != text) return refuse("not canonical JSON");
    *value = Value::json(text);
    return true;
  }

  // `count` values onto the stack. Each takes a byte at least, so the count is checked before any
  // is made.
  bool decode_elements(uint64_t count, uint32_t depth) {
    if (reader_.failed() || count > reader_.remaining()) return refuse("truncated");
    for (uint64_t i = 0; i < count; ++i) {
      Value item;
      if (!decode(&item, depth + 1)) return false;
      stack_.push_back(std::move(item));
    }
    return true;
  }

  std::span<Value> top(size_t base) { return std::span<Value>(stack_).subspan(base); }

  bool decode_list(Value* value, uint32_t depth) {
    size_t base = stack_.size();
    if (!decode_elements(reader_.number_up_to(kValueCountMax), depth)) return false;
    *value = Value::take_list(top(base));
    stack_.resize(base);
    return true;
  }

  bool decode_map(Value* value, uint32_t depth) {
    uint64_t count = reader_.number_up_to(kValueCountMax);
    if (reader_.failed() || count > reader_.remaining()) return refuse("truncated");
    std::vector<std::pair<Value, Value>> entries;
    std::string_view last;
    for (uint64_t i = 0; i < count; ++i) {
      std::string_view key = reader_.string(kValueBytesMax);
      if (reader_.failed() || !valid_text(key)) return refuse("not a map key");
      if (i > 0 && key <= last) return refuse("map keys out of order");
      last = key;
      Value item;
      if (!decode(&item, depth + 1)) return false;
      entries.emplace_back(Value::string(key), std::move(item));
    }
    *value = Value::map(std::move(entries));
    return true;
  }

  bool decode_record(Value* value, uint32_t depth) {
    uint64_t record = reader_.number_up_to(kRecordsMax);
    size_t base = stack_.size();
    if (!decode_elements(reader_.number_up_to(kFieldsMax), depth)) return false;
    *value = Value::take_record(static_cast<uint32_t>(record), top(base));
    stack_.resize(base);
    return true;
  }

  bool decode_enum(Value* value, uint32_t depth) {
    uint64_t enumeration = reader_.number_up_to(kRecordsMax);
    uint64_t which = reader_.number_up_to(kEnumCasesMax);
    size_t base = stack_.size();
    if (!decode_elements(reader_.number_up_to(kFieldsMax), depth)) return false;
    *value = Value::enumeration(static_cast<uint32_t>(enumeration), static_cast<uint16_t>(which),
                                top(base));
    stack_.resize(base);
    return true;
  }

  wire::Reader reader_;
  const char* message_ = "truncated";
  uint64_t nodes_ = 0;
  std::vector<Value> stack_;
};

}  // namespace

void encode_value(const Value& value, std::string& out) {
  switch (value.kind()) {
    case Kind::boolean:
      wire::put_u8(out, value.as_bool() ? kTagTrue : kTagFalse);
      return;
    case Kind::integer:
      wire::put_u8(out, kTagInt);
      return wire::put_signed(out, value.as_int());
    case Kind::floating:
      wire::put_u8(out, kTagFloat);
      return wire::put_fixed64(out, std::bit_cast<uint64_t>(value.as_float()));
    case Kind::duration:
      wire::put_u8(out, kTagDuration);
      return wire::put_signed(out, value.as_int());
    case Kind::timestamp:
      wire::put_u8(out, kTagTimestamp);
      return wire::put_signed(out, value.as_int());
    case Kind::string:
      wire::put_u8(out, kTagString);
      return wire::put_string(out, value.as_text());
    case Kind::bytes:
      wire::put_u8(out, kTagBytes);
      return wire::put_string(out, value.as_text());
    case Kind::list:
      wire::put_u8(out, kTagList);
      return encode_elements(value.elements(), out);
    case Kind::map:
      wire::put_u8(out, kTagMap);
      return encode_pairs(value.pairs(), out);
    case Kind::record:
      wire::put_u8(out, kTagRecord);
      wire::put_number(out, value.type_index());
      return encode_elements(value.elements(), out);
    case Kind::enumeration:
      wire::put_u8(out, kTagEnum);
      wire::put_number(out, value.type_index());
      wire::put_number(out, value.enum_case());
      return encode_elements(value.elements(), out);
    case Kind::decimal: {
      const Decimal decimal = value.as_decimal();
      wire::put_u8(out, kTagDecimal);
      wire::put_u8(out, static_cast<uint8_t>(decimal.scale));
      wire::put_signed(out, static_cast<int64_t>(decimal.coefficient >> 64));
      return wire::put_fixed64(out, static_cast<uint64_t>(decimal.coefficient));
    }
    case Kind::json:
      wire::put_u8(out, kTagJson);
      return wire::put_string(out, value.as_text());
    case Kind::none:
    case Kind::optional:
      wire::put_u8(out, kTagNone);
      return;
  }
}

std::string encode_value(const Value& value) {
  std::string out;
  encode_value(value, out);
  return out;
}

tl::expected<Value, ValueError> decode_value_at(std::string_view bytes, size_t* offset) {
  return Decoder(bytes, *offset).run(offset);
}

tl::expected<Value, ValueError> decode_value(std::string_view bytes) {
  size_t offset = 0;
  auto value = decode_value_at(bytes, &offset);
  if (value && offset != bytes.size()) return tl::unexpected(ValueError{"bytes behind it", offset});
  return value;
}

}  // namespace sluice::vm
