#include "gateway/net/listener.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "gateway/limits.hpp"
#include "gateway/net/gateway.hpp"
#include "gateway/net/http_session.hpp"

namespace sluice::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::steady_clock;

// How long accepting rests when a limit is reached, or the process is out of descriptors.
constexpr std::chrono::milliseconds kRest{20};

}  // namespace

struct Listener::Io {
  explicit Io(asio::io_context& io) : acceptor(io), timer(io) {}
  tcp::acceptor acceptor;
  asio::steady_timer timer;
};

Listener::Listener(Gateway& gateway)
    : gateway_(gateway), io_(std::make_unique<Io>(gateway.shard(0).io())) {}
Listener::~Listener() = default;

tl::expected<void, std::string> Listener::bind(const std::string& host, std::uint16_t port) {
  boost::system::error_code error;
  const auto failed = [&] {
    const bool taken = error == asio::error::address_in_use;
    return tl::unexpected(
        taken ? fmt::format("port {} of {} is taken by another program; choose one with "
                            "--listen HOST:PORT (port 0 picks a free one)",
                            port, host)
              : fmt::format("cannot listen on {}:{}: {}", host, port, error.message()));
  };
  tcp::resolver resolver(io_->acceptor.get_executor());
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) return failed();
  const tcp::endpoint endpoint = found.begin()->endpoint();
  io_->acceptor.open(endpoint.protocol(), error);
  if (error) return failed();
  io_->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  io_->acceptor.bind(endpoint, error);
  if (error) return failed();
  // With SO_REUSEADDR two sockets may bind, and only one of them listen: so listen now. Connections
  // wait in the backlog until start().
  io_->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed();
  port_ = io_->acceptor.local_endpoint(error).port();
  return {};
}

void Listener::start() {
  refilled_ = steady_clock::now();
  budget_ = static_cast<double>(gateway_.options().admissions_per_second);
  accept();
}

void Listener::stop() {
  boost::system::error_code ignored;
  io_->acceptor.close(ignored);
  io_->timer.cancel();
}

bool Listener::admit() {
  const auto now = steady_clock::now();
  const auto rate = static_cast<double>(gateway_.options().admissions_per_second);
  budget_ = std::min(rate, budget_ + rate * std::chrono::duration<double>(now - refilled_).count());
  refilled_ = now;
  if (budget_ < 1 || gateway_.connections() >= gateway_.options().connections) return false;
  budget_ -= 1;
  return true;
}

void Listener::pause(std::chrono::milliseconds wait) {
  io_->timer.expires_after(wait);
  io_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) accept();
  });
}

void Listener::accept() {
  if (!io_->acceptor.is_open()) return;
  if (!admit()) return pause(kRest);
  io_->acceptor.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) return pause(kRest);  // out of descriptors, or a connection that is gone already
    Shard& shard = gateway_.shard(next_shard_);
    next_shard_ = (next_shard_ + 1) % gateway_.shards();
    boost::system::error_code lost;
    const int fd = socket.release(lost);
    if (!lost) shard.post([&shard, fd] { start_http_session(shard, fd); });
    accept();
  });
}

}  // namespace sluice::gateway
