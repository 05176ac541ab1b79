#include "gateway/net/pending_reports.hpp"

#include <algorithm>
#include <utility>

#include "engine/core/limits.hpp"
#include "gateway/codec/frame_fields.hpp"
#include "gateway/limits.hpp"

namespace sluice::gateway {

static_assert(limits::kKindBytes <= core::kFailureKindBytesMax);
static_assert(limits::kMessageBytes <= core::kFailureMessageBytesMax);

std::string cut_message(std::string text) {
  cut_text(text, limits::kMessageBytes);
  return text;
}

std::optional<std::uint64_t> PendingReports::add(std::string_view lease,
                                                 const node::ReportRequest& request) {
  if (free_.empty()) {
    if (places_.size() >= limits::kPendingReports) return std::nullopt;
    free_.push_back(places_.size());
    places_.emplace_back();
  }
  const std::uint64_t token = free_.back();
  free_.pop_back();
  Place& place = places_[token];
  place = Place();
  place.lease.assign(lease);
  place.taken = true;
  const auto* done = std::get_if<node::ReportDone>(&request.outcome);
  const std::size_t bytes = done == nullptr ? 0 : done->result.size();
  if (kept_bytes_ + bytes <= limits::kKeptReportBytes) {
    place.request = request;
    place.request->reply.token = token;
    place.bytes = bytes;
    kept_bytes_ += bytes;
  }
  return token;
}

std::string PendingReports::release(std::uint64_t token) {
  if (token >= places_.size() || !places_[token].taken) return {};
  Place& place = places_[token];
  if (place.waits) std::erase(waiting_, token);
  kept_bytes_ -= place.bytes;
  std::string lease = std::move(place.lease);
  place = Place();
  free_.push_back(token);
  return lease;
}

PendingReports::Then PendingReports::refused(std::uint64_t token, const node::Refusal& refusal,
                                             Time now) {
  if (token >= places_.size() || !places_[token].request) return Then::kForget;
  Place& place = places_[token];
  if (refusal.code == "unavailable") {
    place.gap = std::clamp(2 * place.gap, limits::kReportRetryMin, limits::kReportRetryMax);
    place.at = now + place.gap;
    if (!std::exchange(place.waits, true)) waiting_.push_back(token);
    return Then::kWait;
  }
  if (std::exchange(place.replaced, true)) return Then::kStale;
  kept_bytes_ -= std::exchange(place.bytes, 0);
  place.request->outcome =
      node::ReportFailed{.kind = "Invalid", .message = cut_message(refusal.message)};
  return Then::kAgain;
}

std::vector<std::uint64_t> PendingReports::due(Time now) {
  std::vector<std::uint64_t> due;
  std::erase_if(waiting_, [&](std::uint64_t token) {
    if (places_[token].at > now) return false;
    places_[token].waits = false;
    due.push_back(token);
    return true;
  });
  return due;
}

}  // namespace sluice::gateway
