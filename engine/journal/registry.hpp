// Names that are given once and for ever: tenants' numbers, and deployments with their artifacts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/ids.hpp"
#include "engine/journal/database.hpp"

namespace sluice::journal {

// The tenant's number; made if it is new.
Database::Result<core::TenantId> intern_tenant(Database& database, const std::string& name);
Database::Result<std::vector<std::pair<core::TenantId, std::string>>> read_tenants(
    Database& database);

struct DeploymentRow {
  core::DeploymentNumber number = 0;
  std::string hash;  // 32 bytes
  core::TimeUs created = 0;
  std::string artifact;
};
struct StoredDeployment {
  core::DeploymentNumber number = 0;
  core::TimeUs created = 0;
  bool known = false;  // that hash was stored before
};
// Stores the artifact and gives it the next number; the same hash again keeps its own.
Database::Result<StoredDeployment> store_deployment(Database& database, const std::string& hash,
                                                    const std::string& artifact);
// Those with a number above `after`, ascending, without their artifacts.
Database::Result<std::vector<DeploymentRow>> read_deployments(Database& database,
                                                              core::DeploymentNumber after);
// One with its artifact; nothing if there is none.
Database::Result<std::optional<DeploymentRow>> read_deployment(Database& database,
                                                               core::DeploymentNumber number);

}  // namespace sluice::journal
