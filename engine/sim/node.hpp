// A node of the simulation: the shell round the production partition and dispatcher, by the rules
// of the engine, over the database model and virtual time. It is what engine/node is in production,
// without threads: where production waits, this plans what happens next, and may crash there.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/core/partition.hpp"
#include "engine/dispatch/dispatcher.hpp"
#include "engine/sim/database.hpp"
#include "engine/sim/sessions.hpp"
#include "engine/sim/world.hpp"

namespace sluice::sim {

// What a worker needs of a task frame.
struct TaskFrame {
  core::WorkerId worker{};
  dispatch::LeaseName lease;
  std::uint64_t args_digest = 0;
  core::TenantId tenant{};
  std::string task;
  std::string args_json;
  std::uint32_t lease_ms = 0;
  bool stream = false;  // its worker says something before it is done
};

class Node {
 public:
  Node(World& world, int index);

  // ---- what happens to it
  void start();
  void crash();
  void pause(TimeUs length);

  // ---- what reaches it. A frame for an earlier life of the node is dropped by its sender.
  bool up() const { return up_; }
  std::uint64_t boot() const { return boot_; }
  bool serves(core::PartitionId partition) const;
  void receive(Input input);
  void worker_joined(core::WorkerId worker, std::optional<core::TenantId> tenant,
                     const std::vector<std::string>& tasks, unsigned credit,
                     const std::vector<dispatch::LeaseName>& reclaim);
  void worker_credit(core::WorkerId worker, unsigned credit);
  void worker_renew(core::WorkerId worker, const dispatch::LeaseName& lease);
  // The first piece of a stream.
  void worker_speaks(const dispatch::LeaseName& lease);
  void worker_left(core::WorkerId worker);
  // Live deliveries go to this client from now on, after all that it has not seen.
  void attach(unsigned client, std::uint64_t connection, std::uint64_t after);
  // That socket is gone.
  void detach(unsigned client, std::uint64_t connection);

  // ---- for the end of the run
  // Nothing lives in the partitions that it owns, and nothing is under way.
  bool idle() const;
  std::size_t owned() const { return slots_.size(); }

 private:
  // A partition that it owns or is about to.
  struct Slot {
    explicit Slot(core::Partition p) : partition(std::move(p)) {}
    core::Partition partition;
    bool serving = false;
    bool folded = false;  // not from nothing
    Epoch epoch = 0;
    core::Hash128 chain;  // of the last batch that was closed
    core::Seq durable = 0;
    core::Seq prints_from = 0;  // seq of the first print
    std::vector<std::uint64_t> prints;
    std::vector<std::pair<core::Seq, core::Effect>> held;  // answers that wait for durable
    Generation next_generation = 1;
    core::Seq checkpointed = 0;
    std::optional<StoredCheckpoint> checkpoint;  // being written
    std::optional<TimeUs> next_instant;          // of its schedules; nothing: not known
    std::map<core::RunId, unsigned> unaware;  // beats for which a run has not known of its client
  };
  // What one partition adds to a batch.
  struct Part {
    AppendPart append;
    core::Effects effects;
    std::vector<core::AttemptKey> reported;
  };
  struct Batch {
    std::map<core::PartitionId, Part> parts;
    std::size_t records = 0;
  };

  // Later, if this life goes on; after the pause, if there is one.
  void plan(TimeUs delay, Scheduler::Task task);
  // A statement on the database: `done` gets nothing if its outcome is unknown.
  template <class Answer>
  void statement(std::function<Answer(Database&)> execute,
                 std::function<void(std::optional<Answer>)> done);
  bool crash_here();
  TimeUs now();
  bool may_act() const;

  // ---- ownership (node_ownership.cc)
  void beat();
  void compare(const std::vector<Ownership>& all);
  void claim(core::PartitionId partition, Epoch from);
  void recover(core::PartitionId partition, Epoch epoch);
  void serve(core::PartitionId partition, Epoch epoch, const Recovery& recovery);
  bool fold(Slot& slot, const Recovery& recovery);
  void reissue(Slot& slot);
  void lose(core::PartitionId partition);
  void resend(Slot& slot);

  // ---- applying
  void wake(TimeUs delay);
  void pump();
  void fire_timers(Slot& slot);
  void fire_schedules(Slot& slot);
  void take(Slot& slot, Input&& input);
  void change_key(const Slot& slot, Input& input);
  enum class Admission : std::uint8_t { fresh, answered, dropped };
  Admission admit(Slot& slot, const Input& input);
  Admission admit_event(Slot& slot, const Input& input);
  template <class Report>
  Admission admit_report(Slot& slot, const Input& input);
  Admission admit_message(Slot& slot, const Input& input);
  void apply(Slot& slot, Input&& input);
  void hold(Slot& slot, core::Effect effect);
  void offer_early(Slot& slot, Part& part, std::size_t from);
  bool strike(Plant plant);

  // ---- batches
  void flush();
  void close(Slot& slot, Part& part);
  void send_batch();
  void resolve();
  void settle(core::PartitionId partition);
  void end_batch();

  // ---- checkpoints (node_checkpoints.cc)
  void begin_checkpoint(Slot& slot);
  void write_rows(core::PartitionId partition, Epoch epoch);
  void finish_checkpoint(core::PartitionId partition, Epoch epoch);

  // ---- effects (node_effects.cc)
  void release(Slot& slot, Part&& part);
  bool drain();
  void perform(Slot& slot, const core::Effect& effect);
  void act(const dispatch::Actions& actions);
  void frame_to_worker(const dispatch::HandOut& hand_out);
  void deliver(const core::Delivery& delivery);
  void push(core::PartitionId partition, core::Record record);

  // ---- presence (node_presence.cc)
  Sessions::Now moment();
  void tell(const Sessions::Out& news);
  void check_aware(Slot& slot);

  World& world_;
  int index_;
  bool up_ = false;
  std::uint64_t boot_ = 0;
  TimeUs started_ = 0;
  TimeUs skew_ = 0;
  TimeUs clock_ = 0;        // its record time, never falling
  TimeUs valid_until_ = 0;  // by true time: others may take over from then on
  TimeUs paused_until_ = 0;
  std::vector<Scheduler::Task> paused_;

  std::map<core::PartitionId, Slot> slots_;
  std::set<core::PartitionId> claiming_;
  std::deque<Input> inbox_;
  Batch building_;
  std::optional<Batch> in_flight_;
  bool pumping_ = false;
  TimeUs wake_at_ = 0;
  struct Leaving {
    core::PartitionId partition{};
    Epoch epoch = 0;
    core::Effect effect;
    bool reported = false;  // not an effect: this attempt's report is durable
    core::AttemptKey key;
  };
  std::deque<Leaving> leaving_;  // committed effects that have not left yet

  std::optional<dispatch::Dispatcher> dispatcher_;
  std::optional<Sessions> sessions_;
  std::uint64_t next_nonce_ = 1;
  std::map<unsigned, std::uint64_t> attached_;  // client -> connection
};

}  // namespace sluice::sim
