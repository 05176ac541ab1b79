#include "engine/node/control.hpp"

#include <algorithm>
#include <chrono>

#include "engine/journal/registry.hpp"

namespace sluice::node {
namespace {

constexpr std::int64_t kTurnUs = 1'000'000;
constexpr int kConnectMs = 5'000;
// Requests of tenants that have no number yet: they wait for the database one by one.
constexpr std::size_t kNewcomersMax = 1'000;

}  // namespace

Control::Control(Shared& shared, journal::Database database)
    : shared_(shared), database_(std::move(database)) {}

Control::~Control() {
  stop();
}

void Control::note_server(const journal::ServerFacts& facts) {
  if (facts.system_id == shared_.cluster.system_id && facts.timeline == shared_.cluster.timeline) {
    return;
  }
  if (shared_.cluster.system_id != 0) {
    log_line(shared_,
             "the database is another server, or was promoted: every partition's tail is"
             " compared before anything is written");
  }
  (void)journal::record_server(database_, facts);
}

tl::expected<void, journal::DatabaseError> Control::announce() {
  const std::int64_t sent = monotonic_us();
  auto registered = journal::register_node(database_, shared_.identity);
  if (!registered) return tl::unexpected(registered.error());
  shared_.clock.observe(sent, monotonic_us(), *registered);
  shared_.owned_until_us =
      sent + std::int64_t{shared_.config.ownership_ms - kOwnershipMarginMs} * 1000;
  return {};
}

tl::expected<std::vector<core::PartitionId>, journal::DatabaseError> Control::begin() {
  const journal::Day today = journal::day_of(shared_.clock.now());
  if (auto made = journal::ensure_leaves(database_, today, today + journal::kLeavesAhead); !made) {
    return tl::unexpected(made.error());
  }
  auto tenants = journal::read_tenants(database_);
  if (!tenants) return tl::unexpected(tenants.error());
  for (const auto& [id, name] : *tenants) shared_.tenants.add(id, name);
  auto heads = journal::read_deployments(database_, 0);
  if (!heads) return tl::unexpected(heads.error());
  for (const auto& head : *heads) shared_.deployments.list({head.number, head.hash, head.created});
  auto taken = journal::take_partitions(database_, shared_.identity, shared_.config.ownership_ms);
  if (!taken) return tl::unexpected(taken.error());
  adopt(*taken);
  // While the partitions are being folded.
  if (!heads->empty()) load_newest(heads->back().number);
  std::vector<core::PartitionId> partitions;
  for (const auto& owned : *taken) partitions.push_back(owned.partition);
  return partitions;
}

// Once more with the next turn, if the database has no answer.
void Control::load_newest(core::DeploymentNumber number) {
  auto newest = shared_.deployments.load(number);
  if (newest) {
    name_schedule_tenant(**newest);
    return shared_.deployments.make_current(std::move(*newest));
  }
  const std::string what =
      "deployment " + std::to_string(number) + " cannot be loaded: " + newest.error().message;
  log_line(shared_, what);
  if (!newest.error().database) return shared_.warn(what);
  next_turn([this, number] { load_newest(number); });
}

// Runs that the clock starts belong to that tenant: it is there from the first schedule on.
void Control::name_schedule_tenant(const Deployment& deployment) {
  const auto& flows = deployment.program->program().flows;
  const auto scheduled = [](const vm::FlowInfo& flow) { return flow.schedule.has_value(); };
  if (shared_.schedule_tenant != 0 || std::none_of(flows.begin(), flows.end(), scheduled)) return;
  name_schedule_tenant();
}

void Control::name_schedule_tenant() {
  intern(shared_.config.schedule_tenant, [this](std::optional<core::TenantId> tenant) {
    if (tenant) {
      shared_.schedule_tenant = number(*tenant);
    } else {
      next_turn([this] { name_schedule_tenant(); });
    }
  });
}

void Control::start() {
  thread_ = std::thread([this] { loop(); });
}

void Control::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakes_.notify_all();
  thread_.join();
  for (auto& job : jobs_) job();  // without a database each answers so
  if (!database_.connected()) return;
  auto owned = journal::owned_partitions(database_, shared_.identity);
  if (!owned) return;
  std::vector<core::PartitionId> partitions;
  for (const auto& one : *owned) partitions.push_back(one.partition);
  if (journal::release_partitions(database_, shared_.identity, partitions)) {
    (void)journal::unregister_node(database_, shared_.identity);
  }
}

void Control::post(Job job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  wakes_.notify_one();
}

void Control::next_turn(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  later_.push_back(std::move(job));
}

void Control::lost(core::PartitionId partition) {
  const std::lock_guard lock(mutex_);
  lost_.push_back(partition);
  wakes_.notify_one();
}

void Control::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::int64_t until = turn_at_us_ - monotonic_us();
    wakes_.wait_for(lock, std::chrono::microseconds(std::clamp<std::int64_t>(until, 0, kTurnUs)),
                    [this] { return stopping_ || !jobs_.empty() || !lost_.empty(); });
    if (stopping_) break;
    std::deque<Job> jobs;
    std::swap(jobs, jobs_);
    const bool retake_now = !lost_.empty() && backoff_ms_ == 0;
    lock.unlock();
    for (auto& job : jobs) job();
    if (retake_now && database_.connected()) retake();
    if (monotonic_us() >= turn_at_us_) turn();
    lock.lock();
    // What could not be retaken waits for the next turn.
    if (!lost_.empty() && backoff_ms_ > 0) wakes_.wait_for(lock, std::chrono::milliseconds(10));
  }
}

bool Control::connect() {
  if (database_.connected()) return true;
  auto facts = database_.connect(kConnectMs);
  if (!facts) {
    shared_.set_trouble(facts.error().message);
    backoff_ms_ = std::clamp(backoff_ms_ * 2, kReconnectMsMin, kReconnectMsMax);
    return false;
  }
  backoff_ms_ = 0;
  shared_.set_trouble("");
  note_server(*facts);
  return true;
}

void Control::turn() {
  if (!connect() || !renew()) {
    turn_at_us_ = monotonic_us() + std::int64_t{std::max(backoff_ms_, kReconnectMsMin)} * 1000;
    return;
  }
  turn_at_us_ = monotonic_us() + kTurnUs;
  backoff_ms_ = 0;
  retake();
  look_after_halted();
  take();
  look_for_deployments();
  raise_epoch();
  {
    const std::lock_guard lock(mutex_);
    jobs_.insert(jobs_.end(), later_.begin(), later_.end());
    later_.clear();
  }
}

bool Control::renew() {
  const std::int64_t sent = monotonic_us();
  auto renewal = journal::renew(database_, shared_.identity);
  if (!renewal) return false;
  if (!renewal->ours) {
    if (!shared_.fenced_off.exchange(true)) {
      log_line(shared_, "another process runs under this node's name: this one appends no more");
    }
    shared_.owned_until_us = 0;
    return false;
  }
  shared_.clock.observe(sent, monotonic_us(), renewal->database_time);
  shared_.owned_until_us =
      sent + std::int64_t{shared_.config.ownership_ms - kOwnershipMarginMs} * 1000;
  return true;
}

void Control::adopt(const std::vector<journal::Owned>& taken) {
  const std::size_t threads = shared_.inboxes.size();
  std::vector<Adopt> by_thread(threads);
  for (const auto& owned : taken) {
    by_thread[number(owned.partition) % threads].partitions.push_back(owned);
  }
  for (std::size_t i = 0; i < threads; ++i) {
    if (!by_thread[i].partitions.empty()) {
      shared_.inboxes[i]->post(Command(std::move(by_thread[i])));
    }
  }
}

void Control::take() {
  auto taken = journal::take_partitions(database_, shared_.identity, shared_.config.ownership_ms);
  if (!taken) {
    log_line(shared_, "partitions could not be taken: " + taken.error().message);
    return;
  }
  if (!taken->empty()) {
    log_line(shared_, "takes over " + std::to_string(taken->size()) + " partitions");
  }
  adopt(*taken);
}

// A partition that has halted is let go by its repair; whoever takes it then, it is not halted here
// any more.
void Control::look_after_halted() {
  const auto states = shared_.states.all();
  const auto halted = [](const PartitionState& s) {
    return s.phase == PartitionState::Phase::halted;
  };
  if (std::none_of(states.begin(), states.end(), halted)) return;
  auto owned = journal::owned_partitions(database_, shared_.identity);
  if (!owned) return;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto partition = static_cast<core::PartitionId>(i);
    const auto is = [&](const journal::Owned& one) { return one.partition == partition; };
    if (!halted(states[i]) || std::any_of(owned->begin(), owned->end(), is)) continue;
    log_line(shared_, "partition " + std::to_string(i) + " was let go by its repair");
    shared_.states.set(partition, {PartitionState::Phase::elsewhere, states[i].epoch, 0, 0,
                                   "it was let go by its repair"});
  }
}

void Control::retake() {
  std::vector<core::PartitionId> partitions;
  {
    const std::lock_guard lock(mutex_);
    std::swap(partitions, lost_);
  }
  if (partitions.empty()) return;
  auto again = journal::retake_partitions(database_, shared_.identity, partitions);
  if (again) return adopt(*again);
  const std::lock_guard lock(mutex_);
  lost_.insert(lost_.end(), partitions.begin(), partitions.end());
  if (backoff_ms_ == 0) backoff_ms_ = kReconnectMsMin;
}

void Control::raise_epoch() {
  if (!shared_.tail_lost.exchange(false)) return;
  auto raised = journal::raise_delivery_epoch(database_);
  if (!raised) {
    shared_.tail_lost = true;
    return;
  }
  shared_.delivery_epoch = *raised;
  shared_.warn("the database lost acknowledged records: clients are told to reload");
}

// Requests of one new tenant keep their order: its name is known to everybody only when none waits
// here any more.
void Control::intern(std::string tenant, std::function<void(std::optional<core::TenantId>)> done) {
  std::unique_lock lock(mutex_);
  if (auto known = shared_.tenants.find(tenant)) {
    lock.unlock();
    return done(known);
  }
  if (newcomers_waiting_ >= kNewcomersMax) {
    lock.unlock();
    return done(std::nullopt);
  }
  ++newcomers_waiting_;
  auto& waiting = newcomers_[tenant];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) return;
  jobs_.push_back([this, tenant = std::move(tenant)] { intern_now(tenant); });
  wakes_.notify_one();
}

void Control::intern_now(const std::string& tenant) {
  std::optional<core::TenantId> id;
  if (!shared_.stopping && connect()) {
    if (auto made = journal::intern_tenant(database_, tenant)) id = *made;
  }
  if (id) shared_.tenants.add_name(*id, tenant);
  for (;;) {
    std::vector<std::function<void(std::optional<core::TenantId>)>> waiting;
    {
      const std::lock_guard lock(mutex_);
      std::swap(waiting, newcomers_[tenant]);
      newcomers_waiting_ -= waiting.size();
      if (waiting.empty()) {
        newcomers_.erase(tenant);
        if (id) shared_.tenants.add(*id, tenant);
        return;
      }
    }
    for (auto& done : waiting) done(id);
  }
}

// ---- deployments -----------------------------------------------------------------------------

void Control::deploy(std::string artifact, bool force, Callback<Deployed> done) {
  post([this, artifact = std::move(artifact), force, done = std::move(done)] {
    deploy_now(artifact, force, done);
  });
}

std::string Control::lost_topics(const vm::Program& program) const {
  const auto current = shared_.deployments.current();
  std::string lost;
  if (current == nullptr) return lost;
  for (const auto& topic : current->program->program().topics) {
    if (vm::find_by_name(program.topics, topic.name)) continue;
    lost += (lost.empty() ? "`" : ", `") + topic.name + "`";
  }
  return lost;
}

void Control::deploy_now(const std::string& artifact, bool force, const Callback<Deployed>& done) {
  const auto refuse = [&](const char* code, std::string why) {
    done(tl::unexpected(Refusal{code, std::move(why), 0}));
  };
  auto program = vm::load_artifact(artifact);
  if (!program) return refuse("bad_artifact", program.error().message);
  if (const auto missing = vm::unexecuted_features((*program)->program()); !missing.empty()) {
    std::string names;
    for (const std::string& each : missing) names += (names.empty() ? "`" : ", `") + each + "`";
    return refuse("not_executed", "the engine does not execute " + names + " yet");
  }
  const std::string lost = lost_topics((*program)->program());
  if (!lost.empty() && !force) {
    return refuse("incompatible", "it has no topic " + lost +
                                      ", which the current deployment has: events may be on their"
                                      " way there");
  }
  if (shared_.stopping || !connect()) {
    return done(tl::unexpected(
        Refusal{"unavailable", "the database is not there at the moment", kUnavailableRetryMs}));
  }
  const vm::Sha256 sum = vm::artifact_hash(artifact);
  const std::string hash(reinterpret_cast<const char*>(sum.data()), sum.size());
  auto stored = journal::store_deployment(database_, hash, artifact);
  if (!stored) {
    return done(tl::unexpected(
        Refusal{"unavailable", "the artifact could not be stored: " + stored.error().message,
                kUnavailableRetryMs}));
  }
  const Deployments::Head head{stored->number, hash, stored->created};
  Deployed deployed{shared_.deployments.add(head, std::move(*program)), stored->known};
  name_schedule_tenant(*deployed.deployment);
  // It is the current one when every partition here has it on record: no event can then outrun it.
  spread(head, [this, deployed, done](bool) {
    shared_.deployments.make_current(deployed.deployment);
    done(deployed);
  });
}

void Control::spread(const Deployments::Head& head, std::function<void(bool)> done) {
  const unsigned partitions = shared_.cluster.partitions;
  auto left = std::make_shared<std::atomic<unsigned>>(partitions);
  for (unsigned i = 0; i < partitions; ++i) {
    RecordInput input;
    input.partition = static_cast<core::PartitionId>(i);
    input.record = core::make_record({}, core::DeploymentRecord{head.number, head.hash});
    input.then = [left, done](bool ok) {
      if (--*left == 0) done(ok);
    };
    shared_.inbox(input.partition).post(std::move(input));
  }
}

// Made by other nodes. One that the database does not give now is looked for again.
void Control::look_for_deployments() {
  auto heads = journal::read_deployments(database_, shared_.deployments.newest());
  if (!heads) return;
  for (const auto& row : *heads) {
    const Deployments::Head head{row.number, row.hash, row.created};
    auto loaded = shared_.deployments.load(head.number);
    if (!loaded) {
      log_line(shared_, "deployment " + std::to_string(head.number) +
                            " cannot be loaded: " + loaded.error().message);
      if (loaded.error().database) return;
      shared_.deployments.list(head);
      continue;
    }
    name_schedule_tenant(**loaded);
    spread(head,
           [this, deployment = *loaded](bool) { shared_.deployments.make_current(deployment); });
  }
}

}  // namespace sluice::node
