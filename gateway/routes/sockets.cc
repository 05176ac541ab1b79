// GET /v1/ws and /v1/worker: the WebSocket handshake, after which the connection leaves HTTP.
#include <fmt/format.h>

#include "gateway/net/client_session.hpp"
#include "gateway/net/worker_session.hpp"
#include "gateway/routes/router.hpp"
#include "gateway/ws/frames.hpp"

namespace sluice::gateway {
namespace {

// The token that came with the request; looked at after the upgrade, so that browsers see 4401.
std::string token_of(const HttpRequest& request) {
  const std::string& header = request.authorization;
  if (const std::size_t space = header.find(' '); space != std::string::npos)
    return header.substr(space + 1);
  return request.parameter("access_token").value_or(std::string());
}

bool offers(std::string_view offered, std::string_view protocol) {
  while (!offered.empty()) {
    const std::size_t end = offered.find(',');
    std::string_view one = offered.substr(0, end);
    offered.remove_prefix(end == std::string_view::npos ? offered.size() : end + 1);
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    if (one == protocol) return true;
  }
  return false;
}

template <typename Session>
void upgrade(const ExchangePtr& exchange, std::string_view protocol) {
  const HttpRequest& request = exchange->request();
  const std::string accept = ws::accept_key(request.websocket_key);
  if (!request.wants_websocket || accept.empty() || request.websocket_version != "13") {
    return exchange->problem(
        ErrorCode::bad_request,
        {.message = fmt::format("this is a WebSocket (version 13, subprotocol {})", protocol)});
  }
  std::string rest;
  const int fd = exchange->take_socket ? exchange->take_socket(rest) : -1;
  std::string token = token_of(request);
  const std::string agreed = offers(request.websocket_protocols, protocol)
                                 ? fmt::format("Sec-WebSocket-Protocol: {}\r\n", protocol)
                                 : std::string();
  Shard& shard = exchange->shard();
  const std::string correlation = exchange->correlation();
  exchange->abandon();
  if (fd < 0) return;
  const auto connection = std::make_shared<Connection>(shard, fd, shard.next_id());
  connection->out() = fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: {}\r\n{}x-correlation-id: {}\r\n\r\n",
      accept, agreed, correlation);
  connection->touch();
  connection->start(std::make_unique<Session>(*connection, std::move(token)), std::move(rest));
}

}  // namespace

void get_client_socket(const ExchangePtr& exchange) {
  upgrade<ClientSession>(exchange, "sluice.v1.json");
}

void get_worker_socket(const ExchangePtr& exchange) {
  upgrade<WorkerSession>(exchange, "sluice.worker.v1.json");
}

}  // namespace sluice::gateway
