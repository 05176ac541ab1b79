// Accepts connections and hands them to the shards in turn, at a bounded rate and up to a bounded
// number.
//
// Thread rule: made and bound by the main thread, then belongs to shard 0's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <tl/expected.hpp>

namespace sluice::gateway {

class Gateway;

class Listener {
 public:
  explicit Listener(Gateway& gateway);
  ~Listener();

  [[nodiscard]] tl::expected<void, std::string> bind(const std::string& host, std::uint16_t port);
  std::uint16_t port() const { return port_; }
  void start();
  void stop();

 private:
  struct Io;
  void accept();
  void pause(std::chrono::milliseconds wait);
  bool admit();

  Gateway& gateway_;
  std::unique_ptr<Io> io_;
  std::uint16_t port_ = 0;
  unsigned next_shard_ = 0;
  double budget_ = 0;  // connections that may be admitted now (token bucket)
  std::chrono::steady_clock::time_point refilled_{};
};

}  // namespace sluice::gateway
