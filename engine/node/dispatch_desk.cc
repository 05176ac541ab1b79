#include "engine/node/dispatch_desk.hpp"

#include <algorithm>
#include <chrono>

namespace sluice::node {
namespace {

// How late a lease or an attempt's timeout may end, and how often the ticker looks when there is
// any.
constexpr auto kTick = std::chrono::milliseconds(20);
// How late it is said that nobody serves a task.
constexpr auto kLookUnserved = std::chrono::seconds(1);
// Runs of which it is known that they lack a worker; beyond it some are not told so.
constexpr std::size_t kLackingMax = 65'536;

dispatch::LeaseName name_of(const Lease& lease) {
  dispatch::LeaseName name;
  name.key = {lease.partition, lease.run, lease.step, lease.attempt};
  name.opened = lease.seq;
  name.nonce = lease.nonce;
  name.args_digest = lease.args_digest;
  return name;
}

bool stale(const dispatch::Actions& actions) {
  return std::any_of(actions.begin(), actions.end(), [](const dispatch::Action& action) {
    return std::holds_alternative<dispatch::StaleLease>(action);
  });
}

}  // namespace

DispatchDesk::DispatchDesk(Shared& shared) : shared_(shared), outgoings_(shared.config.shards) {}

DispatchDesk::~DispatchDesk() {
  stop();
}

void DispatchDesk::start() {
  dispatch::Config config;
  config.lease_ms = shared_.config.worker_lease_ms;
  // A later process begins at a later time, and none hands out more than one attempt per
  // microsecond.
  config.first_nonce = static_cast<std::uint64_t>(shared_.clock.now());
  dispatcher_ = std::make_unique<dispatch::Dispatcher>(config);
  ticker_ = std::thread([this] { tick_loop(); });
}

void DispatchDesk::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ticker_wakes_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

core::TimeUs DispatchDesk::now() {
  last_now_ = std::max(last_now_, shared_.clock.now());
  return last_now_;
}

void DispatchDesk::tick_loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (dispatcher_->next_due()) {
      ticker_wakes_.wait_for(lock, kTick);
    } else {
      ticker_idle_ = true;
      if (unserved_.empty()) {
        ticker_wakes_.wait(lock);
      } else {
        ticker_wakes_.wait_for(lock, kLookUnserved);
      }
      ticker_idle_ = false;
    }
    const core::TimeUs present = now();
    if (stopping_) return;
    say_unserved(present);
    const auto due = dispatcher_->next_due();
    if (!due || *due > present) continue;
    dispatcher_->tick(present, actions_);
    perform(outgoings_);
    outgoings_.emit(shared_.outbox);
  }
}

// A task's pool, "" if its program is not at hand.
std::string DispatchDesk::pool_of(const core::Offer& offer) const {
  const auto deployment = shared_.deployments.loaded(offer.deployment);
  if (!deployment) return {};
  const vm::Program& program = deployment->program->program();
  if (offer.task_index >= program.tasks.size()) return {};
  return program.pools[program.tasks[offer.task_index].pool].name;
}

void DispatchDesk::offer(core::Offer&& offer, core::TimeUs present) {
  if (!dispatcher_->served(offer.tenant, offer.task)) {
    const bool first = unserved_.empty();
    std::string pool = pool_of(offer);
    unserved_.note(offer.tenant, pool, offer.task, present);
    if (lacking_.size() < kLackingMax) {
      lacking_.insert_or_assign(offer.key.run,
                                Lacking{offer.key, offer.tenant, offer.task, std::move(pool)});
    }
    if (first && ticker_idle_) ticker_wakes_.notify_one();
  }
  dispatcher_->offer(std::move(offer), present, actions_);
}

void DispatchDesk::no_longer_lacks(const core::AttemptKey& key) {
  if (lacking_.empty()) return;
  const auto found = lacking_.find(key.run);
  if (found != lacking_.end() && found->second.key == key) lacking_.erase(found);
}

void DispatchDesk::say_unserved(core::TimeUs present) {
  const auto still = [&](core::TenantId tenant, std::string_view task) {
    return !dispatcher_->served(tenant, task) && dispatcher_->waits(tenant, task);
  };
  for (const Unserved::Line& line : unserved_.take(present, still)) {
    std::string tasks;
    for (const std::string& task : line.tasks) tasks += (tasks.empty() ? "" : ", ") + task;
    log_line(shared_, "runs of tenant `" + shared_.tenants.name(line.tenant) +
                          "` wait for a worker: nobody serves pool `" + line.pool + "` (" + tasks +
                          ")");
  }
}

unsigned DispatchDesk::shard_of(WorkerId worker) const {
  const auto found = shards_.find(core::number(worker));
  return found == shards_.end() ? ~0u : found->second;
}

void DispatchDesk::hand_out(const dispatch::HandOut& action, Outgoings& out) {
  const dispatch::Offer& offer = *action.offer;
  Lease lease;
  lease.partition = offer.key.partition;
  lease.run = offer.key.run;
  lease.step = offer.key.step;
  lease.attempt = offer.key.attempt;
  lease.seq = offer.opened;
  lease.args_digest = offer.args_digest;
  lease.nonce = action.nonce;
  lease.deployment = offer.deployment;
  lease.task = offer.task_index;
  lease.tenant = offer.tenant;
  handed_[offer.key] = lease;
  no_longer_lacks(offer.key);
  TaskFrame frame;
  frame.worker = action.worker;
  frame.lease = mint_lease(shared_.cluster.lease_key, lease);
  frame.task = offer.task;
  frame.args_json = offer.args_json;
  frame.attempt = offer.key.attempt;
  frame.lease_ms = action.lease_ms;
  frame.deadline_ms = action.deadline_ms;
  frame.key = offer.step_key;
  frame.tenant = shared_.tenants.name(offer.tenant);
  frame.client = offer.client;
  frame.run = offer.key.run;
  frame.step = offer.path;
  frame.correlation = offer.correlation;
  frame.traceparent = offer.traceparent;
  Counters::add(shared_.counters.tasks_handed_out);
  out.add(shard_of(action.worker), std::move(frame));
}

void DispatchDesk::perform(Outgoings& out, const std::vector<Lease>& named) {
  for (const auto& action : actions_) {
    if (const auto* hand = std::get_if<dispatch::HandOut>(&action)) {
      hand_out(*hand, out);
    } else if (const auto* grant = std::get_if<dispatch::RequestGrant>(&action)) {
      core::Granted body{grant->key.run, grant->key.step, grant->key.attempt, grant->opened};
      RecordInput input;
      input.partition = grant->key.partition;
      input.record = core::make_record({}, body);
      shared_.inbox(input.partition).post(std::move(input));
    } else if (const auto* cancel = std::get_if<dispatch::CancelTask>(&action)) {
      const auto held = handed_.find(cancel->key);
      if (held == handed_.end()) continue;
      const std::string lease = mint_lease(shared_.cluster.lease_key, held->second);
      out.add(shard_of(cancel->worker), CancelTask{cancel->worker, lease, cancel->why});
      handed_.erase(held);
    } else if (const auto* lapse = std::get_if<dispatch::Lapse>(&action)) {
      core::Lapsed body{lapse->key.run, lapse->key.step, lapse->key.attempt, lapse->opened,
                        lapse->reason};
      RecordInput input;
      input.partition = lapse->key.partition;
      input.record = core::make_record({}, body);
      shared_.inbox(input.partition).post(std::move(input));
      forget(lapse->key);
      Counters::add(shared_.counters.attempts_lapsed);
    } else if (const auto* refused = std::get_if<dispatch::StaleLease>(&action)) {
      for (const auto& lease : named) {
        if (name_of(lease).key == refused->key && lease.nonce == refused->nonce) {
          out.add(shard_of(refused->worker),
                  StaleLease{refused->worker, mint_lease(shared_.cluster.lease_key, lease)});
        }
      }
    }
  }
  actions_.clear();
  if (ticker_idle_ && dispatcher_->next_due()) ticker_wakes_.notify_one();
}

void DispatchDesk::commit(Work& work, Outgoings& out) {
  if (work.empty()) {  // the lock is not needed
    out.emit(shared_.outbox);
    return;
  }
  const std::lock_guard lock(mutex_);
  const core::TimeUs present = now();
  for (const auto& key : work.reported) {
    dispatcher_->reported(key, present, actions_);
    forget(key);
  }
  perform(out);
  // Each offer's frame is made before the next call: an action points into the dispatcher.
  for (auto& effect : work.effects) {
    if (auto* offer = std::get_if<core::Offer>(&effect)) {
      this->offer(std::move(*offer), present);
    } else if (const auto* revoke = std::get_if<core::Revoke>(&effect)) {
      dispatcher_->revoke(revoke->key, revoke->why, present, actions_);
    } else if (const auto* grant = std::get_if<core::GrantCommitted>(&effect)) {
      dispatcher_->granted(grant->key, present, actions_);
    }
    perform(out);
    if (const auto* revoke = std::get_if<core::Revoke>(&effect)) forget(revoke->key);
  }
  work.clear();
  out.emit(shared_.outbox);
}

void DispatchDesk::drop_partition(core::PartitionId partition) {
  const std::lock_guard lock(mutex_);
  dispatcher_->drop_partition(partition);
  shared_.streams.drop_partition(partition);
  for (auto at = handed_.begin(); at != handed_.end();) {
    at = at->first.partition == partition ? handed_.erase(at) : std::next(at);
  }
  std::erase_if(lacking_, [&](const auto& each) { return each.second.key.partition == partition; });
}

void DispatchDesk::worker_expected(WorkerId worker, std::uint32_t credit) {
  const std::lock_guard lock(mutex_);
  expected_[core::number(worker)] = credit;
}

void DispatchDesk::worker_joined(const WorkerHello& hello, std::optional<core::TenantId> tenant) {
  const std::lock_guard lock(mutex_);
  const auto expected = expected_.find(core::number(hello.worker));
  if (expected == expected_.end()) return;  // it left meanwhile
  const std::uint32_t credit = expected->second;
  expected_.erase(expected);
  shards_[core::number(hello.worker)] = hello.shard;
  const core::TimeUs present = now();
  // What it still works on comes first: new work counts against its credit.
  for (const auto& lease : hello.reclaim) {
    dispatcher_->reclaim(hello.worker, name_of(lease), present, actions_);
    if (!stale(actions_)) handed_[name_of(lease).key] = lease;
    perform(outgoings_, {lease});
  }
  dispatcher_->worker_joined(hello.worker, tenant, hello.tasks, credit, present, actions_);
  perform(outgoings_);
  outgoings_.emit(shared_.outbox);
}

void DispatchDesk::worker_credit(WorkerId worker, std::uint32_t credit) {
  const std::lock_guard lock(mutex_);
  if (const auto expected = expected_.find(core::number(worker)); expected != expected_.end()) {
    expected->second = credit;
    return;
  }
  dispatcher_->credit(worker, credit, now(), actions_);
  perform(outgoings_);
  outgoings_.emit(shared_.outbox);
}

bool DispatchDesk::worker_renew(WorkerId worker, const Lease& lease) {
  const std::lock_guard lock(mutex_);
  dispatcher_->renew(worker, name_of(lease), now(), actions_);
  const bool holds = !stale(actions_);
  // After a failover a renewal brings the lease back: a cancellation must be able to name it.
  if (holds) handed_[name_of(lease).key] = lease;
  perform(outgoings_);
  outgoings_.emit(shared_.outbox);
  return holds;
}

void DispatchDesk::worker_left(WorkerId worker, bool bye) {
  const std::lock_guard lock(mutex_);
  dispatcher_->worker_left(
      worker, bye ? dispatch::Dispatcher::Leave::bye : dispatch::Dispatcher::Leave::lost, now(),
      actions_);
  perform(outgoings_);
  outgoings_.emit(shared_.outbox);
  shards_.erase(core::number(worker));
  expected_.erase(core::number(worker));
}

dispatch::DispatcherStats DispatchDesk::stats() const {
  const std::lock_guard lock(mutex_);
  return dispatcher_->stats();
}

std::optional<DispatchDesk::Lacking> DispatchDesk::lacking(const core::RunId& run) const {
  const std::lock_guard lock(mutex_);
  const auto found = lacking_.find(run);
  if (found == lacking_.end()) return std::nullopt;
  if (dispatcher_->served(found->second.tenant, found->second.task)) return std::nullopt;
  return found->second;
}

bool DispatchDesk::served(core::TenantId tenant, std::string_view task) const {
  const std::lock_guard lock(mutex_);
  return dispatcher_->served(tenant, task);
}

}  // namespace sluice::node
