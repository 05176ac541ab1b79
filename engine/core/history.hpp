// A run's history, told by running it again.
//
// The journal holds inputs; paths, arguments and what each record led to follow from them. So the
// history is made by applying the run's own records, in order, to a partition that holds nothing
// else.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/core/message.hpp"
#include "engine/core/programs.hpp"
#include "engine/core/record.hpp"

namespace sluice::core {

// A message that a record led to, as people want to see it.
struct HistoryMessage {
  std::size_t effect = 0;  // the Send's index among the entry's effects
  MessageKind kind = MessageKind::delivery;
  std::string name;       // of the topic (publish), the flow (start) or the event (delivery)
  std::string event;      // of publish: its event's name
  std::string step;       // of start: the path of the step that waits; empty: none does
  RunId run;              // of start and cancel: the other run
  std::string data_json;  // the event, or an object of the arguments by name
};

struct HistoryEntry {
  Seq seq = 0;
  TimeUs time = 0;
  std::string kind;     // kind_name
  std::string verdict;  // verdict_name
  std::string step;     // path, where the record is about a step; else empty
  std::uint32_t attempt = 0;
  std::string causation;  // record_name of what caused it, or an event's id; empty: from outside
  std::string data_json;  // an object: what came in (data, result, failure, reason …)
  Effects effects;        // what it led to; delivery offsets are those of this run alone
  std::vector<HistoryMessage> messages;  // among those effects, in their order
};

struct RunHistory {
  std::vector<HistoryEntry> entries;
  RunRow row;  // the run after its last record
};

// `records`: all of one run's records in order of seq (the journal's run_prev chain, reversed),
// from the one that started it. `partitions`: of the whole database, for the ids of runs that this
// one starts. `newest`: the run's deployment, which an event that another run published does not
// name; 0: that of whoever published. Fails when they are not, with the reason.
tl::expected<RunHistory, std::string> tell_history(PartitionId partition, unsigned partitions,
                                                   const RunId& run,
                                                   const std::vector<Record>& records,
                                                   ProgramSource& programs,
                                                   DeploymentNumber newest = 0);

}  // namespace sluice::core
