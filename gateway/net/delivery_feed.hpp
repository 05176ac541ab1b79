// Puts one client's deliveries in order for one socket: what was missed comes in pages from
// storage, what is new comes live, and neither a gap nor a repeat gets through. Pure; the owner
// does the reading and the writing.
//
// Offsets rise by 1. A live delivery that is next goes out at once; one beyond it means that
// something is missing, so a page is read, and live ones that come meanwhile are parked. An offset
// that is in neither (trimmed by retention) is passed over once a page proves it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/node/requests.hpp"

namespace sluice::gateway {

class DeliveryFeed {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void deliver(const node::Delivery& delivery) = 0;
    // Read a page of deliveries after this offset and call on_page.
    virtual void read_after(std::uint64_t offset) = 0;
    // False: the socket is behind with its bytes; resume() will be called.
    virtual bool has_room() const = 0;
  };

  explicit DeliveryFeed(Owner& owner, std::size_t page) : owner_(owner), page_(page) {}

  // Begins after `offset`; `highest` is the client's greatest offset now. Live ones before this
  // call are ignored.
  void begin(std::uint64_t offset, std::uint64_t highest);
  void on_live(const node::Delivery& delivery);
  // The answer to read_after: rising by offset; fewer than the page's size means that there are no
  // more now.
  void on_page(const std::vector<node::Delivery>& page);
  // The answer could not be had; try again with resume().
  void on_read_failed() { reading_ = false; }
  // There is room again, or a failed read may be tried again.
  void resume() { advance(); }

  std::uint64_t last() const { return last_; }        // sent up to here
  std::uint64_t highest() const { return highest_; }  // the greatest offset known to exist
  bool caught_up() const { return begun_ && !reading_ && last_ >= highest_; }

 private:
  void send(const node::Delivery& delivery);
  void send_parked();
  void advance();

  Owner& owner_;
  std::size_t page_;
  bool begun_ = false;
  bool reading_ = false;
  std::uint64_t last_ = 0;
  std::uint64_t highest_ = 0;
  std::uint64_t asked_highest_ = 0;  // highest_ when the page under way was asked for
  std::deque<node::Delivery> parked_;
};

}  // namespace sluice::gateway
