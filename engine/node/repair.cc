#include "engine/node/repair.hpp"

#include "engine/journal/schema.hpp"

namespace sluice::node {
namespace {

constexpr int kConnectMs = 5'000;

StartError failed(std::string what, StartError::Kind kind = StartError::Kind::refused) {
  return {kind, std::move(what)};
}

StartError failed(const journal::DatabaseError& error) {
  using Kind = journal::DatabaseError::Kind;
  const bool gone =
      error.kind == Kind::unreachable || error.kind == Kind::lost || error.kind == Kind::late;
  return failed(error.message, gone ? StartError::Kind::unreachable : StartError::Kind::refused);
}

std::string name_of(core::PartitionId partition) {
  return "partition " + std::to_string(number(partition));
}

Overridden describe(const core::Record& record, journal::OverrideMode mode,
                    const core::Effects& effects) {
  Overridden what;
  what.seq = record.seq;
  what.kind = core::kind_name(record.kind);
  what.mode = mode;
  for (const auto& effect : effects) {
    if (const auto* dead = std::get_if<core::DeadLettered>(&effect)) {
      what.dead_letters.push_back(dead->run);
    }
    what.rejected = what.rejected || std::holds_alternative<core::Rejected>(effect);
  }
  return what;
}

// Why this record is not to be overridden so; empty: it may be.
std::string objection(const RepairRequest& request, const journal::Damage& damage) {
  const std::string halts = name_of(request.partition) + " halts at record " +
                            std::to_string(damage.seq) + ": " + damage.message;
  if (!damage.cure) return halts + "; no override mends that";
  const bool there = damage.first <= request.record && request.record <= damage.seq;
  if (!there) return "record " + std::to_string(request.record) + " is not the one: " + halts;
  const bool accept = request.mode.value_or(*damage.cure) == journal::OverrideMode::accept;
  if (!accept) return {};
  if (*damage.cure == journal::OverrideMode::skip) {
    return halts + "; there is nothing to accept, it can only be skipped";
  }
  if (request.record == damage.seq) return {};
  return "what is accepted is the batch as a whole, by its last record: " +
         std::to_string(damage.seq);
}

}  // namespace

Repair::Repair(const std::string& database, const std::string& state_dir)
    : database_(database),
      deployments_(database),
      notebook_(state_dir.empty() ? nullptr : Notebook::read(state_dir)) {}

tl::expected<std::unique_ptr<Repair>, StartError> Repair::open(const std::string& database,
                                                               const std::string& state_dir) {
  std::unique_ptr<Repair> repair(new Repair(database, state_dir));
  if (auto connected = repair->connect(); !connected) return tl::unexpected(connected.error());
  return repair;
}

tl::expected<void, StartError> Repair::connect() {
  if (auto connected = database_.connect(kConnectMs); !connected) {
    return tl::unexpected(failed(connected.error()));
  }
  auto there = database_.run("select to_regclass('cluster') is not null");
  if (!there) return tl::unexpected(failed(there.error()));
  if (!there->boolean(0, 0)) {
    return tl::unexpected(failed("the database holds no Sluice: there is nothing to repair"));
  }
  auto cluster = journal::migrate(database_, 1);
  if (!cluster) return tl::unexpected(failed(cluster.error()));
  partitions_ = cluster->partitions;
  return {};
}

tl::expected<FoldReport, StartError> Repair::fold_snapshot(core::PartitionId partition) {
  FoldReport report;
  report.partition = partition;
  core::Partition::Config config;
  config.id = partition;
  config.partitions = partitions_;
  journal::RecoveryHooks hooks;
  if (notebook_ != nullptr) {
    hooks.applying = [&](const core::Record& record) {
      return !core::is_sound(record.verdict) ||
             !notebook_->poisonous(Notebook::name(partition, record));
    };
  }
  hooks.overridden = [&](const core::Record& record, journal::OverrideMode mode,
                         const core::Effects& effects) {
    report.overridden.push_back(describe(record, mode, effects));
  };
  ThreadPrograms programs(deployments_);
  auto folded = recover(database_, config, programs, hooks);
  if (folded) {
    report.checkpoint = folded->checkpoint_seq;
    report.records = folded->records;
  } else if (const auto* error = std::get_if<journal::DatabaseError>(&folded.error())) {
    return tl::unexpected(failed(*error));
  } else {
    report.damage = std::get<journal::Damage>(folded.error());
  }
  return report;
}

// In one snapshot: the node may write a checkpoint and drop the rows of the one before meanwhile.
tl::expected<FoldReport, StartError> Repair::fold(core::PartitionId partition) {
  auto begun = database_.script("begin transaction isolation level repeatable read read only");
  if (!begun) return tl::unexpected(failed(begun.error()));
  auto report = fold_snapshot(partition);
  if (database_.connected()) (void)database_.script("rollback");
  return report;
}

tl::expected<FoldReport, StartError> Repair::override_record(const RepairRequest& request) {
  auto before = fold(request.partition);
  if (!before) return before;
  if (!before->damage) {
    return tl::unexpected(failed(name_of(request.partition) +
                                 " has not halted: it folds whole, there is nothing to repair"));
  }
  const journal::Damage& damage = *before->damage;
  if (std::string why = objection(request, damage); !why.empty()) {
    return tl::unexpected(failed(std::move(why)));
  }
  journal::NewOverride wanted;
  wanted.partition = request.partition;
  wanted.seq = request.record;
  wanted.first = damage.first;
  wanted.tip = damage.last;
  wanted.mode = request.mode.value_or(*damage.cure);
  wanted.found = damage.message;
  wanted.why = request.why;
  wanted.by = request.by;
  auto written = journal::write_override(database_, wanted);
  if (!written) return tl::unexpected(failed(written.error()));
  switch (*written) {
    case journal::OverrideWritten::written:
      return fold(request.partition);
    case journal::OverrideWritten::moved_on:
      return tl::unexpected(
          failed(name_of(request.partition) + " was written to meanwhile: look again"));
    case journal::OverrideWritten::known:
      break;
  }
  return tl::unexpected(failed("record " + std::to_string(request.record) +
                               " was overridden so before, and an override is never changed"));
}

}  // namespace sluice::node
