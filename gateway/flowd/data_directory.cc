#include "gateway/flowd/data_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "gateway/auth/base64.hpp"

namespace sluice::gateway {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSecretBytes = 32;

std::string absolute(const std::string& path) {
  std::string text = fs::absolute(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

tl::expected<void, std::string> make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) {
    return tl::unexpected(
        explain_errno(error.value(), "make", fs::path(path).parent_path().string()));
  }
  if (mkdir(path.c_str(), 0700) == 0) return {};
  const int failed = errno;
  if (failed == EEXIST && fs::is_directory(path)) return {};
  if (failed == EEXIST) return tl::unexpected(fmt::format("{} is not a directory", path));
  return tl::unexpected(explain_errno(failed, "make", path));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

tl::expected<std::string, std::string> read_secret(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(explain_errno(errno, "read", file));
  std::array<char, 256> bytes{};
  const ssize_t size = read(fd, bytes.data(), bytes.size());
  close(fd);
  std::string_view text(bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const auto secret = base64url_decode(text);
  if (!secret || secret->size() != kSecretBytes) {
    return tl::unexpected(fmt::format(
        "{} does not hold a signing key; delete it and a new one is made (old tokens end)", file));
  }
  return *secret;
}

}  // namespace

std::string explain_errno(int error, const std::string& what, const std::string& path) {
  if (error == ENOSPC || error == EDQUOT) {
    struct statvfs disk {};
    std::string free;
    const std::string parent = fs::path(path).parent_path().string();
    if (statvfs(parent.empty() ? "." : parent.c_str(), &disk) == 0) {
      free = fmt::format(" ({} MB free)", disk.f_bavail * disk.f_frsize / 1'000'000);
    }
    return fmt::format("cannot {} {}: the disk is full{}", what, path, free);
  }
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(error));
}

tl::expected<DataDirectory, std::string> DataDirectory::open(const std::string& path,
                                                             const PostgresUser& user) {
  const std::string directory = absolute(path);
  if (auto made = make_directory(directory); !made) return tl::unexpected(made.error());
  if (const std::string closed = closed_parent(user, directory); !closed.empty()) {
    return tl::unexpected(fmt::format(
        "user {}, as whom PostgreSQL runs, cannot enter {}: allow it (chmod o+x {}) or choose "
        "another place with --data",
        user.name, closed, closed));
  }
  const std::string file = directory + "/lock";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return tl::unexpected(explain_errno(errno, "open", file));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    const ssize_t size = read(fd, holder.data(), holder.size() - 1);
    close(fd);
    std::string_view pid(holder.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.remove_suffix(1);
    return tl::unexpected(fmt::format("the data directory {} is in use by another flowd{}",
                                      directory,
                                      pid.empty() ? "" : fmt::format(" (process {})", pid)));
  }
  DataDirectory opened(directory, fd);
  if (ftruncate(fd, 0) != 0 || !write_all(fd, fmt::format("{}\n", getpid()))) {
    return tl::unexpected(explain_errno(errno, "write", file));
  }
  if (user.switches && chown(directory.c_str(), user.uid, user.gid) != 0) {
    return tl::unexpected(
        explain_errno(errno, fmt::format("give to user {}", user.name), directory));
  }
  return opened;
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) close(lock_);
}

bool in_use(const std::string& directory) {
  const int fd = ::open((directory + "/lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return held;
}

tl::expected<std::string, std::string> signing_secret(const std::string& directory) {
  const std::string path = absolute(directory);
  if (auto made = make_directory(path); !made) return tl::unexpected(made.error());
  const std::string file = path + "/key";
  if (access(file.c_str(), F_OK) == 0) return read_secret(file);
  std::array<char, kSecretBytes> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return tl::unexpected(std::string("the kernel gives no random bytes"));
  }
  // Written whole under another name and then linked: a reader never sees half a key, and of two
  // makers one wins.
  const std::string fresh = fmt::format("{}.{}", file, getpid());
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return tl::unexpected(explain_errno(errno, "make", file));
  const std::string text = base64url_encode({bytes.data(), bytes.size()}) + "\n";
  const bool written = write_all(fd, text) && fsync(fd) == 0;
  const int failed = errno;
  close(fd);
  if (!written) {
    unlink(fresh.c_str());
    return tl::unexpected(explain_errno(failed, "write", file));
  }
  const bool linked = link(fresh.c_str(), file.c_str()) == 0 || errno == EEXIST;
  const int link_error = errno;
  unlink(fresh.c_str());
  if (!linked) return tl::unexpected(explain_errno(link_error, "make", file));
  return read_secret(file);
}

}  // namespace sluice::gateway
