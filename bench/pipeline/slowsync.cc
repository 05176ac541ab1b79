// LD_PRELOAD shim for PostgreSQL: each fdatasync and fsync costs some microseconds more, as on a
// disk whose syncs are not nearly free. How many is in the name of the library, slowsync-1000.so,
// because flowd starts PostgreSQL with an environment of its own.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

long extra_microseconds() {
  Dl_info self{};
  if (dladdr(reinterpret_cast<void*>(&extra_microseconds), &self) == 0) return 1000;
  const char* dash = std::strrchr(self.dli_fname, '-');
  return dash ? std::atol(dash + 1) : 1000;
}

void wait_more() {
  static const long us = extra_microseconds();
  timespec left{us / 1000000, (us % 1000000) * 1000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &left, nullptr);
}

using Sync = int (*)(int);

Sync next(const char* name) { return reinterpret_cast<Sync>(dlsym(RTLD_NEXT, name)); }

}  // namespace

extern "C" int fdatasync(int file) {
  static const Sync real = next("fdatasync");
  wait_more();
  return real(file);
}

extern "C" int fsync(int file) {
  static const Sync real = next("fsync");
  wait_more();
  return real(file);
}
