// Puts one client's deliveries in order for one socket: what was missed comes in pages from
// storage, what is new comes live, and neither a gap nor a repeat gets through. Pure; the owner
// does the reading and the writing.
//
// Offsets rise by 1. A live delivery that is next goes out at once; one beyond it means that
// something is missing, so a page is read, and live ones that come meanwhile are parked. An offset
// that is in neither (trimmed by retention) is passed over once a page proves it.
//
// Until a feed has caught up it gives the socket no more than there is room for: the rest of a page
// is kept, and what does not fit beside it stays in storage.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
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
    virtual bool has_room() = 0;
  };

  explicit DeliveryFeed(Owner& owner) : owner_(owner) {}

  // Begins after `offset`; `highest` is the client's greatest offset now. Live ones before this
  // call are ignored.
  void begin(std::uint64_t offset, std::uint64_t highest);
  void on_live(const node::Delivery& delivery);
  // The answer to read_after.
  void on_page(node::DeliveryPage page);
  // The answer could not be had; try again with resume().
  void on_read_failed() { reading_ = false; }
  // There is room again, or a failed read may be tried again. At any time.
  void resume() { advance(); }

  std::uint64_t last() const { return last_; }        // sent up to here
  std::uint64_t highest() const { return highest_; }  // the greatest offset known to exist
  bool caught_up() const { return begun_ && !reading_ && last_ >= highest_; }

 private:
  void send(const node::Delivery& delivery);
  void park(const node::Delivery& delivery);
  bool send_rest();
  bool send_parked();
  void advance();

  Owner& owner_;
  bool begun_ = false;
  bool reading_ = false;
  bool behind_ = true;  // not all that was missed has left yet
  std::uint64_t last_ = 0;
  std::uint64_t highest_ = 0;
  std::uint64_t asked_highest_ = 0;  // highest_ when the page under way was asked for
  std::uint64_t proven_ = 0;         // up to here storage holds no more than the rest of the page
  std::deque<node::Delivery> rest_;  // of the last page
  std::deque<node::Delivery> parked_;
  std::size_t parked_bytes_ = 0;
};

}  // namespace sluice::gateway
