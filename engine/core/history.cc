#include "engine/core/history.hpp"

#include <map>

#include "engine/core/message.hpp"
#include "engine/core/partition_impl.hpp"
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
    case TimerNumber::Kind::wait:
      return "wait";
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
  HistoryTeller(PartitionId partition, const RunId& run, ProgramSource& programs)
      : run_(run), partition_(config_of(partition), programs), impl_(*partition_.impl_) {}

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
      if (applied->cause_seq != 0) entry.causation = name_of(applied->cause_seq);
      note(record);
      if (const std::string then = describe_effects(entry.effects); !then.empty()) {
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
  static Partition::Config config_of(PartitionId partition) {
    Partition::Config config;
    config.id = partition;
    config.partitions = kPartitionsMax;  // any: with one_run, homes do not matter
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
      case Kind::cancel:
        if (const auto body = decode<Cancel>(record.body)) data.text("message", body->message);
        return;
      case Kind::signal:
        return describe_signal(record, data);
      case Kind::message:
        return describe_message(record, data);
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
      case Kind::advance:
        if (const auto body = decode<Advance>(record.body)) {
          const TimerNumber timer = TimerNumber::from_n(body->timer);
          if (timer.kind == TimerNumber::Kind::wait) {
            about_timer(entry, timer.step, data);
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
    const auto args = vm::decode_value(body->args);
    if (!args || args->count() != flow.parameters.size()) return;
    ObjectWriter named;
    for (std::size_t i = 0; i < flow.parameters.size(); ++i) {
      named.raw(flow.parameters[i].name,
                vm::to_json(loaded->program().types, flow.parameters[i].type, args->elements()[i]));
    }
    data.raw("args", named.finish());
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

  void describe_message(const Record& record, ObjectWriter& data) {
    const auto message = decode<Message>(record.body);
    const auto envelope = message ? decode<Envelope>(message->body) : std::nullopt;
    if (!envelope) return;
    data.text("message", message_kind_name(envelope->kind));
    if (envelope->kind != MessageKind::signal) return;
    const auto body = decode<SignalMessage>(envelope->body);
    if (!body) return;
    data.text("event", body->name);
    if (!body->topic.empty()) data.text("topic", body->topic);
    data.raw("data", body->data_json);
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
  std::string describe_effects(const Effects& effects) const {
    std::string out;
    const auto add = [&](ObjectWriter& object) {
      out += out.empty() ? "[" : ",";
      out += object.finish();
    };
    for (const Effect& effect : effects) {
      ObjectWriter object;
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

tl::expected<RunHistory, std::string> tell_history(PartitionId partition, const RunId& run,
                                                   const std::vector<Record>& records,
                                                   ProgramSource& programs) {
  if (records.empty()) return tl::unexpected(std::string("there are no records"));
  return HistoryTeller(partition, run, programs).tell(records);
}

}  // namespace sluice::core
