// The program that the simulation runs: workload.flow, compiled when this is built.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vm/value.hpp"
#include "vm/verifier.hpp"

namespace sluice::sim {

// Indices in the program.
enum Topic : std::uint32_t {
  kTopicAsks,
  kTopicNotes,
  kTopicTurns,
  kTopicEchoes,  // only flows publish there
  kTopicTalks,
  kTopicNudges,
  kTopicWatches,
  kTopicFacts,  // starts no flow
  kTopicErrands,
  kTopicSpeeches,
  kTopicPairs,
  kTopicSolos,
  kTopicChats,
  kTopicRooms,
  kTopicVisits,
  kTopicMinds,
  kTopicGlances,
  kTopicCount
};

// How long their ids are remembered. The second is short enough to end within a run.
inline constexpr std::int64_t kAsksDedupeMs = 24ll * 3600 * 1000;
inline constexpr std::int64_t kNotesDedupeMs = 8'000;

// The group whose log every run of `talk` and `tick` writes one line to.
inline constexpr std::string_view kBoard = "board";

std::shared_ptr<const vm::VerifiedProgram> workload_program();

// How many runs of a topic's flow may go on at once; 0: nothing bounds them.
unsigned runs_at_once(std::uint32_t topic);
// Its flow's runs are joined: what it says is perhaps heard by another run, which answers.
bool is_joined(std::uint32_t topic);
// Whether the runs of a topic's flow count by the first field behind the event's text.
bool counts_by_key(std::uint32_t topic);
// The attempts that a step of the task may have open at once.
unsigned attempts_at_once(std::string_view task);
// The event of a topic with an ordering key of its own (not the client) has it in this field.
std::optional<std::size_t> key_field(std::uint32_t topic);

// encode_value of an event.
std::string event_value(const vm::Program& program, std::string_view event,
                        const std::vector<vm::Value>& fields);
std::string note_value(const vm::Program& program, std::string_view text, std::string_view key);
// What a worker that does its work answers: the task's name and its argument.
std::string task_result(std::string_view task, std::string_view text);
// The Answer of a run whose steps all succeeded, as its delivery's data, by the text of its event.
std::string answer_json(std::uint32_t topic, std::string_view text);

}  // namespace sluice::sim
