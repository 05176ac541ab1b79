#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "vm/decimal.hpp"
#include "vm/limits.hpp"
#include "vm/types.hpp"

// Values of the language. 16 bytes, tagged; scalars and enum cases without fields allocate nothing.
//
// Thread rule: reference counts are not atomic. A Value, and everything that shares with it, stays
// on the thread that made it; what crosses threads is encode_value()'s bytes.
//
// Immutable when shared: the mutating members copy first unless this value is the object's only
// owner, so no holder ever sees another's change. Copying a Value costs an increment; moving costs
// nothing.
namespace sluice::vm {

// Heap part of a value. Its elements follow the header.
struct HeapObject {
  uint32_t references;
  uint32_t bytes;     // logical bytes of the whole value, this object and all below it
  uint32_t count;     // bytes of a text; elements of a list, record or enum case; pairs of a map
  uint32_t capacity;  // of the same unit
  // 0 for strings and bytes, the nesting of its text for json, 1 + the deepest element's otherwise
  uint32_t depth;
  // Not part of the value. Of a string: the hash of its text, 0 if it was not asked for yet. Of a
  // map: how often a key was looked for since one was added, or that it has an index (value.cc).
  uint32_t note;
};

class Value {
 public:
  Value() = default;  // none
  Value(const Value& other) : word_(other.word_), payload_(other.payload_) { retain(); }
  Value(Value&& other) noexcept : word_(other.word_), payload_(other.payload_) { other.forget(); }
  // `other` may be a part of this value: it is read before this one lets go.
  Value& operator=(const Value& other) {
    const uint64_t word = other.word_;
    const Payload payload = other.payload_;
    other.retain();
    release();
    word_ = word;
    payload_ = payload;
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      release();
      word_ = other.word_;
      payload_ = other.payload_;
      other.forget();
    }
    return *this;
  }
  ~Value() { release(); }

  // Makers. Those that can exceed a limit (kValueBytesMax, kValueDepthMax, kValueCountMax) do not
  // fail: the value is made, and within_limits() tells; the interpreter turns that into a Fault.
  static Value boolean(bool value) { return Value(Kind::boolean, value ? 1 : 0); }
  static Value integer(int64_t value) { return Value(Kind::integer, value); }
  static Value floating(double value) {  // REQUIRES: finite. -0.0 becomes 0.0
    Value result(Kind::floating, 0);
    result.payload_.floating = value + 0.0;
    return result;
  }
  static Value duration(int64_t ms) { return Value(Kind::duration, ms); }
  static Value timestamp(int64_t us) { return Value(Kind::timestamp, us); }
  static Value string(std::string_view text);  // REQUIRES: valid UTF-8 without U+0000
  static Value bytes(std::string_view data);
  static Value decimal(const Decimal& value);  // REQUIRES: is_valid
  static Value json(std::string_view text);    // REQUIRES: canonical (vm/json.hpp)
  static Value list(std::vector<Value> items);
  static Value list(std::span<const Value> items);
  // Sorts by key; of equal keys the last wins. REQUIRES: keys are strings.
  static Value map(std::vector<std::pair<Value, Value>> entries);
  static Value record(uint32_t record, std::span<const Value> fields);
  static Value enumeration(uint32_t enumeration, uint16_t which,
                           std::span<const Value> fields = {});
  // The same, taking the elements out of `items` (which become none).
  static Value take_list(std::span<Value> items);
  static Value take_record(uint32_t record, std::span<Value> fields);

  Kind kind() const { return static_cast<Kind>(word_ & 0xff); }
  bool is_none() const { return kind() == Kind::none; }
  bool is(Kind kind) const { return this->kind() == kind; }

  // Readers. REQUIRES: the kind fits.
  bool as_bool() const { return payload_.integer != 0; }
  int64_t as_int() const { return payload_.integer; }  // also durations (ms) and timestamps (us)
  double as_float() const { return payload_.floating; }
  Decimal as_decimal() const {
    const auto high = static_cast<Int128>(static_cast<int64_t>(word_) >> 16);
    return {(high << 64) | static_cast<uint64_t>(payload_.integer),
            static_cast<int>(word_ >> 9 & 0x7f)};
  }
  // Of a string, bytes or json; valid as long as this value is unchanged.
  std::string_view as_text() const {
    if (!has_object()) return {};
    return {reinterpret_cast<const char*>(payload_.object + 1), payload_.object->count};
  }
  // Elements of a list, fields of a record or enum case (empty if the case has none).
  std::span<const Value> elements() const {
    if (!has_object()) return {};
    return {slots(), payload_.object->count};
  }
  // A map's keys and values alternate: key at 2i, value at 2i+1, sorted by key.
  std::span<const Value> pairs() const {
    if (!has_object()) return {};
    return {slots(), slot_count()};
  }
  // Number of elements, fields, pairs or bytes; 0 for scalars.
  uint32_t count() const { return has_object() ? payload_.object->count : 0; }
  uint32_t type_index() const { return static_cast<uint32_t>(word_ >> 32); }  // record's or enum's
  uint16_t enum_case() const { return static_cast<uint16_t>(word_ >> 16); }
  const Value* find(std::string_view key) const;  // in a map; null if absent
  // The same; faster where one map is asked often. REQUIRES: the key is a string.
  const Value* find(const Value& key) const;

  // Writers: change this value in place if it is the only owner, a copy otherwise. REQUIRES: the
  // kind and index fit.
  void append(Value item);                        // list
  void append_all(const Value& other);            // list or string, other of the same kind
  void put(const Value& key, Value value);        // map; the key is none of its own
  void erase(std::string_view key);               // map; absent is fine
  void set_element(uint32_t index, Value value);  // list or record

  // Puts a flat value in the place of a flat one and answers true, if this is the only owner and
  // there is such a place: size and depth stay. Of a map, `index` counts keys too.
  bool replace_flat(uint32_t index, const Value& value) {
    if (!has_object() || payload_.object->references != 1 || index >= slot_count()) {
      return false;
    }
    Value& slot = slots()[index];
    if (!slot.is_flat() || !value.is_flat()) return false;
    slot.word_ = value.word_;
    slot.payload_ = value.payload_;
    return true;
  }

  // The same as assigning integer(value) and so on, without a temporary: the interpreter's way.
  void set_integer(int64_t value) { become(Kind::integer, value); }
  void set_boolean(bool value) { become(Kind::boolean, value ? 1 : 0); }
  void set_floating(double value) {  // REQUIRES: finite
    become(Kind::floating, 0);
    payload_.floating = value + 0.0;
  }
  // REQUIRES: finite and not -0.0, as the sum or difference of two floats is.
  void set_sum(double value) {
    become(Kind::floating, 0);
    payload_.floating = value;
  }
  void set_none() { become(Kind::none, 0); }

  // Size of the value as data: what it costs in a snapshot, whether or not parts of it are shared.
  // A function of the content alone. Saturates at 2^32 - 1.
  uint32_t logical_bytes() const { return has_object() ? payload_.object->bytes : 9; }
  uint32_t depth() const { return has_object() ? payload_.object->depth : 0; }
  bool within_limits() const {
    return !has_object() ||
           (payload_.object->bytes <= kValueBytesMax && payload_.object->depth <= kValueDepthMax &&
            payload_.object->count <= (is_text() ? kValueBytesMax : kValueCountMax));
  }
  bool unique() const { return !has_object() || payload_.object->references == 1; }

  // Whether there is nothing behind it in memory: a scalar, an enum case without fields, an empty
  // string, list, map or record. Two such values are equal exactly if their bits are.
  bool is_flat() const { return !has_object(); }
  bool same_bits(const Value& other) const {
    return word_ == other.word_ && payload_.integer == other.payload_.integer;
  }

  // Structural; values of different kinds differ.
  friend bool operator==(const Value& a, const Value& b);

 private:
  union Payload {
    int64_t integer;
    double floating;
    HeapObject* object;
  };

  Value(Kind kind, int64_t integer) : word_(static_cast<uint64_t>(kind)) {
    payload_.integer = integer;
  }
  Value(uint64_t word, HeapObject* object) : word_(word) { payload_.object = object; }

  bool is_text() const {
    return kind() == Kind::string || kind() == Kind::bytes || kind() == Kind::json;
  }
  // Bit 8 of the word says that payload_.object is set: one test for copies and destruction.
  bool has_object() const { return (word_ & kObjectBit) != 0; }
  void retain() const {
    if (has_object()) ++payload_.object->references;
  }
  void release() {
    if (has_object()) [[unlikely]] {
      if (--payload_.object->references == 0) destroy(*this);
    }
  }
  void become(Kind kind, int64_t payload) {
    release();
    word_ = static_cast<uint64_t>(kind);
    payload_.integer = payload;
  }
  void forget() {
    word_ = 0;
    payload_.integer = 0;
  }
  static void destroy(Value& value);
  static HeapObject* allocate(Kind kind, uint32_t count, uint32_t capacity);
  static size_t object_bytes(Kind kind, uint32_t capacity);
  uint32_t text_hash() const;
  bool is_key(const Value& key, uint32_t hash) const;
  uint32_t* map_index() const;
  void build_index() const;
  static Value elements_value(uint64_t word, std::span<const Value> items);
  static Value take_elements(uint64_t word, std::span<Value> items);
  Value* slots() const { return reinterpret_cast<Value*>(payload_.object + 1); }
  uint32_t slot_count() const { return payload_.object->count * (kind() == Kind::map ? 2 : 1); }
  void make_unique(uint32_t capacity);
  void recount();
  void replace(Value& slot, Value value);

  static constexpr uint64_t kObjectBit = 0x100;

  // bits 0-7 kind, 8 has object, 16-31 enum case, 32-63 record or enum index; of a decimal 9-15 the
  // scale and 16-63 the upper bits of the coefficient
  uint64_t word_ = 0;
  Payload payload_{0};
};

static_assert(sizeof(Value) == 16);

// Order of two values of the same ordered kind (int, float, duration, timestamp, string by bytes,
// decimal, bool, bytes): negative, 0, positive. nullopt for other kinds, or if the kinds differ.
std::optional<int> compare(const Value& a, const Value& b);

// Canonical self-describing binary: the same value gives the same bytes and different values
// different bytes, on every machine. Appends. The bytes are stored in journals and snapshots; tags
// are append-only. Numbers are LEB128.
//
//   0 none, 1 false, 2 true          nothing follows
//   3 int, 5 duration, 6 timestamp   zigzag number
//   4 float                          8 bytes, IEEE, little endian
//   7 string, 8 bytes                length, bytes
//   9 list                           count, values
//   10 map                           count, (key length, key bytes, value) with rising keys
//   11 record                        record index, count, values
//   12 enum                          enum index, case, count, values
//   13 decimal                       scale (1 byte), coefficient: zigzag number of its upper bits,
//                                    then 8 bytes with the lower 64, little endian
//   14 json                          length, canonical text
void encode_value(const Value& value, std::string& out);
std::string encode_value(const Value& value);

struct ValueError {
  const char* message;  // a literal
  size_t offset;        // into the bytes
};

// The whole of `bytes` as one value. Refuses what encode_value cannot have made (so decoding then
// encoding gives the same bytes), and never reads outside `bytes` or beyond the limits.
tl::expected<Value, ValueError> decode_value(std::string_view bytes);

// The value at *offset, which moves behind it.
tl::expected<Value, ValueError> decode_value_at(std::string_view bytes, size_t* offset);

// Whether `value` is of that type, all the way down. `path`, if given, gets the RFC 6901 path of
// the first part that is not ("" for the value itself).
bool conforms(const TypeTable& types, TypeId type, const Value& value, std::string* path = nullptr);

// The same for a record by its index: of an event, say.
bool conforms_record(const TypeTable& types, uint32_t record, const Value& value,
                     std::string* path = nullptr);

// The smallest value of a type, as `test` uses it for a task without `given`: 0, "", [], none, the
// first case, records of such. Defaults of fields are taken. Recursive records without an escape
// give none.
Value smallest_value(const TypeTable& types, TypeId type);

// A failure as runs carry it; `why` in the language. `kind` is a name such as "TimedOut".
struct Failure {
  std::string kind;
  std::string message;
  std::string step;     // path of the step, "" if none
  int64_t attempt = 0;  // from 1; 0 if none
  friend bool operator==(const Failure&, const Failure&) = default;
};
Value failure_value(const Failure& failure);  // record kFailureRecord

// For people and tests: `Answer { text: "hi", sources: [] }`, as the language writes it.
std::string describe(const TypeTable& types, const Value& value);

}  // namespace sluice::vm
