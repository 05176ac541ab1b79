// PostgreSQL's binary format, as far as the journal speaks it: parameters are one-dimensional
// arrays that grow while records are applied, so that a batch is never copied row by row; results
// are read in place.
//
// Integers are big-endian; timestamps are microseconds since 2000-01-01 UTC.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::journal {

// Object ids of the types used, fixed for ever in PostgreSQL's catalogue.
enum class PgType : std::uint32_t {
  bytea = 17,
  int8 = 20,
  int2 = 21,
  int4 = 23,
  text = 25,
  timestamptz = 1184,
  uuid = 2950,
};

// From the epoch of 1970 to that of 2000.
inline constexpr std::int64_t kPgEpochUs = 946'684'800'000'000;

inline void append_u16(std::string& out, std::uint16_t v) {
  const std::uint16_t swapped = __builtin_bswap16(v);
  out.append(reinterpret_cast<const char*>(&swapped), 2);
}
inline void append_u32(std::string& out, std::uint32_t v) {
  const std::uint32_t swapped = __builtin_bswap32(v);
  out.append(reinterpret_cast<const char*>(&swapped), 4);
}
inline void append_u64(std::string& out, std::uint64_t v) {
  const std::uint64_t swapped = __builtin_bswap64(v);
  out.append(reinterpret_cast<const char*>(&swapped), 8);
}

// Values of a binary result. REQUIRES: `p` holds that many bytes.
inline std::uint16_t load_u16(const char* p) {
  std::uint16_t v;
  std::memcpy(&v, p, 2);
  return __builtin_bswap16(v);
}
inline std::uint32_t load_u32(const char* p) {
  std::uint32_t v;
  std::memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
inline std::uint64_t load_u64(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}

// One array parameter. clear() keeps the memory, so a thread's batches stop allocating.
class Column {
 public:
  explicit Column(PgType element) : element_(element) { clear(); }

  void clear() {
    out_.clear();
    count_ = 0;
    has_null_ = false;
    append_u32(out_, 1);  // dimensions
    append_u32(out_, 0);  // has nulls: set by finish()
    append_u32(out_, static_cast<std::uint32_t>(element_));
    append_u32(out_, 0);  // elements: set by finish()
    append_u32(out_, 1);  // lower bound
  }

  void add_int2(std::int16_t v) {
    head(2);
    append_u16(out_, static_cast<std::uint16_t>(v));
  }
  void add_int4(std::int32_t v) {
    head(4);
    append_u32(out_, static_cast<std::uint32_t>(v));
  }
  void add_int8(std::int64_t v) {
    head(8);
    append_u64(out_, static_cast<std::uint64_t>(v));
  }
  void add_time(core::TimeUs unix_us) { add_int8(unix_us - kPgEpochUs); }
  void add_bytes(std::string_view v) {
    head(static_cast<std::uint32_t>(v.size()));
    out_.append(v);
  }
  void add_hash(const core::Hash128& v) {
    const auto bytes = v.bytes();
    add_bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  void add_id(const core::Id128& v) { add_bytes(v.view()); }
  void add_null() {
    has_null_ = true;
    head(0xffffffffu);
  }

  std::size_t count() const { return count_; }
  std::size_t bytes() const { return out_.size(); }
  PgType element() const { return element_; }

  // The parameter's bytes, valid until the next change. May be called again after more was added.
  std::string_view finish() {
    patch(4, has_null_ ? 1 : 0);
    patch(12, count_);
    if (count_ == 0) {  // an empty array has no dimensions
      empty_.clear();
      append_u32(empty_, 0);
      append_u32(empty_, 0);
      append_u32(empty_, static_cast<std::uint32_t>(element_));
      return empty_;
    }
    return out_;
  }

 private:
  void head(std::uint32_t length) {
    ++count_;
    append_u32(out_, length);
  }
  void patch(std::size_t at, std::uint32_t v) {
    const std::uint32_t swapped = __builtin_bswap32(v);
    std::memcpy(out_.data() + at, &swapped, 4);
  }

  PgType element_;
  std::string out_;
  std::string empty_;
  std::uint32_t count_ = 0;
  bool has_null_ = false;
};

// An array of a composite type: one parameter for rows of many columns, which the server unpacks
// for less than as many arrays. Fields are written in the order of the type's columns.
class RowArray {
 public:
  RowArray() { clear(); }

  void clear() {
    out_.assign(kHead, '\0');
    count_ = 0;
  }
  void begin(std::uint32_t fields) {
    ++count_;
    row_ = out_.size();
    append_u32(out_, 0);  // its length: set by end()
    append_u32(out_, fields);
  }
  void int2(std::int16_t v) {
    head(PgType::int2, 2);
    append_u16(out_, static_cast<std::uint16_t>(v));
  }
  void int4(std::int32_t v) {
    head(PgType::int4, 4);
    append_u32(out_, static_cast<std::uint32_t>(v));
  }
  void int8(std::int64_t v) {
    head(PgType::int8, 8);
    append_u64(out_, static_cast<std::uint64_t>(v));
  }
  void time(core::TimeUs unix_us) {
    head(PgType::timestamptz, 8);
    append_u64(out_, static_cast<std::uint64_t>(unix_us - kPgEpochUs));
  }
  void bytes(std::string_view v) {
    head(PgType::bytea, static_cast<std::uint32_t>(v.size()));
    out_.append(v);
  }
  void hash(const core::Hash128& v) {
    const auto raw = v.bytes();
    bytes({reinterpret_cast<const char*>(raw.data()), raw.size()});
  }
  // Nil is null.
  void id(const core::Id128& v) {
    head(PgType::uuid, v.is_nil() ? 0xffffffffu : 16);
    if (!v.is_nil()) out_.append(v.view());
  }
  void end() { patch(row_, static_cast<std::uint32_t>(out_.size() - row_ - 4)); }

  std::size_t count() const { return count_; }
  std::size_t size() const { return out_.size(); }

  // Calls each(bytes, length) for the fields of the only row, in order; a null has no bytes and
  // length 0. REQUIRES: count() == 1. What `bytes` points to is valid until the next change.
  template <typename Each>
  void only_row(Each each) const {
    const char* at = out_.data() + kHead + 4;
    const std::uint32_t fields = load_u32(at);
    at += 4;
    for (std::uint32_t i = 0; i < fields; ++i) {
      const auto length = static_cast<std::int32_t>(load_u32(at + 4));
      at += 8;
      each(length < 0 ? nullptr : at, std::max(length, 0));
      at += std::max(length, 0);
    }
  }

  // The parameter's bytes, valid until the next change. `type` is the composite type's object id in
  // this database.
  std::string_view finish(std::uint32_t type) {
    patch(0, count_ == 0 ? 0 : 1);  // dimensions
    patch(8, type);
    patch(12, count_);
    patch(16, 1);  // lower bound
    return std::string_view(out_).substr(0, count_ == 0 ? 12 : out_.size());
  }

 private:
  static constexpr std::size_t kHead = 20;
  void head(PgType type, std::uint32_t length) {
    append_u32(out_, static_cast<std::uint32_t>(type));
    append_u32(out_, length);
  }
  void patch(std::size_t at, std::uint32_t v) {
    const std::uint32_t swapped = __builtin_bswap32(v);
    std::memcpy(out_.data() + at, &swapped, 4);
  }

  std::string out_;
  std::size_t row_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace sluice::journal
