#include "engine/sim/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/sim/node.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

constexpr TimeUs kAnswerWait = kSecond;
constexpr TimeUs kWatch = 300 * kMs;
// A frame that was lost is asked for again after this.
constexpr TimeUs kAskAgain = 2 * kSecond;
// Longer than the grace, and than a run that looks after it waits.
constexpr TimeUs kGoneMax = 12 * kSecond;

}  // namespace

Client::Client(World& world, unsigned index, Random random)
    : world_(world),
      index_(index),
      random_(random),
      tenant_(core::TenantId{1 + index % world.options.tenants}),
      // The same name under two tenants is two clients.
      name_(fmt::format("c{}", index / world.options.tenants)),
      home_(core::partition_of_client(tenant_, name_, world.options.partitions)) {}

void Client::start() {
  watch();
  send_next();
}

bool Client::content() const {
  if (sending_.size() < world_.options.events_per_client) return false;
  for (const auto& [number, sending] : sending_) {
    if (!sending.done) return false;
  }
  for (const Signaling& signaling : signals_) {
    if (!signaling.done) return false;
  }
  // A turn's answer is that of those before it, too.
  core::Seq answered = 0;
  for (const auto& [run, seq] : turns_) {
    if (runs_.at(run)) answered = std::max(answered, seq);
  }
  return std::all_of(runs_.begin(), runs_.end(), [&](const auto& run) {
    const auto turn = turns_.find(run.first);
    return run.second || joined_.contains(run.first) ||
           (turn != turns_.end() && turn->second < answered);
  });
}

// ---- sending

void Client::send_next() {
  const auto number = static_cast<unsigned>(sending_.size()) + 1;
  if (number > world_.options.events_per_client) return;
  Sending& sending = sending_[number];
  compose(sending, number);
  send(number);
  keep_sending(number);
  const TimeUs spread = std::max<TimeUs>(world_.options.faults_us, kSecond);
  TimeUs gap = random_.between(0, 2 * spread / world_.options.events_per_client);
  if (is_joined(sending.key.topic)) gap = std::min<TimeUs>(gap, 500 * kMs);  // a conversation
  world_.scheduler.after(gap, [this] { send_next(); });
}

void Client::compose(Sending& sending, unsigned number) {
  // Most of what is sent is of the older kinds: they are what most seeds are about.
  constexpr std::array<std::uint32_t, 37> kTopics = {
      kTopicAsks,    kTopicAsks,    kTopicAsks,    kTopicAsks,     kTopicNotes,   kTopicNotes,
      kTopicTurns,   kTopicTurns,   kTopicTalks,   kTopicTalks,    kTopicNudges,  kTopicNudges,
      kTopicFacts,   kTopicFacts,   kTopicFacts,   kTopicFacts,    kTopicWatches, kTopicWatches,
      kTopicWatches, kTopicWatches, kTopicErrands, kTopicSpeeches, kTopicPairs,   kTopicSolos,
      kTopicChats,   kTopicChats,   kTopicChats,   kTopicChats,    kTopicRooms,   kTopicRooms,
      kTopicRooms,   kTopicVisits,  kTopicVisits,  kTopicMinds,    kTopicMinds,   kTopicGlances,
      kTopicGlances};
  const std::size_t kinds = world_.options.all_topics ? kTopics.size() : 8;
  const auto string = [](const std::string& text) { return vm::Value::string(text); };
  const vm::Program& program = world_.programs.program();
  sending.key.tenant = core::number(tenant_);
  sending.key.client = name_;
  sending.key.topic = kTopics[random_.below(kinds)];
  // A conversation goes on.
  const Sending* before = number > 1 ? &sending_.at(number - 1) : nullptr;
  if (before != nullptr && is_joined(before->key.topic) && random_.chance(600)) {
    sending.key.topic = before->key.topic;
  }
  // Ids of clients and topics may be equal; they are told apart by the rest of the key.
  sending.key.id = fmt::format("id-{}", number);
  const std::string text = fmt::format("{}-{}-{}", core::number(tenant_), name_, number);
  std::vector<vm::Value> fields{string(text)};
  if (const auto field = key_field(sending.key.topic)) {
    const std::string key = fmt::format("k{}", random_.below(5));
    sending.key.order_key = vm::encode_value(string(key));
    fields.push_back(string(key));
  }
  const bool line = is_joined(sending.key.topic) || sending.key.topic == kTopicVisits;
  if (line) {
    const std::string key = fmt::format("k{}", random_.below(2));
    // Where it counts, so that its gate can refuse it.
    if (sending.key.topic == kTopicChats) sending.key.order_key = key;
    fields = {string(text), string(key)};
  }
  if (sending.key.topic == kTopicFacts)
    fields.push_back(string(fmt::format("k{}", random_.below(5))));
  if (sending.key.topic == kTopicWatches)
    fields.push_back(string(fmt::format("k{}", random_.below(5))));
  if (sending.key.topic == kTopicTalks) fields.push_back(vm::Value::integer(random_.between(0, 4)));
  if (sending.key.topic == kTopicNudges) {
    const auto& talks = world_.talks;
    fields.push_back(string(talks.empty() || random_.chance(50)
                                ? "nobody"
                                : to_text(talks[random_.below(talks.size())])));
  }
  const std::uint32_t event = program.topics[sending.key.topic].event;
  sending.data = event_value(program, program.events[event].name, fields);
}

void Client::keep_sending(unsigned number) {
  world_.scheduler.after(kAnswerWait + random_.between(0, 200 * kMs), [this, number] {
    if (sending_.at(number).done) return;
    send(number);
    keep_sending(number);
  });
}

void Client::send(unsigned number) {
  const Sending& sending = sending_.at(number);
  core::Event event;
  event.deployment = kDeployment;
  event.topic = sending.key.topic;
  event.client = sending.key.client;
  event.id = sending.key.id;
  event.order_key = sending.key.order_key;
  event.data = sending.data;
  const core::PartitionId partition =
      !key_field(sending.key.topic)
          ? home_
          : core::partition_of_key(tenant_, sending.key.order_key, world_.options.partitions);
  world_.send({partition, core::make_record(tenant_, event), {kToClient, index_, number}});
}

void Client::cancel(const core::RunId& run) {
  core::Cancel cancel;
  cancel.run = run;
  cancel.client = name_;
  const std::string id = fmt::format("cancel-{}", ++cancels_);
  cancel.id = id;
  // Not asked again: a cancel that is lost cancels nothing.
  world_.send({core::partition_of(run), core::make_record(tenant_, cancel), {}});
}

void Client::answered(std::uint64_t token, const core::Effect& effect) {
  if (token >= kSignalTokens) return signal_answered(token - kSignalTokens, effect);
  const auto number = static_cast<unsigned>(token);
  if (const auto* answer = std::get_if<core::Accepted>(&effect)) {
    accepted(number, *answer);
  } else if (const auto* refusal = std::get_if<core::Rejected>(&effect)) {
    rejected(number, *refusal);
  }
}

void Client::rejected(unsigned number, const core::Rejected& answer) {
  world_.checkers.refused(fmt::format("event {}", refusal_word(answer.code)));
  // What is not there now is asked again; nothing else may be refused here.
  if (answer.code == core::Refusal::unavailable || answer.code == core::Refusal::busy) return;
  Sending& sending = sending_.at(number);
  sending.done = true;
  if (answer.code == core::Refusal::expired && sending.key.topic == kTopicPairs) return;
  world_.checkers.violation(0, fmt::format("client {} was refused: {}", name_, answer.message));
}

void Client::accepted(unsigned number, const core::Accepted& answer) {
  Sending& sending = sending_.at(number);
  world_.checkers.accepted(sending.key, answer);
  for (const core::RunId& run : answer.runs) {
    runs_.try_emplace(run, false);
    if (sending.key.topic == kTopicTurns) turns_.try_emplace(run, answer.seq);
    if (is_joined(sending.key.topic)) joined_.insert(run);
    const bool minds = sending.key.topic == kTopicMinds || sending.key.topic == kTopicGlances;
    if (minds) world_.listeners.emplace(run, index_);
    if (sending.key.topic == kTopicTalks && !sending.done) plan_signals(run);
  }
  // Of a conversation more often, and when another run may have heard of it.
  const bool joins = is_joined(sending.key.topic);
  if (!sending.done && world_.faults.strikes(world_.options.client_cancels * (joins ? 3 : 1))) {
    for (const core::RunId& run : answer.runs) {
      const TimeUs delay = joins ? random_.between(0, 300 * kMs) : 0;
      world_.scheduler.after(delay, [this, run] { cancel(run); });
    }
  }
  sending.done = true;
  if (world_.faults.strikes(world_.options.client_repeats)) {
    // Sometimes when the id may be forgotten.
    const TimeUs most = random_.chance(200) ? 3 * kNotesDedupeMs * kMs : 3 * kSecond;
    world_.scheduler.after(random_.between(0, most), [this, number] { send(number); });
  }
}

// ---- its socket

void Client::watch() {
  world_.scheduler.after(kWatch, [this] { watch(); });
  if (node_ >= 0 && world_.faults.strikes(world_.options.client_goes)) {
    hang_up();
    gone_until_ = world_.scheduler.now() + random_.between(0, kGoneMax);
  }
  if (world_.scheduler.now() < gone_until_) return;
  const Node* now = world_.owner(home_);
  const bool there = node_ >= 0 && now &&
                     now == world_.nodes[static_cast<std::size_t>(node_)].get() &&
                     now->boot() == boot_;
  const bool missing = world_.scheduler.now() > asked_ + kAskAgain && !content();
  if (!there || missing) connect();
}

void Client::hang_up() {
  if (node_ < 0) return;
  Node* node = world_.nodes[static_cast<std::size_t>(node_)].get();
  world_.scheduler.after(random_.between(0, kSecond),
                         [this, node, boot = boot_, connection = connection_] {
                           if (node->up() && node->boot() == boot) node->detach(index_, connection);
                         });
  ++connection_;  // what is under way on the old socket is lost
  node_ = -1;
}

void Client::connect() {
  hang_up();
  Node* node = world_.owner(home_);
  if (!node || !node->serves(home_)) return;
  for (std::size_t i = 0; i < world_.nodes.size(); ++i) {
    if (world_.nodes[i].get() == node) node_ = static_cast<int>(i);
  }
  boot_ = node->boot();
  asked_ = world_.scheduler.now();
  ++connection_;
  world_.transmit([this, node, boot = boot_, connection = connection_, after = offset_] {
    if (node->boot() == boot && node->up()) node->attach(index_, connection, after);
  });
}

void Client::delivered(std::uint64_t connection, const core::Delivery& delivery) {
  if (connection != connection_ || delivery.offset <= offset_) return;
  if (delivery.offset > offset_ + 1) {
    if (world_.scheduler.now() > asked_ + 100 * kMs) connect();
    return;
  }
  offset_ = delivery.offset;
  world_.checkers.received(delivery);
  // Of what it did not begin itself (children of its runs) it hears no end.
  if (delivery.outcome) runs_[delivery.run] = true;
  if (world_.faults.strikes(world_.options.client_leaves)) hang_up();
}

}  // namespace sluice::sim
