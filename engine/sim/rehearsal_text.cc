#include <fmt/format.h>

#include "engine/sim/rehearsal.hpp"
#include "vm/json_reader.hpp"

namespace sluice::sim {
namespace {

// Columns of the timeline.
constexpr int kTimeWidth = 12;
constexpr int kKindWidth = 9;

// "+1.25s": how long after the start.
std::string after(core::TimeUs us) {
  if (us < 1'000'000) return fmt::format("+{}ms", us / 1000);
  if (us < 3'600'000'000) return fmt::format("+{:.6g}s", static_cast<double>(us / 1000) / 1000.0);
  return fmt::format("+{}h{:02}m", us / 3'600'000'000, us / 60'000'000 % 60);
}

// The raw JSON of one field of an object; empty: it has none such.
std::string_view field(std::string_view object, std::string_view name) {
  vm::JsonReader reader(object);
  std::string_view key, raw;
  if (!reader.begin_object()) return {};
  while (reader.next_key(&key)) {
    const bool found = key == name;
    if (!reader.skip(&raw)) return {};
    if (found) return raw;
  }
  return {};
}

// A field that is a string, without its quotes; for names, which hold nothing to escape.
std::string_view word(std::string_view object, std::string_view name) {
  const std::string_view raw = field(object, name);
  return raw.size() >= 2 && raw.front() == '"' ? raw.substr(1, raw.size() - 2) : raw;
}

std::string quoted(std::string_view text) {
  std::string out;
  vm::append_json_string(text, out);
  return out;
}

std::string_view arguments(std::string_view array) {
  return array.size() >= 2 ? array.substr(1, array.size() - 2) : array;
}

// What came from another run.
std::string message_text(const core::HistoryEntry& entry) {
  const std::string_view data = entry.data_json;
  const std::string_view kind = word(data, "message");
  if (kind == "publish") return fmt::format("{} {}", word(data, "topic"), field(data, "data"));
  if (kind == "start") return fmt::format("{} {}", word(data, "flow"), field(data, "args"));
  if (kind == "cancel") return fmt::format("called off: {}", word(data, "reason"));
  if (kind == "signal") return fmt::format("{} {}", word(data, "event"), field(data, "data"));
  if (kind != "ended") return std::string(kind);
  if (field(data, "failure").empty()) {
    return fmt::format("{} = {} {}", entry.step, word(data, "outcome"), field(data, "data"));
  }
  return fmt::format("{} {} {}", entry.step, word(data, "failure"), field(data, "reason"));
}

// What went to another run.
std::string message_text(const core::HistoryMessage& told) {
  if (told.kind == core::MessageKind::publish) {
    return fmt::format("=> publishes {} {} to {}", told.event, told.data_json, told.name);
  }
  if (told.kind == core::MessageKind::start) {
    return fmt::format("-> {}: {} {}, run {}", told.step.empty() ? "started" : told.step, told.name,
                       told.data_json, to_text(told.run));
  }
  return fmt::format("-> called off: run {}", to_text(told.run));
}

// What the record said.
std::string input_text(const core::HistoryEntry& entry) {
  const std::string_view data = entry.data_json;
  std::string text;
  if (entry.kind == "event") {
    text = fmt::format("{} {}", word(data, "topic"), field(data, "data"));
  } else if (entry.kind == "signal") {
    text = fmt::format("{} {}", word(data, "event"), field(data, "data"));
  } else if (entry.kind == "presence") {
    text = fmt::format("its client is {} since {}",
                       word(data, "event") == "sluice.away" ? "away" : "back", word(data, "since"));
  } else if (entry.kind == "message") {
    text = message_text(entry);
  } else if (entry.kind == "cron") {
    text = fmt::format("{} at {}", word(data, "flow"), word(data, "instant"));
  } else if (entry.kind == "done") {
    text = fmt::format("{} = {}", entry.step, field(data, "result"));
  } else if (entry.kind == "failed") {
    text = fmt::format("{} {} {}{}", entry.step, word(data, "failure"), field(data, "message"),
                       word(data, "retry") == "true" ? "" : ", not to be repeated");
  } else if (entry.kind == "lapsed") {
    const std::string_view reason = word(data, "reason");
    text = fmt::format("{} {}", entry.step,
                       reason == "lost"     ? "its worker was lost"
                       : reason == "queued" ? "no worker took it"
                                            : "its time was up");
  } else if (entry.kind == "advance") {
    text = fmt::format("{}{}{}", word(data, "timer"), entry.step.empty() ? "" : " of ", entry.step);
  } else {
    text = entry.step;
  }
  if (entry.attempt > 1) text += fmt::format("  (attempt {})", entry.attempt);
  if (entry.verdict != "ok" && entry.verdict != "parked")
    text += fmt::format("  [{}: {}]", entry.verdict, word(data, "fault"));
  return text;
}

std::string effect_text(const core::Effect& effect, const core::RunId& run) {
  if (const auto* offer = std::get_if<core::Offer>(&effect); offer && offer->key.run == run) {
    return fmt::format(
        "-> {}: {}({}){}", offer->path, offer->task, arguments(offer->args_json),
        offer->key.attempt > 1 ? fmt::format(", attempt {}", offer->key.attempt) : std::string());
  }
  if (const auto* revoke = std::get_if<core::Revoke>(&effect); revoke && revoke->key.run == run) {
    return fmt::format("-> taken back: {}", revoke->why);
  }
  if (const auto* d = std::get_if<core::Delivery>(&effect); d && d->run == run) {
    const auto group = core::group_of(d->client);
    return fmt::format("=> {} {} {} to {}{}", d->outcome ? "answers" : "notifies", d->name,
                       d->data_json, group ? "group " : "", group.value_or(d->client));
  }
  if (const auto* dead = std::get_if<core::DeadLettered>(&effect); dead && dead->run == run) {
    return fmt::format("!! dead letter {}: {}: {}", dead->path, dead->kind, dead->message);
  }
  if (const auto* line = std::get_if<core::LogLine>(&effect); line && line->run == run) {
    return fmt::format("## {}", quoted(line->text));
  }
  return {};
}

void append_run(const Rehearsal& rehearsal, const core::RunHistory& history, const Mark& mark,
                std::string& out) {
  const auto margin = [&](const core::HistoryEntry& entry, const core::Effect* effect) {
    return mark && mark(entry, effect) ? '>' : ' ';
  };
  const core::RunRow& row = history.row;
  out += fmt::format("{}  run {}\n", row.flow, to_text(row.run));
  for (const core::HistoryEntry& entry : history.entries) {
    out += fmt::format("{}{:>{}}  {:<{}}  {}\n", margin(entry, nullptr),
                       after(entry.time - rehearsal.start), kTimeWidth - 1, entry.kind, kKindWidth,
                       input_text(entry));
    auto told = entry.messages.begin();
    for (std::size_t i = 0; i < entry.effects.size(); ++i) {
      const core::Effect& effect = entry.effects[i];
      const bool sent = told != entry.messages.end() && told->effect == i;
      const std::string text = sent ? message_text(*told++) : effect_text(effect, row.run);
      if (text.empty()) continue;
      out += fmt::format("{}{:{}}    {:{}}{}\n", margin(entry, &effect), "", kTimeWidth - 1, "",
                         kKindWidth, text);
    }
  }
  out += fmt::format("{}", core::run_state_word(row.state));
  if (!row.outcome_name.empty()) out += fmt::format(": {} {}", row.outcome_name, row.outcome_json);
  if (!row.why.empty()) out += fmt::format("  (why: {})", row.why);
  if (core::is_final(row.state)) {
    out += fmt::format("  after {}", after(row.ended - row.started).substr(1));
  }
  out += '\n';
}

void append_json(const Rehearsal& rehearsal, const core::RunHistory& history, std::string& out) {
  const core::RunRow& row = history.row;
  out += fmt::format(R"({{"run":"{}","flow":{},"state":"{}","took_ms":{})", to_text(row.run),
                     quoted(row.flow), core::run_state_word(row.state),
                     (row.ended - row.started) / core::kUsPerMs);
  if (!row.why.empty()) out += fmt::format(R"(,"why":{})", quoted(row.why));
  if (!row.joined.is_nil()) out += fmt::format(R"(,"joined":"{}")", to_text(row.joined));
  if (!row.outcome_name.empty()) {
    out += fmt::format(R"(,"outcome":{{"name":{},"data":{}}})", quoted(row.outcome_name),
                       row.outcome_json);
  }
  out += R"(,"history":[)";
  for (std::size_t i = 0; i < history.entries.size(); ++i) {
    const core::HistoryEntry& entry = history.entries[i];
    out += fmt::format(R"({}{{"seq":{},"time_ms":{},"kind":{})", i == 0 ? "" : ",", entry.seq,
                       (entry.time - rehearsal.start) / core::kUsPerMs, quoted(entry.kind));
    if (!entry.step.empty()) {
      out += fmt::format(R"(,"step":{},"attempt":{})", quoted(entry.step), entry.attempt);
    }
    const std::string cause = entry.causation.empty() ? "null" : quoted(entry.causation);
    out += fmt::format(R"(,"causation":{},"data":{}}})", cause, entry.data_json);
  }
  out += "]}";
}

}  // namespace

std::string rehearsal_text(const Rehearsal& rehearsal, const Mark& mark) {
  std::string out;
  for (const core::RunHistory& history : rehearsal.runs) {
    if (!out.empty()) out += '\n';
    append_run(rehearsal, history, mark, out);
  }
  if (out.empty() && rehearsal.refused.empty()) return "no flow runs on this topic\n";
  for (const Refused& each : rehearsal.refused) {
    if (&each == rehearsal.refused.data()) out += out.empty() ? "refused\n" : "\nrefused\n";
    out += fmt::format(" {:>{}}  {:<{}}  {}  [{}]\n", after(each.time - rehearsal.start),
                       kTimeWidth - 1, core::refusal_word(each.code), kKindWidth, each.what,
                       each.message);
  }
  return out;
}

std::string runs_json(const Rehearsal& rehearsal) {
  std::string out = "[";
  for (std::size_t i = 0; i < rehearsal.runs.size(); ++i) {
    if (i > 0) out += ',';
    append_json(rehearsal, rehearsal.runs[i], out);
  }
  return out + "]";
}

}  // namespace sluice::sim
