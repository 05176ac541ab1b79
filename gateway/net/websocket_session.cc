#include "gateway/net/websocket_session.hpp"

#include <fmt/format.h>

#include "gateway/codec/client_frames.hpp"
#include "gateway/limits.hpp"

namespace sluice::gateway {

using std::chrono::steady_clock;

WebsocketSession::WebsocketSession(Connection& connection, Limits limits, std::string header_token)
    : connection_(connection),
      limits_(limits),
      reader_(ws::Role::kServer, limits.frame_bytes),
      header_token_(std::move(header_token)),
      opened_(steady_clock::now()),
      last_input_(opened_) {}

FrameFields& WebsocketSession::fields() {
  static thread_local FrameFields fields;
  return fields;
}

std::size_t WebsocketSession::on_input(char* begin, char* end) {
  last_input_ = steady_clock::now();
  pinged_ = false;
  char* at = begin;
  while (open()) {
    const ws::Item item = reader_.next(&at, end);
    if (item.kind == ws::Item::Kind::kNeedMore) break;
    handle(item);
  }
  return closing_ ? static_cast<std::size_t>(end - begin) : static_cast<std::size_t>(at - begin);
}

void WebsocketSession::handle(const ws::Item& item) {
  using Kind = ws::Item::Kind;
  switch (item.kind) {
    case Kind::kNeedMore:
      return;
    case Kind::kPong:
      return on_pong(item.payload);
    case Kind::kText:
      shard().counters().frames_in.add();
      if (!draining_) on_text(item.payload);
      return;
    case Kind::kBinary:
      close_plain(ws::kCloseUnsupported, "text frames only");
      return;
    case Kind::kPing:
      ws::append_frame(connection_.out(), ws::Opcode::kPong, item.payload);
      connection_.touch();
      check_unsent();
      return;
    case Kind::kClose:
      close_plain(item.code == ws::kCloseNoStatus ? ws::kCloseNormal : item.code, {});
      return;
    case Kind::kTooLarge:
      draining_ = true;
      drain_until_ = steady_clock::now() + limits::kDrainTimeout;
      send([&](std::string& out) {
        append_error(out, row_of(CloseCode::too_large).name,
                     fmt::format("a message has at most {} bytes", limits_.frame_bytes));
      });
      return;
    case Kind::kDropped:
      finish_too_large();
      return;
    case Kind::kError:
      shard().counters().closed_bad.add();
      close_plain(item.code, item.payload);
      return;
  }
}

void WebsocketSession::finish_too_large() {
  shard().counters().closed_bad.add();
  close_plain(static_cast<std::uint16_t>(CloseCode::too_large), row_of(CloseCode::too_large).name);
}

void WebsocketSession::send_text(std::string_view payload) {
  if (!open()) return;
  ws::append_frame(connection_.out(), ws::Opcode::kText, payload);
  shard().counters().frames_out.add();
  connection_.touch();
}

void WebsocketSession::ping(std::string_view payload) {
  if (!open()) return;
  ws::append_frame(connection_.out(), ws::Opcode::kPing, payload);
  connection_.touch();
}

void WebsocketSession::close_plain(std::uint16_t code, std::string_view reason) {
  if (!open()) return;
  ws::append_close(connection_.out(), code, reason);
  closing_ = true;
  connection_.close_when_sent();
}

void WebsocketSession::close(CloseCode code, std::string_view message) {
  if (!open()) return;
  // What a peer that does not read will never see is not worth keeping.
  if (code == CloseCode::too_slow) {
    connection_.drop_unsent();
    shard().counters().closed_slow.add();
  }
  if (!row_of(code).reconnect) shard().counters().closed_bad.add();
  if (code == CloseCode::token_expired) shard().counters().closed_expired.add();
  send([&](std::string& out) { append_error(out, row_of(code).name, message); });
  close_plain(static_cast<std::uint16_t>(code), row_of(code).name);
}

void WebsocketSession::close_soon(CloseCode code, std::string message) {
  shard().post([shard = &shard(), id = id(), code, message = std::move(message)] {
    const auto connection = shard->find(id);
    if (!connection || connection->closed()) return;
    static_cast<WebsocketSession*>(connection->owner())->close(code, message);
  });
}

void WebsocketSession::check_unsent() {
  if (!connection_.passes(limits_.unsent_bytes)) return;
  close_soon(CloseCode::too_slow, "the socket does not take its bytes");
}

bool WebsocketSession::take_token(std::string_view frame_token) {
  const std::string_view token =
      frame_token.empty() ? std::string_view(header_token_) : frame_token;
  auto principal = shard().tokens().verify(token, Shard::now_s());
  if (!principal) {
    shard().counters().refused_tokens.add();
    close(CloseCode::unauthorized, principal.error().message);
    return false;
  }
  principal_ = std::move(*principal);
  return true;
}

void WebsocketSession::on_tick(Time now) {
  if (!open()) return;
  if (draining_) {
    if (now >= drain_until_) finish_too_large();
    return;
  }
  if (!hello_done_) {
    if (now - opened_ >= limits::kHelloTimeout) close(CloseCode::no_hello, "no hello in time");
    return;
  }
  if (Shard::now_s() > principal_->expires_s + limits::kTokenLeeway.count()) {
    close(CloseCode::token_expired, "the token has expired");
    return;
  }
  if (connection_.stalled(now)) {
    return close(CloseCode::too_slow, "the socket has taken nothing for too long");
  }
  const auto silence = now - last_input_;
  if (silence >= 2 * limits::kPingInterval) {
    connection_.abort();
    return;
  }
  if (silence >= limits::kPingInterval && !pinged_) {
    pinged_ = true;
    ping({});
  }
  on_session_tick(now);
}

void WebsocketSession::on_shutdown() {
  close(CloseCode::restarting, "the node restarts");
}

}  // namespace sluice::gateway
