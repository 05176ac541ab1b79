// Bodies of publishing requests taken apart, by content type. Pure; fuzzed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "gateway/net/publish.hpp"

namespace sluice::gateway {

struct EventInput {
  std::string id;                        // idempotency key; made where none is given
  std::string_view data;                 // JSON, a view into the body
  std::string correlation, traceparent;  // of CloudEvents extensions
  std::uint64_t version = 0;             // of the event, as `dataschema` names it; 0: it does not
  std::optional<InputError> problem;     // this one cannot be published
};
struct EventBody {
  std::vector<EventInput> events;
  bool batch = false;  // answers as an array
};

// Error: the body as a whole cannot be read (its content type, or JSON that is broken outside of
// one event).
tl::expected<EventBody, InputError> read_events(std::string_view content_type,
                                                std::string_view idempotency_key,
                                                std::string_view body);

// `application/json; charset=utf-8` -> `application/json`, in lower case.
std::string media_type(std::string_view content_type);

}  // namespace sluice::gateway
