// What the journal of a partition promises record by record: told by what each record led to while
// the partition is folded, by models of their own that know nothing of the core's state.
//
//   14 signals    15 hedges and streams    16 children    17 schedules
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
// The deliveries that it made, here or on their way to the client's home.
struct Told {
  core::RunId run;
  std::string name;
  std::string json;
};
std::vector<Told> deliveries_of(const core::Effects& effects);
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

// A child does not outlive whoever waits for it, but for its undoing: it is called off by the
// record with which its parent ends at the latest, and does not complete after that.
class Children : public Promise {
 public:
  using Promise::Promise;
  void see(const Seen& seen) override;
  void finish(bool all_ended) override;

 private:
  void took(const core::Envelope& envelope);
  void sent(const core::Envelope& envelope);
  void end(const core::RunRow& row);

  std::map<core::RunId, std::set<core::RunId>> open_;  // by parent
  std::set<core::RunId> called_off_;                   // there, while they lived
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

}  // namespace sluice::sim
