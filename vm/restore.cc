#include <algorithm>

#include "vm/hash.hpp"
#include "vm/snapshot_layout.hpp"
#include "vm/text.hpp"
#include "vm/wire.hpp"

namespace sluice::vm {
namespace detail {
namespace {

// Reads a snapshot. Nothing that it says is believed: indices, addresses and counts are checked
// against the program.
class Restorer {
 public:
  Restorer(Unit& unit, std::string_view body, bool more)
      : unit_(unit), body_(body), reader_(body), more_(more) {}

  std::unique_ptr<RunState> run() {
    auto state = std::make_unique<RunState>(unit_, 0);
    header(*state);
    state->arguments = values(kRegistersMax);
    if (has_ending(state->phase)) ending(state->ending);
    state->undo = entries(*state);
    state->pending = entries(*state);
    signals(*state);
    fibers(*state);
    if (!reader_.at_end() || !fits(*state) || !waits_fit(*state) || !timers_fit(*state)) {
      return nullptr;
    }
    return state;
  }

 private:
  const Program& program() const { return unit_.program(); }

  void header(RunState& state) {
    state.phase = static_cast<Phase>(reader_.number_up_to(static_cast<uint8_t>(Phase::ended)));
    state.flow = number(UINT32_MAX);
    if (state.flow >= program().flows.size()) reader_.fail();
    state.info.run_id = text();
    if (reader_.number_up_to(1) == 1) state.info.client = text();
    state.info.tenant = text();
    for (uint32_t* next :
         {&state.next_fiber, &state.next_step, &state.next_timer, &state.next_undo}) {
      *next = number(kNextMax);
      if (*next == 0) reader_.fail();
    }
  }

  uint32_t number(uint64_t most) { return static_cast<uint32_t>(reader_.number_up_to(most)); }
  std::string text() {
    std::string_view bytes = reader_.string();
    if (!valid_text(bytes)) reader_.fail();
    return std::string(bytes);
  }

  Value value() {
    if (reader_.failed()) return Value();
    size_t offset = reader_.offset();
    auto decoded = decode_value_at(body_, &offset);
    if (!decoded) {
      reader_.fail();
      return Value();
    }
    reader_.skip_to(offset);
    return std::move(*decoded);
  }

  std::vector<Value> values(uint64_t most) {
    uint64_t count = reader_.number_up_to(most);
    std::vector<Value> list;
    if (count > reader_.remaining()) reader_.fail();
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) list.push_back(value());
    return list;
  }

  void failure(std::optional<Failure>& failure) {
    if (reader_.number_up_to(1) == 0) return;
    failure.emplace();
    failure->kind = text();
    failure->message = text();
    failure->step = text();
    failure->attempt = reader_.signed_number();
  }

  void ending(Ending& ending) {
    ending.status =
        static_cast<RunStatus>(reader_.number_up_to(static_cast<uint8_t>(RunStatus::joined)));
    uint64_t event = reader_.number_up_to(uint64_t{UINT32_MAX} + 1);
    if (event > program().events.size()) reader_.fail();
    if (event != 0) ending.event = static_cast<uint32_t>(event - 1);
    ending.value = value();
    failure(ending.why);
  }

  Closure closure() {
    Closure closure;
    closure.function = number(UINT32_MAX);
    closure.captured = values(kCapturesMax);
    if (!is_function(closure.function, FunctionKind::compensation) ||
        program().functions[closure.function].parameters != closure.captured.size()) {
      reader_.fail();
    }
    return closure;
  }

  bool is_function(uint32_t index, FunctionKind kind) const {
    return index < program().functions.size() && program().functions[index].kind == kind;
  }

  std::vector<Undo> entries(const RunState& state) {
    std::vector<Undo> list;
    uint64_t count = reader_.number_up_to(reader_.remaining());
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
      Undo entry;
      entry.number = number(UINT32_MAX);
      const uint32_t last = list.empty() ? 0 : list.back().number;
      if (entry.number <= last || entry.number >= state.next_undo) reader_.fail();
      entry.scope = number(UINT32_MAX);
      entry.path = text();
      entry.closure = closure();
      list.push_back(std::move(entry));
    }
    return list;
  }

  void signals(RunState& state) {
    const uint64_t count = reader_.number_up_to(kSignalsMax + 1);  // and one of the engine's
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
      Signal signal;
      signal.event = number(UINT32_MAX);
      const uint64_t topic = reader_.number_up_to(uint64_t{UINT32_MAX} + 1);
      if (topic != 0) signal.topic = static_cast<uint32_t>(topic - 1);
      signal.value = value();
      if (more_) signal.from = text();
      if (signal.event >= program().events.size() ||
          !conforms_record(unit_.types(), program().events[signal.event].record, signal.value,
                           nullptr)) {
        return reader_.fail();
      }
      state.signals.push_back(std::move(signal));
    }
    if (!more_) return;
    called_off(state);
    if (!has_more(state)) reader_.fail();
  }

  void called_off(RunState& state) {
    const uint64_t count = reader_.number_up_to(reader_.remaining());
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
      CalledOff each{{number(UINT32_MAX)}, number(UINT32_MAX)};
      const bool twice = std::any_of(state.called_off.begin(), state.called_off.end(),
                                     [&](const auto& other) { return other.step == each.step; });
      if (twice || each.step.value == 0 || each.step.value >= state.next_step) {
        return reader_.fail();
      }
      state.called_off.push_back(each);
    }
  }

  void fibers(RunState& state) {
    // Each fiber may wait for one compensation beside itself.
    uint64_t count = reader_.number_up_to(uint64_t{2} * kFibersMax);
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
      auto fiber = std::make_unique<Fiber>();
      fiber->id = number(UINT32_MAX);
      fiber->parent = number(UINT32_MAX);
      fiber->function = number(UINT32_MAX);
      fiber->status = static_cast<FiberStatus>(reader_.u8());
      fiber->path = text();
      uint32_t last = state.fibers.empty() ? 0 : state.fibers.back()->id;
      bool known_parent = fiber->parent == 0 || state.find(fiber->parent) != nullptr;
      if (reader_.failed() || fiber->id <= last || fiber->id >= state.next_fiber || !known_parent ||
          !fits_place(*fiber, state.phase)) {
        return reader_.fail();
      }
      fiber->registers.resize(program().functions[fiber->function].registers);
      if (fiber->status == FiberStatus::done) {
        fiber->result = value();
      } else {
        waiting(*fiber, state);
      }
      state.fibers.push_back(std::move(fiber));
    }
  }

  // Whether a fiber of that function can be there in that phase.
  bool fits_place(const Fiber& fiber, Phase phase) const {
    if (fiber.function >= program().functions.size()) return false;
    FunctionKind kind = program().functions[fiber.function].kind;
    if (fiber.status != FiberStatus::done && !waits_at(fiber.status)) return false;
    if (fiber.status == FiberStatus::done) return fiber.parent != 0 && kind == FunctionKind::branch;
    if (fiber.parent != 0) {
      return kind == FunctionKind::branch || kind == FunctionKind::compensation;
    }
    switch (phase) {
      case Phase::running:
        return kind == FunctionKind::flow;
      case Phase::compensating:
        return kind == FunctionKind::compensation;
      case Phase::failing:
        return kind == FunctionKind::handler;
      case Phase::created:
      case Phase::ended:
        return false;
    }
    return false;
  }

  // Whether a fiber of that status may stand at that instruction.
  static bool stands_at(FiberStatus status, Op op) {
    return status == FiberStatus::at_mail ? waits_before(op) : waits_at(status) == op;
  }

  // The instruction at which a fiber of that status waits; nothing: none waits so. One that waits
  // for mail may wait at several, of which this is one.
  static std::optional<Op> waits_at(FiberStatus status) {
    switch (status) {
      case FiberStatus::at_step:
        return Op::step;
      case FiberStatus::at_join:
        return Op::join;
      case FiberStatus::at_sleep:
        return Op::sleep;
      case FiberStatus::at_race:
        return Op::race;
      case FiberStatus::at_slot:
        return Op::slot;
      case FiberStatus::at_gather:
        return Op::gather;
      case FiberStatus::at_undo:
        return Op::settle;
      case FiberStatus::at_receive:
        return Op::receive;
      case FiberStatus::at_mail:
        return Op::publish;
      case FiberStatus::runnable:
      case FiberStatus::done:
        break;
    }
    return std::nullopt;
  }

  std::vector<Fiber::Starts> starts() {
    std::vector<Fiber::Starts> list;
    uint64_t count = reader_.number_up_to(reader_.remaining());
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
      Fiber::Starts starts{number(UINT32_MAX), number(UINT32_MAX)};
      if (i > 0 && starts.name <= list.back().name) reader_.fail();
      list.push_back(starts);
    }
    return list;
  }

  // A count of at least one: a part that is there is not empty.
  uint64_t some() {
    uint64_t count = reader_.number_up_to(reader_.remaining());
    if (count == 0) reader_.fail();
    return count;
  }

  void rounds(Fiber& fiber) {
    uint64_t count = some();
    uint32_t last = 0;
    for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
      Fiber::Round round;
      round.path_bytes = number(UINT32_MAX);
      if (round.path_bytes <= last || round.path_bytes >= fiber.path.size() ||
          fiber.path[round.path_bytes] != '/') {
        return reader_.fail();
      }
      last = round.path_bytes;
      round.starts = starts();
      fiber.rounds.push_back(std::move(round));
    }
  }

  void parts(Fiber& fiber) {
    uint64_t has = reader_.number_up_to(kHasMost);
    if ((has & kHasArmed) != 0) fiber.armed = closure();
    if ((has & kHasRounds) != 0) rounds(fiber);
    if ((has & kHasTimer) != 0) fiber.timer = {number(UINT32_MAX)};
    if ((has & kHasDeadlines) != 0) {
      uint64_t count = some();
      for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
        fiber.deadlines.push_back({number(UINT32_MAX)});
      }
    }
    if ((has & kHasGiven) != 0) {
      uint64_t count = some();
      for (uint64_t i = 0; i < count && !reader_.failed(); ++i) {
        Fiber::Given given{number(UINT32_MAX), value()};
        if (i > 0 && given.child <= fiber.given.back().child) reader_.fail();
        fiber.given.push_back(std::move(given));
      }
    }
    if (parts_of(fiber) != has) reader_.fail();
  }

  void waiting(Fiber& fiber, const RunState& state) {
    const Function& function = program().functions[fiber.function];
    fiber.pc = number(UINT32_MAX);
    fiber.step = {number(UINT32_MAX)};
    parts(fiber);
    fiber.starts = starts();
    const SuspensionPoint* point = unit_.verified().facts(fiber.function).suspension_at(fiber.pc);
    bool step = fiber.status == FiberStatus::at_step;
    bool sleep = fiber.status == FiberStatus::at_sleep;
    bool receive = fiber.status == FiberStatus::at_receive;
    if (reader_.failed() || point == nullptr ||
        !stands_at(fiber.status, function.code[fiber.pc].op) || step != (fiber.step.value != 0) ||
        fiber.step.value >= state.next_step || (!receive && sleep != (fiber.timer.value != 0))) {
      return reader_.fail();
    }
    for (uint16_t r : point->live) fiber.registers[r] = value();
  }

  // A fiber that waits for others has them: as many as its join takes results, and not all done.
  bool waits_fit(const RunState& state) const {
    for (const auto& fiber : state.fibers) {
      uint32_t children = 0, done = 0, compensations = 0;
      for (const auto& other : state.fibers) {
        if (other->parent != fiber->id) continue;
        if (state.is_compensation(*other)) {
          ++compensations;
          continue;
        }
        ++children;
        done += other->status == FiberStatus::done ? 1 : 0;
      }
      const uint32_t wanted =
          fiber->status == FiberStatus::done ? 0 : state.function_of(*fiber).code[fiber->pc].c;
      switch (fiber->status) {
        case FiberStatus::at_join:
          if (children != wanted || done == children) return false;
          break;
        case FiberStatus::at_race:
          if (children != wanted || done != 0) return false;
          break;
        case FiberStatus::at_slot:
        case FiberStatus::at_gather:
          if (children == 0 || done != 0) return false;
          break;
        case FiberStatus::at_undo:
          if (compensations == 0 && !state.has_called_off(fiber->id)) return false;
          break;
        case FiberStatus::done:
          if (children + compensations != 0) return false;
          break;
        default:
          break;
      }
    }
    return true;
  }

  // Every timer was started, and is of one fiber; a deadline is of a block in which its fiber
  // stands.
  bool timers_fit(const RunState& state) const {
    std::vector<TimerId> all;
    for (const auto& fiber : state.fibers) {
      if (fiber->timer.value != 0) all.push_back(fiber->timer);
      for (TimerId timer : fiber->deadlines) {
        if (timer.value == 0 || state.deadline_handler(*fiber, timer) == nullptr) return false;
        all.push_back(timer);
      }
    }
    std::sort(all.begin(), all.end());
    return std::adjacent_find(all.begin(), all.end()) == all.end() &&
           (all.empty() || all.back().value < state.next_timer);
  }

  // Whether somebody will go on with what is pending.
  bool pending_fits(const RunState& state) const {
    return std::all_of(state.pending.begin(), state.pending.end(), [&](const Undo& entry) {
      if (entry.scope == 0) return state.phase == Phase::compensating;
      return state.find(entry.scope) != nullptr;
    });
  }

  // Likewise for what was called off; nobody else waits for those steps.
  bool called_off_fit(const RunState& state) const {
    return std::all_of(state.called_off.begin(), state.called_off.end(), [&](const auto& each) {
      const bool open = std::any_of(state.fibers.begin(), state.fibers.end(),
                                    [&](const auto& fiber) { return fiber->step == each.step; });
      const bool known = each.scope == 0
                             ? state.phase == Phase::compensating || state.phase == Phase::failing
                             : state.find(each.scope) != nullptr;
      return !open && known;
    });
  }

  // What holds of the whole.
  bool fits(const RunState& state) const {
    bool live = state.phase == Phase::running || state.phase == Phase::compensating ||
                state.phase == Phase::failing;
    const bool waits = state.phase == Phase::compensating && state.has_called_off(0);
    if (state.fibers.empty() ? live && !waits : !live) return false;
    if (!pending_fits(state) || !called_off_fit(state)) return false;
    if (!has_ending(state.phase)) return arguments_fit(state);
    bool needs_why = state.ending.status != RunStatus::completed;
    return (!needs_why || state.ending.why.has_value()) &&
           (state.phase == Phase::failing || state.phase == Phase::ended || arguments_fit(state));
  }

  bool arguments_fit(const RunState& state) const {
    const FlowInfo& flow = program().flows[state.flow];
    if (state.phase == Phase::created) return true;  // begin() looks at them
    size_t wanted = flow.on_failure ? flow.parameters.size() : 0;
    return state.arguments.size() == wanted;
  }

  Unit& unit_;
  std::string_view body_;
  wire::Reader reader_;
  bool more_;
};

}  // namespace
}  // namespace detail

tl::expected<Run, SnapshotError> Run::restore(Unit& unit, std::string_view bytes) {
  auto refuse = [](const char* why) { return tl::unexpected(SnapshotError{why}); };
  if (bytes.size() < detail::kChecksumBytes + 2 || bytes[0] != detail::kMagic) {
    return refuse("this is not a run's snapshot");
  }
  std::string_view body = bytes.substr(0, bytes.size() - detail::kChecksumBytes);
  wire::Reader tail(bytes, body.size());
  if (tail.fixed64() != hash64(body)) return refuse("the snapshot's checksum is wrong");
  const bool more = bytes[1] == detail::kVersionOfMore;
  if (bytes[1] != detail::kVersion && !more) return refuse("the snapshot has another version");
  auto state = detail::Restorer(unit, body.substr(2), more).run();
  if (state == nullptr) return refuse("the snapshot does not fit this program");
  return Run(std::move(state));
}

}  // namespace sluice::vm
