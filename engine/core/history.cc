#include "engine/core/history.hpp"

#include <map>

#include "engine/core/message.hpp"
#include "engine/core/partition_impl.hpp"
#include "vm/engine_events.hpp"
#include "vm/json.hpp"
#include "vm/json_reader.hpp"

namespace sluice::core {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  vm::append_json_string(text, out);
  return out;
}

// A JSON object written field by field.
class ObjectWriter {
 public:
  void raw(std::string_view name, std::string_view json) {
    text_ += text_.size() > 1 ? "," : "";
    vm::append_json_string(name, text_);
    text_ += ':';
    text_ += json;
  }
  void text(std::string_view name, std::string_view value) { raw(name, quoted(value)); }
  void number(std::string_view name, std::int64_t value) { raw(name, std::to_string(value)); }
  void flag(std::string_view name, bool value) { raw(name, value ? "true" : "false"); }
  std::string finish() { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

std::string_view timer_name(TimerNumber::Kind kind) {
  switch (kind) {
    case TimerNumber::Kind::flow_timeout:
      return "timeout";
    case TimerNumber::Kind::on_failure:
      return "on failure";
    case TimerNumber::Kind::within:
      return "within";
    case TimerNumber::Kind::backoff:
      return "backoff";
    case TimerNumber::Kind::hedge:
      return "hedge";
    case TimerNumber::Kind::admission:
      return "admission";
    case TimerNumber::Kind::wait:
      return "wait";
    case TimerNumber::Kind::mail:
      return "outbox";
  }
  return "unknown";
}

std::string_view lapse_name(LapseReason reason) {
  switch (reason) {
    case LapseReason::lost:
      return "lost";
    case LapseReason::timed_out:
      return "timed_out";
    case LapseReason::queued:
      return "queued";
  }
  return "unknown";
}

std::string_view move_name(Move move) {
  switch (move) {
    case Move::none:
      break;
    case Move::expire:
      return "expired";
    case Move::refuse:
      return "refused";
    case Move::supersede:
      return "superseded";
    case Move::begin:
      return "begins";
    case Move::leave:
      return "leaves";
    case Move::hear:
    case Move::join:
      break;  // records of their own
  }
  return "unknown";
}

std::string_view timer_use_name(vm::TimerUse use) {
  switch (use) {
    case vm::TimerUse::sleep:
      return "sleep";
    case vm::TimerUse::deadline:
      return "deadline";
    case vm::TimerUse::receive:
      return "receive";
  }
  return "unknown";
}

std::string value_json(const vm::TypeTable& types, vm::TypeId type, std::string_view bytes) {
  const auto value = bytes.empty() ? vm::Value() : vm::decode_value(bytes);
  return value ? vm::to_json(types, type, *value) : "null";
}

}  // namespace

class HistoryTeller {
 public:
  HistoryTeller(PartitionId partition, unsigned partitions, const RunId& run,
                ProgramSource& programs, DeploymentNumber newest)
      : run_(run),
        partition_(config_of(partition, partitions), programs),
        impl_(*partition_.impl_) {
    impl_.deployment = newest;
  }

  tl::expected<RunHistory, std::string> tell(const std::vector<Record>& records) {
    RunHistory history;
    for (const Record& record : records) {
      HistoryEntry entry;
      entry.seq = record.seq;
      entry.time = record.time;
      entry.kind = kind_name(record.kind);
      ObjectWriter data;
      describe_input(record, entry, data);
      const auto applied = partition_.apply(record, {}, entry.effects);
      if (!applied) return tl::unexpected(applied.error().message);
      entry.verdict = verdict_name(applied->verdict);
      if (applied->cause_seq != 0 && record.kind != Kind::message) {
        entry.causation = name_of(applied->cause_seq);
      }
      note(record);
      note_messages(entry);
      if (const std::string then = describe_effects(entry); !then.empty()) {
        data.raw("then", then);
      }
      if (!applied->fault.empty()) data.text("fault", applied->fault);
      entry.data_json = data.finish();
      take_row(entry.effects, history.row);
      history.entries.push_back(std::move(entry));
    }
    if (const auto live = partition_.run(run_)) history.row = *live;
    if (!(history.row.run == run_)) {
      return tl::unexpected(std::string("the records do not hold the run's beginning"));
    }
    return history;
  }

 private:
  static Partition::Config config_of(PartitionId partition, unsigned partitions) {
    Partition::Config config;
    config.id = partition;
    config.partitions = partitions;
    config.one_run = true;
    return config;
  }

  // The names of records that others have as their cause.
  std::string name_of(Seq seq) const {
    const auto it = names_.find(seq);
    return it != names_.end() ? it->second : record_name(partition_.id(), seq);
  }
  void note(const Record& record) {
    if (is_named(record.kind)) {
      names_[record.seq] = to_text(make_event_id(partition_.id(), record.seq, record.time));
    }
  }

  void describe_input(const Record& record, HistoryEntry& entry, ObjectWriter& data) {
    switch (record.kind) {
      case Kind::event:
        return describe_event(record, data);
      case Kind::start:
        return describe_start(record, data);
      case Kind::cron:
        return describe_cron(record, data);
      case Kind::cancel:
        if (const auto body = decode<Cancel>(record.body)) data.text("message", body->message);
        return;
      case Kind::signal:
        return describe_signal(record, data);
      case Kind::presence:
        return describe_presence(record, data);
      case Kind::message:
        return describe_message(record, entry, data);
      case Kind::done:
        return describe_done(record, entry, data);
      case Kind::failed:
        return describe_failed(record, entry, data);
      case Kind::granted:
        if (const auto body = decode<Granted>(record.body))
          about_step(entry, body->step, body->attempt);
        return;
      case Kind::lapsed:
        if (const auto body = decode<Lapsed>(record.body)) {
          about_step(entry, body->step, body->attempt);
          data.text("reason", lapse_name(body->reason));
        }
        return;
      case Kind::verdict:
        if (const auto body = decode<Spoke>(record.body)) {
          about_step(entry, body->step, body->attempt);
          data.text("decision", "it speaks");
        }
        return;
      case Kind::join:
        return describe_join(record, data);
      case Kind::advance:
        if (const auto body = decode<Advance>(record.body)) {
          const TimerNumber timer = TimerNumber::from_n(body->timer);
          if (timer.kind == TimerNumber::Kind::wait) {
            about_timer(entry, timer.step, data);
            return;
          }
          if (timer.kind == TimerNumber::Kind::admission) {
            data.text("timer", move_name(static_cast<Move>(timer.step)));
            return;
          }
          if (timer.step != 0) about_step(entry, timer.step);
          data.text("timer", timer_name(timer.kind));
        }
        return;
      default:
        return;  // no other kind touches a run
    }
  }

  void describe_event(const Record& record, ObjectWriter& data) {
    const auto body = decode<Event>(record.body);
    const LoadedProgram* loaded = body ? impl_.load_program(body->deployment) : nullptr;
    if (loaded == nullptr || body->topic >= loaded->program().topics.size()) return;
    const vm::TopicInfo& topic = loaded->program().topics[body->topic];
    data.text("topic", topic.name);
    data.text("id", body->id);
    if (!body->client.empty()) data.text("client", body->client);
    data.number("deployment", body->deployment);
    data.raw("data",
             value_json(loaded->program().types, loaded->event_types[topic.event], body->data));
  }

  void describe_start(const Record& record, ObjectWriter& data) {
    const auto body = decode<Start>(record.body);
    const LoadedProgram* loaded = body ? impl_.load_program(body->deployment) : nullptr;
    if (loaded == nullptr || body->flow >= loaded->program().flows.size()) return;
    const vm::FlowInfo& flow = loaded->program().flows[body->flow];
    data.text("flow", flow.name);
    data.text("id", body->id);
    if (!body->client.empty()) data.text("client", body->client);
    data.number("deployment", body->deployment);
    data.raw("args", arguments_json(loaded->program(), flow, body->args));
  }

  static std::string arguments_json(const vm::Program& program, const vm::FlowInfo& flow,
                                    std::string_view bytes) {
    const auto args = vm::decode_value(bytes);
    ObjectWriter named;
    if (!args || args->count() != flow.parameters.size()) return named.finish();
    for (std::size_t i = 0; i < flow.parameters.size(); ++i) {
      named.raw(flow.parameters[i].name,
                vm::to_json(program.types, flow.parameters[i].type, args->elements()[i]));
    }
    return named.finish();
  }

  // What came from another run.
  void describe_message(const Record& record, HistoryEntry& entry, ObjectWriter& data) {
    const auto message = decode<Message>(record.body);
    const auto envelope = message ? decode<Envelope>(message->body) : std::nullopt;
    if (!envelope) return;
    entry.causation = envelope->causation;
    data.text("message", message_kind_name(envelope->kind));
    if (!envelope->run.is_nil()) data.text("from", to_text(envelope->run));
    if (envelope->kind == MessageKind::signal) {
      if (const auto body = decode<SignalMessage>(envelope->body)) {
        data.text("event", body->name);
        if (!body->topic.empty()) data.text("topic", body->topic);
        data.raw("data", body->data_json);
      }
    } else if (envelope->kind == MessageKind::turn) {
      describe_turn(*envelope, data);
    } else if (envelope->kind == MessageKind::ended) {
      describe_end(*envelope, entry, data);
    } else if (envelope->kind == MessageKind::cancel) {
      if (const auto body = decode<CancelMessage>(envelope->body)) {
        data.text("reason", body->message);
      }
    } else if (const auto told = described(*envelope)) {
      data.text(told->kind == MessageKind::publish ? "topic" : "flow", told->name);
      data.raw(told->kind == MessageKind::publish ? "data" : "args", told->data_json);
    }
  }

  void describe_end(const Envelope& envelope, HistoryEntry& entry, ObjectWriter& data) {
    const auto body = decode<EndedMessage>(envelope.body);
    const RunEntry* run = impl_.find_run(run_);
    if (!body || run == nullptr) return;
    about_step(entry, body->step);
    const vm::Program& program = run->loaded->program();
    if (body->event && *body->event < program.events.size()) {
      data.text("outcome", program.events[*body->event].name);
      data.raw("data",
               value_json(program.types, run->loaded->event_types[*body->event], body->value));
    } else if (!body->completed) {
      data.text("failure", body->kind);
      data.text("reason", body->message);
    }
  }

  // A publish or start; nothing for other kinds.
  std::optional<HistoryMessage> described(const Envelope& envelope) const {
    HistoryMessage told;
    told.kind = envelope.kind;
    if (envelope.kind == MessageKind::publish) {
      const auto body = decode<PublishMessage>(envelope.body);
      const LoadedProgram* loaded = body ? impl_.load_program(body->deployment) : nullptr;
      if (loaded == nullptr || body->topic >= loaded->program().topics.size()) return std::nullopt;
      const vm::TopicInfo& topic = loaded->program().topics[body->topic];
      told.name = topic.name;
      told.event = loaded->program().events[topic.event].name;
      told.data_json =
          value_json(loaded->program().types, loaded->event_types[topic.event], body->data);
      return told;
    }
    if (envelope.kind != MessageKind::start) return std::nullopt;
    const auto body = decode<StartMessage>(envelope.body);
    const LoadedProgram* loaded = body ? impl_.load_program(body->deployment) : nullptr;
    if (loaded == nullptr || body->flow >= loaded->program().flows.size()) return std::nullopt;
    const vm::FlowInfo& flow = loaded->program().flows[body->flow];
    told.name = flow.name;
    told.run = body->run;
    told.data_json = arguments_json(loaded->program(), flow, body->args);
    const RunEntry* run = impl_.find_run(run_);
    const StepEntry* step = run == nullptr ? nullptr : run->find_step(body->step);
    if (step != nullptr) told.step = step->path;
    return told;
  }

  // What this run sent: events, starts of runs, and cancels of those.
  void note_messages(HistoryEntry& entry) const {
    for (std::size_t i = 0; i < entry.effects.size(); ++i) {
      const auto* send = std::get_if<Send>(&entry.effects[i]);
      const auto envelope = send == nullptr ? std::nullopt : decode<Envelope>(send->body);
      if (!envelope || !(envelope->run == run_)) continue;
      auto told = described(*envelope);
      if (envelope->kind == MessageKind::cancel) {
        told.emplace();
        told->kind = envelope->kind;
        if (const auto body = decode<CancelMessage>(envelope->body)) told->run = body->run;
      }
      if (!told) continue;
      told->effect = i;
      entry.messages.push_back(std::move(*told));
    }
  }

  static void describe_sent(const HistoryMessage& told, ObjectWriter& object) {
    if (told.kind == MessageKind::publish) {
      object.text("published", told.event);
      object.text("topic", told.name);
      object.raw("data", told.data_json);
    } else if (told.kind == MessageKind::start) {
      object.text("started", told.name);
      object.text("run", to_text(told.run));
      if (!told.step.empty()) object.text("step", told.step);
      object.raw("args", told.data_json);
    } else {
      object.text("called_off", to_text(told.run));
    }
  }

  void describe_signal(const Record& record, ObjectWriter& data) {
    const auto body = decode<Signal>(record.body);
    const RunEntry* run = impl_.find_run(run_);
    if (!body || run == nullptr || body->event >= run->loaded->program().events.size()) return;
    const vm::Program& program = run->loaded->program();
    data.text("event", program.events[body->event].name);
    data.text("id", body->id);
    if (!body->client.empty()) data.text("client", body->client);
    data.raw("data", value_json(program.types, run->loaded->event_types[body->event], body->data));
  }

  void describe_presence(const Record& record, ObjectWriter& data) {
    const auto body = decode<Presence>(record.body);
    const RunEntry* run = impl_.find_run(run_);
    if (!body || run == nullptr) return;
    data.text("event", body->away ? vm::kAwayEvent : vm::kBackEvent);
    const vm::Value since = vm::Value::timestamp(told_since(*run, *body, record.time));
    data.raw("since", vm::to_json(run->loaded->program().types, vm::kTypeTimestamp, since));
  }

  // What a run under way hears of one that waits, or that this one has joined another.
  void describe_join(const Record& record, ObjectWriter& data) {
    const auto body = decode<Join>(record.body);
    const RunEntry* run = impl_.find_run(run_);
    if (!body || run == nullptr) return;
    const vm::Program& program = run->loaded->program();
    switch (body->what) {
      case Join::What::signal:
        if (body->event >= program.events.size()) return;
        data.text("event", program.events[body->event].name);
        data.text("from", to_text(body->other));
        data.raw("data",
                 value_json(program.types, run->loaded->event_types[body->event], body->data));
        return;
      case Join::What::taken_back:
        data.text("taken_back", to_text(body->other));
        return;
      case Join::What::joined:
        data.text("joined", to_text(body->other));
        return;
    }
  }

  // A run that another partition sent here, because its key counts here.
  void describe_turn(const Envelope& envelope, ObjectWriter& data) {
    const auto body = decode<TurnMessage>(envelope.body);
    const LoadedProgram* loaded = body ? impl_.load_program(body->deployment) : nullptr;
    if (loaded == nullptr || body->flow >= loaded->program().flows.size()) return;
    const vm::FlowInfo& flow = loaded->program().flows[body->flow];
    data.text("flow", flow.name);
    if (!body->client.empty()) data.text("client", body->client);
    data.number("deployment", body->deployment);
    data.raw("args", arguments_json(loaded->program(), flow, body->args));
  }

  void describe_cron(const Record& record, ObjectWriter& data) {
    const auto body = decode<Cron>(record.body);
    const LoadedProgram* loaded = body ? impl_.load_program(body->deployment) : nullptr;
    if (loaded == nullptr || body->flow >= loaded->program().flows.size()) return;
    const vm::FlowInfo& flow = loaded->program().flows[body->flow];
    data.text("flow", flow.name);
    data.number("deployment", body->deployment);
    if (flow.schedule) data.text("schedule", flow.schedule->cron);
    if (flow.schedule) data.text("zone", flow.schedule->zone);
    data.raw("instant", vm::to_json(loaded->program().types, vm::kTypeTimestamp,
                                    vm::Value::timestamp(body->instant)));
  }

  void describe_done(const Record& record, HistoryEntry& entry, ObjectWriter& data) {
    const auto body = decode<Done>(record.body);
    const RunEntry* run = impl_.find_run(run_);
    if (!body || run == nullptr) return;
    about_step(entry, body->step, body->attempt);
    const StepEntry* step = run->find_step(body->step);
    if (step == nullptr) return;
    const vm::Program& program = run->loaded->program();
    const OpenAttempt* attempt = step->find_attempt(body->attempt);
    const OpenAttempt& named = attempt != nullptr ? *attempt : step->first;
    const vm::TaskInfo& task = program.tasks[impl_.site_of(*run, *step, named).task];
    data.text("task", task.name);
    data.raw("result", value_json(program.types, task.result, body->result));
  }

  void describe_failed(const Record& record, HistoryEntry& entry, ObjectWriter& data) {
    const auto body = decode<Failed>(record.body);
    if (!body) return;
    about_step(entry, body->step, body->attempt);
    data.text("failure", body->kind);
    data.text("message", body->message);
    data.flag("retry", body->retry);
    if (body->retry_after_ms > 0) data.number("retry_after_ms", body->retry_after_ms);
  }

  void about_step(HistoryEntry& entry, StepNumber number, std::uint32_t attempt = 0) const {
    const RunEntry* run = impl_.find_run(run_);
    const StepEntry* step = run == nullptr ? nullptr : run->find_step(number);
    if (step == nullptr) return;
    entry.step = step->path;
    entry.attempt = attempt != 0 ? attempt : step->first.attempt;
  }

  void about_timer(HistoryEntry& entry, StepNumber number, ObjectWriter& data) const {
    const RunEntry* run = impl_.find_run(run_);
    const TimerEntry* timer = run == nullptr ? nullptr : run->find_timer(number);
    if (timer == nullptr) return;
    entry.step = timer->path;
    data.text("timer", timer_use_name(timer->use));
  }

  // What the record led to, as a list of objects; empty: nothing of this run.
  std::string describe_effects(const HistoryEntry& entry) const {
    std::string out;
    const auto add = [&](ObjectWriter& object) {
      out += out.empty() ? "[" : ",";
      out += object.finish();
    };
    auto sent = entry.messages.begin();
    for (std::size_t i = 0; i < entry.effects.size(); ++i) {
      const Effect& effect = entry.effects[i];
      ObjectWriter object;
      if (sent != entry.messages.end() && sent->effect == i) {
        describe_sent(*sent++, object);
        add(object);
        continue;
      }
      if (const auto* offer = std::get_if<Offer>(&effect); offer && offer->key.run == run_) {
        object.text("attempt_of", offer->path);
        object.text("task", offer->task);
        object.number("attempt", offer->key.attempt);
        object.raw("args", offer->args_json);
        add(object);
      } else if (const auto* revoke = std::get_if<Revoke>(&effect);
                 revoke && revoke->key.run == run_) {
        object.text("revoked", revoke->why);
        object.number("attempt", revoke->key.attempt);
        add(object);
      } else if (const auto* delivery = std::get_if<Delivery>(&effect);
                 delivery && delivery->run == run_) {
        object.text("delivered", delivery->name);
        const auto group = group_of(delivery->client);
        object.text(group ? "group" : "client", group.value_or(delivery->client));
        if (delivery->outcome) object.flag("outcome", true);
        object.raw("data", delivery->data_json);
        add(object);
      } else if (const auto* dead = std::get_if<DeadLettered>(&effect); dead && dead->run == run_) {
        object.text("dead_letter", dead->path);
        object.text("failure", dead->kind);
        object.text("message", dead->message);
        add(object);
      } else if (const auto* line = std::get_if<LogLine>(&effect); line && line->run == run_) {
        object.text("log", line->text);
        object.text("step", line->path);
        add(object);
      } else if (const auto* ended = std::get_if<RunChanged>(&effect);
                 ended && ended->row.run == run_) {
        object.text("ended", run_state_word(ended->row.state));
        if (!ended->row.why.empty()) object.text("why", ended->row.why);
        if (!ended->row.outcome_name.empty()) object.text("outcome", ended->row.outcome_name);
        add(object);
      }
    }
    return out.empty() ? out : out + "]";
  }

  void take_row(const Effects& effects, RunRow& row) const {
    for (const Effect& effect : effects) {
      const auto* ended = std::get_if<RunChanged>(&effect);
      if (ended != nullptr && ended->row.run == run_) row = ended->row;
    }
  }

  RunId run_;
  Partition partition_;
  Partition::Impl& impl_;
  std::map<Seq, std::string> names_;
};

tl::expected<RunHistory, std::string> tell_history(PartitionId partition, unsigned partitions,
                                                   const RunId& run,
                                                   const std::vector<Record>& records,
                                                   ProgramSource& programs,
                                                   DeploymentNumber newest) {
  if (records.empty()) return tl::unexpected(std::string("there are no records"));
  return HistoryTeller(partition, partitions, run, programs, newest).tell(records);
}

}  // namespace sluice::core
