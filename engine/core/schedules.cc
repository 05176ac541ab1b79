// Flows that the clock starts. Which instants those are is computed outside, by the zones of the
// world; here counts that each starts one run, in one partition.
#include <algorithm>

#include "engine/core/partition_impl.hpp"
#include "engine/core/verdicts.hpp"
#include "engine/core/vm_call.hpp"

namespace sluice::core {

PartitionId partition_of_schedule(std::string_view flow, unsigned partitions) {
  return partition_of_key(TenantId{}, "schedule " + std::string(flow), partitions);
}

std::vector<ScheduledFlow> Partition::Impl::schedules() const {
  std::vector<ScheduledFlow> found;
  vm::Unit* unit = deployment == 0 ? nullptr : programs.unit(deployment);
  if (unit == nullptr) return found;
  const auto& flows = unit->program().flows;
  for (std::uint32_t i = 0; i < flows.size(); ++i) {
    if (!flows[i].schedule) continue;
    if (partition_of_schedule(flows[i].name, config.partitions) != config.id) continue;
    const auto last = fired.find(flows[i].name);
    const TimeUs after = last == fired.end() ? deployed : std::max(last->second, deployed);
    found.push_back({i, *flows[i].schedule, after});
  }
  return found;
}

bool Partition::Impl::admit_cron(const Cron& cron) const {
  if (cron.deployment != deployment) return false;  // replaced meanwhile
  const auto all = schedules();
  return std::any_of(all.begin(), all.end(), [&](const ScheduledFlow& each) {
    return each.flow == cron.flow && cron.instant > each.after;
  });
}

tl::expected<void, ApplyError> Partition::Impl::on_cron(Context& context) {
  const Record& record = context.record;
  const auto body = decode<Cron>(record.body);
  if (!body) return bad_body(record);
  const LoadedProgram* program = load_program(body->deployment);
  if (program == nullptr) {
    return refuse(ApplyError::Code::missing_deployment,
                  "deployment " + std::to_string(body->deployment) + " is not loaded");
  }
  const auto& flows = program->program().flows;
  std::string why = given_fault(record);
  if (why.empty() && (body->flow >= flows.size() || !flows[body->flow].schedule)) {
    why = "it names no flow of a schedule";
  }
  std::vector<NewRun> made;
  if (why.empty()) {
    auto run = begin_run(context, *program, {body->deployment, body->flow, {}, {}, {}, 0, 0}, {});
    if (run) {
      made.push_back(std::move(*run));
    } else {
      why = run.error().why;
    }
  }
  note_fired(*program, *body);
  if (!why.empty()) {
    context.applied.verdict = verdict_of(record);
    context.applied.fault = why;
    return {};
  }
  take_in(context, {}, made);
  return {};
}

// Flows that are no longer of this program are forgotten: so there are no more than flows.
void Partition::Impl::note_fired(const LoadedProgram& program, const Cron& cron) {
  const auto& flows = program.program().flows;
  std::erase_if(fired, [&](const auto& each) { return !vm::find_by_name(flows, each.first); });
  if (cron.flow >= flows.size()) return;
  TimeUs& last = fired[flows[cron.flow].name];
  last = std::max(last, cron.instant);
}

void Partition::Impl::write_schedules(Writer& writer) const {
  writer.svarint(deployed);
  writer.varint(fired.size());
  for (const auto& [flow, last] : fired) {
    writer.bytes(flow);
    writer.svarint(last);
  }
}

void Partition::Impl::read_schedules(Reader& reader) {
  deployed = reader.svarint();
  const std::uint64_t count = reader.count(2);
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    const std::string flow(reader.bytes());
    fired[flow] = reader.svarint();
  }
}

}  // namespace sluice::core
