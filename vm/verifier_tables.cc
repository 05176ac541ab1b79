#include "vm/verifier_tables.hpp"

#include <iterator>
#include <set>

#include "vm/cron.hpp"

namespace sluice::vm {
namespace {

// Throws nothing: the first problem is kept, later checks are skipped by their callers or harmless.
class Tables {
 public:
  explicit Tables(const Program& program) : program_(program) {}

  std::optional<std::string> run() {
    types();
    if (!problem_) records();
    if (!problem_) constants();
    if (!problem_) edge();
    if (!problem_) tasks();
    if (!problem_) flows();
    if (!problem_) receives();
    if (!problem_) unique();
    return problem_;
  }

 private:
  void say(std::string text) {
    if (!problem_) problem_ = std::move(text);
  }
  void require(bool holds, const std::string& text) {
    if (!holds) say(text);
  }

  bool is_type(TypeId id) const { return program_.types.contains(id); }
  const Function* function(uint32_t index) const {
    return index < program_.functions.size() ? &program_.functions[index] : nullptr;
  }
  bool is_function(uint32_t index, FunctionKind kind, size_t parameters) const {
    const Function* found = function(index);
    return found != nullptr && found->kind == kind && found->parameters == parameters;
  }

  void types() {
    const TypeTable& table = program_.types;
    const TypeTable builtin;
    require(table.types.size() >= kBuiltinTypes && !table.records.empty() &&
                std::equal(builtin.types.begin(), builtin.types.end(), table.types.begin()) &&
                table.records[0] == builtin.records[0],
            "the type table does not begin with the builtin types");
    for (uint32_t i = 0; i < table.types.size() && !problem_; ++i) {
      const Type& type = table.types[i];
      bool fits = false;
      switch (type.kind) {
        case Kind::list:
        case Kind::map:
          fits = type.argument < i;
          break;
        case Kind::optional:
          fits = type.argument < i && table.types[type.argument].kind != Kind::optional;
          break;
        case Kind::record:
          fits = type.argument < table.records.size();
          break;
        case Kind::enumeration:
          fits = type.argument < table.enums.size();
          break;
        default:
          fits = type.argument == 0;
          break;
      }
      require(fits, "type " + std::to_string(i) + " is malformed");
    }
  }

  void fields(const std::string& owner, const std::vector<FieldType>& list, bool of_case) {
    std::set<std::string_view> names;
    for (const FieldType& field : list) {
      std::string where = "field `" + field.name + "` of " + owner;
      require(!field.name.empty() && names.insert(field.name).second, where + " is there twice");
      require(!of_case || field.name != "case", where + " takes the name of the case itself");
      require(is_type(field.type), where + " has no type");
      require((field.labels & ~(kLabelPii | kLabelSecret)) == 0, where + " has unknown labels");
      if (field.where_function) {
        require(is_function(*field.where_function, FunctionKind::pure, 1),
                where + " has a constraint that is no function of one parameter");
      }
      if (problem_ || !field.default_value) continue;
      auto value = decode_value(*field.default_value);
      require(value && conforms(program_.types, field.type, *value),
              where + " has a default of another type");
    }
  }

  void records() {
    for (const RecordType& record : program_.types.records) {
      fields("record `" + record.name + "`", record.fields, false);
    }
    for (const EnumType& enumeration : program_.types.enums) {
      std::set<std::string_view> names;
      require(!enumeration.cases.empty(), "enum `" + enumeration.name + "` has no case");
      for (const EnumCase& which : enumeration.cases) {
        require(!which.name.empty() && names.insert(which.name).second,
                "case `" + which.name + "` of `" + enumeration.name + "` is there twice");
        fields("case `" + which.name + "`", which.fields, true);
      }
    }
  }

  void constants() {
    for (uint32_t i = 0; i < program_.constants.size() && !problem_; ++i) {
      auto value = decode_value(program_.constants[i]);
      if (!value) say("constant " + std::to_string(i) + " is malformed: " + value.error().message);
    }
  }

  void upgrades(const EventInfo& event) {
    uint32_t last = 0;
    for (const EventUpgrade& upgrade : event.upgrades) {
      const std::string which =
          "the upgrade of `" + event.name + "` v" + std::to_string(upgrade.from);
      require(upgrade.from > last && upgrade.from < upgrade.to, which + " is out of order");
      require(is_type(upgrade.type), which + " has no type");
      require(is_function(upgrade.function, FunctionKind::pure, 1),
              which + " is no function of one parameter");
      require(upgrade.to == event.version || event.upgrade_of(upgrade.to) != nullptr,
              which + " leads nowhere");
      last = upgrade.from;
    }
  }

  void counted(const std::string& what, Per per, const std::optional<uint32_t>& function,
               size_t parameters) {
    require((per == Per::key) == function.has_value(),
            what + " counts by a key without a function, or has one without a key");
    if (!function) return;
    require(is_function(*function, FunctionKind::pure, parameters),
            what + " counts by what is no function of that many parameters");
  }

  void limit(const std::string& what, const std::optional<RateLimit>& limit, size_t parameters) {
    if (!limit) return;
    require(limit->count > 0 && limit->per_ms > 0, what + " has a rate of nothing");
    counted("the rate of " + what, limit->per, limit->key_function, parameters);
  }

  void admission(const std::string& what, const FlowInfo& flow) {
    limit(what, flow.limit, flow.parameters.size());
    if (flow.concurrency) {
      require(flow.concurrency->runs > 0, what + " lets no run go on");
      counted("the concurrency of " + what, flow.concurrency->per, flow.concurrency->key_function,
              flow.parameters.size());
    }
    if (!flow.schedule) return;
    require(!flow.trigger && flow.parameters.empty(), what + " is scheduled, and wants an event");
    require(parse_cron(flow.schedule->cron).has_value(), what + " has a schedule that is none");
  }

  void edge() {
    const Program& p = program_;
    for (const EventInfo& event : p.events) {
      require(event.record < p.types.records.size(), "event `" + event.name + "` has no record");
      require(event.version >= 1, "event `" + event.name + "` has no version");
      upgrades(event);
    }
    for (const TopicInfo& topic : p.topics) {
      require(topic.event < p.events.size(), "topic `" + topic.name + "` has no event");
      limit("topic `" + topic.name + "`", topic.limit, 1);
      if (!topic.order_function) continue;
      require(is_function(*topic.order_function, FunctionKind::pure, 1),
              "topic `" + topic.name + "` is ordered by what is no function of one parameter");
    }
  }

  static bool is_segment(const std::string& name) {
    return !name.empty() && name.find_first_of("/#") == std::string::npos;
  }

  void tasks() {
    const Program& p = program_;
    for (const TaskInfo& task : p.tasks) {
      for (const Parameter& parameter : task.parameters) {
        require(is_type(parameter.type), "task `" + task.name + "` has a parameter without type");
      }
      require(is_type(task.result), "task `" + task.name + "` has no result type");
      require(task.pool < p.pools.size(), "task `" + task.name + "` has no pool");
    }
    for (const StepSite& step : p.steps) {
      require(is_segment(step.name), "step `" + step.name + "` has a name unfit for a path");
      if (step.flow) {
        child(step);
      } else {
        require(step.task < p.tasks.size(), "step `" + step.name + "` has no task");
        require(!step.outcomes, "step `" + step.name + "` has outcomes and no flow");
      }
      require(step.attempts >= 1, "step `" + step.name + "` has no attempt");
      require(step.backoff_min_ms <= step.backoff_max_ms && step.backoff_factor_milli >= 1000,
              "step `" + step.name + "` has a backoff that shrinks");
      require(step.priority < std::size(kPriorities), "step `" + step.name + "` has no priority");
    }
    for (const StepSite& step : p.steps) hedge(step);
  }

  void hedge(const StepSite& step) {
    const std::string name = "step `" + step.name + "`";
    if (step.hedge_after_ms != 0) {
      require(step.idempotent || step.keyed, name + " is hedged and may not be repeated");
    }
    if (!step.hedge_site) return;
    require(step.hedge_after_ms != 0, name + " has a hedge that never begins");
    require(*step.hedge_site < program_.steps.size(), name + " is hedged by no step");
    if (problem_) return;
    const StepSite& other = program_.steps[*step.hedge_site];
    require(other.hedge_after_ms == 0 && !other.has_key_expr,
            name + " is hedged by a step with a hedge or key of its own");
  }

  // A step that runs a flow: one attempt, and a value that says which outcome it was.
  void child(const StepSite& step) {
    const Program& p = program_;
    const std::string name = "step `" + step.name + "`";
    require(*step.flow < p.flows.size(), name + " has no flow");
    require(step.task == 0 && step.attempts == 1 && !step.has_key_expr && !step.has_unsure,
            name + " runs a flow and has policies of a task");
    if (problem_) return;
    const std::vector<uint32_t>& events = p.flows[*step.flow].outcomes;
    require(step.outcomes.has_value() == (events.size() > 1), name + " cannot tell its outcomes");
    if (problem_ || !step.outcomes) return;
    const bool known = *step.outcomes < p.types.enums.size() &&
                       p.types.enums[*step.outcomes].cases.size() == events.size();
    require(known, name + " has other outcomes than its flow");
    for (size_t i = 0; i < events.size() && !problem_; ++i) {
      const EnumCase& which = p.types.enums[*step.outcomes].cases[i];
      const bool one =
          events[i] < p.events.size() && which.fields.size() == 1 &&
          is_type(which.fields[0].type) &&
          p.types[which.fields[0].type] == Type{Kind::record, p.events[events[i]].record};
      require(one, name + " has other outcomes than its flow");
    }
  }

  void flows() {
    const Program& p = program_;
    for (const FlowInfo& flow : p.flows) {
      std::string name = "flow `" + flow.name + "`";
      require(is_function(flow.function, FunctionKind::flow, flow.parameters.size()),
              name + " has no function of that many parameters");
      if (flow.on_failure) {
        require(is_function(*flow.on_failure, FunctionKind::handler, flow.parameters.size() + 1),
                name + " has no fitting function for `on failure`");
      }
      for (const Parameter& parameter : flow.parameters) {
        require(is_type(parameter.type), name + " has a parameter without type");
      }
      for (uint32_t event : flow.outcomes) {
        require(event < p.events.size(), name + " has an outcome that is no event");
      }
      admission(name, flow);
      if (problem_ || !flow.trigger) continue;
      require(*flow.trigger < p.topics.size(), name + " is triggered by no topic");
      if (problem_) continue;
      Type wanted{Kind::record, p.events[p.topics[*flow.trigger].event].record};
      require(flow.parameters.size() == 1 && p.types[flow.parameters[0].type] == wanted,
              name + " does not take its topic's event");
    }
  }

  void receives() {
    const Program& p = program_;
    for (const ReceiveSite& site : p.receives) {
      const std::string name = "receive `" + site.name + "`";
      require(is_segment(site.name), name + " has a name unfit for a path");
      require(site.flow < p.flows.size(), name + " is of no flow");
      require(site.event < p.events.size(), name + " waits for no event");
      require(!site.topic || *site.topic < p.topics.size(), name + " is from no topic");
      if (problem_) return;
      const auto fields = p.types.records[p.events[site.event].record].fields.size();
      require(site.topic ? p.topics[*site.topic].event == site.event && site.key_field < fields
                         : site.key_field == 0,
              name + " does not fit its topic");
      if (!site.filter) continue;
      const Function* filter = function(*site.filter);
      require(filter != nullptr && filter->kind == FunctionKind::pure && filter->parameters >= 1,
              name + " is filtered by what is no function of its event");
    }
  }

  template <class Items>
  void unique_names(const Items& items, const std::string& what) {
    std::set<std::string_view> names;
    for (const auto& item : items) {
      require(!item.name.empty() && names.insert(item.name).second,
              what + " `" + item.name + "` is there twice");
    }
  }

  void unique() {
    unique_names(program_.events, "event");
    unique_names(program_.topics, "topic");
    unique_names(program_.pools, "pool");
    unique_names(program_.tasks, "task");
    unique_names(program_.flows, "flow");
  }

  const Program& program_;
  std::optional<std::string> problem_;
};

}  // namespace

std::optional<std::string> check_tables(const Program& program) {
  return Tables(program).run();
}

}  // namespace sluice::vm
