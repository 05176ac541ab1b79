// Messages between partitions: what was sent and not yet taken (the outbox), and how far each
// sender has been taken (the inbox). Numbered per pair of partitions from 1; acknowledgements are
// cumulative.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/codec.hpp"
#include "engine/core/departed.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/siphash.hpp"

namespace sluice::core {

class Mailbox {
 public:
  struct Sent {
    std::uint64_t n = 0;
    TenantId tenant{};
    std::string body;
    Hash128 hash;
    Seq since = 0;  // the record that sent it; 0: one before the checkpoint. No part of the state
  };

  // Adds a message; its number.
  std::uint64_t send(PartitionId destination, TenantId tenant, Seq since, std::string body);
  // Everything up to n was taken there; what a record from `before` on sent is not touched.
  void acknowledged(PartitionId destination, std::uint64_t n, Seq before = ~Seq{0});
  // The messages that records from `first` on sent have numbers that may be others' by now. They
  // get new ones, after the last that was taken and those that were sent before; what was taken is
  // dropped: of these messages as many as a record of theirs is named in `taken.causes`.
  void renumber(PartitionId destination, Seq first, TakenMessages taken);
  std::vector<PartitionId> destinations() const;
  std::uint64_t acknowledged_by(PartitionId destination) const;
  std::uint64_t last_sent(PartitionId destination) const;
  void each_pending(const std::function<void(PartitionId, const Sent&)>& visit) const;
  std::uint64_t pending() const { return pending_; }
  // The oldest of each way on which nothing was acknowledged since the last call: as many as
  // `each`, and none that a later record than `durable` sent.
  void each_stalled(Seq durable, std::size_t each,
                    const std::function<void(PartitionId, const Sent&)>& visit);

  std::uint64_t taken_from(PartitionId source) const;
  void take(PartitionId source, std::uint64_t n) { inbox_[source] = n; }

  Hash128 hash() const;
  void write(Writer& writer) const;
  bool read(Reader& reader);

 private:
  struct Way {
    std::uint64_t last = 0;
    std::uint64_t acknowledged = 0;
    std::deque<Sent> pending;
    std::uint64_t looked_at =
        0;  // the oldest pending when each_stalled looked; no part of the state
  };

  std::map<PartitionId, Way> outbox_;
  std::map<PartitionId, std::uint64_t> inbox_;
  std::uint64_t pending_ = 0;
  Hash128 pending_hash_;
};

}  // namespace sluice::core
