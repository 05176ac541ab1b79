// Children.
#include <fmt/format.h>

#include <algorithm>

#include "engine/sim/promises.hpp"

namespace sluice::sim {

void Children::see(const Seen& seen) {
  if (const auto envelope = message_in(seen.record)) took(*envelope);
  for (const core::Effect& effect : seen.effects) {
    if (const auto* offer = std::get_if<core::Offer>(&effect)) acts(offer->key.run, offer->path);
  }
  for (const Told& told : deliveries_of(seen)) acts(told.run, told.name);
  for (const core::Effect& effect : seen.effects) {
    const auto* send = std::get_if<core::Send>(&effect);
    if (const auto envelope = send ? core::decode<core::Envelope>(send->body) : std::nullopt) {
      sent(*envelope);
    }
  }
  for (const core::Effect& effect : seen.effects) {
    const auto* changed = std::get_if<core::RunChanged>(&effect);
    if (changed != nullptr) end(changed->row);
  }
}

void Children::took(const core::Envelope& envelope) {
  if (envelope.kind == core::MessageKind::start) {
    const auto body = core::decode<core::StartMessage>(envelope.body);
    if (body) begun_.insert(body->run);
  } else if (envelope.kind == core::MessageKind::ended) {
    const auto body = core::decode<core::EndedMessage>(envelope.body);
    if (!body) return;
    // Told by the run that it joined, if it did.
    auto& open = open_[body->parent];
    const auto child = std::find_if(open.begin(), open.end(), [&](const auto& each) {
      return body->step != 0 ? each.first == body->step : each.second == envelope.run;
    });
    if (child == open.end()) return;
    undone_[body->parent].erase(child->second);
    open.erase(child);
  } else if (envelope.kind == core::MessageKind::cancel) {
    const auto body = core::decode<core::CancelMessage>(envelope.body);
    if (!body || ended_.contains(body->run)) return;
    called_off_.insert(body->run);
    count("a child was called off");
  }
}

void Children::sent(const core::Envelope& envelope) {
  if (envelope.kind == core::MessageKind::start) {
    const auto body = core::decode<core::StartMessage>(envelope.body);
    if (body && body->step != 0) open_[envelope.run][body->step] = body->run;
  } else if (envelope.kind == core::MessageKind::cancel) {
    const auto body = core::decode<core::CancelMessage>(envelope.body);
    if (body) undone_[envelope.run].insert(body->run);
  }
}

// Whoever has children here does nothing beside them once one was called off.
void Children::acts(const core::RunId& run, std::string_view what) {
  const auto undone = undone_.find(run);
  if (undone == undone_.end() || undone->second.empty()) return;
  report_(16, fmt::format("run {} goes on with `{}`, and {} that it called off is being undone",
                          to_text(run), what, to_text(*undone->second.begin())));
}

void Children::end(const core::RunRow& row) {
  ended_.insert(row.run);
  count(fmt::format("{} {}", row.flow, run_state_word(row.state)));
  if (!open_[row.run].empty()) {
    report_(16, fmt::format("run {} ended before its child {}", to_text(row.run),
                            to_text(open_[row.run].begin()->second)));
  }
  if (called_off_.contains(row.run) && row.state == core::RunState::completed) {
    report_(16,
            fmt::format("run {} was called off by its parent, and completed", to_text(row.run)));
  }
}

void Children::finish(bool all_ended) {
  if (!all_ended) return;
  for (const core::RunId& run : begun_) {
    if (!ended_.contains(run)) report_(16, fmt::format("run {} has no end", to_text(run)));
  }
}

}  // namespace sluice::sim
