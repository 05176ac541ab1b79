#include "gateway/net/stream_feed.hpp"

#include <algorithm>
#include <iterator>

#include "gateway/limits.hpp"

namespace sluice::gateway {

void StreamFeed::begin(std::vector<node::StreamUpdate> snapshots, Time now) {
  begun_ = true;
  for (node::StreamUpdate& snapshot : snapshots) {
    Stream& stream = streams_[{snapshot.run, snapshot.step_number}];
    stream.have = snapshot.text.size();
    stream.next = now + pace_;
    owner_.send_stream(snapshot);
    snapshot.text.clear();
    stream.head = std::move(snapshot);
  }
}

void StreamFeed::on_update(const node::StreamUpdate& update, Time now) {
  if (!begun_) return;
  const auto known = streams_.find({update.run, update.step_number});
  const bool is_known = known != streams_.end();
  if (is_known && update.order < known->second.head.order) return;
  switch (update.what) {
    case What::open:
    case What::reset:
      // What the snapshot held already was on its way when that was taken.
      if (!is_known || update.order > known->second.head.order) begin_attempt(update);
      return;
    case What::piece:
      if (is_known && update.order == known->second.head.order) {
        take_piece(known->second, update, now);
      }
      return;
    case What::complete:
    case What::failed:
    case What::cancelled:
      if (!is_known) return;  // it ended before the socket came
      known->second.end = update;
      flush(known->second, now);
      if (known->second.over) streams_.erase(known);
      return;
    case What::snapshot:
      return;  // never sent unasked
  }
}

void StreamFeed::begin_attempt(const node::StreamUpdate& update) {
  Stream& stream = streams_[{update.run, update.step_number}];
  stream = Stream{};
  stream.head = update;
  owner_.send_stream(update);
}

void StreamFeed::take_piece(Stream& stream, const node::StreamUpdate& piece, Time now) {
  const std::uint64_t end = piece.at + piece.text.size();
  if (stream.lost || end <= stream.have) return;  // in the snapshot to come, or in the last one
  if (piece.at > stream.have || stream.gathered.size() > limits::kStreamGatherBytes) {
    stream.lost = true;
    stream.gathered.clear();
  } else {
    stream.gathered += std::string_view(piece.text).substr(stream.have - piece.at);
    stream.have = end;
  }
  flush(stream, now);
}

void StreamFeed::flush(Stream& stream, Time now) {
  if (stream.end) return finish(stream, now);
  if (!waits(stream) || now < stream.next) return;
  if (!owner_.has_stream_room()) {
    stream.lost = true;
    stream.gathered.clear();
    stream.next = now + std::max(pace_, limits::kStreamRoomWait);
    return;
  }
  if (!stream.lost) return send_gathered(stream, now);
  auto snapshot = owner_.read_stream(stream.head.run, stream.head.step_number);
  stream.next = now + std::max(pace_, limits::kStreamRoomWait);
  // A newer attempt is on its way here, or the end.
  if (!snapshot || snapshot->order != stream.head.order) return;
  stream.lost = false;
  stream.have = snapshot->text.size();
  owner_.send_stream(*snapshot);
}

void StreamFeed::send_gathered(Stream& stream, Time now) {
  owner_.send_token(stream.head, stream.sent++, stream.gathered);
  stream.gathered.clear();
  stream.next = now + pace_;
}

// The rest first, when it is due: the end says that there is no more.
void StreamFeed::finish(Stream& stream, Time now) {
  const bool rest = !stream.lost && !stream.gathered.empty() && owner_.has_stream_room();
  if (rest && now < stream.next) return;
  if (rest) send_gathered(stream, now);
  owner_.send_stream(*stream.end);
  stream.over = true;
}

void StreamFeed::on_time(Time now) {
  for (auto at = streams_.begin(); at != streams_.end();) {
    flush(at->second, now);
    at = at->second.over ? streams_.erase(at) : std::next(at);
  }
}

std::optional<StreamFeed::Time> StreamFeed::next_due() const {
  std::optional<Time> first;
  for (const auto& [key, stream] : streams_) {
    if (waits(stream) && (!first || stream.next < *first)) first = stream.next;
  }
  return first;
}

}  // namespace sluice::gateway
