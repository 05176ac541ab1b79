// The tables of the artifact: types, events, topics, pools, tasks, step sites.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/codegen/generator.hpp"
#include "compiler/engine_events.hpp"

namespace sluice::compiler {

using namespace ir;

// The pool of tasks that name none.
inline constexpr const char* kDefaultPool = "default";

vm::TypeId Generator::type(TypeId type) {
  if (const auto known = types_.find(type); known != types_.end()) return known->second;
  const TypeInfo& info = program_.types[type];
  vm::TypeId made = vm::kTypeNone;
  switch (info.kind) {
    case TypeKind::kPoison:
    case TypeKind::kNone:
    case TypeKind::kEmpty:
      break;
    case TypeKind::kBool:
      made = vm::kTypeBool;
      break;
    case TypeKind::kInt:
      made = vm::kTypeInt;
      break;
    case TypeKind::kFloat:
      made = vm::kTypeFloat;
      break;
    case TypeKind::kString:
      made = vm::kTypeString;
      break;
    case TypeKind::kDuration:
      made = vm::kTypeDuration;
      break;
    case TypeKind::kDecimal:
      made = out_.types.scalar(vm::Kind::decimal);
      break;
    case TypeKind::kTimestamp:
      made = vm::kTypeTimestamp;
      break;
    case TypeKind::kBytes:
      made = vm::kTypeBytes;
      break;
    case TypeKind::kJson:
      made = out_.types.scalar(vm::Kind::json);
      break;
    case TypeKind::kList:
      made = out_.types.list_of(this->type(info.element));
      break;
    case TypeKind::kMap:
      made = out_.types.map_of(this->type(info.element));
      break;
    case TypeKind::kOptional:
      made = out_.types.optional_of(this->type(info.element));
      break;
    case TypeKind::kRecord:
      made = out_.types.record_type(info.record->index);
      break;
    case TypeKind::kEnum:
      made = out_.types.enum_type(info.enumeration->index);
      break;
  }
  types_.emplace(type, made);
  return made;
}

// Records and enums get their numbers first, since their fields may lead to each other.
void Generator::types_of_data() {
  for (const RecordDef& def : program_.records) {
    if (def.index == vm::kFailureRecord) continue;
    out_.types.records.push_back({def.name, {}});
  }
  for (const EnumDef& def : program_.enums) out_.types.enums.push_back({def.name, {}});
  for (const RecordDef& def : program_.records) {
    if (def.index == vm::kFailureRecord) continue;
    for (const FieldDef& each : def.fields) {
      vm::FieldType made = field(each, def.name);
      out_.types.records[def.index].fields.push_back(std::move(made));
    }
  }
  for (const EnumDef& def : program_.enums) {
    for (const CaseDef& each : def.cases) {
      vm::EnumCase made{each.name, {}};
      for (const FieldDef& part : each.fields) {
        made.fields.push_back(field(part, def.name + "." + each.name));
      }
      out_.types.enums[def.index].cases.push_back(std::move(made));
    }
  }
}

vm::FieldType Generator::field(const FieldDef& def, const std::string& owner) {
  vm::FieldType made;
  made.name = def.name;
  made.type = type(def.type);
  if (def.folded_default) made.default_value = vm::encode_value(*def.folded_default);
  if (def.where == nullptr) return made;
  const std::uint32_t index = reserve();
  FunctionCode code(*this, fmt::format("{}.{} where", owner, def.name), vm::FunctionKind::pure, 1);
  code.bind(def.self, {0});
  code.pure_body(*def.where);
  put(index, code.builder(), def.span);
  made.where_function = index;
  made.where_text = sources_.file(def.span.file).text_of(def.tree->where->span);
  if (made.where_text.size() > vm::kWhereBytesMax) {
    too_large(def.tree->where->span, "this constraint is too long for the message that names it");
  }
  return made;
}

void Generator::events() {
  for (const RecordDef& def : program_.records) {
    if (!def.is_event || !def.crosses_edge) continue;
    events_.emplace(&def, static_cast<std::uint32_t>(out_.events.size()));
    type(def.type);  // what comes in is read by it
    out_.events.push_back({wire_name(def), def.version, def.index, {}});
  }
  for (const UpgradeDef& def : program_.upgrades) {
    const auto event = events_.find(def.event);
    if (event == events_.end()) continue;  // nobody sends it
    const auto& node = std::get<ast::UpgradeDecl>(def.tree->node);
    const std::uint32_t function = reserve();
    FunctionCode code(
        *this, fmt::format("{} v{} -> v{}", def.event->name, node.from_version, node.to_version),
        vm::FunctionKind::pure, 1);
    code.bind(def.old, {0});
    code.pure_body(*def.value);
    put(function, code.builder(), def.tree->name.span);
    out_.events[event->second].upgrades.push_back(
        {node.from_version, node.to_version, type(def.old->type), function});
  }
  for (vm::EventInfo& event : out_.events) {
    std::sort(event.upgrades.begin(), event.upgrades.end(),
              [](const auto& a, const auto& b) { return a.from < b.from; });
  }
}

void Generator::topics() {
  for (const TopicDef& def : program_.topics) {
    vm::TopicInfo info;
    info.name = def.name;
    info.event = event_of(*def.event);
    info.dedupe_ms = static_cast<std::uint64_t>(def.dedupe_ms);
    info.retain_ms = static_cast<std::uint64_t>(def.retain_ms);
    info.ttl_ms = static_cast<std::uint64_t>(def.ttl_ms);
    if (def.key != nullptr) {
      info.order_function = reserve();
      FunctionCode code(*this, def.name + " order by", vm::FunctionKind::pure, 1);
      code.bind(def.event_local, {0});
      code.pure_body(*def.key);
      put(*info.order_function, code.builder(), def.tree->name.span);
    }
    if (def.limit) info.limit = limit(*def.limit, {def.event_local});
    topics_.emplace(&def, static_cast<std::uint32_t>(out_.topics.size()));
    out_.topics.push_back(std::move(info));
  }
}

vm::RateLimit Generator::limit(const LimitDef& def, const std::vector<Local*>& parameters) {
  vm::RateLimit made;
  made.count = def.count;
  made.per_ms = static_cast<std::uint64_t>(def.per_ms);
  made.burst = static_cast<std::uint64_t>(def.burst);
  made.per = def.per;
  if (def.key != nullptr) made.key_function = key_function("limit key", *def.key, parameters);
  return made;
}

std::uint32_t Generator::key_function(const std::string& name, const Expr& key,
                                      const std::vector<Local*>& parameters) {
  const std::uint32_t index = reserve();
  FunctionCode code(*this, name, vm::FunctionKind::pure,
                    static_cast<std::uint16_t>(parameters.size()));
  for (std::uint32_t i = 0; i < parameters.size(); ++i) code.bind(parameters[i], {i});
  code.pure_body(key);
  put(index, code.builder(), key.span);
  return index;
}

void Generator::pools_and_tasks() {
  for (const PoolDef& def : program_.pools) {
    pools_.emplace(&def, static_cast<std::uint32_t>(out_.pools.size()));
    out_.pools.push_back({def.name, static_cast<std::uint32_t>(def.slots)});
  }
  for (const TaskDef& def : program_.tasks) {
    vm::TaskInfo info;
    info.name = def.name;
    for (const FieldDef& parameter : def.parameters) {
      info.parameters.push_back({parameter.name, type(parameter.type)});
    }
    if (def.result) info.result = type(*def.result);
    info.kinds = def.kinds;
    if (def.policies.pool) {
      info.pool = pools_.at(def.policies.pool->value);
    } else {
      auto pool = vm::find_by_name(out_.pools, kDefaultPool);
      if (!pool) {
        pool = static_cast<std::uint32_t>(out_.pools.size());
        out_.pools.push_back({kDefaultPool, 0});
      }
      info.pool = *pool;
    }
    tasks_.emplace(&def, static_cast<std::uint32_t>(out_.tasks.size()));
    out_.tasks.push_back(std::move(info));
  }
}

std::uint32_t Generator::add_site(const StepDef& step) {
  const Policies& policies = step.policies;
  vm::StepSite site;
  site.name = step.name;
  if (step.flow != nullptr) {
    site.flow = flow_of(*step.flow);
    if (step.flow->outcome != nullptr) site.outcomes = step.flow->outcome->index;
  } else {
    site.task = tasks_.at(step.task);
  }
  const auto ms = [](const std::optional<Said<std::int64_t>>& said) {
    return said ? static_cast<std::uint64_t>(said->value) : 0;
  };
  site.timeout_ms = ms(policies.timeout_ms);
  site.within_ms = ms(policies.within_ms);
  site.queue_ms = ms(policies.queue_ms);
  site.heartbeat_ms = ms(policies.heartbeat_ms);
  if (policies.attempts) {
    const Attempts& attempts = policies.attempts->value;
    site.attempts = static_cast<std::uint32_t>(attempts.count);
    site.backoff_min_ms = static_cast<std::uint64_t>(attempts.backoff_from_ms);
    site.backoff_max_ms = static_cast<std::uint64_t>(attempts.backoff_to_ms);
    site.backoff_factor_milli = static_cast<std::uint32_t>(attempts.factor_milli);
    site.jitter = attempts.jitter;
    for (const auto& [kind, span] : attempts.kinds) site.retry_on.push_back(kind);
  }
  site.idempotent = policies.idempotent.has_value();
  site.readonly = policies.readonly.has_value();
  site.keyed = policies.keyed.has_value();
  site.has_key_expr = policies.keyed && policies.keyed->value != nullptr;
  site.stream = policies.stream.has_value();
  site.keep = policies.keep.has_value();
  site.has_compensation = policies.compensate.has_value();
  site.has_unsure = policies.unsure.has_value();
  if (policies.hedge) {
    site.hedge_after_ms = static_cast<std::uint64_t>(policies.hedge->value.after_ms);
    if (policies.hedge->value.call != nullptr) {
      site.hedge_site = add_hedge(*policies.hedge->value.call);
    }
  }
  if (policies.priority) site.priority = policies.priority->value;
  if (policies.breaker) site.breaker = policies.breaker->value;
  out_.steps.push_back(std::move(site));
  return static_cast<std::uint32_t>(out_.steps.size() - 1);
}

std::uint32_t Generator::add_receive(const Receive& node, std::optional<std::uint32_t> filter) {
  vm::ReceiveSite site;
  site.name = node.local->name;
  site.flow = static_cast<std::uint32_t>(out_.flows.size());
  site.event = event_of(*node.event);
  site.filter = filter;
  if (node.topic != nullptr) {
    site.topic = topics_.at(node.topic);
    site.key_field = node.key_field;
  }
  out_.receives.push_back(std::move(site));
  return static_cast<std::uint32_t>(out_.receives.size() - 1);
}

// One attempt: what its task says of repeating it does not count.
std::uint32_t Generator::add_hedge(const StepDef& step) {
  StepDef once = step;
  once.policies.attempts.reset();
  once.policies.within_ms.reset();
  once.policies.hedge.reset();
  return add_site(once);
}

bool Generator::check_limits() {
  const std::size_t errors = diagnostics_.error_count();
  const Span start{program_.modules.front().file, 0, 0};
  const auto at_most = [&](Span span, std::size_t count, std::size_t most, std::string_view what) {
    if (count > most) too_large(span, fmt::format("{} {}; {} at most", count, what, most));
  };
  at_most(start, program_.records.size(), vm::kRecordsMax, "records and events in a program");
  at_most(start, program_.enums.size(), vm::kRecordsMax, "enums in a program");
  at_most(start, program_.topics.size(), vm::kTableMax, "topics in a program");
  at_most(start, program_.tasks.size(), vm::kTableMax, "tasks in a program");
  at_most(start, program_.flows.size(), vm::kTableMax, "flows in a program");
  at_most(start, program_.steps.size(), vm::kTableMax, "steps in a program");
  // One function for each of these, and at most two more for each step.
  at_most(start, program_.fns.size() + 2 * (program_.flows.size() + program_.steps.size()),
          vm::kFunctionsMax, "functions, flows and steps in a program");
  for (const RecordDef& def : program_.records) {
    if (def.tree != nullptr) {
      at_most(def.tree->name.span, def.fields.size(), vm::kFieldsMax, "fields in one record");
    }
  }
  for (const EnumDef& def : program_.enums) {
    if (def.tree == nullptr) continue;  // the outcomes of a flow
    at_most(def.tree->name.span, def.cases.size(), vm::kEnumCasesMax, "cases in one enum");
    for (const CaseDef& each : def.cases) {
      at_most(each.span, each.fields.size(), vm::kFieldsMax, "fields in one case");
    }
  }
  return diagnostics_.error_count() == errors;
}

}  // namespace sluice::compiler
