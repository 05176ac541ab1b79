// What the kernel knows of processes, and starting and ending those that the benchmark needs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::bench {

/// What a process and all that descend from it have used since they began.
struct TreeUsage {
  double cpu_seconds = 0;
  std::uint64_t written_bytes = 0;  // handed to the disk; 0 where /proc does not let us read it
};

/// Usage of the tree below `root`, leaving out the tree below `without` (0: leave out nothing).
/// Children that have ended and were waited for are counted with their parent.
TreeUsage usage_of_tree(pid_t root, pid_t without = 0);

/// The most memory that a process has held, in bytes; 0 if it is gone.
std::uint64_t peak_memory(pid_t pid);

/// Idle and stolen seconds of the machine since it started, over all cores.
struct MachineUsage {
  double idle_seconds = 0;
  double stolen_seconds = 0;
};
MachineUsage machine_usage();

/// Starts a program with its standard output in a pipe. `output` is the pipe's reading end.
struct Started {
  pid_t pid = -1;
  int output = -1;
};
Started start_program(const std::vector<std::string>& command);

/// Reads one line of at most 4 KB, waiting `seconds` at most; empty when none came.
std::string read_line(int file, double seconds);

/// SIGTERM, and SIGKILL after `seconds`; waits for its end. Only for own children.
void end_program(pid_t pid, double seconds);

/// The standard output of a shell command, without its last newline; empty if it failed.
std::string output_of(const std::string& command);

/// Seconds of a monotonic clock.
double now_seconds();

}  // namespace sluice::bench
