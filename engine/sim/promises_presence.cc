// Whether a run's client is there.
#include <fmt/format.h>

#include <algorithm>

#include "engine/sim/promises.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/json.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

// As it stands in an event.
std::string unquoted(std::string json) {
  return json.size() < 2 ? "" : json.substr(1, json.size() - 2);
}

std::string time_text(core::TimeUs time) {
  return unquoted(vm::to_json(vm::TypeTable(), vm::kTypeTimestamp, vm::Value::timestamp(time)));
}

std::string span_text(core::TimeUs span) {
  return unquoted(
      vm::to_json(vm::TypeTable(), vm::kTypeDuration, vm::Value::duration(span / 1000)));
}

}  // namespace

void PresenceNews::see(const Seen& seen) {
  const core::Record& record = seen.record;
  if (record.kind == core::Kind::event && core::is_sound(record.verdict)) {
    const auto body = core::decode<core::Event>(record.body);
    const bool listens = body && (body->topic == kTopicMinds || body->topic == kTopicGlances);
    if (listens) {
      Run run;
      run.client = body->client;
      run.arrived = record.time;
      run.back = body->topic == kTopicMinds;
      runs_[first_run(seen.effects)] = std::move(run);
    }
  } else if (record.kind == core::Kind::presence) {
    if (const auto body = core::decode<core::Presence>(record.body)) told(seen, *body);
  }
  for (const core::Effect& effect : seen.effects) {
    const auto* wanted = std::get_if<core::PresenceWanted>(&effect);
    if (wanted == nullptr) continue;
    const auto run = runs_.find(wanted->run);
    if (run == runs_.end()) {
      wrong(wanted->run, "does not listen, and its client is asked for");
    } else if (run->second.asked || wanted->told_away || wanted->client != run->second.client) {
      wrong(wanted->run, "asks for its client twice, or for another");
    } else {
      run->second.asked = true;
    }
  }
  for (const Told& each : deliveries_of(seen)) {
    if (each.name == "Noticed") received(seen, each);
    if (each.name == "Heard") missed(each);
  }
  for (const core::Effect& effect : seen.effects) {
    const auto* changed = std::get_if<core::RunChanged>(&effect);
    if (changed != nullptr) runs_.erase(changed->row.run);
  }
}

void PresenceNews::wrong(const core::RunId& run, std::string_view what) {
  report_(20, fmt::format("run {} {}", to_text(run), what));
}

void PresenceNews::told(const Seen& seen, const core::Presence& body) {
  const auto found = runs_.find(body.run);
  if (found == runs_.end()) return wrong(body.run, "is told of its client, and does not listen");
  Run& run = found->second;
  if (!run.asked) wrong(body.run, "is told of its client, and has not begun");
  if (body.away == (run.away_since != 0)) {
    return wrong(body.run, "is told what it knows of its client");
  }
  count(body.away ? "a run was told `Away`" : "a run was told `Back`");
  const core::TimeUs since =
      std::max({run.arrived, run.away_since, std::min(body.since, seen.record.time)});
  const bool opposite = run.waiting && (run.waiting->by == "away") != body.away;
  if (opposite) {
    run.waiting.reset();
    count("what had not been taken yet was over");
  } else if (body.away) {
    run.waiting = Run::Waiting{"away", time_text(since), span_text(0)};
  } else if (run.back) {
    run.waiting = Run::Waiting{"back", time_text(since), span_text(since - run.away_since)};
  }
  run.away_since = body.away ? since : 0;
}

void PresenceNews::received(const Seen& seen, const Told& told) {
  const std::string by = json_field(told.json, "by");
  count("a receive by " + by + " got one");
  const auto found = runs_.find(told.run);
  const auto* waiting =
      found != runs_.end() && found->second.waiting ? &*found->second.waiting : nullptr;
  const std::string kind = by == "back" ? "back" : "away";
  if (waiting == nullptr || waiting->by != kind) {
    return wrong(told.run,
                 fmt::format("notices `{}` at seq {}, which does not wait", kind, seen.record.seq));
  }
  if (json_field(told.json, "since") != waiting->since ||
      json_field(told.json, "away") != waiting->away) {
    wrong(told.run, fmt::format("notices {}, where {} and {} are due", told.json, waiting->since,
                                waiting->away));
  }
  found->second.waiting.reset();
}

void PresenceNews::missed(const Told& told) {
  const std::string by = json_field(told.json, "by");
  if (by != "away" && by != "back" && by != "glance") return;
  count("a receive by " + by + " ran out of time");
  const auto found = runs_.find(told.run);
  if (found == runs_.end() || !found->second.waiting) return;
  const std::string kind = by == "back" ? "back" : "away";
  if (found->second.waiting->by == kind) {
    wrong(told.run, fmt::format("runs out of time, and `{}` waits", kind));
  }
}

}  // namespace sluice::sim
