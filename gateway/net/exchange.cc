#include "gateway/net/exchange.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "gateway/codec/client_frames.hpp"
#include "gateway/limits.hpp"
#include "gateway/net/publish.hpp"

namespace sluice::gateway {
namespace {

std::uint32_t retry_after_of(const ErrorRow& row, std::uint32_t asked_ms) {
  if (!row.retryable || asked_ms > 0) return asked_ms;
  return row.code == ErrorCode::unavailable ? limits::kUnavailableRetryMs : limits::kBusyRetryMs;
}

unsigned status_of(const ErrorRow& row, const ProblemDetails& details) {
  return details.status != 0 ? details.status : row.status;
}

}  // namespace

ProblemDetails details_of(const InputError& error) {
  ProblemDetails details;
  details.message = error.message;
  details.errors = &error.errors;
  if (error.malformed) details.status = row_of(ErrorCode::bad_request).status;
  return details;
}

std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = getrandom(bytes.data() + have, bytes.size() - have, 0);
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  core::Id128 id;
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return core::to_text(id);
}

std::optional<std::string> HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string problem_body(const ErrorRow& row, const ProblemDetails& details,
                         std::string_view correlation) {
  std::string body = R"({"type":"about:blank","title":)";
  vm::append_json_string(row.text, body);
  body += fmt::format(R"(,"status":{},"code":"{}","detail":)", status_of(row, details), row.name);
  vm::append_json_string(details.message.empty() ? row.text : std::string_view(details.message),
                         body);
  body += R"(,"correlation":)";
  vm::append_json_string(correlation, body);
  const std::uint32_t retry_after_ms = retry_after_of(row, details.retry_after_ms);
  if (retry_after_ms > 0) body += fmt::format(R"(,"retry_after_ms":{})", retry_after_ms);
  if (details.errors != nullptr && !details.errors->empty()) append_errors(body, *details.errors);
  body += details.extra;
  body += '}';
  return body;
}

Exchange::Exchange(Shard& shard, HttpRequest request, Send send)
    : shard_(shard), request_(std::move(request)), send_(std::move(send)), id_(shard.next_id()) {
  correlation_ = is_visible_ascii(request_.correlation, limits::kCorrelationBytes)
                     ? request_.correlation
                     : random_id();
}

void Exchange::respond(HttpResponse response) {
  if (answered_) return;
  answered_ = true;
  if (response.status >= 400) shard_.counters().http_errors.add();
  response.headers.emplace_back("x-correlation-id", correlation_);
  if (send_) send_(std::move(response));
  finish();
}

void Exchange::respond_json(unsigned status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  respond(std::move(response));
}

void Exchange::problem(ErrorCode code, ProblemDetails details) {
  const ErrorRow& row = row_of(code);
  HttpResponse response;
  response.status = status_of(row, details);
  response.content_type = "application/problem+json";
  response.body = problem_body(row, details, correlation_);
  const std::uint32_t retry_after_ms = retry_after_of(row, details.retry_after_ms);
  if (retry_after_ms > 0) {
    response.headers.emplace_back("Retry-After", std::to_string((retry_after_ms + 999) / 1000));
  }
  if (code == ErrorCode::unauthorized) {
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"sluice\"");
  }
  respond(std::move(response));
}

void Exchange::problem(const node::Refusal& refusal) {
  problem(row_of_word(refusal.code).code,
          {.message = refusal.message, .retry_after_ms = refusal.retry_after_ms});
}

std::chrono::milliseconds Exchange::limits_answer() {
  return limits::kAnswerTimeout;
}

void Exchange::wait(std::chrono::milliseconds at_most) {
  deadline_ = std::chrono::steady_clock::now() + at_most;
  if (held_ || answered_) return;
  held_ = true;
  shard_.hold(shared_from_this());
  shard_.add_answers(id_, this);
}

void Exchange::finish() {
  const auto self = shared_from_this();
  if (held_) {
    held_ = false;
    shard_.remove_answers(id_);
    shard_.release(id_);
  }
  if (when_gone) std::exchange(when_gone, nullptr)();
  // Callbacks often hold the exchange itself.
  shard_.post([self] {
    self->when_accepted = nullptr;
    self->when_rejected = nullptr;
    self->when_reported = nullptr;
    self->when_time_is_up = nullptr;
    self->take_socket = nullptr;
    self->send_ = nullptr;
  });
}

void Exchange::abandon() {
  if (answered_) return;
  answered_ = true;
  finish();
}

void Exchange::tick(Time now) {
  if (answered_ || now < deadline_) return;
  if (when_time_is_up) {
    const auto call = when_time_is_up;
    call();
    return;
  }
  problem(ErrorCode::unavailable, {.message = "the engine has not answered in time"});
}

void Exchange::on_accepted(std::uint64_t token, node::Accepted& answer) {
  if (when_accepted) when_accepted(token, answer);
}

void Exchange::on_rejected(std::uint64_t token, node::Refusal& refusal) {
  if (when_rejected) {
    when_rejected(token, refusal);
  } else {
    problem(refusal);
  }
}

void Exchange::on_settled(std::uint64_t) {
  if (when_reported) when_reported(true);
}

void Exchange::on_stale(std::uint64_t) {
  if (when_reported) when_reported(false);
}

}  // namespace sluice::gateway
