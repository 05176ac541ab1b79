#include "engine/core/message.hpp"

#include "engine/core/body_codec.hpp"

namespace sluice::core {

std::string_view message_kind_name(MessageKind kind) {
  switch (kind) {
    case MessageKind::delivery:
      return "delivery";
    case MessageKind::signal:
      return "signal";
    case MessageKind::topic_event:
      return "topic event";
    case MessageKind::subscribe:
      return "subscribe";
    case MessageKind::unsubscribe:
      return "unsubscribe";
    case MessageKind::publish:
      return "publish";
    case MessageKind::start:
      return "start";
    case MessageKind::ended:
      return "ended";
    case MessageKind::cancel:
      return "cancel";
    case MessageKind::turn:
      return "turn";
  }
  return "unknown";
}

std::string encode(const Envelope& envelope) {
  return write_body(envelope.body.size() + 160, [&](Writer& writer) {
    writer.u8(static_cast<std::uint8_t>(envelope.kind));
    writer.varint(envelope.hops);
    writer.id(envelope.run);
    writer.varint(envelope.cause);
    writer.bytes(envelope.correlation);
    writer.bytes(envelope.causation);
    writer.bytes(envelope.traceparent);
    writer.bytes(envelope.body);
  });
}

template <>
std::optional<Envelope> decode<Envelope>(std::string_view bytes) {
  return read_body<Envelope>(bytes, [](Reader& reader, Envelope& envelope) {
    envelope.kind = static_cast<MessageKind>(reader.u8());
    envelope.hops = reader.varint32();
    envelope.run = reader.id<RunId>();
    envelope.cause = reader.varint();
    envelope.correlation = reader.bytes();
    envelope.causation = reader.bytes();
    envelope.traceparent = reader.bytes();
    envelope.body = reader.bytes();
  });
}

std::string encode(const DeliveryMessage& body) {
  return write_body(body.data_json.size() + 80, [&](Writer& writer) {
    writer.bytes(body.client);
    writer.bytes(body.name);
    writer.bytes(body.data_json);
    writer.flag(body.outcome);
  });
}

template <>
std::optional<DeliveryMessage> decode<DeliveryMessage>(std::string_view bytes) {
  return read_body<DeliveryMessage>(bytes, [](Reader& reader, DeliveryMessage& body) {
    body.client = reader.bytes();
    body.name = reader.bytes();
    body.data_json = reader.bytes();
    body.outcome = reader.flag();
  });
}

std::string encode(const SignalMessage& body) {
  return write_body(body.data_json.size() + 80, [&](Writer& writer) {
    writer.id(body.run);
    writer.bytes(body.name);
    writer.bytes(body.topic);
    writer.id(body.event);
    writer.bytes(body.data_json);
  });
}

template <>
std::optional<SignalMessage> decode<SignalMessage>(std::string_view bytes) {
  return read_body<SignalMessage>(bytes, [](Reader& reader, SignalMessage& body) {
    body.run = reader.id<RunId>();
    body.name = reader.bytes();
    body.topic = reader.bytes();
    body.event = reader.id<Id128>();
    body.data_json = reader.bytes();
  });
}

std::string encode(const TopicEventMessage& body) {
  return write_body(body.data_json.size() + 120, [&](Writer& writer) {
    writer.bytes(body.topic);
    writer.bytes(body.field);
    writer.bytes(body.value);
    writer.svarint(body.time);
    writer.bytes(body.name);
    writer.id(body.event);
    writer.bytes(body.data_json);
  });
}

template <>
std::optional<TopicEventMessage> decode<TopicEventMessage>(std::string_view bytes) {
  return read_body<TopicEventMessage>(bytes, [](Reader& reader, TopicEventMessage& body) {
    body.topic = reader.bytes();
    body.field = reader.bytes();
    body.value = reader.bytes();
    body.time = reader.svarint();
    body.name = reader.bytes();
    body.event = reader.id<Id128>();
    body.data_json = reader.bytes();
  });
}

std::string encode(const SubscribeMessage& body) {
  return write_body(body.value.size() + 80, [&](Writer& writer) {
    writer.id(body.run);
    writer.svarint(body.since);
    writer.bytes(body.topic);
    writer.bytes(body.field);
    writer.bytes(body.value);
  });
}

template <>
std::optional<SubscribeMessage> decode<SubscribeMessage>(std::string_view bytes) {
  return read_body<SubscribeMessage>(bytes, [](Reader& reader, SubscribeMessage& body) {
    body.run = reader.id<RunId>();
    body.since = reader.svarint();
    body.topic = reader.bytes();
    body.field = reader.bytes();
    body.value = reader.bytes();
  });
}

std::string encode(const PublishMessage& body) {
  return write_body(body.data.size() + 80, [&](Writer& writer) {
    writer.varint(body.deployment);
    writer.varint(body.topic);
    writer.bytes(body.client);
    writer.bytes(body.data);
  });
}

template <>
std::optional<PublishMessage> decode<PublishMessage>(std::string_view bytes) {
  return read_body<PublishMessage>(bytes, [](Reader& reader, PublishMessage& body) {
    body.deployment = reader.varint32();
    body.topic = reader.varint32();
    body.client = reader.bytes();
    body.data = reader.bytes();
  });
}

std::string encode(const StartMessage& body) {
  return write_body(body.args.size() + 80, [&](Writer& writer) {
    writer.id(body.run);
    writer.varint(body.step);
    writer.varint(body.deployment);
    writer.varint(body.flow);
    writer.bytes(body.client);
    writer.bytes(body.args);
  });
}

template <>
std::optional<StartMessage> decode<StartMessage>(std::string_view bytes) {
  return read_body<StartMessage>(bytes, [](Reader& reader, StartMessage& body) {
    body.run = reader.id<RunId>();
    body.step = reader.varint32();
    body.deployment = reader.varint32();
    body.flow = reader.varint32();
    body.client = reader.bytes();
    body.args = reader.bytes();
  });
}

std::string encode(const EndedMessage& body) {
  return write_body(body.value.size() + body.message.size() + 80, [&](Writer& writer) {
    writer.id(body.parent);
    writer.varint(body.step);
    writer.flag(body.completed);
    writer.varint(body.event ? std::uint64_t{*body.event} + 1 : 0);
    writer.bytes(body.value);
    writer.bytes(body.kind);
    writer.bytes(body.message);
  });
}

template <>
std::optional<EndedMessage> decode<EndedMessage>(std::string_view bytes) {
  return read_body<EndedMessage>(bytes, [](Reader& reader, EndedMessage& body) {
    body.parent = reader.id<RunId>();
    body.step = reader.varint32();
    body.completed = reader.flag();
    const std::uint64_t event = reader.varint();
    if (event > 0xffffffffu) reader.fail();
    if (event != 0) body.event = static_cast<std::uint32_t>(event - 1);
    body.value = reader.bytes();
    body.kind = reader.bytes();
    body.message = reader.bytes();
  });
}

std::string encode(const CancelMessage& body) {
  return write_body(body.message.size() + 40, [&](Writer& writer) {
    writer.id(body.run);
    writer.bytes(body.message);
  });
}

template <>
std::optional<CancelMessage> decode<CancelMessage>(std::string_view bytes) {
  return read_body<CancelMessage>(bytes, [](Reader& reader, CancelMessage& body) {
    body.run = reader.id<RunId>();
    body.message = reader.bytes();
  });
}

std::string encode(const TurnMessage& body) {
  return write_body(body.args.size() + 96, [&](Writer& writer) {
    writer.varint(body.deployment);
    writer.varint(body.flow);
    writer.id(body.run);
    writer.bytes(body.client);
    writer.bytes(body.args);
    writer.svarint(body.started);
    writer.varint(body.ttl_ms);
    if (!body.event.is_nil()) writer.id(body.event);
  });
}

template <>
std::optional<TurnMessage> decode<TurnMessage>(std::string_view bytes) {
  return read_body<TurnMessage>(bytes, [](Reader& reader, TurnMessage& body) {
    body.deployment = reader.varint32();
    body.flow = reader.varint32();
    body.run = reader.id<RunId>();
    body.client = reader.bytes();
    body.args = reader.bytes();
    body.started = reader.svarint();
    body.ttl_ms = reader.varint();
    if (reader.ok() && !reader.done()) body.event = reader.id<EventId>();
  });
}

}  // namespace sluice::core
