#include "tests/dispatch/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice::dispatch {

namespace {

void say(std::string& actions, const std::string& text) {
  if (!actions.empty()) actions += "; ";
  actions += text;
}

unsigned tenant_of(const Offer& offer) {
  return core::number(offer.tenant);
}

}  // namespace

Model::Attempt* Model::find(const AttemptKey& key) {
  for (Attempt& a : attempts_) {
    if (a.offer.key == key) return &a;
  }
  return nullptr;
}

Model::Worker* Model::find(unsigned worker) {
  for (Worker& w : workers_) {
    if (w.id == worker) return &w;
  }
  return nullptr;
}

std::uint32_t Model::available(const Worker& worker) const {
  const auto reserved = std::count_if(attempts_.begin(), attempts_.end(), [&](const Attempt& a) {
    return a.state == State::granting && a.worker == worker.id;
  });
  return worker.credit > reserved ? worker.credit - static_cast<std::uint32_t>(reserved) : 0;
}

Model::Attempt* Model::head(unsigned tenant, const std::string& task) {
  Attempt* first = nullptr;
  for (Attempt& a : attempts_) {
    if (a.state != State::queued || tenant_of(a.offer) != tenant || a.offer.task != task) continue;
    if (!first || a.order < first->order) first = &a;
  }
  return first;
}

// A tenant joins the turns of a task when its first attempt waits, and leaves with its last.
void Model::update_turns() {
  for (auto& [task, tenants] : turns_) {
    std::erase_if(tenants, [&, &name = task](unsigned t) { return !head(t, name); });
  }
  for (const Attempt& a : attempts_) {
    if (a.state != State::queued) continue;
    auto& tenants = turns_[a.offer.task];
    if (std::find(tenants.begin(), tenants.end(), tenant_of(a.offer)) == tenants.end()) {
      tenants.push_back(tenant_of(a.offer));
    }
  }
}

void Model::forget(const AttemptKey& key) {
  Attempt* a = find(key);
  if (a->state == State::granting && find(a->worker)) released_.push_back(a->worker);
  std::erase_if(attempts_, [&](const Attempt& each) { return each.offer.key == key; });
  update_turns();
}

void Model::offer(const Offer& offer, TimeUs now) {
  if (find(offer.key)) return;
  Attempt a;
  a.offer = offer;
  a.order = order_++;
  a.offered = now;
  if (offer.granted && !offer.safe) a.state = State::reclaiming;
  a.queue_end = offer.queue_deadline;
  if (offer.reissued && a.queue_end != 0) {
    a.queue_end = std::max(a.queue_end, now + config_.requeue_grace_ms * core::kUsPerMs);
  }
  attempts_.push_back(a);
  update_turns();
  serve_queue(tenant_of(offer), offer.task, now);
}

void Model::revoke(const AttemptKey& key, const std::string& why, TimeUs now) {
  Attempt* a = find(key);
  if (!a) return;
  if (a->state == State::leased) {
    say(actions_, fmt::format("cancel w{} a{} n{} {}", a->worker, key.step, a->nonce, why));
  }
  forget(key);
  serve_released(now);
}

void Model::granted(const AttemptKey& key, TimeUs now) {
  Attempt* a = find(key);
  if (!a) return;
  a->offer.granted = true;
  if (a->state != State::granting) return;
  Worker* w = find(a->worker);
  if (w && w->credit > 0) return hand_out(*w, *a, now);
  a->state = State::queued;
  update_turns();
  serve_queue(tenant_of(a->offer), a->offer.task, now);
}

void Model::reported(const AttemptKey& key, TimeUs now) {
  if (find(key)) forget(key);
  serve_released(now);
}

void Model::drop_partition(core::PartitionId partition) {
  std::vector<AttemptKey> keys;
  for (const Attempt& a : attempts_) {
    if (a.offer.key.partition == partition) keys.push_back(a.offer.key);
  }
  for (const AttemptKey& key : keys) forget(key);
}

void Model::joined(unsigned worker, std::optional<unsigned> tenant,
                   const std::vector<std::string>& tasks, std::uint32_t credit, TimeUs now) {
  left(worker);
  Worker w{worker, tenant, tasks, std::min(credit, config_.credit_max)};
  std::sort(w.tasks.begin(), w.tasks.end());
  w.tasks.erase(std::unique(w.tasks.begin(), w.tasks.end()), w.tasks.end());
  workers_.push_back(w);
  serve(worker, now);
}

void Model::credit(unsigned worker, std::uint32_t n, TimeUs now) {
  Worker* w = find(worker);
  if (!w) return;
  w->credit = std::min(n, config_.credit_max);
  serve(worker, now);
}

void Model::left(unsigned worker) {
  for (Attempt& a : attempts_) {
    if (a.state == State::granting && a.worker == worker) a.worker = 0;
  }
  std::erase_if(workers_, [&](const Worker& w) { return w.id == worker; });
  for (auto& [place, workers] : idle_) std::erase(workers, worker);
}

void Model::renew(unsigned worker, const LeaseName& lease_name, bool take_over, TimeUs now) {
  Attempt* a = find(lease_name.key);
  if (a && a->offer.opened == lease_name.opened &&
      a->offer.args_digest == lease_name.args_digest) {
    if (a->state == State::leased && a->nonce == lease_name.nonce) {
      if (take_over || !find(a->worker)) a->worker = worker;
      a->lease_end = now + lease_ms(*a) * core::kUsPerMs;
      return;
    }
    const bool waits = a->state == State::queued || a->state == State::overdue;
    const bool open_to_all = a->offer.safe && a->offer.reissued && waits;
    if (lease_name.nonce < nonce_ && (a->state == State::reclaiming || open_to_all)) {
      lease(*a, worker, lease_name.nonce, a->offered, now);
      update_turns();
      return;
    }
  }
  say(actions_, fmt::format("stale w{} a{} n{}", worker, lease_name.key.step, lease_name.nonce));
}

bool Model::serve_queue(unsigned tenant, const std::string& task, TimeUs now) {
  while (Attempt* a = head(tenant, task)) {
    Worker* chosen = nullptr;
    for (const Place& place : {Place{tenant, task}, Place{std::nullopt, task}}) {
      auto& workers = idle_[place];
      while (!workers.empty() && !chosen) {
        const unsigned id = workers.front();
        workers.erase(workers.begin());
        if (available(*find(id)) == 0) continue;
        workers.push_back(id);
        chosen = find(id);
      }
      if (chosen) break;
    }
    if (!chosen) return false;
    assign(*chosen, *a, now);
  }
  return true;
}

void Model::serve(unsigned worker, TimeUs now) {
  Worker& w = *find(worker);
  while (available(w) > 0) {
    Attempt* best = nullptr;
    for (const std::string& task : w.tasks) {
      Attempt* a = nullptr;
      if (w.tenant) {
        a = head(*w.tenant, task);
      } else if (!turns_[task].empty()) {
        a = head(turns_[task].front(), task);
      }
      if (a && (!best || a->order < best->order)) best = a;
    }
    if (!best) break;
    assign(w, *best, now);
  }
  if (available(w) == 0) return;
  for (const std::string& task : w.tasks) {
    auto& workers = idle_[Place{w.tenant, task}];
    if (std::find(workers.begin(), workers.end(), worker) == workers.end()) {
      workers.push_back(worker);
    }
  }
}

void Model::serve_released(TimeUs now) {
  while (!released_.empty()) {
    const unsigned worker = released_.back();
    released_.pop_back();
    if (find(worker)) serve(worker, now);
  }
}

void Model::assign(Worker& worker, Attempt& a, TimeUs now) {
  const unsigned tenant = tenant_of(a.offer);
  const std::string task = a.offer.task;
  if (a.offer.step_deadline != 0 && now >= a.offer.step_deadline) {
    a.state = State::overdue;
  } else if (a.offer.safe || a.offer.granted) {
    hand_out(worker, a, now);
  } else {
    a.state = State::granting;
    a.worker = worker.id;
    say(actions_, fmt::format("grant a{}", a.offer.key.step));
  }
  update_turns();
  auto& turns = turns_[task];
  const auto turn = std::find(turns.begin(), turns.end(), tenant);
  if (!worker.tenant && turn != turns.end()) std::rotate(turn, turn + 1, turns.end());
}

void Model::hand_out(Worker& worker, Attempt& a, TimeUs now) {
  --worker.credit;
  lease(a, worker.id, nonce_++, now, now);
  std::uint64_t deadline = a.offer.timeout_ms;
  if (a.offer.step_deadline != 0) {
    const TimeUs left = std::max<TimeUs>(a.offer.step_deadline - now, 1);
    const std::uint64_t ms = static_cast<std::uint64_t>(left + 999) / 1000;
    deadline = deadline == 0 ? ms : std::min(deadline, ms);
  }
  say(actions_, fmt::format("hand w{} a{} n{} lease {} deadline {}", worker.id, a.offer.key.step,
                            a.nonce, lease_ms(a), deadline));
}

void Model::lease(Attempt& a, unsigned worker, std::uint64_t nonce, TimeUs from, TimeUs now) {
  a.state = State::leased;
  a.worker = worker;
  a.nonce = nonce;
  if (a.offer.timeout_ms) a.timeout = from + a.offer.timeout_ms * core::kUsPerMs;
  a.lease_end = now + lease_ms(a) * core::kUsPerMs;
}

TimeUs Model::due(const Attempt& a) const {
  switch (a.state) {
    case State::queued:
      return a.queue_end;
    case State::granting:
    case State::overdue:
      return 0;
    case State::leased:
      return a.timeout != 0 ? std::min(a.timeout, a.lease_end) : a.lease_end;
    case State::reclaiming:
      return a.offered + (lease_ms(a) + config_.reclaim_grace_ms) * core::kUsPerMs;
  }
  return 0;
}

void Model::tick(TimeUs now) {
  std::vector<const Attempt*> over;
  for (const Attempt& a : attempts_) {
    if (due(a) != 0 && due(a) <= now) over.push_back(&a);
  }
  std::sort(over.begin(), over.end(), [this](const Attempt* a, const Attempt* b) {
    return std::pair(due(*a), a->order) < std::pair(due(*b), b->order);
  });
  std::vector<AttemptKey> keys;
  for (const Attempt* a : over) {
    const bool timed_out = a->state == State::leased && a->timeout != 0 && due(*a) == a->timeout;
    const char* why = a->state == State::queued ? "queued" : timed_out ? "timed_out" : "lost";
    say(actions_, fmt::format("lapse a{} {}", a->offer.key.step, why));
    keys.push_back(a->offer.key);
  }
  for (const AttemptKey& key : keys) forget(key);
  serve_released(now);
}

std::optional<TimeUs> Model::next_due() const {
  if (!released_.empty()) return 0;
  std::optional<TimeUs> first;
  for (const Attempt& a : attempts_) {
    if (due(a) != 0 && (!first || due(a) < *first)) first = due(a);
  }
  return first;
}

DispatcherStats Model::stats() const {
  DispatcherStats stats;
  stats.workers = workers_.size();
  for (const Attempt& a : attempts_) {
    stats.queued += a.state == State::queued || a.state == State::overdue;
    stats.handed_out += a.state == State::leased;
    stats.waiting_grant += a.state == State::granting;
    stats.waiting_reclaim += a.state == State::reclaiming;
  }
  return stats;
}

std::string Model::take_actions() {
  return std::exchange(actions_, {});
}

std::uint64_t Model::nonce_of(const AttemptKey& key) const {
  for (const Attempt& a : attempts_) {
    if (a.offer.key == key && a.state == State::leased) return a.nonce;
  }
  return 0;
}

}  // namespace sluice::dispatch
