// The client's side of RFC 6455, over one non-blocking socket and without a library: a load
// generator wants to put many frames into one write, which libraries that own the socket do not
// offer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace sluice::bench {

/// Where an engine listens, from `http://HOST:PORT`.
struct Endpoint {
  std::string host;
  std::string port;
};

tl::expected<Endpoint, std::string> parse_endpoint(std::string_view url);

/// What the upgrade asks for.
struct Upgrade {
  std::string path;
  std::string protocol;
  std::string token;
};

/// One open WebSocket. Owned by one thread. Moving is allowed, copying is not.
class WebSocket {
 public:
  WebSocket() = default;
  WebSocket(WebSocket&& other) noexcept { *this = std::move(other); }
  WebSocket& operator=(WebSocket&& other) noexcept;
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;
  ~WebSocket() { close(); }

  /// Connects and upgrades, blocking for at most 10 s; the socket is non-blocking afterwards.
  static tl::expected<WebSocket, std::string> open(const Endpoint& endpoint,
                                                   const Upgrade& upgrade);

  int file() const { return file_; }
  bool is_open() const { return file_ >= 0; }

  /// Appends one text message to what the next `flush` writes.
  void send(std::string_view text);

  /// Writes as much as the socket takes. False when the connection is gone; `why()` says so.
  bool flush();
  bool wants_to_write() const { return written_ < out_.size(); }

  /// Reads all there is and calls `on_text` for each whole message; the view ends with the call.
  /// False when the connection is gone.
  bool receive(const std::function<void(std::string_view)>& on_text);

  /// Why the connection ended, with the close code if there was one.
  const std::string& why() const { return why_; }

  void close();

 private:
  bool handle_frames(const std::function<void(std::string_view)>& on_text);
  bool handle_frame(int opcode, bool final, std::string_view payload,
                    const std::function<void(std::string_view)>& on_text);
  void append_frame(int opcode, std::string_view payload);
  bool lose(std::string why);

  int file_ = -1;
  std::uint64_t mask_state_ = 0;
  std::string out_;
  std::size_t written_ = 0;
  std::string in_;
  std::size_t read_ = 0;  // how much of in_ has been handled
  std::string fragments_;
  std::string why_;
};

}  // namespace sluice::bench
