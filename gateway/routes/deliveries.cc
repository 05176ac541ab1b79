// GET /v1/clients/{client}/deliveries: a page, or server-sent events.
#include <fmt/format.h>

#include "gateway/codec/client_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/sse_session.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

// `after`, `cursor` or Last-Event-ID; whichever is there. Nothing: a problem was answered.
std::optional<std::uint64_t> offset_for(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  std::string text = request.last_event_id;
  if (const auto after = request.parameter("after")) text = *after;
  if (const auto cursor = request.parameter("cursor")) text = *cursor;
  std::uint64_t offset = 0;
  if (text.empty() || read_count(text, &offset)) return offset;
  exchange->problem(ErrorCode::bad_request, {.message = "the offset is not a number"});
  return std::nullopt;
}

void stream_deliveries(const ExchangePtr& exchange, std::string tenant, std::uint64_t after) {
  std::string rest;
  const int fd = exchange->take_socket ? exchange->take_socket(rest) : -1;
  const std::string client = exchange->request().path[2];
  Shard& shard = exchange->shard();
  SseSession::Start start{std::move(tenant), client, after, exchange->correlation(),
                          exchange->principal};
  exchange->abandon();
  if (fd < 0) return;
  const auto connection = std::make_shared<Connection>(shard, fd, shard.next_id());
  auto session = std::make_unique<SseSession>(*connection, std::move(start));
  SseSession& raw = *session;
  connection->start(std::move(session), {});
  raw.begin();
}

void answer_page(Exchange& exchange, const node::DeliveryPage& page) {
  std::string body = R"({"items":[)";
  for (std::size_t i = 0; i < page.items.size(); ++i) {
    const node::Delivery& delivery = page.items[i];
    if (i > 0) body += ',';
    append_delivery_item(body, {.offset = delivery.offset,
                                .name = delivery.name,
                                .data_json = delivery.data_json,
                                .run = core::to_text(delivery.run),
                                .correlation = delivery.correlation,
                                .causation = delivery.causation,
                                .outcome = delivery.outcome});
  }
  body +=
      page.more ? fmt::format(R"(],"next":"{}"}})", page.items.back().offset) : R"(],"next":null})";
  exchange.respond_json(200, std::move(body));
}

}  // namespace

void get_deliveries(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  const auto tenant = tenant_for(exchange, false);
  if (!tenant) return;
  if (!may_see(*exchange->principal, request.path[2])) {
    return exchange->problem(ErrorCode::not_found,
                             {.message = "there is no such client for this token"});
  }
  const auto after = offset_for(exchange);
  if (!after) return;
  if (request.accept.find("text/event-stream") != std::string::npos) {
    return stream_deliveries(exchange, *tenant, *after);
  }
  const auto limit = limit_for(exchange);
  if (!limit) return;
  exchange->wait();
  exchange->node().read_deliveries(
      {.tenant = *tenant,
       .client = request.path[2],
       .after = *after,
       .limit = *limit,
       .bytes = node::kDeliveryPageBytesMax},
      exchange->callback<node::DeliveryPage>(
          [](Exchange& open, node::DeliveryPage&& page) { answer_page(open, page); }));
}

}  // namespace sluice::gateway
