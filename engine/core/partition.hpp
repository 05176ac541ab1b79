// A partition: a pure function of its journal.
//
// `apply` reads no clock, socket, thread, random number or database, and the same function runs
// live, while folding after a crash, in the simulator and in an audit. The shell's part per record:
//
//     if (auto answer = partition.admit(...)) { send it once durable >= its seq; drop the input }
//     record.seq = next_seq(); record.time = max(last_time(), now); record.core = core();
//     applied = apply(record, reply, effects); record.verdict = applied->verdict; batch it
//
// so dedupe and staleness are settled before the seq is given: only what counts is journaled.
//
// Not thread-safe: one thread owns a partition together with its ProgramSource.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/core/departed.hpp"
#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/limits.hpp"
#include "engine/core/programs.hpp"
#include "engine/core/record.hpp"
#include "engine/core/siphash.hpp"
#include "engine/core/step_table.hpp"
#include "vm/artifact.hpp"

namespace sluice::core {

// What a record did, as the journal's columns want it.
struct Applied {
  Verdict verdict = Verdict::ok;  // to be journaled with the record
  RunId run;                      // the run it touched (an event's first); nil: none
  Seq run_prev = 0;               // that run's previous record; 0: it began here
  PartitionId cause_partition{};  // the record that caused it
  Seq cause_seq = 0;              // 0: it came from outside
  Id128 correlation;              // the text's bytes if it is a UUID, else a hash of it; nil: none
  std::string fault;              // why, when the verdict is faulted: for the log
};

// A record that cannot be applied at all: a journal that is not this partition's, or a program that
// is missing. State is unchanged. The shell halts the partition.
struct ApplyError {
  enum class Code : std::uint8_t {
    out_of_order,        // seq is not the next, or time fell
    bad_body,            // the body is not what `encode` writes
    unknown_kind,        // of a later version
    unknown_core,        // a version of apply that this binary does not have
    missing_deployment,  // ProgramSource does not know it
    not_the_next_timer,  // advance names another timer than the first, or comes before its due
  };
  Code code;
  std::string message;
};

// A row of stored state. The shell keeps them by (partition, id, generation).
struct StateRow {
  RowId id;
  TimeUs wake = 0;      // a run's next timer, for operators; 0: none
  bool erased = false;  // what earlier generations say of this id is over
  std::string body;     // versioned and checksummed; empty when erased
};
enum class RowKind : std::uint8_t { run, clients, dedupe };
RowKind row_kind(const RowId& id);

struct Timer {
  TimeUs due = 0;
  RunId run;
  TimerNumber number;
};

// The ttl of an event by itself and its topic, ms; 0: none.
std::uint64_t ttl_of(const vm::TopicInfo& topic, const Event& event);

// A flow that this partition starts by the clock.
struct ScheduledFlow {
  std::uint32_t flow = 0;
  vm::Schedule schedule;
  TimeUs after = 0;  // instants up to this one are over
};

// A client at its home.
struct ClientView {
  ClientNumber number = 0;
  std::uint64_t last_offset = 0;  // its greatest; 0: none yet
  Seq as_of = 0;                  // hold the answer until this is durable
};

struct PartitionStats {
  std::uint64_t runs = 0;
  std::uint64_t open_attempts = 0;  // offered or granted
  std::uint64_t timers = 0;
  std::uint64_t clients = 0;
  std::uint64_t dedupe_entries = 0;
  std::uint64_t outbox = 0;         // unacknowledged messages
  std::uint64_t subscriptions = 0;  // of runs, to pairs whose home this is
  std::uint64_t parked = 0;         // runs that wait for room in the outbox
  // How often each row of kStepRows (step_table.hpp) was taken in this process.
  std::array<std::uint64_t, kStepRowCount> step_transitions{};
  std::uint64_t dirty_rows = 0;  // what the next checkpoint will write
};

// A live run that nothing will wake: the always-on check of invariant 9 reports it.
struct StuckRun {
  RunId run;
  std::string why;
};

class Partition {
 public:
  struct Config {
    PartitionId id{};
    unsigned partitions = 1;  // of the whole database; fixed for ever
    Limits limits;
    // For history.hpp alone: the records of one run without the others. Seqs have gaps, timers fire
    // by name, and every delivery is numbered here.
    bool one_run = false;
    // The same for ever; another number is for tests.
    std::uint64_t outbox_messages = kOutboxMessagesMax;
  };

  // Empty: before the first record. `programs` must outlive the partition.
  Partition(const Config& config, ProgramSource& programs);
  ~Partition();
  Partition(Partition&&) noexcept;
  Partition& operator=(Partition&&) noexcept;

  PartitionId id() const;
  Seq last_seq() const;
  Seq next_seq() const { return last_seq() + 1; }
  TimeUs last_time() const;
  std::uint16_t core() const;

  // ---- before the seq: nothing (journal it), or the answer to send instead.
  // `now` is the time the record would get. Sizes and limits are checked here; duplicates get the
  // first answer, which waits for the first one's seq. `reply` goes into the answer. A fresh input
  // must be applied before the next is admitted.
  // `waited`: how long the event has been on its way here; one that is older than its ttl is
  // refused.
  std::optional<Effect> admit(TenantId tenant, const Event& event, TimeUs now, Reply reply,
                              TimeUs waited = 0) const;
  std::optional<Effect> admit(TenantId tenant, const Start& start, TimeUs now, Reply reply) const;
  // Refused when this partition has no such live run of this tenant (and client). A run that is
  // already cancelled or compensating is answered Accepted with the current seq.
  std::optional<Effect> admit(TenantId tenant, const Cancel& cancel, Reply reply) const;
  // Refused likewise, and when no `receive` of the run names the event, or its queue is full. A run
  // of another deployment than the signal's is `unavailable`: it is to be made again.
  std::optional<Effect> admit(TenantId tenant, const Signal& signal, TimeUs now, Reply reply) const;
  // The deployment that a live run executes; 0: there is no such run here.
  DeploymentNumber deployment_of(const RunId& run) const;
  // Settled: the same outcome of an attempt that this or an equal report has closed. Stale:
  // anything else that matches no open attempt.
  std::optional<Effect> admit(TenantId tenant, const Done& done, Reply reply) const;
  std::optional<Effect> admit(TenantId tenant, const Failed& failed, Reply reply) const;
  // From the dispatcher and other partitions: false means drop it.
  bool admit(const Granted& granted) const;
  bool admit(const Lapsed& lapsed) const;
  // False also where nothing is to be decided: no other attempt can speak.
  bool admit(const Spoke& spoke) const;
  bool admit(const MessageAck& ack) const;
  bool admit(const Cron& cron) const;
  // False also where the run knows it already, or receives neither.
  bool admit(const Presence& presence) const;
  enum class MessageAdmission : std::uint8_t { fresh, repeated, gap };
  // repeated: acknowledge again with `taken_from(source)`; gap: drop, the source sends again.
  MessageAdmission admit(const Message& message) const;
  std::uint64_t taken_from(PartitionId source) const;

  // Rows and programs that applying this record needs and that are not in memory. While it is not
  // empty the record gets no seq. Runs are always resident in this version, so only programs are
  // named.
  struct Needs {
    std::vector<RunId> runs;
    std::vector<DeploymentNumber> deployments;
    bool empty() const { return runs.empty() && deployments.empty(); }
  };
  Needs needs(const Record& record) const;

  // ---- the function itself.
  // Applies the next record: appends its effects and changes the state. A record whose work faults
  // (its data does not decode, the VM breaks a bound) changes nothing but what `faulted` stands
  // for: its run becomes a dead letter, or its sender is answered Rejected. A record that comes
  // with a verdict other than ok does that at once. `reply` is {} while folding.
  tl::expected<Applied, ApplyError> apply(const Record& record, Reply reply, Effects& effects);

  // ---- folding past what a person has overridden (docs/partition.md). A record that comes with
  // the verdict `overridden` is not worked on, and never refused for its time, core, kind or body:
  // what cannot be read is passed over. It happens at the time of the record before it.
  //
  // From here on the records were journaled by an owner whose state was another, up to rejoin():
  // a timer fires by name and is passed over where it is not set, messages are taken as they come,
  // and deliveries and messages are not numbered, for others have seen them under that owner's
  // numbers. `first` is the stretch's first record.
  void diverge(Seq first);
  bool diverged() const;
  // The stretch that began at `first` ends: what had left by then counts as it left, and the
  // messages that did not get the next numbers. An error says why that cannot be.
  tl::expected<void, std::string> rejoin(Seq first, const Departed& departed);
  // A message of that partition was journaled here, and cannot be read any more: it counts as
  // taken.
  void pass_over_message(PartitionId source);

  // ---- time.
  // The first timer in (due, run, n) order: when record time reaches its due, the shell journals
  // make_advance(): an Advance, or the Join for which that timer stands. Null: nothing waits.
  std::optional<Timer> next_timer() const;
  std::optional<TimeUs> next_due() const;
  // REQUIRES: next_timer() and now >= its due.
  Record make_advance(TimeUs now) const;

  // ---- hashes. Both are functions of the journal alone, whatever the batch borders.
  // Of the whole state after the last record. Costs one snapshot per run touched since it was last
  // asked.
  Hash128 state_hash();
  // Of all effects since the last call: asked once per batch, stored on its last record. While
  // folding ask at the same records, and compare. Replies are left out; so is what only informs
  // (RunChanged).
  Hash128 take_digest();

  // After a fold: one effect per open obligation (each open attempt, each unacknowledged message).
  void reissue(Effects& effects) const;
  // To be called every few seconds: the oldest messages (kResentMessages of each way) to partitions
  // that have acknowledged nothing since the last call. They may have met no owner, or their
  // acknowledgement was lost. `durable`: messages that depend on a later record are left out.
  void resend_messages(Seq durable, Effects& effects);

  // ---- checkpoints.
  // Fixes the state after the last record. Then `checkpoint_rows` is called until it returns
  // nothing, between batches; records may be applied meanwhile: a row that they touch is copied
  // first. All rows together with `rest` are the checkpoint, to be committed after the last row is
  // stored.
  struct Checkpoint {
    Seq seq = 0;
    TimeUs time = 0;
    std::uint16_t core = 0;
    Hash128 hash;      // state_hash()
    std::string rest;  // everything that is in no row
  };
  // `full`: all rows, not only those changed since the last checkpoint.
  Checkpoint begin_checkpoint(bool full = false);
  // At most about `bytes` of rows. REQUIRES: begin_checkpoint was called.
  std::vector<StateRow> checkpoint_rows(std::size_t bytes);
  // The checkpoint failed: what it wrote counts as changed again.
  void abandon_checkpoint();

  // From a checkpoint's rest and, per id, its row of the highest generation not above the
  // checkpoint's. Fails on damage, on a missing program, and when the hash differs.
  static tl::expected<Partition, std::string> restore(const Config& config, ProgramSource& programs,
                                                      const Checkpoint& checkpoint,
                                                      const std::vector<StateRow>& rows);

  // ---- reads. The shell holds what it read until `last_seq()` of now is durable.
  std::optional<RunRow> run(const RunId& run) const;
  // Live runs that changed since they were last returned, oldest change first.
  std::vector<RunRow> changed_runs(std::size_t limit);
  std::optional<ClientView> client(TenantId tenant, std::string_view client) const;
  // Of the newest deployment, those that this partition starts. The shell computes their instants
  // and journals a Cron when one comes.
  std::vector<ScheduledFlow> schedules() const;
  // The newest deployment recorded here; 0: none.
  DeploymentNumber deployment() const;
  // Deployments that a live run executes: none of these may be deleted.
  std::vector<DeploymentNumber> deployments_in_use() const;
  PartitionStats stats() const;
  // Invariant 9: every live run has an open attempt, a timer or runnable work of its own.
  std::vector<StuckRun> stuck_runs() const;

 private:
  class Impl;
  friend class HistoryTeller;
  explicit Partition(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::core
