#include "bench/pipeline/client.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "bench/pipeline/frames.hpp"
#include "bench/pipeline/process.hpp"

namespace sluice::bench {
namespace {

constexpr double kWelcomeSeconds = 10;
constexpr std::uint64_t kRetryDefaultMs = 50;

/// "SLOT.N" as `write` puts it into `correlation`.
JobId job_of(std::string_view correlation) {
  const std::size_t dot = correlation.find('.');
  if (dot == std::string_view::npos) return {UINT32_MAX, 0};
  return {static_cast<std::uint32_t>(number(correlation.substr(0, dot))),
          number(correlation.substr(dot + 1))};
}

}  // namespace

JobClient::JobClient(Endpoint endpoint, std::string token, OnOutcome on_outcome, Faults& faults)
    : endpoint_(std::move(endpoint)),
      token_(std::move(token)),
      on_outcome_(std::move(on_outcome)),
      faults_(&faults) {}

tl::expected<void, std::string> JobClient::open() {
  auto socket =
      WebSocket::open(endpoint_, {.path = "/v1/ws", .protocol = "sluice.v1.json", .token = token_});
  if (!socket) return tl::unexpected(socket.error());
  socket_ = std::move(*socket);
  welcomed_ = false;
  if (session_.empty()) {
    socket_.send(R"({"t":"hello"})");
  } else {
    socket_.send(
        fmt::format(R"({{"t":"hello","session":"{}","resume":{{"epoch":"{}","offset":{}}}}})",
                    session_, epoch_, top_offset_));
  }
  socket_.flush();
  const double deadline = now_seconds() + kWelcomeSeconds;
  while (!welcomed_) {
    pollfd wait{file(), POLLIN, 0};
    const double left = deadline - now_seconds();
    if (left <= 0) return tl::unexpected(std::string("no welcome within 10 s"));
    poll(&wait, 1, static_cast<int>(left * 1000) + 1);
    if (!receive()) return tl::unexpected(why());
  }
  return {};
}

bool JobClient::receive() {
  return socket_.receive([this](std::string_view text) { handle(text); });
}

void JobClient::handle(std::string_view text) {
  MemberScan scan(text);
  std::string_view kind;
  while (kind.empty() && scan.next()) {
    if (scan.key() == "t") kind = inside(scan.value());
  }
  if (kind == "delivery") return handle_delivery(text);
  if (kind == "rejected") return handle_rejected(text);
  if (kind == "accepted") {
    std::string_view id;
    while (id.empty() && scan.next()) {
      if (scan.key() == "id") id = inside(scan.value());
    }
    unaccepted_.erase(number(id.substr(id.rfind(':') + 1)));
    return pump();
  }
  if (kind == "welcome" && !welcomed_) {
    for (MemberScan all(text); all.next();) {
      if (all.key() == "session") session_ = inside(all.value());
      if (all.key() == "epoch") epoch_ = inside(all.value());
      if (all.key() == "offset") top_offset_ = std::max(top_offset_, number(all.value()));
      if (all.key() != "limits") continue;
      for (MemberScan limits(all.value()); limits.next();) {
        if (limits.key() == "pending") pending_max_ = number(limits.value());
      }
    }
    acked_offset_ = top_offset_;
    welcomed_ = true;
  }
  if (kind == "error" && faults_->first.empty()) faults_->first = std::string(text);
}

void JobClient::handle_delivery(std::string_view text) {
  std::string_view correlation, name, data;
  std::uint64_t offset = 0;
  bool outcome = false;
  for (MemberScan scan(text); scan.next();) {
    if (scan.key() == "offset") offset = number(scan.value());
    if (scan.key() == "correlation") correlation = inside(scan.value());
    if (scan.key() == "name") name = inside(scan.value());
    if (scan.key() == "data") data = scan.value();
    if (scan.key() == "outcome") outcome = scan.value() == "true";
  }
  if (offset <= top_offset_) return;  // repeated after a reconnect
  top_offset_ = offset;
  if (outcome) on_outcome_(job_of(correlation), name, data);
}

void JobClient::handle_rejected(std::string_view text) {
  std::string_view id, code;
  std::uint64_t retry_ms = kRetryDefaultMs;
  for (MemberScan scan(text); scan.next();) {
    if (scan.key() == "id") id = inside(scan.value());
    if (scan.key() == "code") code = inside(scan.value());
    if (scan.key() == "retry_after_ms") retry_ms = number(scan.value());
  }
  const auto found = unaccepted_.find(number(id.substr(id.rfind(':') + 1)));
  if (found == unaccepted_.end()) return;
  const JobId job = found->second;
  unaccepted_.erase(found);
  if (code == "busy" || code == "rate_limited" || code == "unavailable") {
    ++faults_->refused;
    delayed_.emplace_back(now_seconds() + static_cast<double>(retry_ms) / 1000, job);
  } else {
    ++faults_->wrong;
    if (faults_->first.empty()) faults_->first = std::string(text);
  }
  pump();
}

void JobClient::submit(JobId job) {
  waiting_.push_back(job);
  pump();
}

void JobClient::pump() {
  while (!waiting_.empty() && unaccepted_.size() < pending_max_) {
    write(waiting_.front());
    waiting_.pop_front();
  }
}

void JobClient::write(JobId job) {
  const std::uint64_t id = next_id_++;
  unaccepted_.emplace(id, job);
  frame_.clear();
  fmt::format_to(std::back_inserter(frame_),
                 R"({{"t":"send","id":"{}:{}","topic":"jobs","data":{{"n":{},"text":"{}"}},)"
                 R"("correlation":"{}.{}"}})",
                 session_, id, job.n, job_text(job.n), job.slot, job.n);
  socket_.send(frame_);
}

void JobClient::retry_due(double now) {
  while (!delayed_.empty() && delayed_.front().first <= now) {
    submit(delayed_.front().second);
    delayed_.pop_front();
  }
}

void JobClient::acknowledge() {
  if (top_offset_ <= acked_offset_) return;
  acked_offset_ = top_offset_;
  socket_.send(fmt::format(R"({{"t":"ack","offset":{}}})", top_offset_));
}

}  // namespace sluice::bench
