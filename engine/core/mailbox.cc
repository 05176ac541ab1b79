#include "engine/core/mailbox.hpp"

#include <algorithm>

namespace sluice::core {
namespace {

Hash128 message_hash(PartitionId destination, std::uint64_t n, std::string_view body) {
  SipHasher128 hasher(kStateKey);
  const std::uint64_t head[2] = {number(destination), n};
  hasher.add({reinterpret_cast<const char*>(head), sizeof head});
  hasher.add(body);
  return hasher.finish();
}

}  // namespace

std::uint64_t Mailbox::send(PartitionId destination, TenantId tenant, Seq since, std::string body) {
  Way& way = outbox_[destination];
  const std::uint64_t n = ++way.last;
  const Hash128 hash = message_hash(destination, n, body);
  pending_hash_ += hash;
  ++pending_;
  way.pending.push_back({n, tenant, std::move(body), hash, since});
  return n;
}

void Mailbox::acknowledged(PartitionId destination, std::uint64_t n, Seq before) {
  Way& way = outbox_[destination];
  while (!way.pending.empty() && way.pending.front().n <= n && way.pending.front().since < before) {
    pending_hash_ -= way.pending.front().hash;
    --pending_;
    way.pending.pop_front();
  }
  if (n > way.acknowledged) way.acknowledged = n;
}

void Mailbox::renumber(PartitionId destination, Seq first, TakenMessages taken) {
  Way& way = outbox_[destination];
  std::uint64_t last = std::max(taken.last, way.acknowledged);
  way.acknowledged = last;
  std::deque<Sent> kept;
  for (Sent& sent : way.pending) {
    pending_hash_ -= sent.hash;
    if (sent.since < first) {
      if (sent.n <= way.acknowledged) continue;
      last = std::max(last, sent.n);
    } else {
      const auto cause = std::find(taken.causes.begin(), taken.causes.end(), sent.since);
      if (cause != taken.causes.end()) {
        taken.causes.erase(cause);
        continue;
      }
      sent.n = ++last;
    }
    sent.hash = message_hash(destination, sent.n, sent.body);
    pending_hash_ += sent.hash;
    kept.push_back(std::move(sent));
  }
  pending_ -= way.pending.size() - kept.size();
  way.pending = std::move(kept);
  way.last = last;
}

std::vector<PartitionId> Mailbox::destinations() const {
  std::vector<PartitionId> all;
  for (const auto& [destination, way] : outbox_) all.push_back(destination);
  return all;
}

std::uint64_t Mailbox::acknowledged_by(PartitionId destination) const {
  const auto it = outbox_.find(destination);
  return it == outbox_.end() ? 0 : it->second.acknowledged;
}

std::uint64_t Mailbox::last_sent(PartitionId destination) const {
  const auto it = outbox_.find(destination);
  return it == outbox_.end() ? 0 : it->second.last;
}

void Mailbox::each_pending(const std::function<void(PartitionId, const Sent&)>& visit) const {
  for (const auto& [destination, way] : outbox_) {
    for (const Sent& sent : way.pending) visit(destination, sent);
  }
}

void Mailbox::each_stalled(Seq durable, std::size_t each,
                           const std::function<void(PartitionId, const Sent&)>& visit) {
  for (auto& [destination, way] : outbox_) {
    const std::uint64_t oldest = way.pending.empty() ? 0 : way.pending.front().n;
    const bool stalled = oldest != 0 && oldest == way.looked_at;
    way.looked_at = oldest;
    if (!stalled) continue;
    for (std::size_t i = 0; i < std::min(each, way.pending.size()); ++i) {
      if (way.pending[i].since <= durable) visit(destination, way.pending[i]);
    }
  }
}

std::uint64_t Mailbox::taken_from(PartitionId source) const {
  const auto it = inbox_.find(source);
  return it == inbox_.end() ? 0 : it->second;
}

Hash128 Mailbox::hash() const {
  std::string bytes;
  Writer writer(bytes);
  for (const auto& [destination, way] : outbox_) {
    writer.varint(number(destination));
    writer.varint(way.last);
    writer.varint(way.acknowledged);
  }
  writer.u8(0xff);
  for (const auto& [source, n] : inbox_) {
    writer.varint(number(source));
    writer.varint(n);
  }
  Hash128 hash = siphash128(kStateKey, bytes);
  hash += pending_hash_;
  return hash;
}

void Mailbox::write(Writer& writer) const {
  writer.varint(outbox_.size());
  for (const auto& [destination, way] : outbox_) {
    writer.varint(number(destination));
    writer.varint(way.last);
    writer.varint(way.acknowledged);
    writer.varint(way.pending.size());
    for (const Sent& sent : way.pending) {
      writer.varint(sent.n);
      writer.varint(number(sent.tenant));
      writer.bytes(sent.body);
    }
  }
  writer.varint(inbox_.size());
  for (const auto& [source, n] : inbox_) {
    writer.varint(number(source));
    writer.varint(n);
  }
}

bool Mailbox::read(Reader& reader) {
  const std::uint64_t ways = reader.count(4);
  for (std::uint64_t i = 0; i < ways && reader.ok(); ++i) {
    const auto destination = static_cast<PartitionId>(reader.varint32());
    Way& way = outbox_[destination];
    way.last = reader.varint();
    way.acknowledged = reader.varint();
    const std::uint64_t pending = reader.count(3);
    for (std::uint64_t k = 0; k < pending && reader.ok(); ++k) {
      Sent sent;
      sent.n = reader.varint();
      sent.tenant = static_cast<TenantId>(reader.varint32());
      sent.body = reader.bytes();
      sent.hash = message_hash(destination, sent.n, sent.body);
      pending_hash_ += sent.hash;
      ++pending_;
      way.pending.push_back(std::move(sent));
    }
  }
  const std::uint64_t sources = reader.count(2);
  for (std::uint64_t i = 0; i < sources && reader.ok(); ++i) {
    const auto source = static_cast<PartitionId>(reader.varint32());
    inbox_[source] = reader.varint();
  }
  return reader.ok();
}

}  // namespace sluice::core
