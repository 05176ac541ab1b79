// What leaves a node, once it is durable.
#include <fmt/format.h>

#include "engine/core/message.hpp"
#include "engine/sim/client.hpp"
#include "engine/sim/node_statement.hpp"
#include "engine/sim/worker.hpp"

namespace sluice::sim {

namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

void Node::release(Slot& slot, Part&& part) {
  const core::PartitionId partition = slot.partition.id();
  for (const core::AttemptKey& key : part.reported) {
    leaving_.push_back({partition, slot.epoch, {}, true, key});
  }
  for (core::Effect& effect : part.effects) {
    leaving_.push_back({partition, slot.epoch, std::move(effect), false, {}});
  }
  std::vector<std::pair<core::Seq, core::Effect>> still;
  for (auto& [seq, effect] : slot.held) {
    if (seq <= slot.durable) {
      leaving_.push_back({partition, slot.epoch, std::move(effect), false, {}});
    } else {
      still.emplace_back(seq, std::move(effect));
    }
  }
  slot.held = std::move(still);
}

// False: the node died on the way.
bool Node::drain() {
  if (!may_act()) {
    wake(50 * kMs);
    return true;
  }
  while (!leaving_.empty()) {
    if (crash_here()) return false;
    Leaving item = std::move(leaving_.front());
    leaving_.pop_front();
    const auto slot = slots_.find(item.partition);
    if (slot == slots_.end() || slot->second.epoch != item.epoch) continue;
    if (item.reported) {
      dispatch::Actions actions;
      dispatcher_->reported(item.key, now(), actions);
      act(actions);
    } else {
      perform(slot->second, item.effect);
    }
  }
  return true;
}

void Node::perform(Slot& slot, const core::Effect& effect) {
  const core::PartitionId partition = slot.partition.id();
  const core::Seq seq = core::seq_of(effect);
  const std::uint64_t print = seq >= slot.prints_from && seq - slot.prints_from < slot.prints.size()
                                  ? slot.prints[seq - slot.prints_from]
                                  : 0;
  const auto seen = [&](const char* what) {
    world_.checkers.observed(partition, seq, print, what);
  };
  dispatch::Actions actions;
  std::visit(
      Overloaded{
          [&](const core::Accepted& e) { seen("accepted"), world_.answer(e.reply, effect); },
          [&](const core::Rejected& e) { seen("rejected"), world_.answer(e.reply, effect); },
          [&](const core::Settled& e) { seen("settled"), world_.answer(e.reply, effect); },
          [&](const core::Stale& e) { seen("stale"), world_.answer(e.reply, effect); },
          [&](const core::Offer& e) {
            if (!e.early) seen("offer");
            if (!world_.planted && slot.partition.last_seq() > 10 && strike(Plant::offer_lost)) {
              return;
            }
            dispatcher_->offer(e, now(), actions);
          },
          [&](const core::Revoke& e) {
            seen("revoke");
            dispatcher_->revoke(e.key, e.why, now(), actions);
          },
          [&](const core::GrantCommitted& e) {
            seen("grant");
            dispatcher_->granted(e.key, now(), actions);
          },
          [&](const core::Delivery& e) { seen("delivery"), deliver(e); },
          [&](const core::Send& e) {
            seen("message");
            std::string bytes = e.body;
            if (world_.options.plant == Plant::message_changed) {
              auto envelope = core::decode<core::Envelope>(e.body);
              envelope->correlation = "another";
              if (strike(Plant::message_changed)) bytes = core::encode(*envelope);
            }
            const core::Message message{partition, e.n, bytes};
            world_.send({e.destination, core::make_record(e.tenant, message), {}});
          },
          [&](const core::Acknowledge& e) {
            seen("message ack");
            const core::MessageAck ack{partition, e.n};
            world_.send({e.source, core::make_record(core::TenantId{}, ack), {}});
          },
          [&](const core::RunChanged& e) { seen("projection row"), sessions_->over(e.row); },
          [&](const core::DeadLettered&) { seen("dead letter"); },
          [&](const core::StreamEnded&) { seen("stream's end"); },
          [&](const core::LogLine&) { seen("log line"); },
          [&](const core::PresenceWanted& e) {
            seen("wish to know of a client");
            Sessions::Out news;
            sessions_->wanted(e, moment(), news);
            tell(news);
          },
      },
      effect);
  act(actions);
}

void Node::act(const dispatch::Actions& actions) {
  for (const dispatch::Action& action : actions) {
    std::visit(
        Overloaded{
            [&](const dispatch::HandOut& a) { frame_to_worker(a); },
            [&](const dispatch::RequestGrant& a) {
              const core::Granted granted{a.key.run, a.key.step, a.key.attempt, a.opened};
              push(a.key.partition, core::make_record(core::TenantId{}, granted));
            },
            [&](const dispatch::CancelTask& a) {
              world_.transmit([this, a] { Worker::cancelled(world_, a.worker, a.key, a.nonce); });
            },
            [&](const dispatch::Lapse& a) {
              const core::Lapsed lapsed{a.key.run, a.key.step, a.key.attempt, a.opened, a.reason};
              push(a.key.partition, core::make_record(core::TenantId{}, lapsed));
            },
            [&](const dispatch::StaleLease& a) {
              world_.transmit([this, a] { Worker::cancelled(world_, a.worker, a.key, a.nonce); });
            },
        },
        action);
  }
}

void Node::frame_to_worker(const dispatch::HandOut& hand_out) {
  const core::Offer& offer = *hand_out.offer;
  if (world_.tracing) {
    world_.note(fmt::format("node {} hands out {} {} attempt {} nonce {} to worker {}", index_,
                            to_text(offer.key.run), offer.path, offer.key.attempt, hand_out.nonce,
                            core::number(hand_out.worker)));
  }
  const auto slot = slots_.find(offer.key.partition);
  const Epoch epoch = slot == slots_.end() ? 0 : slot->second.epoch;
  world_.checkers.handed_out({index_, boot_, epoch}, offer, hand_out.nonce);
  TaskFrame frame;
  frame.worker = hand_out.worker;
  frame.lease = {offer.key, offer.opened, hand_out.nonce, offer.args_digest};
  frame.args_digest = offer.args_digest;
  frame.tenant = offer.tenant;
  frame.task = offer.task;
  frame.args_json = offer.args_json;
  frame.lease_ms = hand_out.lease_ms;
  frame.stream = offer.stream;
  world_.transmit([this, frame] { Worker::handed(world_, frame); });
}

void Node::deliver(const core::Delivery& delivery) {
  for (const auto& [client, connection] : attached_) {
    if (!world_.clients[client]->is(delivery.tenant, delivery.client)) continue;
    world_.transmit([this, client = client, connection = connection, delivery] {
      world_.clients[client]->delivered(connection, delivery);
    });
  }
}

// ---- sockets

void Node::worker_joined(core::WorkerId worker, std::optional<core::TenantId> tenant,
                         const std::vector<std::string>& tasks, unsigned credit,
                         const std::vector<dispatch::LeaseName>& reclaim) {
  dispatch::Actions actions;
  dispatcher_->worker_joined(worker, tenant, tasks, 0, now(), actions);
  // Before its credit: what it still works on is not handed out again.
  for (const dispatch::LeaseName& lease : reclaim) {
    dispatcher_->reclaim(worker, lease, now(), actions);
  }
  dispatcher_->credit(worker, credit, now(), actions);
  act(actions);
  wake(0);
}

void Node::worker_credit(core::WorkerId worker, unsigned credit) {
  dispatch::Actions actions;
  dispatcher_->credit(worker, credit, now(), actions);
  act(actions);
  wake(0);
}

void Node::worker_renew(core::WorkerId worker, const dispatch::LeaseName& lease) {
  dispatch::Actions actions;
  dispatcher_->renew(worker, lease, now(), actions);
  act(actions);
}

void Node::worker_speaks(const dispatch::LeaseName& lease) {
  const core::Spoke spoke{lease.key.run, lease.key.step, lease.key.attempt, lease.opened};
  push(lease.key.partition, core::make_record(core::TenantId{}, spoke));
}

void Node::worker_left(core::WorkerId worker) {
  dispatch::Actions actions;
  dispatcher_->worker_left(worker, dispatch::Dispatcher::Leave::lost, now(), actions);
  act(actions);
}

}  // namespace sluice::sim
