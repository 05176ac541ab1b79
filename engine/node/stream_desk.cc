#include "engine/node/stream_desk.hpp"

#include <algorithm>

#include "engine/node/shared.hpp"

namespace sluice::node {
namespace {

using What = StreamUpdate::What;

What what_of(core::StreamEnd end) {
  switch (end) {
    case core::StreamEnd::complete:
      return What::complete;
    case core::StreamEnd::failed:
      return What::failed;
    case core::StreamEnd::cancelled:
      return What::cancelled;
  }
  return What::failed;
}

core::AttemptKey key_of(const Lease& lease) {
  return {lease.partition, lease.run, lease.step, lease.attempt};
}

}  // namespace

// ---- attempts begin and end

void StreamDesk::offered(const core::Offer& offer) {
  if (!offer.stream) return;
  // Where nobody listens, who speaks first counts all the same.
  if (offer.client.empty() && !offer.undecided) return;
  const std::lock_guard lock(mutex_);
  const StreamKey key{offer.key.run, offer.key.step};
  const auto [at, fresh] = streams_.try_emplace(key);
  Stream& stream = at->second;
  if (fresh) {
    open_.fetch_add(1, std::memory_order_relaxed);
    stream.partition = offer.key.partition;
    stream.tenant = offer.tenant;
    stream.client = offer.client;
    stream.path = offer.path;
    clients_[{offer.tenant, offer.client}].streams.push_back(key);
  }
  // Beside one that may speak first it is not heard of before it does.
  const bool beside = offer.undecided && !stream.orphan && !stream.voices.empty();
  if (!beside) {
    stream.voices.clear();
    const bool first = fresh && !offer.reissued && offer.key.attempt == 1;
    show(key, stream, offer.key.attempt, first ? What::open : What::reset);
  }
  stream.orphan = false;
  Voice voice;
  voice.attempt = offer.key.attempt;
  voice.opened = offer.opened;
  voice.undecided = offer.undecided;
  stream.voices.push_back(std::move(voice));
  take_early(offer.key);
}

void StreamDesk::closed(const core::AttemptKey& key) {
  if (open_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  const auto at = streams_.find({key.run, key.step});
  if (at == streams_.end()) return;
  std::erase_if(at->second.voices, [&](const Voice& v) { return v.attempt == key.attempt; });
}

void StreamDesk::ended(const core::StreamEnded& end) {
  const std::lock_guard lock(mutex_);
  const auto at = streams_.find({end.run, end.step});
  if (at != streams_.end()) forget(at, what_of(end.how));
}

void StreamDesk::drop_partition(core::PartitionId partition) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, stream] : streams_) {
    if (stream.partition != partition) continue;
    stream.orphan = true;
    stream.voices.clear();
  }
}

// How it ended was decided elsewhere; the run's own messages tell what came of it.
void StreamDesk::taken_over(core::PartitionId partition) {
  const std::lock_guard lock(mutex_);
  for (auto at = streams_.begin(); at != streams_.end();) {
    const auto next = std::next(at);
    const bool over = at->second.partition == partition && at->second.orphan;
    if (over) forget(at, What::cancelled);
    at = next;
  }
}

void StreamDesk::forget(Streams::iterator at, What what) {
  const Stream& stream = at->second;
  emit(stream, update_of(at->first, stream, what));
  if (!stream.client.empty()) remember(at->first, {what, stream.attempt});
  bytes_ -= stream.text.size();
  const auto client = clients_.find(std::pair(stream.tenant, stream.client));
  std::erase(client->second.streams, at->first);
  if (client->second.streams.empty() && client->second.shards.empty()) clients_.erase(client);
  streams_.erase(at);
  open_.fetch_sub(1, std::memory_order_relaxed);
}

void StreamDesk::remember(const StreamKey& key, End end) {
  if (!ends_.insert_or_assign(key, end).second) return;
  ends_order_.push_back(key);
  if (ends_order_.size() <= kStreamEnds) return;
  ends_.erase(ends_order_.front());
  ends_order_.pop_front();
}

std::optional<StreamUpdate> StreamDesk::end_of(StreamUpdate stream) const {
  const std::lock_guard lock(mutex_);
  const StreamKey key{stream.run, stream.step_number};
  if (streams_.count(key) > 0) return std::nullopt;
  stream.what = What::cancelled;
  if (const auto end = ends_.find(key); end != ends_.end()) {
    stream.what = end->second.what;
    stream.attempt = end->second.attempt;
  }
  return stream;
}

// ---- pieces

void StreamDesk::piece(const Lease& lease, std::uint64_t n, std::string_view text) {
  const std::lock_guard lock(mutex_);
  take(lease, n, text);
}

void StreamDesk::take(const Lease& lease, std::uint64_t n, std::string_view text) {
  const StreamKey key{lease.run, lease.step};
  const auto at = streams_.find(key);
  if (at == streams_.end()) return keep_early(lease, n, text);
  Stream& stream = at->second;
  const auto voice = std::find_if(stream.voices.begin(), stream.voices.end(), [&](const Voice& v) {
    return v.attempt == lease.attempt && v.opened == lease.seq;
  });
  if (voice == stream.voices.end()) {
    const bool newer = lease.attempt > stream.attempt;
    return newer ? keep_early(lease, n, text) : void();
  }
  if (lease.nonce < voice->nonce) return;
  if (lease.nonce > voice->nonce) {
    // Handed out anew: it begins again, and what the one before said is not of its text.
    const bool again = voice->nonce != 0;
    voice->nonce = lease.nonce;
    voice->next_n = 0;
    voice->held.clear();
    if (again && !voice->undecided) show(key, stream, voice->attempt, What::reset);
  }
  if (n < voice->next_n) return;
  voice->next_n = n + 1;
  say(key, stream, *voice, text);
}

void StreamDesk::say(const StreamKey& key, Stream& stream, Voice& voice, std::string_view text) {
  if (voice.undecided) {
    if (voice.held.size() + text.size() <= kStreamTextBytes) voice.held += text;
    if (voice.asked) return;
    voice.asked = true;
    return ask({stream.partition, key.first, key.second, voice.attempt}, voice.opened);
  }
  if (stream.client.empty()) return;
  if (stream.attempt != voice.attempt) show(key, stream, voice.attempt, What::reset);
  const std::size_t size = stream.text.size() + text.size();
  if (text.empty() || size > kStreamTextBytes || bytes_ + text.size() > kStreamsBytes) return;
  StreamUpdate update = update_of(key, stream, What::piece);
  update.text = text;
  stream.text += text;
  bytes_ += text.size();
  emit(stream, update);
}

void StreamDesk::ask(const core::AttemptKey& key, core::Seq opened) {
  RecordInput input;
  input.partition = key.partition;
  input.record = core::make_record({}, core::Spoke{key.run, key.step, key.attempt, opened});
  input.then = [this, key](bool ok) {
    const std::lock_guard lock(mutex_);
    decided(key, ok);
  };
  shared_.inbox(key.partition).post(std::move(input));
}

// It speaks, unless it was taken back meanwhile.
void StreamDesk::decided(const core::AttemptKey& key, bool ok) {
  const auto at = streams_.find({key.run, key.step});
  if (at == streams_.end()) return;
  for (Voice& voice : at->second.voices) {
    if (voice.attempt != key.attempt) continue;
    voice.asked = false;
    if (!ok) return;  // its next piece asks again
    voice.undecided = false;
    const std::string held = std::exchange(voice.held, {});
    say(at->first, at->second, voice, held);
    return;
  }
}

// The task may have been handed out before its attempt is known to be durable.
void StreamDesk::keep_early(const Lease& lease, std::uint64_t n, std::string_view text) {
  early_.push_back({lease, n, std::string(text)});
  early_bytes_ += text.size();
  while (early_.size() > kEarlyPieces || early_bytes_ > kEarlyBytes) {
    early_bytes_ -= early_.front().text.size();
    early_.pop_front();
  }
}

void StreamDesk::take_early(const core::AttemptKey& key) {
  if (early_.empty()) return;
  std::vector<Early> mine;
  for (auto at = early_.begin(); at != early_.end();) {
    if (!(key_of(at->lease) == key)) {
      ++at;
      continue;
    }
    early_bytes_ -= at->text.size();
    mine.push_back(std::move(*at));
    at = early_.erase(at);
  }
  for (const Early& each : mine) take(each.lease, each.n, each.text);
}

// ---- to the client's sockets

void StreamDesk::show(const StreamKey& key, Stream& stream, std::uint32_t attempt, What what) {
  stream.attempt = attempt;
  stream.order = ++last_order_;
  bytes_ -= stream.text.size();
  stream.text.clear();
  emit(stream, update_of(key, stream, what));
}

StreamUpdate StreamDesk::update_of(const StreamKey& key, const Stream& stream, What what) const {
  StreamUpdate update;
  update.what = what;
  update.client = stream.client;
  update.run = key.first;
  update.step_number = key.second;
  update.step = stream.path;
  update.attempt = stream.attempt;
  update.order = stream.order;
  update.at = stream.text.size();
  return update;
}

void StreamDesk::emit(const Stream& stream, const StreamUpdate& update) {
  const auto client = clients_.find(std::pair(stream.tenant, stream.client));
  if (client == clients_.end()) return;
  for (const auto& [shard, count] : client->second.shards) {
    std::vector<Outgoing> messages;
    messages.emplace_back(update);
    std::get<StreamUpdate>(messages.back()).tenant = shared_.tenants.name(stream.tenant);
    shared_.outbox.emit(shard, std::move(messages));
  }
}

void StreamDesk::attach(core::TenantId tenant, std::string_view client, unsigned shard) {
  const std::lock_guard lock(mutex_);
  ++clients_[{tenant, std::string(client)}].shards[shard];
}

void StreamDesk::detach(core::TenantId tenant, std::string_view client, unsigned shard) {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(std::pair(tenant, std::string(client)));
  if (found == clients_.end()) return;
  Client& known = found->second;
  if (const auto count = known.shards.find(shard); count != known.shards.end()) {
    if (--count->second == 0) known.shards.erase(count);
  }
  if (known.streams.empty() && known.shards.empty()) clients_.erase(found);
}

std::vector<StreamUpdate> StreamDesk::snapshots(core::TenantId tenant,
                                                std::string_view client) const {
  const std::lock_guard lock(mutex_);
  std::vector<StreamUpdate> all;
  const auto found = clients_.find(std::pair(tenant, std::string(client)));
  if (found == clients_.end()) return all;
  for (const StreamKey& key : found->second.streams) {
    const Stream& stream = streams_.at(key);
    all.push_back(update_of(key, stream, What::snapshot));
    all.back().text = stream.text;
  }
  return all;
}

std::optional<StreamUpdate> StreamDesk::snapshot(const core::RunId& run, std::uint32_t step) const {
  const std::lock_guard lock(mutex_);
  const auto at = streams_.find({run, step});
  if (at == streams_.end()) return std::nullopt;
  StreamUpdate update = update_of(at->first, at->second, What::snapshot);
  update.text = at->second.text;
  return update;
}

}  // namespace sluice::node
