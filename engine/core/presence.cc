// Clients that go away and come back, for runs that receive that (std.presence).
//
// A run knows its client as there from its beginning, until it is told otherwise; what it was told
// last is part of its state, so that it hears of no state twice, whatever the shell says again. Of
// what it has not taken yet only the newest counts: a `Back` takes a waiting `Away` away, and both
// count as told, though the run hears of neither.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/verdicts.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/engine_events.hpp"

namespace sluice::core {
namespace {

using Events = LoadedProgram::PresenceEvents;

const Events& events_of(const RunEntry& entry) {
  return entry.loaded->presence[entry.flow];
}

bool wants(const RunEntry& entry) {
  return !entry.client.empty() && events_of(entry).any();
}

// The record of the event, by the names of its fields: a program keeps the event as it was when it
// was compiled.
vm::Value event_value(const RunEntry& entry, std::uint32_t event, TimeUs since) {
  const vm::Program& program = entry.loaded->program();
  const std::uint32_t record = program.events[event].record;
  std::vector<vm::Value> fields;
  for (const vm::FieldType& field : program.types.records[record].fields) {
    if (field.name == "client") {
      fields.push_back(vm::Value::string(entry.client));
    } else if (field.name == "since") {
      fields.push_back(vm::Value::timestamp(since));
    } else if (field.name == "away") {
      fields.push_back(vm::Value::duration((since - entry.away_since) / kUsPerMs));
    } else {
      throw BadInput("`" + program.events[event].name + "` has a field that is not known here: `" +
                     field.name + "`");
    }
  }
  return vm::Value::record(record, fields);
}

void signal_change(vm::Run& run, const RunEntry& entry, bool away, TimeUs since,
                   vm::Commands& commands) {
  const Events& events = events_of(entry);
  const auto& news = away ? events.away : events.back;
  const auto& opposite = away ? events.back : events.away;
  if (opposite && run.withdraw(*opposite)) return;  // as if neither had been
  if (!news) return;
  if (!run.signal({*news, std::nullopt, event_value(entry, *news, since)}, commands)) {
    throw BadInput("the run does not take that its client is away or back");
  }
}

}  // namespace

std::vector<Events> presence_of(const vm::Program& program) {
  std::vector<Events> flows(program.flows.size());
  for (const vm::ReceiveSite& site : program.receives) {
    if (site.topic) continue;
    const std::string& name = program.events[site.event].name;
    if (name == vm::kAwayEvent) flows[site.flow].away = site.event;
    if (name == vm::kBackEvent) flows[site.flow].back = site.event;
  }
  return flows;
}

// For "back" also not before it went away: the shell's clock may have been another node's.
TimeUs told_since(const RunEntry& entry, const Presence& presence, TimeUs now) {
  const TimeUs least = std::max(entry.started, entry.away_since);
  return std::max(least, std::min(presence.since, now));
}

bool Partition::Impl::is_engines(const vm::Program& program, std::uint32_t event) {
  return event < program.events.size() && program.events[event].name.starts_with(vm::kEngineEvents);
}

bool Partition::Impl::admit_presence(const Presence& presence) const {
  const RunEntry* entry = find_run(presence.run);
  return entry != nullptr && wants(*entry) && entry->run->phase() == vm::Phase::running &&
         presence.away == (entry->away_since == 0);
}

void Partition::Impl::want_presence(Context& context, const RunEntry& entry) {
  if (!wants(entry)) return;
  context.effects.push_back(PresenceWanted{context.record.seq, entry.tenant, entry.client, entry.id,
                                           entry.away_since != 0});
}

void Partition::Impl::want_presence_again(Effects& effects) const {
  std::vector<const RunEntry*> listening;
  for (const auto& [id, entry] : runs) {
    if (wants(*entry) && entry->run->phase() == vm::Phase::running) {
      listening.push_back(entry.get());
    }
  }
  std::sort(listening.begin(), listening.end(),
            [](const RunEntry* a, const RunEntry* b) { return a->id < b->id; });
  for (const RunEntry* entry : listening) {
    effects.push_back(
        PresenceWanted{seq, entry->tenant, entry->client, entry->id, entry->away_since != 0, true});
  }
}

tl::expected<void, ApplyError> Partition::Impl::on_presence(Context& context) {
  const auto body = decode<Presence>(context.record.body);
  if (!body) return bad_body(context.record);
  if (!admit_presence(*body)) return {};
  RunEntry& entry = *find_run(body->run);
  const TimeUs since = told_since(entry, *body, context.record.time);
  work(
      context, entry, 0,
      [&](vm::Run& run, vm::Commands& commands) {
        signal_change(run, entry, body->away, since, commands);
      },
      [&] { entry.away_since = body->away ? since : 0; });
  return {};
}

}  // namespace sluice::core
