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

std::string encode(const Envelope& envelope);
std::string encode(const DeliveryMessage& body);
std::string encode(const SignalMessage& body);
std::string encode(const TopicEventMessage& body);
std::string encode(const SubscribeMessage& body);

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

}  // namespace sluice::core
