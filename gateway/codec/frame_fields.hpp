// Reading one JSON object whose fields are told apart by name, in one pass and without a DOM: what
// client frames, worker frames and small HTTP bodies have in common.
//
// A field of the wrong type is noted, not refused: whether it matters depends on the frame's `t`,
// which may come last. Fields that a frame does not know are ignored.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vm/json_reader.hpp"

namespace sluice::gateway {

// Every field that any frame of ours knows.
enum Field : std::uint32_t {
  kFieldT = 1u << 0,
  kFieldId = 1u << 1,
  kFieldTopic = 1u << 2,
  kFieldData = 1u << 3,
  kFieldTtl = 1u << 4,
  kFieldCorrelation = 1u << 5,
  kFieldRun = 1u << 6,
  kFieldOffset = 1u << 7,
  kFieldToken = 1u << 8,
  kFieldSession = 1u << 9,
  kFieldResume = 1u << 10,
  kFieldWorker = 1u << 11,
  kFieldTasks = 1u << 12,
  kFieldCredit = 1u << 13,
  kFieldReclaim = 1u << 14,
  kFieldN = 1u << 15,
  kFieldLease = 1u << 16,
  kFieldResult = 1u << 17,
  kFieldKind = 1u << 18,
  kFieldMessage = 1u << 19,
  kFieldRetry = 1u << 20,
  kFieldRetryAfter = 1u << 21,
  kFieldWait = 1u << 22,
  kFieldTraceparent = 1u << 23,
  kFieldEvent = 1u << 24,
  kFieldGroup = 1u << 25,
  kFieldTokenMs = 1u << 26,
  kFieldVersion = 1u << 27,
};

// The fields as they were read. Strings keep their capacity when reused for the next frame.
struct FrameFields {
  std::uint32_t present = 0;  // of the right type
  std::uint32_t wrong = 0;    // there, but of another type
  std::string t, id, topic, correlation, run, token, session, worker, lease, kind, message,
      traceparent, event, group;
  std::string resume_epoch;
  std::uint64_t resume_offset = 0;
  std::string_view data;    // raw JSON, a view into the text
  std::string_view result;  // likewise
  std::uint64_t ttl_ms = 0, offset = 0, credit = 0, n = 0, retry_after_ms = 0, wait_ms = 0,
                token_ms = 0;
  std::uint64_t version = 0;  // of the event in `data`; 0: the newest
  bool retry = false;
  std::vector<std::string> tasks, reclaim;

  bool has(std::uint32_t field) const { return (present & field) != 0; }
  void clear();
};

struct FieldsError {
  const char* message = nullptr;  // of the reader; null: no error
  std::size_t offset = 0;
};

// Reads the whole text as one object. On an error what was read before it stays in `fields`.
FieldsError read_fields(std::string_view text, FrameFields& fields);

// The name of the lowest field in `mask`, for messages.
std::string_view field_name(std::uint32_t mask);

// Digits of a JSON number that is an integer in 0 … 2^63-1.
bool read_count(std::string_view digits, std::uint64_t* value);

// Cuts UTF-8 to at most `max` bytes, not in the middle of a character.
void cut_text(std::string& text, std::size_t max);

// 1 to `max` visible ASCII characters.
bool is_visible_ascii(std::string_view text, std::size_t max);

}  // namespace sluice::gateway
