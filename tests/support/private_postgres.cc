#include "tests/support/private_postgres.hpp"

#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace sluice::support {
namespace {

namespace fs = std::filesystem;

constexpr int kReadyTries = 3000;  // of 10 ms

std::string binary(const std::string& name) {
  std::vector<std::string> candidates;
  if (const char* given = std::getenv("SLUICE_PG_BIN")) candidates.push_back(given);
  for (const char* version : {"17", "16", "15", "14"}) {
    candidates.push_back(std::string("/usr/lib/postgresql/") + version + "/bin");
  }
  candidates.push_back("/usr/local/bin");
  candidates.push_back("/usr/bin");
  for (const auto& directory : candidates) {
    const std::string path = directory + "/" + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  throw std::runtime_error("PostgreSQL's " + name + " is not installed");
}

const passwd* server_user() {
  if (geteuid() != 0) return nullptr;
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* user = getpwnam(name)) return user;
  }
  throw std::runtime_error("there is neither a user postgres nor nobody to run PostgreSQL as");
}

// In the child only.
[[noreturn]] void become_and_exec(const passwd* user, const std::vector<std::string>& arguments,
                                  const std::string& log, const std::string& directory) {
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(out, 1);
  dup2(out, 2);
  if (chdir(directory.c_str()) != 0) _exit(126);
  if (user != nullptr) {
    if (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
      _exit(126);
    }
  }
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after setuid, which clears it
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

pid_t spawn(const std::vector<std::string>& arguments, const std::string& directory) {
  const passwd* user = server_user();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become_and_exec(user, arguments, directory + "/log", directory);
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

struct Finish {
  void operator()(PGconn* c) const { PQfinish(c); }
};
struct Clear {
  void operator()(PGresult* r) const { PQclear(r); }
};

}  // namespace

PrivatePostgres::PrivatePostgres(std::vector<std::string> settings) {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/sluice-test-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
  directory_ = pattern;
  if (const passwd* user = server_user()) {
    if (chown(directory_.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("cannot give the directory to PostgreSQL's user");
    }
  }
  chmod(directory_.c_str(), 0755);
  const int status = wait_for(spawn({binary("initdb"), "-D", directory_ + "/data", "-A", "trust",
                                     "-U", "sluice", "--no-sync", "-E", "UTF8", "--no-locale"},
                                    directory_));
  if (status != 0) throw std::runtime_error("initdb failed:\n" + log_tail());
  write_settings(settings);
  start();
}

PrivatePostgres::~PrivatePostgres() {
  if (server_ > 0) {
    resume();
    stop(Stop::immediate);
  }
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

PrivatePostgres& PrivatePostgres::shared() {
  static PrivatePostgres postgres;
  return postgres;
}

void PrivatePostgres::write_settings(const std::vector<std::string>& settings) const {
  std::ofstream out(directory_ + "/data/postgresql.conf", std::ios::app);
  out << "listen_addresses = ''\n"
      << "unix_socket_directories = '" << directory_ << "'\n"
      << "port = " << kPort << "\n"
      << "max_connections = 100\n"
      << "fsync = off\n"  // a crash of the server loses nothing by it, one of the machine would
      << "full_page_writes = off\n"
      << "shared_buffers = 64MB\n";
  for (const auto& line : settings) out << line << "\n";
}

void PrivatePostgres::start() {
  if (server_ > 0) return;
  server_ = spawn({binary("postgres"), "-D", directory_ + "/data"}, directory_);
  wait_until_ready();
}

void PrivatePostgres::wait_until_ready() {
  const std::string target = connection("postgres");
  for (int i = 0; i < kReadyTries; ++i) {
    if (PQping(target.c_str()) == PQPING_OK) return;
    int status = 0;
    if (waitpid(server_, &status, WNOHANG) == server_) {
      server_ = -1;
      throw std::runtime_error("PostgreSQL ended at its start:\n" + log_tail());
    }
    poll(nullptr, 0, 10);  // between two looks
  }
  throw std::runtime_error("PostgreSQL does not answer:\n" + log_tail());
}

void PrivatePostgres::stop(Stop how) {
  if (server_ <= 0) return;
  kill(server_, how == Stop::fast ? SIGINT : SIGQUIT);
  wait_for(server_);
  server_ = -1;
}

namespace {
// The server and its children: each backend leads no group of its own but the server's session.
std::vector<pid_t> family_of(pid_t server) {
  std::vector<pid_t> family{server};
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const auto after_name = line.rfind(')');
    if (after_name == std::string::npos) continue;
    char state = 0;
    int parent = 0;
    std::istringstream(line.substr(after_name + 1)) >> state >> parent;
    if (parent == server) family.push_back(std::stoi(name));
  }
  return family;
}
}  // namespace

void PrivatePostgres::pause() {
  for (const pid_t process : family_of(server_)) kill(process, SIGSTOP);
}

void PrivatePostgres::resume() {
  for (const pid_t process : family_of(server_)) kill(process, SIGCONT);
}

std::string PrivatePostgres::connection(const std::string& database) const {
  return "host=" + directory_ + " port=" + std::to_string(kPort) +
         " user=sluice dbname=" + database;
}

std::string PrivatePostgres::create_database() {
  const std::string name = "test" + std::to_string(++databases_);
  query(connection("postgres"), "create database " + name);
  return connection(name);
}

std::string PrivatePostgres::query(const std::string& connection, const std::string& sql) {
  const std::unique_ptr<PGconn, Finish> session(PQconnectdb(connection.c_str()));
  if (PQstatus(session.get()) != CONNECTION_OK) {
    throw std::runtime_error(PQerrorMessage(session.get()));
  }
  const std::unique_ptr<PGresult, Clear> result(PQexec(session.get(), sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error(sql + ": " + PQerrorMessage(session.get()));
  }
  if (PQntuples(result.get()) == 0 || PQnfields(result.get()) == 0) return "";
  return PQgetvalue(result.get(), 0, 0);
}

std::string PrivatePostgres::log_tail() const {
  std::ifstream in(directory_ + "/log");
  std::stringstream all;
  all << in.rdbuf();
  const std::string text = all.str();
  return text.size() > 4000 ? text.substr(text.size() - 4000) : text;
}

}  // namespace sluice::support
