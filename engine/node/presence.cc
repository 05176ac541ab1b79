#include "engine/node/presence.hpp"

#include <algorithm>
#include <chrono>

#include "engine/node/shared.hpp"

namespace sluice::node {

// ---- the rule --------------------------------------------------------------------------------

void Presences::open(Now now) {
  opened_ = now;
  for (auto& [key, client] : clients_) {
    if (client.state != State::leaving || client.due_us != 0) continue;
    client.since = now.time;
    leave(key, client, now.monotonic_us + grace_us_);
  }
}

void Presences::leave(const Key& key, Client& client, std::int64_t due_us) {
  client.state = State::leaving;
  client.due_us = due_us;
  if (due_us != 0) due_.emplace(due_us, key);
}

void Presences::stay(const Key& key, Client& client) {
  if (client.state == State::leaving) due_.erase({client.due_us, key});
  client.state = State::here;
}

// It is sure whether the client is there.
void Presences::settle(Clients::iterator at, bool away, core::TimeUs since, Out& out) {
  for (Listener& each : at->second.runs) {
    if (each.told_away == away) continue;
    each.told_away = away;
    out.push_back({at->first.first, {each.run, away, since}});
  }
}

// Nobody asks for it, and there is nothing to remember.
void Presences::forget_idle(Clients::iterator at) {
  if (at->second.state == State::away && at->second.runs.empty()) clients_.erase(at);
}

void Presences::arrived(core::TenantId tenant, std::string_view client, Now now, Out& out) {
  const auto at = clients_.try_emplace({tenant, std::string(client)}).first;
  if (++at->second.sessions > 1) return;
  stay(at->first, at->second);
  settle(at, false, now.time, out);
}

void Presences::left(core::TenantId tenant, std::string_view client, Now now) {
  const auto at = clients_.find({tenant, std::string(client)});
  if (at == clients_.end() || at->second.sessions == 0 || --at->second.sessions > 0) return;
  at->second.since = now.time;
  leave(at->first, at->second, now.monotonic_us + grace_us_);
}

// A client that nobody here knows is away, unless it may just be on its way here: behind a start of
// the node, or of the partition on this node.
void Presences::wanted(const core::PresenceWanted& effect, Now now, Out& out) {
  const auto [at, fresh] = clients_.try_emplace({effect.tenant, effect.client});
  Client& client = at->second;
  if (fresh) {
    const std::int64_t opened = opened_ ? opened_->monotonic_us : 0;
    const std::int64_t due = (effect.reissued ? now.monotonic_us : opened) + grace_us_;
    client.since = !opened_ ? 0 : effect.reissued ? now.time : opened_->time;
    if (!opened_) {
      leave(at->first, client, 0);
    } else if (due > now.monotonic_us) {
      leave(at->first, client, due);
    }
  }
  const auto known = std::find_if(client.runs.begin(), client.runs.end(),
                                  [&](const Listener& each) { return each.run == effect.run; });
  if (known == client.runs.end()) {
    client.runs.push_back({effect.run, effect.told_away});
    ++listening_;
  } else {
    known->told_away = effect.told_away;
  }
  if (client.state == State::leaving) return;  // not sure yet
  const bool away = client.state == State::away;
  settle(at, away, away ? client.since : now.time, out);
}

void Presences::over(core::TenantId tenant, std::string_view client, const core::RunId& run) {
  if (listening_ == 0) return;
  const auto at = clients_.find({tenant, std::string(client)});
  if (at == clients_.end()) return;
  listening_ -=
      std::erase_if(at->second.runs, [&](const Listener& each) { return each.run == run; });
  forget_idle(at);
}

void Presences::drop_partition(core::PartitionId partition) {
  for (auto at = clients_.begin(); at != clients_.end();) {
    const auto next = std::next(at);
    listening_ -= std::erase_if(at->second.runs, [&](const Listener& each) {
      return core::partition_of(each.run) == partition;
    });
    forget_idle(at);
    at = next;
  }
}

std::optional<std::int64_t> Presences::next_due() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void Presences::tick(Now now, Out& out) {
  while (!due_.empty() && due_.begin()->first <= now.monotonic_us) {
    const auto at = clients_.find(due_.begin()->second);
    due_.erase(due_.begin());
    at->second.state = State::away;
    settle(at, true, at->second.since, out);
    forget_idle(at);
  }
}

// ---- on the node -----------------------------------------------------------------------------

PresenceDesk::PresenceDesk(Shared& shared)
    : shared_(shared), presences_(std::int64_t{shared.config.presence_grace_ms} * 1000) {}

PresenceDesk::~PresenceDesk() {
  stop();
}

void PresenceDesk::start() {
  thread_ = std::thread([this] { loop(); });
}

void PresenceDesk::open() {
  const std::lock_guard lock(mutex_);
  presences_.open(now());
  wakes_.notify_one();
}

void PresenceDesk::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakes_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Presences::Now PresenceDesk::now() const {
  const std::int64_t monotonic = monotonic_us();
  return {monotonic, shared_.clock.at(monotonic)};
}

void PresenceDesk::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (const auto due = presences_.next_due()) {
      const std::int64_t left = *due - monotonic_us();
      if (left > 0) {
        wakes_.wait_for(lock, std::chrono::microseconds(left));
        continue;
      }
    } else {
      wakes_.wait(lock);
      continue;
    }
    Presences::Out out;
    presences_.tick(now(), out);
    post(out);
  }
}

void PresenceDesk::post(Presences::Out& out) {
  if (stopping_ || shared_.stopping) return;
  for (const Presences::News& each : out) {
    RecordInput input;
    input.partition = core::partition_of(each.presence.run);
    input.record = core::make_record(each.tenant, each.presence);
    shared_.inbox(input.partition).post(std::move(input));
  }
}

// A group's log has readers, too, and is no client.
void PresenceDesk::arrived(core::TenantId tenant, std::string_view client) {
  if (core::group_of(client)) return;
  const std::lock_guard lock(mutex_);
  Presences::Out out;
  presences_.arrived(tenant, client, now(), out);
  post(out);
}

void PresenceDesk::left(core::TenantId tenant, std::string_view client) {
  if (core::group_of(client)) return;
  const std::lock_guard lock(mutex_);
  const bool idle = !presences_.next_due();
  presences_.left(tenant, client, now());
  if (idle) wakes_.notify_one();  // otherwise something is due before
}

void PresenceDesk::wanted(const core::PresenceWanted& effect) {
  const std::lock_guard lock(mutex_);
  Presences::Out out;
  const auto before = presences_.next_due();
  presences_.wanted(effect, now(), out);
  anybody_ = true;
  post(out);
  if (presences_.next_due() != before) wakes_.notify_one();
}

void PresenceDesk::over(const core::RunRow& row) {
  if (row.client.empty() || !anybody_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  presences_.over(row.tenant, row.client, row.run);
  anybody_ = presences_.listening() > 0;
}

void PresenceDesk::drop_partition(core::PartitionId partition) {
  const std::lock_guard lock(mutex_);
  presences_.drop_partition(partition);
}

}  // namespace sluice::node
