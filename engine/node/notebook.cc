#include "engine/node/notebook.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/node/config.hpp"

namespace sluice::node {

// Written by plain stores: the kernel keeps them when the process dies, whatever killed it.
struct Notebook::Page {
  static constexpr std::uint64_t kMagic = 0x31656f746e636c73;  // "slcnote1"
  struct Running {
    volatile std::uint64_t low;
    volatile std::uint64_t high;
    volatile std::uint64_t active;
  };
  struct Crashed {
    std::uint64_t low;
    std::uint64_t high;
    std::uint64_t crashes;  // 0: free
  };
  std::uint64_t magic;
  std::uint64_t oldest;  // the next of `crashed` to be given up
  Running running[kThreads];
  Crashed crashed[kRemembered];
};

Notebook::Notebook(Page* page) : page_(page) {}

Notebook::~Notebook() {
  munmap(page_, sizeof(Page));
}

tl::expected<std::unique_ptr<Notebook>, std::string> Notebook::open(const std::string& directory) {
  const std::string path = directory + "/poison.notebook";
  const auto fail = [&](const char* what) {
    return tl::unexpected(path + ": " + what + ": " + std::strerror(errno));
  };
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail("cannot be opened");
  struct stat facts {};
  if (fstat(file, &facts) != 0 || ftruncate(file, sizeof(Page)) != 0) {
    auto error = fail("cannot be sized");
    close(file);
    return error;
  }
  void* at = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at == MAP_FAILED) return fail("cannot be mapped");
  Page* page = static_cast<Page*>(at);
  if (page->magic != Page::kMagic || facts.st_size != static_cast<off_t>(sizeof(Page))) {
    std::memset(static_cast<void*>(page), 0, sizeof(Page));
    page->magic = Page::kMagic;
  }
  std::unique_ptr<Notebook> notebook(new Notebook(page));
  notebook->count_crashes();
  notebook->find_poison();
  return notebook;
}

std::unique_ptr<Notebook> Notebook::read(const std::string& directory) {
  const std::string path = directory + "/poison.notebook";
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat facts {};
  const bool whole = fstat(file, &facts) == 0 && facts.st_size == static_cast<off_t>(sizeof(Page));
  void* at = whole ? mmap(nullptr, sizeof(Page), PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
  close(file);
  if (at == MAP_FAILED) return nullptr;
  std::unique_ptr<Notebook> notebook(new Notebook(static_cast<Page*>(at)));
  if (notebook->page_->magic != Page::kMagic) return nullptr;
  notebook->find_poison();
  return notebook;
}

void Notebook::count_crashes() {
  for (auto& running : page_->running) {
    if (running.active == 0) continue;
    Page::Crashed* found = nullptr;
    for (auto& crashed : page_->crashed) {
      if (crashed.crashes > 0 && crashed.low == running.low && crashed.high == running.high) {
        found = &crashed;
      }
    }
    if (found == nullptr) {
      found = &page_->crashed[page_->oldest++ % kRemembered];
      *found = {running.low, running.high, 0};
    }
    ++found->crashes;
    running.active = 0;
  }
}

void Notebook::find_poison() {
  for (const auto& crashed : page_->crashed) any_ = any_ || crashed.crashes >= kPoisonCrashes;
}

core::Hash128 Notebook::name(core::PartitionId partition, const core::Record& record) {
  core::SipHasher128 hasher(core::kDigestKey);
  const std::uint32_t head[3] = {core::number(partition), core::number(record.tenant),
                                 static_cast<std::uint32_t>(record.kind)};
  hasher.add({reinterpret_cast<const char*>(head), sizeof head});
  hasher.add(record.body);
  return hasher.finish();
}

bool Notebook::poisonous(const core::Hash128& input) const {
  if (!any_) return false;
  for (const auto& crashed : page_->crashed) {
    if (crashed.crashes >= kPoisonCrashes && crashed.low == input.low &&
        crashed.high == input.high) {
      return true;
    }
  }
  return false;
}

void Notebook::begin(unsigned thread, const core::Hash128& input) {
  auto& running = page_->running[thread];
  running.low = input.low;
  running.high = input.high;
  running.active = 1;
}

void Notebook::end(unsigned thread) {
  page_->running[thread].active = 0;
}

}  // namespace sluice::node
