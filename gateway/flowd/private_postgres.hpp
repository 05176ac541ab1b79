// The private PostgreSQL of `flowd dev`: made, started, supervised and stopped by it; reachable
// only through a Unix socket in its own data directory. It is started in a session of its own, so
// it outlives a killed flowd; the next flowd takes it over, which is what makes a restart fast.
//
// Thread rule: all public functions from one thread; a supervisor thread of its own restarts a
// server that died.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tl/expected.hpp>

#include "gateway/flowd/postgres_user.hpp"

namespace sluice::gateway {

struct PrivatePostgresOptions {
  std::string
      directory;  // absolute path of flowd's data directory; PostgreSQL's is directory/postgres
  PostgresUser user;
  std::string binaries;  // folder of `postgres` and `initdb`; empty: searched in the usual places
                         // and in PATH
  std::string
      preload;  // LD_PRELOAD of the server (benchmarks slow its syncs with it); usually empty
};

class PrivatePostgres {
 public:
  using Log = std::function<void(const std::string&)>;  // called from the supervisor thread too

  // Initialises the cluster on first use, takes over a running server or starts one, and returns
  // when it accepts connections. Errors are sentences fit to show: no PostgreSQL installed, full
  // disk, wrong version of the files, its last log lines.
  [[nodiscard]] static tl::expected<std::unique_ptr<PrivatePostgres>, std::string> start(
      PrivatePostgresOptions options, Log log);

  // One that a flowd supervises right now, to connect to it: nothing is started, and the destructor
  // stops nothing.
  [[nodiscard]] static tl::expected<std::unique_ptr<PrivatePostgres>, std::string> attach(
      PrivatePostgresOptions options);

  // Stops the server (fast shutdown; immediate after 20 s) and the supervisor.
  ~PrivatePostgres();
  PrivatePostgres(const PrivatePostgres&) = delete;
  PrivatePostgres& operator=(const PrivatePostgres&) = delete;

  // libpq connection string.
  const std::string& connection() const { return connection_; }
  pid_t pid() const { return pid_; }
  bool taken_over() const { return taken_over_; }

 private:
  PrivatePostgres(PrivatePostgresOptions options, Log log);
  tl::expected<void, std::string> prepare();
  tl::expected<void, std::string> find_socket();
  tl::expected<void, std::string> initialise();
  tl::expected<bool, std::string> take_over();
  tl::expected<void, std::string> launch();
  tl::expected<void, std::string> launch_ready();
  tl::expected<void, std::string> await_ready();
  void supervise();
  bool wait_for_exit(int timeout_ms);
  void stop();

  PrivatePostgresOptions options_;
  Log log_;
  std::string cluster_;  // directory/postgres
  std::string connection_;
  std::string settings_;    // the whole postgresql.conf
  std::string major_;       // of the binaries: "15"
  int socket_folder_ = -1;  // open while the path is too long for a socket's address
  std::atomic<pid_t> pid_{-1};
  bool child_ = false;         // ours to reap
  std::size_t log_begin_ = 0;  // where this start's lines in postgres.log begin
  bool taken_over_ = false;
  int stop_event_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread supervisor_;
};

}  // namespace sluice::gateway
