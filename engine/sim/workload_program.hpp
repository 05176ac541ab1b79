// The program that the simulation runs: small, and with one of everything that recovery could get
// wrong. An unsafe step with compensation, retries with backoff, `parallel`, progress and outcomes;
// and topics ordered by a key, whose deliveries cross partitions, or under `concurrency`: one run
// of a key after the other, and one of a client until a newer one comes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "vm/verifier.hpp"

namespace sluice::sim {

// Indices in the program.
inline constexpr std::uint32_t kTopicAsks = 0;   // event Ask { text }, by client
inline constexpr std::uint32_t kTopicNotes = 1;  // event Note { text, key }, by key
inline constexpr std::uint32_t kTopicTurns = 2;  // event Ask { text }, by client
inline constexpr std::uint32_t kTopicEchoes = 3;  // event Note, by key; only flows publish there
// Of a key one note goes on at once, in the partition of the key, which is seldom that of the event
// (its ordering key is another); more than all wait. Of a client one turn goes on, the newest.
inline constexpr std::uint32_t kNotesQueue = 10'000;
// How long their ids are remembered. The second is short enough to end within a run.
inline constexpr std::int64_t kAsksDedupeMs = 24ll * 3600 * 1000;
inline constexpr std::int64_t kNotesDedupeMs = 8'000;

// The task whose steps are hedged.
inline constexpr const char* kHedgedTask = "left";

std::shared_ptr<const vm::VerifiedProgram> workload_program();

// encode_value of the events.
std::string ask_value(std::string_view text);
std::string note_value(std::string_view text, std::string_view key);
// What a worker that does its work answers: the task's name and its argument.
std::string task_result(std::string_view task, std::string_view text);
// The Answer of a run whose steps all succeeded, as its delivery's data.
std::string answer_json(std::uint32_t topic, std::string_view text);

}  // namespace sluice::sim
