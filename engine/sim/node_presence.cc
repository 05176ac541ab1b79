// Sockets of clients, and what their runs are told of them (std.presence).
#include <fmt/format.h>

#include "engine/sim/client.hpp"
#include "engine/sim/node_statement.hpp"

namespace sluice::sim {

namespace {

// So many beats in a row a run does not know what is so: nobody will tell it.
constexpr unsigned kUnaware = 12;

Sessions::Who who_is(const Client& client) {
  return {client.tenant(), client.name().second};
}

}  // namespace

void Node::attach(unsigned client, std::uint64_t connection, std::uint64_t after) {
  attached_[client] = connection;
  const Client& who = *world_.clients[client];
  Sessions::Out news;
  sessions_->attached(who_is(who), connection, moment(), news);
  tell(news);
  const core::PartitionId home = who.home();
  const ClientName name = who.name();
  statement<std::vector<core::Delivery>>(
      [home, name, after](Database& database) { return database.deliveries(home, name, after); },
      [this, client, connection](std::optional<std::vector<core::Delivery>> missed) {
        if (!missed) return;  // the client asks again
        for (const core::Delivery& delivery : *missed) {
          world_.checkers.observed(world_.clients[client]->home(), delivery.seq, 0, "delivery");
          world_.transmit([this, client, connection, delivery] {
            world_.clients[client]->delivered(connection, delivery);
          });
        }
      });
}

void Node::detach(unsigned client, std::uint64_t connection) {
  const TimeUs grace = strike(Plant::grace_ignored) ? 0 : kGrace;
  sessions_->left(who_is(*world_.clients[client]), connection, moment(), grace);
  wake(grace);
}

Sessions::Now Node::moment() {
  return {world_.scheduler.now(), now()};
}

void Node::tell(const Sessions::Out& news) {
  for (const Sessions::News& each : news) {
    const TimeUs absent = sessions_->absent(each.who, world_.scheduler.now());
    if (each.presence.away && absent < kGrace) {
      world_.checkers.violation(
          20, fmt::format("run {} is told that its client is away, which it has been for {} ms",
                          to_text(each.presence.run), absent / kMs));
    }
    const core::Record record = core::make_record(each.who.first, each.presence);
    const core::PartitionId partition = core::partition_of(each.presence.run);
    push(partition, record);
    // Said again after a doubt.
    const bool again = world_.faults.strikes(world_.options.frame_doubled);
    if (again || strike(Plant::presence_doubled)) push(partition, record);
  }
}

void Node::check_aware(Slot& slot) {
  const core::Partition& partition = slot.partition;
  if (!may_act() || slot.durable != partition.last_seq()) return;
  for (const auto& [run, client] : world_.listeners) {
    if (core::partition_of(run) != partition.id()) continue;
    const auto away = sessions_->away(who_is(*world_.clients[client]));
    if (!away || !partition.admit(core::Presence{run, *away, now()})) {
      slot.unaware.erase(run);
    } else if (++slot.unaware[run] == kUnaware) {
      world_.checkers.violation(20, fmt::format("run {} is not told that its client is {}",
                                                to_text(run), *away ? "away" : "back"));
    }
  }
}

}  // namespace sluice::sim
