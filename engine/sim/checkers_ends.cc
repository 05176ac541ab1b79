// What became of the runs, their signals and their lines in a group's log.
#include <fmt/format.h>

#include "engine/sim/checkers.hpp"
#include "engine/sim/workload_program.hpp"

namespace sluice::sim {

// ---- 5 and 9: every run has one end

void Checkers::check_ends(const End& end) {
  for (const auto& [key, first] : accepted_) {
    if (journaled_.contains(key)) continue;
    violation(4, fmt::format("id {} was accepted and is not in the journal", key.id));
  }
  for (const auto& [run, started] : started_) {
    const auto ended = ends_.find(run);
    const std::size_t ends = ended == ends_.end() ? 0 : ended->second.size();
    if (ends > 1) {
      violation(5, fmt::format("run {} has {} outcomes", to_text(run), ends));
    } else if (superseded_.contains(run)) {
      check_superseded(run);
    } else if (joined_.contains(run)) {
      if (ends > 0)
        violation(19, fmt::format("run {} has joined another, and answers", to_text(run)));
    } else if (ends == 0 && started.has_client) {
      stuck(fmt::format("run {} has no outcome", to_text(run)));
    } else if (ends == 1) {
      check_end(run, ended->second.front(), end);
    }
  }
  if (!end.all_ended) stuck("not everything ended after the faults had stopped");
}

void Checkers::check_end(const core::RunId& run, const core::Delivery& outcome, const End& end) {
  const Started& started = started_.at(run);
  const bool good = outcome.name == "Answer";
  if (good && outcome.data_json != answer_json(started.topic, started.text)) {
    violation(5, fmt::format("run {} answered {}", to_text(run), outcome.data_json));
  }
  if (!good && charged_.contains(run) && !refunded_.contains(run)) {
    violation(5, fmt::format("run {} failed, and its charge was not undone", to_text(run)));
  }
  // These may be turned away for want of room, or of time.
  const bool may_fail = started.topic == kTopicPairs || started.topic == kTopicSolos ||
                        started.topic == kTopicRooms || started.topic == kTopicVisits;
  if (!good && end.harmless && !may_fail) {
    stuck(fmt::format("run {} ended with {} {}, though nothing failed", to_text(run), outcome.name,
                      outcome.data_json));
  }
}

// It said nothing, what it did is undone, and a newer one of the same client answers for it.
void Checkers::check_superseded(const core::RunId& run) {
  const Started& old = started_.at(run);
  if (ends_.contains(run)) {
    violation(13, fmt::format("run {} was superseded, and answers", to_text(run)));
  }
  if (charged_.contains(run) && !refunded_.contains(run)) {
    violation(13,
              fmt::format("run {} was superseded, and its charge was not undone", to_text(run)));
  }
  for (const auto& [other, started] : started_) {
    const bool newer = started.partition == old.partition && started.seq > old.seq &&
                       started.topic == old.topic && started.key.tenant == old.key.tenant &&
                       started.key.client == old.key.client;
    if (newer && ends_.contains(other)) return;
  }
  stuck(fmt::format("run {} was superseded, and nobody answers for it", to_text(run)));
}

// ---- 14

void Checkers::check_signals() {
  auto missing = signalled_;
  for (const Database::Stored& stored : database_.stored()) {
    for (const JournalRow& row : stored.journal) {
      if (row.record.kind != core::Kind::signal) continue;
      const auto body = core::decode<core::Signal>(row.record.body);
      if (body) missing.erase({body->run, std::string(body->client), std::string(body->id)});
    }
  }
  for (const auto& [run, client, id] : missing) {
    violation(14, fmt::format("signal {} to run {} was accepted and is not in the journal", id,
                              to_text(run)));
  }
}

// ---- 18

void Checkers::check_board() {
  const std::string log = std::string(1, '\0') + std::string(kBoard);
  std::map<core::RunId, unsigned> lines;
  for (const Database::Stored& stored : database_.stored()) {
    for (const auto& [client, deliveries] : stored.deliveries) {
      if (client.second != log) continue;
      for (const core::Delivery& line : deliveries) ++lines[line.run];
    }
  }
  for (const auto& [run, count] : lines) {
    if (count > 1) violation(18, fmt::format("run {} wrote {} lines", to_text(run), count));
  }
  for (const auto& [run, started] : started_) {
    const auto ended = ends_.find(run);
    const bool good = ended != ends_.end() && ended->second.front().name == "Answer";
    if (started.topic == kTopicTalks && good && !lines.contains(run)) {
      violation(18, fmt::format("what run {} wrote to the group is not there", to_text(run)));
    }
  }
}

}  // namespace sluice::sim
