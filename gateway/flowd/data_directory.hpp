// The data directory of `flowd dev`: lock, signing key and the private PostgreSQL's files.
//
//   DIR/lock        held (flock) by the flowd that uses the directory; holds its pid
//   DIR/key         the secret that signs and checks tokens (HS256), 32 random bytes in base64url,
//   mode 0600 DIR/postgres/   PostgreSQL's data directory DIR/postgres.log
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "gateway/flowd/postgres_user.hpp"

namespace sluice::gateway {

class DataDirectory {
 public:
  // Makes the directory where it does not exist and takes its lock. Errors name what stands in the
  // way: the process that holds the lock, a parent that PostgreSQL's user cannot enter, a full
  // disk, missing rights.
  [[nodiscard]] static tl::expected<DataDirectory, std::string> open(const std::string& path,
                                                                     const PostgresUser& user);
  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&&) = delete;
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  ~DataDirectory();

  const std::string& path() const { return path_; }  // absolute

 private:
  DataDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_ = -1;
};

// The secret of DIR/key; makes directory and key where they do not exist, so that it works whether
// flowd runs or not. Two processes that make it at once agree on one.
[[nodiscard]] tl::expected<std::string, std::string> signing_secret(const std::string& directory);

// Whether a flowd uses the directory at this moment.
bool in_use(const std::string& directory);

// A sentence for errno that names the path, and says how much is free where the disk is full.
std::string explain_errno(int error, const std::string& what, const std::string& path);

}  // namespace sluice::gateway
