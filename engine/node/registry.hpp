// What every thread looks up: tenants by name and number, deployments by number; and a thread's own
// instances of programs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/programs.hpp"
#include "engine/journal/database.hpp"
#include "engine/journal/recovery.hpp"
#include "engine/node/requests.hpp"
#include "vm/unit.hpp"

namespace sluice::node {

// Thread-safe. Numbers never change, so what was found stays true.
class Tenants {
 public:
  std::optional<core::TenantId> find(std::string_view name) const;
  // "" for a number that is not known here yet.
  std::string name(core::TenantId id) const;
  void add(core::TenantId id, const std::string& name);
  // For name() alone: find() does not know it yet.
  void add_name(core::TenantId id, const std::string& name);

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, core::TenantId, std::less<>> ids_;
  std::unordered_map<std::uint32_t, std::string> names_;
};

// Why a deployment could not be had.
struct LoadError {
  std::string message;
  // The database did not answer: the next time it may be there. Else there is no such deployment,
  // or it is damaged.
  std::optional<journal::DatabaseError> database;
};

// Thread-safe. Programs are loaded when they are first asked for: a start reads only those that
// live runs execute.
class Deployments {
 public:
  explicit Deployments(std::string target) : loader_(std::move(target)) {}

  // Null before the first.
  std::shared_ptr<const Deployment> current() const;
  // Loads it if need be, which waits for the database.
  tl::expected<std::shared_ptr<const Deployment>, LoadError> load(core::DeploymentNumber number);
  // The same; null for each error.
  std::shared_ptr<const Deployment> get(core::DeploymentNumber number);
  std::vector<std::shared_ptr<const Deployment>> all();
  // Waits for nothing. Null: it is not loaded.
  std::shared_ptr<const Deployment> loaded(core::DeploymentNumber number) const {
    return find(number);
  }

  // What the database lists, without programs.
  struct Head {
    core::DeploymentNumber number = 0;
    std::string hash;  // 32 bytes
    core::TimeUs created = 0;
  };
  void list(const Head& head);
  std::optional<Head> head(core::DeploymentNumber number) const;
  core::DeploymentNumber newest() const;

  std::shared_ptr<const Deployment> add(const Head& head,
                                        std::shared_ptr<const vm::VerifiedProgram> program);
  void make_current(std::shared_ptr<const Deployment> deployment);

 private:
  std::shared_ptr<const Deployment> find(core::DeploymentNumber number) const;

  mutable std::shared_mutex mutex_;
  std::map<core::DeploymentNumber, Head> heads_;
  std::unordered_map<core::DeploymentNumber, std::shared_ptr<const Deployment>> loaded_;
  std::shared_ptr<const Deployment> current_;

  std::mutex loading_;  // taken before mutex_
  journal::Database loader_;
};

// One thread's units. Units stay for the life of the thread: partitions hold their addresses.
class ThreadPrograms : public core::ProgramSource {
 public:
  explicit ThreadPrograms(Deployments& deployments) : deployments_(deployments) {}
  vm::Unit* unit(core::DeploymentNumber number) override;
  // The last error of the database since this was asked for; whatever met it got a null unit.
  std::optional<journal::DatabaseError> take_trouble() { return std::exchange(trouble_, {}); }

 private:
  Deployments& deployments_;
  std::optional<journal::DatabaseError> trouble_;
  std::unordered_map<core::DeploymentNumber, std::unique_ptr<vm::Unit>> units_;
};

// journal::recover with the programs of the same database: one that could not be read for the
// database's sake is the database's error, not the partition's damage.
tl::expected<journal::Recovered, journal::RecoveryError> recover(
    journal::Database& database, const core::Partition::Config& config, ThreadPrograms& programs,
    const journal::RecoveryHooks& hooks, journal::FoldFrom from = journal::FoldFrom::checkpoint);

std::string hex_of(std::string_view bytes);

}  // namespace sluice::node
