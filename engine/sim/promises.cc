#include "engine/sim/promises.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/schedule/instants.hpp"
#include "engine/sim/workload_program.hpp"

namespace sluice::sim {

std::vector<std::unique_ptr<Promise>> all_promises(const vm::Program& program, unsigned partitions,
                                                   const Promise::Report& report) {
  std::vector<std::unique_ptr<Promise>> all;
  all.push_back(std::make_unique<SignalQueues>(program, partitions, report));
  all.push_back(std::make_unique<SubscribedEvents>(program, partitions, report));
  all.push_back(std::make_unique<Attempts>(program, partitions, report));
  all.push_back(std::make_unique<Children>(program, partitions, report));
  all.push_back(std::make_unique<Instants>(program, partitions, report));
  all.push_back(std::make_unique<Joins>(program, partitions, report));
  all.push_back(std::make_unique<PresenceNews>(program, partitions, report));
  return all;
}

std::optional<core::Envelope> message_in(const core::Record& record) {
  if (record.kind != core::Kind::message) return std::nullopt;
  const auto message = core::decode<core::Message>(record.body);
  return message ? core::decode<core::Envelope>(message->body) : std::nullopt;
}

core::RunId first_run(const core::Effects& effects) {
  for (const core::Effect& effect : effects) {
    const auto* accepted = std::get_if<core::Accepted>(&effect);
    if (accepted != nullptr && !accepted->runs.empty()) return accepted->runs[0];
  }
  return {};
}

std::vector<Told> deliveries_of(const Seen& seen) {
  std::vector<Told> told;
  for (const core::Effect& effect : seen.effects) {
    if (const auto* delivery = std::get_if<core::Delivery>(&effect)) {
      if (core::partition_of(delivery->run) != seen.partition) continue;
      told.push_back({delivery->run, delivery->name, delivery->data_json});
    } else if (const auto* send = std::get_if<core::Send>(&effect)) {
      const auto envelope = core::decode<core::Envelope>(send->body);
      if (!envelope || envelope->kind != core::MessageKind::delivery) continue;
      const auto body = core::decode<core::DeliveryMessage>(envelope->body);
      if (body)
        told.push_back({envelope->run, std::string(body->name), std::string(body->data_json)});
    }
  }
  return told;
}

std::string json_field(std::string_view json, std::string_view name) {
  const std::string start = fmt::format("\"{}\":", name);
  const auto at = json.find(start);
  if (at == std::string_view::npos) return "";
  std::string_view rest = json.substr(at + start.size());
  const bool quoted = rest.starts_with('"');
  if (quoted) rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find_first_of(quoted ? "\"" : ",}")));
}

// ---- 15

void Attempts::see(const Seen& seen) {
  const core::Record& record = seen.record;
  if (record.kind == core::Kind::done) {
    if (const auto body = core::decode<core::Done>(record.body)) {
      close({body->run, body->step}, body->attempt, true);
    }
  } else if (record.kind == core::Kind::failed) {
    if (const auto body = core::decode<core::Failed>(record.body)) {
      close({body->run, body->step}, body->attempt, false);
    }
  } else if (record.kind == core::Kind::lapsed) {
    if (const auto body = core::decode<core::Lapsed>(record.body)) {
      close({body->run, body->step}, body->attempt, false);
    }
  } else if (record.kind == core::Kind::verdict) {
    if (const auto body = core::decode<core::Spoke>(record.body)) {
      steps_[{body->run, body->step}].speaks = body->attempt;
      count("an attempt spoke first");
    }
  }
  for (const core::Effect& effect : seen.effects) {
    if (const auto* made = std::get_if<core::Offer>(&effect)) {
      offer(*made);
    } else if (const auto* revoke = std::get_if<core::Revoke>(&effect)) {
      steps_[{revoke->key.run, revoke->key.step}].open.erase(revoke->key.attempt);
    }
  }
}

void Attempts::close(const Name& name, std::uint32_t attempt, bool done) {
  Step& step = steps_[name];
  const std::string what =
      fmt::format("attempt {} of step {} in run {}", attempt, name.second, to_text(name.first));
  if (!step.open.contains(attempt)) report_(15, what + " reports, and is not open");
  if (done && step.speaks && *step.speaks != attempt) {
    report_(15, fmt::format("{} ends the step, though {} speaks", what, *step.speaks));
  }
  if (done) {
    step.open.clear();
  } else {
    step.open.erase(attempt);
    if (step.speaks == attempt) step.speaks.reset();
  }
}

void Attempts::offer(const core::Offer& offer) {
  Step& step = steps_[{offer.key.run, offer.key.step}];
  step.open.insert(offer.key.attempt);
  if (step.open.size() > 1) count("a step was hedged");
  const std::string what = fmt::format("{} in run {}", offer.path, to_text(offer.key.run));
  if (step.open.size() > attempts_at_once(offer.task)) {
    report_(15, fmt::format("{} has {} attempts at once", what, step.open.size()));
  }
  if (step.speaks && step.open.contains(*step.speaks) && *step.speaks != offer.key.attempt) {
    report_(15, fmt::format("{} is begun anew, though attempt {} speaks", what, *step.speaks));
  }
}

// ---- 17

void Instants::see(const Seen& seen) {
  const core::Record& record = seen.record;
  if (record.kind == core::Kind::deployment) {
    for (std::uint32_t i = 0; i < program_.flows.size(); ++i) {
      if (!program_.flows[i].schedule) continue;
      if (core::partition_of_schedule(program_.flows[i].name, partitions_) != seen.partition) {
        continue;
      }
      flows_[i] = {record.time, record.time};
    }
  } else if (record.kind == core::Kind::cron) {
    fire(seen);
  } else if (record.kind != core::Kind::takeover) {
    for (const auto& [index, flow] : flows_) {
      const std::string& name = program_.flows[index].name;
      if (core::partition_of_schedule(name, partitions_) != seen.partition) continue;
      if (!schedule::last_instant(*program_.flows[index].schedule, flow.last, record.time))
        continue;
      report_(17, fmt::format("`{}` has missed an instant by seq {} of partition {}", name,
                              record.seq, core::number(seen.partition)));
    }
  }
  for (const core::Effect& effect : seen.effects) {
    const auto* changed = std::get_if<core::RunChanged>(&effect);
    if (changed != nullptr) ended_.insert(changed->row.run);
  }
}

void Instants::fire(const Seen& seen) {
  const auto body = core::decode<core::Cron>(seen.record.body);
  const auto flow = body ? flows_.find(body->flow) : flows_.end();
  if (flow == flows_.end()) return report_(17, "a cron record names no scheduled flow");
  const vm::FlowInfo& info = program_.flows[body->flow];
  const auto last = schedule::last_instant(*info.schedule, flow->second.last, seen.record.time);
  if (!last || *last != body->instant) {
    report_(17, fmt::format("`{}` is started for {} after {}, at {}", info.name, body->instant,
                            flow->second.last, seen.record.time));
  }
  flow->second.last = std::max(flow->second.last, body->instant);
  count("an instant came");
  std::size_t runs = 0;
  for (const core::Effect& effect : seen.effects) {
    const auto* accepted = std::get_if<core::Accepted>(&effect);
    if (accepted == nullptr) continue;
    runs += accepted->runs.size();
    begun_.insert(accepted->runs.begin(), accepted->runs.end());
  }
  if (runs != 1) report_(17, fmt::format("an instant of `{}` started {} runs", info.name, runs));
}

void Instants::finish(bool all_ended) {
  for (const core::RunId& run : begun_) {
    if (all_ended && !ended_.contains(run)) {
      report_(17, fmt::format("run {} of a schedule has no end", to_text(run)));
    }
  }
}

}  // namespace sluice::sim
