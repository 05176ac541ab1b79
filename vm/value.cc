#include "vm/value.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "vm/hash.hpp"

namespace sluice::vm {
namespace {

constexpr uint64_t kScalarBytes = 9;

uint32_t saturate(uint64_t bytes) {
  return bytes > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(bytes);
}

uint64_t tag(Kind kind) {
  return static_cast<uint64_t>(kind);
}

// The index of a map stands behind its pairs: an open hash table of pair numbers from 1, 0 is free.
// Maps are kept sorted, so it only saves the search: it is made once a map that does not grow has
// been asked a quarter as often as it has pairs, and is forgotten when a key comes or goes.
constexpr uint32_t kIndexedCapacity = 16;
constexpr uint32_t kIndexed = UINT32_MAX;  // as a map's note
// Who looks this often without an end searches: keys that were made to collide cost no more.
constexpr uint32_t kProbesMax = 16;

// Of keys, which have a few bytes mostly: what a call costs would be more than the comparison.
template <class Word>
[[gnu::always_inline]] inline bool same_ends(const char* a, const char* b, size_t size) {
  Word first[2], last[2];
  std::memcpy(&first[0], a, sizeof(Word));
  std::memcpy(&first[1], b, sizeof(Word));
  std::memcpy(&last[0], a + size - sizeof(Word), sizeof(Word));
  std::memcpy(&last[1], b + size - sizeof(Word), sizeof(Word));
  return first[0] == first[1] && last[0] == last[1];
}
[[gnu::always_inline]] inline bool same_bytes(const char* a, const char* b, size_t size) {
  if (size > 2 * sizeof(uint64_t)) return std::memcmp(a, b, size) == 0;
  if (size >= sizeof(uint64_t)) return same_ends<uint64_t>(a, b, size);
  if (size >= sizeof(uint32_t)) return same_ends<uint32_t>(a, b, size);
  for (size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

uint32_t index_slots(uint32_t capacity) {
  return capacity < kIndexedCapacity ? 0 : std::bit_ceil(capacity) * 2;
}

}  // namespace

size_t Value::object_bytes(Kind kind, uint32_t capacity) {
  switch (kind) {
    case Kind::string:
    case Kind::bytes:
    case Kind::json:
      return sizeof(HeapObject) + capacity;
    case Kind::map:
      return sizeof(HeapObject) + size_t{2} * capacity * sizeof(Value) +
             index_slots(capacity) * sizeof(uint32_t);
    default:
      return sizeof(HeapObject) + capacity * sizeof(Value);
  }
}

HeapObject* Value::allocate(Kind kind, uint32_t count, uint32_t capacity) {
  void* memory = std::malloc(object_bytes(kind, capacity));
  if (memory == nullptr) throw std::bad_alloc();
  return new (memory) HeapObject{1, 0, count, capacity, 0, 0};
}

void Value::destroy(Value& value) {
  if (!value.is_text()) {
    Value* slots = value.slots();
    for (uint32_t i = 0, n = value.slot_count(); i < n; ++i) slots[i].~Value();
  }
  std::free(value.payload_.object);
}

Value Value::string(std::string_view text) {
  if (text.empty()) return Value(Kind::string, 0);
  auto size = static_cast<uint32_t>(text.size());
  HeapObject* object = allocate(Kind::string, size, size);
  object->bytes = saturate(kScalarBytes + text.size());
  std::memcpy(object + 1, text.data(), text.size());
  return Value(tag(Kind::string) | kObjectBit, object);
}

Value Value::bytes(std::string_view data) {
  Value value = string(data);
  value.word_ = (value.word_ & ~uint64_t{0xff}) | tag(Kind::bytes);
  return value;
}

Value Value::decimal(const Decimal& value) {
  const auto low = static_cast<int64_t>(static_cast<uint64_t>(value.coefficient));
  Value result(Kind::decimal, low);
  const auto high = static_cast<uint64_t>(static_cast<int64_t>(value.coefficient >> 64));
  result.word_ |= high << 16 | static_cast<uint64_t>(value.scale) << 9;
  return result;
}

Value Value::json(std::string_view text) {
  Value value = string(text);
  value.word_ = (value.word_ & ~uint64_t{0xff}) | tag(Kind::json);
  uint32_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      i += c == '\\' ? 1 : 0;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  if (value.has_object()) value.payload_.object->depth = deepest;
  return value;
}

// Reads bytes and depth off the elements.
void Value::recount() {
  if (!has_object()) return;
  uint64_t bytes = kScalarBytes;
  uint32_t depth = 0;
  const Value* items = slots();
  for (uint32_t i = 0, n = slot_count(); i < n; ++i) {
    bytes += items[i].logical_bytes();
    depth = std::max(depth, items[i].depth());
  }
  payload_.object->bytes = saturate(bytes);
  payload_.object->depth = depth + 1;
}

Value Value::elements_value(uint64_t word, std::span<const Value> items) {
  if (items.empty()) return Value(word, nullptr);
  const auto kind = static_cast<Kind>(word & 0xff);
  auto count = static_cast<uint32_t>(kind == Kind::map ? items.size() / 2 : items.size());
  Value value(word | kObjectBit, allocate(kind, count, count));
  Value* out = value.slots();
  for (size_t i = 0; i < items.size(); ++i) new (out + i) Value(items[i]);
  value.recount();
  return value;
}

Value Value::take_elements(uint64_t word, std::span<Value> items) {
  if (items.empty()) return Value(word, nullptr);
  const auto kind = static_cast<Kind>(word & 0xff);
  auto count = static_cast<uint32_t>(kind == Kind::map ? items.size() / 2 : items.size());
  Value value(word | kObjectBit, allocate(kind, count, count));
  Value* out = value.slots();
  for (size_t i = 0; i < items.size(); ++i) new (out + i) Value(std::move(items[i]));
  value.recount();
  return value;
}

Value Value::list(std::vector<Value> items) {
  return take_list(items);
}
Value Value::list(std::span<const Value> items) {
  return elements_value(tag(Kind::list), items);
}
Value Value::take_list(std::span<Value> items) {
  return take_elements(tag(Kind::list), items);
}

Value Value::map(std::vector<std::pair<Value, Value>> entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.first.as_text() < b.first.as_text();
  });
  std::vector<Value> flat;
  flat.reserve(entries.size() * 2);
  for (size_t i = 0; i < entries.size(); ++i) {
    bool repeated =
        i + 1 < entries.size() && entries[i].first.as_text() == entries[i + 1].first.as_text();
    if (repeated) continue;
    flat.push_back(std::move(entries[i].first));
    flat.push_back(std::move(entries[i].second));
  }
  return take_elements(tag(Kind::map), flat);
}

Value Value::record(uint32_t record, std::span<const Value> fields) {
  return elements_value(tag(Kind::record) | static_cast<uint64_t>(record) << 32, fields);
}
Value Value::take_record(uint32_t record, std::span<Value> fields) {
  return take_elements(tag(Kind::record) | static_cast<uint64_t>(record) << 32, fields);
}
Value Value::enumeration(uint32_t enumeration, uint16_t which, std::span<const Value> fields) {
  return elements_value(tag(Kind::enumeration) | static_cast<uint64_t>(which) << 16 |
                            static_cast<uint64_t>(enumeration) << 32,
                        fields);
}

const Value* Value::find(std::string_view key) const {
  std::span<const Value> all = pairs();
  size_t low = 0, high = all.size() / 2;
  while (low < high) {
    size_t middle = (low + high) / 2;
    int order = all[2 * middle].as_text().compare(key);
    if (order == 0) return &all[2 * middle + 1];
    (order < 0 ? low : high) = order < 0 ? middle + 1 : middle;
  }
  return nullptr;
}

[[gnu::always_inline]] inline uint32_t Value::text_hash() const {
  if (!has_object()) return 1;
  uint32_t& note = payload_.object->note;
  if (note == 0) [[unlikely]]
    note = std::max(static_cast<uint32_t>(hash64(as_text())), 1U);
  return note;
}

uint32_t* Value::map_index() const {
  return reinterpret_cast<uint32_t*>(slots() + size_t{2} * payload_.object->capacity);
}

// A key that finds no place within kProbesMax is left out: who looks for it finds none free either.
void Value::build_index() const {
  HeapObject* object = payload_.object;
  uint32_t* index = map_index();
  const uint32_t mask = index_slots(object->capacity) - 1;
  std::fill_n(index, mask + 1, 0);
  for (uint32_t pair = 0; pair < object->count; ++pair) {
    const uint32_t hash = slots()[2 * pair].text_hash();
    for (uint32_t probe = 0; probe < kProbesMax; ++probe) {
      uint32_t& place = index[(hash + probe) & mask];
      if (place != 0) continue;
      place = pair + 1;
      break;
    }
  }
  object->note = kIndexed;
}

// Whether this key, which has its hash, is the key of that hash.
[[gnu::always_inline]] inline bool Value::is_key(const Value& key, uint32_t hash) const {
  if (same_bits(key)) return true;
  if (!has_object() || !key.has_object()) return false;
  const HeapObject* left = payload_.object;
  const HeapObject* right = key.payload_.object;
  return left->note == hash && left->count == right->count &&
         same_bytes(as_text().data(), key.as_text().data(), left->count);
}

const Value* Value::find(const Value& key) const {
  if (!has_object()) return nullptr;
  HeapObject* object = payload_.object;
  if (object->capacity < kIndexedCapacity) return find(key.as_text());
  if (object->note != kIndexed) [[unlikely]] {
    if (++object->note < object->count / 4) return find(key.as_text());
    build_index();
  }
  const uint32_t* index = map_index();
  const uint32_t mask = index_slots(object->capacity) - 1;
  const uint32_t hash = key.text_hash();
  for (uint32_t probe = 0; probe < kProbesMax; ++probe) {
    const uint32_t place = index[(hash + probe) & mask];
    if (place == 0) return nullptr;
    const Value* pair = slots() + size_t{2} * (place - 1);
    if (pair->is_key(key, hash)) return pair + 1;
  }
  return find(key.as_text());
}

// Afterwards this value alone owns an object with room for `capacity` elements.
void Value::make_unique(uint32_t capacity) {
  bool text = is_text();
  HeapObject* old = has_object() ? payload_.object : nullptr;
  if (old != nullptr && old->references == 1) {
    if (old->capacity >= capacity) return;
    // Values may be moved by their bytes: nothing points into an object but its owner.
    capacity = std::max(capacity, old->capacity + std::min(old->capacity, 1U << 20));
    void* memory = std::realloc(static_cast<void*>(old), object_bytes(kind(), capacity));
    if (memory == nullptr) throw std::bad_alloc();
    payload_.object = static_cast<HeapObject*>(memory);
    payload_.object->capacity = capacity;
    payload_.object->note = 0;
    return;
  }
  uint32_t count = old != nullptr ? old->count : 0;
  HeapObject* fresh = allocate(kind(), count, std::max(capacity, count));
  fresh->bytes = old != nullptr ? old->bytes : static_cast<uint32_t>(kScalarBytes);
  fresh->depth = old != nullptr ? old->depth : text ? 0 : 1;
  if (old != nullptr && text) {
    std::memcpy(fresh + 1, old + 1, count);
  } else if (old != nullptr) {
    auto target = reinterpret_cast<Value*>(fresh + 1);
    for (uint32_t i = 0, n = slot_count(); i < n; ++i) new (target + i) Value(slots()[i]);
  }
  if (old != nullptr) --old->references;
  payload_.object = fresh;
  word_ |= kObjectBit;
}

void Value::append(Value item) {
  make_unique(count() + 1);
  HeapObject* object = payload_.object;
  object->bytes = saturate(uint64_t{object->bytes} + item.logical_bytes());
  object->depth = std::max(object->depth, item.depth() + 1);
  new (slots() + object->count++) Value(std::move(item));
}

void Value::append_all(const Value& other) {
  if (!other.has_object()) return;
  Value keep = other;  // `other` may be this very value, whose object is about to grow
  uint32_t more = keep.count();
  make_unique(count() + more);
  HeapObject* object = payload_.object;
  object->note = 0;
  object->bytes = saturate(uint64_t{object->bytes} + keep.logical_bytes() - kScalarBytes);
  if (is_text()) {
    std::memcpy(reinterpret_cast<char*>(object + 1) + object->count, keep.as_text().data(), more);
  } else {
    object->depth = std::max(object->depth, keep.depth());
    Value* out = slots() + object->count;
    for (const Value& item : keep.elements()) new (out++) Value(item);
  }
  object->count += more;
}

void Value::put(const Value& key, Value value) {
  if (const Value* known = find(key)) {
    auto slot = static_cast<uint32_t>(known - pairs().data());
    if (replace_flat(slot, value)) return;
    make_unique(count());
    return replace(slots()[slot], std::move(value));
  }
  std::span<const Value> all = pairs();
  size_t low = 0, high = all.size() / 2;
  while (low < high) {
    size_t middle = (low + high) / 2;
    bool less = all[2 * middle].as_text() < key.as_text();
    (less ? low : high) = less ? middle + 1 : middle;
  }
  make_unique(count() + 1);
  HeapObject* object = payload_.object;
  object->note = 0;
  object->bytes = saturate(uint64_t{object->bytes} + key.logical_bytes() + value.logical_bytes());
  object->depth = std::max({object->depth, key.depth() + 1, value.depth() + 1});
  Value* at = slots() + 2 * low;
  std::memmove(static_cast<void*>(at + 2), static_cast<void*>(at),
               (object->count - low) * 2 * sizeof(Value));
  new (at) Value(key);
  new (at + 1) Value(std::move(value));
  ++object->count;
}

void Value::erase(std::string_view key) {
  const Value* known = find(key);
  if (known == nullptr) return;
  auto slot = static_cast<uint32_t>(known - pairs().data()) - 1;
  if (count() == 1) {
    *this = Value(tag(Kind::map), nullptr);
    return;
  }
  make_unique(count());
  HeapObject* object = payload_.object;
  object->note = 0;
  Value* at = slots() + slot;
  at[0].~Value();
  at[1].~Value();
  std::memmove(static_cast<void*>(at), static_cast<void*>(at + 2),
               (2 * object->count - slot - 2) * sizeof(Value));
  --object->count;
  recount();
}

// Puts another value in the place of one of the elements.
void Value::replace(Value& slot, Value value) {
  HeapObject* object = payload_.object;
  // Without a look at the others, unless this one alone may have been the deepest, or the size is
  // not known.
  bool simple = object->bytes != UINT32_MAX &&
                (value.depth() >= slot.depth() || slot.depth() + 1 < object->depth);
  uint64_t bytes = uint64_t{object->bytes} - slot.logical_bytes() + value.logical_bytes();
  uint32_t depth = value.depth() + 1;
  slot = std::move(value);
  if (!simple) return recount();
  object->bytes = saturate(bytes);
  object->depth = std::max(object->depth, depth);
}

void Value::set_element(uint32_t index, Value value) {
  make_unique(count());
  replace(slots()[index], std::move(value));
}

bool operator==(const Value& a, const Value& b) {
  if (((a.word_ ^ b.word_) & ~Value::kObjectBit) != 0) return false;
  if (a.has_object() != b.has_object()) return false;
  if (!a.has_object()) {
    return a.is(Kind::floating) ? a.as_float() == b.as_float() : a.as_int() == b.as_int();
  }
  const HeapObject* left = a.payload_.object;
  const HeapObject* right = b.payload_.object;
  if (left == right) return true;
  if (left->count != right->count || left->bytes != right->bytes) return false;
  if (a.is_text()) return std::memcmp(left + 1, right + 1, left->count) == 0;
  return std::equal(a.slots(), a.slots() + a.slot_count(), b.slots());
}

std::optional<int> compare(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return std::nullopt;
  auto order = [](auto left, auto right) { return left < right ? -1 : left > right ? 1 : 0; };
  switch (a.kind()) {
    case Kind::boolean:
    case Kind::integer:
    case Kind::duration:
    case Kind::timestamp:
      return order(a.as_int(), b.as_int());
    case Kind::floating:
      return order(a.as_float(), b.as_float());
    case Kind::decimal:
      return compare(a.as_decimal(), b.as_decimal());
    case Kind::string:
    case Kind::bytes:
      return order(a.as_text(), b.as_text());
    default:
      return std::nullopt;
  }
}

}  // namespace sluice::vm
