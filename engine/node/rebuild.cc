#include "engine/node/rebuild.hpp"

#include <vector>

#include "engine/journal/projection.hpp"
#include "engine/journal/recovery.hpp"
#include "engine/journal/schema.hpp"
#include "engine/node/registry.hpp"

namespace sluice::node {
namespace {

constexpr int kConnectMs = 5'000;
constexpr std::size_t kRunsPerStatement = 1'000;

StartError failed(const std::string& what) {
  return {StartError::Kind::refused, what};
}

// Collects rows and writes them in portions.
class Writer {
 public:
  explicit Writer(journal::Database& database) : database_(database) {}

  void add(core::RunRow&& row) {
    rows_.push_back(std::move(row));
    if (rows_.size() >= kRunsPerStatement) flush();
  }
  void flush() {
    if (rows_.empty() || !error_.empty()) return;
    auto done = journal::write_runs(database_, rows_);
    if (!done) error_ = done.error().message;
    written_ += rows_.size();
    rows_.clear();
  }
  std::uint64_t written() const { return written_; }
  const std::string& error() const { return error_; }

 private:
  journal::Database& database_;
  std::vector<core::RunRow> rows_;
  std::uint64_t written_ = 0;
  std::string error_;
};

}  // namespace

tl::expected<Rebuilt, StartError> rebuild_runs(const std::string& target) {
  journal::Database reader(target);
  journal::Database writer_connection(target);
  for (auto* database : {&reader, &writer_connection}) {
    if (auto connected = database->connect(kConnectMs); !connected) {
      return tl::unexpected(StartError{StartError::Kind::unreachable, connected.error().message});
    }
  }
  auto cluster = journal::migrate(reader, 1);
  if (!cluster) return tl::unexpected(failed(cluster.error().message));
  Deployments deployments(target);
  ThreadPrograms programs(deployments);
  Writer writer(writer_connection);
  Rebuilt rebuilt;
  journal::RecoveryHooks hooks;
  hooks.run_changed = [&](core::RunRow&& row) { writer.add(std::move(row)); };
  for (unsigned i = 0; i < cluster->partitions; ++i) {
    core::Partition::Config config;
    config.id = static_cast<core::PartitionId>(i);
    config.partitions = cluster->partitions;
    auto folded = recover(reader, config, programs, hooks, journal::FoldFrom::beginning);
    if (!folded && std::holds_alternative<journal::Damage>(folded.error())) {
      ++rebuilt.partitions_cut;
      writer.flush();  // a statement names a run once
      folded = recover(reader, config, programs, hooks);
    }
    if (!folded) {
      const auto* damage = std::get_if<journal::Damage>(&folded.error());
      return tl::unexpected(
          failed("partition " + std::to_string(i) + " cannot be folded: " +
                 (damage != nullptr ? damage->message
                                    : std::get<journal::DatabaseError>(folded.error()).message)));
    }
    rebuilt.records += folded->records;
    for (auto rows = folded->partition.changed_runs(kRunsPerStatement); !rows.empty();
         rows = folded->partition.changed_runs(kRunsPerStatement)) {
      for (auto& row : rows) writer.add(std::move(row));
    }
  }
  writer.flush();
  rebuilt.runs = writer.written();
  if (!writer.error().empty()) return tl::unexpected(failed(writer.error()));
  return rebuilt;
}

}  // namespace sluice::node
