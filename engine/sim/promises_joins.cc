// `concurrency … joins`.
#include <fmt/format.h>

#include <algorithm>

#include "engine/sim/promises.hpp"
#include "engine/sim/workload_program.hpp"
#include "vm/limits.hpp"
#include "vm/value.hpp"

namespace sluice::sim {

namespace {

// What is due comes before what arrives, but for some timers of that moment.
constexpr core::TimeUs kAtOnce = 50'000;

// The outbox has room, and a run says what it wanted to.
bool is_mail(const core::Record& record) {
  const auto body = core::decode<core::Advance>(record.body);
  return body && core::TimerNumber::from_n(body->timer).kind == core::TimerNumber::Kind::mail;
}

}  // namespace

void Joins::see(const Seen& seen) {
  now_ = seen.record.time;
  arrive(seen);
  if (seen.record.kind == core::Kind::join) {
    if (const auto body = core::decode<core::Join>(seen.record.body)) join(*body);
  }
  for (const core::Effect& effect : seen.effects) {
    if (const auto* offer = std::get_if<core::Offer>(&effect)) begin(*offer);
  }
  const bool was_parked = seen.record.kind == core::Kind::advance && is_mail(seen.record);
  for (const Told& told : deliveries_of(seen)) {
    if (told.name == "Heard") receive(seen, told, was_parked);
  }
  for (const core::Effect& effect : seen.effects) {
    const auto* send = std::get_if<core::Send>(&effect);
    const auto envelope = send ? core::decode<core::Envelope>(send->body) : std::nullopt;
    if (!envelope || envelope->kind != core::MessageKind::ended) continue;
    const auto body = core::decode<core::EndedMessage>(envelope->body);
    if (body && body->step != 0) ++told_[{body->parent, body->step}];
  }
  note_parked(seen.record);
  if (seen.record.kind == core::Kind::done) {
    const auto body = core::decode<core::Done>(seen.record.body);
    Run* run = body ? find(body->run) : nullptr;
    if (run != nullptr) run->listens_since = seen.record.seq;
  }
  for (const core::Effect& effect : seen.effects) {
    if (const auto* changed = std::get_if<core::RunChanged>(&effect)) end(changed->row);
  }
}

void Joins::wrong(const core::RunId& run, std::string_view what) {
  report_(19, fmt::format("run {} {}", to_text(run), what));
}

Joins::Run* Joins::find(const core::RunId& run) {
  const auto found = runs_.find(run);
  return found == runs_.end() ? nullptr : &found->second;
}

// ---- in

void Joins::arrive(const Seen& seen) {
  if (!core::is_sound(seen.record.verdict)) return;
  if (seen.record.kind == core::Kind::event) {
    const auto body = core::decode<core::Event>(seen.record.body);
    const auto data = body ? vm::decode_value(body->data) : vm::decode_value("");
    const core::RunId run = first_run(seen.effects);
    if (!data || !is_joined(body->topic) || core::partition_of(run) != seen.partition) return;
    arrived(seen, body->topic == kTopicChats ? "chat" : "room", run, *data);
  } else if (const auto envelope = message_in(seen.record)) {
    if (envelope->kind == core::MessageKind::turn) {
      const auto body = core::decode<core::TurnMessage>(envelope->body);
      const auto args = body ? vm::decode_value(body->args) : vm::decode_value("");
      if (!args) return;
      arrived(seen, program_.flows[body->flow].name, body->run, args->elements()[0]);
    } else if (envelope->kind == core::MessageKind::start) {
      const auto body = core::decode<core::StartMessage>(envelope->body);
      const auto args = body ? vm::decode_value(body->args) : vm::decode_value("");
      if (!args || program_.flows[body->flow].name != "chat") return;
      child_of_[envelope->run] = body->run;
      arrived(seen, "chat", body->run, args->elements()[0]);
      runs_[body->run].parent = {envelope->run, body->step};
    }
  }
}

void Joins::arrived(const Seen& seen, std::string_view flow, const core::RunId& id,
                    const vm::Value& line) {
  if (flow != "chat" && flow != "room") return;
  Run& run = runs_[id];
  run.gate = fmt::format("{} of key {} and tenant {}", flow, line.elements()[1].as_text(),
                         core::number(seen.record.tenant));
  run.at_once = runs_at_once(flow == "chat" ? kTopicChats : kTopicRooms);
  run.text = line.elements()[0].as_text();
  run.ticket = ++tickets_;
  run.arrived = seen.record.seq;
}

// ---- between them

void Joins::join(const core::Join& body) {
  Run* run = find(body.run);
  Run* other = find(body.other);
  if (body.what == core::Join::What::joined) return;  // its end says the same
  if (run == nullptr || other == nullptr || run->gate != other->gate || !run->begun || run->ended) {
    return wrong(body.run, "is told of a run that is not of its gate");
  }
  const auto known = std::find(run->heard.begin(), run->heard.end(), body.other);
  if (body.what == core::Join::What::taken_back) {
    count("an event was taken back");
    if (known != run->heard.end()) run->heard.erase(known);
    other->heard_by = {};
    return;
  }
  if (other->begun || other->ended) wrong(body.other, "is offered, and has begun or ended");
  if (!other->heard_by.is_nil()) wrong(body.other, "is offered to two runs");
  if (!other->taken_by.is_nil()) wrong(body.other, "is offered, and was received already");
  // One that another run had and did not receive comes when it comes.
  const bool first_time = !other->offered;
  other->offered = true;
  if (first_time && other->ticket <= run->last_heard) {
    wrong(body.other, "is offered behind a later one");
  }
  for (const core::RunId& each : gates_[run->gate].inside) {
    Run& newer = runs_[each];
    if (newer.ticket > run->ticket) newer.passed_over = true;
  }
  run->last_heard = std::max(run->last_heard, other->ticket);
  other->heard_by = body.run;
  run->heard.push_back(body.other);
  if (run->heard.size() > vm::kSignalsMax + 1) wrong(body.run, "has too many events waiting");
}

void Joins::pass(Gate& gate, const Run& run, std::string_view how) {
  if (run.at_once == 1 && run.ticket < gate.last) {
    report_(19, fmt::format("the event `{}` {} behind a later one of {}", run.text, how, run.gate));
  }
  gate.last = run.ticket;
}

void Joins::begin(const core::Offer& offer) {
  const core::RunId& id = offer.key.run;
  Run* run = find(id);
  if (run != nullptr && run->passed_over && offer.task != "refund") {
    wrong(id, "is under way, and an older one was told of an event");
  }
  if (run == nullptr || run->begun) return;
  run->begun = true;
  if (!run->heard_by.is_nil()) wrong(id, "begins, and another has its event");
  if (!run->taken_by.is_nil()) wrong(id, "begins, and its event was received");
  Gate& gate = gates_[run->gate];
  pass(gate, *run, "begins");
  gate.inside.insert(id);
  if (gate.inside.size() > run->at_once) {
    wrong(id, fmt::format("begins, and {} of {} go on", gate.inside.size(), run->gate));
  }
}

void Joins::receive(const Seen& seen, const Told& told, bool was_parked) {
  const std::string by = json_field(told.json, "by");
  const std::string text = json_field(told.json, "text");
  if (by == "visit") visited_[told.run] = text;
  if (by != "chat" && by != "room") return;
  Run* run = find(told.run);
  if (run == nullptr || !run->begun) return wrong(told.run, "hears something, and has not begun");
  if (text != "-") return say(told.run, *run, text);
  count("a receive by chat ran out of time");
  if (was_parked) return;
  if (!run->heard.empty()) wrong(told.run, "runs out of time, and an event waits");
  // What came before it began to listen was offered at once.
  for (const auto& [id, other] : runs_) {
    const bool waits = other.gate == run->gate && !other.begun && !other.ended &&
                       other.taken_by.is_nil() && other.arrived < run->listens_since;
    if (waits) wrong(told.run, fmt::format("runs out of time, and `{}` waits", other.text));
  }
  run->listens_since = seen.record.seq;
}

void Joins::say(const core::RunId& id, Run& run, const std::string& text) {
  // In a race the branch that received may lose while it waits to say so.
  const bool raced = run.at_once > 1 && !run.unsaid.empty();
  if (raced && find(run.unsaid.front())->text != text) run.unsaid.clear();
  if (run.unsaid.empty() && !take(id, run)) return;
  const std::string& due = find(run.unsaid.front())->text;
  run.unsaid.pop_front();
  if (text != due) wrong(id, fmt::format("hears `{}`, where `{}` is due", text, due));
}

// Its own run could begin, and nobody who came before it waits for that place.
bool Joins::has_place(const Gate& gate, const Run& run) const {
  const auto before = std::count_if(runs_.begin(), runs_.end(), [&](const auto& each) {
    const Run& other = each.second;
    return other.gate == run.gate && other.ticket < run.ticket && !other.begun && !other.ended &&
           other.taken_by.is_nil();
  });
  return now_ > gate.changed + kAtOnce &&
         gate.inside.size() + static_cast<std::size_t>(before) < run.at_once;
}

bool Joins::take(const core::RunId& id, Run& run) {
  Run* other = run.heard.empty() ? nullptr : find(run.heard.front());
  if (other == nullptr) {
    wrong(id, "hears something, and nothing waits");
    return false;
  }
  other->heard_by = {};
  other->taken_by = id;
  Gate& gate = gates_[run.gate];
  pass(gate, *other, "is heard");
  if (has_place(gate, *other)) wrong(id, fmt::format("hears `{}`, which could begin", other->text));
  run.joined.push_back(run.heard.front());
  run.unsaid.push_back(run.heard.front());
  run.heard.pop_front();
  count("an event was heard");
  return true;
}

void Joins::note_parked(const core::Record& record) {
  std::optional<core::RunId> touched;
  if (record.kind == core::Kind::done) {
    touched = core::decode<core::Done>(record.body)->run;
  } else if (record.kind == core::Kind::advance) {
    touched = core::decode<core::Advance>(record.body)->run;
  } else if (record.kind == core::Kind::join) {
    touched = core::decode<core::Join>(record.body)->run;
  }
  Run* run = touched ? find(*touched) : nullptr;
  if (run == nullptr) return;
  // What else reaches a parked run leaves it parked.
  const bool goes_on = record.kind == core::Kind::advance && is_mail(record);
  run->parked = record.verdict == core::Verdict::parked || (run->parked && !goes_on);
}

// ---- out

void Joins::end(const core::RunRow& row) {
  Run* run = find(row.run);
  if (run == nullptr) {
    if (row.state == core::RunState::joined) wrong(row.run, "ends joined, and counts with nobody");
    return;
  }
  if (run->ended) wrong(row.run, "ends twice");
  Run* listener = row.state == core::RunState::joined ? find(row.joined) : nullptr;
  const bool unsaid = listener != nullptr && listener->parked && run->taken_by.is_nil();
  if (unsaid && !listener->heard.empty() && listener->heard.front() == row.run) {
    take(row.joined, *listener);
  }
  run->ended = true;
  Gate& gate = gates_[run->gate];
  if (gate.inside.erase(row.run) != 0) gate.changed = now_;
  const bool joined = row.state == core::RunState::joined;
  if (joined != !run->taken_by.is_nil()) {
    wrong(row.run,
          joined ? "ends joined, and nobody heard of it" : "was heard, and ends otherwise");
  }
  if (joined && (run->begun || !(row.joined == run->taken_by))) {
    wrong(row.run, "has joined another than the one that heard of it, or has begun");
  }
  if (!run->heard_by.is_nil()) wrong(row.run, "ends, and another has its event yet");
  if (joined && !row.outcome_name.empty()) wrong(row.run, "ends joined, and has an outcome");
  for (const core::RunId& each : run->heard) {
    find(each)->heard_by = {};
    count("an event began the next run, or another heard of it");
  }
  run->heard.clear();
  if (!joined) check_told(*run);
  for (const core::RunId& each : run->joined) check_told(*find(each));
}

void Joins::check_told(const Run& run) {
  if (!run.parent) return;
  const unsigned times = told_[*run.parent];
  if (times == 1) return;
  wrong(run.parent->first, fmt::format("is told {} times how its step ended", times));
}

void Joins::finish(bool all_ended) {
  for (const auto& [id, run] : runs_) {
    if (all_ended && !run.ended) wrong(id, "has no end");
  }
  for (const auto& [parent, text] : visited_) {
    const auto child = child_of_.find(parent);
    const Run* run = child == child_of_.end() ? nullptr : find(child->second);
    if (run == nullptr) {
      wrong(parent, "got an answer, and began no run");
      continue;
    }
    const bool joined = !run->taken_by.is_nil();
    if (joined) count("a child joined another run");
    const Run* answers = joined ? find(run->taken_by) : run;
    if (answers->text == text) continue;
    wrong(parent, fmt::format("got `{}`, where `{}` is due", text, answers->text));
  }
}

}  // namespace sluice::sim
