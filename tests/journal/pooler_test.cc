// A pooler between us and PostgreSQL: sessions must keep their backends. With the real pgbouncer,
// where it is installed.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/journal/harness.hpp"

namespace sluice::journal::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "/usr/sbin/pgbouncer";
constexpr int kPort = 6432;  // names the socket file only
constexpr int kReadyTries = 1000;

class PoolerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (access(kProgram, X_OK) != 0) {
      GTEST_SKIP() << "pgbouncer is not installed (apt-get install pgbouncer)";
    }
    target_ = PrivatePostgres::shared().create_database();
    // Next to the cluster's socket: its user may write there.
    directory_ = PrivatePostgres::shared().socket_directory() + "/pooler";
    fs::create_directory(directory_);
    fs::permissions(directory_, fs::perms::all);
  }
  void TearDown() override {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  // Starts one in this mode and returns what connects through it.
  std::string pool(const std::string& mode) {
    const PrivatePostgres& server = PrivatePostgres::shared();
    std::ofstream(directory_ + "/users") << "\"sluice\" \"\"\n";
    std::ofstream(directory_ + "/pgbouncer.ini")
        << "[databases]\n* = host=" << server.socket_directory() << " port=" << server.port()
        << "\n[pgbouncer]\nunix_socket_dir = " << directory_ << "\nlisten_port = " << kPort
        << "\nauth_type = trust\nauth_file = " << directory_ << "/users\npool_mode = " << mode
        << "\nlogfile = " << directory_ << "/log\n";
    child_ = fork();
    if (child_ == 0) {
      const std::string settings = directory_ + "/pgbouncer.ini";
      if (geteuid() == 0) {
        execl(kProgram, kProgram, "-q", "-u", "postgres", settings.c_str(), nullptr);
      } else {
        execl(kProgram, kProgram, "-q", settings.c_str(), nullptr);
      }
      _exit(127);
    }
    const std::string socket = directory_ + "/.s.PGSQL." + std::to_string(kPort);
    struct stat found {};
    for (int i = 0; i < kReadyTries && stat(socket.c_str(), &found) != 0; ++i) {
      EXPECT_EQ(waitpid(child_, nullptr, WNOHANG), 0) << "pgbouncer ended";
      poll(nullptr, 0, 10);
    }
    const std::string name = PrivatePostgres::query(target_, "select current_database()");
    return "host=" + directory_ + " port=" + std::to_string(kPort) + " user=sluice dbname=" + name;
  }

  std::string target_;
  std::string directory_;
  pid_t child_ = -1;
};

TEST_F(PoolerTest, OneInTransactionModeIsRefusedAndNamed) {
  Database database(pool("transaction"));
  const auto facts = database.connect(5000);
  ASSERT_FALSE(facts.has_value());
  EXPECT_EQ(facts.error().kind, DatabaseError::Kind::refused);
  EXPECT_NE(facts.error().message.find("transaction mode"), std::string::npos)
      << facts.error().message;
}

TEST_F(PoolerTest, OneInSessionModeServes) {
  Database database(pool("session"));
  const auto facts = database.connect(5000);
  ASSERT_TRUE(facts.has_value()) << facts.error().message;
  EXPECT_TRUE(migrate(database, 8).has_value());
}

}  // namespace
}  // namespace sluice::journal::test
