#include "gateway/flowd/private_postgres.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "gateway/flowd/data_directory.hpp"

namespace sluice::gateway {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A Unix socket's address holds 107 bytes; PostgreSQL's file name takes 14 of them.
constexpr std::size_t kSocketFolderBytes = 107 - 14;
constexpr milliseconds kReadyPoll{3};
constexpr milliseconds kReadyTimeout{60'000};  // crash recovery of PostgreSQL included
constexpr milliseconds kLeftoversPoll{50};
constexpr milliseconds kLeftoversTimeout{10'000};
constexpr int kFastStopMs = 20'000;
constexpr int kImmediateStopMs = 5'000;
// A server that dies is started again at once, then after doubling waits; protocols.md promises 10
// s.
constexpr int kRestartWaitMsMin = 100;
constexpr int kRestartWaitMsMax = 2'000;
constexpr std::uintmax_t kLogBytesMax = 16u << 20;

// Everything a private server needs and nothing that listens: small memory, few connections, no
// parallel queries, WAL recycled rather than removed so that appends write into existing files.
constexpr const char* kSettings = R"(# Written by flowd at each start; changes are lost.
listen_addresses = ''
unix_socket_permissions = 0700
port = 5432
max_connections = 60
superuser_reserved_connections = 3
shared_buffers = 96MB
dynamic_shared_memory_type = posix
work_mem = 8MB
maintenance_work_mem = 32MB
max_parallel_workers = 0
max_parallel_workers_per_gather = 0
jit = off
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
wal_buffers = 16MB
wal_compression = lz4
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
autovacuum = on
autovacuum_max_workers = 1
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] '
)";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

tl::expected<void, std::string> write_file(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return tl::unexpected(explain_errno(errno, "write", path));
  const ssize_t written = write(fd, text.data(), text.size());
  const int failed = written < 0 ? errno : ENOSPC;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) {
    return tl::unexpected(explain_errno(failed, "write", path));
  }
  return {};
}

// The end of a log, for error messages: its last `lines` non-empty lines.
std::string tail_of(const std::string& text, std::size_t lines) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) all.push_back(line);
  }
  std::string tail;
  for (std::size_t i = all.size() > lines ? all.size() - lines : 0; i < all.size(); ++i) {
    tail += "\n  " + all[i];
  }
  return tail;
}

std::string explain_log(const std::string& what, const std::string& text,
                        const std::string& directory) {
  // PostgreSQL says the second where the kernel took a part of a page.
  for (const char* full : {"No space left on device", "Check free disk space"}) {
    if (text.find(full) == std::string::npos) continue;
    return explain_errno(ENOSPC, what + " in", directory + "/postgres") +
           "; PostgreSQL needs about 100 MB to begin with";
  }
  return fmt::format("cannot {} in {}:{}", what, directory, tail_of(text, 6));
}

bool has_binaries(const std::string& folder) {
  return access((folder + "/postgres").c_str(), X_OK) == 0 &&
         access((folder + "/initdb").c_str(), X_OK) == 0;
}

tl::expected<std::string, std::string> find_binaries(const std::string& given) {
  if (!given.empty()) {
    if (has_binaries(given)) return given;
    return tl::unexpected(fmt::format("{} does not hold `postgres` and `initdb`", given));
  }
  std::vector<std::string> folders;
  for (int major = 18; major >= 15; --major) {
    folders.push_back(fmt::format("/usr/lib/postgresql/{}/bin", major));
    folders.push_back(fmt::format("/usr/pgsql-{}/bin", major));
  }
  std::reverse(folders.begin(), folders.end());
  const char* path = std::getenv("PATH");
  std::istringstream parts(path != nullptr ? path : "");
  for (std::string part; std::getline(parts, part, ':');) folders.push_back(part);
  for (const std::string& folder : folders) {
    if (!folder.empty() && has_binaries(folder)) return folder;
  }
  return tl::unexpected(std::string(
      "PostgreSQL 15 or newer is not installed (looked in /usr/lib/postgresql/*/bin and PATH); on "
      "Debian: apt-get install postgresql-15"));
}

// In single quotes, as postgresql.conf and connection strings both take it.
std::string quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "'";
}

struct Spawn {
  std::vector<std::string> arguments;
  const PostgresUser& user;
  std::string output;  // file that gets both outputs, appended to
  std::string preload;
};

// Starts a program as PostgreSQL's user, in a session of its own. -1 and errno if fork fails.
pid_t spawn(const Spawn& what) {
  const int out = ::open(what.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (out < 0) return -1;
  if (what.user.switches) (void)!fchown(out, what.user.uid, what.user.gid);
  std::vector<char*> argv;
  for (const std::string& argument : what.arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"};
  if (!what.preload.empty()) environment.push_back("LD_PRELOAD=" + what.preload);
  std::vector<char*> envp;
  for (std::string& one : environment) envp.push_back(one.data());
  envp.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) signal(number, SIG_DFL);
    setsid();
    const int null = ::open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    // Boost's sockets are not close-on-exec, and a server that outlives us must not hold our port.
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (!become(what.user)) _exit(126);
    if (chdir("/") != 0) _exit(126);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(out);
  return child;
}

int exit_code_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int open_pid(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

// postmaster.pid: pid, data directory, start time, port, socket folder, address, shared memory,
// status.
struct PostmasterFile {
  pid_t pid = 0;
  std::string status;
};
PostmasterFile read_postmaster_file(const std::string& cluster) {
  std::istringstream lines(read_file(cluster + "/postmaster.pid"));
  PostmasterFile found;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (number == 1) found.pid = static_cast<pid_t>(std::strtol(line.c_str(), nullptr, 10));
    if (number == 8) found.status = line.substr(0, line.find(' '));
  }
  return found;
}

// A live postmaster of exactly this cluster: it works in its data directory.
bool is_postmaster_of(pid_t pid, const std::string& cluster) {
  if (pid <= 1) return false;
  std::error_code error;
  const fs::path where = fs::read_symlink(fmt::format("/proc/{}/cwd", pid), error);
  if (error) return false;
  const fs::path self = fs::canonical(cluster, error);
  if (error || where != self) return false;
  return read_file(fmt::format("/proc/{}/comm", pid)).starts_with("postgres");
}

// A postmaster killed with our predecessor stays in the process table until its new parent reaps
// it, and PostgreSQL takes a zombie for a running server. It takes its own parent's pid for a
// leftover: written into its two lock files, that pid keeps their other lines, by which PostgreSQL
// makes sure that no backend of the dead server still works on the data.
tl::expected<void, std::string> disown_locks_of_the_dead(const std::string& cluster) {
  for (const char* name : {"/postmaster.pid", "/.s.PGSQL.5432.lock"}) {
    const std::string lines = read_file(cluster + name);
    const std::size_t rest = lines.find('\n');
    if (rest == std::string::npos) continue;
    const std::string status = read_file(fmt::format("/proc/{}/status", lines.substr(0, rest)));
    if (status.find("State:\tZ") == std::string::npos) continue;
    const std::string ours = fmt::format("{}{}", getpid(), lines.substr(rest));
    if (auto done = write_file(cluster + name, ours); !done) return done;
  }
  return {};
}

std::string preload_of(pid_t pid) {
  const std::string environment = read_file(fmt::format("/proc/{}/environ", pid));
  std::istringstream parts(environment);
  for (std::string part; std::getline(parts, part, '\0');) {
    if (part.starts_with("LD_PRELOAD=")) return part.substr(11);
  }
  return {};
}

}  // namespace

PrivatePostgres::PrivatePostgres(PrivatePostgresOptions options, Log log)
    : options_(std::move(options)),
      log_(std::move(log)),
      cluster_(options_.directory + "/postgres") {}

tl::expected<std::unique_ptr<PrivatePostgres>, std::string> PrivatePostgres::start(
    PrivatePostgresOptions options, Log log) {
  std::unique_ptr<PrivatePostgres> server(new PrivatePostgres(std::move(options), std::move(log)));
  if (auto done = server->prepare(); !done) return tl::unexpected(done.error());
  auto taken = server->take_over();
  if (!taken) return tl::unexpected(taken.error());
  server->taken_over_ = *taken;
  if (!*taken) {
    if (auto done = server->launch_ready(); !done) return tl::unexpected(done.error());
  }
  server->stop_event_ = eventfd(0, EFD_CLOEXEC);
  server->supervisor_ = std::thread([raw = server.get()] { raw->supervise(); });
  return server;
}

tl::expected<std::unique_ptr<PrivatePostgres>, std::string> PrivatePostgres::attach(
    PrivatePostgresOptions options) {
  std::unique_ptr<PrivatePostgres> server(
      new PrivatePostgres(std::move(options), [](const std::string&) {}));
  if (auto done = server->find_socket(); !done) return tl::unexpected(done.error());
  return server;
}

// Everything that must be there before a server can run: binaries, cluster files, settings, the way
// to its socket.
tl::expected<void, std::string> PrivatePostgres::prepare() {
  const auto binaries = find_binaries(options_.binaries);
  if (!binaries) return tl::unexpected(binaries.error());
  options_.binaries = *binaries;
  if (access((cluster_ + "/PG_VERSION").c_str(), F_OK) != 0) {
    if (auto done = initialise(); !done) return done;
  }
  return find_socket();
}

tl::expected<void, std::string> PrivatePostgres::find_socket() {
  // The server may name its socket relative to its data directory, where it works; we reach it
  // through a descriptor then.
  std::string folder = cluster_;
  const bool too_long = folder.size() > kSocketFolderBytes;
  settings_ =
      fmt::format("{}unix_socket_directories = {}\n", kSettings, quote(too_long ? "." : folder));
  if (too_long) {
    socket_folder_ = ::open(cluster_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (socket_folder_ < 0) return tl::unexpected(explain_errno(errno, "open", cluster_));
    folder = fmt::format("/proc/{}/fd/{}", getpid(), socket_folder_);
  }
  connection_ = fmt::format("host={} port=5432 user={} dbname=postgres", quote(folder),
                            quote(options_.user.name));
  return {};
}

tl::expected<void, std::string> PrivatePostgres::initialise() {
  log_(fmt::format("making a private PostgreSQL in {}", cluster_));
  const std::string fresh = cluster_ + ".new";  // becomes the cluster only when whole
  std::error_code error;
  fs::remove_all(fresh, error);
  const std::string output = options_.directory + "/initdb.log";
  fs::remove(output, error);
  const pid_t child =
      spawn({.arguments = {options_.binaries + "/initdb", "-D", fresh, "-U", options_.user.name,
                           "-A", "trust", "--locale=C", "-E", "UTF8", "--no-instructions"},
             .user = options_.user,
             .output = output,
             .preload = {}});
  if (child < 0) return tl::unexpected(explain_errno(errno, "write", output));
  if (const int code = exit_code_of(child); code != 0) {
    const std::string text = read_file(output);
    fs::remove_all(fresh, error);
    return tl::unexpected(explain_log(fmt::format("make a PostgreSQL cluster (initdb: {})", code),
                                      text, options_.directory));
  }
  fs::remove(output, error);
  fs::rename(fresh, cluster_, error);
  if (error) return tl::unexpected(explain_errno(error.value(), "make", cluster_));
  return {};
}

// True: a server of this cluster, with our settings, runs and is ready. One that runs otherwise is
// stopped.
tl::expected<bool, std::string> PrivatePostgres::take_over() {
  const std::string settings = cluster_ + "/postgresql.conf";
  const bool same_settings = read_file(settings) == settings_;
  const PostmasterFile found = read_postmaster_file(cluster_);
  if (is_postmaster_of(found.pid, cluster_)) {
    pid_ = found.pid;
    if (same_settings && preload_of(found.pid) == options_.preload && await_ready()) {
      log_(fmt::format("taking over the PostgreSQL of an earlier flowd (process {})", found.pid));
      return true;
    }
    log_(fmt::format("stopping the PostgreSQL of an earlier flowd (process {})", found.pid));
    stop();
  } else if (auto done = disown_locks_of_the_dead(cluster_); !done) {
    return tl::unexpected(done.error());
  }
  if (!same_settings) {
    if (auto done = write_file(settings, settings_); !done) return tl::unexpected(done.error());
    if (options_.user.switches &&
        chown(settings.c_str(), options_.user.uid, options_.user.gid) != 0) {
      return tl::unexpected(explain_errno(errno, "give to PostgreSQL's user", settings));
    }
  }
  if (auto given = give_to(options_.user, cluster_); !given) return tl::unexpected(given.error());
  return false;
}

tl::expected<void, std::string> PrivatePostgres::launch() {
  const std::string output = options_.directory + "/postgres.log";
  std::error_code error;
  if (fs::file_size(output, error) > kLogBytesMax && !error) {
    fs::rename(output, output + ".old", error);
  }
  log_begin_ = fs::exists(output, error) ? fs::file_size(output, error) : 0;
  const pid_t child = spawn({.arguments = {options_.binaries + "/postgres", "-D", cluster_},
                             .user = options_.user,
                             .output = output,
                             .preload = options_.preload});
  if (child < 0) return tl::unexpected(explain_errno(errno, "write", output));
  pid_ = child;
  child_ = true;
  return {};
}

tl::expected<void, std::string> PrivatePostgres::await_ready() {
  const auto deadline = Clock::now() + kReadyTimeout;
  while (Clock::now() < deadline && !stopping_) {
    const PostmasterFile found = read_postmaster_file(cluster_);
    if (found.pid == pid_ && found.status == "ready") return {};
    if (wait_for_exit(0)) {
      return tl::unexpected(explain_log(
          "start PostgreSQL", read_file(options_.directory + "/postgres.log").substr(log_begin_),
          options_.directory));
    }
    std::this_thread::sleep_for(kReadyPoll);
  }
  return tl::unexpected(fmt::format("PostgreSQL in {} is not ready after {} s; see {}/postgres.log",
                                    cluster_, kReadyTimeout.count() / 1000, options_.directory));
}

// Backends of a server that was killed may take a moment to notice and go; until then a new one
// refuses to start.
tl::expected<void, std::string> PrivatePostgres::launch_ready() {
  const auto deadline = Clock::now() + kLeftoversTimeout;
  while (true) {
    if (auto done = launch(); !done) return done;
    auto ready = await_ready();
    const bool leftovers =
        !ready && (ready.error().find("pre-existing shared memory block") != std::string::npos ||
                   ready.error().find("lock file") != std::string::npos);
    if (!leftovers || Clock::now() >= deadline) return ready;
    std::this_thread::sleep_for(kLeftoversPoll);
  }
}

// True once the server has ended; reaps it if it is our child.
bool PrivatePostgres::wait_for_exit(int timeout_ms) {
  const pid_t pid = pid_;
  if (pid <= 0) return true;
  const int fd = open_pid(pid);
  if (fd < 0) return errno == ESRCH;
  pollfd waiting{fd, POLLIN, 0};
  const bool ended = poll(&waiting, 1, timeout_ms) > 0;
  close(fd);
  if (!ended) return false;
  if (child_) exit_code_of(pid);
  child_ = false;
  pid_ = -1;
  return true;
}

void PrivatePostgres::stop() {
  for (const auto& [number, wait_ms] :
       {std::pair{SIGINT, kFastStopMs}, {SIGQUIT, kImmediateStopMs}, {SIGKILL, kImmediateStopMs}}) {
    if (pid_ <= 0) return;
    kill(pid_, number);
    if (wait_for_exit(wait_ms)) return;
  }
}

// Waits for the server to die and starts it again until the destructor asks to stop.
void PrivatePostgres::supervise() {
  int wait_ms = 0;
  while (true) {
    const int fd = pid_ > 0 ? open_pid(pid_) : -1;
    std::array<pollfd, 2> waiting{pollfd{stop_event_, POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    poll(waiting.data(), fd >= 0 ? 2 : 1, fd >= 0 ? -1 : wait_ms);
    if (fd >= 0) close(fd);
    if ((waiting[0].revents & POLLIN) != 0) return;
    if (pid_ > 0) {
      if (!wait_for_exit(0)) continue;
      log_("the private PostgreSQL died; starting it again");
      wait_ms = 0;
    }
    if (auto done = take_over(); done && *done) continue;
    const auto started = launch_ready();
    if (started) {
      log_(fmt::format("the private PostgreSQL runs again (process {})", pid_.load()));
      wait_ms = 0;
      continue;
    }
    wait_ms = std::clamp(wait_ms * 2, kRestartWaitMsMin, kRestartWaitMsMax);
    log_(fmt::format("{}; next try in {} ms", started.error(), wait_ms));
  }
}

PrivatePostgres::~PrivatePostgres() {
  if (supervisor_.joinable()) {
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)!write(stop_event_, &one, sizeof one);
    supervisor_.join();
  }
  stop();
  if (stop_event_ >= 0) close(stop_event_);
  if (socket_folder_ >= 0) close(socket_folder_);
}

}  // namespace sluice::gateway
