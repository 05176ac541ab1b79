#include "gateway/flowd/postgres_user.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace sluice::gateway {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> parents_of(const std::string& path) {
  std::vector<std::string> parents;
  for (fs::path at = fs::path(path).parent_path();; at = at.parent_path()) {
    parents.insert(parents.begin(), at.string());
    if (at == at.root_path()) return parents;
  }
}

}  // namespace

tl::expected<PostgresUser, std::string> choose_postgres_user() {
  if (geteuid() != 0) {
    const passwd* me = getpwuid(geteuid());
    return PostgresUser{me != nullptr ? me->pw_name : std::to_string(geteuid()), geteuid(),
                        getegid(), false};
  }
  for (const char* name : {"postgres", "nobody"}) {
    const passwd* found = getpwnam(name);
    if (found != nullptr && found->pw_uid != 0) {
      return PostgresUser{name, found->pw_uid, found->pw_gid, true};
    }
  }
  return tl::unexpected(std::string(
      "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as"));
}

bool become(const PostgresUser& user) {
  if (!user.switches) return true;
  return setgroups(1, &user.gid) == 0 && setgid(user.gid) == 0 && setuid(user.uid) == 0;
}

std::string closed_parent(const PostgresUser& user, const std::string& path) {
  if (!user.switches) return {};
  const std::vector<std::string> parents = parents_of(path);
  // Only a process of that user knows for sure (groups, ACLs); its exit code is the number of the
  // closed folder.
  constexpr std::size_t kDeepest = 200;
  const pid_t child = fork();
  if (child == 0) {
    if (!become(user)) _exit(0);
    for (std::size_t i = 0; i < parents.size() && i < kDeepest; ++i) {
      if (access(parents[i].c_str(), X_OK) != 0) _exit(static_cast<int>(i) + 1);
    }
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return {};
  const auto which = static_cast<std::size_t>(WEXITSTATUS(status));
  return which == 0 ? std::string() : parents[which - 1];
}

tl::expected<void, std::string> give_to(const PostgresUser& user, const std::string& path) {
  if (!user.switches) return {};
  const auto give = [&](const std::string& one) {
    return lchown(one.c_str(), user.uid, user.gid) == 0 || errno == ENOENT;
  };
  if (!give(path)) {
    return tl::unexpected(
        fmt::format("cannot give {} to user {}: {}", path, user.name, std::strerror(errno)));
  }
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (!give(it->path().string())) {
      return tl::unexpected(fmt::format("cannot give {} to user {}: {}", it->path().string(),
                                        user.name, std::strerror(errno)));
    }
  }
  return {};
}

}  // namespace sluice::gateway
