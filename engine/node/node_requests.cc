// Requests on their way in: checked, given their partition, posted to its thread.
#include <sys/random.h>

#include <algorithm>

#include "engine/core/check.hpp"
#include "engine/core/limits.hpp"
#include "engine/node/node_impl.hpp"

namespace sluice::node {
namespace {

constexpr const char* kNoProgram = "its deployment cannot be loaded at the moment";

Refusal invalid(std::string why) {
  return {"invalid", std::move(why), 0};
}

Refusal no_such_run() {
  return {"unknown_run", "there is no such run", 0};
}

std::optional<Refusal> fault_of(const std::string& id, const std::string& client,
                                const std::string& correlation, const std::string& traceparent,
                                std::size_t payload) {
  if (id.empty() || id.size() > core::kIdBytesMax) return invalid("`id` must be 1 to 200 bytes");
  if (client.size() > core::kClientBytesMax) return invalid("the client's name is too long");
  if (correlation.size() > core::kCorrelationBytesMax) return invalid("`correlation` is too long");
  if (traceparent.size() > core::kTraceparentBytesMax) return invalid("`traceparent` is too long");
  if (payload > core::kPayloadBytesMax) return Refusal{"too_large", "the data is too large", 0};
  return std::nullopt;
}

bool nobody(const Behalf& client) {
  return client && client->empty();
}

std::string random_key() {
  unsigned char bytes[16];
  SLUICE_CHECK(getrandom(bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes));
  return "auto-" + hex_of({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

}  // namespace

Refusal unavailable(std::string why) {
  return {"unavailable", std::move(why), kUnavailableRetryMs};
}

void Node::Impl::with_tenant(const std::string& tenant,
                             std::function<void(std::optional<core::TenantId>)> go) {
  if (auto known = shared->tenants.find(tenant)) return go(known);
  control->intern(tenant, std::move(go));
}

// The fuller the queue, the longer they are told to wait.
std::optional<Refusal> Node::Impl::admits(core::PartitionId partition, std::size_t bytes) {
  if (shared->stopping) return unavailable("the node is stopping");
  const Inbox& inbox = shared->inbox(partition);
  const std::int64_t gone_since = inbox.gone_since_us.load(std::memory_order_relaxed);
  if (gone_since > 0 && monotonic_us() - gone_since > kDatabaseGoneMs * 1000) {
    Counters::add(shared->counters.rejected);
    return unavailable("the database is not there at the moment");
  }
  const std::size_t requests = inbox.waiting_requests.load(std::memory_order_relaxed);
  const std::size_t held = inbox.waiting_bytes.load(std::memory_order_relaxed);
  if (requests < shared->config.inbox_requests_max &&
      held + bytes <= shared->config.inbox_bytes_max) {
    return std::nullopt;
  }
  const bool gone = !shared->connections.all();
  const std::uint32_t wait = gone ? kBusyRetryMsMax / 2 : kBusyRetryMsMin * 4;
  Counters::add(shared->counters.rejected);
  if (gone) return Refusal{"unavailable", "the database is not there at the moment", wait};
  return Refusal{"busy", "too much is waiting to be journaled", wait};
}

void Node::Impl::post_client(core::PartitionId partition, core::Record&& record,
                             const Reply& reply) {
  RecordInput input;
  input.partition = partition;
  input.record = std::move(record);
  input.reply = reply;
  Inbox& inbox = shared->inbox(partition);
  input.from_client = true;
  input.received_us = monotonic_us();
  inbox.waiting_requests.fetch_add(1, std::memory_order_relaxed);
  inbox.waiting_bytes.fetch_add(input.record.body.size() + sizeof input, std::memory_order_relaxed);
  inbox.post(std::move(input));
}

void Node::Impl::answer_unavailable(const Reply& reply, const std::string& why) {
  if (!reply.wanted()) return;
  Counters::add(shared->counters.rejected);
  Outgoings out(shared->config.shards);
  out.add(reply.shard, Rejected{reply, unavailable(why)});
  out.emit(shared->outbox);
}

core::PartitionId Node::Impl::partition_of(core::TenantId tenant, const std::string& client,
                                           const std::string& key) const {
  const unsigned partitions = shared->cluster.partitions;
  return client.empty() ? core::partition_of_key(tenant, key, partitions)
                        : core::partition_of_client(tenant, client, partitions);
}

std::optional<Refusal> Node::publish(PublishRequest request) {
  Impl& impl = *impl_;
  if (auto fault = fault_of(request.id, request.client, request.correlation, request.traceparent,
                            request.data.size())) {
    return fault;
  }
  const auto deployment = impl.shared->deployments.loaded(request.deployment);
  if (deployment == nullptr) return unavailable(kNoProgram);
  if (request.topic >= deployment->program->program().topics.size()) {
    return Refusal{"unknown_topic", "there is no such topic", 0};
  }
  const bool by_client = !deployment->program->program().topics[request.topic].order_function;
  auto go = [&impl, by_client](PublishRequest&& r,
                               core::TenantId tenant) -> std::optional<Refusal> {
    // Ordered by client, but published without one: nothing to keep in order, so it goes by its id.
    const core::PartitionId partition = by_client ? impl.partition_of(tenant, r.client, r.id)
                                                  : impl.partition_of(tenant, "", r.order_key);
    if (auto refusal = impl.admits(partition, r.data.size())) return refusal;
    core::Event event;
    event.deployment = r.deployment;
    event.topic = r.topic;
    event.client = r.client;
    event.id = r.id;
    event.order_key = r.order_key;
    event.data = r.data;
    event.correlation = r.correlation;
    event.traceparent = r.traceparent;
    event.ttl_ms = r.ttl_ms;
    impl.post_client(partition, core::make_record(tenant, event), r.reply);
    return std::nullopt;
  };
  if (auto tenant = impl.shared->tenants.find(request.tenant)) {
    return go(std::move(request), *tenant);
  }
  if (impl.shared->stopping) return unavailable("the node is stopping");
  auto held = std::make_shared<PublishRequest>(std::move(request));
  impl.with_tenant(held->tenant, [&impl, go, held](std::optional<core::TenantId> tenant) {
    const Reply reply = held->reply;
    if (!tenant) return impl.answer_unavailable(reply, "the database is not there at the moment");
    if (auto refusal = go(std::move(*held), *tenant)) {
      impl.answer_unavailable(reply, refusal->message);
    }
  });
  return std::nullopt;
}

std::optional<Refusal> Node::start_run(StartRequest request) {
  Impl& impl = *impl_;
  if (request.id.empty()) request.id = random_key();
  if (auto fault = fault_of(request.id, request.client, request.correlation, request.traceparent,
                            request.args.size())) {
    return fault;
  }
  const auto deployment = impl.shared->deployments.loaded(request.deployment);
  if (deployment == nullptr) return unavailable(kNoProgram);
  if (request.flow >= deployment->program->program().flows.size()) {
    return Refusal{"unknown_flow", "there is no such flow", 0};
  }
  if (impl.shared->stopping) return unavailable("the node is stopping");
  auto held = std::make_shared<StartRequest>(std::move(request));
  impl.with_tenant(held->tenant, [&impl, held](std::optional<core::TenantId> tenant) {
    const StartRequest& r = *held;
    if (!tenant) return impl.answer_unavailable(r.reply, "the database is not there at the moment");
    const core::PartitionId partition = impl.partition_of(*tenant, r.client, r.id);
    if (auto refusal = impl.admits(partition, r.args.size())) {
      Outgoings out(impl.shared->config.shards);
      out.add(r.reply.shard, Rejected{r.reply, *refusal});
      return out.emit(impl.shared->outbox);
    }
    core::Start start;
    start.deployment = r.deployment;
    start.flow = r.flow;
    start.client = r.client;
    start.id = r.id;
    start.args = r.args;
    start.correlation = r.correlation;
    start.traceparent = r.traceparent;
    impl.post_client(partition, core::make_record(*tenant, start), r.reply);
  });
  return std::nullopt;
}

// Nothing: there can be no run of that id, of that tenant.
std::optional<core::TenantId> Node::Impl::tenant_of_run(const std::string& tenant,
                                                        const core::RunId& run) const {
  if (number(core::partition_of(run)) >= shared->cluster.partitions) return std::nullopt;
  return shared->tenants.find(tenant);
}

std::optional<Refusal> Node::cancel_run(CancelRequest request) {
  Impl& impl = *impl_;
  const core::PartitionId partition = core::partition_of(request.run);
  const auto tenant = impl.tenant_of_run(request.tenant, request.run);
  if (!tenant || nobody(request.client)) return no_such_run();
  if (request.id.size() > core::kIdBytesMax) return invalid("`id` must be at most 200 bytes");
  if (request.message.size() > core::kFailureMessageBytesMax) {
    return invalid("the message is too long");
  }
  if (auto refusal = impl.admits(partition, request.message.size())) return refusal;
  const std::string client = request.client.value_or("");  // the record's fields only refer
  core::Cancel cancel;
  cancel.run = request.run;
  cancel.client = client;
  cancel.id = request.id;
  cancel.message = request.message;
  impl.post_client(partition, core::make_record(*tenant, cancel), request.reply);
  return std::nullopt;
}

std::optional<Refusal> Node::signal_run(SignalRequest request) {
  Impl& impl = *impl_;
  const core::PartitionId partition = core::partition_of(request.run);
  const auto tenant = impl.tenant_of_run(request.tenant, request.run);
  if (!tenant || nobody(request.client)) return no_such_run();
  const std::string client = request.client.value_or("");
  if (request.id.empty()) request.id = random_key();
  if (auto fault = fault_of(request.id, client, "", "", request.data.size())) return fault;
  if (auto refusal = impl.admits(partition, request.data.size())) return refusal;
  core::Signal signal;
  signal.run = request.run;
  signal.deployment = request.deployment;
  signal.event = request.event;
  signal.client = client;
  signal.id = request.id;
  signal.data = request.data;
  impl.post_client(partition, core::make_record(*tenant, signal), request.reply);
  return std::nullopt;
}

std::optional<Refusal> Node::report(ReportRequest request) {
  Impl& impl = *impl_;
  if (impl.shared->stopping) return unavailable("the node is stopping");
  const Lease& lease = request.lease;
  RecordInput input;
  input.partition = lease.partition;
  input.attempt = {lease.partition, lease.run, lease.step, lease.attempt};
  if (const auto* done = std::get_if<ReportDone>(&request.outcome)) {
    if (done->result.size() > core::kPayloadBytesMax) {
      return Refusal{"too_large", "the result is too large", 0};
    }
    input.record =
        core::make_record(lease.tenant, core::Done{lease.run, lease.step, lease.attempt, lease.seq,
                                                   lease.args_digest, lease.nonce, done->result});
  } else {
    const auto& failed = std::get<ReportFailed>(request.outcome);
    if (failed.kind.size() > core::kFailureKindBytesMax ||
        failed.message.size() > core::kFailureMessageBytesMax) {
      return invalid("the failure's kind or message is too long");
    }
    input.record = core::make_record(
        lease.tenant, core::Failed{lease.run, lease.step, lease.attempt, lease.seq,
                                   lease.args_digest, lease.nonce, failed.kind, failed.message,
                                   failed.retry, failed.retry_after_ms});
  }
  input.reply = request.reply;
  impl.shared->inbox(input.partition).post(std::move(input));
  return std::nullopt;
}

std::optional<Lease> Node::lease(std::string_view text) const {
  auto lease = read_lease(impl_->shared->cluster.lease_key, text);
  if (!lease || number(lease->partition) >= impl_->shared->cluster.partitions) return std::nullopt;
  return lease;
}

bool Node::lease_covers(const Lease& lease, std::string_view tenant) const {
  if (tenant == "*") return true;
  const auto id = impl_->shared->tenants.find(tenant);
  return id && *id == lease.tenant;
}

void Node::worker_joined(WorkerHello hello) {
  Impl* impl = impl_.get();
  impl->desk->worker_expected(hello.worker, hello.credit);
  if (hello.tenant == "*") return impl->desk->worker_joined(hello, std::nullopt);
  impl->join(std::make_shared<WorkerHello>(std::move(hello)));
}

// A tenant that nobody knows yet has no work. Without a database its worker waits until it can be
// named.
void Node::Impl::join(std::shared_ptr<WorkerHello> hello) {
  with_tenant(hello->tenant, [this, hello](std::optional<core::TenantId> tenant) {
    if (tenant) return desk->worker_joined(*hello, tenant);
    if (!shared->stopping) control->next_turn([this, hello] { join(hello); });
  });
}

void Node::worker_credit(WorkerId worker, std::uint32_t credit) {
  impl_->desk->worker_credit(worker, credit);
}
Node::LeaseStanding Node::worker_renew(WorkerId worker, const Lease& lease) {
  // Asked before the dispatcher is: a partition that serves has told it what it owes.
  const bool known = impl_->shared->states.serves(lease.partition);
  if (impl_->desk->worker_renew(worker, lease)) return LeaseStanding::holds;
  return known ? LeaseStanding::stale : LeaseStanding::unknown;
}
void Node::stream_piece(const Lease& lease, std::uint64_t n, std::string_view text) {
  impl_->shared->streams.piece(lease, n, text);
}
void Node::worker_left(WorkerId worker, bool bye) {
  impl_->desk->worker_left(worker, bye);
}

void Node::deploy(std::string artifact, bool force, Callback<Deployed> done) {
  if (impl_->shared->stopping) return done(tl::unexpected(unavailable("the node is stopping")));
  impl_->control->deploy(std::move(artifact), force, std::move(done));
}

std::shared_ptr<const Deployment> Node::current_deployment() const {
  return impl_->shared->deployments.current();
}
std::shared_ptr<const Deployment> Node::deployment(std::uint32_t number) const {
  return impl_->shared->deployments.loaded(number);
}

}  // namespace sluice::node
