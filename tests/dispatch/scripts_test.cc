// What the dispatcher does, as scripts: one line per call, what it is to answer after `=>`.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine/dispatch/dispatcher.hpp"
#include "tests/dispatch/action_text.hpp"

namespace sluice::dispatch {
namespace {

// join W TENANT TASKS CREDIT · credit W N · left W · offer A TENANT TASK [flag|field=n]… · granted
// A · reported A · revoke A WHY · renew W A NONCE · reclaim W A NONCE · at MS · drop PARTITION
// Tenants and partitions are numbers, tenant * is all, tasks are joined by commas. `at` ticks.
class Script {
 public:
  Script()
      : dispatcher_({.lease_ms = 1000,
                     .reclaim_grace_ms = 200,
                     .requeue_grace_ms = 1500,
                     .credit_max = 50}) {}

  std::string run(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    Actions actions;
    if (verb == "join") {
      join(words, actions);
    } else if (verb == "offer") {
      offer(words, actions);
    } else if (verb == "at") {
      TimeUs ms = 0;
      words >> ms;
      now_ = ms * core::kUsPerMs;
      dispatcher_.tick(now_, actions);
    } else {
      other(verb, words, actions);
    }
    return to_text(actions);
  }

 private:
  unsigned number(std::istream& words, char letter = 0) {
    std::string word;
    words >> word;
    return static_cast<unsigned>(std::stoul(letter && word[0] == letter ? word.substr(1) : word));
  }

  void join(std::istream& words, Actions& actions) {
    const WorkerId worker{number(words, 'w')};
    std::string tenant, tasks, task;
    words >> tenant >> tasks;
    std::vector<std::string> list;
    for (std::istringstream split(tasks); std::getline(split, task, ',');) list.push_back(task);
    std::optional<TenantId> id;
    if (tenant != "*") id = TenantId{static_cast<std::uint32_t>(std::stoul(tenant))};
    dispatcher_.worker_joined(worker, id, list, number(words), now_, actions);
  }

  void offer(std::istream& words, Actions& actions) {
    Offer offer;
    const unsigned attempt = number(words, 'a');
    offer.key = key_of(attempt, attempt / 100);
    offer.opened = 7;
    offer.tenant = TenantId{number(words)};
    words >> offer.task;
    offer.safe = true;
    for (std::string word; words >> word;) {
      const auto split = word.find('=');
      const auto value = split == word.npos ? 0 : std::stoul(word.substr(split + 1));
      const std::string name = word.substr(0, split);
      if (name == "unsafe") offer.safe = false;
      if (name == "granted") offer.granted = offer.reissued = true;
      if (name == "reissued") offer.reissued = true;
      if (name == "timeout") offer.timeout_ms = static_cast<std::uint32_t>(value);
      if (name == "heartbeat") offer.heartbeat_ms = static_cast<std::uint32_t>(value);
      if (name == "queue") offer.queue_deadline = static_cast<TimeUs>(value) * core::kUsPerMs;
      if (name == "deadline") offer.step_deadline = static_cast<TimeUs>(value) * core::kUsPerMs;
    }
    dispatcher_.offer(offer, now_, actions);
  }

  void other(const std::string& verb, std::istream& words, Actions& actions) {
    if (verb == "credit") {
      const WorkerId worker{number(words, 'w')};
      return dispatcher_.credit(worker, number(words), now_, actions);
    }
    if (verb == "left") {
      return dispatcher_.worker_left(WorkerId{number(words, 'w')}, Dispatcher::Leave::lost, now_,
                                     actions);
    }
    if (verb == "drop") {
      return dispatcher_.drop_partition(
          core::PartitionId{static_cast<std::uint16_t>(number(words))});
    }
    WorkerId worker{};
    if (verb == "renew" || verb == "reclaim") worker = WorkerId{number(words, 'w')};
    const unsigned attempt = number(words, 'a');
    const AttemptKey key = key_of(attempt, attempt / 100);
    if (verb == "granted") return dispatcher_.granted(key, now_, actions);
    if (verb == "reported") return dispatcher_.reported(key, now_, actions);
    if (verb == "revoke") {
      std::string why;
      words >> why;
      return dispatcher_.revoke(key, why, now_, actions);
    }
    const LeaseName lease{key, 7, number(words, 'n')};
    if (verb == "renew") return dispatcher_.renew(worker, lease, now_, actions);
    if (verb == "reclaim") return dispatcher_.reclaim(worker, lease, now_, actions);
    FAIL() << "no such verb: " << verb;
  }

  Dispatcher dispatcher_;
  TimeUs now_ = 0;
};

struct Row {
  const char* name;
  std::vector<const char*> lines;
};

void check(const Row& row) {
  SCOPED_TRACE(row.name);
  Script script;
  for (const std::string line : row.lines) {
    const auto arrow = line.find(" => ");
    const std::string call = line.substr(0, arrow);
    const std::string expected = arrow == line.npos ? "" : line.substr(arrow + 4);
    EXPECT_EQ(script.run(call), expected) << call;
  }
}

const std::vector<Row> kRows = {
    {"an attempt goes to a worker that has credit",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0", "offer a2 1 t",
      "credit w1 1 => hand w1 a2 n2 lease 1000 deadline 0"}},
    {"first in, first out, over partitions",
     {"offer a201 1 t", "offer a1 1 t", "offer a101 1 t",
      "join w1 1 t 3 => hand w1 a201 n1 lease 1000 deadline 0; "
      "hand w1 a1 n2 lease 1000 deadline 0; hand w1 a101 n3 lease 1000 deadline 0"}},
    {"a worker of several tasks gets what has waited longest",
     {"offer a1 1 t", "offer a2 1 u", "offer a3 1 t",
      "join w1 1 u,t,u 2 => hand w1 a1 n1 lease 1000 deadline 0; "
      "hand w1 a2 n2 lease 1000 deadline 0"}},
    {"a worker gets neither another tenant's work nor another task",
     {"join w1 1 t 5", "offer a1 2 t", "offer a2 1 u",
      "join w2 2 t 5 => hand w2 a1 n1 lease 1000 deadline 0"}},
    {"workers of all tenants take tenants in turn",
     {"offer a1 1 t", "offer a2 1 t", "offer a3 2 t", "offer a4 2 t",
      "join w1 * t 3 => hand w1 a1 n1 lease 1000 deadline 0; "
      "hand w1 a3 n2 lease 1000 deadline 0; hand w1 a2 n3 lease 1000 deadline 0"}},
    {"workers take turns",
     {"join w1 1 t 5", "join w2 1 t 5", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0",
      "offer a2 1 t => hand w2 a2 n2 lease 1000 deadline 0",
      "offer a3 1 t => hand w1 a3 n3 lease 1000 deadline 0"}},
    {"a report gives no credit back",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0", "offer a2 1 t",
      "reported a1"}},
    {"credit 0 pauses, more than the limit is cut",
     {"join w1 1 t 0", "offer a1 1 t", "credit w1 0",
      "credit w1 4000000000 => hand w1 a1 n1 lease 1000 deadline 0"}},
    {"an attempt that is known is not taken twice",
     {"offer a1 1 t", "offer a1 1 t", "join w1 1 t 5 => hand w1 a1 n1 lease 1000 deadline 0",
      "offer a1 1 t"}},
    {"an unsafe attempt is handed out after its grant only",
     {"join w1 1 t 1", "offer a1 1 t unsafe => grant a1", "offer a2 1 t",
      "granted a1 => hand w1 a1 n1 lease 1000 deadline 0", "granted a1"}},
    {"the credit of a grant on its way is not given away",
     {"join w1 1 t 1", "offer a1 1 t unsafe => grant a1", "credit w1 1", "offer a2 1 t",
      "granted a1 => hand w1 a1 n1 lease 1000 deadline 0"}},
    {"a grant whose worker has left goes to the next, before those behind it",
     {"join w1 1 t 1", "offer a1 1 t unsafe => grant a1", "offer a2 1 t", "left w1", "granted a1",
      "join w2 1 t 2 => hand w2 a1 n1 lease 1000 deadline 0; "
      "hand w2 a2 n2 lease 1000 deadline 0"}},
    {"a grant whose worker paused waits for credit",
     {"join w1 1 t 1", "offer a1 1 t unsafe => grant a1", "credit w1 0", "granted a1",
      "credit w1 1 => hand w1 a1 n1 lease 1000 deadline 0"}},
    {"a revoked grant frees the credit",
     {"join w1 1 t 1", "offer a1 1 t unsafe => grant a1", "offer a2 1 t",
      "revoke a1 cancelled => hand w1 a2 n1 lease 1000 deadline 0", "granted a1"}},
    {"a lease that nobody renews is lost",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0", "at 999",
      "at 1000 => lapse a1 lost", "at 5000", "renew w1 a1 n1 => stale w1 a1 n1"}},
    {"a renewed lease goes on",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0", "at 900",
      "renew w1 a1 n1", "at 1899", "at 1900 => lapse a1 lost"}},
    {"the task's heartbeat is its lease",
     {"join w1 1 t 1", "offer a1 1 t heartbeat=300 => hand w1 a1 n1 lease 300 deadline 0",
      "at 300 => lapse a1 lost"}},
    {"any socket may renew, a wrong nonce may not",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0", "left w1", "at 500",
      "renew w9 a1 n1", "renew w9 a1 n2 => stale w9 a1 n2", "at 1400",
      "revoke a1 cancelled => cancel w9 a1 n1 cancelled"}},
    {"the attempt's timeout counts from the hand-out, whatever is renewed",
     {"offer a1 1 t timeout=1500", "at 700",
      "join w1 1 t 1 => hand w1 a1 n1 lease 1000 deadline 1500", "at 1600", "renew w1 a1 n1",
      "at 2199", "at 2200 => lapse a1 timed_out"}},
    {"a timeout at the very end of the lease is a timeout",
     {"join w1 1 t 1", "offer a1 1 t timeout=1000 => hand w1 a1 n1 lease 1000 deadline 1000",
      "at 1000 => lapse a1 timed_out"}},
    {"the worker is told what is left of the step",
     {"offer a1 1 t timeout=5000 deadline=2000", "at 700",
      "join w1 1 t 1 => hand w1 a1 n1 lease 1000 deadline 1300"}},
    {"what is overdue is not handed out",
     {"offer a1 1 t deadline=500", "offer a2 1 t", "at 500",
      "join w1 1 t 1 => hand w1 a2 n1 lease 1000 deadline 0", "revoke a1 timed_out"}},
    {"what waits longer than its queue time is given up, in time order",
     {"offer a1 1 t queue=500", "offer a2 1 t queue=300 unsafe", "offer a3 1 t", "at 299",
      "at 300 => lapse a2 queued", "at 500 => lapse a1 queued",
      "join w1 1 t 2 => hand w1 a3 n1 lease 1000 deadline 0"}},
    {"its time in the queue is over once it is handed out or granted",
     {"join w1 1 t 2", "offer a1 1 t queue=500 => hand w1 a1 n1 lease 1000 deadline 0",
      "offer a2 1 t queue=500 unsafe => grant a2", "at 999", "at 1000 => lapse a1 lost"}},
    {"and goes on when nobody was sent it",
     {"join w1 1 t 1", "offer a1 1 t queue=500 unsafe => grant a1", "left w1", "at 400",
      "granted a1", "at 500 => lapse a1 queued"}},
    {"after a failover a safe attempt may be reclaimed before its time in the queue counts",
     {"offer a1 1 t queue=500 reissued", "offer a2 1 t queue=500 reissued", "at 1400",
      "join w1 1 t 0", "reclaim w1 a1 n0", "at 1499", "at 1500 => lapse a2 queued",
      "at 2400 => lapse a1 lost"}},
    {"a revoked attempt is cancelled at its worker",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0",
      "revoke a1 superseded => cancel w1 a1 n1 superseded", "renew w1 a1 n1 => stale w1 a1 n1"}},
    {"a revoked attempt that waits is forgotten",
     {"offer a1 1 t", "revoke a1 cancelled", "join w1 1 t 1"}},
    {"leases go on when the worker leaves, and can be reclaimed",
     {"join w1 1 t 1", "offer a1 1 t => hand w1 a1 n1 lease 1000 deadline 0", "left w1", "at 900",
      "join w2 1 t 0", "reclaim w2 a1 n1", "at 1899",
      "revoke a1 cancelled => cancel w2 a1 n1 cancelled"}},
    {"after a failover a granted unsafe attempt waits to be reclaimed",
     {"join w1 1 t 5", "offer a1 1 t unsafe granted", "at 1199", "at 1200 => lapse a1 lost"}},
    {"and is not handed out again when it is",
     {"join w1 1 t 5", "offer a1 1 t unsafe granted timeout=1500", "at 600", "reclaim w1 a1 n0",
      "at 1500 => lapse a1 timed_out"}},
    {"after a failover an ungranted unsafe attempt is granted first",
     {"join w1 1 t 5", "offer a1 1 t unsafe reissued => grant a1"}},
    {"after a failover a safe attempt goes to whom comes first",
     {"offer a1 1 t reissued", "join w1 1 t 0", "reclaim w1 a1 n0", "join w2 1 t 1",
      "at 1000 => lapse a1 lost"}},
    {"and who comes second is told",
     {"join w2 1 t 1", "offer a1 1 t reissued => hand w2 a1 n1 lease 1000 deadline 0",
      "reclaim w1 a1 n0 => stale w1 a1 n0"}},
    {"nobody reclaims what was never handed out",
     {"offer a1 1 t", "reclaim w1 a1 n0 => stale w1 a1 n0", "offer a2 1 t unsafe",
      "reclaim w1 a2 n0 => stale w1 a2 n0", "reclaim w1 a3 n0 => stale w1 a3 n0"}},
    {"a dropped partition says nothing, and its credit is free",
     {"join w1 1 t 1", "offer a1 1 t unsafe => grant a1", "offer a101 1 t", "drop 0",
      "at 0 => hand w1 a101 n1 lease 1000 deadline 0", "granted a1", "at 999"}},
};

TEST(Dispatcher, Scripts) {
  for (const Row& row : kRows) check(row);
}

TEST(Dispatcher, KnowsWhetherATaskHasAWorkerAndWhetherItWaits) {
  Dispatcher dispatcher({});
  Actions actions;
  const auto state = [&](unsigned tenant) {
    const TenantId id{tenant};
    return fmt::format("{}{}", dispatcher.served(id, "t") ? "served" : "unserved",
                       dispatcher.waits(id, "t") ? " waits" : "");
  };
  EXPECT_EQ(state(1), "unserved");
  Offer offer;
  offer.key = key_of(1);
  offer.tenant = TenantId{1};
  offer.task = "t";
  offer.safe = true;
  dispatcher.offer(offer, 0, actions);
  EXPECT_EQ(state(1), "unserved waits");
  dispatcher.worker_joined(WorkerId{1}, TenantId{2}, {"t"}, 1, 0, actions);
  dispatcher.worker_joined(WorkerId{2}, TenantId{1}, {"u"}, 1, 0, actions);
  EXPECT_EQ(state(1), "unserved waits");
  EXPECT_EQ(state(2), "served");
  dispatcher.worker_joined(WorkerId{3}, TenantId{1}, {"t"}, 0, 0, actions);  // busy
  EXPECT_EQ(state(1), "served waits");
  dispatcher.worker_left(WorkerId{3}, Dispatcher::Leave::bye, 0, actions);
  EXPECT_EQ(state(1), "unserved waits");
  dispatcher.worker_joined(WorkerId{4}, std::nullopt, {"t"}, 1, 0, actions);
  EXPECT_EQ(state(1), "served");
  EXPECT_EQ(state(3), "served");
  dispatcher.worker_left(WorkerId{4}, Dispatcher::Leave::lost, 0, actions);
  EXPECT_EQ(state(1), "unserved");
  EXPECT_EQ(state(3), "unserved");
}

TEST(Dispatcher, ANameThatManyWorkersBringIsNotKept) {
  Dispatcher dispatcher({});
  Actions actions;
  for (unsigned i = 1; i <= 5000; ++i) {
    dispatcher.worker_joined(WorkerId{i}, TenantId{1}, {fmt::format("task{}", i)}, 1, 0, actions);
    dispatcher.worker_left(WorkerId{i}, Dispatcher::Leave::bye, 0, actions);
  }
  EXPECT_TRUE(actions.empty());
  EXPECT_EQ(dispatcher.stats().workers, 0u);
  // The queues that were dropped on the way are made again when they are needed.
  Offer offer;
  offer.key = key_of(1);
  offer.tenant = TenantId{1};
  offer.task = "task1";
  offer.safe = true;
  dispatcher.offer(offer, 0, actions);
  dispatcher.worker_joined(WorkerId{9999}, TenantId{1}, {"task1"}, 1, 0, actions);
  EXPECT_EQ(to_text(actions), "hand w9999 a1 n1 lease 10000 deadline 0");
}

TEST(Dispatcher, MoreTasksThanAWorkerMayOfferAreCut) {
  Dispatcher dispatcher({.tasks_per_worker = 2});
  Actions actions;
  dispatcher.worker_joined(WorkerId{1}, TenantId{1}, {"t", "u", "v"}, 9, 0, actions);
  for (const char* task : {"v", "u"}) {
    Offer offer;
    offer.key = key_of(task[0]);
    offer.tenant = TenantId{1};
    offer.task = task;
    offer.safe = true;
    dispatcher.offer(offer, 0, actions);
  }
  EXPECT_EQ(to_text(actions), "hand w1 a117 n1 lease 10000 deadline 0");
}

}  // namespace
}  // namespace sluice::dispatch
