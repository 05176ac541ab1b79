#include "engine/node/inbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/core/check.hpp"

namespace sluice::node {

Inbox::Inbox() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  SLUICE_CHECK(event_ >= 0);
}

Inbox::~Inbox() {
  close(event_);
}

void Inbox::wake(std::unique_lock<std::mutex>& lock) {
  const bool sleeping = asleep_;
  asleep_ = false;
  lock.unlock();
  if (!sleeping) return;
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the reader is awake.
  [[maybe_unused]] const auto written = write(event_, &one, sizeof one);
}

void Inbox::post(RecordInput&& input) {
  std::unique_lock lock(mutex_);
  contents_.records.push_back(std::move(input));
  wake(lock);
}

void Inbox::post(LookInput&& input) {
  std::unique_lock lock(mutex_);
  contents_.looks.push_back(std::move(input));
  wake(lock);
}

void Inbox::post(Command&& command) {
  std::unique_lock lock(mutex_);
  contents_.commands.push_back(std::move(command));
  wake(lock);
}

void Inbox::drain(Contents& out) {
  const std::lock_guard lock(mutex_);
  std::swap(out, contents_);
}

bool Inbox::try_sleep() {
  const std::lock_guard lock(mutex_);
  if (!contents_.empty()) return false;
  asleep_ = true;
  return true;
}

void Inbox::awake() {
  {
    const std::lock_guard lock(mutex_);
    asleep_ = false;
  }
  std::uint64_t count = 0;
  [[maybe_unused]] const auto ignored = read(event_, &count, sizeof count);
}

}  // namespace sluice::node
