#include "engine/core/record.hpp"

#include "engine/core/body_codec.hpp"

namespace sluice::core {
namespace {

// What Granted, Done, Failed and Lapsed begin with, and Spoke goes on with.
template <class Body>
void write_attempt(Writer& writer, const Body& body) {
  writer.id(body.run);
  writer.varint(body.step);
  writer.varint(body.attempt);
  writer.varint(body.opened);
}

template <class Body>
void read_attempt(Reader& reader, Body& body) {
  body.run = reader.id<RunId>();
  body.step = reader.varint32();
  body.attempt = reader.varint32();
  body.opened = reader.varint();
}

}  // namespace

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::event:
      return "event";
    case Kind::start:
      return "start";
    case Kind::signal:
      return "signal";
    case Kind::cancel:
      return "cancel";
    case Kind::message:
      return "message";
    case Kind::message_ack:
      return "message_ack";
    case Kind::granted:
      return "granted";
    case Kind::done:
      return "done";
    case Kind::failed:
      return "failed";
    case Kind::lapsed:
      return "lapsed";
    case Kind::verdict:
      return "verdict";
    case Kind::advance:
      return "advance";
    case Kind::go_on:
      return "continue";
    case Kind::presence:
      return "presence";
    case Kind::subscribe:
      return "subscribe";
    case Kind::unsubscribe:
      return "unsubscribe";
    case Kind::cron:
      return "cron";
    case Kind::deployment:
      return "deployment";
    case Kind::migrate:
      return "migrate";
    case Kind::admin:
      return "admin";
    case Kind::erase:
      return "erase";
    case Kind::core:
      return "core";
    case Kind::takeover:
      return "takeover";
    case Kind::join:
      return "join";
  }
  return "unknown";
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::faulted:
      return "faulted";
    case Verdict::suspect:
      return "suspect";
    case Verdict::overridden:
      return "overridden";
    case Verdict::parked:
      return "parked";
  }
  return "unknown";
}

std::string encode(const Event& body) {
  return write_body(body.data.size() + 160, [&](Writer& writer) {
    writer.varint(body.deployment);
    writer.varint(body.topic);
    writer.bytes(body.client);
    writer.bytes(body.id);
    writer.bytes(body.order_key);
    writer.bytes(body.data);
    writer.bytes(body.correlation);
    writer.bytes(body.traceparent);
    writer.varint(body.ttl_ms);
  });
}

template <>
std::optional<Event> decode<Event>(std::string_view bytes) {
  return read_body<Event>(bytes, [](Reader& reader, Event& body) {
    body.deployment = reader.varint32();
    body.topic = reader.varint32();
    body.client = reader.bytes();
    body.id = reader.bytes();
    body.order_key = reader.bytes();
    body.data = reader.bytes();
    body.correlation = reader.bytes();
    body.traceparent = reader.bytes();
    body.ttl_ms = reader.varint();
  });
}

std::string encode(const Start& body) {
  return write_body(body.args.size() + 160, [&](Writer& writer) {
    writer.varint(body.deployment);
    writer.varint(body.flow);
    writer.bytes(body.client);
    writer.bytes(body.id);
    writer.bytes(body.args);
    writer.bytes(body.correlation);
    writer.bytes(body.traceparent);
  });
}

template <>
std::optional<Start> decode<Start>(std::string_view bytes) {
  return read_body<Start>(bytes, [](Reader& reader, Start& body) {
    body.deployment = reader.varint32();
    body.flow = reader.varint32();
    body.client = reader.bytes();
    body.id = reader.bytes();
    body.args = reader.bytes();
    body.correlation = reader.bytes();
    body.traceparent = reader.bytes();
  });
}

std::string encode(const Cancel& body) {
  return write_body(64, [&](Writer& writer) {
    writer.id(body.run);
    writer.bytes(body.client);
    writer.bytes(body.id);
    writer.bytes(body.message);
  });
}

template <>
std::optional<Cancel> decode<Cancel>(std::string_view bytes) {
  return read_body<Cancel>(bytes, [](Reader& reader, Cancel& body) {
    body.run = reader.id<RunId>();
    body.client = reader.bytes();
    body.id = reader.bytes();
    body.message = reader.bytes();
  });
}

std::string encode(const Signal& body) {
  return write_body(body.data.size() + 96, [&](Writer& writer) {
    writer.id(body.run);
    writer.varint(body.deployment);
    writer.varint(body.event);
    writer.bytes(body.client);
    writer.bytes(body.id);
    writer.bytes(body.data);
  });
}

template <>
std::optional<Signal> decode<Signal>(std::string_view bytes) {
  return read_body<Signal>(bytes, [](Reader& reader, Signal& body) {
    body.run = reader.id<RunId>();
    body.deployment = reader.varint32();
    body.event = reader.varint32();
    body.client = reader.bytes();
    body.id = reader.bytes();
    body.data = reader.bytes();
  });
}

std::string encode(const Granted& body) {
  return write_body(32, [&](Writer& writer) { write_attempt(writer, body); });
}

template <>
std::optional<Granted> decode<Granted>(std::string_view bytes) {
  return read_body<Granted>(bytes,
                            [](Reader& reader, Granted& body) { read_attempt(reader, body); });
}

// A verdict begins with what it decides; append only.
enum class VerdictKind : std::uint8_t { spoke = 0 };

std::string encode(const Spoke& body) {
  return write_body(32, [&](Writer& writer) {
    writer.u8(static_cast<std::uint8_t>(VerdictKind::spoke));
    write_attempt(writer, body);
  });
}

template <>
std::optional<Spoke> decode<Spoke>(std::string_view bytes) {
  return read_body<Spoke>(bytes, [](Reader& reader, Spoke& body) {
    if (reader.u8() != static_cast<std::uint8_t>(VerdictKind::spoke)) reader.fail();
    read_attempt(reader, body);
  });
}

std::string encode(const Done& body) {
  return write_body(body.result.size() + 64, [&](Writer& writer) {
    write_attempt(writer, body);
    writer.fixed64(body.args_digest);
    writer.varint(body.nonce);
    writer.bytes(body.result);
  });
}

template <>
std::optional<Done> decode<Done>(std::string_view bytes) {
  return read_body<Done>(bytes, [](Reader& reader, Done& body) {
    read_attempt(reader, body);
    body.args_digest = reader.fixed64();
    body.nonce = reader.varint();
    body.result = reader.bytes();
  });
}

std::string encode(const Failed& body) {
  return write_body(body.message.size() + 96, [&](Writer& writer) {
    write_attempt(writer, body);
    writer.fixed64(body.args_digest);
    writer.varint(body.nonce);
    writer.bytes(body.kind);
    writer.bytes(body.message);
    writer.flag(body.retry);
    writer.varint(body.retry_after_ms);
  });
}

template <>
std::optional<Failed> decode<Failed>(std::string_view bytes) {
  return read_body<Failed>(bytes, [](Reader& reader, Failed& body) {
    read_attempt(reader, body);
    body.args_digest = reader.fixed64();
    body.nonce = reader.varint();
    body.kind = reader.bytes();
    body.message = reader.bytes();
    body.retry = reader.flag();
    body.retry_after_ms = reader.varint32();
  });
}

std::string encode(const Lapsed& body) {
  return write_body(32, [&](Writer& writer) {
    write_attempt(writer, body);
    writer.u8(static_cast<std::uint8_t>(body.reason));
  });
}

template <>
std::optional<Lapsed> decode<Lapsed>(std::string_view bytes) {
  return read_body<Lapsed>(bytes, [](Reader& reader, Lapsed& body) {
    read_attempt(reader, body);
    const std::uint8_t reason = reader.u8();
    if (reason > static_cast<std::uint8_t>(LapseReason::queued)) reader.fail();
    body.reason = static_cast<LapseReason>(reason);
  });
}

std::string encode(const Presence& body) {
  return write_body(40, [&](Writer& writer) {
    writer.id(body.run);
    writer.flag(body.away);
    writer.svarint(body.since);
  });
}

template <>
std::optional<Presence> decode<Presence>(std::string_view bytes) {
  return read_body<Presence>(bytes, [](Reader& reader, Presence& body) {
    body.run = reader.id<RunId>();
    body.away = reader.flag();
    body.since = reader.svarint();
  });
}

std::string encode(const Advance& body) {
  return write_body(32, [&](Writer& writer) {
    writer.svarint(body.to);
    writer.id(body.run);
    writer.varint(body.timer);
  });
}

template <>
std::optional<Advance> decode<Advance>(std::string_view bytes) {
  return read_body<Advance>(bytes, [](Reader& reader, Advance& body) {
    body.to = reader.svarint();
    body.run = reader.id<RunId>();
    body.timer = reader.varint();
  });
}

std::string encode(const Cron& body) {
  return write_body(16, [&](Writer& writer) {
    writer.varint(body.deployment);
    writer.varint(body.flow);
    writer.svarint(body.instant);
  });
}

template <>
std::optional<Cron> decode<Cron>(std::string_view bytes) {
  return read_body<Cron>(bytes, [](Reader& reader, Cron& body) {
    body.deployment = reader.varint32();
    body.flow = reader.varint32();
    body.instant = reader.svarint();
  });
}

std::string encode(const DeploymentRecord& body) {
  return write_body(48, [&](Writer& writer) {
    writer.varint(body.deployment);
    writer.bytes(body.hash);
  });
}

template <>
std::optional<DeploymentRecord> decode<DeploymentRecord>(std::string_view bytes) {
  return read_body<DeploymentRecord>(bytes, [](Reader& reader, DeploymentRecord& body) {
    body.deployment = reader.varint32();
    body.hash = reader.bytes();
    if (body.hash.size() != 32 || body.deployment == 0) reader.fail();
  });
}

std::string encode(const Message& body) {
  return write_body(body.body.size() + 16, [&](Writer& writer) {
    writer.varint(number(body.source));
    writer.varint(body.n);
    writer.bytes(body.body);
  });
}

template <>
std::optional<Message> decode<Message>(std::string_view bytes) {
  return read_body<Message>(bytes, [](Reader& reader, Message& body) {
    body.source = read_partition(reader);
    body.n = reader.varint();
    body.body = reader.bytes();
  });
}

std::string encode(const MessageAck& body) {
  return write_body(16, [&](Writer& writer) {
    writer.varint(number(body.destination));
    writer.varint(body.n);
  });
}

template <>
std::optional<MessageAck> decode<MessageAck>(std::string_view bytes) {
  return read_body<MessageAck>(bytes, [](Reader& reader, MessageAck& body) {
    body.destination = read_partition(reader);
    body.n = reader.varint();
  });
}

std::string encode(const CoreSwitch& body) {
  return write_body(4, [&](Writer& writer) { writer.varint(body.to); });
}

template <>
std::optional<CoreSwitch> decode<CoreSwitch>(std::string_view bytes) {
  return read_body<CoreSwitch>(bytes, [](Reader& reader, CoreSwitch& body) {
    const std::uint32_t to = reader.varint32();
    if (to > 0xffff) reader.fail();
    body.to = static_cast<std::uint16_t>(to);
  });
}

std::string encode(const Takeover& body) {
  return write_body(12, [&](Writer& writer) { writer.varint(body.epoch); });
}

template <>
std::optional<Takeover> decode<Takeover>(std::string_view bytes) {
  return read_body<Takeover>(bytes,
                             [](Reader& reader, Takeover& body) { body.epoch = reader.varint(); });
}

std::string encode(const Join& body) {
  return write_body(48 + body.data.size(), [&](Writer& writer) {
    writer.u8(static_cast<std::uint8_t>(body.what));
    writer.id(body.run);
    writer.id(body.other);
    if (body.what != Join::What::signal) return;
    writer.varint(body.event);
    writer.bytes(body.data);
  });
}

template <>
std::optional<Join> decode<Join>(std::string_view bytes) {
  return read_body<Join>(bytes, [](Reader& reader, Join& body) {
    const std::uint8_t what = reader.u8();
    if (what < 1 || what > 3) reader.fail();
    body.what = static_cast<Join::What>(what);
    body.run = reader.id<RunId>();
    body.other = reader.id<RunId>();
    if (body.what != Join::What::signal) return;
    body.event = reader.varint32();
    body.data = reader.bytes();
  });
}

ChainLink::ChainLink(const Hash128& previous) : hasher_(kChainKey) {
  const auto bytes = previous.bytes();
  hasher_.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void ChainLink::add(const Record& record) {
  char head[8 + 8 + 2 + 1 + 2 + 4 + 8];
  char* at = head;
  const auto put = [&](std::uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) *at++ = static_cast<char>(v >> (8 * i));
  };
  put(record.seq, 8);
  put(static_cast<std::uint64_t>(record.time), 8);
  put(static_cast<std::uint64_t>(record.kind), 2);
  put(static_cast<std::uint64_t>(record.verdict), 1);
  put(record.core, 2);
  put(number(record.tenant), 4);
  put(record.body.size(), 8);
  hasher_.add({head, sizeof head});
  hasher_.add(record.body);
}

Hash128 ChainLink::finish() {
  return hasher_.finish();
}

}  // namespace sluice::core
