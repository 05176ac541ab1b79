// A client's deliveries as server-sent events: the same numbers as on the socket, `Last-Event-ID`
// instead of resume.
#pragma once

#include <memory>
#include <string>

#include "gateway/net/connection.hpp"
#include "gateway/net/delivery_feed.hpp"
#include "gateway/net/shard.hpp"

namespace sluice::gateway {

class SseSession final : public Connection::Owner,
                         public DeliverySink,
                         private DeliveryFeed::Owner {
 public:
  struct Start {
    std::string tenant;
    std::string client;
    std::uint64_t after = 0;  // the last one handled
    std::string correlation;
    std::shared_ptr<const Principal> principal;
  };
  SseSession(Connection& connection, Start start);
  // Writes the response's head and asks the node for the deliveries. Call once, after
  // Connection::start.
  void begin();

  void on_delivery(const node::Delivery& delivery) override;

 private:
  // A client says nothing on this stream.
  std::size_t on_input(char* begin, char* end) override {
    return static_cast<std::size_t>(end - begin);
  }
  std::size_t bytes_wanted(std::size_t) const override { return 1; }
  void on_drained() override { feed_.resume(); }
  void on_tick(Time now) override;
  void on_closed() override;
  void on_shutdown() override;
  void on_attached(tl::expected<node::Attached, node::Refusal>& attached);
  void write(std::string_view text);

  void deliver(const node::Delivery& delivery) override;
  void read_after(std::uint64_t offset) override;
  bool has_room() override;

  Connection& connection_;
  Start start_;
  DeliveryFeed feed_;
  bool attached_ = false;
  bool ending_ = false;
  Time last_output_;
};

}  // namespace sluice::gateway
