#include "engine/sim/world.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/sim/client.hpp"
#include "engine/sim/node.hpp"
#include "engine/sim/worker.hpp"

namespace sluice::sim {

namespace {

// How long after the faults everything must have ended. A run's own bound is some two minutes; an
// hour more is what a clock that jumped back stands still.
constexpr TimeUs kQuiet = 2 * 3600 * kSecond;
// A run ends early when nothing is left to do; it is asked this often.
constexpr TimeUs kAsk = kSecond;

}  // namespace

World::World(const Options& o, std::shared_ptr<const vm::VerifiedProgram> program)
    : options(o),
      random(Random(o.seed).split("world")),
      faults(*this, Random(o.seed).split("faults")),
      database(options),
      programs(std::move(program)),
      checkers(database, programs, programs.program(), outbox_messages()) {
  const Random seed(o.seed);
  for (unsigned i = 0; i < o.nodes; ++i) {
    nodes.push_back(std::make_unique<Node>(*this, static_cast<int>(i)));
  }
  for (unsigned i = 0; i < o.clients; ++i) {
    clients.push_back(std::make_unique<Client>(*this, i, seed.split(fmt::format("client {}", i))));
  }
  for (unsigned i = 0; i < o.workers; ++i) {
    workers.push_back(std::make_unique<Worker>(*this, i, seed.split(fmt::format("worker {}", i))));
  }
}

World::~World() = default;

std::uint64_t World::outbox_messages() const {
  return options.outbox_messages == 0 ? core::kOutboxMessagesMax : options.outbox_messages;
}

void World::note(const std::string& line) {
  if (!tracing) return;
  trace +=
      fmt::format("{:12.6f} {}\n", static_cast<double>(scheduler.now() - kEpoch) / kSecond, line);
}

void World::run() {
  for (const auto& node : nodes) node->start();
  for (const auto& worker : workers) worker->start();
  for (const auto& client : clients) client->start();
  faults.plan();
  const TimeUs limit = kEpoch + options.faults_us + kQuiet;
  bool ended = false;
  for (TimeUs ask = kEpoch + kAsk; !ended && ask < limit; ask += kAsk) {
    while (scheduler.step(ask)) {
      if (!checkers.violations().empty()) break;
    }
    if (!checkers.violations().empty()) break;
    ended = !faulty() && all_ended();
  }
  Checkers::End end;
  end.all_ended = ended || !checkers.violations().empty();
  end.harmless = harmless();
  end.seed = options.seed;
  checkers.finish(end);
}

bool World::all_ended() const {
  std::size_t owned = 0;
  for (const auto& node : nodes) {
    if (!node->up() || !node->idle()) return false;
    owned += node->owned();
  }
  return owned == options.partitions &&
         std::all_of(clients.begin(), clients.end(),
                     [](const auto& client) { return client->content(); });
}

bool World::harmless() const {
  const Options& o = options;
  return o.crash + o.crash_at + o.statement_lost + o.answer_lost + o.statement_late + o.frame_lost +
                 o.frame_late + o.pauses + o.database_stops + o.clock_jumps + o.worker_crash +
                 o.worker_hangs + o.worker_fails + o.worker_lies + o.worker_leaves +
                 o.client_cancels ==
             0 &&
         o.skew_us == 0;
}

void World::transmit(Scheduler::Task arrive) {
  if (faults.strikes(options.frame_lost)) return;
  TimeUs delay = faults.up_to(options.network_us);
  if (faults.strikes(options.frame_late)) delay += faults.up_to(2 * kSecond);
  if (faults.strikes(options.frame_doubled)) {
    scheduler.after(delay + faults.up_to(kSecond), arrive);
  }
  scheduler.after(delay, std::move(arrive));
}

void World::send(Input input) {
  transmit([this, input = std::move(input)] {
    Node* node = owner(input.partition);
    if (node) node->receive(input);
  });
}

void World::answer(const core::Reply& reply, const core::Effect& effect) {
  if (!reply.wanted()) return;
  transmit([this, reply, effect] {
    if (reply.shard == kToClient) {
      clients[reply.connection]->answered(reply.token, effect);
    } else {
      workers[reply.connection]->answered(reply.token, effect);
    }
  });
}

Node* World::owner(core::PartitionId partition) {
  const int index = database.stored()[core::number(partition)].owner;
  if (index < 0) return nullptr;
  Node* node = nodes[static_cast<std::size_t>(index)].get();
  return node->up() ? node : nullptr;
}

}  // namespace sluice::sim
