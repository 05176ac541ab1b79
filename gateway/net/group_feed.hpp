// A group that one client socket has subscribed to: its log, in order, from where the subscriber
// wants it on. A group's log is kept like a client's (core::group_client), but nobody acknowledges
// it: who missed something subscribes with the last offset it has handled.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/net/delivery_feed.hpp"
#include "gateway/net/shard.hpp"

namespace sluice::gateway {

class GroupFeed final : public DeliverySink, private DeliveryFeed::Owner {
 public:
  // The socket, as the feed sees it; outlives the feed.
  class Subscriber {
   public:
    virtual ~Subscriber() = default;
    virtual void deliver(const node::Delivery& delivery, const std::string& group) = 0;
    virtual bool group_has_room() = 0;
    // The feed that a late answer is for; null: it is gone.
    virtual GroupFeed* find_group(const std::string& group, std::uint64_t generation) = 0;
    // `recovered` false: not all after the offset that was asked for is retained.
    virtual void group_attached(const std::string& group, std::uint64_t offset, bool recovered) = 0;
    virtual void group_failed(const std::string& group, const node::Refusal& refusal) = 0;
  };
  // How a late answer finds the socket again; null: it is closed.
  using Find = std::function<Subscriber*()>;

  struct Place {
    std::string tenant;
    std::string group;
    std::uint64_t generation = 0;  // tells this subscription from an earlier one to the same group
  };
  GroupFeed(Shard& shard, Subscriber& subscriber, Find find, Place place);
  ~GroupFeed() override;
  GroupFeed(const GroupFeed&) = delete;
  GroupFeed& operator=(const GroupFeed&) = delete;

  // Deliveries after `offset`; without one, those that come from now on.
  void begin(std::optional<std::uint64_t> offset);
  // There is room again, or a page that could not be had may be asked for again.
  void resume() { feed_.resume(); }
  std::uint64_t generation() const { return place_.generation; }
  // Its frame was answered, or waits for no answer.
  bool answered() const { return attached_ || answer_id_.empty(); }
  const std::string& answer_id() const { return answer_id_; }
  void set_answer_id(std::string id) { answer_id_ = std::move(id); }

  void on_delivery(const node::Delivery& delivery) override { feed_.on_live(delivery); }

 private:
  void deliver(const node::Delivery& delivery) override;
  void read_after(std::uint64_t offset) override;
  bool has_room() override { return subscriber_.group_has_room(); }
  void attached(const tl::expected<node::Attached, node::Refusal>& attached,
                std::optional<std::uint64_t> offset);

  Shard& shard_;
  Subscriber& subscriber_;
  Find find_;
  Place place_;
  std::string log_;        // the name under which the node keeps it
  std::string answer_id_;  // of the frame that asked; empty: it wants no answer
  bool attached_ = false;
  DeliveryFeed feed_;
};

}  // namespace sluice::gateway
