// The inside of Partition, shared by its source files: admit.cc, apply.cc, activate.cc,
// messages.cc, checkpoint.cc.
//
// Each record is applied in two phases. The first runs the VM and renders what it asked for; it may
// fail, and touches nothing but the run's own VM state. The second changes the partition and cannot
// fail. So a fault leaves only a broken run behind, which the second phase then ends.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "engine/core/check.hpp"
#include "engine/core/clients.hpp"
#include "engine/core/dedupe.hpp"
#include "engine/core/mailbox.hpp"
#include "engine/core/message.hpp"
#include "engine/core/partition.hpp"
#include "engine/core/run_entry.hpp"
#include "engine/core/subscriptions.hpp"
#include "vm/run.hpp"
#include "vm/unit.hpp"

namespace sluice::core {

// The one order of timers: (due, run, n).
struct TimerKey {
  TimeUs due = 0;
  RunId run;
  std::uint64_t n = 0;

  friend bool operator<(const TimerKey& a, const TimerKey& b) {
    if (a.due != b.due) return a.due < b.due;
    if (!(a.run == b.run)) return a.run < b.run;
    return a.n < b.n;
  }
};

// What one input made a run do: the VM's commands, and per command the JSON that it needs.
struct Activation {
  RunEntry* entry = nullptr;
  vm::Commands commands;
  std::vector<std::string> json;  // same indices; empty where a command has none
  // Likewise: what a message carries, and the ordering key of an event that is published.
  std::vector<std::string> data, keys;
  std::map<std::size_t, std::string> hedge_json;  // of steps that another task hedges
};

// What the handlers of one record share.
struct Context {
  const Record& record;
  Reply reply;
  Effects& effects;
  Applied applied;
};

// Why an input could not be worked on: becomes the verdict `faulted`.
struct Fault {
  std::string why;
};

// By which a signal that comes again is known.
Hash128 signal_key(TenantId tenant, const Signal& signal);

class Partition::Impl final : private vm::Host {
 public:
  Impl(const Config& config, ProgramSource& programs);

  // ---- admit.cc
  std::optional<Effect> admit_event(TenantId tenant, const Event& event, TimeUs now, Reply reply,
                                    TimeUs waited) const;
  std::optional<Effect> admit_start(TenantId tenant, const Start& start, TimeUs now,
                                    Reply reply) const;
  std::optional<Effect> admit_cancel(TenantId tenant, const Cancel& cancel, Reply reply) const;
  std::optional<Effect> admit_signal(TenantId tenant, const Signal& signal, TimeUs now,
                                     Reply reply) const;
  template <class Report>
  std::optional<Effect> admit_report(TenantId tenant, const Report& report, Reply reply) const;
  // The step whose attempt a report names, if that is open. `entry` may be null.
  template <class Report>
  static StepEntry* open_attempt(RunEntry* entry, const Report& report);
  Needs needs(const Record& record) const;

  // ---- apply.cc
  tl::expected<Applied, ApplyError> apply(const Record& record, Reply reply, Effects& effects);
  // Of a record that a person has overridden: nothing of it may stop the fold.
  void skip(Context& context);
  tl::expected<void, ApplyError> dispatch(Context& context);
  tl::expected<void, ApplyError> on_event(Context& context);
  tl::expected<void, ApplyError> on_start(Context& context);
  tl::expected<void, ApplyError> on_cancel(Context& context);
  tl::expected<void, ApplyError> on_signal(Context& context);
  tl::expected<void, ApplyError> on_granted(Context& context);
  tl::expected<void, ApplyError> on_done(Context& context);
  tl::expected<void, ApplyError> on_failed(Context& context);
  tl::expected<void, ApplyError> on_lapsed(Context& context);
  tl::expected<void, ApplyError> on_verdict(Context& context);
  tl::expected<void, ApplyError> on_advance(Context& context);
  tl::expected<void, ApplyError> on_deployment(Context& context);
  tl::expected<void, ApplyError> on_core(Context& context);
  tl::expected<void, ApplyError> on_takeover(Context& context);

  // What an event or start leaves behind once its runs are begun.
  struct Intake {
    Hash128 key;
    std::int64_t window_ms = 0;
    std::string_view correlation;
  };
  struct NewRun {
    std::unique_ptr<RunEntry> entry;
    Activation activation;
    std::optional<Hash128> gate;  // then it has not begun: it enters here
    std::uint64_t ttl_ms = 0;     // of its event; 0: none
    // Of a run that begins in another partition: no entry, but what is sent there.
    PartitionId home{};
    std::string sent;
    RunId id;
  };
  // What a new run comes from.
  struct Origin {
    DeploymentNumber deployment = 0;
    std::uint32_t flow = 0;
    std::string_view client;
    std::string_view correlation;
    std::string_view traceparent;
    unsigned index = 0;        // among the record's runs
    std::uint64_t ttl_ms = 0;  // of the event; 0: none
    RunId run = {};            // nil: to be made of the record and index
    TimeUs started = 0;        // 0: now
    std::uint32_t hops = 0;
    RunId parent = {};
    StepNumber parent_step = 0;
    EventId event = {};  // of the topic, that starts it; nil: none did
  };
  void take_in(Context& context, const Intake& intake, std::vector<NewRun>& made);
  // An attempt that ended without a result.
  struct AttemptEnd {
    std::string kind;
    std::string message;
    bool unanswered = false;  // nobody knows whether it happened
    bool again = false;       // another attempt follows
    StepInput again_input{};
    StepInput last_input{};
    std::uint32_t retry_after_ms = 0;
    std::optional<EndedAttempt> remember;
  };
  void end_attempt(Context& context, RunEntry& entry, StepEntry& step, const OpenAttempt& attempt,
                   const AttemptEnd& end);
  void end_one_of_two(Context& context, RunEntry& entry, StepEntry& step,
                      const OpenAttempt& attempt, const AttemptEnd& end);
  void fire_flow_timeout(Context& context, RunEntry& entry);
  void fire_on_failure(Context& context, RunEntry& entry);
  void fire_within(Context& context, RunEntry& entry, StepNumber number);
  void fire_backoff(Context& context, RunEntry& entry, StepNumber number);
  void fire_hedge(Context& context, RunEntry& entry, StepNumber number);
  void fire_wait(Context& context, RunEntry& entry, StepNumber number);
  void fire_mail(Context& context, RunEntry& entry);
  std::optional<TimerKey> first_timer() const;

  // ---- messages.cc
  // Puts a message on its way: an obligation until it is acknowledged. Never refused.
  void post(Context& context, const RunEntry& from, PartitionId destination, MessageKind kind,
            std::string_view body);
  // For what no run of its own sends: all but `cause` is the caller's.
  void post(Context& context, TenantId tenant, PartitionId destination, Envelope envelope);
  tl::expected<void, ApplyError> on_message(Context& context);
  tl::expected<void, ApplyError> on_message_ack(Context& context);
  // One `take_…` per kind: it does what the message says, or answers why that cannot be and has
  // changed nothing.
  std::string take_message(Context& context, const Envelope& envelope);
  std::string take_delivery(Context& context, const Envelope& envelope);
  std::string take_turn(Context& context, const Envelope& envelope);
  std::string take_signal(Context& context, const Envelope& envelope);
  std::string take_topic_event(Context& context, const Envelope& envelope);
  std::string take_subscription(Context& context, const Envelope& envelope);
  std::string take_publish(Context& context, const Envelope& envelope);
  std::string take_start(Context& context, const Envelope& envelope);
  std::string take_ended(Context& context, const Envelope& envelope);
  std::string take_cancel(Context& context, const Envelope& envelope);
  // What such a message needs that is not loaded.
  void need_programs(const Message& message, Needs& needs) const;
  // It counts as taken, and is a dead letter.
  void lose_message(Context& context, const Envelope& envelope, const std::string& why);
  void lose_turn(Context& context, const Envelope& envelope, const std::string& reason);

  // ---- signals.cc
  // `notify … to run`; `target` is what the program calls it.
  void send_signal(Context& context, const RunEntry& entry, const std::string& target,
                   std::string_view name, std::string_view json);
  void subscribe(Context& context, RunEntry& entry, const vm::Subscribe& command,
                 std::string value);
  void unsubscribe(Context& context, const RunEntry& entry, const Pair& pair);
  void change_subscription(Context& context, TenantId tenant, const SubscribeMessage& body,
                           bool wanted);
  // An event of a topic, once it is taken: to the homes of the pairs that its fields make.
  void spread_event(Context& context, const LoadedProgram& program, std::uint32_t topic,
                    const vm::Value& data, const Envelope& about);
  void spread_here(Context& context, TenantId tenant, const TopicEventMessage& body,
                   Envelope about);
  // The value of a pair, as JSON.
  static std::string pair_value(const LoadedProgram& program, std::uint32_t site,
                                const vm::Value& key);

  // ---- children.cc: events that runs publish, and runs that they start
  bool takes_messages() override;
  bool takes_notify(const vm::Notify& command) override;
  std::string new_run(const vm::StartRun& start) override;
  RunId next_started(std::uint32_t flow, std::string_view client,
                     std::span<const vm::Value> arguments);
  tl::expected<void, Fault> render_message(Activation& activation, std::size_t index) const;
  struct Published {
    std::uint32_t topic = 0;
    vm::Value data;
  };
  DeploymentNumber version_for(const PublishMessage& body) const;
  tl::expected<Published, std::string> published(const LoadedProgram& from, const LoadedProgram& to,
                                                 const PublishMessage& body) const;
  void publish(Context& context, const RunEntry& entry, const vm::Publish& command,
               std::string_view key, std::string_view data);
  void start_detached(Context& context, const RunEntry& entry, const vm::StartRun& command,
                      std::string_view data);
  void start_child(Context& context, RunEntry& entry, StepEntry& step,
                   std::span<const vm::Value> arguments, std::string_view data);
  // The step's run is no longer wanted. The step is over once that is.
  void call_child_off(Context& context, const RunEntry& entry, StepEntry& step,
                      std::string_view why, StepInput input);
  static const StepEntry* told_step(const RunEntry& entry, const EndedMessage& body,
                                    const RunId& child);
  // How a run came to its end, for the one whose step began it.
  struct Ending {
    const vm::Finish* finish = nullptr;  // null: it was given up
    vm::Failure why;                     // without an outcome
  };
  void tell_parent(Context& context, const RunEntry& entry, const Follower& who,
                   const Ending& ending);

  // ---- gates.cc: `concurrency`
  // The gate that a new run passes, and the partition that keeps it; nothing: none bounds it.
  struct GateName {
    Hash128 name;
    PartitionId home{};
  };
  tl::expected<std::optional<GateName>, Fault> gate_of(TenantId tenant, vm::Unit& unit,
                                                       std::uint32_t flow, std::string_view client,
                                                       std::span<const vm::Value> arguments) const;
  NewRun send_run(const Context& context, const Origin& origin, PartitionId home,
                  std::vector<vm::Value> arguments) const;
  // Whether the gate of one flow, or of every flow that the event starts, has room for one more.
  std::optional<Effect> admit_turn(TenantId tenant, vm::Unit& unit, std::uint32_t flow,
                                   std::string_view client, std::span<const vm::Value> arguments,
                                   Reply reply) const;
  std::optional<Effect> admit_turns(TenantId tenant, vm::Unit& unit, const Event& event,
                                    Reply reply) const;
  void enter(Context& context, RunEntry& entry, const Hash128& gate, std::uint64_t ttl_ms);
  void leave_gate(Context& context, RunEntry& entry);
  void settle_gate(Context& context, Gate& gate);
  void supersede_older(Context& context, Gate& gate, std::uint32_t most);
  static TimerNumber admission_timer(Move move);
  void plan_move(Context& context, RunEntry& entry, Move move);
  void forget_move(RunEntry& entry);
  void forget_expiry(RunEntry& entry);
  void fire_admission(Context& context, RunEntry& entry, Move move);
  // Ends a run from outside, begun or not; `before_commands` as of work().
  template <class Before>
  void cut_short(Context& context, RunEntry& entry, Seq cause, vm::CancelKind kind,
                 const std::string& why, Before before_commands);
  void cut_short(Context& context, RunEntry& entry, Seq cause, vm::CancelKind kind,
                 const std::string& why);
  // Ends a run that has not begun, or not ended.
  void turn_away(Context& context, RunEntry& entry, Seq cause, vm::CancelKind kind,
                 std::string why);
  void index_admission(RunEntry& entry);
  std::string why_never_begun(const RunEntry& entry) const;

  // ---- presence.cc: clients that go away and come back
  tl::expected<void, ApplyError> on_presence(Context& context);
  bool admit_presence(const Presence& presence) const;
  // Of a run that begins: whoever knows its client's sockets is to tell it.
  void want_presence(Context& context, const RunEntry& entry);
  void want_presence_again(Effects& effects) const;
  // Nobody but the engine sends it.
  static bool is_engines(const vm::Program& program, std::uint32_t event);

  // ---- joins.cc: `concurrency … joins`
  struct Hearing {
    Join::What what{};
    const RunEntry* other = nullptr;
  };
  const RunEntry* listener_of(const Gate& gate) const;
  std::optional<Hearing> next_to_hear(const Gate& gate, const RunEntry& listener) const;
  void settle_hearing(Context& context, Gate& gate);
  bool is_deaf(const Gate& gate, const vm::Program& program, std::uint32_t flow,
               std::span<const vm::Value> arguments) const;
  bool ends_later(const RunEntry& entry) const;
  void leave_later(Context& context, RunEntry& entry, vm::CancelKind kind, std::string why);
  static void give_place_up(Gate& gate, const RunEntry& entry);
  void give_back(Context& context, RunEntry& entry);
  void forget_heard(Context& context, Gate& gate, const RunEntry& entry);
  void take_joined(Context& context, RunEntry& entry, const std::string& other);
  static bool was_to_leave(const RunEntry& entry);
  void stay(Context& context, RunEntry& entry);
  std::optional<Record> make_join(const RunEntry& entry, Move move) const;
  bool is_due(const Join& join, const RunEntry& entry, const Record& record) const;
  tl::expected<void, ApplyError> on_join(Context& context);
  void hear(Context& context, RunEntry& entry, const Join& body);
  void unhear(Context& context, RunEntry& entry, const Join& body);
  void join(Context& context, RunEntry& entry, const RunId& other);

  // ---- schedules.cc
  std::vector<ScheduledFlow> schedules() const;
  bool admit_cron(const Cron& cron) const;
  tl::expected<void, ApplyError> on_cron(Context& context);
  void note_fired(const LoadedProgram& program, const Cron& cron);
  void write_schedules(Writer& writer) const;
  void read_schedules(Reader& reader);

  // ---- vm_call.hpp
  template <class Input, class Before>
  void work(Context& context, RunEntry& entry, Seq cause, Input input, Before before_commands);
  template <class Input>
  void work(Context& context, RunEntry& entry, Seq cause, Input input);

  // ---- activate.cc: phase one
  std::unique_ptr<RunEntry> make_run(const Context& context, const LoadedProgram& loaded,
                                     const Origin& origin, std::vector<vm::Value> arguments);
  tl::expected<NewRun, Fault> begin_run(const Context& context, const LoadedProgram& loaded,
                                        const Origin& origin, std::vector<vm::Value> arguments);
  // Calls `input(run, commands)` at the record's time and renders the commands.
  template <class Input>
  tl::expected<Activation, Fault> activate(const Context& context, RunEntry& entry, Input input);
  tl::expected<void, Fault> render(Activation& activation) const;

  // ---- activate.cc: phase two
  // Adds a run to the tables.
  RunEntry& adopt(std::unique_ptr<RunEntry> entry);
  // Does what the activation asks; ends the run if it finished.
  void perform(Context& context, Activation& activation);
  std::uint64_t args_digest(const vm::StepSite& site, Seq opened, std::string_view json) const;
  void tell(Context& context, const RunEntry& entry, const vm::Notify& command, std::string json);
  // The client or group that it is for, as the partitions call it; empty: nobody, or a run.
  static std::string notified(const RunEntry& entry, const vm::Notify& command);
  // That one's home; nothing: nobody is told.
  std::optional<PartitionId> notified_home(const RunEntry& entry, const vm::Notify& command) const;
  void start_step(Context& context, RunEntry& entry, vm::StartStep& command, std::string json,
                  std::string hedge_json, std::string_view data);
  // Opens the step's next attempt, and sets when it is hedged.
  void open_first(Context& context, RunEntry& entry, StepEntry& step);
  // Takes the step's open attempts back from the dispatcher, but for that of number `kept`.
  void revoke_attempts(Context& context, const RunEntry& entry, const StepEntry& step,
                       std::string_view why, std::uint32_t kept = 0);
  void cancel_step(Context& context, RunEntry& entry, StepNumber step, std::string_view why);
  void drop_step(Context& context, RunEntry& entry, StepNumber step, std::string_view why);
  void end_step(Context& context, RunEntry& entry, StepNumber step, StepInput input);
  void start_timer(Context& context, RunEntry& entry, vm::StartTimer& command);
  void end_timer(RunEntry& entry, StepNumber timer);
  void finish(Context& context, RunEntry& entry, const vm::Finish& command, std::string json);
  // Ends a run whose VM state is lost: nothing is compensated, and whoever asked is answered.
  void abandon(Context& context, RunEntry& entry, const std::string& why);
  void end_run(Context& context, RunEntry& entry, RunRow row, const Ending& ending);
  void settle_faulted(Context& context, RunEntry& entry, const std::string& why);
  struct Parcel {
    std::string_view client;
    std::string_view name;
    std::string data_json;
    bool outcome = false;
  };
  void deliver(Context& context, const RunEntry& entry, PartitionId home, Parcel parcel);
  void deliver_here(Context& context, TenantId tenant, Delivery delivery);
  void repeat_later(Context& context, RunEntry& entry, StepEntry& step, StepInput input,
                    std::uint32_t retry_after_ms, std::string failure);
  void open_again(Context& context, RunEntry& entry, StepEntry& step);
  Offer make_offer(const RunEntry& entry, const StepEntry& step, const OpenAttempt& attempt,
                   Seq seq) const;
  // What holds for that attempt.
  static const vm::StepSite& site_of(const RunEntry& entry, const StepEntry& step,
                                     const OpenAttempt& attempt);
  // To be called before anything of the run changes: keeps the checkpoint's copy and notes the
  // change.
  void touch(RunEntry& entry);
  template <class List, class Belongs>
  void note_changed(List& list, const RunId& id, Belongs belongs);
  // The record is the run's newest.
  void note_record(Context& context, RunEntry& entry, Seq cause_seq);
  void transition(StepEntry& step, StepInput input);
  void set_timer(TimeUs due, const RunId& run, TimerNumber number);
  void clear_timer(TimeUs due, const RunId& run, TimerNumber number);
  void clear_step_timers(const RunEntry& entry, const StepEntry& step);
  bool has_timer(const RunEntry& entry, TimerNumber number) const;
  // Whether the record fires a timer that is set, and whose turn it is.
  bool fires(const Advance& advance, const Record& record) const;
  std::string causation(const Context& context) const;

  RunEntry* find_run(const RunId& run) const;
  // Null if the shell does not know it. Stays where it is.
  const LoadedProgram* load_program(DeploymentNumber deployment);
  RunRow run_row(const RunEntry& entry) const;
  // Why nothing will ever wake it; empty: something will.
  std::string why_stuck(const RunEntry& entry) const;

  // ---- checkpoint.cc
  Hash128 state_hash();
  void add_digest(const Effect& effect);
  std::string encode_rest() const;
  bool decode_rest(std::string_view bytes);
  Checkpoint begin_checkpoint(bool full);
  std::vector<StateRow> checkpoint_rows(std::size_t bytes);
  void abandon_checkpoint();
  StateRow run_state_row(const RunEntry& entry) const;
  std::string load(const Checkpoint& checkpoint, const std::vector<StateRow>& rows);
  bool load_row(const StateRow& row, std::string& why);
  void index_loaded_runs();
  void reissue(Effects& effects) const;

  Config config;
  ProgramSource& programs;

  // ---- state
  Seq seq = 0;
  TimeUs time = 0;
  std::uint16_t core = kCoreVersion;
  std::uint64_t epoch = 0;
  DeploymentNumber deployment = 0;
  std::string deployment_hash;
  TimeUs deployed = 0;                  // time of its record
  std::map<std::string, TimeUs> fired;  // per scheduled flow its last instant
  std::unordered_map<RunId, std::unique_ptr<RunEntry>, IdHash> runs;
  std::set<TimerKey> timers;  // follows from runs, as the gates do
  std::unordered_map<Hash128, Gate, GateHash> gates;
  ClientTable clients;
  DedupeTable dedupe;
  Mailbox mail;
  Subscriptions subscriptions;

  std::set<RunId> parked;  // that wait for room in the outbox; follows from runs

  // ---- of the record that is being applied
  const Record* applying = nullptr;
  const RunEntry* at_work = nullptr;  // the run that the VM executes
  unsigned started = 0;               // runs that were given an id
  bool mail_full = false;
  bool was_parked = false;  // somebody was told that it is

  // ---- bookkeeping
  Seq stretch = 0;  // where the overridden stretch that is being folded began; 0: none
  std::map<DeploymentNumber, LoadedProgram> loaded;
  std::map<DeploymentNumber, std::uint64_t> deployment_runs;
  std::uint64_t open_attempts = 0;
  Hash128 runs_hash;
  std::vector<RunId> stale;  // runs whose hash is to be made again
  SipHasher128 digest{kDigestKey};
  std::string scratch;
  std::deque<RunId> unprojected;
  std::array<std::uint64_t, kStepRowCount> transitions{};

  // Checkpoints: what changed since the last one, and what the one under way still has to hand
  // over.
  std::vector<RunId> dirty;
  std::vector<RowId> erased;  // rows that are over: runs that ended, slices that went
  std::deque<RunId> pending;
  std::deque<StateRow> captured;
  std::vector<RunId> in_checkpoint;  // runs that it covers, to mark again if it fails
  std::vector<RowId> erased_in_checkpoint;
};

}  // namespace sluice::core
