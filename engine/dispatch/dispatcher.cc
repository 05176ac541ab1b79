#include "engine/dispatch/dispatcher.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "engine/dispatch/due_heap.hpp"
#include "engine/dispatch/queues.hpp"

namespace sluice::dispatch {

namespace {

// AttemptKeyHash keeps what tells steps of one run apart in its high bits; buckets are chosen by
// low ones.
struct MixedHash {
  std::size_t operator()(const AttemptKey& key) const {
    std::uint64_t h = core::AttemptKeyHash{}(key);
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    return h ^ h >> 32;
  }
};

TimeUs after_ms(TimeUs now, std::uint64_t ms) {
  return now + static_cast<TimeUs>(ms) * core::kUsPerMs;
}

// Why an attempt whose time has come is given up.
LapseReason lapse_reason(const Attempt& attempt) {
  if (attempt.phase == Phase::queued) return LapseReason::queued;
  if (attempt.phase == Phase::reclaiming) return LapseReason::lost;
  const bool timed_out = attempt.timeout_at != 0 && attempt.timeout_at <= attempt.lease_end;
  return timed_out ? LapseReason::timed_out : LapseReason::lost;
}

}  // namespace

class Dispatcher::Impl {
 public:
  explicit Impl(const Config& config) : config_(config), next_nonce_(config.first_nonce) {}

  void offer(Offer&& offer, TimeUs now, Actions& actions);
  void revoke(const AttemptKey& key, std::string_view why, TimeUs now, Actions& actions);
  void granted(const AttemptKey& key, TimeUs now, Actions& actions);
  void reported(const AttemptKey& key, TimeUs now, Actions& actions);
  void drop_partition(core::PartitionId partition);

  void worker_joined(WorkerId id, std::optional<TenantId> tenant,
                     const std::vector<std::string>& tasks, std::uint32_t credit, TimeUs now,
                     Actions& actions);
  void credit(WorkerId id, std::uint32_t n, TimeUs now, Actions& actions);
  void renew(WorkerId id, const LeaseName& lease, bool take_over, TimeUs now, Actions& actions);
  void worker_left(WorkerId id);

  void tick(TimeUs now, Actions& actions);
  std::optional<TimeUs> next_due() const;
  DispatcherStats stats() const;
  bool served(TenantId tenant, std::string_view task) const;
  bool waits(TenantId tenant, std::string_view task) const;

 private:
  Attempt* find(const AttemptKey& key);
  Worker* find(WorkerId id);
  // Null: it has left since.
  Worker* reserved_by(const Attempt& attempt);
  void forget(Attempt& attempt);
  // The reservation of an attempt that will not be handed out is free for another.
  void release_reservation(const Attempt& attempt);
  void set_phase(Attempt& attempt, Phase phase);
  void begin_wait(Attempt& attempt);

  // Workers that have credit, and attempts that wait, find each other.
  void serve(Queue& queue, TimeUs now, Actions& actions);
  void serve(Worker& worker, TimeUs now, Actions& actions);
  void serve_released(TimeUs now, Actions& actions);
  Worker* idle_worker(Queue& queue);
  Attempt* longest_waiting(Worker& worker);
  // Gives it to the worker, or parks it if its step's time is over.
  void assign(Worker& worker, Attempt& attempt, TimeUs now, Actions& actions);
  void hand_out(Worker& worker, Attempt& attempt, TimeUs now, Actions& actions);

  std::uint32_t lease_ms(const Attempt& attempt) const {
    return attempt.offer.heartbeat_ms != 0 ? attempt.offer.heartbeat_ms : config_.lease_ms;
  }
  void begin_lease(Attempt& attempt, WorkerId worker, std::uint64_t nonce, TimeUs timeout_from,
                   TimeUs now);
  void renew_lease(Attempt& attempt, TimeUs now);
  // The hand-out was an earlier dispatcher's, and nothing speaks against its going on.
  bool may_adopt(const Attempt& attempt, std::uint64_t nonce) const;

  Config config_;
  std::uint64_t next_nonce_;
  std::uint64_t next_order_ = 1;
  std::uint64_t joins_ = 0;
  std::unordered_map<AttemptKey, Attempt, MixedHash> attempts_;
  std::unordered_map<WorkerId, Worker> workers_;
  Queues queues_;
  DueHeap dues_;
  std::array<List, core::kPartitionsMax> partitions_;
  std::vector<WorkerId> released_;  // have credit that fell free while nobody could act on it
  std::array<std::uint64_t, 5> phases_{};
};

// ---- attempts

void Dispatcher::Impl::offer(Offer&& offer, TimeUs now, Actions& actions) {
  const auto [place, fresh] = attempts_.try_emplace(offer.key);
  if (!fresh) return;
  Attempt& attempt = place->second;
  attempt.offer = std::move(offer);
  attempt.order = next_order_++;
  attempt.offered_at = now;
  attempt.queue = &queues_.enter(attempt.offer.tenant, attempt.offer.task);
  partitions_[core::number(attempt.offer.key.partition)].push_back(
      static_cast<PartitionLink&>(attempt));
  if (attempt.offer.granted && !attempt.offer.safe) {
    attempt.phase = Phase::reclaiming;
    dues_.set(attempt, after_ms(now, std::uint64_t{lease_ms(attempt)} + config_.reclaim_grace_ms));
  }
  ++phases_[static_cast<std::size_t>(attempt.phase)];
  if (attempt.phase != Phase::queued) return;
  attempt.queue_end = attempt.offer.queue_deadline;
  if (attempt.queue_end != 0 && attempt.offer.reissued) {
    attempt.queue_end = std::max(attempt.queue_end, after_ms(now, config_.requeue_grace_ms));
  }
  queues_.push(*attempt.queue, attempt);
  begin_wait(attempt);
  serve(*attempt.queue, now, actions);
}

// It stands in its queue: its time there is counted.
void Dispatcher::Impl::begin_wait(Attempt& attempt) {
  if (attempt.queue_end != 0) dues_.set(attempt, attempt.queue_end);
}

void Dispatcher::Impl::revoke(const AttemptKey& key, std::string_view why, TimeUs now,
                              Actions& actions) {
  Attempt* attempt = find(key);
  if (!attempt) return;
  if (attempt->phase == Phase::leased) {
    actions.emplace_back(
        CancelTask{attempt->worker, key, attempt->offer.opened, attempt->nonce, std::string(why)});
  }
  forget(*attempt);
  serve_released(now, actions);
}

void Dispatcher::Impl::granted(const AttemptKey& key, TimeUs now, Actions& actions) {
  Attempt* attempt = find(key);
  if (!attempt) return;
  attempt->offer.granted = true;
  if (attempt->phase != Phase::granting) return;
  Worker* worker = reserved_by(*attempt);
  if (worker) --worker->reserved;
  if (worker && worker->credit > 0) {
    hand_out(*worker, *attempt, now, actions);
    return;
  }
  // The worker left or paused meanwhile. Nobody was sent the task, so another may have it.
  set_phase(*attempt, Phase::queued);
  queues_.give_back(*attempt);
  begin_wait(*attempt);
  serve(*attempt->queue, now, actions);
}

void Dispatcher::Impl::reported(const AttemptKey& key, TimeUs now, Actions& actions) {
  if (Attempt* attempt = find(key)) forget(*attempt);
  serve_released(now, actions);
}

void Dispatcher::Impl::drop_partition(core::PartitionId partition) {
  List& list = partitions_[core::number(partition)];
  while (Link* link = list.first()) {
    forget(static_cast<Attempt&>(static_cast<PartitionLink&>(*link)));
  }
}

Attempt* Dispatcher::Impl::find(const AttemptKey& key) {
  const auto found = attempts_.find(key);
  return found == attempts_.end() ? nullptr : &found->second;
}

void Dispatcher::Impl::forget(Attempt& attempt) {
  if (attempt.phase == Phase::queued) queues_.take_out(attempt);
  if (attempt.phase == Phase::granting) release_reservation(attempt);
  --phases_[static_cast<std::size_t>(attempt.phase)];
  dues_.remove(attempt);
  List::remove(static_cast<PartitionLink&>(attempt));
  queues_.leave(*attempt.queue);
  attempts_.erase(attempts_.find(attempt.offer.key));
}

void Dispatcher::Impl::release_reservation(const Attempt& attempt) {
  Worker* worker = reserved_by(attempt);
  if (!worker) return;
  --worker->reserved;
  released_.push_back(worker->id);
}

void Dispatcher::Impl::set_phase(Attempt& attempt, Phase phase) {
  --phases_[static_cast<std::size_t>(attempt.phase)];
  attempt.phase = phase;
  ++phases_[static_cast<std::size_t>(phase)];
}

// ---- matching

void Dispatcher::Impl::serve(Queue& queue, TimeUs now, Actions& actions) {
  while (!queue.empty()) {
    Worker* worker = idle_worker(queue);
    if (!worker) return;
    Attempt& attempt = queue.head();
    if (worker->all_tenants) {
      queues_.take_in_turn(attempt);
    } else {
      queues_.take_out(attempt);
    }
    assign(*worker, attempt, now, actions);
  }
}

// One with credit, who goes to the end of the list, so that workers take turns. Those whose credit
// was used up are dropped from the list when met: they enter again with their next credit.
Worker* Dispatcher::Impl::idle_worker(Queue& queue) {
  for (List* list : {&queue.idle, &queue.task->idle}) {
    while (Link* link = list->first()) {
      List::remove(*link);
      Worker& worker = *static_cast<Membership&>(*link).worker;
      if (worker.available() == 0) continue;
      list->push_back(*link);
      return &worker;
    }
  }
  return nullptr;
}

void Dispatcher::Impl::serve(Worker& worker, TimeUs now, Actions& actions) {
  while (worker.available() > 0) {
    Attempt* attempt = longest_waiting(worker);
    if (!attempt) break;
    if (worker.all_tenants) {
      queues_.take_in_turn(*attempt);
    } else {
      queues_.take_out(*attempt);
    }
    assign(worker, *attempt, now, actions);
  }
  if (worker.available() == 0) return;
  for (Membership& membership : worker.memberships) {
    if (membership.linked()) continue;
    (membership.queue ? membership.queue->idle : membership.task->idle).push_back(membership);
  }
}

Attempt* Dispatcher::Impl::longest_waiting(Worker& worker) {
  Attempt* best = nullptr;
  for (Membership& membership : worker.memberships) {
    Queue* queue = membership.queue;
    if (!queue) queue = static_cast<Queue*>(membership.task->ready.first());
    if (!queue || queue->empty()) continue;
    Attempt& head = queue->head();
    if (!best || head.order < best->order) best = &head;
  }
  return best;
}

void Dispatcher::Impl::serve_released(TimeUs now, Actions& actions) {
  while (!released_.empty()) {
    const WorkerId id = released_.back();
    released_.pop_back();
    if (Worker* worker = find(id)) serve(*worker, now, actions);
  }
}

void Dispatcher::Impl::assign(Worker& worker, Attempt& attempt, TimeUs now, Actions& actions) {
  dues_.remove(attempt);  // it no longer waits
  if (attempt.offer.step_deadline != 0 && now >= attempt.offer.step_deadline) {
    set_phase(attempt, Phase::overdue);
  } else if (attempt.offer.safe || attempt.offer.granted) {
    hand_out(worker, attempt, now, actions);
  } else {
    set_phase(attempt, Phase::granting);
    attempt.worker = worker.id;
    attempt.reserved_by = worker.joined;
    ++worker.reserved;
    actions.emplace_back(RequestGrant{attempt.offer.key, attempt.offer.opened});
  }
}

void Dispatcher::Impl::hand_out(Worker& worker, Attempt& attempt, TimeUs now, Actions& actions) {
  --worker.credit;
  begin_lease(attempt, worker.id, next_nonce_++, now, now);
  std::uint64_t deadline_ms = attempt.offer.timeout_ms;
  if (attempt.offer.step_deadline != 0) {
    // Rounded up: 0 would mean that there is no deadline.
    const TimeUs left = std::max<TimeUs>(attempt.offer.step_deadline - now, 1);
    const auto left_ms = static_cast<std::uint64_t>((left + core::kUsPerMs - 1) / core::kUsPerMs);
    if (deadline_ms == 0 || left_ms < deadline_ms) deadline_ms = left_ms;
  }
  actions.emplace_back(
      HandOut{worker.id, &attempt.offer, attempt.nonce, lease_ms(attempt), deadline_ms});
}

// ---- leases

void Dispatcher::Impl::begin_lease(Attempt& attempt, WorkerId worker, std::uint64_t nonce,
                                   TimeUs timeout_from, TimeUs now) {
  set_phase(attempt, Phase::leased);
  attempt.worker = worker;
  attempt.nonce = nonce;
  if (attempt.offer.timeout_ms != 0) {
    attempt.timeout_at = after_ms(timeout_from, attempt.offer.timeout_ms);
  }
  renew_lease(attempt, now);
}

void Dispatcher::Impl::renew_lease(Attempt& attempt, TimeUs now) {
  attempt.lease_end = after_ms(now, lease_ms(attempt));
  dues_.set(attempt, attempt.timeout_at != 0 ? std::min(attempt.timeout_at, attempt.lease_end)
                                             : attempt.lease_end);
}

bool Dispatcher::Impl::may_adopt(const Attempt& attempt, std::uint64_t nonce) const {
  // Tokens are authenticated, so the nonce was given by a dispatcher of this cluster.
  if (nonce >= next_nonce_) return false;
  switch (attempt.phase) {
    case Phase::reclaiming:
      return true;
    case Phase::queued:
    case Phase::overdue:
      return attempt.offer.safe && attempt.offer.reissued;
    case Phase::granting:
    case Phase::leased:
      return false;
  }
  return false;
}

void Dispatcher::Impl::renew(WorkerId id, const LeaseName& lease, bool take_over, TimeUs now,
                             Actions& actions) {
  Attempt* attempt = find(lease.key);
  if (attempt && attempt->offer.opened == lease.opened &&
      attempt->offer.args_digest == lease.args_digest) {
    if (attempt->phase == Phase::leased && attempt->nonce == lease.nonce) {
      if (take_over || !find(attempt->worker)) attempt->worker = id;
      renew_lease(*attempt, now);
      return;
    }
    if (may_adopt(*attempt, lease.nonce)) {
      if (attempt->phase == Phase::queued) queues_.take_out(*attempt);
      // When it was handed out is not known here; the attempt's timeout counts from the failover.
      begin_lease(*attempt, id, lease.nonce, attempt->offered_at, now);
      return;
    }
  }
  actions.emplace_back(StaleLease{id, lease.key, lease.nonce});
}

void Dispatcher::Impl::tick(TimeUs now, Actions& actions) {
  while (!dues_.empty() && dues_.first().at <= now) {
    auto& attempt = static_cast<Attempt&>(dues_.first());
    actions.emplace_back(Lapse{attempt.offer.key, attempt.offer.opened, lapse_reason(attempt)});
    forget(attempt);
  }
  serve_released(now, actions);
}

std::optional<TimeUs> Dispatcher::Impl::next_due() const {
  if (!released_.empty()) return 0;
  if (dues_.empty()) return std::nullopt;
  return dues_.first().at;
}

// ---- workers

void Dispatcher::Impl::worker_joined(WorkerId id, std::optional<TenantId> tenant,
                                     const std::vector<std::string>& tasks, std::uint32_t credit,
                                     TimeUs now, Actions& actions) {
  worker_left(id);
  Worker& worker = workers_[id];
  worker.id = id;
  worker.joined = ++joins_;
  worker.all_tenants = !tenant;
  worker.credit = std::min(credit, config_.credit_max);
  std::vector<std::string> names(
      tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(
                                         std::min(tasks.size(), config_.tasks_per_worker)));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    Membership& membership = worker.memberships.emplace_back();
    membership.worker = &worker;
    if (tenant) {
      membership.queue = &queues_.enter(*tenant, name);
      ++membership.queue->workers;
    } else {
      membership.task = &queues_.enter(name);
      ++membership.task->workers;
    }
  }
  serve(worker, now, actions);
}

void Dispatcher::Impl::credit(WorkerId id, std::uint32_t n, TimeUs now, Actions& actions) {
  Worker* worker = find(id);
  if (!worker) return;
  worker->credit = std::min(n, config_.credit_max);
  serve(*worker, now, actions);
}

void Dispatcher::Impl::worker_left(WorkerId id) {
  Worker* worker = find(id);
  if (!worker) return;
  for (Membership& membership : worker->memberships) {
    List::remove(membership);
    if (membership.queue) {
      --membership.queue->workers;
      queues_.leave(*membership.queue);
    } else {
      --membership.task->workers;
      queues_.leave(*membership.task);
    }
  }
  workers_.erase(id);
}

Worker* Dispatcher::Impl::find(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

Worker* Dispatcher::Impl::reserved_by(const Attempt& attempt) {
  Worker* worker = find(attempt.worker);
  return worker && worker->joined == attempt.reserved_by ? worker : nullptr;
}

DispatcherStats Dispatcher::Impl::stats() const {
  const auto count = [this](Phase phase) { return phases_[static_cast<std::size_t>(phase)]; };
  DispatcherStats stats;
  stats.workers = workers_.size();
  stats.queued = count(Phase::queued) + count(Phase::overdue);
  stats.handed_out = count(Phase::leased);
  stats.waiting_grant = count(Phase::granting);
  stats.waiting_reclaim = count(Phase::reclaiming);
  return stats;
}

bool Dispatcher::Impl::served(TenantId tenant, std::string_view task) const {
  const Queue* queue = queues_.find(tenant, task);
  if (queue && queue->workers > 0) return true;
  const Task* all = queue ? queue->task : queues_.find(task);
  return all && all->workers > 0;
}

bool Dispatcher::Impl::waits(TenantId tenant, std::string_view task) const {
  const Queue* queue = queues_.find(tenant, task);
  return queue && !queue->empty();
}

// ---- the header's class

Dispatcher::Dispatcher(const Config& config) : impl_(std::make_unique<Impl>(config)) {}
Dispatcher::~Dispatcher() = default;

void Dispatcher::offer(Offer offer, TimeUs now, Actions& actions) {
  impl_->offer(std::move(offer), now, actions);
}
void Dispatcher::revoke(const AttemptKey& key, std::string_view why, TimeUs now, Actions& actions) {
  impl_->revoke(key, why, now, actions);
}
void Dispatcher::granted(const AttemptKey& key, TimeUs now, Actions& actions) {
  impl_->granted(key, now, actions);
}
void Dispatcher::reported(const AttemptKey& key, TimeUs now, Actions& actions) {
  impl_->reported(key, now, actions);
}
void Dispatcher::drop_partition(core::PartitionId partition) {
  impl_->drop_partition(partition);
}
void Dispatcher::worker_joined(WorkerId worker, std::optional<TenantId> tenant,
                               const std::vector<std::string>& tasks, std::uint32_t credit,
                               TimeUs now, Actions& actions) {
  impl_->worker_joined(worker, tenant, tasks, credit, now, actions);
}
void Dispatcher::credit(WorkerId worker, std::uint32_t n, TimeUs now, Actions& actions) {
  impl_->credit(worker, n, now, actions);
}
void Dispatcher::renew(WorkerId worker, const LeaseName& lease, TimeUs now, Actions& actions) {
  impl_->renew(worker, lease, false, now, actions);
}
void Dispatcher::reclaim(WorkerId worker, const LeaseName& lease, TimeUs now, Actions& actions) {
  impl_->renew(worker, lease, true, now, actions);
}
void Dispatcher::worker_left(WorkerId worker, Leave, TimeUs, Actions&) {
  impl_->worker_left(worker);
}
void Dispatcher::tick(TimeUs now, Actions& actions) {
  impl_->tick(now, actions);
}
std::optional<TimeUs> Dispatcher::next_due() const {
  return impl_->next_due();
}
DispatcherStats Dispatcher::stats() const {
  return impl_->stats();
}
bool Dispatcher::served(TenantId tenant, std::string_view task) const {
  return impl_->served(tenant, task);
}
bool Dispatcher::waits(TenantId tenant, std::string_view task) const {
  return impl_->waits(tenant, task);
}

}  // namespace sluice::dispatch
