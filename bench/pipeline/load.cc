#include "bench/pipeline/load.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <deque>

#include "bench/pipeline/frames.hpp"
#include "bench/pipeline/process.hpp"

namespace sluice::bench {
namespace {

constexpr double kDrainSeconds = 30;
constexpr int kEventsMax = 256;

/// Job numbers never repeat within a process: an answer to an earlier load is told from this one's.
std::uint64_t next_job() {
  static std::uint64_t last = 0;
  return ++last;
}

double percentile(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(at, 1, sorted.size()) - 1];
}

class Load {
 public:
  Load(const LoadOptions& options, const Window& window) : options_(options), window_(window) {}
  ~Load() {
    if (epoll_ >= 0) ::close(epoll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  tl::expected<void, std::string> connect();
  tl::expected<LoadResult, std::string> run();

 private:
  struct Slot {
    std::uint64_t n = 0;
    double start = 0;  // closed loop: when sent; open loop: when it should have been sent
    bool busy = false;
  };

  void start_job(std::uint32_t slot, double start);
  void finish_job(JobId job, std::string_view name, std::string_view data);
  void start_due(double now);
  tl::expected<void, std::string> turn(double until);
  tl::expected<void, std::string> flush(std::uint32_t client);
  double next_due(double until) const;
  JobClient& client_of(std::uint32_t slot) { return *clients_[slot % clients_.size()]; }
  LoadResult result();

  const LoadOptions& options_;
  const Window& window_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<JobClient>> clients_;
  std::vector<bool> writing_;  // clients that epoll watches for room to write
  std::vector<Slot> slots_;
  std::deque<std::uint32_t> free_slots_;  // in turn, so that all clients take part
  std::vector<float> latencies_ms_;
  Faults faults_;
  double now_ = 0, began_ = 0, last_ack_ = 0;
  double window_begins_ = 0, window_ends_ = 0;
  std::uint64_t open_started_ = 0;
  std::uint64_t under_way_ = 0, jobs_ = 0;
  bool stopping_ = false;
};

tl::expected<void, std::string> Load::connect() {
  const auto endpoint = parse_endpoint(options_.url);
  if (!endpoint) return tl::unexpected(endpoint.error());
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  for (const std::string& token : options_.tokens) {
    auto client = std::make_unique<JobClient>(
        *endpoint, token,
        [this](JobId job, std::string_view name, std::string_view data) {
          finish_job(job, name, data);
        },
        faults_);
    if (auto opened = client->open(); !opened) return opened;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<std::uint32_t>(clients_.size());
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client->file(), &event);
    clients_.push_back(std::move(client));
  }
  writing_.assign(clients_.size(), false);
  slots_.resize(options_.in_flight);
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) free_slots_.push_back(slot);
  return {};
}

void Load::start_job(std::uint32_t slot, double start) {
  slots_[slot] = {.n = next_job(), .start = start, .busy = true};
  ++under_way_;
  client_of(slot).submit({slot, slots_[slot].n});
}

void Load::finish_job(JobId job, std::string_view name, std::string_view data) {
  if (job.slot >= slots_.size() || !slots_[job.slot].busy || slots_[job.slot].n != job.n) {
    ++faults_.doubled;
    return;
  }
  Slot& slot = slots_[job.slot];
  slot.busy = false;
  --under_way_;
  std::string_view answer;
  for (MemberScan scan(data); scan.next();) {
    if (scan.key() == "result") answer = inside(scan.value());
  }
  if (name != "Done" || answer != expected_result(job.n)) {
    ++faults_.wrong;
    if (faults_.first.empty()) faults_.first = fmt::format("{} {}", name, data);
  }
  // An open loop is judged by the jobs that were due in the window, whenever they are answered.
  const double judged = options_.rate > 0 ? slot.start : now_;
  if (judged >= window_begins_ && judged < window_ends_) {
    latencies_ms_.push_back(static_cast<float>((now_ - slot.start) * 1000));
  }
  if (now_ >= window_begins_ && now_ < window_ends_) ++jobs_;
  if (options_.rate > 0 || stopping_) {
    free_slots_.push_back(job.slot);
  } else {
    start_job(job.slot, now_);
  }
}

/// An open loop's jobs whose time has come. Where all slots are taken they start late, which
/// counts.
void Load::start_due(double now) {
  if (options_.rate <= 0 || stopping_) return;
  for (;;) {
    const double due = began_ + static_cast<double>(open_started_) / options_.rate;
    if (due > now || free_slots_.empty()) return;
    const std::uint32_t slot = free_slots_.front();
    free_slots_.pop_front();
    ++open_started_;
    start_job(slot, due);
  }
}

double Load::next_due(double until) const {
  double due = std::min(until, last_ack_ + options_.ack_seconds);
  if (options_.rate > 0 && !stopping_ && !free_slots_.empty()) {
    due = std::min(due, began_ + static_cast<double>(open_started_) / options_.rate);
  }
  for (const auto& client : clients_) due = std::min(due, client->next_retry());
  return due;
}

tl::expected<void, std::string> Load::flush(std::uint32_t index) {
  JobClient& client = *clients_[index];
  if (!client.flush()) return tl::unexpected("a client lost its connection: " + client.why());
  if (client.wants_to_write() != writing_[index]) {
    writing_[index] = !writing_[index];
    epoll_event event{};
    event.events = writing_[index] ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u32 = index;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, client.file(), &event);
  }
  return {};
}

/// Waits for what comes next, but not beyond `until`; handles it and writes what follows.
tl::expected<void, std::string> Load::turn(double until) {
  const double wait = std::max(0.0, next_due(until) - now_seconds());
  const timespec limit{static_cast<time_t>(wait),
                       static_cast<long>((wait - std::floor(wait)) * 1e9)};
  std::array<epoll_event, kEventsMax> events;
  const int ready = epoll_pwait2(epoll_, events.data(), kEventsMax, &limit, nullptr);
  now_ = now_seconds();
  for (int i = 0; i < ready; ++i) {
    JobClient& client = *clients_[events[i].data.u32];
    if (!client.receive()) return tl::unexpected("a client lost its connection: " + client.why());
  }
  start_due(now_);
  const bool acks = now_ >= last_ack_ + options_.ack_seconds;
  if (acks) last_ack_ = now_;
  for (std::uint32_t index = 0; index < clients_.size(); ++index) {
    JobClient& client = *clients_[index];
    client.retry_due(now_);
    if (acks) client.acknowledge();
    if (!client.wants_to_write()) continue;
    if (auto flushed = flush(index); !flushed) return flushed;
  }
  return {};
}

tl::expected<LoadResult, std::string> Load::run() {
  began_ = now_ = last_ack_ = now_seconds();
  window_begins_ = began_ + options_.warmup_seconds;
  window_ends_ = window_begins_ + options_.seconds;
  if (options_.rate <= 0) {
    free_slots_.clear();
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) start_job(slot, now_);
  }
  while (now_ < window_begins_) {
    if (auto turned = turn(window_begins_); !turned) return tl::unexpected(turned.error());
  }
  window_.begins();
  while (now_ < window_ends_) {
    if (auto turned = turn(window_ends_); !turned) return tl::unexpected(turned.error());
  }
  window_.ends();
  stopping_ = true;
  const double drained = now_ + kDrainSeconds;
  while (under_way_ > 0 && now_ < drained) {
    if (auto turned = turn(drained); !turned) return tl::unexpected(turned.error());
  }
  return result();
}

LoadResult Load::result() {
  std::sort(latencies_ms_.begin(), latencies_ms_.end());
  return {.jobs = jobs_,
          .seconds = options_.seconds,
          .p50_ms = percentile(latencies_ms_, 0.5),
          .p99_ms = percentile(latencies_ms_, 0.99),
          .p999_ms = percentile(latencies_ms_, 0.999),
          .max_ms = percentile(latencies_ms_, 1),
          .faults = faults_,
          .missing = under_way_};
}

}  // namespace

tl::expected<LoadResult, std::string> run_load(const LoadOptions& options, const Window& window) {
  Load load(options, window);
  if (auto connected = load.connect(); !connected) return tl::unexpected(connected.error());
  return load.run();
}

}  // namespace sluice::bench
