#include "gateway/net/connection.hpp"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <utility>

#include "gateway/limits.hpp"
#include "gateway/net/shard.hpp"

namespace sluice::gateway {
namespace {

namespace asio = boost::asio;

// A buffer that held a burst is not kept by an idle connection.
constexpr std::size_t kKeptCapacity = 16 * 1024;
// The least room offered to the kernel behind input that was left over.
constexpr std::size_t kReadMore = 64 * 1024;

void release_if_large(std::string& text) {
  text.clear();
  if (text.capacity() > kKeptCapacity) std::string().swap(text);
}

}  // namespace

struct Connection::Io {
  Io(asio::io_context& io, int fd) : socket(io, fd) {}
  asio::posix::stream_descriptor socket;
};

Connection::Connection(Shard& shard, int socket, std::uint64_t id)
    : shard_(shard), io_(std::make_unique<Io>(shard.io(), socket)), id_(id) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  io_->socket.non_blocking(true);
}

Connection::~Connection() = default;

void Connection::start(std::unique_ptr<Owner> owner, std::string first_input) {
  owner_ = std::move(owner);
  shard_.add(shared_from_this());
  if (!first_input.empty()) {
    inbox_ = std::move(first_input);
    hand_over(inbox_.data(), inbox_.data() + inbox_.size(), true);
    shard_.end_turn();
  }
  if (!closed_) wait_readable();
}

void Connection::wait_readable() {
  io_->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error) self->on_readable();
                         });
}

void Connection::on_readable() {
  if (closed_) return;
  const bool open = read_once();
  shard_.end_turn();
  if (open && !closed_) wait_readable();
}

// One recv and the hand-over of what it brought. False: the peer has closed, or an error.
bool Connection::read_once() {
  const bool own_buffer = !inbox_.empty();
  char* into = shard_.read_buffer();
  std::size_t room = limits::kReadBytes;
  const std::size_t kept = inbox_.size();
  if (own_buffer) {
    room = std::clamp(closing_ ? 1 : owner_->bytes_wanted(kept), kReadMore, limits::kReadBytes);
    inbox_.resize(kept + room);
    into = inbox_.data() + kept;
  }
  const ssize_t got = ::recv(io_->socket.native_handle(), into, room, 0);
  if (got <= 0) {
    if (own_buffer) inbox_.resize(kept);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return true;
    abort();
    return false;
  }
  shard_.counters().reads.add();
  shard_.counters().bytes_in.add(static_cast<std::uint64_t>(got));
  if (own_buffer) {
    inbox_.resize(kept + static_cast<std::size_t>(got));
    hand_over(inbox_.data(), inbox_.data() + inbox_.size(), true);
  } else {
    hand_over(into, into + got, false);
  }
  return true;
}

void Connection::hand_over(char* begin, char* end, bool own_buffer) {
  // A closing connection reads on only to learn that the peer has closed too.
  const std::size_t consumed =
      closing_ ? static_cast<std::size_t>(end - begin) : owner_->on_input(begin, end);
  const auto all = static_cast<std::size_t>(end - begin);
  if (consumed == all || closing_ || closed_) {
    release_if_large(inbox_);
  } else if (own_buffer) {
    inbox_.erase(0, consumed);
  } else {
    inbox_.assign(begin + consumed, end);
  }
}

bool Connection::has_room(std::size_t below) {
  if (unsent() < below) return true;
  room_wanted_ = true;
  return false;
}

// The kernel takes more only once much of its own buffer is free: what the peer has acknowledged of
// that is progress, too.
void Connection::note_progress(Time now) {
  int queued = 0;
  if (!waiting_to_write_ || ::ioctl(io_->socket.native_handle(), SIOCOUTQ, &queued) != 0) return;
  if (std::exchange(kernel_has_, queued) != queued) progress_ = now;
}

bool Connection::stalled(Time now) const {
  return waiting_to_write_ && now - progress_ >= limits::kStallTimeout;
}

void Connection::drop_unsent() {
  out_.clear();
  touched_size_ = 0;
}

void Connection::touch() {
  if (out_.size() > touched_size_) largest_ = std::max(largest_, out_.size() - touched_size_);
  touched_size_ = out_.size();
  if (touched_ || closed_) return;
  touched_ = true;
  shard_.touch(*this);
}

void Connection::flush() {
  touched_ = false;
  if (closed_ || waiting_to_write_) return;
  while (true) {
    if (written_ == writing_.size()) {
      if (writing_.capacity() > kKeptCapacity) std::string().swap(writing_);
      writing_.clear();
      written_ = 0;
      if (out_.empty()) break;
      writing_.swap(out_);
      touched_size_ = 0;
    }
    const ssize_t sent = ::send(io_->socket.native_handle(), writing_.data() + written_,
                                writing_.size() - written_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_writable();
        return;
      }
      abort();
      return;
    }
    shard_.counters().writes.add();
    shard_.counters().bytes_out.add(static_cast<std::uint64_t>(sent));
    written_ += static_cast<std::size_t>(sent);
  }
  largest_ = 0;
  if (closing_) {
    ::shutdown(io_->socket.native_handle(), SHUT_WR);
  } else if (std::exchange(room_wanted_, false)) {
    tell_drained();
  }
}

// Whether the bytes had to wait or the kernel took them all at once: whoever was refused room hears
// of it.
void Connection::tell_drained() {
  shard_.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && !self->closed_ && !self->closing_) self->owner_->on_drained();
  });
}

void Connection::wait_writable() {
  waiting_to_write_ = true;
  progress_ = std::chrono::steady_clock::now();
  io_->socket.async_wait(asio::posix::stream_descriptor::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->waiting_to_write_ = false;
                           if (error || self->closed_) return;
                           self->flush();
                           self->shard_.end_turn();
                         });
}

void Connection::close_when_sent() {
  if (closing_ || closed_) return;
  closing_ = true;
  close_by_ = std::chrono::steady_clock::now() + limits::kCloseTimeout;
  touched_ = false;
  touch();
}

void Connection::abort() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  boost::system::error_code ignored;
  io_->socket.close(ignored);
  out_.clear();
  shard_.remove(id_);
  if (owner_) owner_->on_closed();
}

void Connection::tick(Time now) {
  if (closed_) return;
  if (closing_) {
    if (now >= close_by_) abort();
    return;
  }
  note_progress(now);
  owner_->on_tick(now);
}

}  // namespace sluice::gateway
