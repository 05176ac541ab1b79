#include "gateway/codec/frame_fields.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <limits>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonKind;
using vm::JsonReader;

struct FieldRow {
  std::string_view name;
  std::uint32_t field;
  std::string FrameFields::*text = nullptr;
  std::uint64_t FrameFields::*count = nullptr;
  std::string_view FrameFields::*raw = nullptr;
  std::vector<std::string> FrameFields::*list = nullptr;
  bool FrameFields::*flag = nullptr;
};

// In the order of the bits of Field.
constexpr std::array kRows = {
    FieldRow{.name = "t", .field = kFieldT, .text = &FrameFields::t},
    FieldRow{.name = "id", .field = kFieldId, .text = &FrameFields::id},
    FieldRow{.name = "topic", .field = kFieldTopic, .text = &FrameFields::topic},
    FieldRow{.name = "data", .field = kFieldData, .raw = &FrameFields::data},
    FieldRow{.name = "ttl_ms", .field = kFieldTtl, .count = &FrameFields::ttl_ms},
    FieldRow{.name = "correlation", .field = kFieldCorrelation, .text = &FrameFields::correlation},
    FieldRow{.name = "run", .field = kFieldRun, .text = &FrameFields::run},
    FieldRow{.name = "offset", .field = kFieldOffset, .count = &FrameFields::offset},
    FieldRow{.name = "token", .field = kFieldToken, .text = &FrameFields::token},
    FieldRow{.name = "session", .field = kFieldSession, .text = &FrameFields::session},
    FieldRow{.name = "resume", .field = kFieldResume},
    FieldRow{.name = "worker", .field = kFieldWorker, .text = &FrameFields::worker},
    FieldRow{.name = "tasks", .field = kFieldTasks, .list = &FrameFields::tasks},
    FieldRow{.name = "credit", .field = kFieldCredit, .count = &FrameFields::credit},
    FieldRow{.name = "reclaim", .field = kFieldReclaim, .list = &FrameFields::reclaim},
    FieldRow{.name = "n", .field = kFieldN, .count = &FrameFields::n},
    FieldRow{.name = "lease", .field = kFieldLease, .text = &FrameFields::lease},
    FieldRow{.name = "result", .field = kFieldResult, .raw = &FrameFields::result},
    FieldRow{.name = "kind", .field = kFieldKind, .text = &FrameFields::kind},
    FieldRow{.name = "message", .field = kFieldMessage, .text = &FrameFields::message},
    FieldRow{.name = "retry", .field = kFieldRetry, .flag = &FrameFields::retry},
    FieldRow{
        .name = "retry_after_ms", .field = kFieldRetryAfter, .count = &FrameFields::retry_after_ms},
    FieldRow{.name = "wait_ms", .field = kFieldWait, .count = &FrameFields::wait_ms},
    FieldRow{.name = "traceparent", .field = kFieldTraceparent, .text = &FrameFields::traceparent},
    FieldRow{.name = "event", .field = kFieldEvent, .text = &FrameFields::event},
    FieldRow{.name = "group", .field = kFieldGroup, .text = &FrameFields::group},
    FieldRow{.name = "token_ms", .field = kFieldTokenMs, .count = &FrameFields::token_ms},
    FieldRow{.name = "version", .field = kFieldVersion, .count = &FrameFields::version},
};

const FieldRow* row_named(std::string_view name) {
  for (const FieldRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// False: the reader failed, or the value is of another type and was skipped.
bool read_strings(JsonReader& reader, std::vector<std::string>& list) {
  bool all = reader.begin_array();
  while (reader.next_element()) {
    if (reader.kind() == JsonKind::string) {
      reader.read_string(&list.emplace_back());
    } else {
      all = false;
      reader.skip();
    }
  }
  return all && reader.ok();
}

bool read_number(JsonReader& reader, std::uint64_t* value) {
  std::string_view raw;
  return reader.skip(&raw) && read_count(raw, value);
}

bool read_resume(JsonReader& reader, FrameFields& fields) {
  bool epoch = false;
  bool offset = false;
  std::string_view key;
  if (!reader.begin_object()) return false;
  while (reader.next_key(&key)) {
    if (key == "epoch" && reader.kind() == JsonKind::string) {
      epoch = reader.read_string(&fields.resume_epoch);
    } else if (key == "offset" && reader.kind() == JsonKind::number) {
      offset = read_number(reader, &fields.resume_offset);
    } else {
      reader.skip();
    }
  }
  return epoch && offset && reader.ok();
}

// Whether the value was there in its type. Otherwise it was skipped (or the reader failed).
bool read_value(JsonReader& reader, const FieldRow& row, FrameFields& fields) {
  const JsonKind kind = reader.kind();
  if (row.text != nullptr && kind == JsonKind::string)
    return reader.read_string(&(fields.*row.text));
  if (row.count != nullptr && kind == JsonKind::number)
    return read_number(reader, &(fields.*row.count));
  if (row.raw != nullptr) return reader.skip(&(fields.*row.raw));
  if (row.flag != nullptr && kind == JsonKind::boolean)
    return reader.read_bool(&(fields.*row.flag));
  if (row.list != nullptr && kind == JsonKind::array) return read_strings(reader, fields.*row.list);
  if (row.field == kFieldResume && kind == JsonKind::object) return read_resume(reader, fields);
  reader.skip();
  return false;
}

}  // namespace

void FrameFields::clear() {
  present = wrong = 0;
  for (std::string* text : {&t, &id, &topic, &correlation, &run, &token, &session, &worker, &lease,
                            &kind, &message, &traceparent, &resume_epoch}) {
    text->clear();
  }
  data = result = {};
  resume_offset = version = ttl_ms = offset = credit = n = retry_after_ms = wait_ms = token_ms = 0;
  retry = false;
  tasks.clear();
  reclaim.clear();
}

FieldsError read_fields(std::string_view text, FrameFields& fields) {
  fields.clear();
  JsonReader reader(text);
  std::string_view key;
  if (reader.kind() != JsonKind::object) {
    if (reader.skip() && reader.finish()) return {"not a JSON object", 0};
  } else if (reader.begin_object()) {
    while (reader.next_key(&key)) {
      const FieldRow* row = row_named(key);
      if (row == nullptr) {
        reader.skip();
        continue;
      }
      const bool good = read_value(reader, *row, fields);
      (good ? fields.present : fields.wrong) |= row->field;
    }
  }
  if (reader.ok() && reader.finish()) return {};
  return {reader.error(), reader.error_offset()};
}

std::string_view field_name(std::uint32_t mask) {
  return mask == 0 ? std::string_view()
                   : kRows[static_cast<std::size_t>(std::countr_zero(mask))].name;
}

bool read_count(std::string_view digits, std::uint64_t* value) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (error != std::errc() || end != digits.data() + digits.size() || number > kMax) return false;
  *value = number;
  return true;
}

void cut_text(std::string& text, std::size_t max) {
  if (text.size() <= max) return;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xc0) == 0x80) --max;
  text.resize(max);
}

bool is_visible_ascii(std::string_view text, std::size_t max) {
  if (text.empty() || text.size() > max) return false;
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

}  // namespace sluice::gateway
