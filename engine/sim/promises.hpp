// What the journal of a partition promises record by record: told by what each record led to while
// the partition is folded, by models of their own that know nothing of the core's state.
//
//   14 signals    15 hedges and streams    16 children    17 schedules    19 joins    20 presence
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/message.hpp"
#include "engine/core/record.hpp"
#include "vm/artifact.hpp"

namespace sluice::sim {

// A record of a partition and all that it led to. Partitions come one after the other, each with
// all of its records.
struct Seen {
  core::PartitionId partition{};
  const core::Record& record;
  const core::Effects& effects;
};

using Happened = std::map<std::string, std::uint64_t>;

class Promise {
 public:
  using Report = std::function<void(unsigned invariant, std::string text)>;

  Promise(const vm::Program& program, unsigned partitions, Report report)
      : program_(program), partitions_(partitions), report_(std::move(report)) {}
  virtual ~Promise() = default;

  virtual void see(const Seen& seen) = 0;
  // After the last partition. `all_ended`: nothing is under way any more.
  virtual void finish(bool all_ended) = 0;
  // How often what it is about happened.
  const Happened& happened() const { return happened_; }

 protected:
  void count(const std::string& what) { ++happened_[what]; }

  const vm::Program& program_;
  const unsigned partitions_;
  const Report report_;

 private:
  Happened happened_;
};

std::vector<std::unique_ptr<Promise>> all_promises(const vm::Program& program, unsigned partitions,
                                                   const Promise::Report& report);

// ---- what the promises ask of a record

// The message that it is; nothing: it is another record. Views into it.
std::optional<core::Envelope> message_in(const core::Record& record);
// The first run that the record's input started; nil: none.
core::RunId first_run(const core::Effects& effects);
// What runs of the partition told their clients, here or on its way to the client's home.
struct Told {
  core::RunId run;
  std::string name;
  std::string json;
};
std::vector<Told> deliveries_of(const Seen& seen);
// A field of a flat JSON object, without its quotes; "": it has none such.
std::string json_field(std::string_view json, std::string_view name);

// ---- the promises

// Of a run's signals each is claimed at most once, in order, the oldest that fits; a `receive` runs
// out of time only if none fits; no more than 64 wait.
class SignalQueues : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool) override {}

 private:
  struct Item {
    std::string text, id, other;
    bool fits = false;
  };
  struct Queue {
    std::deque<Item> items;
    std::set<std::string> events;  // of topics, that it had
  };
  void arrive(const Seen& seen);
  void message(const Seen& seen, const core::Envelope& envelope);
  void claim(const Seen& seen, const Told& told);

  std::map<core::RunId, Queue> queues_;
  std::map<core::RunId, std::string> watched_;  // the id that a run of `watch` waits for
  std::set<core::RunId> ended_;
  std::set<std::tuple<core::RunId, std::string, std::string>> ids_;  // run, client, id
};

// A subscription gets each event of its pair once, from its run's beginning to its end. Told for
// the field `id`; of the field `other` nothing comes that does not belong there.
class SubscribedEvents : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool) override;

 private:
  struct Fact {
    core::TenantId tenant{};
    std::string id, other;
  };
  struct Watcher {
    core::TenantId tenant{};
    std::string id;
  };
  struct Home {  // of one pair
    std::set<core::RunId> runs;
    std::vector<std::pair<std::string, core::TimeUs>> events;
  };
  using Claim = std::pair<core::RunId, std::string>;  // run, event
  // 10 minutes are promised; a little less is certain.
  static constexpr core::TimeUs kKept = 590ll * 1'000'000;

  void took_event(const Seen& seen);
  void message(const Seen& seen, const core::Envelope& envelope);
  Home* home_at(core::PartitionId partition, core::TenantId tenant, const std::string& value);
  void subscribe(Home& home, const core::RunId& run, core::TimeUs since, core::TimeUs now);
  void event_at(Home& home, const std::string& event, core::TimeUs time);

  std::map<std::string, Fact> facts_;
  std::map<core::RunId, Watcher> watchers_;
  std::map<std::pair<core::TenantId, std::string>, Home> homes_;
  std::set<Claim> due_, perhaps_;
  std::map<Claim, unsigned> sent_;
};

// Of a step one attempt is open at a time, of a hedged one two; a report of an open one ends it; of
// a stream that two attempts could tell, the one that spoke first goes on alone.
class Attempts : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool) override {}

 private:
  struct Step {
    std::set<std::uint32_t> open;
    std::optional<std::uint32_t> speaks;
  };
  using Name = std::pair<core::RunId, core::StepNumber>;
  void close(const Name& step, std::uint32_t attempt, bool done);
  void offer(const core::Offer& offer);

  std::map<Name, Step> steps_;
};

// A child does not outlive whoever began it: its parent ends behind it. One that is called off does
// not complete, and until its undoing is over its parent begins nothing and tells nobody anything.
class Children : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool all_ended) override;

 private:
  void took(const core::Envelope& envelope);
  void sent(const core::Envelope& envelope);
  void acts(const core::RunId& run, std::string_view what);
  void end(const core::RunRow& row);

  std::map<core::RunId, std::map<core::StepNumber, core::RunId>> open_;  // by parent
  std::map<core::RunId, std::set<core::RunId>> undone_;  // of them those that it called off
  std::set<core::RunId> called_off_;                     // there, while they lived
  std::set<core::RunId> begun_, ended_;
};

// Each instant of a schedule starts at most one run, in order; one that is passed over was missed
// before the next came due. Nothing happens in the partition after an instant before its run began.
class Instants : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool all_ended) override;

 private:
  void fire(const Seen& seen);

  struct Flow {
    core::TimeUs last = 0;      // instant that was fired
    core::TimeUs deployed = 0;  // 0: not yet
  };
  std::map<std::uint32_t, Flow> flows_;  // that have a schedule, in their partition
  std::set<core::RunId> begun_, ended_;
};

// Under `joins` an event is heard by a run under way, once, and its own run ends `joined` to that
// one without having begun; or its run begins, and nobody hears of it. What a run hears comes in
// the order in which it arrived, and with one run at a time nothing overtakes. The newest run under
// way hears, unless there is a place for the event's own. A `receive` runs out of time only where
// nothing waits. A step that began such a run is told once how it ended, or the one that it joined.
class Joins : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool all_ended) override;

 private:
  struct Run {
    std::string gate;
    unsigned at_once = 1;  // of the gate
    std::string text;
    std::uint64_t ticket = 0;  // rising in order of arrival, over all gates
    core::Seq arrived = 0;
    bool begun = false, ended = false;
    core::RunId heard_by;  // has its event among its signals
    core::RunId taken_by;  // has received it
    std::optional<std::pair<core::RunId, core::StepNumber>> parent;  // whose step it is
    // Once it has begun.
    std::deque<core::RunId> heard;
    bool parked = false;             // it says later what it has received by now
    std::deque<core::RunId> unsaid;  // likewise
    bool passed_over = false;  // an older one was told of an event: this one is on its way out
    std::vector<core::RunId> joined;
    std::uint64_t last_heard = 0;  // ticket
    bool offered = false;          // some run was told of its event
    core::Seq listens_since = 0;   // its last step was over then
  };
  struct Gate {
    std::set<core::RunId> inside;
    std::uint64_t last = 0;    // ticket of what was heard or has begun
    core::TimeUs changed = 0;  // when one that was inside ended last
  };

  void arrive(const Seen& seen);
  void arrived(const Seen& seen, std::string_view flow, const core::RunId& run,
               const vm::Value& line);
  void join(const core::Join& body);
  void begin(const core::Offer& offer);
  void receive(const Seen& seen, const Told& told, bool was_parked);
  void say(const core::RunId& run, Run& listener, const std::string& text);
  bool take(const core::RunId& run, Run& listener);
  bool has_place(const Gate& gate, const Run& run) const;
  void note_parked(const core::Record& record);
  void end(const core::RunRow& row);
  void check_told(const Run& run);
  void pass(Gate& gate, const Run& run, std::string_view how);
  Run* find(const core::RunId& run);
  void wrong(const core::RunId& run, std::string_view what);

  std::map<core::RunId, Run> runs_;
  std::map<std::string, Gate> gates_;
  core::TimeUs now_ = 0;
  std::map<std::pair<core::RunId, core::StepNumber>, unsigned> told_;  // steps, of an end
  std::uint64_t tickets_ = 0;
  std::map<core::RunId, core::RunId> child_of_;  // by the parent, a run of `visit`
  std::map<core::RunId, std::string> visited_;   // what its child answered
};

// A run that receives `Away` or `Back` hears of its client's going and coming by turns, each once;
// what is over before it was taken it does not hear. Whoever knows the sockets is asked for, from
// the run's beginning.
class PresenceNews : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool) override {}

 private:
  struct Run {
    std::string client;
    core::TimeUs arrived = 0;
    bool back = false;  // receives `Back`, too
    bool asked = false;
    core::TimeUs away_since = 0;  // as it was told; 0: its client is there
    struct Waiting {
      std::string by, since, away;
    };
    std::optional<Waiting> waiting;
  };
  void told(const Seen& seen, const core::Presence& body);
  void received(const Seen& seen, const Told& told);
  void missed(const Told& told);
  void wrong(const core::RunId& run, std::string_view what);

  std::map<core::RunId, Run> runs_;
};

}  // namespace sluice::sim
