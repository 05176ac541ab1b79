#include "gateway/net/http_session.hpp"

#include <sys/socket.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>

#include "gateway/limits.hpp"
#include "gateway/net/exchange.hpp"
#include "gateway/net/gateway.hpp"
#include "gateway/net/url.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

std::atomic<int> open_sessions{0};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(Shard& shard, tcp::socket socket) : shard_(shard), stream_(std::move(socket)) {
    open_sessions.fetch_add(1, std::memory_order_relaxed);
  }
  ~HttpSession() {
    if (exchange_) exchange_->abandon();
    open_sessions.fetch_sub(1, std::memory_order_relaxed);
    shard_.gateway().left();
  }

  void read() {
    parser_.emplace();
    parser_->header_limit(limits::kHeaderBytes);
    parser_->body_limit(boost::none);  // decided once the target is known
    stream_.expires_after(buffer_.size() > 0 || first_ ? limits::kRequestTimeout
                                                       : limits::kIdleTimeout);
    first_ = false;
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_header(error); });
  }

 private:
  void on_header(error_code error) {
    if (error) return on_read_error(error);
    const auto& head = parser_->get();
    const std::size_t most = body_limit(shard_.gateway().options(), as_view(head.target()));
    const auto length = parser_->content_length();
    if (length && *length > most)
      return refuse(ErrorCode::too_large, "the body is too large for this resource");
    parser_->body_limit(most);
    stream_.expires_after(limits::kRequestTimeout);
    if (beast::iequals(head[http::field::expect], "100-continue")) {
      // Small and first in the stream: it fits the socket's buffer.
      const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      (void)!::send(stream_.socket().native_handle(), go_on.data(), go_on.size(), MSG_NOSIGNAL);
    }
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code failed, std::size_t) { self->on_request(failed); });
  }

  void on_read_error(error_code error) {
    if (error == http::error::body_limit)
      return refuse(ErrorCode::too_large, "the body is too large for this resource");
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return refuse(ErrorCode::too_large, "the request's headers are too large");
    }
    if (error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message) {
      return refuse(ErrorCode::bad_request, "not an HTTP/1.1 request: " + error.message());
    }
    stream_.close();
  }

  // Answers a request that never became an exchange, and closes.
  void refuse(ErrorCode code, std::string message) {
    keep_alive_ = false;
    exchange_ = make_exchange(HttpRequest{});
    exchange_->problem(code, {.message = std::move(message)});
    shard_.end_turn();
  }

  std::shared_ptr<Exchange> make_exchange(HttpRequest request) {
    // Holds the session until the exchange has ended, which it always does.
    return std::make_shared<Exchange>(
        shard_, std::move(request),
        [self = shared_from_this()](HttpResponse&& response) { self->write(std::move(response)); });
  }

  static std::string_view as_view(beast::string_view text) { return {text.data(), text.size()}; }
  static std::string as_text(beast::string_view text) { return {text.data(), text.size()}; }

  std::optional<HttpRequest> take_request() {
    auto message = parser_->release();
    HttpRequest request;
    request.method = as_text(message.method_string());
    if (!parse_target(as_view(message.target()), request.path, request.query)) return std::nullopt;
    const auto field = [&](beast::string_view name) { return as_text(message[name]); };
    request.authorization = field("Authorization");
    request.content_type = field("Content-Type");
    request.accept = field("Accept");
    request.idempotency_key = field("Idempotency-Key");
    request.last_event_id = field("Last-Event-ID");
    request.correlation = field("x-correlation-id");
    request.traceparent = field("traceparent");
    request.wants_websocket = beast::iequals(message[http::field::upgrade], "websocket") &&
                              http::token_list(message[http::field::connection]).exists("upgrade");
    request.websocket_key = field("Sec-WebSocket-Key");
    request.websocket_version = field("Sec-WebSocket-Version");
    request.websocket_protocols = field("Sec-WebSocket-Protocol");
    keep_alive_ = message.keep_alive();
    head_only_ = message.method() == http::verb::head;
    if (head_only_) request.method = "GET";
    request.body = std::move(message.body());
    return request;
  }

  void on_request(error_code error) {
    if (error) return on_read_error(error);
    shard_.counters().http_requests.add();
    auto request = take_request();
    if (!request)
      return refuse(ErrorCode::bad_request, "the request's target is not a path with a query");
    stream_.expires_never();
    exchange_ = make_exchange(std::move(*request));
    exchange_->take_socket = [weak = weak_from_this()](std::string& rest) {
      const auto self = weak.lock();
      return self ? self->release_socket(rest) : -1;
    };
    const auto exchange = exchange_;
    route(exchange);
    shard_.end_turn();
    if (!exchange->answered()) watch_for_hang_up();
  }

  int release_socket(std::string& rest) {
    rest.assign(static_cast<const char*>(buffer_.data().data()), buffer_.data().size());
    error_code error;
    const int fd = stream_.release_socket().release(error);
    return error ? -1 : fd;
  }

  // While an answer is awaited nothing is read; but a peer that has gone need not be waited for.
  void watch_for_hang_up() {
    stream_.socket().async_wait(tcp::socket::wait_read, [self =
                                                             shared_from_this()](error_code error) {
      if (error || !self->exchange_ || self->exchange_->answered()) return;
      char byte = 0;
      if (::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        self->exchange_->abandon();
        self->stream_.close();
      }
    });
  }

  void write(HttpResponse&& response) {
    response_ = {};
    response_.version(11);
    response_.result(response.status);
    response_.set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) response_.set(name, value);
    response_.keep_alive(keep_alive_);
    response_.content_length(response.body.size());
    if (!head_only_) response_.body() = std::move(response.body);
    stream_.socket().cancel();  // the watch for a hang-up
    stream_.expires_after(limits::kRequestTimeout);
    // Written at once where the socket takes it, without a turn of the loop.
    http::async_write(stream_, response_,
                      [self = shared_from_this()](error_code error, std::size_t) {
                        self->exchange_.reset();
                        if (error || !self->keep_alive_) return self->end();
                        self->read();
                      });
  }

  // Lets the peer read the answer before a body that was not read resets the connection.
  void end() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(limits::kDrainTimeout);
    drain();
  }
  void drain() {
    stream_.async_read_some(buffer_.prepare(limits::kHeaderBytes),
                            [self = shared_from_this()](error_code error, std::size_t) {
                              if (!error) self->drain();
                            });
  }

  Shard& shard_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{limits::kHeaderBytes + 64 * 1024};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  std::shared_ptr<Exchange> exchange_;
  bool first_ = true;
  bool keep_alive_ = false;
  bool head_only_ = false;
};

}  // namespace

int http_sessions() {
  return open_sessions.load(std::memory_order_relaxed);
}

void start_http_session(Shard& shard, int socket) {
  error_code error;
  tcp::socket taken(shard.io());
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const bool known = ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  taken.assign(known && address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), socket, error);
  if (error) return;
  taken.set_option(tcp::no_delay(true), error);
  std::make_shared<HttpSession>(shard, std::move(taken))->read();
}

}  // namespace sluice::gateway
