// `concurrency … joins`: the event of a run that waits at a gate is also a signal of the run under
// way. The run that waits keeps its place until it is decided whose the event is: a `receive` of
// the other takes it, and the run has joined that one; or the other ends, and the run begins.
//
// Each record touches one run, so the two are told by records of their own (Join), which come due
// at once like all that a gate decides. What ends a run that waits is put off until the other has
// given its event back: nobody's event is both taken and answered for.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/verdicts.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/json.hpp"

namespace sluice::core {
namespace {

bool joins(const RunEntry& entry) {
  const auto& rule = entry.loaded->program().flows[entry.flow].concurrency;
  return rule && rule->overload == vm::Overload::joins;
}

bool is_under_way(const RunEntry& entry) {
  return entry.admission.place == Place::inside && entry.run->phase() == vm::Phase::running;
}

// What it is that one run would hear of another: the event as its own program knows it.
struct Heard {
  std::uint32_t event = 0;
  vm::Value data;
};

std::optional<Heard> event_for(const RunEntry& listener, const RunEntry& waiting) {
  const vm::Program& theirs = waiting.loaded->program();
  const auto& trigger = theirs.flows[waiting.flow].trigger;
  const auto& arguments = waiting.run->arguments();
  if (!trigger || arguments.size() != 1) return std::nullopt;
  const std::uint32_t event = theirs.topics[*trigger].event;
  if (listener.deployment == waiting.deployment) return Heard{event, arguments[0]};
  const vm::Program& own = listener.loaded->program();
  const auto known = vm::find_by_name(own.events, theirs.events[event].name);
  if (!known) return std::nullopt;
  const std::string json =
      vm::to_json(theirs.types, waiting.loaded->event_types[event], arguments[0]);
  auto data = vm::decode_json(own.types, listener.loaded->event_types[*known], json,
                              {.ignore_unknown_fields = true});
  if (!data) return std::nullopt;
  return Heard{*known, std::move(*data)};
}

}  // namespace

// The newest that has begun, and may still receive.
const RunEntry* Partition::Impl::listener_of(const Gate& gate) const {
  for (auto at = gate.members.rbegin(); at != gate.members.rend(); ++at) {
    if (is_under_way(*at->second)) return at->second;
  }
  return nullptr;
}

// The oldest first; one that cannot be heard of now keeps those behind it back.
std::optional<Partition::Impl::Hearing> Partition::Impl::next_to_hear(
    const Gate& gate, const RunEntry& listener) const {
  bool offers = listener_of(gate) == &listener;
  for (const auto& [ticket, member] : gate.members) {
    const Admission& admission = member->admission;
    if (admission.heard_by == listener.id) {
      const bool wanted_back =
          admission.place == Place::leaving || admission.place == Place::called;
      if (wanted_back) return Hearing{Join::What::taken_back, member};
      continue;
    }
    const bool waits = admission.place == Place::waiting && admission.move == Move::none &&
                       admission.heard_by.is_nil();
    if (!offers || !waits || !joins(*member)) continue;
    const auto heard = event_for(listener, *member);
    offers = heard && listener.run->fits(heard->event, std::nullopt, heard->data.logical_bytes()) ==
                          vm::SignalFit::taken;
    if (offers) return Hearing{Join::What::signal, member};
  }
  return std::nullopt;
}

void Partition::Impl::settle_hearing(Context& context, Gate& gate) {
  for (const auto& [ticket, member] : gate.members) {
    if (member->admission.place != Place::inside) continue;
    const bool hears = member->admission.move == Move::hear;
    const bool wanted = next_to_hear(gate, *member).has_value();
    if (wanted && member->admission.move == Move::none) plan_move(context, *member, Move::hear);
    if (hears && !wanted) {
      touch(*member);
      forget_move(*member);
    }
  }
}

// Whether the gate is full, and the run under way has no room for one more signal.
bool Partition::Impl::is_deaf(const Gate& gate, const vm::Program& program, std::uint32_t flow,
                              std::span<const vm::Value> arguments) const {
  const vm::FlowInfo& info = program.flows[flow];
  const RunEntry* listener = listener_of(gate);
  if (info.concurrency->overload != vm::Overload::joins || listener == nullptr) return false;
  if (!info.trigger || arguments.size() != 1 || gate.taken < info.concurrency->runs) return false;
  const std::string& name = program.events[program.topics[*info.trigger].event].name;
  const auto event = vm::find_by_name(listener->loaded->program().events, name);
  return event && listener->run->fits(*event, std::nullopt, arguments[0].logical_bytes()) ==
                      vm::SignalFit::full;
}

bool Partition::Impl::ends_later(const RunEntry& entry) const {
  return entry.run->phase() == vm::Phase::created && entry.admission.place != Place::none &&
         joins(entry);
}

// Something had ended it before another run took its event, so nobody waits for that one.
bool Partition::Impl::was_to_leave(const RunEntry& entry) {
  return !entry.admission.leave_why.empty();
}

// The move that a run was to make is not there any more.
void Partition::Impl::stay(Context& context, RunEntry& entry) {
  touch(entry);
  note_record(context, entry, entry.admission.move_since);
  forget_move(entry);
  const auto found = gates.find(entry.admission.gate);
  if (found != gates.end()) settle_gate(context, found->second);
}

// A run that has not begun is to end. Whether it has been heard of, its history does not know: so
// it always ends with a record of its own.
void Partition::Impl::leave_later(Context& context, RunEntry& entry, vm::CancelKind kind,
                                  std::string why) {
  Admission& admission = entry.admission;
  if (admission.place == Place::leaving || admission.place == Place::joining) return;
  const auto found = gates.find(admission.gate);
  SLUICE_CHECK(found != gates.end());
  Gate& gate = found->second;
  give_place_up(gate, entry);
  forget_move(entry);
  forget_expiry(entry);
  admission.place = Place::leaving;
  admission.leave_kind = kind;
  admission.leave_why = std::move(why);
  if (admission.heard_by.is_nil()) plan_move(context, entry, Move::leave);
  settle_gate(context, gate);
}

// From now on it counts with those that wait.
void Partition::Impl::give_place_up(Gate& gate, const RunEntry& entry) {
  if (entry.admission.place != Place::called) return;
  --gate.taken;
  ++gate.waiting;
}

// No run has its event as a signal any more: what was decided of it can happen.
void Partition::Impl::give_back(Context& context, RunEntry& entry) {
  touch(entry);
  entry.admission.heard_by = {};
  if (entry.admission.place == Place::leaving) plan_move(context, entry, Move::leave);
  if (entry.admission.place == Place::called) plan_move(context, entry, Move::begin);
}

// The run leaves the gate: what it heard of and did not take is nobody's signal now.
void Partition::Impl::forget_heard(Context& context, Gate& gate, const RunEntry& entry) {
  for (const auto& [ticket, member] : gate.members) {
    const Admission& admission = member->admission;
    if (admission.heard_by == entry.id && admission.place != Place::joining) {
      give_back(context, *member);
    }
  }
}

// A `receive` of the run has taken the event of that other one.
void Partition::Impl::take_joined(Context& context, RunEntry& entry, const std::string& other) {
  const auto id = parse_run_id(other);
  RunEntry* waiting = id ? find_run(*id) : nullptr;
  if (waiting == nullptr || !(waiting->admission.heard_by == entry.id)) return;
  const auto found = gates.find(waiting->admission.gate);
  SLUICE_CHECK(found != gates.end());
  touch(*waiting);
  give_place_up(found->second, *waiting);
  forget_expiry(*waiting);
  waiting->admission.place = Place::joining;
  plan_move(context, *waiting, Move::join);
  if (waiting->parent_step != 0 && !was_to_leave(*waiting)) {
    entry.admission.followers.push_back(
        {waiting->parent, waiting->parent_step, waiting->id, waiting->deployment});
  }
}

// ---- the record

std::optional<Record> Partition::Impl::make_join(const RunEntry& entry, Move move) const {
  if (move == Move::join) {
    return make_record(entry.tenant,
                       Join{Join::What::joined, entry.id, entry.admission.heard_by, 0, {}});
  }
  const auto found = gates.find(entry.admission.gate);
  SLUICE_CHECK(found != gates.end());
  const auto hearing = next_to_hear(found->second, entry);
  if (!hearing) return std::nullopt;
  Join body{hearing->what, entry.id, hearing->other->id, 0, {}};
  if (hearing->what == Join::What::taken_back) return make_record(entry.tenant, body);
  const Heard heard = event_for(entry, *hearing->other).value();
  const std::string data = vm::encode_value(heard.data);
  body.event = heard.event;
  body.data = data;
  return make_record(entry.tenant, body);
}

// Whether it is what make_join makes now, and the run's turn.
bool Partition::Impl::is_due(const Join& join, const RunEntry& entry, const Record& record) const {
  const Move move = join.what == Join::What::joined ? Move::join : Move::hear;
  if (config.one_run) return true;
  const bool lax = record.verdict == Verdict::overridden || stretch != 0;
  if (entry.admission.move != move) return false;
  if (lax && move == Move::join) return true;
  if (!lax) {
    const auto first = first_timer();
    const std::uint64_t n = admission_timer(move).n();
    if (!first || !(first->run == entry.id) || first->n != n || first->due > record.time) {
      return false;
    }
  }
  const auto wanted = make_join(entry, move);
  return wanted && wanted->body == record.body;
}

tl::expected<void, ApplyError> Partition::Impl::on_join(Context& context) {
  const auto body = decode<Join>(context.record.body);
  if (!body) return bad_body(context.record);
  RunEntry* entry = find_run(body->run);
  if (entry == nullptr || !is_due(*body, *entry, context.record)) {
    if (stretch != 0) return {};
    return refuse(ApplyError::Code::not_the_next_timer,
                  "record " + std::to_string(context.record.seq) + " joins run " +
                      to_text(body->run) + " and " + to_text(body->other) +
                      ", whose turn it is not");
  }
  switch (body->what) {
    case Join::What::signal:
      hear(context, *entry, *body);
      break;
    case Join::What::taken_back:
      unhear(context, *entry, *body);
      break;
    case Join::What::joined:
      join(context, *entry, body->other);
      break;
  }
  return {};
}

void Partition::Impl::hear(Context& context, RunEntry& entry, const Join& body) {
  RunEntry* other = find_run(body.other);
  work(
      context, entry, other == nullptr ? 0 : other->first_seq,
      [&](vm::Run& run, vm::Commands& commands) {
        auto data = vm::decode_value(body.data);
        if (!data) throw BadInput(std::string("the signal is damaged: ") + data.error().message);
        vm::Signal signal{body.event, std::nullopt, std::move(*data), to_text(body.other)};
        if (!run.signal(std::move(signal), commands)) {
          throw BadInput("the run does not take this signal");
        }
      },
      [&] {
        forget_move(entry);
        if (other == nullptr) return;
        touch(*other);
        other->admission.heard_by = entry.id;
      });
}

void Partition::Impl::unhear(Context& context, RunEntry& entry, const Join& body) {
  RunEntry* other = find_run(body.other);
  work(
      context, entry, other == nullptr ? 0 : other->last_seq,
      [&](vm::Run& run, vm::Commands&) { run.take_back(to_text(body.other)); },
      [&] {
        forget_move(entry);
        if (other != nullptr) give_back(context, *other);
      });
}

void Partition::Impl::join(Context& context, RunEntry& entry, const RunId& other) {
  const RunEntry* under_way = find_run(other);
  work(
      context, entry, under_way == nullptr ? 0 : under_way->last_seq,
      [&](vm::Run& run, vm::Commands& commands) {
        run.cancel(vm::CancelKind::joined, "it joined the run under way", commands);
      },
      [&] {
        forget_move(entry);
        forget_expiry(entry);
        entry.admission.heard_by = other;
      });
}

}  // namespace sluice::core
