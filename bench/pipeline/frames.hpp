// Reading and writing the frames of the two socket protocols with as little work as possible:
// members are found by one pass over the text, and values are handed on as they stand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::bench {

/// Walks over the members of one JSON object without building anything.
///
///   for (MemberScan scan(text); scan.next();) if (scan.key() == "t") …
///
/// Values are raw: a string with its quotes and escapes, an object or array as a whole.
class MemberScan {
 public:
  /// `text` must outlive the scan. Ends early, with `failed()`, where it is no object.
  explicit MemberScan(std::string_view text);

  bool next();
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  bool failed() const { return failed_; }

 private:
  bool fail();
  void skip_space();
  /// The extent of the value that begins at `at_`; empty where there is none.
  std::string_view take_value();

  std::string_view text_;
  std::size_t at_ = 0;
  std::string_view key_, value_;
  bool first_ = true;
  bool failed_ = false;
};

/// The text between a raw string's quotes; escapes are left as they are.
std::string_view inside(std::string_view raw);

/// A raw number without fraction or sign; 0 where it is none.
std::uint64_t number(std::string_view raw);

/// The first element of a raw array, raw; empty where there is none.
std::string_view first_element(std::string_view raw);

/// What every step of the benchmark computes: 96 hexadecimal digits that depend on all of `text`.
std::string step_result(std::string_view text);

/// The text of job `n`, as long as makes the event's data about 200 bytes.
std::string job_text(std::uint64_t n);

/// What the four steps make of job `n`.
std::string expected_result(std::uint64_t n);

}  // namespace sluice::bench
