#include "engine/core/message.hpp"

#include "engine/core/body_codec.hpp"

namespace sluice::core {

std::string_view message_kind_name(MessageKind kind) {
  switch (kind) {
    case MessageKind::delivery:
      return "delivery";
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

}  // namespace sluice::core
