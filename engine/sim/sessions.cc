#include "engine/sim/sessions.hpp"

#include <algorithm>

namespace sluice::sim {

void Sessions::settle(const Who& who, Client& client, bool away, TimeUs since, Out& out) {
  for (auto& [run, told_away] : client.runs) {
    if (told_away == away) continue;
    told_away = away;
    out.push_back({who, {run, away, since}});
  }
}

void Sessions::attached(const Who& who, std::uint64_t connection, Now now, Out& out) {
  if (connection <= closed_[who]) return;
  Client& client = clients_[who];
  client.open.insert(connection);
  client.state = State::here;
  settle(who, client, false, now.time, out);
}

void Sessions::left(const Who& who, std::uint64_t connection, Now now, TimeUs grace) {
  closed_[who] = std::max(closed_[who], connection);
  const auto at = clients_.find(who);
  if (at == clients_.end()) return;
  Client& client = at->second;
  if (client.open.erase(connection) == 0 || !client.open.empty()) return;
  client.state = State::leaving;
  client.due = now.real + grace;
  client.left = now.real;
  client.since = now.time;
}

void Sessions::wanted(const core::PresenceWanted& effect, Now now, Out& out) {
  const Who who{effect.tenant, effect.client};
  const auto [at, fresh] = clients_.try_emplace(who);
  Client& client = at->second;
  if (fresh) {
    const Now from = effect.reissued ? now : opened_;
    client.since = from.time;
    client.due = from.real + kGrace;
    if (client.due > now.real) client.state = State::leaving;
  }
  client.runs[effect.run] = effect.told_away;
  if (client.state == State::leaving) return;
  const bool away = client.state == State::away;
  settle(who, client, away, away ? client.since : now.time, out);
}

void Sessions::over(const core::RunRow& row) {
  const auto at = clients_.find({row.tenant, row.client});
  if (at != clients_.end()) at->second.runs.erase(row.run);
}

void Sessions::drop(core::PartitionId partition) {
  for (auto& [who, client] : clients_) {
    std::erase_if(client.runs,
                  [&](const auto& run) { return core::partition_of(run.first) == partition; });
  }
}

std::optional<TimeUs> Sessions::next_due() const {
  std::optional<TimeUs> first;
  for (const auto& [who, client] : clients_) {
    if (client.state == State::leaving) first = std::min(first.value_or(client.due), client.due);
  }
  return first;
}

void Sessions::tick(TimeUs real, Out& out) {
  for (auto& [who, client] : clients_) {
    if (client.state != State::leaving || client.due > real) continue;
    client.state = State::away;
    settle(who, client, true, client.since, out);
  }
}

std::optional<bool> Sessions::away(const Who& who) const {
  const auto at = clients_.find(who);
  if (at == clients_.end() || at->second.state == State::leaving) return std::nullopt;
  return at->second.state == State::away;
}

TimeUs Sessions::absent(const Who& who, TimeUs real) const {
  const auto at = clients_.find(who);
  if (at != clients_.end() && !at->second.open.empty()) return 0;
  const bool came = at != clients_.end() && at->second.left != 0;
  return real - (came ? at->second.left : opened_.real);
}

}  // namespace sluice::sim
