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
      feed_(*this, limits::kResumePage),
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
  feed_.begin(start_.after, attached->highest);
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
  if (connection_.unsent() > connection_.shard().gateway().options().unsent_bytes) {
    connection_.shard().counters().closed_slow.add();
    return connection_.abort();
  }
  if (std::exchange(retry_read_, false)) feed_.resume();
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
                                .limit = limits::kResumePage},
                               [shard = &shard, id = connection_.id()](
                                   tl::expected<std::vector<node::Delivery>, node::Refusal> page) {
                                 shard->post([shard, id, page = std::move(page)] {
                                   const auto connection = shard->find(id);
                                   if (!connection || connection->closed()) return;
                                   auto* session = static_cast<SseSession*>(connection->owner());
                                   if (page) {
                                     session->feed_.on_page(*page);
                                   } else {
                                     session->feed_.on_read_failed();
                                     session->retry_read_ = true;
                                   }
                                 });
                               });
}

bool SseSession::has_room() const {
  return const_cast<Connection&>(connection_).unsent() < limits::kResumeUnsentBytes;
}

}  // namespace sluice::gateway
