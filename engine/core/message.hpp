// What travels between partitions: an envelope, the same for all, and a body by its kind. Numbered
// per pair of partitions and taken in order, each once (mailbox.hpp); a partition may send to
// itself, and then nothing is different.
//
// To add a kind: its number and its body here, encode and decode in message.cc, a `take_…` in
// messages.cc that says what it does where it arrives. Numbers and body layouts are stored formats:
// they are only ever added to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/ids.hpp"
#include "engine/core/record.hpp"

namespace sluice::core {

enum class MessageKind : std::uint8_t {
  delivery = 1,      // DeliveryMessage, to the client's home
  publish = 2,       // PublishMessage, to the home of the event's ordering key
  start = 3,         // StartMessage, to where the run will live, its gate if it has one
  ended = 4,         // EndedMessage, to the run whose step began the one that ended
  cancel = 5,        // CancelMessage, to a run that a step began
  turn = 9,          // TurnMessage, to the partition of its key
  signal = 20,       // SignalMessage, to a run's partition
  topic_event = 21,  // TopicEventMessage, to the home of a pair that its field makes
  subscribe = 22,    // SubscribeMessage, to the home of the pair
  unsubscribe = 23,  // likewise
};
// The word in histories; "unknown" for a number that is none.
std::string_view message_kind_name(MessageKind kind);

// The structs hold views, as those of record.hpp do.
struct Envelope {
  MessageKind kind = MessageKind::delivery;
  // How many messages led here, each from a run that the one before began, this one included: over
  // kHopsMax what would begin another run is a dead letter, so that flows which wake each other
  // come to an end.
  std::uint32_t hops = 0;
  RunId run;      // that sent it; nil: none
  Seq cause = 0;  // the sender's record
  std::string_view correlation;
  std::string_view causation;  // that record's name, as those outside know it
  std::string_view traceparent;
  std::string_view body;
};

// A delivery on its way to the client's home partition.
struct DeliveryMessage {
  static constexpr MessageKind kKind = MessageKind::delivery;
  std::string_view client;
  std::string_view name;  // of the event
  std::string_view data_json;
  bool outcome = false;
};

// An event for a `receive` of a run: sent to it by `notify … to run`, or of a topic.
struct SignalMessage {
  static constexpr MessageKind kKind = MessageKind::signal;
  RunId run;
  std::string_view name;   // of the event
  std::string_view topic;  // empty: it was sent to the run itself
  Id128 event;             // of a topic's: its id
  std::string_view data_json;
};

// An event of a topic, for whoever subscribed to that value of that field.
struct TopicEventMessage {
  static constexpr MessageKind kKind = MessageKind::topic_event;
  std::string_view topic;
  std::string_view field;
  std::string_view value;  // JSON
  TimeUs time = 0;         // of the event's record
  std::string_view name;
  Id128 event;
  std::string_view data_json;
};

// A run wants, or no longer wants, the events of that pair; from its beginning on.
struct SubscribeMessage {
  static constexpr MessageKind kKind = MessageKind::subscribe;
  RunId run;
  TimeUs since = 0;
  std::string_view topic;
  std::string_view field;
  std::string_view value;
};

// An event of a flow for a topic. `topic` is the index in that deployment's program, which is the
// sender's: the flows that the event starts are of the newest version where it arrives.
struct PublishMessage {
  static constexpr MessageKind kKind = MessageKind::publish;
  DeploymentNumber deployment = 0;
  std::uint32_t topic = 0;
  std::string_view client;  // of the sender; empty: none
  std::string_view data;    // encode_value of the event
};

// A run that another one starts, as a step that waits for it or for itself.
struct StartMessage {
  static constexpr MessageKind kKind = MessageKind::start;
  RunId run;            // its id, made by the sender
  StepNumber step = 0;  // of the sender's run, which waits for it; 0: nobody does
  DeploymentNumber deployment = 0;
  std::uint32_t flow = 0;
  std::string_view client;  // empty: none
  std::string_view args;    // encode_value of the list of the parameters
};

// The run that a step began is over. With an outcome it has an event; without one it is done (a
// flow that declares none) or has failed.
struct EndedMessage {
  static constexpr MessageKind kKind = MessageKind::ended;
  RunId parent;
  StepNumber step = 0;  // of the parent
  bool completed = false;
  std::optional<std::uint32_t> event;  // index in the program of both
  std::string_view value;              // encode_value of the event
  std::string_view kind, message;      // of the failure, unless completed
};

// Whoever waited for this run does not any more.
struct CancelMessage {
  static constexpr MessageKind kKind = MessageKind::cancel;
  RunId run;
  std::string_view message;
};

// A run that counts with those of another partition under `concurrency`: it begins there.
struct TurnMessage {
  static constexpr MessageKind kKind = MessageKind::turn;
  DeploymentNumber deployment = 0;
  std::uint32_t flow = 0;
  RunId run;  // its id, known to who sent the event
  std::string_view client;
  std::string_view args;     // the encoded list of the flow's parameters
  TimeUs started = 0;        // when its event was taken
  std::uint64_t ttl_ms = 0;  // of the event, from then; 0: none
  EventId event;             // that starts it; nil: none did
};

std::string encode(const Envelope& envelope);
std::string encode(const DeliveryMessage& body);
std::string encode(const SignalMessage& body);
std::string encode(const TopicEventMessage& body);
std::string encode(const SubscribeMessage& body);
std::string encode(const PublishMessage& body);
std::string encode(const StartMessage& body);
std::string encode(const EndedMessage& body);
std::string encode(const CancelMessage& body);
std::string encode(const TurnMessage& body);

template <>
std::optional<Envelope> decode<Envelope>(std::string_view bytes);
template <>
std::optional<DeliveryMessage> decode<DeliveryMessage>(std::string_view bytes);
template <>
std::optional<SignalMessage> decode<SignalMessage>(std::string_view bytes);
template <>
std::optional<TopicEventMessage> decode<TopicEventMessage>(std::string_view bytes);
template <>
std::optional<SubscribeMessage> decode<SubscribeMessage>(std::string_view bytes);
template <>
std::optional<PublishMessage> decode<PublishMessage>(std::string_view bytes);
template <>
std::optional<StartMessage> decode<StartMessage>(std::string_view bytes);
template <>
std::optional<EndedMessage> decode<EndedMessage>(std::string_view bytes);
template <>
std::optional<CancelMessage> decode<CancelMessage>(std::string_view bytes);
template <>
std::optional<TurnMessage> decode<TurnMessage>(std::string_view bytes);

}  // namespace sluice::core
