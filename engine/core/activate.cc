// What a run asks for, first rendered, then done.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/retry.hpp"
#include "engine/core/vm_call.hpp"
#include "vm/json.hpp"
#include "vm/operands.hpp"

namespace sluice::core {
namespace {

// The arguments of a call as a JSON array.
std::string arguments_json(const vm::Program& program, const vm::StepSite& site,
                           const std::vector<vm::Value>& arguments) {
  const auto& parameters = vm::step_parameters(program, site);
  std::string json = "[";
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    if (k > 0) json += ',';
    vm::append_json(program.types, parameters[k].type, arguments[k], json);
  }
  json += ']';
  return json;
}

Fault too_large() {
  return {"arguments or an event exceed " + std::to_string(kOutputBytesMax) + " bytes of JSON"};
}

std::size_t rendered_bytes(const Activation& activation, std::size_t i) {
  std::size_t bytes = activation.json[i].size();
  if (!activation.data.empty()) bytes += activation.data[i].size();
  const auto hedge = activation.hedge_json.find(i);
  if (hedge != activation.hedge_json.end()) bytes += hedge->second.size();
  const auto* line = std::get_if<vm::Log>(&activation.commands[i]);
  return bytes + (line == nullptr ? 0 : line->text.size());
}

bool receives_from_trigger(const LoadedProgram& program, std::uint32_t flow) {
  const auto topic = program.program().flows[flow].trigger;
  return topic && !program.fields_by_topic[*topic].empty();
}

std::string failure_text(const vm::Failure& failure) {
  return failure.kind + ": " + failure.message;
}

std::string failure_json(const vm::TypeTable& types, const vm::Failure& failure) {
  return vm::to_json(types, vm::kTypeFailure, vm::failure_value(failure));
}

RunState final_state(vm::RunStatus status) {
  switch (status) {
    case vm::RunStatus::completed:
      return RunState::completed;
    case vm::RunStatus::failed:
      return RunState::failed;
    case vm::RunStatus::cancelled:
      return RunState::cancelled;
    case vm::RunStatus::superseded:
      return RunState::superseded;
    case vm::RunStatus::joined:
      return RunState::joined;
  }
  return RunState::failed;
}

}  // namespace

// ---- phase one

std::unique_ptr<RunEntry> Partition::Impl::make_run(const Context& context,
                                                    const LoadedProgram& program,
                                                    const Origin& origin,
                                                    std::vector<vm::Value> arguments) {
  const Record& record = context.record;
  auto entry = std::make_unique<RunEntry>();
  entry->id = origin.run.is_nil() ? make_run_id(config.id, record.seq, record.time, origin.index)
                                  : origin.run;
  entry->hops = origin.hops;
  entry->parent = origin.parent;
  entry->parent_step = origin.parent_step;
  entry->tenant = record.tenant;
  entry->deployment = origin.deployment;
  entry->flow = origin.flow;
  entry->client = origin.client;
  if (!origin.client.empty()) {
    entry->home = partition_of_client(record.tenant, origin.client, config.partitions);
  }
  entry->correlation = origin.correlation.empty()
                           ? to_text(make_event_id(config.id, record.seq, record.time))
                           : std::string(origin.correlation);
  entry->correlation_id = correlation_id(entry->correlation);
  entry->traceparent = origin.traceparent;
  entry->first_seq = record.seq;
  entry->last_seq = record.seq;
  entry->started = origin.started == 0 ? record.time : origin.started;
  vm::RunInfo info;
  info.run_id = to_text(entry->id);
  // A flow on a topic has a client in any case: nobody's has the empty name.
  const bool on_topic = program.program().flows[origin.flow].trigger.has_value();
  if (!origin.client.empty() || on_topic) info.client = entry->client;
  entry->loaded = &program;
  // What it was begun with comes no second time.
  if (!origin.event.is_nil() && receives_from_trigger(program, origin.flow)) {
    entry->heard.push_back(origin.event);
  }
  entry->run.emplace(*program.unit, origin.flow, std::move(arguments), std::move(info));
  entry->run->set_host(this);
  return entry;
}

tl::expected<void, Fault> Partition::Impl::render(Activation& activation) const {
  const vm::Program& program = activation.entry->loaded->program();
  const auto event_json = [&](std::uint32_t event, const vm::Value& value) {
    return vm::to_json(program.types, activation.entry->loaded->event_types[event], value);
  };
  std::size_t steps = activation.entry->steps.size();
  std::size_t open_timers = activation.entry->timers.size();
  std::size_t pairs = activation.entry->subscriptions.size();
  std::size_t sent = 0;
  std::size_t bytes = 0;
  if (activation.commands.size() > kCommandsAtOnceMax) {
    return tl::unexpected(Fault{"the flow does too much at once: more than " +
                                std::to_string(kCommandsAtOnceMax) + " effects without a wait"});
  }
  activation.json.resize(activation.commands.size());
  for (std::size_t i = 0; i < activation.commands.size(); ++i) {
    const vm::Command& command = activation.commands[i];
    std::string& json = activation.json[i];
    if (const auto* start = std::get_if<vm::StartStep>(&command)) {
      json = arguments_json(program, *start->site, start->arguments);
      if (const auto& hedge = start->site->hedge_site) {
        std::string& other = activation.hedge_json[i];
        other = arguments_json(program, program.steps[*hedge], start->hedge_arguments);
        if (other.size() > kOutputBytesMax) return tl::unexpected(too_large());
      }
      if (++steps > kOpenStepsMax) return tl::unexpected(Fault{"too many steps are open at once"});
    } else if (std::holds_alternative<vm::StartTimer>(command)) {
      if (++open_timers > kOpenTimersMax) {
        return tl::unexpected(Fault{"too many timers are open at once"});
      }
    } else if (const auto* wanted = std::get_if<vm::Subscribe>(&command)) {
      json = pair_value(*activation.entry->loaded, wanted->site_index, wanted->key);
      if (++pairs > kSubscriptionsMax) {
        return tl::unexpected(Fault{"the run subscribes to too many values of topics"});
      }
    } else if (const auto* notify = std::get_if<vm::Notify>(&command)) {
      json = event_json(notify->event, notify->value);
    } else if (const auto* finish = std::get_if<vm::Finish>(&command)) {
      if (finish->event) json = event_json(*finish->event, finish->value);
    }
    if (auto rendered = render_message(activation, i); !rendered) return rendered;
    if (!activation.data.empty() && !activation.data[i].empty() && ++sent > kSentAtOnceMax) {
      return tl::unexpected(Fault{"too many messages are sent at once"});
    }
    if (json.size() > kOutputBytesMax) {
      return tl::unexpected(too_large());
    }
    bytes += rendered_bytes(activation, i);
    if (bytes > kRenderedBytesMax) {
      return tl::unexpected(Fault{"the flow says too much at once: more than " +
                                  std::to_string(kRenderedBytesMax) + " bytes without a wait"});
    }
  }
  return {};
}

// ---- phase two: bookkeeping

// Adds a run to a list of changed ones. Runs that ended stay in such a list; when they are most of
// it, they are dropped, so that it stays within a small multiple of the live runs.
template <class List, class Belongs>
void Partition::Impl::note_changed(List& list, const RunId& id, Belongs belongs) {
  if (list.size() > 2 * runs.size() + 4096) {
    const auto gone = [&](const RunId& run) {
      const RunEntry* entry = find_run(run);
      return entry == nullptr || !belongs(*entry);
    };
    list.erase(std::remove_if(list.begin(), list.end(), gone), list.end());
  }
  list.push_back(id);
}

void Partition::Impl::touch(RunEntry& entry) {
  if (entry.checkpoint_pending) {
    captured.push_back(run_state_row(entry));
    entry.checkpoint_pending = false;
    entry.persisted = true;
  }
  if (!entry.dirty) {
    entry.dirty = true;
    note_changed(dirty, entry.id, [](const RunEntry& e) { return e.dirty; });
  }
  if (!entry.hash_stale) {
    entry.hash_stale = true;
    stale.push_back(entry.id);
  }
  if (entry.projected) {
    entry.projected = false;
    note_changed(unprojected, entry.id, [](const RunEntry& e) { return !e.projected; });
  }
}

RunEntry& Partition::Impl::adopt(std::unique_ptr<RunEntry> entry) {
  RunEntry& added = *entry;
  const auto [it, fresh] = runs.emplace(added.id, std::move(entry));
  SLUICE_CHECK(fresh);
  ++deployment_runs[added.deployment];
  touch(added);
  const vm::FlowInfo& flow = added.loaded->program().flows[added.flow];
  if (flow.timeout_ms > 0) {
    added.flow_due = added.started + static_cast<TimeUs>(flow.timeout_ms) * kUsPerMs;
    set_timer(added.flow_due, added.id, {TimerNumber::Kind::flow_timeout, 0});
  }
  return added;
}

void Partition::Impl::note_record(Context& context, RunEntry& entry, Seq cause_seq) {
  context.applied.run = entry.id;
  context.applied.run_prev = entry.last_seq == context.record.seq ? 0 : entry.last_seq;
  context.applied.cause_partition = config.id;
  context.applied.cause_seq = cause_seq;
  context.applied.correlation = entry.correlation_id;
  entry.last_seq = context.record.seq;
}

void Partition::Impl::transition(StepEntry& step, StepInput input) {
  const auto row = step_row(step.status, input);
  SLUICE_CHECK(row.has_value());
  const auto is_open = [](StepStatus s) {
    return s == StepStatus::open || s == StepStatus::granted;
  };
  if (is_open(step.status)) --open_attempts;
  step.status = kStepRows[*row].to;
  if (is_open(step.status)) ++open_attempts;
  ++transitions[*row];
}

void Partition::Impl::set_timer(TimeUs due, const RunId& run, TimerNumber number) {
  timers.insert({due, run, number.n()});
}

void Partition::Impl::clear_timer(TimeUs due, const RunId& run, TimerNumber number) {
  if (due != 0) timers.erase({due, run, number.n()});
}

void Partition::Impl::clear_step_timers(const RunEntry& entry, const StepEntry& step) {
  clear_timer(step.within_due, entry.id, {TimerNumber::Kind::within, step.id});
  clear_timer(step.backoff_due, entry.id, {TimerNumber::Kind::backoff, step.id});
  clear_timer(step.hedge_due, entry.id, {TimerNumber::Kind::hedge, step.id});
}

bool Partition::Impl::has_timer(const RunEntry& entry, TimerNumber number) const {
  const StepEntry* step = entry.find_step(number.step);
  switch (number.kind) {
    case TimerNumber::Kind::flow_timeout:
      return entry.flow_due != 0;
    case TimerNumber::Kind::on_failure:
      return entry.on_failure_due != 0;
    case TimerNumber::Kind::within:
      return step != nullptr && step->within_due != 0;
    case TimerNumber::Kind::backoff:
      return step != nullptr && step->backoff_due != 0;
    case TimerNumber::Kind::hedge:
      return step != nullptr && step->hedge_due != 0;
    case TimerNumber::Kind::admission:  // who else is at its gate is not known here
      return entry.admission.place != Place::none;
    case TimerNumber::Kind::wait:
      return entry.find_timer(number.step) != nullptr;
    case TimerNumber::Kind::mail:
      return entry.run->waits_for_mail();
  }
  return false;
}

std::string Partition::Impl::causation(const Context& context) const {
  const Record& record = context.record;
  return is_named(record.kind) ? to_text(make_event_id(config.id, record.seq, record.time))
                               : record_name(config.id, record.seq);
}

// ---- phase two: commands

void Partition::Impl::perform(Context& context, Activation& activation) {
  RunEntry& entry = *activation.entry;
  const vm::Program& program = entry.loaded->program();
  for (std::size_t i = 0; i < activation.commands.size(); ++i) {
    vm::Command& command = activation.commands[i];
    std::string& json = activation.json[i];
    const std::string_view data =
        activation.data.empty() ? std::string_view() : std::string_view(activation.data[i]);
    if (auto* start = std::get_if<vm::StartStep>(&command)) {
      const auto hedge = activation.hedge_json.find(i);
      start_step(context, entry, *start, std::move(json),
                 hedge == activation.hedge_json.end() ? "" : std::move(hedge->second), data);
    } else if (auto* cancel = std::get_if<vm::CancelStep>(&command)) {
      cancel_step(context, entry, cancel->id.value, "cancelled");
    } else if (auto* notify = std::get_if<vm::Notify>(&command)) {
      tell(context, entry, *notify, std::move(json));
    } else if (auto* wanted = std::get_if<vm::Subscribe>(&command)) {
      subscribe(context, entry, *wanted, std::move(json));
    } else if (const auto* event = std::get_if<vm::Publish>(&command)) {
      publish(context, entry, *event, activation.keys[i], data);
    } else if (const auto* detached = std::get_if<vm::StartRun>(&command)) {
      start_detached(context, entry, *detached, data);
    } else if (auto* dead = std::get_if<vm::DeadLetter>(&command)) {
      context.effects.push_back(DeadLettered{context.record.seq, entry.tenant, entry.id,
                                             program.flows[entry.flow].name, dead->path,
                                             dead->failure.kind, dead->failure.message});
    } else if (auto* line = std::get_if<vm::Log>(&command)) {
      context.effects.push_back(LogLine{context.record.seq, entry.tenant, entry.id,
                                        program.flows[entry.flow].name, std::move(line->path),
                                        std::move(line->text)});
    } else if (std::holds_alternative<vm::EnterOnFailure>(command)) {
      entry.on_failure_due = context.record.time + kOnFailureUs;
      entry.on_failure_since = context.record.seq;
      set_timer(entry.on_failure_due, entry.id, {TimerNumber::Kind::on_failure, 0});
    } else if (auto* timer = std::get_if<vm::StartTimer>(&command)) {
      start_timer(context, entry, *timer);
    } else if (auto* over = std::get_if<vm::CancelTimer>(&command)) {
      end_timer(entry, over->id.value);
    } else if (const auto* taken = std::get_if<vm::Join>(&command)) {
      take_joined(context, entry, taken->run);
    } else if (auto* end = std::get_if<vm::Finish>(&command)) {
      finish(context, entry, *end, std::move(json));
      return;  // the entry is gone
    }
  }
  if (entry.run->phase() == vm::Phase::created) return;  // a signal; its turn is still to come
  if (entry.run->waits_for_mail()) {
    parked.insert(entry.id);
  } else {
    parked.erase(entry.id);
  }
  if (entry.flow_due != 0 && entry.run->phase() != vm::Phase::running) {
    clear_timer(entry.flow_due, entry.id, {TimerNumber::Kind::flow_timeout, 0});
    entry.flow_due = 0;
  }
  const Place place = entry.admission.place;
  if (place != Place::inside) return leave_gate(context, entry);  // it never began
  Gate& gate = gates.at(entry.admission.gate);
  if (gate.waiting > 0) settle_gate(context, gate);
}

std::string Partition::Impl::notified(const RunEntry& entry, const vm::Notify& command) {
  switch (command.to) {
    case vm::NotifyTo::run:
      return {};
    case vm::NotifyTo::group:
      return command.target.empty() ? std::string() : group_client(command.target);
    case vm::NotifyTo::run_client:
      return entry.client;
    case vm::NotifyTo::client:
      return command.target;
  }
  return {};
}

std::optional<PartitionId> Partition::Impl::notified_home(const RunEntry& entry,
                                                          const vm::Notify& command) const {
  if (command.to == vm::NotifyTo::run_client && !entry.client.empty()) return entry.home;
  const std::string client = notified(entry, command);
  if (client.empty()) return std::nullopt;
  return partition_of_client(entry.tenant, client, config.partitions);
}

void Partition::Impl::tell(Context& context, const RunEntry& entry, const vm::Notify& command,
                           std::string json) {
  const std::string& name = entry.loaded->program().events[command.event].name;
  if (command.to == vm::NotifyTo::run) {
    return send_signal(context, entry, command.target, name, json);
  }
  const auto home = notified_home(entry, command);
  if (!home) return;  // nobody to tell
  deliver(context, entry, *home, {notified(entry, command), name, std::move(json), false});
}

// What a lease names beside its attempt. An early offer may be made for a history that is then
// lost, and the one that takes its place may open another step under the same numbers: the epoch
// keeps their reports apart.
// ---- phase two: deliveries and the end

void Partition::Impl::deliver(Context& context, const RunEntry& entry, PartitionId home,
                              Parcel parcel) {
  if (home != config.id && !config.one_run) {
    const DeliveryMessage body{parcel.client, parcel.name, parcel.data_json, parcel.outcome};
    post(context, entry, home, MessageKind::delivery, encode(body));
    return;
  }
  Delivery delivery;
  delivery.client = parcel.client;
  delivery.name = parcel.name;
  delivery.data_json = std::move(parcel.data_json);
  delivery.run = entry.id;
  delivery.correlation = entry.correlation;
  delivery.causation = causation(context);
  delivery.outcome = parcel.outcome;
  deliver_here(context, entry.tenant, std::move(delivery));
}

void Partition::Impl::deliver_here(Context& context, TenantId tenant, Delivery delivery) {
  delivery.seq = context.record.seq;
  delivery.tenant = tenant;
  if (stretch == 0) {
    delivery.client_number = clients.number_of(tenant, delivery.client);
    delivery.offset = clients.advance(delivery.client_number, context.record.seq);
  }
  context.effects.push_back(std::move(delivery));
}

void Partition::Impl::finish(Context& context, RunEntry& entry, const vm::Finish& command,
                             std::string json) {
  const vm::Program& program = entry.loaded->program();
  RunRow row = run_row(entry);
  row.state = final_state(command.status);
  if (row.state == RunState::joined) row.joined = entry.admission.heard_by;
  if (command.why) row.why = failure_text(*command.why);
  if (command.event) {
    row.outcome_name = program.events[*command.event].name;
    row.outcome_json = std::move(json);
  } else if (command.status != vm::RunStatus::completed &&
             command.status != vm::RunStatus::superseded &&
             command.status != vm::RunStatus::joined &&
             !program.flows[entry.flow].outcomes.empty()) {
    row.outcome_name = kEngineFailed;
    row.outcome_json = failure_json(program.types, command.why.value_or(vm::Failure{}));
  }
  end_run(context, entry, std::move(row), {&command, command.why.value_or(vm::Failure{})});
}

void Partition::Impl::abandon(Context& context, RunEntry& entry, const std::string& why) {
  const vm::Program& program = entry.loaded->program();
  const vm::Failure failure{"Fault", why, "", 0};
  RunRow row = run_row(entry);
  row.state = RunState::failed;
  row.why = failure_text(failure);
  if (!program.flows[entry.flow].outcomes.empty()) {
    row.outcome_name = kEngineFailed;
    row.outcome_json = failure_json(program.types, failure);
  }
  context.effects.push_back(DeadLettered{context.record.seq, entry.tenant, entry.id,
                                         program.flows[entry.flow].name, "", failure.kind, why});
  end_run(context, entry, std::move(row), {nullptr, failure});
}

void Partition::Impl::end_run(Context& context, RunEntry& entry, RunRow row, const Ending& ending) {
  while (!entry.steps.empty()) {
    drop_step(context, entry, entry.steps.front().id, run_state_word(row.state));
  }
  while (!entry.timers.empty()) end_timer(entry, entry.timers.front().id);
  for (const Pair& pair : entry.subscriptions) unsubscribe(context, entry, pair);
  const std::vector<Follower> followers = std::move(entry.admission.followers);
  leave_gate(context, entry);
  clear_timer(entry.flow_due, entry.id, {TimerNumber::Kind::flow_timeout, 0});
  clear_timer(entry.on_failure_due, entry.id, {TimerNumber::Kind::on_failure, 0});
  parked.erase(entry.id);
  // The answer is for whoever asked: the run whose step this was, or else the client.
  for (const Follower& each : followers) tell_parent(context, entry, each, ending);
  if (row.state == RunState::joined && !was_to_leave(entry)) {
    // The run that it joined answers.
  } else if (entry.parent_step != 0) {
    tell_parent(context, entry, {entry.parent, entry.parent_step, entry.id, entry.deployment},
                ending);
  } else if (!row.outcome_name.empty() && !entry.client.empty()) {
    deliver(context, entry, entry.home, {entry.client, row.outcome_name, row.outcome_json, true});
  }
  row.as_of = context.record.seq;
  row.last_seq = entry.last_seq;
  row.ended = context.record.time;
  row.step.clear();
  row.attempt = 0;
  row.wake = 0;
  context.effects.push_back(RunChanged{context.record.seq, std::move(row)});
  runs_hash -= entry.hash;
  if (entry.persisted) erased.push_back(RowId{static_cast<const Id128&>(entry.id)});
  const auto count = deployment_runs.find(entry.deployment);
  if (--count->second == 0) deployment_runs.erase(count);
  const RunId id = entry.id;  // the entry goes with its key
  runs.erase(id);
}

}  // namespace sluice::core
