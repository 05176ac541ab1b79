// A TCP connection after its HTTP upgrade: raw bytes in, raw bytes out, with as few system calls as
// the traffic allows.
//
// Writing: the owner appends to out() and calls touch(); at the end of the shard's turn everything
// appended is sent with one system call. Reading: all bytes that are there come in one call of
// Owner::on_input, out of a buffer that the shard's connections share, so an idle connection holds
// no buffer at all.
//
// Thread rule: belongs to its shard's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sluice::gateway {

class Shard;
using Time = std::chrono::steady_clock::time_point;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // What speaks on the connection. Lives as long as the Connection; no call comes after on_closed.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Bytes that are there and not yet consumed. Returns how many were consumed from the front; the
    // rest comes again, with what has come since, at the same or another address. The bytes may be
    // changed in place.
    virtual std::size_t on_input(char* begin, char* end) = 0;
    // How many more bytes make progress possible; sizes the next read.
    virtual std::size_t bytes_wanted(std::size_t left_over) const = 0;
    // All that was appended has been taken by the kernel, after has_room() had said no. In a turn
    // of its own.
    virtual void on_drained() {}
    // A time that was asked for with Shard::wake_at has come.
    virtual void on_wake(Time) {}
    // Called every kTick.
    virtual void on_tick(Time now) = 0;
    // The connection is gone, by whatever cause. The last call.
    virtual void on_closed() = 0;
    // The process ends: say goodbye.
    virtual void on_shutdown() = 0;
  };

  // Takes over an open, connected socket.
  Connection(Shard& shard, int socket, std::uint64_t id);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Registers with the shard and begins; `first_input` was read before and is handed over first.
  void start(std::unique_ptr<Owner> owner, std::string first_input);

  std::uint64_t id() const { return id_; }
  Shard& shard() { return shard_; }
  Owner* owner() { return owner_.get(); }

  std::string& out() { return out_; }
  // A message was appended to out(): send it at the end of this turn.
  void touch();
  // Bytes that the kernel has not taken yet.
  std::size_t unsent() const { return out_.size() + writing_.size() - written_; }
  // Whether fewer bytes than this wait. If not, on_drained() will be called.
  bool has_room(std::size_t below);
  // Whether more than this waits, the largest message not counted: one that is larger than any
  // bound must still be able to leave.
  bool passes(std::size_t bound) const { return unsent() > bound + largest_; }
  // Bytes wait, and the peer has taken none for limits::kStallTimeout.
  bool stalled(Time now) const;
  // Drops what was appended and is not under way yet.
  void drop_unsent();
  // Sends what is there now; called by the shard.
  void flush();

  // No more input is handed over; the socket closes once everything is sent, at the latest after
  // limits::kCloseTimeout.
  void close_when_sent();
  // Closes now.
  void abort();
  bool closed() const { return closed_; }
  // Ticks for the owner, and the closing's own timeout.
  void tick(Time now);

 private:
  struct Io;  // the socket in Asio's hands

  void wait_readable();
  void wait_writable();
  void on_readable();
  bool read_once();
  void hand_over(char* begin, char* end, bool own_buffer);
  void tell_drained();
  void note_progress(Time now);

  Shard& shard_;
  std::unique_ptr<Io> io_;
  std::uint64_t id_;
  std::unique_ptr<Owner> owner_;
  std::string inbox_;    // input that was not consumed yet
  std::string out_;      // appended since the last flush
  std::string writing_;  // given to the kernel up to written_
  std::size_t written_ = 0;
  std::size_t touched_size_ = 0;  // of out_ at the last touch()
  std::size_t largest_ = 0;       // message since nothing waited
  int kernel_has_ = 0;            // bytes that the peer has not acknowledged, at the last tick
  Time progress_{};               // when that changed, or the wait began
  bool room_wanted_ = false;
  bool touched_ = false;
  bool waiting_to_write_ = false;
  bool closing_ = false;
  bool closed_ = false;
  Time close_by_{};
};

}  // namespace sluice::gateway
