#include "engine/core/effect.hpp"

#include "engine/core/codec.hpp"

namespace sluice::core {

std::string_view refusal_word(Refusal refusal) {
  switch (refusal) {
    case Refusal::busy:
      return "busy";
    case Refusal::invalid:
      return "invalid";
    case Refusal::too_large:
      return "too_large";
    case Refusal::unknown_topic:
      return "unknown_topic";
    case Refusal::unknown_flow:
      return "unknown_flow";
    case Refusal::unknown_run:
      return "unknown_run";
    case Refusal::unavailable:
      return "unavailable";
    case Refusal::unexpected:
      return "unexpected";
    case Refusal::expired:
      return "expired";
  }
  return "unavailable";
}

std::string_view run_state_word(RunState state) {
  switch (state) {
    case RunState::running:
      return "running";
    case RunState::waiting:
      return "waiting";
    case RunState::retrying:
      return "retrying";
    case RunState::compensating:
      return "compensating";
    case RunState::completed:
      return "completed";
    case RunState::failed:
      return "failed";
    case RunState::cancelled:
      return "cancelled";
    case RunState::superseded:
      return "superseded";
    case RunState::joined:
      return "joined";
  }
  return "unknown";
}

namespace {
constexpr std::uint8_t kDeliveryVersion = 1;
}

std::string encode_delivery(const Delivery& delivery) {
  std::string out;
  out.reserve(delivery.data_json.size() + delivery.name.size() + 160);
  Writer writer(out);
  writer.u8(kDeliveryVersion);
  writer.varint(number(delivery.tenant));
  writer.bytes(delivery.client);
  writer.bytes(delivery.name);
  writer.bytes(delivery.data_json);
  writer.id(delivery.run);
  writer.bytes(delivery.correlation);
  writer.bytes(delivery.causation);
  writer.flag(delivery.outcome);
  return out;
}

bool decode_delivery(std::string_view bytes, Delivery& delivery) {
  Reader reader(bytes);
  if (reader.u8() != kDeliveryVersion) return false;
  delivery.tenant = static_cast<TenantId>(reader.varint32());
  delivery.client = reader.bytes();
  delivery.name = reader.bytes();
  delivery.data_json = reader.bytes();
  delivery.run = reader.id<RunId>();
  delivery.correlation = reader.bytes();
  delivery.causation = reader.bytes();
  delivery.outcome = reader.flag();
  return reader.done();
}

}  // namespace sluice::core
