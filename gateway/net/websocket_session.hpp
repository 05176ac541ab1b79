// What the client's and the worker's socket have in common: RFC 6455 over a Connection, hello in
// time, heartbeats, tokens that expire, and the ways to close. One JSON object per text frame;
// subclasses get the texts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/codec/frame_fields.hpp"
#include "gateway/codes.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/net/shard.hpp"
#include "gateway/ws/frames.hpp"

namespace sluice::gateway {

class WebsocketSession : public Connection::Owner {
 public:
  struct Limits {
    std::size_t frame_bytes = 0;
    std::size_t unsent_bytes = 0;
  };
  // `header_token`: of the Authorization header or ?access_token=, may be empty.
  WebsocketSession(Connection& connection, Limits limits, std::string header_token);

  std::size_t on_input(char* begin, char* end) final;
  std::size_t bytes_wanted(std::size_t left_over) const final {
    return reader_.bytes_wanted(left_over);
  }
  void on_tick(Time now) final;
  void on_shutdown() final;

 protected:
  // A text frame. The session may be closing afterwards.
  virtual void on_text(std::string_view text) = 0;
  virtual void on_session_tick(Time) {}
  // The answer to a ping(): every frame that was sent before it has come.
  virtual void on_pong(std::string_view) {}

  Shard& shard() { return connection_.shard(); }
  Connection& connection() { return connection_; }
  std::uint64_t id() const { return connection_.id(); }
  bool open() const { return !closing_ && !connection_.closed(); }

  // Composes one text frame: `append` writes its payload to the string it is given.
  template <typename Append>
  void send(Append&& append) {
    if (!open()) return;
    static thread_local std::string payload;
    payload.clear();
    append(payload);
    send_text(payload);
  }
  void send_text(std::string_view payload);
  // A WebSocket ping, which any peer answers; at most 125 bytes.
  void ping(std::string_view payload);

  // error frame, close frame, and the end once both are sent.
  void close(CloseCode code, std::string_view message);
  void close_bad_frame(std::string_view message) { close(CloseCode::bad_frame, message); }
  // Closing from inside a dispatch over sinks: at the next turn.
  void close_soon(CloseCode code, std::string message);
  // Call after what was sent unasked: a peer that lets its bytes pile up is closed with 4008.
  void check_unsent();

  // Verifies the token of a hello or refresh (`frame_token`, else the header's) and keeps it.
  // Closes with 4401 and returns false if it is bad.
  bool take_token(std::string_view frame_token);
  void hello_done() { hello_done_ = true; }
  bool said_hello() const { return hello_done_; }
  const std::shared_ptr<const Principal>& principal() const { return principal_; }
  FrameFields& fields();  // of the frame being handled; shared by the thread's sessions
  const Limits& limits() const { return limits_; }

 private:
  void handle(const ws::Item& item);
  void close_plain(std::uint16_t code, std::string_view reason);
  void finish_too_large();

  Connection& connection_;
  Limits limits_;
  ws::FrameReader reader_;
  std::string header_token_;
  std::shared_ptr<const Principal> principal_;
  bool hello_done_ = false;
  bool closing_ = false;
  bool draining_ = false;  // an oversize message is under way
  bool pinged_ = false;
  Time opened_;
  Time last_input_;
  Time drain_until_{};
};

}  // namespace sluice::gateway
