#include "bench/pipeline/websocket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::bench {
namespace {

constexpr int kConnectSeconds = 10;
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kAnswerBytesMax = 16 * 1024;
constexpr int kContinuation = 0, kText = 1, kClose = 8, kPing = 9, kPong = 10;

std::string base64(const unsigned char* bytes, int size) {
  std::string text(static_cast<std::size_t>(4 * ((size + 2) / 3)) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, size);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string accept_of(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64(digest.data(), static_cast<int>(size));
}

tl::expected<int, std::string> connect_to(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found) != 0) {
    return tl::unexpected(fmt::format("cannot resolve {}", endpoint.host));
  }
  const int file = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{kConnectSeconds, 0};
  setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int result = connect(file, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  if (result != 0) {
    const std::string why = std::strerror(errno);
    ::close(file);
    return tl::unexpected(
        fmt::format("cannot connect to {}:{}: {}", endpoint.host, endpoint.port, why));
  }
  const int on = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return file;
}

/// The answer's head; what follows it is left in `rest`.
tl::expected<std::string, std::string> read_head(int file, std::string& rest) {
  std::array<char, 4096> buffer;
  while (rest.size() < kAnswerBytesMax) {
    const ssize_t size = recv(file, buffer.data(), buffer.size(), 0);
    if (size <= 0) return tl::unexpected(std::string("the connection ended in the upgrade"));
    rest.append(buffer.data(), static_cast<std::size_t>(size));
    const std::size_t end = rest.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    std::string head = rest.substr(0, end + 2);
    rest.erase(0, end + 4);
    return head;
  }
  return tl::unexpected(std::string("the answer to the upgrade is too long"));
}

}  // namespace

tl::expected<Endpoint, std::string> parse_endpoint(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return tl::unexpected(fmt::format("no http:// address: {}", url));
  url.remove_prefix(kScheme.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  const std::size_t colon = url.rfind(':');
  if (colon == std::string_view::npos) return Endpoint{std::string(url), "80"};
  return Endpoint{std::string(url.substr(0, colon)), std::string(url.substr(colon + 1))};
}

WebSocket& WebSocket::operator=(WebSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  file_ = std::exchange(other.file_, -1);
  mask_state_ = other.mask_state_;
  out_ = std::move(other.out_);
  written_ = std::exchange(other.written_, 0);
  in_ = std::move(other.in_);
  read_ = std::exchange(other.read_, 0);
  fragments_ = std::move(other.fragments_);
  why_ = std::move(other.why_);
  return *this;
}

tl::expected<WebSocket, std::string> WebSocket::open(const Endpoint& endpoint,
                                                     const Upgrade& upgrade) {
  const auto file = connect_to(endpoint);
  if (!file) return tl::unexpected(file.error());
  WebSocket socket;
  socket.file_ = *file;
  std::array<unsigned char, 16> random;
  RAND_bytes(random.data(), random.size());
  std::memcpy(&socket.mask_state_, random.data(), sizeof socket.mask_state_);
  const std::string key = base64(random.data(), random.size());
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: {}\r\n"
      "Authorization: Bearer {}\r\n\r\n",
      upgrade.path, endpoint.host, endpoint.port, key, upgrade.protocol, upgrade.token);
  if (::send(*file, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return tl::unexpected(std::string("cannot send the upgrade"));
  }
  const auto head = read_head(*file, socket.in_);
  if (!head) return tl::unexpected(head.error());
  if (!head->starts_with("HTTP/1.1 101")) {
    return tl::unexpected(fmt::format("refused: {}", head->substr(0, head->find('\r'))));
  }
  if (head->find(accept_of(key)) == std::string::npos) {
    return tl::unexpected(std::string("the answer to the upgrade has a wrong accept key"));
  }
  fcntl(*file, F_SETFL, fcntl(*file, F_GETFL) | O_NONBLOCK);
  return socket;
}

void WebSocket::close() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

bool WebSocket::lose(std::string why) {
  why_ = std::move(why);
  close();
  return false;
}

void WebSocket::append_frame(int opcode, std::string_view payload) {
  // xorshift64: masking defends proxies against hostile pages, which a load generator is not.
  mask_state_ ^= mask_state_ << 13;
  mask_state_ ^= mask_state_ >> 7;
  mask_state_ ^= mask_state_ << 17;
  std::array<char, 4> mask;
  std::memcpy(mask.data(), &mask_state_, mask.size());
  out_.push_back(static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    out_.push_back(static_cast<char>(0x80 | payload.size()));
  } else if (payload.size() < 65536) {
    out_.push_back(static_cast<char>(0x80 | 126));
    out_.push_back(static_cast<char>(payload.size() >> 8));
    out_.push_back(static_cast<char>(payload.size()));
  } else {
    out_.push_back(static_cast<char>(0x80 | 127));
    for (int shift = 56; shift >= 0; shift -= 8) {
      out_.push_back(static_cast<char>(payload.size() >> shift));
    }
  }
  out_.append(mask.data(), mask.size());
  const std::size_t begin = out_.size();
  out_.append(payload);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out_[begin + i] = static_cast<char>(out_[begin + i] ^ mask[i & 3]);
  }
}

void WebSocket::send(std::string_view text) {
  append_frame(kText, text);
}

bool WebSocket::flush() {
  while (written_ < out_.size()) {
    const std::size_t left = out_.size() - written_;
    const ssize_t size = ::send(file_, out_.data() + written_, left, MSG_NOSIGNAL);
    if (size < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
      if (errno == EINTR) continue;
      return lose(fmt::format("write: {}", std::strerror(errno)));
    }
    written_ += static_cast<std::size_t>(size);
  }
  out_.clear();
  written_ = 0;
  return true;
}

bool WebSocket::receive(const std::function<void(std::string_view)>& on_text) {
  // What came with the answer to the upgrade is handled first.
  if (!handle_frames(on_text)) return false;
  for (;;) {
    static thread_local std::array<char, kReadBytes> buffer;
    const ssize_t size = recv(file_, buffer.data(), buffer.size(), 0);
    if (size == 0) return lose("the server ended the connection");
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
      return lose(fmt::format("read: {}", std::strerror(errno)));
    }
    in_.append(buffer.data(), static_cast<std::size_t>(size));
    if (!handle_frames(on_text)) return false;
    if (static_cast<std::size_t>(size) < kReadBytes) return true;
  }
}

bool WebSocket::handle_frames(const std::function<void(std::string_view)>& on_text) {
  for (;;) {
    const std::size_t there = in_.size() - read_;
    if (there < 2) break;
    const auto* bytes = reinterpret_cast<const unsigned char*>(in_.data()) + read_;
    if (bytes[1] & 0x80) return lose("a masked frame from the server");
    std::uint64_t length = bytes[1];
    const std::size_t extra = length == 127 ? 8 : length == 126 ? 2 : 0;
    if (there < 2 + extra) break;
    if (extra > 0) {
      length = 0;
      for (std::size_t i = 0; i < extra; ++i) length = length << 8 | bytes[2 + i];
    }
    if (there - 2 - extra < length) break;
    const std::string_view payload(in_.data() + read_ + 2 + extra, length);
    read_ += 2 + extra + length;
    if (!handle_frame(bytes[0] & 15, (bytes[0] & 0x80) != 0, payload, on_text)) return false;
  }
  if (read_ > 0) {
    in_.erase(0, read_);
    read_ = 0;
  }
  return true;
}

bool WebSocket::handle_frame(int opcode, bool final, std::string_view payload,
                             const std::function<void(std::string_view)>& on_text) {
  switch (opcode) {
    case kText:
    case kContinuation:
      if (final && fragments_.empty()) {
        on_text(payload);
      } else {
        fragments_.append(payload);
        if (final) {
          on_text(fragments_);
          fragments_.clear();
        }
      }
      return true;
    case kPing:
      append_frame(kPong, payload);
      return true;
    case kPong:
      return true;
    case kClose: {
      const int code = payload.size() < 2 ? 1005
                                          : static_cast<unsigned char>(payload[0]) * 256 +
                                                static_cast<unsigned char>(payload[1]);
      return lose(fmt::format("closed with {} {}", code,
                              payload.size() > 2 ? payload.substr(2) : std::string_view{}));
    }
    default:
      return lose(fmt::format("a frame with opcode {}", opcode));
  }
}

}  // namespace sluice::bench
