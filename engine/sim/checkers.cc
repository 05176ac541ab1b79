#include "engine/sim/checkers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "engine/core/partition.hpp"
#include "engine/sim/random.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

bool same_content(const core::Delivery& a, const core::Delivery& b) {
  return a.name == b.name && a.data_json == b.data_json && a.run == b.run &&
         a.outcome == b.outcome && a.correlation == b.correlation;
}

TimeUs window_us(std::uint32_t topic) {
  return (topic == kTopicNotes || topic == kTopicEchoes ? kNotesDedupeMs : kAsksDedupeMs) * kMs;
}

// Its id begins with the time in ms.
TimeUs time_of(const core::EventId& event) {
  TimeUs ms = 0;
  for (int i = 0; i < 6; ++i) ms = ms << 8 | event.bytes[static_cast<std::size_t>(i)];
  return ms * kMs;
}

std::string at(core::PartitionId partition, core::Seq seq) {
  return fmt::format("partition {} seq {}", core::number(partition), seq);
}

// The first field of an event's record: its text.
std::string text_of(std::string_view data) {
  const auto value = vm::decode_value(data);
  if (!value || value->elements().empty()) return "";
  return std::string(value->elements()[0].as_text());
}

}  // namespace

std::uint64_t fingerprint(const core::Record& record) {
  const core::SipKey key{record.seq, static_cast<std::uint64_t>(record.time)};
  const auto kind = static_cast<unsigned>(record.kind);
  const auto verdict = static_cast<unsigned>(record.verdict);
  return core::siphash64(key, record.body) ^ (kind << 8 | verdict);
}

Checkers::Checkers(const Database& database, core::ProgramSource& programs,
                   const vm::Program& program, std::uint64_t outbox_messages)
    : database_(database),
      programs_(programs),
      program_(program),
      outbox_messages_(outbox_messages) {
  promises_ = all_promises(
      program, static_cast<unsigned>(database.stored().size()),
      [this](unsigned invariant, std::string text) { violation(invariant, std::move(text)); });
}

core::Partition::Config Checkers::config_of(core::PartitionId partition) const {
  core::Partition::Config config;
  config.id = partition;
  config.partitions = static_cast<unsigned>(database_.stored().size());
  config.outbox_messages = outbox_messages_;
  return config;
}

void Checkers::violation(unsigned invariant, std::string text) {
  violations_.push_back({invariant, false, std::move(text)});
}

void Checkers::stuck(std::string text) {
  violations_.push_back({9, true, std::move(text)});
}

void Checkers::observed(core::PartitionId partition, core::Seq seq, std::uint64_t print,
                        const char* what) {
  const auto& journal = database_.stored()[core::number(partition)].journal;
  if (seq > 0 && (journal.empty() || journal.back().record.seq < seq)) {
    violation(2, fmt::format("{} left before {} was committed", what, at(partition, seq)));
  }
  observations_.push_back({partition, seq, print, what});
}

void Checkers::accepted(const Key& key, const core::Accepted& answer) {
  const auto [first, fresh] =
      accepted_.try_emplace(key, First{answer.event, answer.seq, answer.runs});
  // Answers may come late: the older of the two began the window.
  const TimeUs apart = std::abs(time_of(answer.event) - time_of(first->second.event));
  if (!fresh && apart >= window_us(key.topic))
    first->second = {answer.event, answer.seq, answer.runs};
  if (!fresh && (first->second.event != answer.event || first->second.seq != answer.seq ||
                 first->second.runs != answer.runs)) {
    violation(4, fmt::format("id {} was answered with event {} and with {}", key.id,
                             to_text(first->second.event), to_text(answer.event)));
  }
  for (const core::RunId& run : answer.runs) meant_.try_emplace(run, key);
  const auto [known, unknown] = events_.try_emplace(answer.event, key);
  if (!unknown && known->second != key) {
    violation(4, fmt::format("ids {} and {} were taken as one", known->second.id, key.id));
  }
}

void Checkers::signalled(const core::RunId& run, const std::string& client, const std::string& id) {
  signalled_.emplace(run, client, id);
}

void Checkers::handed_out(const Term& term, const core::Offer& offer, std::uint64_t nonce) {
  const core::AttemptKey& key = offer.key;
  const std::string name =
      fmt::format("attempt {} of {} in run {}", key.attempt, offer.path, to_text(key.run));
  if (offer.step_key.empty()) violation(5, name + " has no key");
  const bool unsafe = offer.task == "charge" || offer.task == "file";
  if (unsafe &&
      !unsafe_.emplace(core::number(key.partition), key.run, key.step, key.attempt).second) {
    violation(5, name + " is not safe and was handed out twice");
  }
  tasks_[{key.run, key.step}] = offer.task;
  if (offer.task == "refund") refunded_.insert(key.run);
  // The two attempts of a hedged step go their own ways.
  const std::uint32_t beside = attempts_at_once(offer.task) > 1 ? key.attempt : 0;
  auto& highest = highest_[{term, key.run, key.step, beside}];
  const std::pair now{key.attempt, nonce};
  if (now <= highest) violation(5, name + " was handed out after a later one");
  highest = std::max(highest, now);
}

void Checkers::received(const core::Delivery& delivery) {
  received_[{core::number(delivery.tenant), delivery.client}].push_back(delivery);
}

Happened Checkers::happened() const {
  Happened all = refused_;
  for (const auto& promise : promises_) {
    for (const auto& [what, count] : promise->happened()) all[what] += count;
  }
  return all;
}

void Checkers::finish(const End& end) {
  const auto& all = database_.stored();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const core::PartitionId partition{static_cast<std::uint16_t>(i)};
    check_journal(partition, all[i]);
    check_inputs(partition, all[i]);
    check_reports(partition, all[i]);
    check_messages(partition, all[i]);
    // A journal with holes is no longer worth folding.
    if (violations_.empty()) check_fold(partition, all[i]);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    check_acknowledged(core::PartitionId{static_cast<std::uint16_t>(i)}, all[i]);
  }
  check_outboxes(end);
  check_observations();
  check_deliveries();
  check_received();
  check_ends(end);
  check_signals();
  check_board();
  if (!violations_.empty()) return;
  for (const auto& promise : promises_) promise->finish(end.all_ended);
}

// ---- 1

void Checkers::check_journal(core::PartitionId partition, const Database::Stored& stored) {
  core::Seq seq = 0;
  Epoch epoch = 0;
  TimeUs time = 0;
  core::Hash128 chain;
  core::ChainLink link(chain);
  for (const JournalRow& row : stored.journal) {
    const std::string where = at(partition, row.record.seq);
    if (row.record.seq != seq + 1) {
      violation(1, fmt::format("{} follows seq {}", where, seq));
    }
    if (row.epoch < epoch) violation(1, fmt::format("the epoch falls at {}", where));
    if (row.record.time < time) violation(1, fmt::format("the time falls at {}", where));
    seq = row.record.seq;
    epoch = row.epoch;
    time = row.record.time;
    link.add(row.record);
    if (!row.batch_end) continue;
    chain = link.finish();
    if (chain != row.chain) violation(1, fmt::format("the chain is broken at {}", where));
    chain = row.chain;
    link = core::ChainLink(chain);
  }
  std::vector<core::Seq> tips = stored.tips_appended_to;
  std::sort(tips.begin(), tips.end());
  const auto twice = std::adjacent_find(tips.begin(), tips.end());
  if (twice != tips.end()) {
    violation(1, fmt::format("two batches were appended to {}", at(partition, *twice)));
  }
}

// ---- 2

void Checkers::check_observations() {
  for (const Observation& seen : observations_) {
    const auto& journal = database_.stored()[core::number(seen.partition)].journal;
    if (seen.seq == 0) continue;
    if (seen.seq > journal.size()) {
      violation(2, fmt::format("{} depends on {}, which the journal does not hold", seen.what,
                               at(seen.partition, seen.seq)));
    } else if (seen.print != 0 && seen.print != fingerprint(journal[seen.seq - 1].record)) {
      violation(2, fmt::format("{} depends on {}, which the journal holds differently", seen.what,
                               at(seen.partition, seen.seq)));
    }
  }
}

// ---- 3

class Checkers::Turns {
 public:
  explicit Turns(Checkers& checkers) : checkers_(checkers) {}

  void after(const core::Effects& effects) {
    for (const core::Effect& effect : effects) {
      if (const auto* offer = std::get_if<core::Offer>(&effect)) {
        begun(offer->key.run);
      } else if (const auto* ended = std::get_if<core::RunChanged>(&effect)) {
        if (ended->row.state == core::RunState::superseded) {
          checkers_.superseded_.insert(ended->row.run);
        }
        if (ended->row.state == core::RunState::joined) checkers_.joined_.insert(ended->row.run);
        if (const Key* key = counted(ended->row.run)) inside_[name(*key)].erase(ended->row.run);
      }
    }
  }

 private:
  // Null: nothing bounds its runs.
  const Key* counted(const core::RunId& run) const {
    const auto meant = checkers_.meant_.find(run);
    const auto started = checkers_.started_.find(run);
    const Key* key = meant != checkers_.meant_.end()       ? &meant->second
                     : started != checkers_.started_.end() ? &started->second.key
                                                           : nullptr;
    const bool others = key == nullptr || is_joined(key->topic);  // promises.hpp counts these
    return others || runs_at_once(key->topic) == 0 ? nullptr : key;
  }

  static std::string name(const Key& key) {
    const std::string& by = key.topic == kTopicTurns   ? key.client
                            : key.topic == kTopicSolos ? std::string()
                                                       : key.order_key;
    return fmt::format("{} of tenant {} in topic {}", by, key.tenant, key.topic);
  }

  void begun(const core::RunId& run) {
    const Key* key = counted(run);
    if (key == nullptr) return;
    auto& inside = inside_[name(*key)];
    inside.insert(run);
    if (inside.size() <= runs_at_once(key->topic)) return;
    checkers_.violation(13, fmt::format("{} runs of {} go on at once", inside.size(), name(*key)));
  }

  Checkers& checkers_;
  std::map<std::string, std::set<core::RunId>> inside_;
};

namespace {

// Applies the rows, comparing with what the owner that wrote them had; what differs, or "".
template <class Look>
std::string fold(core::Partition& partition, const std::vector<JournalRow>& rows, core::Seq from,
                 Random& random, Look look) {
  core::Effects effects;
  for (const JournalRow& row : rows) {
    if (row.record.seq <= from) continue;
    const auto applied = partition.apply(row.record, {}, effects);
    if (!applied) {
      return fmt::format("seq {} does not apply: {}", row.record.seq, applied.error().message);
    }
    if (applied->verdict != row.record.verdict) {
      return fmt::format("seq {} has another verdict", row.record.seq);
    }
    look(row.record, effects);
    effects.clear();
    // Sometimes not asked: hashes must not depend on when they are taken.
    if ((row.batch_end || random.chance(700)) && partition.state_hash() != row.live_hash) {
      return fmt::format("the state after seq {} differs from the owner's", row.record.seq);
    }
    if (!row.batch_end) continue;
    if (partition.take_digest() != row.digest) {
      return fmt::format("the effects up to seq {} differ from the owner's", row.record.seq);
    }
    if (partition.state_hash() != row.state_hash) {
      return fmt::format("the state after batch {} differs from the owner's", row.record.seq);
    }
  }
  return "";
}

}  // namespace

void Checkers::check_fold(core::PartitionId partition, const Database::Stored& stored) {
  core::Partition folded(config_of(partition), programs_);
  Random random(core::number(partition));
  Turns turns(*this);
  std::vector<core::Send> sent;
  const std::string difference =
      fold(folded, stored.journal, 0, random, [&](const auto& record, const auto& effects) {
        turns.after(effects);
        for (const auto& promise : promises_) promise->see({partition, record, effects});
        for (const core::Effect& effect : effects) {
          if (const auto* send = std::get_if<core::Send>(&effect)) sent.push_back(*send);
        }
      });
  for (const core::Send& each : sent) {
    sent_[{core::number(partition), core::number(each.destination)}].push_back(each.body);
  }
  if (!difference.empty()) {
    violation(3, fmt::format("fold(0) of partition {}: {}", core::number(partition), difference));
    return;
  }
  for (const StoredCheckpoint& checkpoint : stored.checkpoints) {
    check_checkpoint(partition, stored, checkpoint);
  }
}

void Checkers::check_checkpoint(core::PartitionId partition, const Database::Stored& stored,
                                const StoredCheckpoint& checkpoint) {
  std::vector<core::StateRow> rows;
  for (const auto& [id, generations] : stored.rows) {
    const auto next = generations.upper_bound(checkpoint.generation);
    if (next != generations.begin() && !std::prev(next)->second.erased) {
      rows.push_back(std::prev(next)->second);
    }
  }
  const std::string name =
      fmt::format("checkpoint {} of partition {}", checkpoint.generation, core::number(partition));
  auto restored =
      core::Partition::restore(config_of(partition), programs_, checkpoint.checkpoint, rows);
  if (!restored) {
    violation(3, fmt::format("{} cannot be restored: {}", name, restored.error()));
    return;
  }
  Random random(checkpoint.generation);
  // The digest of a batch that the checkpoint cuts cannot be compared; checkpoints stand between
  // batches, so there is none.
  const std::string difference = fold(*restored, stored.journal, checkpoint.checkpoint.seq, random,
                                      [](const auto&, const auto&) {});
  if (!difference.empty()) violation(3, fmt::format("fold of {}: {}", name, difference));
}

// ---- 4

void Checkers::check_inputs(core::PartitionId partition, const Database::Stored& stored) {
  for (const JournalRow& row : stored.journal) {
    if (row.record.kind == core::Kind::event) check_input(partition, row);
  }
}

// Some count by their key, wherever they came in.
core::PartitionId Checkers::home_of_run(core::PartitionId partition, core::TenantId tenant,
                                        const core::Event& event) const {
  const auto data = vm::decode_value(event.data);
  const bool by_key = counts_by_key(event.topic);
  if ((!by_key && event.topic != kTopicSolos) || !data) return partition;
  const auto partitions = static_cast<unsigned>(database_.stored().size());
  const std::string_view key =
      by_key ? data->elements()[1].as_text() : std::string_view("concurrency per tenant");
  return core::partition_of_key(tenant, key, partitions);
}

void Checkers::check_input(core::PartitionId partition, const JournalRow& row) {
  const core::Record& record = row.record;
  const auto event = core::decode<core::Event>(record.body);
  if (!event) return violation(1, at(partition, record.seq) + " is damaged");
  if (!core::is_sound(record.verdict)) return;
  const Key key{core::number(record.tenant), event->topic, std::string(event->client),
                std::string(event->order_key), std::string(event->id)};
  const auto [last, first] = journaled_.try_emplace(key, record.time);
  if (!first && record.time < last->second + window_us(key.topic)) {
    violation(4, fmt::format("id {} of client {} was journaled twice", key.id, key.client));
  }
  last->second = record.time;
  if (key.topic == kTopicFacts) return;  // starts nothing
  const core::PartitionId home = home_of_run(partition, record.tenant, *event);
  const core::RunId run = home == partition
                              ? core::make_run_id(partition, record.seq, record.time, 0)
                              : core::make_run_id_at(home, partition, record.seq, record.time, 0);
  started_[run] = {event->topic, text_of(event->data), !event->client.empty(),
                   partition,    record.seq,           key};
}

// ---- 5

void Checkers::check_reports(core::PartitionId partition, const Database::Stored& stored) {
  using Attempt = std::tuple<core::RunId, core::StepNumber, std::uint32_t>;
  std::map<Attempt, core::Seq> closed;
  const auto close = [&](const auto& body, core::Seq seq) {
    if (!body) return violation(1, at(partition, seq) + " is damaged");
    const auto [first, fresh] = closed.try_emplace({body->run, body->step, body->attempt}, seq);
    if (!fresh) {
      violation(5, fmt::format("{} closes an attempt that seq {} has closed", at(partition, seq),
                               first->second));
    }
  };
  for (const JournalRow& row : stored.journal) {
    const core::Record& record = row.record;
    if (record.kind == core::Kind::done) {
      const auto body = core::decode<core::Done>(record.body);
      close(body, record.seq);
      const auto task = body ? tasks_.find({body->run, body->step}) : tasks_.end();
      if (task != tasks_.end() && task->second == "charge") charged_.insert(body->run);
    } else if (record.kind == core::Kind::failed) {
      close(core::decode<core::Failed>(record.body), record.seq);
    } else if (record.kind == core::Kind::lapsed) {
      close(core::decode<core::Lapsed>(record.body), record.seq);
    }
  }
}

// ---- 6

void Checkers::check_messages(core::PartitionId partition, const Database::Stored& stored) {
  for (const JournalRow& row : stored.journal) {
    if (row.record.kind != core::Kind::message) continue;
    const auto message = core::decode<core::Message>(row.record.body);
    if (!message) return violation(1, at(partition, row.record.seq) + " is damaged");
    auto& taken = taken_[{core::number(message->source), core::number(partition)}];
    if (message->n != taken.size() + 1) {
      violation(6, fmt::format("{} is message {} of partition {}, {} is due",
                               at(partition, row.record.seq), message->n,
                               core::number(message->source), taken.size() + 1));
    }
    taken.emplace_back(message->body);
  }
}

// Nobody gives up a message that was not taken.
void Checkers::check_acknowledged(core::PartitionId partition, const Database::Stored& stored) {
  for (const JournalRow& row : stored.journal) {
    if (row.record.kind != core::Kind::message_ack) continue;
    const auto ack = core::decode<core::MessageAck>(row.record.body);
    if (!ack) return violation(1, at(partition, row.record.seq) + " is damaged");
    const auto taken = taken_.find({core::number(partition), core::number(ack->destination)});
    const std::size_t count = taken == taken_.end() ? 0 : taken->second.size();
    if (ack->n <= count) continue;
    violation(6, fmt::format("{} gives up message {} to partition {}, which took {}",
                             at(partition, row.record.seq), ack->n, core::number(ack->destination),
                             count));
  }
}

// What was taken is what was sent; in the end all of it. By then every source has been folded.
void Checkers::check_outboxes(const End& end) {
  for (const auto& [way, sent] : sent_) {
    const auto& taken = taken_[way];
    const std::string name = fmt::format("from partition {} to {}", way.first, way.second);
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (i < sent.size() && sent[i] == taken[i]) continue;
      violation(6, fmt::format("message {} {} is not the one that was sent", i + 1, name));
      break;
    }
    if (end.all_ended && taken.size() < sent.size()) {
      violation(6, fmt::format("message {} {} was never taken", taken.size() + 1, name));
    }
  }
}

// ---- 7

void Checkers::check_deliveries() {
  for (const Database::Stored& stored : database_.stored()) {
    for (const auto& [client, deliveries] : stored.deliveries) {
      std::uint64_t offset = 0;
      for (const core::Delivery& delivery : deliveries) {
        if (delivery.offset != ++offset) {
          violation(7, fmt::format("client {} has offset {} where {} is due", client.second,
                                   delivery.offset, offset));
          offset = delivery.offset;
        }
        if (delivery.outcome) ends_[delivery.run].push_back(delivery);
      }
    }
  }
}

void Checkers::check_received() {
  for (const auto& [client, deliveries] : received_) {
    std::map<std::uint64_t, const core::Delivery*> known;
    for (const Database::Stored& stored : database_.stored()) {
      const auto list = stored.deliveries.find(client);
      if (list == stored.deliveries.end()) continue;
      for (const core::Delivery& delivery : list->second) known[delivery.offset] = &delivery;
    }
    for (const core::Delivery& delivery : deliveries) {
      const auto row = known.find(delivery.offset);
      if (row == known.end()) {
        violation(7, fmt::format("client {} received offset {}, which is not stored", client.second,
                                 delivery.offset));
      } else if (!same_content(*row->second, delivery)) {
        violation(7, fmt::format("client {} received offset {} with two contents", client.second,
                                 delivery.offset));
      }
    }
  }
}

}  // namespace sluice::sim
