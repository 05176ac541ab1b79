#include "gateway/client/engine_client.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "gateway/ws/frames.hpp"

namespace sluice::gateway {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kChunk = 64 * 1024;
constexpr std::size_t kResponseBytes = 256 * 1024 * 1024;

// A connected socket with deadlines.
class Stream {
 public:
  Stream() = default;
  explicit Stream(int fd) : fd_(fd) {}
  Stream(Stream&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Stream() {
    if (fd_ >= 0) ::close(fd_);
  }

  tl::expected<void, std::string> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0)
        return tl::unexpected(fmt::format("the connection broke: {}", std::strerror(errno)));
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
  }

  // Appends what comes; false at the end of the stream.
  tl::expected<bool, std::string> read(std::string& into, Clock::time_point until) {
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd waiting{fd_, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return tl::unexpected(std::string("the engine has not answered in time"));
      const std::size_t kept = into.size();
      into.resize(kept + kChunk);
      const ssize_t got = ::recv(fd_, into.data() + kept, kChunk, 0);
      into.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0)
        return tl::unexpected(fmt::format("the connection broke: {}", std::strerror(errno)));
      return got > 0;
    }
  }

 private:
  int fd_ = -1;
};

tl::expected<Stream, std::string> connect_to(const EngineUrl& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const auto failed = [&](std::string_view why) {
    return tl::unexpected(
        fmt::format("cannot reach the engine at {}:{}: {}", url.host, url.port, why));
  };
  if (const int error = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
      error != 0) {
    return failed(gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::string why = "no address";
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int fd = ::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
    if (fd < 0) continue;
    if (::connect(fd, one->ai_addr, one->ai_addrlen) == 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return Stream(fd);
    }
    why = std::strerror(errno);
    ::close(fd);
  }
  return failed(why);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// Status and headers out of the head; false if it is no HTTP.
bool parse_head(std::string_view head, ClientResponse& response) {
  if (!head.starts_with("HTTP/1.") || head.size() < 12) return false;
  const std::string_view code = head.substr(9, 3);
  const auto [end, error] = std::from_chars(code.data(), code.data() + 3, response.status);
  if (error != std::errc() || end != code.data() + 3) return false;
  std::size_t line = head.find("\r\n");
  while (line != std::string_view::npos && line + 2 < head.size()) {
    const std::size_t next = head.find("\r\n", line + 2);
    const std::string_view text =
        head.substr(line + 2, next == std::string_view::npos ? next : next - line - 2);
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos) {
      std::string_view value = text.substr(colon + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      response.headers.emplace_back(lower(text.substr(0, colon)), std::string(value));
    }
    line = next;
  }
  return true;
}

std::string header_of(const ClientResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

// The chunks' bytes joined; nothing if they are malformed or incomplete.
std::optional<std::string> join_chunks(std::string_view body) {
  std::string joined;
  while (true) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), size, 16);
    const std::size_t line = body.find("\r\n");
    if (error != std::errc() || end == body.data() || line == std::string_view::npos)
      return std::nullopt;
    body.remove_prefix(line + 2);
    if (size == 0) return joined;
    if (size > body.size()) return std::nullopt;
    joined += body.substr(0, size);
    body.remove_prefix(size);
    if (!body.starts_with("\r\n")) return std::nullopt;
    body.remove_prefix(2);
  }
}

tl::unexpected<std::string> not_http() {
  return tl::unexpected(std::string("what answers there is no engine: it speaks no HTTP"));
}

}  // namespace

tl::expected<EngineUrl, std::string> parse_engine_url(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return tl::unexpected(
        fmt::format("the engine's URL is http://HOST:PORT, not `{}`{}", text, why));
  };
  if (text.starts_with("https://")) return refuse(" (TLS is not spoken here)");
  if (!text.starts_with("http://")) return refuse("");
  std::string_view rest = text.substr(7);
  while (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (rest.empty() || rest.find_first_of("/?#@ ") != std::string_view::npos) return refuse("");
  EngineUrl url;
  url.authority = rest;
  const std::size_t colon = rest.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && rest.find(']', colon) == std::string_view::npos;
  std::string_view host = has_port ? rest.substr(0, colon) : rest;
  url.port = has_port ? std::string(rest.substr(colon + 1)) : "80";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  const bool digits = !url.port.empty() && std::all_of(url.port.begin(), url.port.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
  if (host.empty() || !digits) return refuse("");
  url.host = host;
  return url;
}

std::string url_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

tl::expected<ClientResponse, std::string> request(const EngineUrl& url, const ClientRequest& what) {
  auto stream = connect_to(url);
  if (!stream) return tl::unexpected(stream.error());
  std::string text =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
                  what.method, what.target, url.authority, what.body.size());
  for (const auto& [name, value] : what.headers) text += fmt::format("{}: {}\r\n", name, value);
  text += "\r\n" + what.body;
  // A server that refuses a large body may answer and close before it has read it all.
  const auto written = stream->write(text);
  const auto until = Clock::now() + what.timeout;
  std::string input;
  while (true) {
    const auto more = stream->read(input, until);
    if (!more && input.empty()) return tl::unexpected(written ? more.error() : written.error());
    if (!more || !*more) break;
    if (input.size() > kResponseBytes) return tl::unexpected(std::string("the answer is too long"));
  }
  const std::size_t end = input.find("\r\n\r\n");
  ClientResponse response;
  if (end == std::string::npos || !parse_head(std::string_view(input).substr(0, end), response))
    return not_http();
  response.body = input.substr(end + 4);
  if (lower(header_of(response, "transfer-encoding")) == "chunked") {
    auto joined = join_chunks(response.body);
    if (!joined) return tl::unexpected(std::string("the answer broke off"));
    response.body = std::move(*joined);
  } else if (const std::string length = header_of(response, "content-length"); !length.empty()) {
    if (response.body.size() < std::strtoull(length.c_str(), nullptr, 10)) {
      return tl::unexpected(std::string("the answer broke off"));
    }
  }
  return response;
}

struct EngineSocket::State {
  Stream stream;
  ws::FrameReader reader{ws::Role::kClient, 64 * 1024 * 1024};
  std::string input;
};

EngineSocket::EngineSocket(std::unique_ptr<State> state) : state_(std::move(state)) {}
EngineSocket::EngineSocket(EngineSocket&&) noexcept = default;
EngineSocket::~EngineSocket() = default;

tl::expected<EngineSocket, std::string> EngineSocket::open(const EngineUrl& url,
                                                           const std::string& token) {
  auto stream = connect_to(url);
  if (!stream) return tl::unexpected(stream.error());
  std::array<unsigned char, 16> nonce{};
  if (getrandom(nonce.data(), nonce.size(), 0) != static_cast<ssize_t>(nonce.size())) {
    return tl::unexpected(std::string("no random bytes"));
  }
  std::array<unsigned char, 32> encoded{};
  const int size = EVP_EncodeBlock(encoded.data(), nonce.data(), static_cast<int>(nonce.size()));
  const std::string key(reinterpret_cast<const char*>(encoded.data()),
                        static_cast<std::size_t>(size));
  const auto written =
      stream->write(fmt::format("GET /v1/ws HTTP/1.1\r\nHost: {}\r\nUpgrade: "
                                "websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: "
                                "sluice.v1.json\r\nAuthorization: Bearer {}\r\n\r\n",
                                url.authority, key, token));
  if (!written) return tl::unexpected(written.error());
  auto state = std::make_unique<State>();
  const auto until = Clock::now() + std::chrono::seconds(30);
  std::size_t end = std::string::npos;
  while ((end = state->input.find("\r\n\r\n")) == std::string::npos) {
    const auto more = stream->read(state->input, until);
    if (!more) return tl::unexpected(more.error());
    if (!*more || state->input.size() > kChunk) return not_http();
  }
  ClientResponse head;
  if (!parse_head(std::string_view(state->input).substr(0, end), head)) return not_http();
  if (head.status != 101 || header_of(head, "sec-websocket-accept") != ws::accept_key(key)) {
    return tl::unexpected(fmt::format("the engine refuses the socket (HTTP {})", head.status));
  }
  state->input.erase(0, end + 4);
  state->stream = std::move(*stream);
  return EngineSocket(std::move(state));
}

namespace {

tl::expected<void, std::string> write_frame(Stream& stream, ws::Opcode opcode,
                                            std::string_view payload) {
  std::array<unsigned char, 4> mask{};
  (void)!getrandom(mask.data(), mask.size(), 0);
  std::string frame;
  ws::append_masked_frame(frame, opcode, payload, mask);
  return stream.write(frame);
}

}  // namespace

tl::expected<void, std::string> EngineSocket::send(std::string_view text) {
  return write_frame(state_->stream, ws::Opcode::kText, text);
}

tl::expected<std::string, std::string> EngineSocket::receive(std::chrono::milliseconds at_most) {
  const auto until = Clock::now() + at_most;
  while (true) {
    char* at = state_->input.data();
    const ws::Item item = state_->reader.next(&at, at + state_->input.size());
    const std::string payload(item.payload);
    state_->input.erase(0, static_cast<std::size_t>(at - state_->input.data()));
    switch (item.kind) {
      case ws::Item::Kind::kText:
        return payload;
      case ws::Item::Kind::kPing:
        (void)write_frame(state_->stream, ws::Opcode::kPong, payload);
        continue;
      case ws::Item::Kind::kClose:
        return tl::unexpected(
            fmt::format("the engine closed the socket: {} {}", item.code, payload));
      case ws::Item::Kind::kNeedMore:
        break;
      case ws::Item::Kind::kPong:
        continue;
      default:
        return tl::unexpected(std::string("the engine's frames cannot be read"));
    }
    const auto more = state_->stream.read(state_->input, until);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return tl::unexpected(std::string("the engine closed the connection"));
  }
}

}  // namespace sluice::gateway
