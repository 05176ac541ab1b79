// LD_PRELOAD shim for PostgreSQL: each fdatasync and fsync costs SLOWSYNC_US microseconds more, as
// on a disk whose syncs are not nearly free.
#include <dlfcn.h>

#include <cstdlib>
#include <ctime>

namespace {

void wait_more() {
  static const long us = [] {
    const char* text = std::getenv("SLOWSYNC_US");
    return text ? std::atol(text) : 1000L;
  }();
  timespec left{us / 1000000, (us % 1000000) * 1000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &left, nullptr);
}

using Sync = int (*)(int);

Sync next(const char* name) {
  return reinterpret_cast<Sync>(dlsym(RTLD_NEXT, name));
}

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
