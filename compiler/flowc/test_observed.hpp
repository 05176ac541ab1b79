// What can be seen of a rehearsal: steps, attempts, results and events in their order.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/ir.hpp"
#include "engine/sim/rehearsal.hpp"

namespace sluice::flowc {

struct Seen {
  enum class What { kBegun, kAttempt, kCompleted, kReturned, kNotified, kPublished, kDead };
  What what = What::kBegun;
  std::size_t run = 0;  // index in Rehearsal::runs
  core::Seq seq = 0;
  core::TimeUs since_start = 0;  // of the rehearsal
  core::TimeUs since_run = 0;    // of its run
  // Of a step, without the flow and the numbers of rounds; empty where only the task begins.
  std::string path;
  std::string task;              // of a step
  std::string event;
  std::string data_json;
  const core::HistoryEntry* entry = nullptr;
  const core::Effect* effect = nullptr;  // null: the record itself
};

// In the order of the journal.
std::vector<Seen> observe(const sim::Rehearsal& rehearsal);

bool is_of(const Seen& seen, const compiler::ir::StepName& step);
bool counts(const Seen& seen, const compiler::ir::CountOf& count);

// "answer/each#3/think" as "each/think".
std::string plain_path(std::string_view path);

}  // namespace sluice::flowc
