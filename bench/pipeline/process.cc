#include "bench/pipeline/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>

namespace sluice::bench {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct ProcessStat {
  pid_t parent = 0;
  double cpu_seconds = 0;
};

/// Fields 4 and 14 to 17 of /proc/PID/stat: parent, own and waited-for children's ticks.
bool read_stat(pid_t pid, ProcessStat& stat) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return false;
  std::istringstream fields(text.substr(name_end + 2));
  std::string field;
  double ticks = 0;
  for (int number = 3; number <= 17 && fields >> field; ++number) {
    if (number == 4) stat.parent = std::atoi(field.c_str());
    if (number >= 14) ticks += std::atof(field.c_str());
  }
  stat.cpu_seconds = ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  return true;
}

std::map<pid_t, ProcessStat> all_processes() {
  std::map<pid_t, ProcessStat> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc"), closedir);
  while (const dirent* entry = folder ? readdir(folder.get()) : nullptr) {
    const pid_t pid = std::atoi(entry->d_name);
    ProcessStat stat;
    if (pid > 0 && read_stat(pid, stat)) found.emplace(pid, stat);
  }
  return found;
}

bool descends(const std::map<pid_t, ProcessStat>& all, pid_t pid, pid_t root, pid_t without) {
  while (pid > 1) {
    if (pid == without) return false;
    if (pid == root) return true;
    const auto found = all.find(pid);
    if (found == all.end()) return false;
    pid = found->second.parent;
  }
  return false;
}

/// The number behind `name` in a file of lines like "name: 12 kB".
std::uint64_t number_after(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
}

}  // namespace

TreeUsage usage_of_tree(pid_t root, pid_t without) {
  TreeUsage usage;
  const auto all = all_processes();
  for (const auto& [pid, stat] : all) {
    if (!descends(all, pid, root, without)) continue;
    usage.cpu_seconds += stat.cpu_seconds;
    const std::string io = read_file("/proc/" + std::to_string(pid) + "/io");
    usage.written_bytes += number_after(io, "\nwrite_bytes: ");
  }
  return usage;
}

std::uint64_t peak_memory(pid_t pid) {
  return number_after(read_file("/proc/" + std::to_string(pid) + "/status"), "VmHWM:") * 1024;
}

MachineUsage machine_usage() {
  std::istringstream fields(read_file("/proc/stat"));
  std::string name;
  std::array<double, 8> ticks{};
  fields >> name;
  for (double& each : ticks) fields >> each;
  const auto rate = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {.idle_seconds = (ticks[3] + ticks[4]) / rate, .stolen_seconds = ticks[7] / rate};
}

Started start_program(const std::vector<std::string>& command) {
  std::array<int, 2> pipe_ends;
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return {};
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  ::close(pipe_ends[1]);
  return {.pid = pid, .output = pipe_ends[0]};
}

std::string read_line(int file, double seconds) {
  constexpr std::size_t kLineBytesMax = 4096;
  const double deadline = now_seconds() + seconds;
  std::string line;
  while (line.size() < kLineBytesMax) {
    pollfd wait{file, POLLIN, 0};
    const double left = deadline - now_seconds();
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left * 1000) + 1) <= 0) return {};
    char letter = 0;
    if (read(file, &letter, 1) != 1) return {};
    if (letter == '\n') return line;
    line.push_back(letter);
  }
  return {};
}

void end_program(pid_t pid, double seconds) {
  if (pid <= 0) return;
  kill(pid, SIGTERM);
  const double deadline = now_seconds() + seconds;
  while (now_seconds() < deadline) {
    if (waitpid(pid, nullptr, WNOHANG) != 0) return;
    poll(nullptr, 0, 5);
  }
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return {};
  std::string text;
  std::array<char, 512> buffer;
  while (const std::size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) {
    text.append(buffer.data(), size);
  }
  if (pclose(pipe) != 0) return {};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

double now_seconds() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

}  // namespace sluice::bench
