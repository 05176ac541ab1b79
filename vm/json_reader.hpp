#pragma once

#include <cstdint>
#include <deque>
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
  // A view into the text, or, if the string holds escapes, into the reader: valid until the next
  // read_string.
  bool read_string(std::string_view* value);
  bool read_string(std::string* value);

  // begin_object() then next_key() until it answers false: the object has ended, or there was an
  // error (ok()). Each key must be followed by one read or skip. Keys are valid until their object
  // ends.
  bool begin_object();
  bool next_key(std::string_view* key);
  // begin_array() then next_element() until false; after each true exactly one read or skip.
  bool begin_array();
  bool next_element();

  // Skips a value, which is checked like any other; `raw` gets its text without surrounding space.
  bool skip(std::string_view* raw = nullptr);

  // Whether the text ended behind the value read.
  bool finish();

  bool ok() const { return error_ == nullptr; }
  const char* error() const {
    return error_;
  }  // a literal such as "duplicate key"; null while ok()
  size_t error_offset() const { return static_cast<size_t>(error_at_ - begin_); }
  size_t offset() const { return static_cast<size_t>(at_ - begin_); }

  // Back to an offset() taken before a value, in order to read that value again. REQUIRES: ok(),
  // and that the reader is in the same object or array as then.
  void rewind(size_t offset) { at_ = begin_ + offset; }

 private:
  struct Level {
    bool object;
    bool first;
    uint32_t first_key;  // into keys_
    bool large;          // its keys are in large_keys_ of the same depth
  };

  bool fail(const char* message, const char* where);
  void skip_space();
  bool enter(bool object);
  void leave();
  bool literal(const char* word, size_t length);
  bool number_span(const char** last, bool* integral);
  bool scan_string(std::string_view* value, std::string* scratch);
  bool unescape(const char* first, const char* at, std::string* out);
  bool read_escape(const char** at, std::string* out);
  bool note_key(std::string_view key);

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* error_ = nullptr;
  const char* error_at_ = nullptr;
  std::string scratch_;
  std::vector<Level> levels_;
  std::vector<std::string_view> keys_;  // of the open objects
  std::deque<std::string> escaped_keys_;
  std::deque<std::set<std::string_view>> large_keys_;  // of open objects with many keys
};

// Appends `text` as a JSON string with quotes. REQUIRES: valid UTF-8. Escapes what JSON requires
// and nothing else.
void append_json_string(std::string_view text, std::string& out);

}  // namespace sluice::vm
