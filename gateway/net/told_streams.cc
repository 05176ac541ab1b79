#include "gateway/net/told_streams.hpp"

#include <algorithm>
#include <utility>

namespace sluice::gateway {
namespace {

bool is_end(node::StreamUpdate::What what) {
  using What = node::StreamUpdate::What;
  return what == What::complete || what == What::failed || what == What::cancelled;
}

}  // namespace

std::optional<std::uint64_t> ToldStreams::note(const node::StreamUpdate& stream) {
  std::erase_if(told_, [&](const Told& each) {
    return each.stream.run == stream.run && each.stream.step_number == stream.step_number;
  });
  Told& told = told_.emplace_back();
  told.stream = stream;
  told.stream.text.clear();
  told.ended = is_end(stream.what);
  if (told.ended) told.ping = ++pings_;
  const std::uint64_t ping = told.ping;
  if (told_.size() > kToldStreamsMax) told_.pop_front();
  if (ping == 0) return std::nullopt;
  return ping;
}

void ToldStreams::heard(std::uint64_t ping) {
  std::erase_if(told_, [&](const Told& each) { return each.ended && each.ping <= ping; });
}

bool ToldStreams::knows(const core::RunId& run, std::uint32_t step_number) const {
  return std::any_of(told_.begin(), told_.end(), [&](const Told& each) {
    return each.stream.run == run && each.stream.step_number == step_number;
  });
}

std::vector<node::StreamUpdate> ToldStreams::take() {
  std::vector<node::StreamUpdate> streams;
  for (Told& each : told_) streams.push_back(std::move(each.stream));
  told_.clear();
  return streams;
}

}  // namespace sluice::gateway
