#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vm/limits.hpp"

namespace sluice::vm {

// What the next value is, judged by its first character.
enum class JsonKind : uint8_t { null, boolean, number, string, array, object, invalid };

// Strict JSON pull reader over a text in memory: RFC 8259, and stricter as protocols.md asks. UTF-8
// is checked, depth is at most kValueDepthMax, duplicate keys, lone surrogates, U+0000 (also
// escaped) and trailing text are errors. It copies nothing unless a string holds escapes.
//
// Use: each read_… reads one whole value and answers whether it was there and right. After the
// first error every call answers false, and error() and error_offset() tell the first error. A read
// of the wrong kind (read_int on a string) is an error too; look at kind() first where that must be
// told apart.
//
//   JsonReader reader(text);
//   if (reader.begin_object()) {
//     std::string_view key;
//     while (reader.next_key(&key)) {
//       if (key == "n") reader.read_int(&n); else reader.skip();
//     }
//   }
//   if (!reader.finish()) … reader.error() …
class JsonReader {
 public:
  // `text` must outlive the reader.
  explicit JsonReader(std::string_view text)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  JsonKind kind();  // of the next value; invalid also at the end of the text

  bool read_null();
  bool read_bool(bool* value);
  // Without fraction or exponent, exact in 64 bits; else an error.
  bool read_int(int64_t* value);
  bool read_uint(uint64_t* value);
  // Any JSON number whose nearest double is finite.
  bool read_double(double* value);
  // A number as it is written. `integral`: without fraction and exponent.
  bool read_number(std::string_view* text, bool* integral);
  // A view into the text, or, if the string holds escapes, into the reader: valid until the next
  // read_string.
  bool read_string(std::string_view* value);
  bool read_string(std::string* value);

  // begin_object() then next_key() until it answers false: the object has ended, or there was an
  // error (ok()). Each key must be followed by one read or skip. Keys are valid until their object
  // ends.
  bool begin_object();
  bool next_key(std::string_view* key);
  // The same without the check for duplicates, for callers that know every key they take. The key
  // is valid until the next read_string.
  bool next_key_unchecked(std::string_view* key);
  // For such callers: makes "duplicate key" the error.
  void fail_duplicate_key() { refuse("duplicate key"); }
  void fail_too_large() { refuse("too large"); }
  // What is unread, from the next value on.
  std::string_view rest() {
    skip_space();
    return {at_, static_cast<size_t>(end_ - at_)};
  }
  // begin_array() then next_element() until false; after each true exactly one read or skip.
  bool begin_array();
  bool next_element();

  // Skips a value, which is checked like any other; `raw` gets its text without surrounding space.
  bool skip(std::string_view* raw = nullptr);

  // Whether the text ended behind the value read.
  bool finish();

  bool ok() const { return error_ == nullptr; }
  const char* error() const { return error_; }  // a literal such as "duplicate key"; null if ok()
  size_t error_offset() const { return static_cast<size_t>(error_at_ - begin_); }
  // Whether the error is that this is not JSON, as against JSON that we refuse: duplicate keys,
  // depth, lone surrogates, U+0000, numbers out of range, a value of another kind than asked for.
  bool malformed() const { return malformed_; }
  size_t offset() const { return static_cast<size_t>(at_ - begin_); }

  // Back to an offset() taken before a value, in order to read that value again. REQUIRES: ok(),
  // and that the reader is in the same object or array as then.
  void rewind(size_t offset) { at_ = begin_ + offset; }

 private:
  struct Level {
    bool object;
    bool first;
    bool large;          // its keys are in the last of large_keys_
    uint32_t first_key;  // into keys_
  };
  using KeySet = std::set<std::string_view>;

  bool fail(const char* message);    // not JSON
  bool refuse(const char* message);  // JSON, but not ours
  void skip_space();
  bool open(bool object);
  void close();
  bool literal(std::string_view word);
  bool number(std::string_view* text, bool* integral);
  bool scan_string(std::string_view* value, std::string* scratch);
  bool unescape(const char* first, const char* at, std::string* out);
  bool read_escape(const char** at, std::string* out);
  bool read_hex4(const char** at, uint32_t* code);
  bool begin_key();
  bool end_key();
  bool note_key(std::string_view key);
  bool skip_value();

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* error_ = nullptr;
  const char* error_at_ = nullptr;
  bool malformed_ = false;
  uint32_t depth_ = 0;
  Level levels_[kValueDepthMax];  // the first depth_ are in use
  std::string scratch_;
  std::vector<std::string_view> keys_;  // of the open objects that are not large
  std::vector<std::unique_ptr<std::string>> escaped_keys_;
  std::vector<std::unique_ptr<KeySet>> large_keys_;
};

// Appends `text` as a JSON string with quotes. REQUIRES: valid UTF-8. Escapes what JSON requires
// and nothing else.
void append_json_string(std::string_view text, std::string& out);

}  // namespace sluice::vm
