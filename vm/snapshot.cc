#include "vm/hash.hpp"
#include "vm/snapshot_layout.hpp"
#include "vm/wire.hpp"

namespace sluice::vm {
namespace detail {
namespace {

using namespace wire;

void put_values(std::string& out, const std::vector<Value>& values) {
  put_number(out, values.size());
  for (const Value& value : values) encode_value(value, out);
}

void put_failure(std::string& out, const std::optional<Failure>& failure) {
  put_u8(out, failure ? 1 : 0);
  if (!failure) return;
  put_string(out, failure->kind);
  put_string(out, failure->message);
  put_string(out, failure->step);
  put_signed(out, failure->attempt);
}

void put_undo(std::string& out, const std::vector<Undo>& entries) {
  put_number(out, entries.size());
  for (const Undo& entry : entries) {
    put_number(out, entry.number);
    put_number(out, entry.scope);
    put_string(out, entry.path);
    put_number(out, entry.closure.function);
    put_values(out, entry.closure.captured);
  }
}

void put_starts(std::string& out, const std::vector<Fiber::Starts>& list) {
  put_number(out, list.size());
  for (const Fiber::Starts& starts : list) {
    put_number(out, starts.name);
    put_number(out, starts.count);
  }
}

void put_parts(std::string& out, const Fiber& fiber) {
  put_u8(out, parts_of(fiber));
  if (fiber.armed) {
    put_number(out, fiber.armed->function);
    put_values(out, fiber.armed->captured);
  }
  if (!fiber.rounds.empty()) {
    put_number(out, fiber.rounds.size());
    for (const Fiber::Round& round : fiber.rounds) {
      put_number(out, round.path_bytes);
      put_starts(out, round.starts);
    }
  }
  if (fiber.timer.value != 0) put_number(out, fiber.timer.value);
  if (!fiber.deadlines.empty()) {
    put_number(out, fiber.deadlines.size());
    for (TimerId timer : fiber.deadlines) put_number(out, timer.value);
  }
  if (!fiber.given.empty()) {
    put_number(out, fiber.given.size());
    for (const Fiber::Given& given : fiber.given) {
      put_number(out, given.child);
      encode_value(given.value, out);
    }
  }
}

// Registers are written by the function's list of what is live where the fiber waits, without their
// numbers.
void put_fiber(std::string& out, const Fiber& fiber, const SuspensionPoint* point) {
  put_number(out, fiber.id);
  put_number(out, fiber.parent);
  put_number(out, fiber.function);
  put_u8(out, static_cast<uint8_t>(fiber.status));
  put_string(out, fiber.path);
  if (fiber.status == FiberStatus::done) return encode_value(fiber.result, out);
  put_number(out, fiber.pc);
  put_number(out, fiber.step.value);
  put_parts(out, fiber);
  put_starts(out, fiber.starts);
  for (uint16_t r : point->live) encode_value(fiber.registers[r], out);
}

}  // namespace

void RunState::encode(std::string& out) const {
  const bool more = has_more(*this);
  put_u8(out, kMagic);
  put_u8(out, more ? kVersionOfMore : kVersion);
  put_number(out, static_cast<uint8_t>(phase));
  put_number(out, flow);
  put_string(out, info.run_id);
  put_number(out, info.client ? 1 : 0);
  if (info.client) put_string(out, *info.client);
  put_string(out, info.tenant);
  put_number(out, next_fiber);
  put_number(out, next_step);
  put_number(out, next_timer);
  put_number(out, next_undo);
  put_values(out, arguments);
  if (has_ending(phase)) {
    put_number(out, static_cast<uint8_t>(ending.status));
    put_number(out, ending.event ? uint64_t{*ending.event} + 1 : 0);
    encode_value(ending.value, out);
    put_failure(out, ending.why);
  }
  put_undo(out, undo);
  put_undo(out, pending);
  put_number(out, signals.size());
  for (const Signal& signal : signals) {
    put_number(out, signal.event);
    put_number(out, signal.topic ? uint64_t{*signal.topic} + 1 : 0);
    encode_value(signal.value, out);
    if (more) put_string(out, signal.from);
  }
  if (more) {
    put_number(out, called_off.size());
    for (const CalledOff& each : called_off) {
      put_number(out, each.step.value);
      put_number(out, each.scope);
    }
  }
  put_number(out, fibers.size());
  for (const auto& fiber : fibers) {
    const FunctionFacts& facts = unit->verified().facts(fiber->function);
    put_fiber(out, *fiber, facts.suspension_at(fiber->pc));
  }
}

}  // namespace detail

void Run::snapshot_to(std::string& out) const {
  size_t begin = out.size();
  state_->encode(out);
  wire::put_fixed64(out, hash64(std::string_view(out).substr(begin)));
}

std::string Run::snapshot() const {
  std::string out;
  snapshot_to(out);
  return out;
}

uint64_t Run::hash() const {
  std::string& scratch = state_->unit->scratch();
  scratch.clear();
  state_->encode(scratch);
  return hash64(scratch);
}

}  // namespace sluice::vm
