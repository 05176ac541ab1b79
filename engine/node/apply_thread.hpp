// One apply thread: it owns the partitions whose number is its own modulo the threads, applies
// their records, and appends them in batches on its own connection. Batch N is in flight while N+1
// is applied; effects leave when their batch is durable.
//
// Loop: take what came, fire timers, apply until the building batch is full or nothing is left,
// send it if the connection is free, release what was committed, sleep until something comes, the
// connection answers, or a timer is due.
//
// A partition's state is thrown away only when it was lost: not among those that a batch passed, or
// told so by resolve(). What had been answered to nobody of it is answered `unavailable`.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/core/partition.hpp"
#include "engine/journal/append_session.hpp"
#include "engine/journal/recovery.hpp"
#include "engine/node/dispatch_desk.hpp"
#include "engine/node/inbox.hpp"
#include "engine/node/shared.hpp"
#include "engine/node/store_thread.hpp"

namespace sluice::node {

class ApplyThread {
 public:
  // `on_lost`: partitions whose state was thrown away or could not be folded for want of the
  // database; called on this thread.
  ApplyThread(Shared& shared, unsigned index, DispatchDesk& desk, StoreThread& store,
              std::function<void(core::PartitionId)> on_lost);
  ~ApplyThread();
  void start();
  // REQUIRES: a Halt command was answered. Ends the thread.
  void join();

 private:
  // A partition of this thread.
  struct Owned {
    explicit Owned(core::Partition p) : partition(std::move(p)) {}
    core::Partition partition;
    std::uint64_t epoch = 0;
    journal::Tip tip;  // of the last sealed batch, or what was folded
    core::Seq durable = 0;
    bool lost = false;        // no more records; dropped when no batch names it
    bool halted = false;      // lost, and nobody may take it without a person
    bool halt_tried = false;  // its checkpoint at the node's stop was begun
    bool serving = false;     // its takeover record is durable
    int batches = 0;          // building and in flight, that name it
    // Tail since the newest checkpoint.
    core::Seq checkpoint_seq = 0;
    std::uint64_t tail_bytes = 0;
    std::int64_t checkpoint_at_us = 0;  // monotonic, of the last one's end
    std::int64_t state_hash_at_us = 0;
    std::int64_t projected_at_us = 0;
    // The one under way.
    std::optional<StoreThread::Completion> checkpoint;
    bool rows_done = false;
    bool completion_sent = false;
    bool slice_failed = false;
    int slices_out = 0;
    // Of other partitions' messages taken here, not yet told.
    std::unordered_map<std::uint16_t, std::uint64_t> acks;
    std::int64_t acks_since_us = 0;
    std::int64_t resend_at_us = 0;
    // Of the flows that the clock starts the one that is due next, and of which deployment they
    // are.
    std::optional<core::ScheduledFlow> scheduled;
    core::TimeUs scheduled_at = 0;
    core::DeploymentNumber schedules_of = 0;
  };

  // A batch with what waits for it.
  struct Pending {
    journal::Batch batch;
    std::vector<Owned*> owners;  // by part of the batch
    core::Effects effects;
    struct Segment {  // effects up to `end` are of this partition
      Owned* owner;
      std::size_t end;
    };
    std::vector<Segment> segments;
    struct Waiter {
      Owned* owner;
      std::function<void(bool)> then;
    };
    std::vector<Waiter> waiters;
    struct Reported {
      Owned* owner;
      core::AttemptKey key;
    };
    std::vector<Reported> reported;
    std::int64_t sent_at_us = 0;
    void clear();
  };

  // ---- apply_thread.cc: the loop and the connection
  void loop();
  void sleep();
  int sleep_ms() const;
  void drive_session();
  void on_event(journal::AppendSession::Event& event);
  void on_connected(const journal::AppendSession::Connected& connected);
  void on_appended(const journal::AppendSession::Appended& appended);
  void on_broken(const journal::DatabaseError& error);
  void on_resolved(const journal::AppendSession::Resolved& resolved);
  void on_tail_lost(const journal::AppendSession::Resolved& resolved);
  void retry_soon();
  void send_batch();
  void seal_batch();
  bool may_append() const;
  std::uint32_t jittered(std::uint32_t ms);

  // ---- apply_input.cc: from an input to a record in the batch
  void take_inbox();
  void take_command(Command& command);
  void touch_before(journal::Day day);
  void look(LookInput& input);
  void apply_waiting();
  bool batch_full() const;
  bool batch_takes(const Owned& owned) const;
  void apply_input(RecordInput&& input);
  // The answer to give instead of journaling, or nothing; `drop`: neither.
  std::optional<core::Effect> admit(Owned& owned, const RecordInput& input, bool& drop);
  std::optional<core::Effect> admit_message(Owned& owned, const core::Record& record, bool& drop);
  bool apply_record(Owned& owned, core::Record&& record, Reply reply);
  void offer_early(Pending& pending, const Owned& owned, std::size_t from);
  void fire_timers();
  void fire_schedules();
  void look_at_schedules(Owned& owned);
  void count_ttl(RecordInput& input);
  void flush_acks();
  void resend_messages();
  void refuse(RecordInput& input, const char* code, const std::string& why);
  Owned* serving(core::PartitionId partition);
  void when_durable(Owned& owned, core::Seq seq, std::function<void(bool)>&& then);
  core::Seq flying_end(const Owned& owned) const;
  void halt(Owned& owned, const std::string& why);

  // ---- apply_release.cc: what leaves
  void answer(Owned& owned, core::Effect&& effect);
  void note_effects(Pending& pending, Owned& owned);
  void release(Pending& pending);
  void release_effect(Owned& owned, core::Effect& effect);
  void deliver(core::Delivery& delivery);
  void run_changed(core::RunRow& row);
  void abandon(core::Effect& effect);
  void flush_ready();
  void poll_changed_runs();
  void project(Owned& owned);

  // ---- apply_state.cc: partitions come, are checkpointed, go
  void adopt_next();
  void adopted(const journal::Owned& owned, journal::Recovered&& recovered);
  void record_deployments(Owned& owned);
  void lose(Owned& owned, const std::string& why);
  void drop_lost();
  bool names(const Pending& pending, const Owned& owned) const;
  void step_checkpoints();
  bool checkpoint_due(const Owned& owned) const;
  void begin_checkpoint(Owned& owned);
  void continue_checkpoint(Owned& owned);
  void checkpoint_written(const CheckpointWritten& written);
  void step_halt();
  void finish_halt();

  Shared& shared_;
  const unsigned index_;
  DispatchDesk& desk_;
  StoreThread& store_;
  std::function<void(core::PartitionId)> on_lost_;
  Inbox& inbox_;
  ThreadPrograms programs_;
  journal::Database database_;  // for folds
  journal::AppendSession session_;

  std::vector<std::unique_ptr<Owned>> owned_;  // by partition number; null: not here
  std::vector<core::PartitionId> mine_;        // those that are not null
  std::vector<core::Seq> known_durable_;       // by partition: what was ever seen durable here
  std::deque<journal::Owned> adopting_;
  std::int64_t adopt_at_us_ = 0;

  Inbox::Contents incoming_;
  std::deque<RecordInput> internal_;
  std::deque<RecordInput> clients_;

  Pending pendings_[2];
  Pending* building_ = &pendings_[0];
  Pending* flying_ = &pendings_[1];
  bool in_flight_ = false;  // flying_ has no known outcome yet
  bool must_resolve_ = false;
  bool refused_ = false;  // the last batch sent
  std::int64_t connect_at_us_ = 0;
  std::uint32_t backoff_ms_ = 0;
  bool online_ = false;
  bool was_connected_ = false;  // ever
  std::uint64_t random_ = 0;

  // Durable already, to leave at the end of this turn.
  Outgoings out_;
  DispatchDesk::Work work_;
  std::vector<core::RunRow> rows_;
  std::vector<RecordInput> posts_;  // to other partitions
  std::unordered_map<std::uint64_t, std::unordered_map<unsigned, int>> live_;
  std::string scratch_;

  std::int64_t now_us_ = 0;  // monotonic, of this turn
  core::TimeUs time_ = 0;    // the database's, of this turn

  std::function<void()> halt_done_;
  std::int64_t halt_until_us_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

// Key of a client in SetLive.
std::uint64_t client_hash(core::TenantId tenant, std::string_view client);

}  // namespace sluice::node
