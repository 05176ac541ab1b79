#include "gateway/routes/event_bodies.hpp"

#include <fmt/format.h>

#include "gateway/codec/frame_fields.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/exchange.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonKind;
using vm::JsonReader;

// The body as a whole cannot be read: no JSON, or JSON with values that are refused.
tl::unexpected<InputError> unreadable(const JsonReader& reader) {
  const std::string message = fmt::format("{} at byte {}", reader.error(), reader.error_offset());
  return tl::unexpected(InputError{
      ErrorCode::invalid, message, {{"", message, reader.malformed()}}, reader.malformed()});
}

std::optional<InputError> check_id(std::string_view id) {
  if (!id.empty() && id.size() <= limits::kIdBytes) return std::nullopt;
  return InputError{ErrorCode::invalid,
                    fmt::format("the idempotency key has 1 to {} bytes", limits::kIdBytes),
                    {}};
}

// The key of one event: the request's, with its index in a batch; a random one where none is given.
void set_key(EventInput& event, std::string_view key, bool batch, std::size_t index) {
  if (key.empty()) {
    event.id = random_id();
    return;
  }
  event.id = batch ? fmt::format("{}/{}", key, index) : std::string(key);
  if (!event.problem) event.problem = check_id(event.id);
}

// The version in `https://example.org/ask/v2`: what follows the last `/v`; 0 where there is none.
std::uint64_t version_in(std::string_view schema) {
  std::uint64_t version = 0;
  const std::size_t at = schema.rfind("/v");
  if (at == std::string_view::npos || !read_count(schema.substr(at + 2), &version)) return 0;
  return version;
}

// One CloudEvent in structured mode: `id` is the key, `data` the event.
EventInput read_cloud_event(std::string_view text) {
  EventInput event;
  JsonReader reader(text);
  std::string_view key;
  bool has_data = false;
  std::string version;
  const auto read_text = [&](std::string& into) {
    if (reader.kind() == JsonKind::string) {
      reader.read_string(&into);
    } else {
      reader.skip();
    }
  };
  if (reader.begin_object()) {
    while (reader.next_key(&key)) {
      if (key == "id") {
        read_text(event.id);
      } else if (key == "specversion") {
        read_text(version);
      } else if (key == "dataschema") {
        std::string schema;
        read_text(schema);
        event.version = version_in(schema);
      } else if (key == "data") {
        has_data = reader.skip(&event.data);
      } else if (key == "correlationid" || key == "correlation") {
        read_text(event.correlation);
      } else if (key == "traceparent") {
        read_text(event.traceparent);
      } else {
        reader.skip();
      }
    }
  }
  const auto problem = [&](std::string message) {
    event.problem = InputError{ErrorCode::invalid, std::move(message), {}};
  };
  if (!reader.finish()) {
    event.problem = unreadable(reader).value();
  } else if (version != "1.0") {
    problem("a CloudEvent has `specversion` 1.0");
  } else if (!has_data) {
    problem("the CloudEvent has no `data`");
  } else if (!event.correlation.empty() &&
             !is_visible_ascii(event.correlation, limits::kCorrelationBytes)) {
    problem("`correlationid` has 1 to 128 visible ASCII characters");
  } else if (!event.traceparent.empty() &&
             !is_visible_ascii(event.traceparent, limits::kCorrelationBytes)) {
    problem("`traceparent` is not one");
  } else {
    event.problem = check_id(event.id);
  }
  return event;
}

tl::expected<EventBody, InputError> read_array(std::string_view body, std::string_view key,
                                               bool cloud) {
  EventBody events;
  events.batch = true;
  JsonReader reader(body);
  if (!reader.begin_array()) return unreadable(reader);
  while (reader.next_element()) {
    std::string_view raw;
    if (!reader.skip(&raw)) break;
    if (events.events.size() == limits::kBatchEvents) {
      return tl::unexpected(
          InputError{ErrorCode::too_large,
                     fmt::format("a batch has at most {} events", limits::kBatchEvents),
                     {}});
    }
    EventInput event;
    if (cloud) {
      event = read_cloud_event(raw);
    } else {
      event.data = raw;
      set_key(event, key, true, events.events.size());
    }
    events.events.push_back(std::move(event));
  }
  if (!reader.finish()) return unreadable(reader);
  return events;
}

tl::expected<EventBody, InputError> read_lines(std::string_view body, std::string_view key) {
  EventBody events;
  events.batch = true;
  while (!body.empty()) {
    const std::size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (events.events.size() == limits::kBatchEvents) {
      return tl::unexpected(
          InputError{ErrorCode::too_large,
                     fmt::format("a batch has at most {} events", limits::kBatchEvents),
                     {}});
    }
    EventInput event;
    event.data = line;
    set_key(event, key, true, events.events.size());
    events.events.push_back(std::move(event));
  }
  return events;
}

}  // namespace

std::string media_type(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
  for (char& c : type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return type;
}

tl::expected<EventBody, InputError> read_events(std::string_view content_type,
                                                std::string_view idempotency_key,
                                                std::string_view body) {
  const std::string type = media_type(content_type);
  if (type == "application/x-ndjson") return read_lines(body, idempotency_key);
  if (type == "application/cloudevents-batch+json") return read_array(body, {}, true);
  if (type == "application/cloudevents+json") {
    EventBody one;
    one.events.push_back(read_cloud_event(body));
    return one;
  }
  if (!type.empty() && type != "application/json") {
    return tl::unexpected(
        InputError{ErrorCode::unsupported_media_type,
                   "send application/json, application/x-ndjson, application/cloudevents+json or "
                   "application/cloudevents-batch+json",
                   {}});
  }
  JsonReader reader(body);
  if (reader.kind() == JsonKind::array) return read_array(body, idempotency_key, false);
  // What is wrong with it, down to the path, is said when it is decoded.
  EventBody one;
  one.events.emplace_back().data = body;
  set_key(one.events.front(), idempotency_key, false, 0);
  return one;
}

}  // namespace sluice::gateway
