#include "engine/node/apply_thread.hpp"

#include <poll.h>

#include <algorithm>

#include "engine/core/check.hpp"

namespace sluice::node {
namespace {

// A thread that has nothing to wait for looks at its housekeeping this often.
constexpr int kIdleMs = 200;

constexpr int kFoldConnectMs = 5'000;

constexpr const char* kUndefinedTable = "42P01";

}  // namespace

std::uint64_t client_hash(core::TenantId tenant, std::string_view client) {
  return core::siphash64({number(tenant), 0x6c697665}, client);
}

void ApplyThread::Pending::clear() {
  batch.clear();
  owners.clear();
  effects.clear();
  segments.clear();
  waiters.clear();
  reported.clear();
}

ApplyThread::ApplyThread(Shared& shared, unsigned index, DispatchDesk& desk, StoreThread& store,
                         std::function<void(core::PartitionId)> on_lost)
    : shared_(shared),
      index_(index),
      desk_(desk),
      store_(store),
      on_lost_(std::move(on_lost)),
      inbox_(*shared.inboxes[index]),
      programs_(shared.deployments),
      database_(shared.config.database),
      session_(shared.config.database, journal::append_application(shared.identity.boot)),
      owned_(shared.cluster.partitions),
      known_durable_(shared.cluster.partitions),
      random_(static_cast<std::uint64_t>(monotonic_us()) * 2654435761u + index + 1),
      out_(shared.config.shards) {}

ApplyThread::~ApplyThread() {
  join();
}

void ApplyThread::start() {
  shared_.connections.went();
  thread_ = std::thread([this] { loop(); });
}

void ApplyThread::join() {
  if (thread_.joinable()) thread_.join();
}

std::uint32_t ApplyThread::jittered(std::uint32_t ms) {
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return ms / 2 + static_cast<std::uint32_t>((random_ >> 33) % (ms / 2 + 1));
}

void ApplyThread::loop() {
  // While one connection is being made the other is, too; a database that is not there is tried
  // again.
  session_.connect();
  (void)database_.connect(kFoldConnectMs);
  while (!ended_) {
    now_us_ = monotonic_us();
    time_ = shared_.clock.at(now_us_);
    take_inbox();
    drive_session();
    if (!adopting_.empty() && now_us_ >= adopt_at_us_) adopt_next();
    fire_timers();
    fire_schedules();
    apply_waiting();
    fire_timers();  // what is due at once: the turn of a run that came just now
    send_batch();
    step_checkpoints();
    flush_acks();
    resend_messages();
    poll_changed_runs();
    flush_ready();
    drop_lost();
    if (halt_done_) step_halt();
    if (!ended_) sleep();
  }
}

int ApplyThread::sleep_ms() const {
  std::int64_t until = now_us_ + kIdleMs * 1000;
  if (session_.state() == journal::AppendSession::State::closed) {
    until = std::min(until, connect_at_us_);
  }
  if (!adopting_.empty()) until = std::min(until, adopt_at_us_);
  const bool room = !batch_full();
  for (const auto partition : mine_) {
    const Owned& owned = *owned_[number(partition)];
    if (owned.lost) continue;
    if (room) {
      if (const auto due = owned.partition.next_due()) {
        until = std::min(until, now_us_ + (*due - time_));
      }
      if (owned.scheduled) until = std::min(until, now_us_ + (owned.scheduled_at - time_));
    }
    if (owned.checkpoint && !owned.rows_done && owned.slices_out == 0) return 0;
  }
  if (room && (!internal_.empty() || !clients_.empty())) return 0;
  return static_cast<int>(std::clamp<std::int64_t>((until - now_us_ + 999) / 1000, 0, kIdleMs));
}

void ApplyThread::sleep() {
  const int timeout = sleep_ms();
  // With nothing to wait for the connection is looked at in passing: a poll costs a system call.
  pollfd fds[2] = {{inbox_.fd(), POLLIN, 0}, {session_.fd(), session_.events(), 0}};
  const int count = session_.fd() >= 0 ? 2 : 1;
  if (timeout > 0 && inbox_.try_sleep()) {
    poll(fds, static_cast<nfds_t>(count), timeout);
    inbox_.awake();
  } else if (count == 2) {
    poll(fds + 1, 1, 0);
  }
}

// ---- the connection --------------------------------------------------------------------------

void ApplyThread::drive_session() {
  using State = journal::AppendSession::State;
  if (session_.state() == State::closed) {
    if (now_us_ < connect_at_us_) return;
    session_.connect();
  }
  for (;;) {
    const State before = session_.state();
    auto event = session_.step();
    if (std::holds_alternative<std::monostate>(event)) return;
    on_event(event);
    if (session_.state() == State::closed || before == State::idle) return;
  }
}

void ApplyThread::on_event(journal::AppendSession::Event& event) {
  using Session = journal::AppendSession;
  if (const auto* connected = std::get_if<Session::Connected>(&event)) {
    on_connected(*connected);
  } else if (const auto* appended = std::get_if<Session::Appended>(&event)) {
    on_appended(*appended);
  } else if (const auto* broken = std::get_if<Session::Broken>(&event)) {
    on_broken(broken->error);
  } else if (const auto* resolved = std::get_if<Session::Resolved>(&event)) {
    on_resolved(*resolved);
  } else if (const auto* refused = std::get_if<Session::Refused>(&event)) {
    // Nothing of it is in, unless an earlier copy is: look. A leaf that is missing is made by the
    // control thread.
    must_resolve_ = true;
    refused_ = true;
    shared_.set_trouble("PostgreSQL refuses a batch: " + refused->error.message);
    log_line(shared_, "PostgreSQL refuses a batch (" + refused->error.sqlstate +
                          "): " + refused->error.message);
    if (refused->error.sqlstate == kUndefinedTable) session_.close();  // its statements name it
    retry_soon();
  }
}

void ApplyThread::retry_soon() {
  backoff_ms_ = std::clamp(backoff_ms_ * 2, kReconnectMsMin, kReconnectMsMax);
  connect_at_us_ = now_us_ + std::int64_t{jittered(backoff_ms_)} * 1000;
}

void ApplyThread::on_connected(const journal::AppendSession::Connected& connected) {
  if (!online_) {
    online_ = true;
    inbox_.gone_since_us.store(0, std::memory_order_relaxed);
    shared_.connections.came();
  }
  if (was_connected_) {
    Counters::add(shared_.counters.reconnects);
    log_line(shared_, "the connection for appending is back");
  }
  was_connected_ = true;
  backoff_ms_ = 0;
  shared_.set_trouble("");
  if (!connected.facts.fsync) {
    shared_.warn(
        "PostgreSQL runs with fsync=off: a crash of its machine loses acknowledged events");
  }
  if (!connected.facts.full_page_writes) {
    shared_.warn("PostgreSQL runs with full_page_writes=off: a crash of its machine may damage it");
  }
  const bool other_server = connected.facts.system_id != shared_.cluster.system_id ||
                            connected.facts.timeline != shared_.cluster.timeline;
  must_resolve_ = must_resolve_ || in_flight_ || (other_server && !mine_.empty());
}

void ApplyThread::on_broken(const journal::DatabaseError& error) {
  if (online_) {
    online_ = false;
    inbox_.gone_since_us.store(now_us_, std::memory_order_relaxed);
    shared_.connections.went();
    log_line(shared_, "the connection for appending is gone: " + error.message);
  }
  shared_.set_trouble(error.message);
  if (in_flight_) must_resolve_ = true;
  retry_soon();
}

void ApplyThread::on_appended(const journal::AppendSession::Appended& appended) {
  const std::int64_t received = monotonic_us();
  if (appended.database_time != 0) {
    shared_.clock.observe(flying_->sent_at_us, received, appended.database_time);
  }
  Counters::add(shared_.counters.batches);
  Counters::add(shared_.counters.records, flying_->batch.records());
  Counters::add(shared_.counters.deliveries, flying_->batch.deliveries());
  Counters::add(shared_.counters.append_bytes, flying_->batch.bytes());
  Counters::add(shared_.counters.commit_us_total, static_cast<std::uint64_t>(std::max<std::int64_t>(
                                                      0, received - flying_->sent_at_us)));
  if (refused_) shared_.set_trouble("");
  refused_ = false;
  backoff_ms_ = 0;
  const auto& parts = flying_->batch.parts();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Owned& owned = *flying_->owners[i];
    const bool passed = std::find(appended.passed.begin(), appended.passed.end(),
                                  parts[i].partition) != appended.passed.end();
    if (passed) {
      owned.durable = parts[i].after.seq;
    } else {
      lose(owned, "its ownership was lost: another node took it, or its journal's tail is gone");
    }
  }
  in_flight_ = false;
  release(*flying_);
}

void ApplyThread::on_resolved(const journal::AppendSession::Resolved& resolved) {
  must_resolve_ = false;
  on_tail_lost(resolved);
  if (!in_flight_) return;
  const auto& parts = flying_->batch.parts();
  const auto verdicts = journal::judge(parts, resolved.standings);
  bool again = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Owned& owned = *flying_->owners[i];
    if (verdicts[i] == journal::Verdict::committed) owned.durable = parts[i].after.seq;
    if (verdicts[i] == journal::Verdict::lost) {
      lose(owned, "its ownership was lost while its connection was gone");
    }
    again = again || verdicts[i] == journal::Verdict::absent;
  }
  if (again) {  // the same bytes; parts that are lost do not pass
    Counters::add(shared_.counters.append_retries);
    flying_->sent_at_us = monotonic_us();
    session_.append(flying_->batch);
    return;
  }
  in_flight_ = false;
  release(*flying_);
}

// Every partition's journal must still hold what was durable, also where nothing is in flight: the
// server may be another one now.
void ApplyThread::on_tail_lost(const journal::AppendSession::Resolved& resolved) {
  for (const auto& standing : resolved.standings) {
    Owned* owned = owned_[number(standing.partition)].get();
    if (owned == nullptr || owned->lost) continue;
    if (standing.epoch == owned->epoch && standing.tip.seq < owned->durable) {
      lose(*owned, "its journal's tail is gone: the database lost acknowledged records");
    } else if (standing.epoch != owned->epoch) {
      lose(*owned, "another node took it");
    }
  }
}

bool ApplyThread::may_append() const {
  return now_us_ < shared_.owned_until_us.load(std::memory_order_relaxed) &&
         shared_.clock.trusted();
}

void ApplyThread::seal_batch() {
  Pending& pending = *building_;
  for (std::size_t i = 0; i < pending.owners.size(); ++i) {
    Owned& owned = *pending.owners[i];
    journal::Digest digest;
    digest.effects = owned.partition.take_digest();
    // The state's hash costs a snapshot per run touched, so it is not in every batch.
    digest.has_state = now_us_ - owned.state_hash_at_us >= kStateHashMs * 1000;
    if (digest.has_state) {
      digest.state = owned.partition.state_hash();
      owned.state_hash_at_us = now_us_;
    }
    owned.tip = pending.batch.close(i, digest);
  }
  pending.batch.seal();
}

void ApplyThread::send_batch() {
  if (session_.state() != journal::AppendSession::State::idle || now_us_ < connect_at_us_) return;
  if (must_resolve_) {
    std::vector<core::PartitionId> partitions = mine_;
    for (const auto& part : flying_->batch.parts()) {
      if (in_flight_ && std::find(mine_.begin(), mine_.end(), part.partition) == mine_.end()) {
        partitions.push_back(part.partition);
      }
    }
    session_.resolve(partitions);
    return;
  }
  if (in_flight_ || building_->batch.empty() || !may_append()) return;
  seal_batch();
  std::swap(building_, flying_);
  in_flight_ = true;
  flying_->sent_at_us = monotonic_us();
  session_.append(flying_->batch);
}

}  // namespace sluice::node
