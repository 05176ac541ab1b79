// A PostgreSQL cluster of a test's own: real, private, gone afterwards.
//
// The data directory and the socket directory are fresh ones under TMPDIR; there is no TCP port. As
// root the server runs as `postgres` or `nobody`, because PostgreSQL refuses root. The server dies
// with the test program.
//
//   class MyTest : public testing::Test {
//     support::PrivatePostgres& postgres_ = support::PrivatePostgres::shared();   // one per test
//     program std::string database_ = postgres_.create_database();                       // one per
//     test
//   };
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sluice::support {

class PrivatePostgres {
 public:
  // Initialises and starts a cluster; returns when it answers. Throws std::runtime_error with the
  // server's own words if it cannot. `settings` are lines of postgresql.conf, after ours.
  explicit PrivatePostgres(std::vector<std::string> settings = {});
  ~PrivatePostgres();
  PrivatePostgres(const PrivatePostgres&) = delete;
  PrivatePostgres& operator=(const PrivatePostgres&) = delete;

  // The one of this program, made at the first call.
  static PrivatePostgres& shared();

  // A new empty database; the connection string of it.
  std::string create_database();
  std::string connection(const std::string& database) const;

  // Runs SQL on that connection string, first value of the first row ("" if none). Throws on an
  // error.
  static std::string query(const std::string& connection, const std::string& sql);

  enum class Stop { fast, immediate };
  // Returns when the server is gone. `immediate` is a crash: no checkpoint, clients cut off.
  void stop(Stop how);
  // Returns when it answers again.
  void start();
  // Every process of the server stands still: connections stay open, nothing answers. And on.
  void pause();
  void resume();
  bool running() const { return server_ > 0; }

  const std::string& socket_directory() const { return directory_; }
  int port() const { return kPort; }  // names the socket file only

 private:
  static constexpr int kPort = 5432;
  void write_settings(const std::vector<std::string>& settings) const;
  void wait_until_ready();
  std::string log_tail() const;

  std::string directory_;
  pid_t server_ = -1;
  int databases_ = 0;
};

}  // namespace sluice::support
