// Signals and subscriptions.
#include <fmt/format.h>

#include <algorithm>

#include "engine/core/subscriptions.hpp"
#include "engine/sim/promises.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/limits.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

// The fields of an event's value that are texts.
std::vector<std::string> texts_of(std::string_view data) {
  std::vector<std::string> texts;
  const auto value = vm::decode_value(data);
  if (!value) return texts;
  for (const vm::Value& field : value->elements()) {
    texts.emplace_back(field.is(vm::Kind::string) ? field.as_text() : std::string_view());
  }
  return texts;
}

bool dead_lettered(const core::Effects& effects) {
  return std::any_of(effects.begin(), effects.end(), [](const core::Effect& effect) {
    return std::holds_alternative<core::DeadLettered>(effect);
  });
}

}  // namespace

// ---- 14: the queue of a run

void SignalQueues::see(const Seen& seen) {
  arrive(seen);
  for (const Told& told : deliveries_of(seen)) {
    const std::string by = told.name == "Heard" ? json_field(told.json, "by") : "";
    if (by == "word" || by == "id" || by == "other") claim(seen, told);
  }
  for (const core::Effect& effect : seen.effects) {
    const auto* changed = std::get_if<core::RunChanged>(&effect);
    if (changed == nullptr) continue;
    ended_.insert(changed->row.run);
    queues_.erase(changed->row.run);
  }
}

void SignalQueues::arrive(const Seen& seen) {
  const core::Record& record = seen.record;
  if (const auto envelope = message_in(record)) return message(seen, *envelope);
  if (!core::is_sound(record.verdict)) return;
  if (record.kind == core::Kind::event) {
    const auto body = core::decode<core::Event>(record.body);
    if (body && body->topic == kTopicWatches) {
      watched_[first_run(seen.effects)] = texts_of(body->data).at(1);
    }
  } else if (record.kind == core::Kind::signal) {
    const auto body = core::decode<core::Signal>(record.body);
    if (!body) return;
    const auto value = vm::decode_value(body->data);
    if (!value || value->elements().size() != 2) {
      return report_(
          14, fmt::format("run {} took an event that it does not receive", to_text(body->run)));
    }
    if (!ids_.emplace(body->run, body->client, body->id).second) {
      report_(14,
              fmt::format("signal {} of run {} was journaled twice", body->id, to_text(body->run)));
    }
    Queue& queue = queues_[body->run];
    queue.items.push_back({texts_of(body->data)[0], "", "", value->elements()[1].as_bool()});
    if (queue.items.size() > vm::kSignalsMax + 1) {
      report_(14,
              fmt::format("{} signals wait for run {}", queue.items.size(), to_text(body->run)));
    }
  }
}

void SignalQueues::message(const Seen& seen, const core::Envelope& envelope) {
  if (envelope.kind != core::MessageKind::signal) return;
  if (!core::is_sound(seen.record.verdict)) {
    if (dead_lettered(seen.effects)) return count("a run told another in vain");
    return report_(14, "a signal is lost unsaid");
  }
  const auto body = core::decode<core::SignalMessage>(envelope.body);
  if (!body) return;
  const bool of_topic = !body->topic.empty();
  if (ended_.contains(body->run)) {
    if (!of_topic) {
      report_(14,
              fmt::format("what run {} was told after its end is lost unsaid", to_text(body->run)));
    }
    return;
  }
  Queue& queue = queues_[body->run];
  if (of_topic && !queue.events.insert(to_text(core::EventId{body->event})).second) return;
  queue.items.push_back({json_field(body->data_json, "text"), json_field(body->data_json, "id"),
                         json_field(body->data_json, "other"),
                         json_field(body->data_json, "fits") == "true"});
}

void SignalQueues::claim(const Seen& seen, const Told& told) {
  const std::string text = json_field(told.json, "text");
  const std::string by = json_field(told.json, "by");
  auto& items = queues_[told.run].items;
  const std::string& id = watched_[told.run];
  const auto fits = [&](const Item& item) {
    return by == "word" ? item.fits : (by == "id" ? item.id : item.other) == id;
  };
  const auto oldest = std::find_if(items.begin(), items.end(), fits);
  const std::string due = oldest == items.end() ? "-" : oldest->text;
  count(fmt::format("a receive by {} {}", by, text == "-" ? "ran out of time" : "got one"));
  if (text != due) {
    report_(14, fmt::format("run {} received `{}` by {} at seq {}, where `{}` is due",
                            to_text(told.run), text, by, seen.record.seq, due));
  }
  if (oldest != items.end()) items.erase(oldest);
}

// ---- 14: subscriptions

void SubscribedEvents::see(const Seen& seen) {
  const core::Record& record = seen.record;
  if (record.kind == core::Kind::event) {
    took_event(seen);
  } else if (const auto envelope = message_in(record)) {
    message(seen, *envelope);
  }
  for (const core::Effect& effect : seen.effects) {
    if (const auto* send = std::get_if<core::Send>(&effect)) {
      const auto envelope = core::decode<core::Envelope>(send->body);
      if (!envelope || envelope->kind != core::MessageKind::signal) continue;
      const auto body = core::decode<core::SignalMessage>(envelope->body);
      if (!body || body->topic.empty()) continue;
      ++sent_[{body->run, to_text(core::EventId{body->event})}];
    } else if (const auto* changed = std::get_if<core::RunChanged>(&effect)) {
      const auto watcher = watchers_.find(changed->row.run);
      if (watcher == watchers_.end()) continue;
      const auto& [tenant, id] = watcher->second;
      if (Home* home = home_at(seen.partition, tenant, id)) home->runs.erase(watcher->first);
    }
  }
}

void SubscribedEvents::took_event(const Seen& seen) {
  const core::Record& record = seen.record;
  const auto body = core::decode<core::Event>(record.body);
  if (!body || !core::is_sound(record.verdict)) return;
  if (body->topic == kTopicWatches) {
    const core::RunId run = first_run(seen.effects);
    const std::string id = texts_of(body->data).at(1);
    watchers_[run] = {record.tenant, id};
    if (Home* home = home_at(seen.partition, record.tenant, id)) {
      subscribe(*home, run, record.time, record.time);
    }
  } else if (body->topic == kTopicFacts) {
    const auto texts = texts_of(body->data);
    const std::string event = to_text(core::make_event_id(seen.partition, record.seq, record.time));
    facts_[event] = {record.tenant, texts.at(1), texts.at(2)};
    if (Home* home = home_at(seen.partition, record.tenant, texts[1])) {
      event_at(*home, event, record.time);
    }
  }
}

void SubscribedEvents::message(const Seen& seen, const core::Envelope& envelope) {
  const auto unquoted = [](std::string_view json) {
    return std::string(json.substr(1, json.size() - 2));
  };
  const core::TenantId tenant = seen.record.tenant;
  if (envelope.kind == core::MessageKind::topic_event) {
    const auto body = core::decode<core::TopicEventMessage>(envelope.body);
    if (!body || body->field != "id") return;
    Home* home = home_at(seen.partition, tenant, unquoted(body->value));
    if (home) event_at(*home, to_text(core::EventId{body->event}), body->time);
  } else if (envelope.kind == core::MessageKind::subscribe ||
             envelope.kind == core::MessageKind::unsubscribe) {
    const auto body = core::decode<core::SubscribeMessage>(envelope.body);
    if (!body || body->field != "id") return;
    Home* home = home_at(seen.partition, tenant, unquoted(body->value));
    if (!home) return;
    if (envelope.kind == core::MessageKind::unsubscribe) {
      home->runs.erase(body->run);
    } else {
      subscribe(*home, body->run, body->since, seen.record.time);
    }
  }
}

SubscribedEvents::Home* SubscribedEvents::home_at(core::PartitionId partition,
                                                  core::TenantId tenant, const std::string& value) {
  const core::Pair pair{"facts", "id", fmt::format("\"{}\"", value)};
  if (core::key_of(tenant, pair, partitions_).home != partition) return nullptr;
  return &homes_[{tenant, value}];
}

void SubscribedEvents::subscribe(Home& home, const core::RunId& run, core::TimeUs since,
                                 core::TimeUs now) {
  if (!home.runs.insert(run).second) return;
  for (const auto& [event, time] : home.events) {
    if (time < since) continue;
    (now - time < kKept ? due_ : perhaps_).emplace(run, event);
    count("an event came before its subscription");
  }
}

void SubscribedEvents::event_at(Home& home, const std::string& event, core::TimeUs time) {
  for (const core::RunId& run : home.runs) due_.emplace(run, event);
  home.events.emplace_back(event, time);
}

void SubscribedEvents::finish(bool) {
  for (const auto& [run, event] : due_) {
    if (sent_.contains({run, event})) continue;
    report_(14,
            fmt::format("run {} subscribed to event {}, and did not get it", to_text(run), event));
  }
  for (const auto& [claim, count] : sent_) {
    const auto fact = facts_.find(claim.second);
    const auto watcher = watchers_.find(claim.first);
    unsigned most = 0;
    if (fact != facts_.end() && watcher != watchers_.end() &&
        fact->second.tenant == watcher->second.tenant) {
      most += due_.contains(claim) || perhaps_.contains(claim) ? 1 : 0;
      most += fact->second.other == watcher->second.id ? 1 : 0;
    }
    if (count <= most) continue;
    report_(14, fmt::format("run {} was sent event {} {} times, {} are due", to_text(claim.first),
                            claim.second, count, most));
  }
}

}  // namespace sluice::sim
