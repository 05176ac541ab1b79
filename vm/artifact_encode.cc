#include "vm/artifact.hpp"
#include "vm/artifact_sections.hpp"
#include "vm/wire.hpp"

namespace sluice::vm {
namespace {

using namespace wire;

template <class Items, class Each>
void put_list(std::string& out, const Items& items, Each each) {
  put_number(out, items.size());
  for (const auto& item : items) each(item);
}

void put_strings(std::string& out, const std::vector<std::string>& strings) {
  put_list(out, strings, [&](const std::string& text) { put_string(out, text); });
}

// Absent is 0, a number n is n + 1.
void put_optional(std::string& out, const std::optional<uint32_t>& number) {
  put_number(out, number ? uint64_t{*number} + 1 : 0);
}

void put_fields(std::string& out, const std::vector<FieldType>& fields) {
  put_list(out, fields, [&](const FieldType& field) {
    put_string(out, field.name);
    put_number(out, field.type.index);
    put_u8(out, field.default_value ? 1 : 0);
    if (field.default_value) put_string(out, *field.default_value);
    put_optional(out, field.where_function);
    put_string(out, field.where_text);
    put_u8(out, field.labels);
  });
}

void put_types(std::string& out, const TypeTable& table) {
  put_list(out, table.types, [&](const Type& type) {
    put_u8(out, static_cast<uint8_t>(type.kind));
    put_number(out, type.argument);
  });
  put_list(out, table.records, [&](const RecordType& record) {
    put_string(out, record.name);
    put_fields(out, record.fields);
  });
  put_list(out, table.enums, [&](const EnumType& enumeration) {
    put_string(out, enumeration.name);
    put_list(out, enumeration.cases, [&](const EnumCase& which) {
      put_string(out, which.name);
      put_fields(out, which.fields);
    });
  });
}

void put_function(std::string& out, const Function& function) {
  put_string(out, function.name);
  put_u8(out, static_cast<uint8_t>(function.kind));
  put_number(out, function.parameters);
  put_number(out, function.registers);
  put_string(out, function.segment);
  put_list(out, function.code, [&](const Instruction& i) {
    put_u8(out, static_cast<uint8_t>(i.op));
    put_u8(out, i.x);
    for (uint16_t operand : {i.a, i.b, i.c}) {
      put_u8(out, static_cast<uint8_t>(operand));
      put_u8(out, static_cast<uint8_t>(operand >> 8));
    }
  });
  put_list(out, function.handlers, [&](const Handler& handler) {
    put_number(out, handler.begin_pc);
    put_number(out, handler.end_pc);
    put_number(out, handler.handler_pc);
    put_number(out, handler.failure_register);
    put_u8(out, handler.flags);
  });
  uint32_t last_pc = 0;
  put_list(out, function.lines, [&](const LineEntry& line) {
    put_number(out, line.pc - last_pc);
    last_pc = line.pc;
    put_number(out, line.source);
    put_number(out, line.line);
    put_number(out, line.column);
  });
}

void put_parameters(std::string& out, const std::vector<Parameter>& parameters) {
  put_list(out, parameters, [&](const Parameter& parameter) {
    put_string(out, parameter.name);
    put_number(out, parameter.type.index);
  });
}

void put_limit(std::string& out, const std::optional<RateLimit>& limit) {
  put_u8(out, limit ? 1 : 0);
  if (!limit) return;
  put_number(out, limit->count);
  put_number(out, limit->per_ms);
  put_number(out, limit->burst);
  put_u8(out, static_cast<uint8_t>(limit->per));
  put_optional(out, limit->key_function);
}

void put_concurrency(std::string& out, const std::optional<Concurrency>& concurrency) {
  put_u8(out, concurrency ? 1 : 0);
  if (!concurrency) return;
  put_number(out, concurrency->runs);
  put_u8(out, static_cast<uint8_t>(concurrency->overload));
  put_number(out, concurrency->waiting);
  put_u8(out, static_cast<uint8_t>(concurrency->per));
  put_optional(out, concurrency->key_function);
}

void put_schedule(std::string& out, const std::optional<Schedule>& schedule) {
  put_u8(out, schedule ? 1 : 0);
  if (!schedule) return;
  put_string(out, schedule->cron);
  put_string(out, schedule->zone);
}

void put_breaker(std::string& out, const std::optional<Breaker>& breaker) {
  put_u8(out, breaker ? 1 : 0);
  if (!breaker) return;
  put_number(out, breaker->percent);
  put_number(out, breaker->calls);
  put_number(out, breaker->within_ms);
  put_number(out, breaker->cooldown_ms);
}

void put_events(std::string& out, const Program& program) {
  put_list(out, program.events, [&](const EventInfo& event) {
    put_string(out, event.name);
    put_number(out, event.version);
    put_number(out, event.record);
    put_list(out, event.upgrades, [&](const EventUpgrade& upgrade) {
      put_number(out, upgrade.from);
      put_number(out, upgrade.to);
      put_number(out, upgrade.type.index);
      put_number(out, upgrade.function);
    });
  });
}

void put_topics(std::string& out, const Program& program) {
  put_list(out, program.topics, [&](const TopicInfo& topic) {
    put_string(out, topic.name);
    put_number(out, topic.event);
    put_optional(out, topic.order_function);
    put_number(out, topic.dedupe_ms);
    put_number(out, topic.retain_ms);
    put_number(out, topic.ttl_ms);
    put_limit(out, topic.limit);
  });
}

void put_pools(std::string& out, const Program& program) {
  put_list(out, program.pools, [&](const PoolInfo& pool) {
    put_string(out, pool.name);
    put_number(out, pool.slots);
  });
}

void put_tasks(std::string& out, const Program& program) {
  put_list(out, program.tasks, [&](const TaskInfo& task) {
    put_string(out, task.name);
    put_parameters(out, task.parameters);
    put_number(out, task.result.index);
    put_number(out, task.pool);
    put_strings(out, task.kinds);
  });
}

void put_flows(std::string& out, const Program& program) {
  put_list(out, program.flows, [&](const FlowInfo& flow) {
    put_string(out, flow.name);
    put_parameters(out, flow.parameters);
    put_number(out, flow.function);
    put_optional(out, flow.on_failure);
    put_list(out, flow.outcomes, [&](uint32_t event) { put_number(out, event); });
    put_optional(out, flow.trigger);
    put_number(out, flow.timeout_ms);
    put_number(out, flow.ttl_ms);
    put_concurrency(out, flow.concurrency);
    put_schedule(out, flow.schedule);
    put_limit(out, flow.limit);
  });
}

void put_steps(std::string& out, const Program& program) {
  put_list(out, program.steps, [&](const StepSite& step) {
    put_string(out, step.name);
    put_number(out, step.task);
    for (uint64_t ms : {step.timeout_ms, step.within_ms, step.queue_ms, step.heartbeat_ms,
                        uint64_t{step.attempts}, step.backoff_min_ms, step.backoff_max_ms,
                        uint64_t{step.backoff_factor_milli}}) {
      put_number(out, ms);
    }
    put_strings(out, step.retry_on);
    uint64_t flags = 0;
    for (const StepFlag& flag : kStepFlags) {
      if (step.*flag.member) flags |= flag.bit;
    }
    put_number(out, flags);
    put_optional(out, step.flow);
    put_optional(out, step.outcomes);
    put_number(out, step.hedge_after_ms);
    put_optional(out, step.hedge_site);
    put_u8(out, step.priority);
    put_breaker(out, step.breaker);
  });
}

void put_receives(std::string& out, const Program& program) {
  put_list(out, program.receives, [&](const ReceiveSite& site) {
    put_string(out, site.name);
    put_number(out, site.flow);
    put_number(out, site.event);
    put_optional(out, site.topic);
    put_number(out, site.key_field);
    put_optional(out, site.filter);
  });
}

void put_section(std::string& out, Section section, const std::string& body) {
  put_u8(out, static_cast<uint8_t>(section));
  put_string(out, body);
}

template <class Put, class What>
void put_section_of(std::string& out, Section section, Put put, const What& what) {
  std::string body;
  put(body, what);
  put_section(out, section, body);
}

}  // namespace

std::string encode_artifact(const Program& program) {
  std::string out(kArtifactMagic);
  put_number(out, kArtifactFormat);
  put_number(out, program.isa);
  put_strings(out, program.features);
  put_section_of(out, Section::sources, put_strings, program.sources);
  put_section_of(out, Section::types, put_types, program.types);
  put_section_of(out, Section::constants, put_strings, program.constants);
  std::string functions;
  put_list(functions, program.functions,
           [&](const Function& function) { put_function(functions, function); });
  put_section(out, Section::functions, functions);
  put_section_of(out, Section::events, put_events, program);
  put_section_of(out, Section::topics, put_topics, program);
  put_section_of(out, Section::pools, put_pools, program);
  put_section_of(out, Section::tasks, put_tasks, program);
  put_section_of(out, Section::flows, put_flows, program);
  put_section_of(out, Section::steps, put_steps, program);
  put_section_of(out, Section::receives, put_receives, program);
  Sha256 hash = sha256(out);
  out.append(reinterpret_cast<const char*>(hash.data()), hash.size());
  return out;
}

Sha256 artifact_hash(std::string_view bytes) {
  Sha256 hash;
  std::string_view tail = bytes.substr(bytes.size() - hash.size());
  for (size_t i = 0; i < hash.size(); ++i) hash[i] = static_cast<uint8_t>(tail[i]);
  return hash;
}

}  // namespace sluice::vm
