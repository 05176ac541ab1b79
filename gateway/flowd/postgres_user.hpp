// As whom a private PostgreSQL runs. It refuses root, so root gives it `postgres` or else `nobody`.
#pragma once

#include <sys/types.h>

#include <string>
#include <tl/expected.hpp>

namespace sluice::gateway {

struct PostgresUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  bool switches = false;  // flowd is root and has to change over to this user
};

// The user that owns the data directory and runs PostgreSQL. Error: root, and there is neither
// `postgres` nor `nobody`.
[[nodiscard]] tl::expected<PostgresUser, std::string> choose_postgres_user();

// In a child process, before exec: becomes this user for good. False if the kernel refuses.
[[nodiscard]] bool become(const PostgresUser& user);

// The first parent folder of `path` (absolute) that the user cannot enter; empty if all can be
// entered.
[[nodiscard]] std::string closed_parent(const PostgresUser& user, const std::string& path);

// Gives `path` and all below it, if `user.switches`, to the user. Error: what failed, with the
// path. Symbolic links are not followed.
[[nodiscard]] tl::expected<void, std::string> give_to(const PostgresUser& user,
                                                      const std::string& path);

}  // namespace sluice::gateway
