#include "engine/node/registry.hpp"

#include "engine/journal/registry.hpp"

namespace sluice::node {
namespace {

constexpr int kLoadTimeoutMs = 10'000;

}  // namespace

std::string hex_of(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

std::optional<core::TenantId> Tenants::find(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = ids_.find(name);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::string Tenants::name(core::TenantId id) const {
  const std::shared_lock lock(mutex_);
  const auto found = names_.find(number(id));
  return found == names_.end() ? std::string() : found->second;
}

void Tenants::add(core::TenantId id, const std::string& name) {
  const std::unique_lock lock(mutex_);
  ids_[name] = id;
  names_[number(id)] = name;
}

void Tenants::add_name(core::TenantId id, const std::string& name) {
  const std::unique_lock lock(mutex_);
  names_[number(id)] = name;
}

std::shared_ptr<const Deployment> Deployments::current() const {
  const std::shared_lock lock(mutex_);
  return current_;
}

std::shared_ptr<const Deployment> Deployments::find(core::DeploymentNumber number) const {
  const std::shared_lock lock(mutex_);
  const auto found = loaded_.find(number);
  return found == loaded_.end() ? nullptr : found->second;
}

tl::expected<std::shared_ptr<const Deployment>, LoadError> Deployments::load(
    core::DeploymentNumber number) {
  if (auto found = find(number)) return found;
  const std::lock_guard loading(loading_);
  if (auto found = find(number)) return found;  // somebody else was loading it
  const auto gone = [](const journal::DatabaseError& error) {
    return tl::unexpected(LoadError{error.message, error});
  };
  if (!loader_.still_open()) {
    if (auto connected = loader_.connect(kLoadTimeoutMs); !connected) {
      return gone(connected.error());
    }
  }
  auto row = journal::read_deployment(loader_, number);
  if (!row) return gone(row.error());
  if (!*row) return tl::unexpected(LoadError{"there is no such deployment", {}});
  auto program = vm::load_artifact((*row)->artifact);
  if (!program) return tl::unexpected(LoadError{program.error().message, {}});
  return add({(*row)->number, (*row)->hash, (*row)->created}, std::move(*program));
}

std::shared_ptr<const Deployment> Deployments::get(core::DeploymentNumber number) {
  auto loaded = load(number);
  return loaded ? std::move(*loaded) : nullptr;
}

std::vector<std::shared_ptr<const Deployment>> Deployments::all() {
  std::vector<core::DeploymentNumber> numbers;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [number, head] : heads_) numbers.push_back(number);
  }
  std::vector<std::shared_ptr<const Deployment>> out;
  for (const auto number : numbers) {
    if (auto deployment = get(number)) out.push_back(std::move(deployment));
  }
  return out;
}

void Deployments::list(const Head& head) {
  const std::unique_lock lock(mutex_);
  heads_[head.number] = head;
}

std::optional<Deployments::Head> Deployments::head(core::DeploymentNumber number) const {
  const std::shared_lock lock(mutex_);
  const auto found = heads_.find(number);
  if (found == heads_.end()) return std::nullopt;
  return found->second;
}

core::DeploymentNumber Deployments::newest() const {
  const std::shared_lock lock(mutex_);
  return heads_.empty() ? 0 : heads_.rbegin()->first;
}

std::shared_ptr<const Deployment> Deployments::add(
    const Head& head, std::shared_ptr<const vm::VerifiedProgram> program) {
  auto deployment = std::make_shared<Deployment>();
  deployment->number = head.number;
  deployment->hash = hex_of(head.hash);
  deployment->created_us = head.created;
  deployment->program = std::move(program);
  const std::unique_lock lock(mutex_);
  heads_[head.number] = head;
  const auto [at, fresh] = loaded_.emplace(head.number, std::move(deployment));
  (void)fresh;
  return at->second;
}

void Deployments::make_current(std::shared_ptr<const Deployment> deployment) {
  const std::unique_lock lock(mutex_);
  if (current_ == nullptr || current_->number < deployment->number) {
    current_ = std::move(deployment);
  }
}

vm::Unit* ThreadPrograms::unit(core::DeploymentNumber number) {
  const auto found = units_.find(number);
  if (found != units_.end()) return found->second.get();
  const auto deployment = deployments_.load(number);
  if (!deployment) {
    if (deployment.error().database) trouble_ = deployment.error().database;
    return nullptr;
  }
  auto& unit = units_[number];
  unit = std::make_unique<vm::Unit>((*deployment)->program);
  return unit.get();
}

tl::expected<journal::Recovered, journal::RecoveryError> recover(
    journal::Database& database, const core::Partition::Config& config, ThreadPrograms& programs,
    const journal::RecoveryHooks& hooks, journal::FoldFrom from) {
  (void)programs.take_trouble();
  auto recovered = journal::recover(database, config, programs, hooks, from);
  if (auto trouble = programs.take_trouble()) {
    return tl::unexpected(journal::RecoveryError(std::move(*trouble)));
  }
  return recovered;
}

}  // namespace sluice::node
