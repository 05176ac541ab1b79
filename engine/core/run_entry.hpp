// One live run as its partition keeps it: the VM's run, and beside it what only the engine knows:
// attempts, timers, and who asked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/admission.hpp"
#include "engine/core/codec.hpp"
#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/record.hpp"
#include "engine/core/step_table.hpp"
#include "engine/core/subscriptions.hpp"
#include "vm/run.hpp"
#include "vm/unit.hpp"

namespace sluice::core {

// A program as a partition uses it.
struct LoadedProgram {
  vm::Unit* unit = nullptr;
  std::vector<std::vector<std::uint32_t>> fields_by_topic;  // by which some `receive` subscribes
  std::vector<std::vector<std::uint32_t>> flows_by_topic;
  std::vector<vm::TypeId> event_types;  // of each event's record
  // By flow: the events of std.presence that a `receive` of it names.
  struct PresenceEvents {
    std::optional<std::uint32_t> away, back;
    bool any() const { return away || back; }
  };
  std::vector<PresenceEvents> presence;

  const vm::Program& program() const { return unit->program(); }
};

// An open attempt of a step, of which there may be two.
struct OpenAttempt {
  std::uint32_t attempt = 0;  // 0: none
  Seq opened = 0;             // the record that opened it
  TimeUs queue_due = 0;       // until when it waits for a worker; 0: for ever
  bool hedge = false;         // does what the step's `hedge` says
};

// By flow.
std::vector<LoadedProgram::PresenceEvents> presence_of(const vm::Program& program);

// A step that has been started and has not ended. Its attempts are numbered in the order in which
// they are opened, those of `hedge` among them.
struct StepEntry {
  StepNumber id = 0;
  std::uint32_t site = 0;
  StepStatus status = StepStatus::none;
  // The attempt that is under way, or, of status backoff, was; and one beside it, begun by `hedge`.
  OpenAttempt first{1};
  OpenAttempt second;
  std::uint32_t last_attempt = 1;  // the greatest number given so far
  std::uint32_t tries = 1;         // attempts so far, hedges not counted
  Seq started = 0;                 // the record that started the step
  bool compensating = false;
  bool maybe_happened = false;  // an earlier attempt ended without an answer
  TimeUs within_due = 0;        // 0: none
  TimeUs backoff_due = 0;       // of status backoff
  Seq backoff_since = 0;        // the record that set it
  TimeUs hedge_due = 0;         // when a second attempt begins; 0: none will
  TimeUs block_due = 0;         // the first `deadline` around it; 0: none
  std::uint64_t args_digest = 0;
  std::uint64_t hedge_digest = 0;
  std::string path;
  std::string key;
  std::string args_json;
  std::string hedge_json;    // arguments of the other task that hedges; empty: the same task does
  std::string last_failure;  // "Kind: message" of the attempt before
  RunId child;               // of status run

  // The open attempt of that number; null: it is not open.
  const OpenAttempt* find_attempt(std::uint32_t attempt) const;
  // Another attempt is under way, or may still begin beside the first.
  bool is_undecided() const { return second.attempt != 0 || hedge_due != 0; }
  std::uint64_t digest_of(const OpenAttempt& attempt) const {
    return attempt.hedge && !hedge_json.empty() ? hedge_digest : args_digest;
  }
};

// A timer of the program that has been started, and has neither fired nor been cancelled.
struct TimerEntry {
  StepNumber id = 0;  // vm::TimerId
  vm::TimerUse use{};
  TimeUs due = 0;
  Seq since = 0;     // the record that started it
  std::string path;  // where in the run
};

// A report that counted: answered `settled` when it comes again.
struct EndedAttempt {
  StepNumber step = 0;
  std::uint32_t attempt = 0;
  std::uint64_t outcome = 0;  // report_digest
};

struct RunEntry {
  // ---- state, the same in every fold.
  RunId id;
  TenantId tenant{};
  DeploymentNumber deployment = 0;
  std::uint32_t flow = 0;
  PartitionId home{};  // of the client
  std::string client;  // empty: none
  std::string correlation;
  std::string traceparent;
  std::uint32_t hops = 0;      // Envelope::hops of the message that began it; 0: none did
  RunId parent;                // whose step began it; nil: none's
  StepNumber parent_step = 0;  // of parent
  Seq first_seq = 0;
  Seq last_seq = 0;
  TimeUs started = 0;
  TimeUs flow_due = 0;        // 0: none, or no longer
  TimeUs on_failure_due = 0;  // 0: not in `on failure`
  Seq on_failure_since = 0;
  std::vector<StepEntry> steps;     // by id
  std::vector<TimerEntry> timers;   // by id
  std::vector<EndedAttempt> ended;  // oldest first, at most kRememberedStepsMax
  std::vector<Pair> subscriptions;  // in the order in which they were made
  std::vector<Id128> heard;         // the newest events of topics, at most kHeardEventsMax
  Admission admission;
  TimeUs away_since = 0;       // since when its client is away, as the run knows it; 0: it is there
  std::optional<vm::Run> run;  // none only while it is being made

  // ---- bookkeeping of this process.
  const LoadedProgram* loaded = nullptr;
  Id128 correlation_id;             // of `correlation`, as Applied has it
  Hash128 hash;                     // what it adds to the state's hash now
  bool hash_stale = false;          // changed since
  bool dirty = false;               // changed since the last checkpoint
  bool checkpoint_pending = false;  // the checkpoint under way has not written it yet
  bool persisted = false;           // some checkpoint has a row of it
  bool projected = true;            // changed_runs() has told its present state

  StepEntry* find_step(StepNumber step);
  const StepEntry* find_step(StepNumber step) const;
  TimerEntry* find_timer(StepNumber timer);
  const TimerEntry* find_timer(StepNumber timer) const;
  void remember(const EndedAttempt& attempt);
  // Whether that report has counted.
  bool remembers(StepNumber step, std::uint32_t attempt, std::uint64_t outcome) const;
};

// Since when, as the run is told at that time: not before its beginning.
TimeUs told_since(const RunEntry& entry, const Presence& presence, TimeUs now);

// The text's bytes if it is a UUID, else a hash of it.
Id128 correlation_id(std::string_view correlation);

// Fingerprints of reports, to tell a repeat from another.
std::uint64_t report_digest(const Done& done);
std::uint64_t report_digest(const Failed& failed);

// The run's part of the state's hash.
Hash128 hash_run(const RunEntry& entry, std::string& scratch);

// A row of stored state: versioned, with a checksum over the rest at its end.
std::string encode_run(const RunEntry& entry);
struct RunRowHead {
  DeploymentNumber deployment = 0;
};
// Which program the row needs; nothing if the row is damaged.
std::optional<RunRowHead> peek_run(std::string_view row);
// Null, with a reason, if the row is damaged or not of this program.
std::unique_ptr<RunEntry> decode_run(std::string_view row, const LoadedProgram& loaded,
                                     std::string& why);

}  // namespace sluice::core
