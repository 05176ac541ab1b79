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
#include "engine/core/programs.hpp"
#include "engine/core/record.hpp"

namespace sluice::core {

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
};

struct RunHistory {
  std::vector<HistoryEntry> entries;
  RunRow row;  // the run after its last record
};

// `records`: all of one run's records in order of seq (the journal's run_prev chain, reversed),
// from the one that started it. Fails when they are not, with the reason.
tl::expected<RunHistory, std::string> tell_history(PartitionId partition, const RunId& run,
                                                   const std::vector<Record>& records,
                                                   ProgramSource& programs);

}  // namespace sluice::core
