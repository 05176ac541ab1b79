// Frames of the client socket (protocols.md, "Client socket"): text in, fields out; and what the
// server says, appended to a string. Pure; fuzzed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/codec/frame_fields.hpp"
#include "vm/json.hpp"

namespace sluice::gateway {

enum class ClientVerb : std::uint8_t {
  kHello,
  kSend,
  kSignal,
  kCancel,
  kSubscribe,
  kUnsubscribe,
  kAck,
  kRefresh,
  kPing,
  kWatch,
  kUnwatch
};

// What a text is as a frame of a client. Exactly one of the three.
struct ClientParse {
  enum class Kind : std::uint8_t {
    kFrame,    // `verb`, with its fields present and within their limits
    kInvalid,  // answer `rejected invalid` to fields.id
    kBad,      // close with 4400
  };
  Kind kind = Kind::kBad;
  ClientVerb verb = ClientVerb::kPing;
  std::string message;  // why not
};

// The `t` of every frame that a client may say.
std::vector<std::string_view> client_verbs();

ClientParse parse_client_frame(std::string_view text, FrameFields& fields);

// Server frames, each appended to `out` as one JSON object.
struct WelcomeFrame {
  std::string_view session;
  std::string_view client;
  std::string_view epoch;
  std::uint64_t offset = 0;
  bool recovered = true;
  std::size_t pending = 0;
  std::size_t frame_bytes = 0;
};
void append_welcome(std::string& out, const WelcomeFrame& frame);

struct AcceptedFrame {
  std::string_view id;
  std::string_view event;
  std::uint64_t seq = 0;
  const std::vector<std::string>& runs;
  std::string_view correlation;
  bool duplicate = false;
};
// What a subscribe or unsubscribe is answered with, if it has an id.
struct SubscriptionFrame {
  std::string_view id;
  std::string_view group;
  std::optional<std::uint64_t> offset;  // deliveries after this one follow
  bool recovered = true;                // false: some after the offset that was asked for are gone
};
void append_subscription(std::string& out, const SubscriptionFrame& frame);
// A subscription that was accepted has ended, unasked.
struct UnsubscribedFrame {
  std::string_view group;
  std::string_view code;
  std::string_view message;
};
void append_unsubscribed(std::string& out, const UnsubscribedFrame& frame);
void append_accepted(std::string& out, const AcceptedFrame& frame);

struct RejectedFrame {
  std::string_view id;
  std::string_view code;
  std::string_view message;
  std::uint32_t retry_after_ms = 0;  // 0: left out
  const std::vector<vm::JsonProblem>* errors = nullptr;
};
void append_rejected(std::string& out, const RejectedFrame& frame);

struct DeliveryFrame {
  std::uint64_t offset = 0;
  std::string_view group;  // whose log the offset counts in; empty: the client's own
  std::string_view name;
  std::string_view data_json;
  std::string_view run;
  std::string_view correlation;
  std::string_view causation;
  bool outcome = false;
};
void append_delivery(std::string& out, const DeliveryFrame& frame);
// The fields of a delivery without `t`: an item of the HTTP list, the data of an SSE event.
void append_delivery_item(std::string& out, const DeliveryFrame& frame);

// A piece of a live stream.
struct TokenFrame {
  std::string_view run;
  std::string_view step;
  std::uint32_t attempt = 1;
  std::uint64_t n = 0;
  std::string_view data;
};
void append_token(std::string& out, const TokenFrame& frame);

struct StreamFrame {
  std::string_view run;
  std::string_view step;
  std::uint32_t attempt = 1;
  std::string_view status;
  const std::string* text = nullptr;  // of a snapshot
};
void append_stream(std::string& out, const StreamFrame& frame);

// A watched run; what is empty or 0 is left out.
struct RunFrame {
  std::string_view run;
  std::string_view state;
  std::string_view step;
  std::uint32_t attempt = 0;
  std::string_view why;
  std::string_view joined;  // of state `joined`: the run that answers
};
void append_run(std::string& out, const RunFrame& frame);

void append_slow(std::string& out, std::size_t pending, std::uint32_t retry_after_ms);
void append_error(std::string& out, std::string_view code, std::string_view message);
inline constexpr std::string_view kOkFrame = R"({"t":"ok"})";
inline constexpr std::string_view kPongFrame = R"({"t":"pong"})";

// `,"errors":[{"path","message"}…]`, the member that `invalid` carries.
void append_errors(std::string& out, const std::vector<vm::JsonProblem>& errors);

}  // namespace sluice::gateway
