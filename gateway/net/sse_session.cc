#include "gateway/net/sse_session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/codec/client_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/exchange.hpp"
#include "gateway/net/gateway.hpp"

namespace sluice::gateway {

using std::chrono::steady_clock;

SseSession::SseSession(Connection& connection, Start start)
    : connection_(connection),
      start_(std::move(start)),
      feed_(*this),
      last_output_(steady_clock::now()) {
  connection_.shard().counters().streams.add();
}

void SseSession::begin() {
  write(fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
      "Connection: close\r\nx-correlation-id: {}\r\n\r\n: sluice\n\n",
      start_.correlation));
  Shard& shard = connection_.shard();
  shard.add_deliveries(start_.tenant, start_.client, this);
  shard.node().attach({.tenant = start_.tenant,
                       .client = start_.client,
                       .session = "",
                       .shard = shard.number(),
                       .resume = true,
                       .resume_epoch = shard.node().delivery_epoch(),
                       .resume_offset = start_.after},
                      [shard = &shard, id = connection_.id(),
                       start = start_](tl::expected<node::Attached, node::Refusal> attached) {
                        shard->post([=, attached = std::move(attached)]() mutable {
                          const auto connection = shard->find(id);
                          if (connection && !connection->closed()) {
                            static_cast<SseSession*>(connection->owner())->on_attached(attached);
                          } else if (attached) {
                            shard->node().detach(start.tenant, start.client, "", shard->number());
                          }
                        });
                      });
}

void SseSession::on_attached(tl::expected<node::Attached, node::Refusal>& attached) {
  if (!attached) return on_shutdown();
  attached_ = true;
  // An offset beyond the highest is of a log that is no more (a backup was restored): all that is
  // retained follows, as on the socket.
  if (!attached->recovered) write(": not all after this offset is retained\n\n");
  feed_.begin(attached->offset, attached->highest);
}

void SseSession::on_closed() {
  Shard& shard = connection_.shard();
  shard.counters().streams.sub();
  shard.gateway().left();
  shard.remove_deliveries(start_.tenant, start_.client, this);
  if (attached_) shard.node().detach(start_.tenant, start_.client, "", shard.number());
  attached_ = false;
}

void SseSession::write(std::string_view text) {
  if (ending_ || connection_.closed()) return;
  connection_.out().append(text);
  connection_.touch();
  last_output_ = steady_clock::now();
}

void SseSession::on_shutdown() {
  ending_ = true;
  connection_.close_when_sent();
}

void SseSession::on_tick(Time now) {
  if (Shard::now_s() > start_.principal->expires_s + limits::kTokenLeeway.count())
    return on_shutdown();
  const bool piled_up = connection_.passes(connection_.shard().gateway().options().unsent_bytes);
  if (piled_up || connection_.stalled(now)) {
    connection_.shard().counters().closed_slow.add();
    return connection_.abort();
  }
  feed_.resume();  // a page that could not be had is asked for again
  if (now - last_output_ >= limits::kSseComment) write(": still here\n\n");
}

void SseSession::on_delivery(const node::Delivery& delivery) {
  feed_.on_live(delivery);
}

void SseSession::deliver(const node::Delivery& delivery) {
  connection_.shard().counters().deliveries.add();
  std::string text = fmt::format("id: {}\nevent: {}\ndata: ", delivery.offset, delivery.name);
  append_delivery_item(text, {.offset = delivery.offset,
                              .name = delivery.name,
                              .data_json = delivery.data_json,
                              .run = core::to_text(delivery.run),
                              .correlation = delivery.correlation,
                              .causation = delivery.causation,
                              .outcome = delivery.outcome});
  text += "\n\n";
  write(text);
}

void SseSession::read_after(std::uint64_t offset) {
  Shard& shard = connection_.shard();
  shard.node().read_deliveries({.tenant = start_.tenant,
                                .client = start_.client,
                                .after = offset,
                                .limit = limits::kResumePage,
                                .bytes = limits::kResumePageBytes},
                               [shard = &shard, id = connection_.id()](
                                   tl::expected<node::DeliveryPage, node::Refusal> page) {
                                 shard->post([shard, id, page = std::move(page)]() mutable {
                                   const auto connection = shard->find(id);
                                   if (!connection || connection->closed()) return;
                                   auto* session = static_cast<SseSession*>(connection->owner());
                                   if (page) {
                                     session->feed_.on_page(std::move(*page));
                                   } else {
                                     session->feed_.on_read_failed();
                                   }
                                 });
                               });
}

bool SseSession::has_room() {
  const std::size_t bound = connection_.shard().gateway().options().unsent_bytes;
  return connection_.has_room(std::min(limits::kResumeUnsentBytes, bound));
}

}  // namespace sluice::gateway
