// Sessions and reads: what a partition's thread knows, or what is committed.
#include <algorithm>

#include "engine/core/history.hpp"
#include "engine/journal/ownership.hpp"
#include "engine/journal/projection.hpp"
#include "engine/journal/reads.hpp"
#include "engine/node/node_impl.hpp"

namespace sluice::node {
namespace {

using DeploymentPtr = std::shared_ptr<const Deployment>;

// What a list waits for the projection to catch up, ms; then it answers with what there is.
constexpr int kFlushMs = 2'000;
// SQLSTATE of a statement that was ended by its timeout.
constexpr std::string_view kStatementEnded = "57014";

Refusal database_gone() {
  return unavailable("the database is not there at the moment");
}
// Of a list: the server ended it, or had no time for it.
Refusal no_list(const journal::DatabaseError& error, std::uint32_t bound_ms) {
  if (error.sqlstate != kStatementEnded) return database_gone();
  return {"busy",
          "the search took longer than " + std::to_string(bound_ms) +
              " ms: narrow it by `since`, `client` or `tenant`",
          kUnavailableRetryMs};
}
Refusal not_here() {
  return unavailable("the partition of this key is not served here");
}
Refusal unknown_run() {
  return {"unknown_run", "there is no such run", 0};
}
Refusal overloaded() {
  return {"busy", "too many reads are waiting", kUnavailableRetryMs};
}

Delivery message_of(core::Delivery&& stored, const std::string& tenant) {
  Delivery message;
  message.tenant = tenant;
  message.client = std::move(stored.client);
  message.offset = stored.offset;
  message.name = std::move(stored.name);
  message.data_json = std::move(stored.data_json);
  message.run = stored.run;
  message.correlation = std::move(stored.correlation);
  message.causation = std::move(stored.causation);
  message.outcome = stored.outcome;
  return message;
}

std::optional<core::RunState> state_of(const std::string& word) {
  for (int i = 1; i <= static_cast<int>(core::RunState::joined); ++i) {
    const auto state = static_cast<core::RunState>(i);
    if (core::run_state_word(state) == word) return state;
  }
  return std::nullopt;
}

}  // namespace

void Node::Impl::look(core::PartitionId partition, std::function<core::Seq(core::Partition&)> seen,
                      std::function<void(bool)> then) {
  if (shared->stopping || number(partition) >= shared->cluster.partitions) return then(false);
  shared->inbox(partition).post(LookInput{partition, std::move(seen), std::move(then)});
}

// Who waited for a worker from the start is known. A worker may also have left since: then sites
// are told apart by the last part of the step's path, and if these are several tasks nothing is
// said.
void Node::Impl::find_unserved(const core::RunRow& row, RunRow& out) const {
  if (row.ended != 0 || row.step.empty() || row.attempt == 0) return;
  if (auto lacks = desk->lacking(row.run)) {
    out.unserved_task = std::move(lacks->task);
    out.unserved_pool = std::move(lacks->pool);
    return;
  }
  const auto deployment = shared->deployments.loaded(row.deployment);
  if (!deployment) return;
  const vm::Program& program = deployment->program->program();
  std::string_view name = row.step;
  name.remove_prefix(std::min(name.rfind('/') + 1, name.size()));
  name = name.substr(0, name.find('#'));
  const vm::TaskInfo* task = nullptr;
  for (const vm::StepSite& site : program.steps) {
    if (site.name != name) continue;
    const vm::TaskInfo* of = &program.tasks[site.task];
    if (site.flow || (task != nullptr && task != of)) return;
    task = of;
  }
  if (task == nullptr || desk->served(row.tenant, task->name)) return;
  out.unserved_task = task->name;
  out.unserved_pool = program.pools[task->pool].name;
}

RunRow Node::Impl::present(const core::RunRow& row) const {
  RunRow out;
  out.run = row.run;
  out.tenant = shared->tenants.name(row.tenant);
  out.client = row.client;
  out.flow = row.flow;
  if (const auto head = shared->deployments.head(row.deployment)) out.hash = hex_of(head->hash);
  out.state = core::run_state_word(row.state);
  out.step = row.step;
  out.attempt = row.attempt;
  out.started_us = row.started;
  out.ended_us = row.ended;
  out.wake_us = row.wake;
  out.why = row.why;
  out.correlation = row.correlation;
  out.outcome_name = row.outcome_name;
  out.outcome_json = row.outcome_json;
  out.joined = row.joined;
  find_unserved(row, out);
  return out;
}

void Node::Impl::find_run(const std::string& tenant, const core::RunId& run,
                          std::function<void(tl::expected<core::RunRow, Refusal>)> done) {
  const core::PartitionId partition = core::partition_of(run);
  if (number(partition) >= shared->cluster.partitions) return done(tl::unexpected(unknown_run()));
  auto seen = std::make_shared<std::optional<core::RunRow>>();
  auto finish = [this, tenant, done](const core::RunRow& row) {
    if (!tenant.empty() && shared->tenants.name(row.tenant) != tenant) {
      return done(tl::unexpected(unknown_run()));
    }
    done(row);
  };
  look(
      partition,
      [run, seen](core::Partition& p) {
        *seen = p.run(run);
        return p.last_seq();
      },
      [this, run, seen, finish, done](bool) {
        if (*seen) return finish(**seen);
        if (auto pending = store->pending_run(run)) return finish(*pending);
        const bool taken = reads->post([run, finish, done](const ReadPool::Desk& mine) {
          if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
          auto row = journal::read_run(*mine.database, run);
          if (!row) return done(tl::unexpected(database_gone()));
          if (!*row) return done(tl::unexpected(unknown_run()));
          finish(**row);
        });
        if (!taken) done(tl::unexpected(overloaded()));
      });
}

void Node::find_program(std::string tenant, Behalf client, const core::RunId& run,
                        Callback<RunProgram> done) {
  Impl* impl = impl_.get();
  const auto answer = [impl, tenant, client, done](const core::RunRow& row) {
    std::string owner = impl->shared->tenants.name(row.tenant);
    const bool visible = (tenant.empty() || owner == tenant) && (!client || row.client == *client);
    if (!visible) return done(tl::unexpected(unknown_run()));
    impl->load_deployment(row.deployment, [owner = std::move(owner), flow = row.flow,
                                           done](tl::expected<DeploymentPtr, Refusal> loaded) {
      if (!loaded) return done(tl::unexpected(loaded.error()));
      if (!*loaded) return done(tl::unexpected(unknown_run()));
      done(RunProgram{owner, std::move(*loaded), flow});
    });
  };
  const core::PartitionId partition = core::partition_of(run);
  if (number(partition) >= impl->shared->cluster.partitions || (client && client->empty())) {
    return done(tl::unexpected(unknown_run()));
  }
  // Whoever knows the run's id was told so after its beginning was durable: nothing to wait for.
  auto seen = std::make_shared<std::optional<core::RunRow>>();
  impl->look(
      partition,
      [run, seen](core::Partition& p) {
        *seen = p.run(run);
        return core::Seq{0};
      },
      [impl, run, seen, answer, done](bool) {
        if (*seen) return answer(**seen);
        // It has ended, or is not here: a repeat of a signal still gets the first answer.
        impl->find_run("", run, [answer, done](tl::expected<core::RunRow, Refusal> row) {
          if (!row) return done(tl::unexpected(row.error()));
          answer(*row);
        });
      });
}

// A live run's is in memory, and then the answer comes at once.
void Node::Impl::load_deployment(core::DeploymentNumber number, Callback<DeploymentPtr> done) {
  if (auto loaded = shared->deployments.loaded(number)) return done(std::move(loaded));
  const bool taken = reads->post([this, number, done](const ReadPool::Desk& mine) {
    if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
    auto loaded = shared->deployments.load(number);
    if (!loaded && loaded.error().database) return done(tl::unexpected(database_gone()));
    done(loaded ? std::move(*loaded) : nullptr);
  });
  if (!taken) done(tl::unexpected(overloaded()));
}

void Node::load_deployment(std::uint32_t number, Callback<DeploymentPtr> done) {
  impl_->load_deployment(number, std::move(done));
}

void Node::read_deployments(Callback<std::vector<DeploymentPtr>> done) {
  Impl* impl = impl_.get();
  const bool taken = impl->reads->post([impl, done](const ReadPool::Desk& mine) {
    if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
    done(impl->shared->deployments.all());
  });
  if (!taken) done(tl::unexpected(overloaded()));
}

void Node::read_run(std::string tenant, const core::RunId& run, Callback<RunRow> done) {
  Impl* impl = impl_.get();
  impl->find_run(tenant, run, [impl, done](tl::expected<core::RunRow, Refusal> row) {
    if (!row) return done(tl::unexpected(row.error()));
    done(impl->present(*row));
  });
}

void Node::read_runs(RunQuery query, Callback<RunPage> done) {
  Impl* impl = impl_.get();
  journal::RunFilter filter;
  if (query.client && query.client->empty()) return done(RunPage{});
  if (!query.tenant.empty()) {
    filter.tenant = impl->shared->tenants.find(query.tenant);
    if (!filter.tenant) return done(RunPage{});
  }
  if (!query.state.empty()) {
    filter.state = state_of(query.state);
    if (!filter.state) {
      return done(tl::unexpected(Refusal{"invalid", "there is no state `" + query.state + "`", 0}));
    }
  }
  if (!query.cursor.empty()) {
    filter.before = core::parse_run_id(query.cursor);
    if (!filter.before) {
      return done(tl::unexpected(Refusal{"invalid", "`cursor` is none of ours", 0}));
    }
  }
  filter.flow = std::move(query.flow);
  filter.client = std::move(query.client).value_or("");
  filter.correlation = std::move(query.correlation);
  filter.since = query.since_us;
  const std::uint32_t limit = std::clamp(query.limit, 1u, kRunPageMax);
  filter.limit = limit + 1;
  const bool taken = impl->lists->post([impl, filter, limit, done](const ReadPool::Desk& mine) {
    if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
    (void)impl->store->flush(kFlushMs);
    auto rows = journal::list_runs(*mine.database, filter);
    if (!rows) {
      return done(tl::unexpected(no_list(rows.error(), impl->shared->config.list_ms)));
    }
    RunPage page;
    for (const auto& row : *rows) {
      if (page.items.size() == limit) {
        page.next = core::to_text(page.items.back().run);
        break;
      }
      page.items.push_back(impl->present(row));
    }
    done(std::move(page));
  });
  if (!taken) done(tl::unexpected(overloaded()));
}

namespace {

tl::expected<History, Refusal> tell(Node::Impl& impl, const ReadPool::Desk& mine,
                                    const core::RunRow& row) {
  const core::PartitionId partition = core::partition_of(row.run);
  auto records =
      journal::read_run_records(*mine.database, partition, row.last_seq, kHistoryRecordsMax);
  if (!records) return tl::unexpected(database_gone());
  History history;
  history.run = impl.present(row);
  history.complete = records->complete;
  if (!records->complete) return history;  // without its beginning a run cannot be told
  auto told = core::tell_history(partition, impl.shared->cluster.partitions, row.run,
                                 records->records, *mine.programs, row.deployment);
  if (!told) {
    return tl::unexpected(Refusal{"internal", "the history cannot be told: " + told.error(), 0});
  }
  for (auto& entry : told->entries) {
    HistoryRow out;
    out.seq = entry.seq;
    out.time_us = entry.time;
    out.kind = std::move(entry.kind);
    out.verdict = std::move(entry.verdict);
    out.step = std::move(entry.step);
    out.attempt = entry.attempt;
    out.causation = std::move(entry.causation);
    out.data_json = std::move(entry.data_json);
    history.items.push_back(std::move(out));
  }
  return history;
}

}  // namespace

void Node::read_history(std::string tenant, const core::RunId& run, Callback<History> done) {
  Impl* impl = impl_.get();
  impl->find_run(tenant, run, [impl, done](tl::expected<core::RunRow, Refusal> row) {
    if (!row) return done(tl::unexpected(row.error()));
    const bool taken = impl->lists->post([impl, row = *row, done](const ReadPool::Desk& mine) {
      if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
      done(tell(*impl, mine, row));
    });
    if (!taken) done(tl::unexpected(overloaded()));
  });
}

// ---- sessions --------------------------------------------------------------------------------

namespace {

// Where a session goes on, from what is stored about it and its client.
tl::expected<Attached, Refusal> settle_session(Node::Impl& impl, const ReadPool::Desk& mine,
                                               core::TenantId tenant, const AttachRequest& request,
                                               core::PartitionId partition,
                                               const core::ClientView& view, bool same_epoch) {
  Attached out;
  out.highest = view.last_offset;
  auto acked = impl.store->pending_ack(tenant, request.client, request.session);
  if (!acked && !request.session.empty()) {
    auto stored = journal::read_ack(*mine.database, tenant, request.client, request.session);
    if (!stored) return tl::unexpected(database_gone());
    acked = *stored;
  }
  auto oldest = journal::oldest_delivery(*mine.database, partition, view.number);
  if (!oldest) return tl::unexpected(database_gone());
  const std::uint64_t gone = *oldest == 0 ? view.last_offset : *oldest - 1;  // lost up to here
  if (request.resume && same_epoch && request.resume_offset <= view.last_offset) {
    out.offset = request.resume_offset;
  } else if (request.resume) {
    out.offset = std::min(acked.value_or(gone), view.last_offset);
    out.recovered = false;
  } else {
    out.offset = std::min(acked.value_or(view.last_offset), view.last_offset);
  }
  if (out.offset < gone) out.recovered = false;
  return out;
}

}  // namespace

void Node::Impl::attach(core::TenantId tenant, AttachRequest request, Callback<Attached> done) {
  const core::PartitionId partition =
      core::partition_of_client(tenant, request.client, shared->cluster.partitions);
  const std::uint64_t hash = client_hash(tenant, request.client);
  const unsigned shard = request.shard;
  Inbox& inbox = shared->inbox(partition);
  inbox.post(Command(SetLive{hash, shard, +1}));
  shared->streams.attach(tenant, request.client, shard);
  const auto fail = [this, &inbox, hash, shard, done, tenant,
                     client = request.client](Refusal refusal) {
    inbox.post(Command(SetLive{hash, shard, -1}));
    shared->streams.detach(tenant, client, shard);
    done(tl::unexpected(std::move(refusal)));
  };
  const std::string epoch = core::to_text(shared->cluster.id).substr(0, 8) + "-" +
                            std::to_string(shared->delivery_epoch.load());
  auto seen = std::make_shared<core::ClientView>();
  look(
      partition,
      [seen, tenant, client = request.client](core::Partition& p) {
        if (const auto view = p.client(tenant, client)) *seen = *view;
        return seen->as_of;
      },
      [this, tenant, request, done, fail, seen, partition, epoch](bool ok) {
        if (!ok) return fail(not_here());
        const bool same_epoch = request.resume_epoch == epoch;
        const auto finish = [this, tenant, request, done, epoch](Attached attached) {
          attached.epoch = epoch;
          shared->presence.arrived(tenant, request.client);
          if (!request.session.empty()) {
            store->push_ack({tenant, request.client, request.session, attached.offset});
          }
          done(std::move(attached));
        };
        if (seen->last_offset == 0) {  // nothing was ever delivered: nothing to look up
          Attached attached;
          attached.recovered = !request.resume || (same_epoch && request.resume_offset == 0);
          return finish(attached);
        }
        const bool taken = reads->post([this, tenant, request, fail, finish, seen, partition,
                                        same_epoch](const ReadPool::Desk& mine) {
          if (mine.database == nullptr) return fail(database_gone());
          auto attached =
              settle_session(*this, mine, tenant, request, partition, *seen, same_epoch);
          if (!attached) return fail(attached.error());
          finish(*attached);
        });
        if (!taken) fail(overloaded());
      });
}

void Node::attach(AttachRequest request, Callback<Attached> done) {
  Impl* impl = impl_.get();
  if (impl->shared->stopping) return done(tl::unexpected(unavailable("the node is stopping")));
  auto held = std::make_shared<AttachRequest>(std::move(request));
  impl->with_tenant(held->tenant, [impl, held, done](std::optional<core::TenantId> tenant) {
    if (!tenant) return done(tl::unexpected(database_gone()));
    impl->attach(*tenant, std::move(*held), done);
  });
}

void Node::detach(std::string_view tenant, std::string_view client, std::string_view session,
                  unsigned shard) {
  (void)session;  // its acknowledgement stays
  const auto id = impl_->shared->tenants.find(tenant);
  if (!id) return;
  const auto partition = core::partition_of_client(*id, client, impl_->shared->cluster.partitions);
  impl_->shared->inbox(partition).post(Command(SetLive{client_hash(*id, client), shard, -1}));
  impl_->shared->streams.detach(*id, client, shard);
  impl_->shared->presence.left(*id, client);
}

std::vector<StreamUpdate> Node::stream_snapshots(std::string_view tenant,
                                                 std::string_view client) const {
  const auto id = impl_->shared->tenants.find(tenant);
  return id ? impl_->shared->streams.snapshots(*id, client) : std::vector<StreamUpdate>();
}

std::optional<StreamUpdate> Node::stream_snapshot(const core::RunId& run,
                                                  std::uint32_t step_number) const {
  return impl_->shared->streams.snapshot(run, step_number);
}

std::optional<StreamUpdate> Node::stream_end(StreamUpdate stream) const {
  return impl_->shared->streams.end_of(std::move(stream));
}

void Node::ack(std::string_view tenant, std::string_view client, std::string_view session,
               std::uint64_t offset) {
  const auto id = impl_->shared->tenants.find(tenant);
  if (!id) return;
  impl_->store->push_ack({*id, std::string(client), std::string(session), offset});
}

void Node::Impl::read_deliveries(core::TenantId tenant, DeliveryQuery query,
                                 Callback<DeliveryPage> done) {
  const core::PartitionId partition =
      core::partition_of_client(tenant, query.client, shared->cluster.partitions);
  auto seen = std::make_shared<core::ClientView>();
  look(
      partition,
      [seen, tenant, client = query.client](core::Partition& p) {
        if (const auto view = p.client(tenant, client)) *seen = *view;
        return seen->as_of;
      },
      [this, query, done, seen, partition](bool ok) {
        if (!ok) return done(tl::unexpected(not_here()));
        if (seen->last_offset <= query.after) return done(DeliveryPage{});
        const bool taken = reads->post([query, done, seen, partition](const ReadPool::Desk& mine) {
          if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
          auto rows =
              journal::read_deliveries(*mine.database, partition, seen->number, query.after,
                                       {.rows = std::clamp(query.limit, 1u, kDeliveryPageMax),
                                        .bytes = std::min(query.bytes, kDeliveryPageBytesMax)});
          if (!rows) return done(tl::unexpected(database_gone()));
          DeliveryPage page{.items = {}, .more = rows->more};
          for (auto& row : rows->rows) {
            page.items.push_back(message_of(std::move(row), query.tenant));
          }
          done(std::move(page));
        });
        if (!taken) done(tl::unexpected(overloaded()));
      });
}

void Node::read_deliveries(DeliveryQuery query, Callback<DeliveryPage> done) {
  const auto tenant = impl_->shared->tenants.find(query.tenant);
  if (!tenant) return done(DeliveryPage{});
  impl_->read_deliveries(*tenant, std::move(query), std::move(done));
}

void Node::watch_run(const core::RunId& run, unsigned shard) {
  impl_->shared->watches.add(run, shard);
}
void Node::unwatch_run(const core::RunId& run, unsigned shard) {
  impl_->shared->watches.remove(run, shard);
}

// ---- the rest --------------------------------------------------------------------------------

std::vector<TopicRow> Node::topics() const {
  std::vector<TopicRow> out;
  const auto current = impl_->shared->deployments.current();
  if (current == nullptr) return out;
  for (const auto& topic : current->program->program().topics) {
    out.push_back({topic.name, topic.order_function ? "key" : "client",
                   static_cast<std::int64_t>(topic.dedupe_ms),
                   static_cast<std::int64_t>(topic.retain_ms)});
  }
  return out;
}

namespace {

const char* word_of(PartitionState::Phase phase) {
  switch (phase) {
    case PartitionState::Phase::elsewhere:
      return "elsewhere";
    case PartitionState::Phase::recovering:
      return "recovering";
    case PartitionState::Phase::serving:
      return "serving";
    case PartitionState::Phase::halted:
      return "halted";
  }
  return "unknown";
}

}  // namespace

void Node::read_cluster(Callback<ClusterStatus> done) {
  Impl* impl = impl_.get();
  const bool taken = impl->lists->post([impl, done](const ReadPool::Desk& mine) {
    const Shared& shared = *impl->shared;
    ClusterStatus out;
    out.id = core::to_text(shared.cluster.id);
    out.partitions = shared.cluster.partitions;
    out.node = shared.config.name;
    out.warnings = shared.warnings();
    if (mine.database == nullptr) return done(tl::unexpected(database_gone()));
    auto owners = journal::read_owners(*mine.database);
    auto standby = mine.database->run("select current_setting('synchronous_standby_names') <> ''");
    if (!owners || !standby) return done(tl::unexpected(database_gone()));
    out.durability = standby->boolean(0, 0)
                         ? "a synchronous commit of PostgreSQL, on a standby too: through failover"
                         : "a synchronous commit of PostgreSQL; not through the loss of its disk";
    const auto states = shared.states.all();
    for (const auto& owner : *owners) {
      PartitionRow row;
      row.partition = number(owner.partition);
      row.owner = owner.owner;
      row.epoch = owner.epoch;
      const PartitionState& state = states[row.partition];
      row.state = word_of(state.phase);
      row.seq = state.durable;
      row.why = state.why;
      out.items.push_back(std::move(row));
    }
    done(std::move(out));
  });
  if (!taken) done(tl::unexpected(overloaded()));
}

}  // namespace sluice::node
