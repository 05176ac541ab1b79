// The stage of a rehearsal: partition, dispatcher, workers and the world outside, in virtual time.
// Private to the rehearsal.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/core/partition.hpp"
#include "engine/dispatch/dispatcher.hpp"
#include "engine/sim/one_program.hpp"
#include "engine/sim/rehearsal.hpp"
#include "vm/unit.hpp"

namespace sluice::sim {

class Stage {
 public:
  explicit Stage(const RehearsalRequest& request);
  Rehearsal play();

 private:
  using TimeUs = core::TimeUs;

  // A report, renewal, first piece or input that is to come, or a worker that falls free for an
  // attempt. Those of one instant come in the order of their
  // making.
  struct Planned {
    enum class Kind : std::uint8_t { report, renew, input, serve, speak };
    TimeUs at = 0;
    std::uint64_t order = 0;
    Kind kind = Kind::report;
    std::size_t input = 0;  // of an input: which
    core::Offer offer;
    std::uint64_t nonce = 0;
    ScriptedAttempt attempt;
    std::uint32_t lease_ms = 0;  // of a renewal
    TimeUs until = 0;            // of a renewal: when its report comes; 0: never

    friend bool operator<(const Planned& a, const Planned& b) {
      return a.at != b.at ? a.at < b.at : a.order < b.order;
    }
  };

  const vm::Program& program() const { return request_.program->program(); }
  static TimeUs to_us(std::uint64_t ms);

  // The journal (rehearsal.cc).
  void deploy();
  void look_at_schedules();
  std::optional<TimeUs> next_schedule() const;
  bool next();
  bool going_on() const;
  std::string why_not() const;
  void act(const Planned& planned);
  void give(std::size_t index);
  void give_event(std::size_t index, const std::string& id);
  void give_start(std::size_t index, const std::string& id);
  void give_cancel(const Input& input);
  void give_signal(std::size_t index, const std::string& id);
  void give_presence(const Input& input);
  void tell_presence(const core::PresenceWanted& wanted);
  // What the engine said of an input before it journaled anything. False: nothing is to follow.
  bool admitted(std::size_t index, const std::optional<core::Effect>& answer);
  void take_input(std::size_t index, core::Record record);
  void refuse(std::size_t index, core::Refusal code, std::string message);
  std::string text_of(const Input& input) const;
  core::Effects take(core::Record record);
  void note(const core::Record& record, const core::Applied& applied, const core::Effects& effects);
  void leave(const core::Effects& effects);
  void carry(const core::Effect& effect);
  void perform(const dispatch::Actions& actions);
  bool still_counts(const core::Record& record);
  bool is_step(const core::RunId& run) const;
  void begin_run(const core::RunId& run, const core::Record& record);
  Rehearsal tell();

  // The workers (rehearsal_workers.cc).
  void workers_join(dispatch::Actions& actions);
  void offer(const core::Offer& offer, dispatch::Actions& actions);
  void serve(const Planned& planned);
  bool ever_waits(const std::string& task) const;
  void hand_out(const dispatch::HandOut& out);
  struct KnownAttempt {
    core::AttemptKey key;
    ScriptedAttempt attempt;
    TimeUs served_at = 0;  // when a worker is free for it; 0: at any time
  };
  KnownAttempt& attempt_of(const core::Offer& offer);
  ScriptedAttempt next_attempt(const core::Offer& offer);
  // A result that breaks a `where` of its type fails the attempt. `given`: by the script.
  ScriptedAttempt checked(const core::Offer& offer, ScriptedAttempt attempt, bool given);
  void plan(Planned::Kind kind, TimeUs at, Planned planned);
  void plan_renewal(Planned planned);
  void renew(const Planned& planned);
  void report(const Planned& planned);
  void speak(const Planned& planned);
  template <class Body>
  void send(const Planned& planned, Body body);
  void forget(std::uint64_t nonce);

  // The crash (rehearsal_crash.cc).
  bool crashes_now() const;
  void keep_checkpoint();
  void crash();
  std::optional<core::Partition> recovered();
  void reconnect();

  const RehearsalRequest& request_;
  vm::Unit unit_;  // asks constraints
  OneProgram programs_;
  core::Partition partition_;
  std::unique_ptr<dispatch::Dispatcher> dispatcher_;
  TimeUs now_;
  std::vector<core::WorkerId> workers_;
  std::vector<core::RunId> runs_;
  std::map<core::RunId, std::vector<core::Record>> of_run_;
  std::map<core::RunId, std::string> client_of_;
  std::deque<core::Record> to_take_;
  std::set<Planned> planned_;
  std::uint64_t planned_count_ = 0;
  std::size_t inputs_left_ = 0;
  struct Presence {
    bool away = false;
    TimeUs since = 0;
  };
  std::map<std::string, Presence> presence_;  // of clients that were away
  std::optional<core::Cron> cron_;            // the schedule that comes due next
  TimeUs schedules_until_ = 0;
  // Per task: the entry of its list that is in use, and how often it was. An attempt that is handed
  // out again does the same again.
  std::map<std::string, std::pair<std::size_t, std::uint64_t>> handed_out_;
  std::deque<KnownAttempt> attempts_;
  Rehearsal told_;
  std::string broken_;
  std::size_t happenings_ = 0;

  // All records with their effects' digests, the seeds' included.
  struct Journaled {
    core::Record record;
    core::Hash128 digest;
  };
  std::vector<Journaled> log_;
  std::size_t seeds_ = 0;
  struct Stored {
    core::Partition::Checkpoint checkpoint;
    std::vector<core::StateRow> rows;
  };
  std::optional<Stored> stored_;
  bool died_ = false;  // the process died; what it was about to do is not done
  bool crashed_ = false;
  std::optional<Planned> acting_;  // what the record being taken came from
};

}  // namespace sluice::sim
