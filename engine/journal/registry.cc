#include "engine/journal/registry.hpp"

namespace sluice::journal {

Database::Result<core::TenantId> intern_tenant(Database& database, const std::string& name) {
  // The insert comes to nothing if another node was faster; then the name is there to be read.
  auto made = database.run(
      "insert into tenant (name) values ($1) on conflict (name) do nothing"
      " returning id",
      Params().text(name));
  if (!made) return tl::unexpected(made.error());
  if (!made->empty()) return static_cast<core::TenantId>(made->integer(0, 0));
  auto found = database.run("select id from tenant where name = $1", Params().text(name));
  if (!found) return tl::unexpected(found.error());
  if (found->empty()) {
    return tl::unexpected(DatabaseError{DatabaseError::Kind::foreign, "", "a tenant vanished"});
  }
  return static_cast<core::TenantId>(found->integer(0, 0));
}

Database::Result<std::vector<std::pair<core::TenantId, std::string>>> read_tenants(
    Database& database) {
  auto rows = database.run("select id, name from tenant");
  if (!rows) return tl::unexpected(rows.error());
  std::vector<std::pair<core::TenantId, std::string>> tenants;
  for (int i = 0; i < rows->count(); ++i) {
    tenants.emplace_back(static_cast<core::TenantId>(rows->integer(i, 0)), rows->text(i, 1));
  }
  return tenants;
}

Database::Result<StoredDeployment> store_deployment(Database& database, const std::string& hash,
                                                    const std::string& artifact) {
  // Two nodes that deploy at once take their numbers one after the other.
  if (auto begun = database.script("begin; lock table deployment in share row exclusive mode");
      !begun) {
    return tl::unexpected(begun.error());
  }
  const auto roll_back = [&](const DatabaseError& error) {
    if (database.connected()) (void)database.script("rollback");
    return tl::unexpected(error);
  };
  auto known =
      database.run("select number, created from deployment where hash = $1", Params().bytea(hash));
  if (!known) return roll_back(known.error());
  StoredDeployment stored;
  stored.known = !known->empty();
  if (!stored.known) {
    auto bytes = database.run(
        "insert into artifact (hash, bytes) values ($1, $2) on conflict (hash) do nothing",
        Params().bytea(hash).bytea(artifact));
    if (!bytes) return roll_back(bytes.error());
    known = database.run(
        "insert into deployment (number, hash)"
        " select coalesce(max(number), 0) + 1, $1 from deployment returning number, created",
        Params().bytea(hash));
    if (!known) return roll_back(known.error());
  }
  stored.number = static_cast<core::DeploymentNumber>(known->integer(0, 0));
  stored.created = known->time(0, 1);
  if (auto done = database.script("commit"); !done) return tl::unexpected(done.error());
  return stored;
}

Database::Result<std::vector<DeploymentRow>> read_deployments(Database& database,
                                                              core::DeploymentNumber after) {
  auto rows =
      database.run("select number, hash, created from deployment where number > $1 order by number",
                   Params().int4(after));
  if (!rows) return tl::unexpected(rows.error());
  std::vector<DeploymentRow> deployments;
  for (int i = 0; i < rows->count(); ++i) {
    deployments.push_back({static_cast<core::DeploymentNumber>(rows->integer(i, 0)),
                           rows->text(i, 1),
                           rows->time(i, 2),
                           {}});
  }
  return deployments;
}

Database::Result<std::optional<DeploymentRow>> read_deployment(Database& database,
                                                               core::DeploymentNumber number) {
  auto rows = database.run(
      "select d.number, d.hash, d.created, a.bytes from deployment d join artifact a"
      " on a.hash = d.hash where d.number = $1",
      Params().int4(number));
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) return std::optional<DeploymentRow>{};
  return std::optional<DeploymentRow>(
      DeploymentRow{static_cast<core::DeploymentNumber>(rows->integer(0, 0)), rows->text(0, 1),
                    rows->time(0, 2), rows->text(0, 3)});
}

}  // namespace sluice::journal
