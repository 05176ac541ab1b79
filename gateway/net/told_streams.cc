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

void ToldStreams::note(const node::StreamUpdate& stream, std::uint64_t offset) {
  std::erase_if(told_, [&](const Told& each) {
    return each.stream.run == stream.run && each.stream.step_number == stream.step_number;
  });
  Told& told = told_.emplace_back();
  told.stream = stream;
  told.stream.text.clear();
  told.ended = is_end(stream.what);
  told.offset = offset;
  if (told_.size() > kToldStreamsMax) told_.pop_front();
}

void ToldStreams::acknowledged(std::uint64_t offset) {
  std::erase_if(told_, [&](const Told& each) { return each.ended && offset > each.offset; });
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
